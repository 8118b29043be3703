//! Mirrors that are not what they should be.

use crate::env::TestEnv;
use crate::lab::{IDENTITY, drill, findings, git, lab, left, newest, outcome, with_identity};

/// Another generation of the gateway.
fn change(env: &TestEnv, text: &str) {
    env.write("gw/main.conf", text);
    env.cv(&["snapshot"]).succeeded();
}

/// Runs a drill that fails with a code; gives its protocol.
#[track_caller]
fn fails(env: &TestEnv, code: i32) -> serde_json::Value {
    let run = with_identity(env, &[]);
    assert_eq!(run.code, code, "{run}");
    assert!(run.stderr.contains("error: The drill failed"), "{run}");
    assert!(left(env).is_empty());
    let document = newest(env);
    assert_eq!(document["outcome"], "failed");
    document
}

#[test]
fn a_mirror_that_is_behind() {
    let env = lab();
    change(&env, "port=5061\n");
    let document = fails(&env, 3);
    // The second snapshot changed nothing of the PBX.
    assert_eq!(findings(&document), ["behind gw", "not-independent -"]);
    assert_eq!((outcome(&document, "pbx"), outcome(&document, "gw")), ("proven".to_owned(), "failed".to_owned()));
    let gw = &document["protocol"]["devices"][0];
    assert_eq!((gw["generation"].as_u64(), gw["newest_here"].as_u64()), (Some(1), Some(2)));
    // A push mends it.
    env.cv(&["mirror", "push"]).succeeded();
    with_identity(&env, &[]).succeeded();
}

#[test]
fn a_mirror_that_went_back() {
    let env = lab();
    git(&env, &["clone", "--quiet", "--mirror", "off.git", "old.git"]);
    change(&env, "port=5061\n");
    env.cv(&["mirror", "push"]).succeeded();
    change(&env, "port=5062\n");
    // Behind by one that was never pushed.
    assert_eq!(findings(&fails(&env, 3)), ["behind gw", "not-independent -"]);
    std::fs::remove_dir_all(env.path("off.git")).unwrap();
    std::fs::rename(env.path("old.git"), env.path("off.git")).unwrap();
    let document = fails(&env, 13);
    assert_eq!(findings(&document), ["went-back gw", "not-independent -"]);
    let text = document["protocol"]["findings"][0]["text"].as_str().unwrap();
    assert_eq!(text, "The mirror went back to generation 1: the last push brought it up to 2");
}

#[test]
fn a_mirror_that_lost_a_device() {
    let env = lab();
    git(&env, &["-C", "off.git", "update-ref", "-d", "refs/heads/gw/7"]);
    assert_eq!(findings(&fails(&env, 13)), ["went-back gw", "not-independent -"]);
    // One that was never pushed is only missing.
    let env = lab();
    env.write("new/a.conf", "a=1\n");
    env.cv(&["device", "add", "new", "--source", "dir:new", "--release", "1"]).succeeded();
    env.cv(&["snapshot", "new"]).succeeded();
    let document = fails(&env, 3);
    assert!(findings(&document).contains(&"missing new".to_owned()), "{document}");
}

#[test]
fn a_mirror_with_another_history() {
    let env = lab();
    change(&env, "port=5061\n");
    env.cv(&["mirror", "push"]).succeeded();
    // The host makes a commit of its own on the line of the gateway.
    let tree = git(&env, &["-C", "off.git", "rev-parse", "refs/heads/gw/7^{tree}"]);
    let message =
        git(&env, &["-C", "off.git", "log", "-1", "--format=%B", "refs/heads/gw/7"]).replace("Generation: 2", "Generation: 3");
    let parent = git(&env, &["-C", "off.git", "rev-parse", "refs/heads/gw/7"]);
    let forged = std::process::Command::new("git")
        .args([
            "-C",
            "off.git",
            "-c",
            "user.name=central",
            "-c",
            "user.email=central@confvault",
            "commit-tree",
            &tree,
            "-p",
            &parent,
            "-m",
        ])
        .arg(message)
        .current_dir(env.path(""))
        .output()
        .unwrap();
    let forged = String::from_utf8(forged.stdout).unwrap();
    git(&env, &["-C", "off.git", "update-ref", "refs/heads/gw/7", forged.trim()]);
    let document = fails(&env, 13);
    // As a restore refuses it, it is not put back in a drill either.
    assert_eq!(findings(&document), ["signature gw", "not-restored gw", "ahead gw", "not-independent -"], "{document}");
    let gw = document["protocol"]["devices"].as_array().unwrap().iter().find(|device| device["device"] == "gw").unwrap();
    assert_eq!((&gw["outcome"], &gw["files"], &gw["generation"]), (&"failed".into(), &0.into(), &3.into()), "{document}");
}

