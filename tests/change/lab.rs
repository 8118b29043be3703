//! A store with devices that are folders, or a gateway that speaks SSH.

use std::collections::HashMap;

use crate::env::{Run, TestEnv};
use crate::play::gateway_profile;
use crate::simulator::{Device, Simulator};

/// What the profile of the gateway counts.
const HEALTH: &str = r#"
[[health]]
what = "registrations"
run = "show registrations"
regex = '^\S+ up$'
at-least = 60
[[health]]
what = "calls"
run = "show calls"
regex = 'Total: (?<value>\d+)'
[[health]]
what = "cards"
run = "show cards"
regex = 'card'
at-least = 100
"#;

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

/// A store with the gateway `gw-1`.
pub struct Lab {
    pub env: TestEnv,
    pub simulator: Simulator,
}

impl Lab {
    pub fn new(device: Device) -> Self {
        let env = TestEnv::with_store();
        let simulator = Simulator::one("gw", device);
        let profile = gateway_profile("refusals = ['^% Invalid input']", HEALTH);
        env.write("profiles/lab.toml", format!("name = \"lab\"\n{profile}"));
        env.write("known_hosts", format!("gw-1 {}\n", simulator.public_key()));
        let source = format!("ssh://gw@{}", simulator.address);
        env.cv(&["device", "add", "gw-1", "--source", &source, "--profile", "lab", "--credential", "env:PW"]).succeeded();
        Self { env, simulator }
    }

    /// Another device stands where the first one stood.
    pub fn becomes(&mut self, device: Device) {
        self.simulator =
            Simulator::with_key(HashMap::from([("gw".to_owned(), device)]), self.simulator.key.clone(), "127.0.0.1:0");
        let source = format!("ssh://gw@{}", self.simulator.address);
        self.env.cv(&["device", "set", "gw-1", "--source", &source]).succeeded();
    }

    pub fn cv(&self, args: &[&str]) -> Run {
        self.env.run(self.env.command(args).env("PW", "lab"))
    }

    pub fn open_change(&self) {
        self.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "w"]).succeeded();
    }
}
