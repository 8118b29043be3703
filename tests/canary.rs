//! Secrets of every family, through everything that is done with a store: none shows anywhere but sealed.
//!
//! The fixtures of `fixtures/devices` say which texts are secrets; each of them is looked for in every object, file,
//! message and temporary file afterwards.
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

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use confvault::profile::Profiles;
use env::{Run, TestEnv};

/// Lays the files of a fixture into a folder: its tree, and the outputs of its session as its profile names them.
fn lay_out(fixture: &Path, profile: &str, to: &Path) {
    let tree = fixture.join("tree");
    fs::create_dir_all(to).unwrap();
    if tree.is_dir() {
        assert!(Command::new("cp").arg("-rL").arg(format!("{}/.", tree.display())).arg(to).status().unwrap().success());
    }
    let Ok(text) = fs::read_to_string(fixture.join("session.toml")) else { return };
    let recorded: toml::Value = toml::from_str(&text).unwrap();
    let profiles = Profiles::load(None).unwrap();
    let profile = profiles.get(profile).unwrap();
    for command in profile.commands() {
        let spelt = |c: &str| c == command.run || command.or.iter().any(|or| or == c);
        let exchanges = recorded["exchange"].as_array().unwrap();
        let answer = exchanges.iter().rfind(|e| spelt(e["command"].as_str().unwrap()) && e.get("output").is_some());
        if let Some(answer) = answer {
            let file = to.join(command.path.to_string());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, answer["output"].as_str().unwrap()).unwrap();
        }
    }
}

/// Long enough, and of enough kinds of characters, that no digest or id has it by chance.
fn is_distinct(secret: &str) -> bool {
    let hex = secret.bytes().all(|b| b.is_ascii_hexdigit());
    // The fixtures use the row of digits both for keys and for public hashes.
    let row = hex && secret.to_ascii_lowercase().contains("0123456789abcdef");
    !row && secret.len() >= if hex { 10 } else { 6 }
}

/// Another secret of the same shape: its last letter or digit is the next one.
fn changed(secret: &str) -> String {
    let mut bytes = secret.as_bytes().to_vec();
    if let Some(last) = bytes.iter_mut().rfind(|b| b.is_ascii_alphanumeric()) {
        *last = match *last {
            b'9' => b'0',
            b'f' => b'a',
            b'F' => b'A',
            b'z' => b'g',
            b'Z' => b'G',
            other => other + 1,
        };
    }
    String::from_utf8(bytes).unwrap()
}

