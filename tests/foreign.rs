//! What nobody has signed who may is not put back, built on, named or sent on; and what is accepted goes on. What a
//! mirror has lost is told to who pushes.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "support/env.rs"]
mod env;

use std::path::Path;
use std::process::Command;

use env::{Run, TestEnv};

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    env.cv(&[&["-C", "cv"], args].concat())
}

fn git(env: &TestEnv, dir: &str, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(env.path(dir)).args(args);
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "central").env(format!("GIT_{who}_EMAIL"), "central@confvault");
    }
    let output = git.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A store in clear with a mirror and two devices, one generation each.
fn store() -> TestEnv {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central", "--no-sealing"]).succeeded();
    for device in ["pbx", "sbc"] {
        env.write(&format!("{device}/etc/asterisk/a.conf"), format!("of={device}\n"));
        let source = format!("dir:../{device}");
        cv(&env, &["device", "add", device, "--source", &source, "--profile", "asterisk", "--release", "1.0"]).succeeded();
    }
    cv(&env, &["snapshot"]).succeeded();
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap().success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    env
}

/// Puts generation 2 of `pbx` into a repository, with the set of the first one, signed by a key of one's own choice.
fn forge(env: &TestEnv, dir: &str, key: &Path) -> String {
    let message = git(env, dir, &["log", "-1", "--format=%B", "pbx/1.0"]).replace("Generation: 1", "Generation: 2");
    let message = message.replace("generation 1", "generation 2").replace("Kind: first", "Kind: snapshot");
    let key = format!("user.signingkey={}", key.display());
    let sign = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", "-p", "pbx/1.0", "-m", &message, "pbx/1.0^{tree}"];
    let forged = git(env, dir, &sign);
    git(env, dir, &["update-ref", "refs/heads/pbx/1.0", &forged]);
    forged
}

