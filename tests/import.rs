//! Histories of other programs, taken over: repositories that real `git` made in the shapes of the tools.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "support/env.rs"]
mod env;
#[path = "sealing/lab.rs"]
mod lab;
#[path = "import/repo.rs"]
mod repo;

#[path = "import/any.rs"]
mod any;
#[path = "import/crash.rs"]
mod crash;
#[path = "import/hostile.rs"]
mod hostile;
#[path = "import/oxidized.rs"]
mod oxidized;
#[path = "import/rancid.rs"]
mod rancid;

/// A test file that is not named above would never run.
#[test]
fn every_file_is_registered() {
    let own = include_str!("import.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(own.contains(&format!("import/{name}")), "{name} is not registered");
    }
}