/// Puts another in place of each secret; of two that begin alike the longer counts.
fn change_all(text: &[u8], secrets: &BTreeSet<String>) -> Vec<u8> {
    let mut by_length: Vec<&str> = secrets.iter().map(String::as_str).collect();
    by_length.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match by_length.iter().find(|secret| text[at..].starts_with(secret.as_bytes())) {
            Some(secret) => {
                out.extend(changed(secret).bytes());
                at += secret.len();
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

struct Fleet {
    env: TestEnv,
    devices: Vec<String>,
    secrets: BTreeSet<String>,
    /// Devices with a secret that is looked for.
    with_secrets: BTreeSet<String>,
    /// Profiles with a secret that is looked for.
    profiles: BTreeSet<String>,
}

/// All families as devices of one sealed store.
fn fleet() -> Fleet {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    fs::create_dir(env.path("tmp")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/devices");
    let mut fleet =
        Fleet { env, devices: Vec::new(), secrets: BTreeSet::new(), with_secrets: BTreeSet::new(), profiles: BTreeSet::new() };
    let mut fixtures: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    fixtures.sort();
    for fixture in fixtures {
        let family = fixture.file_name().unwrap().to_str().unwrap().to_owned();
        let expected: toml::Value = toml::from_str(&fs::read_to_string(fixture.join("expected.toml")).unwrap()).unwrap();
        let profile = expected.get("profile").and_then(|p| p.as_str()).unwrap_or(family.split('#').next().unwrap()).to_owned();
        let device = family.replace('#', "-");
        lay_out(&fixture, &profile, &fleet.env.path(&device));
        let source = format!("dir:../{device}");
        fleet.cv(&["device", "add", &device, "--source", &source, "--profile", &profile, "--release", "1.0"]).succeeded();
        let before = fleet.secrets.len();
        for file in expected["file"].as_array().unwrap() {
            let masked = file.get("masked").and_then(|m| m.as_array()).into_iter().flatten();
            for secret in masked.filter_map(|s| s.as_str()).filter(|s| is_distinct(s)) {
                fleet.secrets.insert(secret.to_owned());
                fleet.with_secrets.insert(device.clone());
            }
        }
        if fleet.secrets.len() > before {
            fleet.profiles.insert(profile);
        }
        fleet.devices.push(device);
    }
    fleet
}

impl Fleet {
    fn cv(&self, args: &[&str]) -> Run {
        let mut all = vec!["-C", "cv", "-vvv"];
        all.extend(args);
        let mut command = self.env.command(&all);
        let run = self.env.run(command.env("TMPDIR", self.env.path("tmp")));
        let said = [run.stdout.as_slice(), run.stderr.as_bytes()].concat();
        let shown: Vec<_> = self.secrets.iter().filter(|s| memchr::memmem::find(&said, s.as_bytes()).is_some()).collect();
        assert!(shown.is_empty(), "{args:?} shows {shown:?}");
        run
    }

    fn nothing_shows(&self, repos: &[PathBuf], folders: &[PathBuf]) {
        let mut found = Vec::new();
        let mut look = |place: String, data: &[u8]| {
            for secret in self.secrets.iter().filter(|s| memchr::memmem::find(data, s.as_bytes()).is_some()) {
                found.push(format!("{place}: {secret}"));
            }
        };
        for repo in repos {
            lab::objects(repo).iter().for_each(|(id, data)| look(format!("{} {id}", repo.display()), data));
        }
        for folder in folders {
            lab::walk(folder).iter().for_each(|(name, data)| look(format!("{}/{name}", folder.display()), data));
        }
        assert!(found.is_empty(), "{} places show a secret:\n{}", found.len(), found.join("\n"));
    }
}

#[test]
fn no_secret_of_any_family_shows_anywhere() {
    let mut fleet = fleet();
    let first = fleet.secrets.clone();
    fleet.secrets.extend(first.iter().map(|secret| changed(secret)));
    let env = &fleet.env;
    let profiles = Profiles::load(None).unwrap();
    let missing: Vec<&str> = profiles.names().filter(|name| !fleet.profiles.contains(*name)).collect();
    assert!(missing.is_empty() && first.len() >= 200, "{} secrets, none of {missing:?}", first.len());
    let snapshot = fleet.cv(&["snapshot"]);
    assert_eq!(snapshot.code, 0, "{snapshot}");
    let (store, mirror) = (env.path("cv/store.git"), env.path("mirror.git"));
    let everywhere = [env.path("cv"), env.path("cv-admin"), env.path("tmp"), env.path("../home")];
    fleet.nothing_shows(std::slice::from_ref(&store), &everywhere);

    // Changed, compared, listed, pushed, checked, searched. Each secret is another one, too.
    for device in &fleet.devices {
        for (name, bytes) in lab::walk(&env.path(device)) {
            if !bytes.contains(&0) {
                fs::write(env.path(device).join(name), [&change_all(&bytes, &first)[..], b"\n"].concat()).unwrap();
            }
        }
    }
    let snapshot = fleet.cv(&["snapshot"]);
    assert_eq!(snapshot.code, 0, "{snapshot}");
    let mut unmet = fleet.with_secrets.clone();
    for device in &fleet.devices {
        for form in ["--word", "--side-by-side", "--semantic", "--json", "--stat"] {
            let run = fleet.cv(&["diff", device, form]);
            // 0: settings alone are compared, and an empty line is none.
            assert!(run.code == 1 || (form == "--semantic" && run.code == 0), "{run}");
            if form == "--word" && run.text().contains("{{secret changed}}") {
                unmet.remove(device);
            }
        }
    }
    assert!(unmet.is_empty(), "diff met no changed secret of {unmet:?}");
    for device in &fleet.devices {
        for args in [["diff", device], ["log", device], ["ls", device], ["secrets", device]] {
            let run = fleet.cv(&args);
            // 2 from diff: a device that has one generation only.
            assert!(run.code <= 2, "{run}");
        }
    }
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&mirror).status().unwrap().success());
    fleet.cv(&["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    for args in [&["mirror", "push"][..], &["mirror", "status"], &["check", "--read-data"], &["journal", "--json"], &["maintain"]]
    {
        let run = fleet.cv(args);
        assert_eq!(run.code, 0, "{run}");
    }
    for word in ["password", "secret", "community", "key"] {
        assert!(fleet.cv(&["search", word]).code <= 1);
    }
    // Failures, with the secrets at hand: nothing to open them, a full disk, a bug.
    for device in &fleet.devices {
        // A device with nothing that is secret is given back.
        let run = fleet.cv(&["restore", device, "--to", &format!("out-{device}")]);
        assert!([0, 12].contains(&run.code), "{run}");
    }
    for device in &fleet.devices {
        for (name, bytes) in lab::walk(&env.path(device)) {
            if !bytes.contains(&0) && name.ends_with("config") | name.ends_with(".conf") | name.ends_with(".cfg") {
                fs::write(env.path(device).join(name), [&bytes[..], b"\n"].concat()).unwrap();
            }
        }
    }
    let text = fleet.secrets.iter().next().unwrap();
    for fault in ["eio:9", "enospc:12", "panic:10", "kill:14"] {
        let mut command = env.command(&["-C", "cv", "-vvv", "snapshot"]);
        command.env("TMPDIR", env.path("tmp")).env("CONFVAULT_FAULT", fault).env("CONFVAULT_FAULT_TEXT", text);
        let run = env.run(command.env("RUST_BACKTRACE", "full"));
        assert_ne!(run.code, 0, "{fault}: {run}");
        let said = [run.stdout.as_slice(), run.stderr.as_bytes()].concat();
        let shown: Vec<_> = fleet.secrets.iter().filter(|s| memchr::memmem::find(&said, s.as_bytes()).is_some()).collect();
        assert!(shown.is_empty(), "{fault} shows {shown:?}");
    }
    for device in fleet.devices.iter().take(4) {
        fs::rename(env.path(device), env.path(format!("{device}.gone"))).unwrap();
    }
    assert_eq!(fleet.cv(&["snapshot"]).code, 3);
    fleet.nothing_shows(&[store, mirror.clone()], &[&everywhere[..], &[mirror]].concat());
}