#[test]
fn a_mirror_whose_bytes_are_damaged() {
    let env = lab();
    git(&env, &["-C", "off.git", "repack", "-adq"]);
    let packs = env.path("off.git/objects/pack");
    let pack = std::fs::read_dir(&packs).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "pack"));
    let pack = pack.expect("a pack");
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    let document = fails(&env, 13);
    assert_eq!(findings(&document), ["damaged -", "not-independent -"]);
    assert_eq!(outcome(&document, "pbx"), "failed");
}

#[test]
fn a_mirror_of_another_store() {
    let (env, other) = (lab(), lab());
    std::fs::remove_dir_all(env.path("off.git")).unwrap();
    git(&env, &["clone", "--quiet", "--mirror", other.path("off.git").to_str().unwrap(), "off.git"]);
    assert_eq!(findings(&fails(&env, 13)), ["untrusted -", "not-independent -"]);
}

#[test]
fn a_mirror_that_lacks_what_administrators_decided() {
    let env = lab();
    std::fs::write(env.path("id"), "").unwrap();
    env.cv(&["key", "rotate"]).succeeded();
    assert_eq!(findings(&fails(&env, 3)), ["behind -", "not-independent -"]);
}

#[test]
fn a_mirror_that_is_not_there_is_a_failed_drill_and_recorded() {
    let env = lab();
    std::fs::rename(env.path("off.git"), env.path("gone.git")).unwrap();
    let document = fails(&env, 1);
    assert_eq!(findings(&document), ["unreachable -", "not-independent -"]);
}

#[test]
fn a_drill_that_takes_too_long() {
    let env = lab();
    let run = with_identity(&env, &["--target", "0 s"]);
    assert_eq!(run.code, 3, "{run}");
    assert_eq!(findings(&newest(&env)), ["late -", "not-independent -"]);
}

#[test]
fn of_several_mirrors_one_is_named() {
    let env = lab();
    git(&env, &["init", "--quiet", "--bare", "two.git"]);
    env.cv(&["mirror", "add", "two", "two.git"]).succeeded();
    let said = with_identity(&env, &[]).failed(2);
    assert!(said.contains("Choose a mirror: off, two") && said.contains("--from"), "{said}");
    with_identity(&env, &["--from", "off"]).succeeded();
    // The other one is empty: what should hold a store holds none.
    let run = with_identity(&env, &["--from", "two"]);
    assert_eq!(run.code, 13, "{run}");
    with_identity(&env, &["--from", "three"]).failed(2);
    env.cv(&["mirror", "remove", "two"]).succeeded();
    env.cv(&["mirror", "remove", "off"]).succeeded();
    let said = with_identity(&env, &[]).failed(1);
    assert!(said.contains("There is no mirror to restore from"), "{said}");
}

#[test]
fn a_slip_of_the_pen_is_no_failed_drill() {
    let env = lab();
    with_identity(&env, &["pbxx"]).failed(2);
    with_identity(&env, &["pbx@now"]).failed(2);
    with_identity(&env, &["pbx", "pbx@1"]).failed(2);
    drill(&env, &["--identity", "not-there.txt"]).failed(12);
    drill(&env, &["--seed", "1", "--identity", IDENTITY]).failed(2);
    let said = env.cv(&["drill", "show"]).failed(1);
    assert!(said.contains("No drill is recorded"), "{said}");
    // What was never taken cannot be pushed.
    env.cv(&["device", "add", "fresh", "--source", "dir:fresh", "--release", "1"]).succeeded();
    let said = with_identity(&env, &["fresh"]).failed(3);
    assert!(findings(&newest(&env)).contains(&"never-taken fresh".to_owned()));
    assert!(said.contains("hint: `confvault snapshot fresh` takes one"), "{said}");
    // A name that never was on the device is one thing, a generation that the mirror lacks is another.
    assert_eq!(with_identity(&env, &["pbx@7"]).code, 3);
    assert!(findings(&newest(&env)).contains(&"missing pbx".to_owned()));
}
