//! The program as its user meets it: one file for each command.
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
#[path = "support/http.rs"]
mod http;
#[path = "support/pty.rs"]
mod pty;

#[path = "cli/astray.rs"]
mod astray;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/device.rs"]
mod device;
#[path = "cli/device_import.rs"]
mod device_import;
#[path = "cli/devices_folder.rs"]
mod devices_folder;
#[path = "cli/diff.rs"]
mod diff;
#[path = "cli/general.rs"]
mod general;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/journal.rs"]
mod journal;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/log.rs"]
mod log;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/ls.rs"]
mod ls;
#[path = "cli/maintain.rs"]
mod maintain;
#[path = "cli/matrix.rs"]
mod matrix;
#[path = "cli/mirror.rs"]
mod mirror;
#[path = "cli/name.rs"]
mod name;
#[path = "cli/profile.rs"]
mod profile;
#[path = "cli/restore.rs"]
mod restore;
#[path = "cli/search.rs"]
mod search;
#[path = "cli/show.rs"]
mod show;
#[path = "cli/snapshot.rs"]
mod snapshot;
#[path = "cli/tour.rs"]
mod tour;
#[path = "cli/world.rs"]
mod world;

/// Every file of `tests/cli` stands above.
#[test]
fn no_test_file_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = std::fs::read_to_string(root.join("cli.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("cli")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Snapshots under review lie here as hidden files.
        if name.starts_with('.') {
            continue;
        }
        assert!(text.contains(&format!("\"cli/{name}\"")), "{name} is not registered in tests/cli.rs");
    }
}
