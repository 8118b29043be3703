//! A store with a device with a command line of its own, which has a generation and was changed since.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::env::{Run, TestEnv};
use crate::ios::Ios;
use crate::junos::Junos;
use crate::live::{Family, Live, Trouble};

/// What stands at the point, generation 1.
pub const GATEWAY: &str = "version 15.7\nhostname gw\n!\nusername gw privilege 15 secret 5 $1$aaaa$bbbbbbbbbbbbbbbbbbbbbb\n!\n\
                           interface GigabitEthernet0/0\n ip address 192.0.2.1 255.255.255.0\n!\ninterface GigabitEthernet0/1\n \
                           ip address 198.51.100.1 255.255.255.0\n!\ndial-peer voice 10 voip\n destination-pattern 0T\n!\nip scp server enable\n!\nline \
                           vty 0 4\n login local\nend\n";
/// What stands on the device when it is put back.
pub const BROKEN: &str = "version 15.7\nhostname gw-new\n!\nusername gw privilege 15 secret 5 $1$aaaa$bbbbbbbbbbbbbbbbbbbbbb\nusername eva \
                          secret 5 $1$cccc$dddddddddddddddddddddd\n!\ninterface GigabitEthernet0/0\n ip address 192.0.2.1 255.255.255.0\n!\n\
                          interface GigabitEthernet0/1\n ip address 198.51.100.99 255.255.255.0\n!\nip scp server enable\n!\nline vty 0 4\n \
                          login local\n transport input ssh\nend\n";
pub const ROUTER: &str = "version 21.4R3-S5.4;\nsystem {\n    host-name edge;\n    root-authentication {\n        encrypted-password \
                          \"$6$LabSalt01$abcdefghijkl\"; ## SECRET-DATA\n    }\n}\ninterfaces {\n    ge-0/0/0 {\n        unit 0;\n    }\n}\n";
pub const CHANGED: &str = "version 21.4R3-S5.4;\nsystem {\n    host-name wrong;\n    root-authentication {\n        encrypted-password \
                           \"$6$LabSalt01$abcdefghijkl\"; ## SECRET-DATA\n    }\n}\ninterfaces {\n    ge-0/0/0 {\n        unit 7;\n    }\n}\n";

pub struct Lab<F: Family> {
    pub env: TestEnv,
    pub live: Live<F>,
}

impl<F: Family> Lab<F> {
    /// A device under a profile, with generation 1 of what it is now. `own` is the text of a profile of that name that stands
    /// above the built-in one.
    pub fn new(family: F, profile: &str, own: Option<&str>) -> Self {
        let env = TestEnv::new();
        env.cv(&["init", "--collector", "central", "--admin", "../admin"]).succeeded();
        let live = Live::start(family);
        if let Some(text) = own {
            env.write(&format!("profiles/{profile}.toml"), format!("name = \"{profile}\"\n{text}"));
        }
        env.write("known_hosts", format!("gw {}\n", live.public_key()));
        let source = format!("ssh://gw@{}", live.address);
        env.cv(&["device", "add", "gw", "--source", &source, "--profile", profile, "--credential", "env:PW"]).succeeded();
        let lab = Self { env, live };
        lab.cv(&["snapshot"]).succeeded();
        lab
    }

    /// The program, with the administrator's identity and the password of the device.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("PW", "lab").env("CONFVAULT_IDENTITY", self.env.path("../admin/identity.txt"));
        command
    }

    pub fn cv(&self, args: &[&str]) -> Run {
        self.env.run(&mut self.command(args))
    }

    /// Begins to put generation 1 back, in a process of its own.
    pub fn begin(&self, more: &[&str]) -> Child {
        let args: Vec<&str> = ["restore", "gw@1", "--device", "--yes", "--wait", "30"].iter().chain(more).copied().collect();
        let mut command = self.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Begins to put generation 1 back; the device does the `at`th thing, and the process is killed before it hears of it.
    pub fn begin_killed(&self, at: usize) -> Child {
        let number = Arc::new(AtomicI32::new(0));
        let shared = number.clone();
        self.live.world().arm(at, Trouble::CutAfter);
        self.live.world().on_strike = Some(Box::new(move || {
            // It can be here before who began it knows its number.
            let pid = loop {
                match rustix::process::Pid::from_raw(shared.load(Ordering::SeqCst)) {
                    Some(pid) => break pid,
                    None => std::thread::sleep(std::time::Duration::from_millis(1)),
                }
            };
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }));
        let child = self.begin(&[]);
        number.store(i32::try_from(child.id()).unwrap(), Ordering::SeqCst);
        child
    }

    /// Puts generation 1 back.
    pub fn restore(&self, more: &[&str]) -> Run {
        self.env.ended(self.begin(more).wait_with_output().unwrap())
    }

    /// What a restore does to the device, one after the other, when nothing goes wrong.
    pub fn steps(&self) -> Vec<String> {
        self.live.world().arm(usize::MAX, Trouble::Refuse);
        let run = self.restore(&[]);
        assert_eq!(run.code, 0, "{run}");
        self.live.world().done.clone()
    }

    /// The records of the journal of an action, newest first.
    pub fn records(&self, action: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.cv(&["journal", "--json"]).stdout).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        all.filter(|record| record["action"] == action).collect()
    }
}

impl Lab<Ios> {
    pub fn gateway() -> Self {
        let lab = Self::new(Ios::new(GATEWAY), "cisco-ios", None);
        lab.broken();
        lab
    }

    /// A gateway that is asked little, for tests that go through every step.
    pub fn small() -> Self {
        let lab = Self::new(Ios::new(GATEWAY), "small", Some(&little("cisco-ios")));
        lab.broken();
        lab
    }

    /// Somebody changes the device, and saves that.
    pub fn broken(&self) {
        let ios = &mut self.live.world().family;
        ios.set(BROKEN);
        ios.startup.clone_from(&ios.running);
    }
}

impl Lab<Junos> {
    pub fn router() -> Self {
        let lab = Self::new(Junos::new(ROUTER), "junos", None);
        lab.live.world().family.set(CHANGED);
        lab
    }

    /// A router that is asked little, for tests that go through every step.
    pub fn small() -> Self {
        let lab = Self::new(Junos::new(ROUTER), "small", Some(&little("junos")));
        lab.live.world().family.set(CHANGED);
        lab
    }
}

/// A built-in profile with fewer commands and one count of health.
fn little(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profile/builtin");
    let text = std::fs::read_to_string(root.join(format!("{name}.toml"))).unwrap();
    let mut profile: toml::Table = text.parse().unwrap();
    profile.remove("name");
    let required =
        |command: &toml::Value| command.get("required").is_some() || command["path"].as_str() == Some("startup-config");
    profile["command"].as_array_mut().unwrap().retain(required);
    for command in profile["command"].as_array_mut().unwrap() {
        // The first spelling is refused by the simulated devices.
        let spelling = command.as_table_mut().unwrap().remove("or").filter(|_| name == "cisco-ios");
        if let Some(spelling) = spelling {
            command.as_table_mut().unwrap().insert("run".to_owned(), spelling[0].clone());
        }
    }
    let health = profile["health"].as_array_mut().unwrap();
    health.retain(|one| one["what"].as_str() == Some("interfaces that are up"));
    toml::to_string(&profile).unwrap()
}
