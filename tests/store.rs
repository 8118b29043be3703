//! The store as a library: what is put in comes out, whatever git, age and a hostile device say.
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

#[path = "store/lab.rs"]
mod lab;
mod support;

#[path = "store/chains.rs"]
mod chains;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/forms.rs"]
mod forms;
#[path = "store/git.rs"]
mod git;
#[path = "store/journal.rs"]
mod journal;
#[path = "store/lines.rs"]
mod lines;
#[path = "store/looks.rs"]
mod looks;
#[path = "store/model.rs"]
mod model;
#[path = "store/points.rs"]
mod points;
#[path = "store/round_trip.rs"]
mod round_trip;

/// A test file that is not named above would never run.
#[test]
fn every_file_is_registered() {
    let own = include_str!("store.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(own.contains(&format!("store/{name}")), "{name} is not registered");
    }
}
