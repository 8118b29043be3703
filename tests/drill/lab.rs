//! A sealed store with a PBX and a gateway, and a mirror of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::env::{Run, TestEnv};

/// In no output, no record and no folder that is left.
pub const CANARY: &str = "CANARYq7Tz2kW9";

/// The identity of the administrator.
pub const IDENTITY: &str = "../work-admin/identity.txt";

/// A store with devices `pbx` (a secret in it) and `gw` (none), pushed to the mirror `off`.
pub fn lab() -> TestEnv {
    let env = TestEnv::new();
    env.cv(&["init", "--collector", "central"]).succeeded();
    env.write("pbx/sip.conf", format!("[general]\nport=5060\n\n[100]\nsecret={CANARY}\n"));
    env.write("pbx/closed/a.conf", "; nothing\n");
    env.write("gw/main.conf", "port=5060\n");
    // A folder into which nobody may write comes back, and must be removed again.
    std::fs::set_permissions(env.path("pbx/closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "7"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    git(&env, &["init", "--quiet", "--bare", "off.git"]);
    env.cv(&["mirror", "add", "off", "off.git"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    std::fs::create_dir(env.path("tmp")).unwrap();
    env
}

/// Runs a drill; temporary folders are below `tmp`.
pub fn drill(env: &TestEnv, args: &[&str]) -> Run {
    env.run(&mut command(env, args))
}

/// A drill with the administrator's identity.
pub fn with_identity(env: &TestEnv, args: &[&str]) -> Run {
    let mut all = args.to_vec();
    all.extend(["--identity", IDENTITY]);
    drill(env, &all)
}

pub fn command(env: &TestEnv, args: &[&str]) -> Command {
    let mut all = vec!["drill"];
    all.extend(args);
    let mut command = env.command(&all);
    command.env("TMPDIR", env.path("tmp")).env("USER", "alice");
    command
}

/// What drills left in the temporary folder.
pub fn left(env: &TestEnv) -> Vec<PathBuf> {
    std::fs::read_dir(env.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

pub fn git(env: &TestEnv, args: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new("git").args(args).current_dir(env.path("")).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    assert!(status.success(), "git {args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

/// The protocol of the newest drill.
pub fn newest(env: &TestEnv) -> serde_json::Value {
    env.cv(&["drill", "show", "--json"]).json()
}

/// The findings of a protocol: what they are, and of which device.
pub fn findings(document: &serde_json::Value) -> Vec<String> {
    let all = document["protocol"]["findings"].as_array().unwrap();
    all.iter().map(|f| format!("{} {}", f["what"].as_str().unwrap(), f["device"].as_str().unwrap_or("-"))).collect()
}

/// The outcome of a device.
pub fn outcome(document: &serde_json::Value, device: &str) -> String {
    let all = document["protocol"]["devices"].as_array().unwrap();
    all.iter().find(|d| d["device"] == device).unwrap()["outcome"].as_str().unwrap().to_owned()
}

/// All files below a folder by their path.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => todo.push(path),
                false => drop(out.insert(path.clone(), std::fs::read(&path).unwrap_or_default())),
            }
        }
    }
    out
}

/// Waits until something is true.
pub fn wait(what: &str, mut test: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if test() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited for too long: {what}");
}
