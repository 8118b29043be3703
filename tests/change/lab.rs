//! A store with devices that are folders.

use crate::env::TestEnv;

/// Devices `gw-1` and `gw-2`, each a folder of its name with one file, in the store.
pub fn two() -> TestEnv {
    let env = TestEnv::with_store();
    for device in ["gw-1", "gw-2"] {
        set(&env, device, "port=5060\n");
        add(&env, device, "1.0");
    }
    env.cv(&["snapshot"]).succeeded();
    env
}

/// Adds a folder as a device.
pub fn add(env: &TestEnv, device: &str, release: &str) {
    let source = format!("dir:{device}");
    env.cv(&["device", "add", device, "--source", &source, "--profile", "generic", "--release", release]).succeeded();
}

/// Sets the one file of a device.
pub fn set(env: &TestEnv, device: &str, text: &str) {
    env.write(&format!("{device}/main.conf"), text);
}

/// The number that a point stands on.
pub fn number(env: &TestEnv, point: &str) -> u64 {
    let shown = env.cv(&["show", point, "--json"]);
    assert_eq!(shown.code, 0, "{shown}");
    shown.json()["generation"]["number"].as_u64().unwrap()
}

/// The records of the journal of an action, newest first.
pub fn records(env: &TestEnv, action: &str) -> Vec<serde_json::Value> {
    let text = env.cv(&["journal", "--json"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    all.filter(|record| record["action"] == action).collect()
}
