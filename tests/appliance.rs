//! Putting a set back to devices with a command line of their own, through the program: simulated ones that refuse, cut the
//! connection and restart at every step, and FRR for real.
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
#[path = "support/frr.rs"]
mod frr;
#[path = "support/ios.rs"]
mod ios;
#[path = "support/junos.rs"]
mod junos;
#[path = "support/live.rs"]
mod live;
#[path = "support/sshd.rs"]
mod sshd;

#[path = "appliance/gateway.rs"]
mod gateway;
#[path = "appliance/lab.rs"]
mod lab;
#[path = "appliance/router.rs"]
mod router;
#[path = "appliance/routing.rs"]
mod routing;
#[path = "appliance/trouble.rs"]
mod trouble;

/// Every file of `tests/appliance` stands above.
#[test]
fn no_test_file_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = std::fs::read_to_string(root.join("appliance.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("appliance")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("\"appliance/{name}\"")), "{name} is not registered in tests/appliance.rs");
    }
}
