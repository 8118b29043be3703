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
#[path = "support/git_server.rs"]
mod git_server;
#[path = "support/kills.rs"]
mod kills;
#[path = "sealing/lab.rs"]
mod lab;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use env::{Run, TestEnv};
use git_server::GitServer;
use kills::Kills;

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
    cv(&env, &["forget", "nobody"]).failed(2);
    let shown = cv(&env, &["forget", "old"]).succeeded();
    for name in ["refs/heads/old/1.0", "refs/tags/old/silver", "refs/large/old/1", "refs/large/old/3"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(!shown.contains("/new"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("all generations under a release  refs/heads/old/1.0")), "{shown}");
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

/// A month goes whole, so what is of one device cannot go alone: it is said, and goes on demand once the month is over.
#[test]
fn the_logs_of_a_forgotten_device_are_named_and_go_with_their_months() {
    use confvault::ops::forget::{forget, months_of, plan};
    let (env, mirror) = store(1);
    let repo = env.path("cv/store.git");
    cv(&env, &["device", "remove", "old"]).succeeded();
    let shown = cv(&env, &["forget", "old"]);
    assert!(shown.stderr.contains("Logs of old stay in _logs/central/") && shown.stderr.contains("1 other device"), "{shown}");
    // This month is still written to.
    let done = cv(&env, &["forget", "old", "--logs", "--yes"]);
    assert!(done.stderr.contains("Logs of old stay in _logs/central/") && done.stderr.contains("when it is over"), "{done}");
    done.succeeded();
    assert!(!holds(&repo, "UNIQUE-old-text") && holds(&repo, "UNIQUE-old-log"));
    let left = cv(&env, &["forget", "old", "--json"]).json();
    assert_eq!(left["logs_left"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["logs_left"][0]["others"], serde_json::json!(["new"]), "{left}");

    // When the month is over.
    let later = chrono::Utc::now() + chrono::Months::new(1);
    let (old, mut vault) = ("old".parse().unwrap(), confvault::ops::Vault::open(&env.path("cv")).unwrap());
    assert!(plan(&vault, Some(&old), false, later).unwrap().is_empty());
    let going = plan(&vault, Some(&old), true, later).unwrap();
    assert!(going.len() == 1 && going[0].reference.starts_with("refs/heads/_logs/central/"), "{going:?}");
    let key = confvault::ops::keys::AdminFolder::at(&env.path("cv-admin")).key().unwrap();
    forget(&mut vault, &going, &key, "scrapped", later).unwrap();
    assert_eq!(months_of(&vault, &old, later).unwrap(), []);
    assert!(!holds(&repo, "UNIQUE-old-log"), "the log is still in a pack");
    assert!(!refs(&repo).iter().any(|name| name.starts_with("refs/heads/_logs/")));
    cv(&env, &["check", "--read-data"]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
    // The mirror follows.
    cv(&env, &["mirror", "push"]).succeeded();
    assert!(holds(&mirror, "UNIQUE-old-log"));
    cv(&env, &["mirror", "forget", "offsite", "--yes"]).succeeded();
    assert!(!holds(&mirror, "UNIQUE-old-log") && !holds(&mirror, "UNIQUE-old-text"));
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
fn old_months_of_logs_go_whole_and_their_bytes_with_them() {
    let (env, _) = store(1);
    let repo = env.path("cv/store.git");
    let git = |args: &[&str]| assert!(Command::new("git").current_dir(&repo).args(args).status().unwrap().success());
    let month = refs(&repo).into_iter().find(|name| name.starts_with("refs/heads/_logs/")).expect("logs were filed");
    // As if they had been filed two years ago; this month has commits of its own.
    git(&["update-ref", "refs/heads/_logs/central/2024-01", &month]);
    git(&["update-ref", "-d", &month]);
    cv(&env, &["key", "heads", "--accept"]).succeeded();
    for device in ["old", "new"] {
        env.write(&format!("{device}/var/log/asterisk/full"), format!("RECENT-{device}-log\n"));
    }
    cv(&env, &["snapshot"]).succeeded();
    let first = Command::new("git").current_dir(&repo).args(["rev-list", "--count", &month]).output().unwrap();
    assert_eq!(first.stdout, b"1\n", "this month goes on from the old one");
    let mirror = env.path("late.git");
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&mirror).status().unwrap().success());
    cv(&env, &["mirror", "add", "late", "../late.git"]).succeeded();
    cv(&env, &["mirror", "push", "late"]).succeeded();
    let both = |repo: &Path| (holds(repo, "UNIQUE-old-log") && holds(repo, "UNIQUE-new-log"), holds(repo, "RECENT-old-log"));
    assert_eq!((both(&repo), both(&mirror)), ((true, true), (true, true)));

    let inventory = env.read("cv/confvault.toml").replace("[policy]\n", "[policy]\nkeep_logs = \"12 months\"\n");
    env.write("cv/confvault.toml", inventory);
    let shown = cv(&env, &["forget"]).succeeded();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains("refs/heads/_logs/central/"), "{shown}");
    assert_eq!(both(&repo), (true, true), "it was only to be shown");
    cv(&env, &["forget", "--yes"]).succeeded();
    let left = refs(&repo);
    assert!(left.contains(&month) && !left.iter().any(|name| name.ends_with("2024-01")), "{left:?}");
    for device in ["old", "new"] {
        assert!(!holds(&repo, &format!("UNIQUE-{device}-log")), "the log of {device} is still in a pack");
        assert!(holds(&repo, &format!("RECENT-{device}-log")) && holds(&repo, &format!("UNIQUE-{device}-text")));
    }
    cv(&env, &["check", "--read-data"]).succeeded();
    // The mirror follows.
    cv(&env, &["mirror", "push", "late"]).succeeded();
    cv(&env, &["mirror", "forget", "late", "--yes"]).succeeded();
    assert!(!holds(&mirror, "UNIQUE-old-log") && !holds(&mirror, "UNIQUE-new-log"));
    assert!(holds(&mirror, "RECENT-old-log") && holds(&mirror, "UNIQUE-old-text"));
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

/// Killed at any moment, again and again, the program leaves what the next call goes on with, whatever that is.
#[test]
fn random_kills_of_all_that_writes_need_no_hand() {
    let thorough = std::env::var_os("CONFVAULT_THOROUGH").is_some();
    let (rounds, retired) = if thorough { (200, 40) } else { (30, 6) };
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central", "--no-sealing"]).succeeded();
    let add = |device: &str| {
        env.write(&format!("{device}/etc/asterisk/sip.conf"), format!("; UNIQUE-{device}-text\n"));
        let source = format!("dir:../{device}");
        cv(&env, &["device", "add", device, "--source", &source, "--profile", "asterisk", "--release", "1.0"]).succeeded();
    };
    let names: Vec<String> = (0..retired).map(|n| format!("retired-{n}")).collect();
    names.iter().map(String::as_str).chain(["stays"]).for_each(add);
    cv(&env, &["snapshot"]).succeeded();
    names.iter().for_each(|name| drop(cv(&env, &["device", "remove", name]).succeeded()));

    let (mut kills, mut generations) = (Kills::new(4711), 0);
    while kills.go_on(rounds) {
        let round = kills.rounds();
        env.write("stays/etc/asterisk/sip.conf", format!("; UNIQUE-stays-text {round}\n"));
        let name = &names[kills.draw() % names.len()];
        let args: &[&str] = match kills.draw() % 5 {
            0 | 1 => &["snapshot"],
            2 => &["maintain"],
            _ => &["forget", name, "--yes"],
        };
        let mut running = env.command(&[&["-C", "cv"], args].concat());
        kills.kill(running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // Nobody has to do anything: what reads reads, what writes writes.
        let log = cv(&env, &["log", "stays", "--json"]);
        assert_eq!(log.code, 0, "round {round} after {args:?}: {log}");
        let now = log.json()["generations"].as_array().unwrap().len();
        assert!(now >= generations, "round {round} after {args:?}: {now} generations of {generations}");
        generations = now;
        if round % 5 == 4 {
            cv(&env, &["snapshot"]).succeeded();
            cv(&env, &["check"]).succeeded();
        }
    }
    println!("{} of {} were killed in time, {generations} generations", kills.killed, kills.rounds());
    for name in &names {
        // What was begun is ended, and what was ended has nothing left to be named.
        let run = cv(&env, &["forget", name, "--yes"]);
        assert!([0, 1].contains(&run.code), "{run}");
    }
    cv(&env, &["maintain"]).succeeded();
    cv(&env, &["check", "--read-data"]).succeeded();
    let repo = env.path("cv/store.git");
    for name in &names {
        assert!(!holds(&repo, &format!("UNIQUE-{name}-text")), "{name} is still in a pack");
    }
    cv(&env, &["snapshot"]).succeeded();
    cv(&env, &["restore", "stays", "--to", "out"]).succeeded();
    assert_eq!(env.read("out/etc/asterisk/sip.conf"), env.read("stays/etc/asterisk/sip.conf"));
    let left: Vec<_> = lab::walk(&repo).into_keys().filter(|f| f.contains(".tmp") || f.contains("/work/")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_mirror_behind_ssh_is_cleaned_as_far_as_its_host_allows() {
    let (env, _) = store(1);
    let server = GitServer::start(&env.path(""));
    let far = |args: &[&str]| {
        let mut command = env.command(&[&["-C", "cv"], args].concat());
        env.run(command.env("GIT_SSH_COMMAND", server.ssh("known", "accept-new")))
    };
    // Nothing but git is to be had there.
    let shell = Command::new("ssh")
        .args(["-F", "/dev/null", "-oBatchMode=yes", "-oStrictHostKeyChecking=accept-new", "-i"])
        .arg(server.dir.join("user"))
        .arg(format!("-oUserKnownHostsFile={}/known", server.dir.display()))
        .args(["-p", &server.port.to_string(), "root@127.0.0.1", "id"])
        .output()
        .unwrap();
    assert!(!shell.status.success(), "{}", String::from_utf8_lossy(&shell.stdout));
    let repos = ["guarded", "open"].map(|name| {
        let repo = env.path(format!("{name}.git"));
        assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(&repo).status().unwrap().success());
        cv(&env, &["mirror", "add", name, &server.url(&repo)]).succeeded();
        far(&["mirror", "push", name]).succeeded();
        repo
    });
    let hook = repos[0].join("hooks/update");
    fs::write(&hook, cv(&env, &["mirror", "hook"]).stdout).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    cv(&env, &["device", "remove", "old"]).succeeded();
    cv(&env, &["forget", "old", "--yes", "--reason", "scrapped"]).succeeded();
    for name in ["guarded", "open"] {
        // The tombstone goes there, and nothing is deleted by a push.
        far(&["mirror", "push", name]).succeeded();
        let shown = far(&["mirror", "forget", name]);
        assert!(shown.stderr.contains("--yes"), "{shown}");
        assert!(shown.succeeded().contains("refs/heads/old/1.0"));
    }
    for repo in &repos {
        assert!(holds(repo, "UNIQUE-old-text") && refs(repo).iter().any(|name| name.contains("/old/")));
    }

    // The hook refuses, as it must: every ref is named with the reason, and what has to be run there.
    let refused = far(&["mirror", "forget", "guarded", "--yes"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(refused.stderr.contains("refs/heads/old/1.0") && refused.stderr.contains("hook declined"), "{refused}");
    assert!(refs(&repos[0]).iter().any(|name| name.contains("/old/")));
    // The other lets them go, and its bytes are the host's to clean.
    let gone = far(&["mirror", "forget", "open", "--yes"]);
    assert!(!refs(&repos[1]).iter().any(|name| name.contains("/old/")), "{gone}");
    assert!(holds(&repos[1], "UNIQUE-old-text"));
    assert_eq!(gone.code, 0, "{gone}");
    // Exactly the commands that were printed, run there.
    for (said, repo) in [(refused, &repos[0]), (gone, &repos[1])] {
        let text = said.text();
        let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("git ")).collect();
        assert!(commands.last().unwrap().starts_with("git gc --prune=now"), "{text}");
        let ran = Command::new("sh").arg("-ec").arg(commands.join("\n")).current_dir(repo).status().unwrap();
        assert!(ran.success());
        assert!(!refs(repo).iter().any(|name| name.contains("/old/")));
        assert!(!holds(repo, "UNIQUE-old-text"), "the text is still in a pack");
        assert!(holds(repo, "UNIQUE-new-text"));
    }
    // Both go on, and a rebuild from them is whole.
    cv(&env, &["snapshot"]).succeeded();
    for name in ["guarded", "open"] {
        far(&["mirror", "push", name]).succeeded();
        let again = far(&["mirror", "forget", name, "--yes"]);
        assert!(again.stderr.contains("nothing to forget"), "{again}");
    }
    env.cv(&["init", "again", "--from", "guarded.git", "--collector", "central", "--admin", "cv-admin"]).succeeded();
}

#[test]
fn a_pack_that_is_kept_is_not_said_to_be_clean() {
    let (env, mirror) = store(1);
    // Few objects come loose.
    assert!(Command::new("git").args(["repack", "-a", "-d", "-q"]).current_dir(&mirror).status().unwrap().success());
    let pack =
        fs::read_dir(mirror.join("objects/pack")).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().unwrap() == "pack");
    fs::write(pack.unwrap().with_extension("keep"), "").unwrap();
    cv(&env, &["device", "remove", "old"]).succeeded();
    cv(&env, &["forget", "old", "--yes"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    let done = cv(&env, &["mirror", "forget", "offsite", "--yes", "--json"]).json();
    assert_eq!(done["cleaned"], false, "{done}");
    assert!(holds(&mirror, "UNIQUE-old-text"));
    let commands: Vec<&str> = done["by_hand"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert!(Command::new("sh").arg("-ec").arg(commands.join("\n")).current_dir(&mirror).status().unwrap().success());
    assert!(!holds(&mirror, "UNIQUE-old-text") && holds(&mirror, "UNIQUE-new-text"));
}
