//! Real configurations, where a corpus is at hand (docs/testing.md): `CONFVAULT_CORPUS=DIR cargo test --test corpus -- --ignored`.
//!
//! Telephone systems are taken through their releases in one sealed store; plain git must read it, and every
//! generation must come back equal to the folder it was taken from.
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
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use env::TestEnv;
use support::{fsck, git_ok};

/// Device, profile, and the folders of its releases, oldest first.
const DEVICES: &[(&str, &str, &[(&str, &str)])] = &[
    (
        "pbx",
        "asterisk",
        &[
            ("16.30.1", "asterisk/16.30.1/configs"),
            ("18.26.4", "asterisk/18.26.4/configs"),
            ("20.20.1", "asterisk/20.20.1/configs"),
        ],
    ),
    ("proxy", "kamailio", &[("5.4.9", "kamailio/5.4.9/etc"), ("5.6.6", "kamailio/5.6.6/etc"), ("5.8.8", "kamailio/5.8.8/etc")]),
    ("switch", "freeswitch", &[("1.8.7", "freeswitch/v1.8.7/vanilla"), ("1.10.7", "freeswitch/v1.10.7/vanilla")]),
    ("router", "frr", &[("9.1.3", "frr/frr-9.1.3"), ("10.1.5", "frr/frr-10.1.5")]),
    // The same network before and after a change.
    ("network", "cisco-ios", &[("1", "batfish/example/live"), ("1", "batfish/example/candidate")]),
];

/// Lists what lies below a folder: mode, kind and path; of the folder itself nothing.
fn modes(dir: &Path) -> String {
    let out = Command::new("find").arg(dir).args(["-mindepth", "1", "-printf", "%m %y %P %l\n"]).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert!(!lines.is_empty(), "{} is empty", dir.display());
    lines.join("\n")
}

#[track_caller]
fn assert_same(one: &Path, two: &Path) {
    let out = Command::new("diff").arg("-r").args([one, two]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(modes(one), modes(two));
}

/// The store with all devices and releases; and the generations as (device, number, folder).
fn taken(corpus: &Path) -> (TestEnv, Vec<(&'static str, usize, PathBuf)>) {
    let env = TestEnv::new();
    env.cv(&["init", "--collector", "central"]).succeeded();
    let mut generations = Vec::new();
    let rounds = DEVICES.iter().map(|(_, _, releases)| releases.len()).max().unwrap();
    for round in 0..rounds {
        let mut now = Vec::new();
        for (device, profile, releases) in DEVICES {
            let Some((release, folder)) = releases.get(round) else { continue };
            let folder = corpus.join(folder);
            let source = format!("dir:{}", folder.display());
            if round == 0 {
                env.cv(&["device", "add", device, "--source", &source, "--profile", profile, "--release", release]).succeeded();
            } else {
                env.cv(&["device", "set", device, "--source", &source, "--release", release]).succeeded();
            }
            now.push(*device);
            generations.push((*device, round + 1, folder));
        }
        // What a release drops may be much: that is what is looked for here, not a broken answer.
        env.cv(&[&["snapshot", "--accept=release"][..], &now].concat()).succeeded();
    }
    (env, generations)
}

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn releases_of_real_systems_come_back_equal_and_plain_git_reads_them() {
    let corpus = PathBuf::from(std::env::var_os("CONFVAULT_CORPUS").expect("CONFVAULT_CORPUS names the corpus"));
    let (env, generations) = taken(&corpus);
    let git = env.path("store.git");
    for (device, number, folder) in &generations {
        let out = env.path(format!("out/{device}-{number}"));
        let point = format!("{device}@{number}");
        let to = out.to_str().unwrap();
        env.cv(&["restore", &point, "--to", to, "--identity", &identity(&env)]).succeeded();
        assert_same(folder, &out);
    }

    fsck(&git);
    for (device, _, releases) in DEVICES {
        let (release, _) = releases.last().unwrap();
        let line = format!("{device}/{release}");
        let numbers = git_ok(&git, &["log", "--format=%(trailers:key=Generation,valueonly,separator=)", &line, "--"]);
        let expected: Vec<String> = (1..=releases.len()).rev().map(|n| n.to_string()).collect();
        assert_eq!(numbers.lines().collect::<Vec<_>>(), expected, "{device}");
    }
    // Files that the new release dropped, by plain git between two branches.
    let gone = git_ok(&git, &["diff", "--name-only", "--diff-filter=D", "--no-renames", "pbx/18.26.4", "pbx/20.20.1", "--"]);
    let names = |release: &str| -> Vec<String> {
        let dir = corpus.join("asterisk").join(release).join("configs");
        modes(&dir)
            .lines()
            .filter(|l| l.split(" ").nth(1) == Some("f"))
            .map(|l| l.split(" ").nth(2).unwrap().to_owned())
            .collect()
    };
    let new = names("20.20.1");
    let mut expected: Vec<String> = names("18.26.4").into_iter().filter(|name| !new.contains(name)).collect();
    let mut found: Vec<String> = gone.lines().map(|path| path.split_once('/').unwrap().1.to_owned()).collect();
    expected.sort();
    found.sort();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);

    // A checkout shows the files as they stood: those without a secret to the byte, the others with tokens.
    let checkout = env.path("checkout");
    git_ok(&env.path(""), &["clone", "-q", "-b", "switch/1.10.7", "store.git", "checkout"]);
    let listed = env.cv(&["ls", "switch", "--json"]).json();
    let (mut plain, mut masked) = (0, 0);
    for entry in listed["entries"].as_array().unwrap() {
        let (path, scope) = (entry["path"].as_str().unwrap(), entry["scope"].as_str().unwrap());
        let (there, here) = (corpus.join("freeswitch/v1.10.7/vanilla").join(path), checkout.join(scope).join(path));
        match entry["form"].as_str() {
            Some("plain") if entry["kind"] != "link" => {
                assert_eq!(std::fs::read(&there).unwrap(), std::fs::read(&here).unwrap(), "{path}");
                plain += 1;
            }
            Some("masked") => {
                assert!(String::from_utf8_lossy(&std::fs::read(&here).unwrap()).contains("{{sealed:"), "{path}");
                masked += 1;
            }
            _ => {}
        }
    }
    assert!(plain > 100 && masked > 5, "{plain} plain, {masked} masked");
    env.cv(&["check", "--read-data"]).succeeded();
}

fn identity(env: &TestEnv) -> String {
    let folder = format!("{}-admin", env.path("").display().to_string().trim_end_matches('/'));
    format!("{folder}/identity.txt")
}
