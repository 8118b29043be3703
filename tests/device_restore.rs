//! Putting a set back to the device itself: folders of this machine and hosts with a real sshd.
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

#[path = "device_restore/choices.rs"]
mod choices;
#[path = "device_restore/crash.rs"]
mod crash;
#[path = "device_restore/failures.rs"]
mod failures;
#[path = "device_restore/folder.rs"]
mod folder;
#[path = "device_restore/health.rs"]
mod health;
#[path = "device_restore/host.rs"]
mod host;
#[path = "device_restore/lab.rs"]
mod lab;
#[path = "support/pty.rs"]
mod pty;
#[path = "support/sshd.rs"]
mod sshd;
#[path = "device_restore/taken_up.rs"]
mod taken_up;

/// Every file of `tests/device_restore` stands above.
#[test]
fn no_test_file_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = std::fs::read_to_string(root.join("device_restore.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("device_restore")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("\"device_restore/{name}\"")), "{name} is not registered in tests/device_restore.rs");
    }
}
