//! What gets lost beside the program, and what a killed one leaves.
//!
//! `packed-refs` has no checksum: one that is cut at the end of a line reads as whole. What was behind the cut is
//! noticed, nothing goes on on top of the loss, and one command puts it back.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "support/env.rs"]
mod env;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use env::{Run, TestEnv};

fn cv(env: &TestEnv, store: &str, args: &[&str]) -> Run {
    let mut all = vec!["-C", store];
    all.extend(args);
    env.cv(&all)
}

/// A store in `cv`: two devices, two releases, a large file, logs, a name, one that was removed, and an open change.
fn store() -> TestEnv {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    let policy = env.read("cv/confvault.toml").replace("#large_over = \"8 MiB\"", "large_over = \"1 KiB\"");
    env.write("cv/confvault.toml", policy);
    env.write("pbx/sip.conf", "[100]\nsecret=one\n");
    env.write("gw/config", "hostname gw\n");
    env.write("gw/flash.bin", [0, 1, 2, 3].repeat(1000));
    let cv = |args: &[&str]| cv(&env, "cv", args).succeeded();
    cv(&["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"]);
    cv(&["device", "add", "gw", "--source", "dir:../gw", "--release", "7"]);
    cv(&["snapshot"]);
    cv(&["device", "set", "pbx", "--release", "2.0"]);
    cv(&["snapshot"]);
    cv(&["name", "pbx@1", "golden"]);
    cv(&["name", "pbx@1", "old"]);
    cv(&["unname", "pbx", "old"]);
    cv(&["change", "open", "gw", "--ticket", "CHG-1", "--why", "test"]);
    env
}

fn refs(git_dir: &Path) -> BTreeMap<String, String> {
    let out = Command::new("git").args(["for-each-ref", "--format=%(objectname) %(refname)"]).current_dir(git_dir).output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    text.lines().map(|l| l.split_once(' ').unwrap()).map(|(id, name)| (name.to_owned(), id.to_owned())).collect()
}

fn is_behind(git_dir: &Path, old: &str, new: &str) -> bool {
    let git = Command::new("git").args(["merge-base", "--is-ancestor", old, new]).current_dir(git_dir).status();
    old == new || git.unwrap().success()
}

fn copy(env: &TestEnv, to: &str) {
    let _gone = fs::remove_dir_all(env.path(to));
    assert!(Command::new("cp").arg("-a").args([env.path("cv"), env.path(to)]).status().unwrap().success());
}

/// Every cut of a text: at the end of each line, in the middle of one, and all of it.
fn cuts(text: &str) -> Vec<usize> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < text.len());
    ends.flat_map(|at| [at, at + 20]).chain([0]).collect()
}

#[test]
fn what_a_cut_of_packed_refs_took_is_noticed_kept_and_put_back() {
    let env = store();
    let before = refs(&env.path("cv/store.git"));
    for part in ["heads/gw/7", "heads/pbx/1.0", "heads/pbx/2.0", "large/gw/1", "tags/pbx/golden", "heads/_store"] {
        assert!(before.contains_key(&format!("refs/{part}")), "{before:?}");
    }
    let text = env.read("cv/store.git/packed-refs");
    for cut in cuts(&text) {
        copy(&env, "trial");
        let git_dir = env.path("trial/store.git");
        env.write("trial/store.git/packed-refs", &text[..cut]);
        env.write("pbx/sip.conf", format!("[100]\nsecret=one\n; {cut}\n"));
        let lost: Vec<&String> = before.keys().filter(|name| !text[..cut].contains(&format!(" {name}\n"))).collect();
        if lost.is_empty() && text[..cut].ends_with('\n') {
            // Only the peeled value of the last name: it is found again.
            cv(&env, "trial", &["snapshot"]).succeeded();
            continue;
        }
        let noticed = cv(&env, "trial", &["snapshot"]);
        assert!([3, 13].contains(&noticed.code), "cut at {cut}: {} {}", noticed.code, noticed.stderr);
        assert!(noticed.stderr.contains("key heads --put-back"), "cut at {cut}: {}", noticed.stderr);
        for refused in [&["check"][..], &["maintain"], &["maintain", "--quick"]] {
            cv(&env, "trial", refused).failed(13);
        }
        assert_ne!(cv(&env, "trial", &["name", "pbx@2", "golden"]).code, 0, "cut at {cut}");
        // A ref that was lost did not begin anew.
        let now = refs(&git_dir);
        assert!(lost.iter().all(|name| !now.contains_key(*name)), "cut at {cut}: {now:?}");

        cv(&env, "trial", &["key", "heads", "--put-back"]).succeeded();
        let now = refs(&git_dir);
        assert!(now.keys().eq(before.keys()), "cut at {cut}: {now:?}");
        for (name, id) in &before {
            assert!(is_behind(&git_dir, id, &now[name]), "cut at {cut}: {name}");
        }
        cv(&env, "trial", &["key", "heads"]).succeeded();
        cv(&env, "trial", &["snapshot"]).succeeded();
        cv(&env, "trial", &["maintain"]).succeeded();
        assert!(cv(&env, "trial", &["check", "--read-data"]).succeeded().contains("clean"), "cut at {cut}");
        assert_eq!(cv(&env, "trial", &["log", "pbx", "--json"]).json()["generations"].as_array().unwrap().len(), 3);
        // Neither a name that stands nor one that was removed can be given to another generation.
        cv(&env, "trial", &["name", "pbx@2", "golden"]).failed(1);
        cv(&env, "trial", &["name", "pbx@2", "old"]).failed(1);
        cv(&env, "trial", &["change", "close", "CHG-1"]).succeeded();
        assert!(cv(&env, "trial", &["journal"]).succeeded().contains("put-back"), "cut at {cut}");
    }
}