fn stranger(env: &TestEnv) -> std::path::PathBuf {
    let key = env.path("stranger");
    assert!(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
    key
}

/// Everything that builds on `pbx`, or passes it on, refuses by name and writes nothing of it; `sbc` is not held up.
fn refused(env: &TestEnv, why: &str) {
    let head = || git(env, "cv/store.git", &["rev-parse", "pbx/1.0"]);
    let before = head();
    for command in [
        &["restore", "pbx", "--to", "out"][..],
        &["restore", "pbx", "--tar", "out.tar"],
        &["restore", "pbx", "--device", "--yes"],
        &["name", "pbx@2", "golden"],
    ] {
        let said = cv(env, command).failed(13);
        assert!(said.contains(why) && said.contains("refs/heads/pbx/1.0"), "{command:?}: {said}");
    }
    // A plan that cannot be made ends with 2.
    let plan = cv(env, &["restore", "pbx", "--to", "pbx", "--plan"]).failed(2);
    assert!(plan.contains(why), "{plan}");
    assert!(!env.path("out").exists() && !env.path("out.tar").exists());
    let fleet = cv(env, &["restore", "--all", "--to", "all"]);
    assert!(fleet.code == 3 && fleet.stderr.contains(why), "{fleet}");
    assert!(!env.path("all/pbx").exists() && env.path("all/sbc").exists());
    env.write("pbx/etc/asterisk/a.conf", "of=another\n");
    env.write("sbc/etc/asterisk/a.conf", "of=another\n");
    let snapshot = cv(env, &["snapshot"]);
    assert!(snapshot.code == 3 && format!("{snapshot}").contains(why), "{snapshot}");
    assert_eq!(head(), before);
    assert_eq!(git(env, "cv/store.git", &["rev-list", "--count", "sbc/1.0"]), "2");
    // As it is, by a word that says so.
    let warned = cv(env, &["restore", "pbx", "--to", "out", "--unverified"]);
    assert!(warned.stderr.contains(why), "{warned}");
    warned.succeeded();
    assert_eq!(env.read("out/etc/asterisk/a.conf"), "of=pbx\n");
    // What shows it warns, with the exit code and the output that it has anyway; of the first one nothing is said.
    let said = "signed by nobody whom this store trusts: refs/heads/pbx/1.0";
    for (command, code, warns) in [
        (&["show", "pbx@2"][..], 0, true),
        (&["show", "pbx@2", "--json"], 0, true),
        (&["show", "pbx@2", "etc/asterisk/a.conf"], 0, true),
        (&["diff", "pbx"], 0, true),
        (&["diff", "sbc@1", "pbx@2"], 1, true),
        (&["diff", "pbx@2", "now"], 1, true),
        (&["log", "pbx"], 0, true),
        (&["log", "pbx", "-n", "1", "--json"], 0, true),
        (&["ls", "pbx@2"], 0, true),
        (&["ls", "pbx", "--json"], 0, true),
        (&["search", "of="], 0, true),
        (&["search", "of=", "pbx", "--all-generations"], 0, true),
        (&["log", "sbc"], 0, false),
        (&["ls", "pbx@1"], 0, false),
        (&["search", "of=", "sbc"], 0, false),
        (&["search", "no such line"], 0, false),
        (&["show", "pbx@1"], 0, false),
        (&["show", "pbx@1", "etc/asterisk/a.conf"], 0, false),
        (&["diff", "sbc@1", "@2"], 1, false),
    ] {
        let run = cv(env, command);
        assert_eq!(run.code, code, "{command:?}: {run}");
        assert_eq!(run.stderr.contains(said) && run.stderr.contains(why), warns, "{command:?}: {run}");
        assert!(warns || !run.stderr.contains("signed by"), "{command:?}: {run}");
    }
    assert_eq!(cv(env, &["show", "pbx@2", "etc/asterisk/a.conf"]).stdout, b"of=pbx\n");
    let word = if why.contains("unknown") { "unknown-signer" } else { "revoked" };
    let json =
        |args: &[&str]| serde_json::from_slice::<serde_json::Value>(&cv(env, &[args, &["--json"]].concat()).stdout).unwrap();
    assert_eq!(json(&["show", "pbx@2"])["generation"]["signature"], word);
    assert_eq!(json(&["show", "pbx@1"])["generation"]["signature"], "good");
    assert_eq!(json(&["show", "pbx@2", "etc/asterisk/a.conf"])["signature"], word);
    assert_eq!(json(&["ls", "pbx@2"])["signature"], word);
    let diff = json(&["diff", "sbc@1", "pbx@2"]);
    assert_eq!((&diff["old"]["signature"], &diff["new"]["signature"]), (&"good".into(), &word.into()));
    assert_eq!(json(&["diff", "pbx@2", "now"])["new"]["signature"], serde_json::Value::Null);
    // The newest one of a release vouches for the rest.
    let log = json(&["log", "pbx"]);
    assert_eq!(
        (&log["generations"][0]["signature"], &log["generations"][1]["signature"]),
        (&word.into(), &serde_json::Value::Null)
    );
    // The one before is sound.
    cv(env, &["restore", "pbx@1", "--to", "sound"]).succeeded();
}

#[test]
fn a_generation_by_a_stranger_is_not_built_on_nor_passed_on() {
    let env = store();
    let forged = forge(&env, "cv/store.git", &stranger(&env));
    refused(&env, "signed by an unknown key");
    let push = cv(&env, &["mirror", "push"]);
    assert!(push.code == 3 && push.stderr.contains("refs/heads/pbx/1.0") && push.stderr.contains("unknown key"), "{push}");
    assert_ne!(git(&env, "mirror.git", &["rev-parse", "pbx/1.0"]), forged);
    assert_eq!(git(&env, "mirror.git", &["rev-list", "--count", "sbc/1.0"]), "2");
    // Whoever accepts the line as it is goes on.
    cv(&env, &["key", "heads", "--accept"]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
}

#[test]
fn what_a_rebuild_found_wrong_is_not_built_on() {
    let env = store();
    // A thief has the key of a collector that was revoked, and writes to the mirror.
    let old = env.path("old.key");
    std::fs::copy(env.path("cv/keys/signing.key"), &old).unwrap();
    env.cv(&["init", "next", "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin"]).succeeded();
    let list = env.cv(&["-C", "next", "key", "list", "--json"]).json();
    let print = list["signers"][0]["fingerprint"].as_str().unwrap().to_owned();
    env.cv(&["-C", "next", "key", "remove", "--signer", &print, "--admin", "cv-admin"]).succeeded();
    env.cv(&["-C", "next", "mirror", "push"]).succeeded();
    forge(&env, "mirror.git", &old);
    std::fs::rename(env.path("cv"), env.path("lost")).unwrap();
    let rebuilt = env.cv(&["init", "cv", "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin"]);
    assert_eq!(rebuilt.code, 13, "{rebuilt}");
    refused(&env, "signed by a revoked key");
}

#[test]
fn a_mirror_that_lost_what_it_took_is_told_of_by_name() {
    let env = store();
    env.write("pbx/etc/asterisk/a.conf", "of=another\n");
    cv(&env, &["snapshot"]).succeeded();
    // What was never sent is only behind.
    let status = cv(&env, &["mirror", "status", "--json"]).json();
    assert_eq!(status["mirrors"][0]["lost"], serde_json::json!([]), "{status}");
    cv(&env, &["mirror", "push"]).succeeded();
    for (attack, name) in [
        (&["update-ref", "refs/heads/pbx/1.0", "pbx/1.0~1"][..], "refs/heads/pbx/1.0"),
        (&["update-ref", "-d", "refs/heads/sbc/1.0"], "refs/heads/sbc/1.0"),
        (&["update-ref", "-d", "refs/heads/_store"], "refs/heads/_store"),
    ] {
        git(&env, "mirror.git", attack);
        let status = cv(&env, &["mirror", "status"]);
        assert!(status.code == 3 && status.stderr.contains(&format!("has lost what it took: {name}")), "{status}");
        let push = cv(&env, &["mirror", "push", "--json"]);
        assert_eq!(push.code, 3, "{push}");
        assert_eq!(push.json()["mirrors"][0]["lost"][0]["ref"], name, "{push}");
        let journal = cv(&env, &["journal", "--json"]).succeeded();
        assert!(journal.contains("\"lost\"") && journal.contains(name), "{journal}");
        // It has it again, and is whole.
        cv(&env, &["mirror", "push"]).succeeded();
        let status = cv(&env, &["mirror", "status"]);
        assert!(status.code == 0 && !status.stderr.contains("lost"), "{status}");
    }
    // What was taken away here on purpose, and a new mirror of the same name, are no loss.
    cv(&env, &["name", "pbx@1", "golden"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    cv(&env, &["unname", "pbx", "golden"]).succeeded();
    git(&env, "mirror.git", &["update-ref", "-d", "refs/tags/pbx/golden"]);
    cv(&env, &["mirror", "push"]).succeeded();
    git(&env, "", &["init", "-q", "--bare", "new.git"]);
    cv(&env, &["mirror", "remove", "offsite"]).succeeded();
    cv(&env, &["mirror", "add", "offsite", "../new.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
}
