//! Forgetting on purpose: what goes, what stays, and that the bytes are gone.
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

use std::path::{Path, PathBuf};
use std::process::Command;

use env::{Run, TestEnv};

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    let mut all = vec!["-C", "cv"];
    all.extend(args);
    env.cv(&all)
}

/// Random bytes of 9 MiB: over the limit for one blob.
fn large(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; 9 << 20];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A store with two devices, a mirror, logs and large files; everything but text in clear, to be found again.
fn store(generations: u8) -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central", "--no-sealing"]).succeeded();
    for device in ["old", "new"] {
        env.write(&format!("{device}/etc/asterisk/sip.conf"), format!("; UNIQUE-{device}-text\n"));
        env.write(&format!("{device}/var/log/asterisk/full"), format!("UNIQUE-{device}-log\n"));
        let source = format!("dir:../{device}");
        cv(&env, &["device", "add", device, "--source", &source, "--profile", "asterisk", "--release", "1.0"]).succeeded();
    }
    for seed in 1..=generations {
        env.write("old/var/lib/asterisk/sounds/custom/a.wav", large(10 + seed));
        env.write("new/var/lib/asterisk/sounds/custom/a.wav", large(20 + seed));
        cv(&env, &["snapshot"]).succeeded();
    }
    cv(&env, &["name", "new@1", "golden"]).succeeded();
    cv(&env, &["name", &format!("old@{}", generations.min(2)), "silver"]).succeeded();
    let mirror = env.path("mirror.git");
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&mirror).status().unwrap().success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    (env, mirror)
}