#[test]
fn what_a_killed_run_had_collected_goes_with_the_next() {
    let env = store();
    let left = || -> Vec<String> {
        let names = fs::read_dir(env.path("trial/store.git/confvault")).unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n.starts_with("spool-")).collect()
    };
    env.write("gw/flash.bin", [3, 2, 1, 0].repeat(1000));
    // Which step it is in which a run has collected something differs with who comes first.
    let met = (1..40).filter(|n| {
        copy(&env, "trial");
        let killed = env.run(env.command(&["-C", "trial", "snapshot"]).env("CONFVAULT_FAULT", format!("kill:{n}")));
        if killed.code != -1 || left().is_empty() {
            return false;
        }
        assert_eq!(left().len(), 1, "killed at step {n}");
        cv(&env, "trial", &["snapshot"]).succeeded();
        assert_eq!(left(), Vec::<String>::new(), "killed at step {n}");
        true
    });
    assert!(met.take(3).count() > 0, "no kill left anything");
}

fn with_mirror(env: &TestEnv) {
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("far.git")).status().unwrap().success());
    cv(env, "cv", &["mirror", "add", "far", "../far.git"]).succeeded();
    cv(env, "cv", &["mirror", "push"]).succeeded();
}

#[test]
fn what_an_older_copy_lacks_comes_back_from_a_mirror() {
    let env = store();
    copy(&env, "old");
    env.write("pbx/sip.conf", "[100]\nsecret=two\n");
    cv(&env, "cv", &["snapshot", "pbx"]).succeeded();
    cv(&env, "cv", &["name", "pbx@3", "third"]).succeeded();
    with_mirror(&env);
    let before = refs(&env.path("cv/store.git"));
    fs::remove_dir_all(env.path("cv/store.git")).unwrap();
    fs::rename(env.path("old/store.git"), env.path("cv/store.git")).unwrap();
    cv(&env, "cv", &["snapshot"]).failed(13);
    cv(&env, "cv", &["key", "heads", "--put-back"]).failed(13);
    cv(&env, "cv", &["mirror", "fetch", "far"]).succeeded();
    let now = refs(&env.path("cv/store.git"));
    assert!(before.iter().all(|(name, id)| is_behind(&env.path("cv/store.git"), id, &now[name])), "{now:?}");
    cv(&env, "cv", &["snapshot"]).succeeded();
    cv(&env, "cv", &["check", "--read-data"]).succeeded();
    cv(&env, "cv", &["mirror", "push"]).succeeded();
    assert!(cv(&env, "cv", &["journal"]).succeeded().contains("mirror-fetch"));
}

