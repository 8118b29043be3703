//! Changes and releases, through the program and the library.
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
#[path = "support/liar.rs"]
mod liar;
#[path = "support/play.rs"]
mod play;
#[path = "support/simulator.rs"]
mod simulator;

#[path = "change/announce.rs"]
mod announce;
#[path = "change/blind.rs"]
mod blind;
#[path = "change/health.rs"]
mod health;
#[path = "change/lab.rs"]
mod lab;
#[path = "change/notes.rs"]
mod notes;
#[path = "change/pair.rs"]
mod pair;
#[path = "change/release.rs"]
mod release;
#[path = "change/replace.rs"]
mod replace;
#[path = "change/review.rs"]
mod review;
#[path = "change/run.rs"]
mod run;

/// Every file of `tests/change` stands above.
#[test]
fn no_test_file_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = std::fs::read_to_string(root.join("change.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("change")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("\"change/{name}\"")), "{name} is not registered in tests/change.rs");
    }
}