fn refs(repo: &Path) -> Vec<String> {
    let out = Command::new("git").current_dir(repo).args(["for-each-ref", "--format=%(refname)"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn holds(repo: &Path, text: &str) -> bool {
    lab::objects(repo).iter().any(|(_, data)| memchr::memmem::find(data, text.as_bytes()).is_some())
}

fn chunk_bytes(repo: &Path) -> usize {
    lab::objects(repo).iter().filter(|(_, d)| d.len() > 200_000).map(|(_, d)| d.len()).sum()
}

#[test]
fn a_retired_device_is_forgotten_here_on_the_mirror_and_by_a_rebuild() {
    let (env, mirror) = store(3);
    let repo = env.path("cv/store.git");
    // Not while it is in the inventory, not without its name, not without --yes.
    cv(&env, &["forget", "old", "--yes"]).failed(1);
    cv(&env, &["device", "remove", "old"]).succeeded();
    cv(&env, &["forget", "nobody"]).failed(1);
    let shown = cv(&env, &["forget", "old"]).succeeded();
    for name in ["refs/heads/old/1.0", "refs/tags/old/silver", "refs/large/old/1", "refs/large/old/3"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(!shown.contains("/new"), "{shown}");
    assert!(holds(&repo, "UNIQUE-old-text"));

    cv(&env, &["forget", "old", "--yes", "--reason", "scrapped"]).succeeded();
    let left = refs(&repo);
    assert!(!left.iter().any(|name| name.contains("/old/")), "{left:?}");
    assert!(!holds(&repo, "UNIQUE-old-text"), "the text is still in a pack");
    assert!(holds(&repo, "UNIQUE-new-text"));
    cv(&env, &["check", "--read-data"]).succeeded();
    let tombstone = Command::new("git").current_dir(&repo).args(["show", "_store:tombstones/old"]).output().unwrap();
    let tombstone = String::from_utf8(tombstone.stdout).unwrap();
    assert!(tombstone.contains("scrapped") && tombstone.contains("refs/heads/old/1.0 "), "{tombstone}");
    // It does not come back under its name.
    cv(&env, &["device", "add", "old", "--source", "dir:../old", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    let refused = cv(&env, &["snapshot", "old"]).failed(3);
    assert!(refused.contains("erased on purpose"), "{refused}");
    cv(&env, &["device", "remove", "old"]).succeeded();

    // The mirror still has it; a rebuild from it does not take it.
    cv(&env, &["mirror", "push"]).succeeded();
    assert!(holds(&mirror, "UNIQUE-old-text"));
    env.cv(&["init", "again", "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin"]).succeeded();
    let rebuilt = refs(&env.path("again/store.git"));
    assert!(
        !rebuilt.iter().any(|name| name.contains("/old/")) && rebuilt.iter().any(|name| name.contains("/new/")),
        "{rebuilt:?}"
    );
    // Cleaned by its own command.
    assert!(cv(&env, &["mirror", "forget", "offsite"]).succeeded().contains("refs/heads/old/1.0"));
    assert!(refs(&mirror).iter().any(|name| name.contains("/old/")));
    cv(&env, &["mirror", "forget", "offsite", "--yes"]).succeeded();
    assert!(!refs(&mirror).iter().any(|name| name.contains("/old/")));
    assert!(!holds(&mirror, "UNIQUE-old-text"));
    assert!(holds(&mirror, "UNIQUE-new-text"));
    cv(&env, &["mirror", "push"]).succeeded();
}

#[test]
fn old_large_files_go_and_what_is_kept_loses_nothing() {
    let (env, _) = store(3);
    let repo = env.path("cv/store.git");
    assert!(cv(&env, &["forget"]).succeeded().is_empty());
    let inventory = env.read("cv/confvault.toml").replace("[policy]\n", "[policy]\nkeep_large = \"0 months\"\n");
    env.write("cv/confvault.toml", inventory);
    let shown = cv(&env, &["forget"]).succeeded();
    // Not the newest, not the named.
    let lines: Vec<&str> = shown.lines().map(|l| l.rsplit(' ').next().unwrap()).collect();
    assert_eq!(lines, ["refs/large/new/2", "refs/large/old/1"]);
    let before = chunk_bytes(&repo);
    cv(&env, &["forget", "--yes"]).succeeded();
    assert!(before - chunk_bytes(&repo) > 17 << 20, "the chunks are still in a pack");
    cv(&env, &["check", "--read-data"]).succeeded();
    cv(&env, &["restore", "new@1", "--to", "out1"]).succeeded();
    cv(&env, &["restore", "new@3", "--to", "out3"]).succeeded();
    assert_eq!(std::fs::read(env.path("out1/var/lib/asterisk/sounds/custom/a.wav")).unwrap(), large(21));
    assert_eq!(std::fs::read(env.path("out3/var/lib/asterisk/sounds/custom/a.wav")).unwrap(), large(23));
    assert!(cv(&env, &["forget"]).succeeded().is_empty());
    cv(&env, &["snapshot"]).succeeded();
}

#[test]
fn old_months_of_logs_go_whole() {
    let (env, _) = store(1);
    let repo = env.path("cv/store.git");
    let git = |args: &[&str]| assert!(Command::new("git").current_dir(&repo).args(args).status().unwrap().success());
    let month = refs(&repo).into_iter().find(|name| name.starts_with("refs/heads/_logs/")).expect("logs were filed");
    // As if they had been filed two years ago.
    git(&["update-ref", "refs/heads/_logs/central/2024-01", &month]);
    let inventory = env.read("cv/confvault.toml").replace("[policy]\n", "[policy]\nkeep_logs = \"12 months\"\n");
    env.write("cv/confvault.toml", inventory);
    let shown = cv(&env, &["forget"]).succeeded();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains("refs/heads/_logs/central/"), "{shown}");
    cv(&env, &["forget", "--yes"]).succeeded();
    let left = refs(&repo);
    assert!(left.contains(&month) && !left.iter().any(|name| name.ends_with("2024-01")), "{left:?}");
}

#[test]
fn who_is_no_administrator_forgets_nothing() {
    let (env, _) = store(1);
    env.cv(&["init", "other", "--collector", "other"]).succeeded();
    cv(&env, &["device", "remove", "old"]).succeeded();
    cv(&env, &["forget", "old", "--yes", "--admin", "other-admin"]).failed(12);
    cv(&env, &["forget", "old", "--yes", "--admin", "nowhere"]).failed(12);
    assert!(refs(&env.path("cv/store.git")).iter().any(|name| name.contains("/old/")));
}

#[test]
fn a_kill_in_the_middle_leaves_what_the_next_call_ends() {
    let (env, _) = store(1);
    cv(&env, &["device", "remove", "old"]).succeeded();
    let mut done = false;
    for n in (1..400).step_by(5) {
        let mut forget = env.command(&["-C", "cv", "forget", "old", "--yes"]);
        let run = env.run(forget.env("CONFVAULT_FAULT", format!("kill:{n}")));
        cv(&env, &["snapshot"]).succeeded();
        cv(&env, &["check"]).succeeded();
        // Once the refs are gone there is nothing to be named any more.
        if run.code == 0 || cv(&env, &["forget", "old"]).code == 1 {
            done = true;
            break;
        }
    }
    assert!(done);
    cv(&env, &["maintain"]).succeeded();
    assert!(!holds(&env.path("cv/store.git"), "UNIQUE-old-text"));
    cv(&env, &["check", "--read-data"]).succeeded();
}