#[test]
fn what_is_damaged_comes_back_from_a_mirror_even_where_nothing_opens() {
    let env = store();
    with_mirror(&env);
    // All refs, and a byte in the middle of every pack.
    env.write("cv/store.git/packed-refs", "");
    for entry in fs::read_dir(env.path("cv/store.git/objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            fs::write(&path, bytes).unwrap();
        }
    }
    cv(&env, "cv", &["check", "--read-data"]).failed(13);
    // Another store's mirror is no help, and leaves nothing.
    env.cv(&["init", "other", "--collector", "x"]).succeeded();
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("strange.git")).status().unwrap().success());
    cv(&env, "other", &["mirror", "add", "strange", "../strange.git"]).succeeded();
    cv(&env, "other", &["mirror", "push"]).succeeded();
    cv(&env, "cv", &["mirror", "add", "strange", "../strange.git"]).succeeded();
    let packs = || fs::read_dir(env.path("cv/store.git/objects/pack")).unwrap().count();
    let there = packs();
    cv(&env, "cv", &["mirror", "fetch", "strange"]).failed(13);
    assert_eq!(packs(), there);

    cv(&env, "cv", &["mirror", "fetch", "far"]).succeeded();
    cv(&env, "cv", &["maintain"]).succeeded();
    cv(&env, "cv", &["check", "--read-data"]).succeeded();
    let identity = ["--identity", "cv-admin/identity.txt"];
    cv(&env, "cv", &[&["restore", "pbx@golden", "--to", "out"], &identity[..]].concat()).succeeded();
    assert_eq!(env.read("out/sip.conf"), "[100]\nsecret=one\n");
    cv(&env, "cv", &["snapshot"]).succeeded();
}

#[test]
fn a_killed_forget_is_ended_by_the_next_to_the_last_byte() {
    let env = store();
    cv(&env, "cv", &["change", "close", "CHG-1"]).succeeded();
    cv(&env, "cv", &["device", "remove", "gw"]).succeeded();
    let forget = |store: &str, fault: &str| {
        let args = ["-C", store, "forget", "gw", "--reason", "retired", "--yes", "--admin", "cv-admin"];
        env.run(env.command(&args).env("CONFVAULT_FAULT", fault))
    };
    let holds = |what: &str| {
        let mut git = Command::new("git");
        git.args(["cat-file", "--batch-all-objects", "--batch"]).current_dir(env.path("trial/store.git"));
        String::from_utf8_lossy(&git.output().unwrap().stdout).contains(what)
    };
    let mut killed = 0;
    for step in (1..).step_by(7) {
        copy(&env, "trial");
        if forget("trial", &format!("kill:{step}")).code == 0 {
            break;
        }
        killed += 1;
        assert_eq!(forget("trial", "").code, 0, "killed at step {step}");
        assert!(!holds("hostname gw") && holds("[100]"), "killed at step {step}");
        cv(&env, "trial", &["snapshot"]).succeeded();
        cv(&env, "trial", &["key", "heads"]).succeeded();
        let told = cv(&env, "trial", &["journal"]).succeeded().matches("forget ").count();
        assert_eq!(told, 1, "killed at step {step}");
    }
    assert!(killed > 8, "{killed}");
}

#[test]
fn what_the_store_has_no_more_is_named_and_left() {
    let env = store();
    copy(&env, "old");
    env.write("pbx/sip.conf", "[100]\nsecret=two\n");
    cv(&env, "cv", &["snapshot", "pbx"]).succeeded();
    // An older copy of the store, put back beside the keys of now.
    fs::remove_dir_all(env.path("cv/store.git")).unwrap();
    fs::rename(env.path("old/store.git"), env.path("cv/store.git")).unwrap();
    cv(&env, "cv", &["snapshot"]).failed(13);
    let said = cv(&env, "cv", &["key", "heads", "--put-back"]);
    assert_eq!(said.code, 13, "{}", said.stderr);
    assert!(said.text().contains("not in the store any more, or aside: refs/heads/pbx/2.0"), "{}", said.text());
    cv(&env, "cv", &["maintain"]).failed(13);
    cv(&env, "cv", &["key", "heads", "--accept"]).succeeded();
    cv(&env, "cv", &["snapshot"]).succeeded();
    cv(&env, "cv", &["check", "--read-data"]).succeeded();
}

#[test]
fn names_that_come_and_go_and_what_is_forgotten_are_no_loss() {
    let env = store();
    cv(&env, "cv", &["unname", "pbx", "golden"]).succeeded();
    cv(&env, "cv", &["snapshot"]).succeeded();
    // A name that is given anew to its generation is another tag.
    cv(&env, "cv", &["name", "pbx@1", "golden", "--note", "again"]).succeeded();
    cv(&env, "cv", &["name", "pbx@1", "old"]).succeeded();
    cv(&env, "cv", &["change", "close", "CHG-1"]).succeeded();
    cv(&env, "cv", &["device", "remove", "gw"]).succeeded();
    cv(&env, "cv", &["forget", "gw", "--reason", "retired", "--yes"]).succeeded();
    cv(&env, "cv", &["key", "heads"]).succeeded();
    cv(&env, "cv", &["snapshot"]).succeeded();
    cv(&env, "cv", &["maintain"]).succeeded();
    cv(&env, "cv", &["check", "--read-data"]).succeeded();
}

/// The files that only the command writes are whole too, wherever it is stopped: looks, the spool, the heads that
/// were seen, the collector's own branch.
#[test]
#[cfg(debug_assertions)]
fn a_snapshot_that_is_stopped_anywhere_leaves_the_old_or_the_new_and_the_next_needs_nobody() {
    let thorough = std::env::var_os("CONFVAULT_THOROUGH").is_some();
    let env = store();
    // One device is new, one has changed, and one has another large file.
    env.write("new/a.conf", "a=1\n");
    cv(&env, "cv", &["device", "add", "new", "--source", "dir:../new", "--release", "1"]).succeeded();
    env.write("pbx/sip.conf", "[100]\nsecret=CaNaRy\n");
    env.write("gw/flash.bin", [3, 2, 1, 0].repeat(1000));
    let before = refs(&env.path("cv/store.git"));
    copy(&env, "trial");
    let trace = env.path("steps");
    let args = ["-C", "trial", "snapshot"];
    env.run(env.command(&args).env("CONFVAULT_FAULT", format!("count:{}", trace.display()))).succeeded();
    let steps = fs::read_to_string(&trace).unwrap().lines().count();
    assert!(steps > 15, "{steps}");
    for (fault, every) in [("kill", 1), ("eio", 3), ("enospc", 3), ("short", 3)] {
        let mut stopped = 0;
        for n in (1..=steps).step_by(if thorough { every } else { every.max(2) + 1 }) {
            copy(&env, "trial");
            let run = env.run(env.command(&args).env("CONFVAULT_FAULT", format!("{fault}:{n}")));
            let what = format!("{fault}:{n}: {run}");
            stopped += u32::from(run.code != 0);
            assert!(!run.stderr.contains("CaNaRy") && !run.stderr.contains("panicked"), "{what}");
            assert!(fault == "kill" || run.code == 0 || run.stderr.contains("error: "), "{what}");
            // All three devices are there, or none.
            let now = refs(&env.path("trial/store.git"));
            let moved =
                ["refs/heads/new/1", "refs/heads/pbx/2.0", "refs/heads/gw/7"].map(|name| now.get(name) != before.get(name));
            assert!(moved == [false; 3] || moved == [true; 3], "{what}: {moved:?}");
            cv(&env, "trial", &["snapshot"]).succeeded();
            cv(&env, "trial", &["check", "--read-data"]).succeeded();
            for (device, generations) in [("new", 1), ("pbx", 3), ("gw", 2)] {
                let log = cv(&env, "trial", &["log", device, "--json"]).json();
                assert_eq!(log["generations"].as_array().unwrap().len(), generations, "{what}: {log}");
                let _gone = fs::remove_dir_all(env.path("out"));
                let args = ["restore", device, "--to", "out", "--identity", "cv-admin/identity.txt"];
                cv(&env, "trial", &args).succeeded();
                let differ = Command::new("diff").args(["-r", device, "out"]).current_dir(env.path("")).output().unwrap();
                assert!(differ.status.success(), "{what}: {}", String::from_utf8_lossy(&differ.stdout));
            }
        }
        assert!(stopped >= 2, "{fault} stopped {stopped} of {steps} times");
    }
}
