//! Keys on the command line: who reads, who signs, what a kill in the middle leaves, and what no message shows.
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

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use env::{Run, TestEnv};
use lab::{CANARY, private};

const IDENTITY: &str = "cv-admin/identity.txt";

/// A sealed store in `cv`, with one device and its first generation.
fn store() -> TestEnv {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\n"));
    env.write("pbx/var/lib/asterisk/astdb.sqlite3", format!("\0\u{1}{CANARY}"));
    cv(&env, &["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
    env
}

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    let mut all = vec!["-C", "cv"];
    all.extend(args);
    env.cv(&all)
}

fn recipient(env: &TestEnv, name: &str) -> (PathBuf, String) {
    let path = env.path(name);
    let made = Command::new("age-keygen").arg("-o").arg(&path).output().unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    let public = text.lines().find_map(|l| l.strip_prefix("# public key: ")).unwrap().to_owned();
    (path, public)
}

#[test]
fn keys_are_listed_added_removed_and_rotated() {
    let env = store();
    let (second, public) = recipient(&env, "second.txt");
    cv(&env, &["key", "add", &public]).succeeded();
    let list = cv(&env, &["key", "list", "--json"]).json();
    assert_eq!(list["recipients"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(list["recipients"][1]["key"], public.as_str());
    // The new recipient opens what was sealed before it came.
    let second = second.to_str().unwrap().to_owned();
    let listed = cv(&env, &["secrets", "pbx", "--identity", &second, "--json"]).json();
    assert_eq!(listed["secrets"].as_array().unwrap().len(), 1, "{listed}");
    let first = list["recipients"][0]["key"].as_str().unwrap().to_owned();
    let removed = cv(&env, &["key", "remove", &first, "--identity", &second]);
    assert!(removed.stderr.contains("may have kept"), "{removed}");
    removed.succeeded();
    let rotated = cv(&env, &["key", "rotate", "--identity", &second, "--json"]).json();
    assert_eq!(rotated["epoch"], 2, "{rotated}");
    assert!(cv(&env, &["snapshot"]).succeeded().contains("unchanged 1"));
    let refused = cv(&env, &["secrets", "pbx", "--identity", IDENTITY]).failed(12);
    assert!(refused.contains("cannot be opened"), "{refused}");
    cv(&env, &["key", "remove", &public, "--identity", &second]).failed(1);
    cv(&env, &["key", "add", "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"]).failed(2);
}

#[test]
fn git_accepts_generations_with_the_list_of_signers() {
    let env = store();
    cv(&env, &["name", "pbx@1", "golden"]).succeeded();
    env.write("signers", cv(&env, &["key", "signers"]).stdout);
    let git = |what: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(env.path("cv/store.git"));
        git.args(["-c", "gpg.format=ssh", "-c"]).arg(format!("gpg.ssh.allowedSignersFile={}", env.path("signers").display()));
        git.args(what).output().unwrap()
    };
    for what in [["verify-commit", "pbx/1.0"], ["verify-tag", "pbx/golden"]] {
        let output = git(&what);
        assert!(output.status.success(), "{what:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let journal = git(&["for-each-ref", "--format=%(refname)", "refs/heads/_journal"]);
    for name in String::from_utf8(journal.stdout).unwrap().lines() {
        assert!(git(&["verify-commit", name]).status.success(), "{name}");
    }
}

#[test]
fn a_wrong_a_missing_and_an_open_key_end_alike_and_write_nothing() {
    let env = store();
    let (wrong, _) = recipient(&env, "wrong.txt");
    let before = lab::walk(&env.path("cv/store.git"));
    let wrong = cv(&env, &["key", "rotate", "--identity", wrong.to_str().unwrap()]).failed(12);
    // The administrator's key is there, the identity is not.
    std::fs::rename(env.path(IDENTITY), env.path("away.txt")).unwrap();
    let missing = cv(&env, &["key", "rotate"]).failed(12);
    // Only where the right one lies is another hint.
    assert_eq!(wrong.lines().next(), missing.lines().next());
    assert!(wrong.contains(IDENTITY) && !missing.contains(IDENTITY), "{wrong}{missing}");
    std::fs::set_permissions(env.path("away.txt"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = cv(&env, &["key", "rotate", "--identity", "away.txt"]).failed(12);
    assert!(open.contains("can be read by others") && open.contains("chmod 600"), "{open}");
    cv(&env, &["key", "rotate", "--identity", "nowhere.txt"]).failed(12);
    cv(&env, &["key", "rotate", "--admin", "nowhere"]).failed(12);
    let mut environment = env.command(&["-C", "cv", "key", "rotate"]);
    env.run(environment.env("CONFVAULT_IDENTITY", env.path("away.txt"))).failed(12);
    assert!(before == lab::walk(&env.path("cv/store.git")), "something was written");
    std::fs::set_permissions(env.path("away.txt"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut environment = env.command(&["-C", "cv", "key", "rotate"]);
    env.run(environment.env("CONFVAULT_IDENTITY", env.path("away.txt"))).succeeded();
}

#[test]
fn who_is_no_administrator_decides_nothing() {
    let env = store();
    env.cv(&["init", "other", "--collector", "other"]).succeeded();
    let refused = cv(&env, &["key", "rotate", "--admin", "other-admin", "--identity", IDENTITY]).failed(12);
    assert!(refused.contains("Not an administrator"), "{refused}");
    // A second administrator may, and the first one may go.
    let key = Command::new("ssh-keygen").arg("-y").arg("-f").arg(env.path("other-admin/administrator.key")).output().unwrap();
    env.write("other.pub", &key.stdout);
    cv(&env, &["key", "add", "--administrator", "other.pub"]).succeeded();
    let list = cv(&env, &["key", "list", "--json"]).json();
    let first = list["administrators"][0]["fingerprint"].as_str().unwrap().to_owned();
    cv(&env, &["key", "remove", "--administrator", &first, "--admin", "other-admin"]).succeeded();
    cv(&env, &["key", "rotate", "--identity", IDENTITY]).failed(12);
    cv(&env, &["key", "rotate", "--admin", "other-admin", "--identity", IDENTITY]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
}

#[test]
fn a_forged_store_branch_is_refused() {
    let env = store();
    let repo = env.path("cv/store.git");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(&repo).args(args);
        git.env("GIT_AUTHOR_NAME", "x")
            .env("GIT_AUTHOR_EMAIL", "x@x")
            .env("GIT_COMMITTER_NAME", "x")
            .env("GIT_COMMITTER_EMAIL", "x@x");
        let output = git.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let head = git(&["rev-parse", "_store"]);
    // Without a signature, on top of the genuine line.
    let unsigned = git(&["commit-tree", "-p", &head, "-m", "x", "_store^{tree}"]);
    git(&["update-ref", "refs/heads/_store", &unsigned]);
    let refused = cv(&env, &["snapshot"]).failed(13);
    assert!(refused.contains("not signed by an administrator"), "{refused}");
    // A line of its own.
    let alone = git(&["commit-tree", "-m", "x", "_store^{tree}"]);
    git(&["update-ref", "refs/heads/_store", &alone]);
    cv(&env, &["snapshot"]).failed(13);
    git(&["update-ref", "refs/heads/_store", &head]);
    cv(&env, &["key", "rotate"]).succeeded();
    // Rolled back to a state that was genuine once.
    git(&["update-ref", "refs/heads/_store", &head]);
    let refused = cv(&env, &["snapshot"]).failed(13);
    assert!(refused.contains("went back"), "{refused}");
}

#[test]
fn a_journal_that_went_back_behind_a_trusted_key_is_noticed() {
    use confvault::collect::hostkeys::HostKey;
    use confvault::ops::trust::{Trusted, trust};
    let env = store();
    let wire = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[7; 32]].concat();
    let trusted = Trusted { device: "pbx".parse().unwrap(), key: HostKey::from_wire(&wire).unwrap(), how: "by hand" };
    trust(&env.path("cv"), &[trusted]).unwrap();
    let git = |args: &[&str]| Command::new("git").arg("-C").arg(env.path("cv/store.git")).args(args).output().unwrap();
    let name = git(&["for-each-ref", "--format=%(refname)", "refs/heads/_journal"]);
    let name = String::from_utf8(name.stdout).unwrap().trim().to_owned();
    assert!(git(&["update-ref", &name, &format!("{name}~1")]).status.success());
    cv(&env, &["snapshot"]).failed(13);
}

#[test]
fn a_line_that_went_back_is_not_written_to() {
    let env = store();
    env.write("pbx/etc/asterisk/sip.conf", "[100]\nsecret=changed\n");
    cv(&env, &["snapshot"]).succeeded();
    let repo = env.path("cv/store.git");
    let git = |args: &[&str]| assert!(Command::new("git").current_dir(&repo).args(args).status().unwrap().success());
    git(&["update-ref", "refs/heads/pbx/1.0", "pbx/1.0~1"]);
    let refused = cv(&env, &["snapshot"]).failed(3);
    assert!(refused.contains("went back"), "{refused}");
    cv(&env, &["key", "heads"]).failed(13);
    cv(&env, &["key", "heads", "--accept"]).succeeded();
    cv(&env, &["key", "heads"]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
}

/// The administrator has gone with the administrator's folder: everything that a collector is for goes on, and
/// nothing that is secret can be read back.
#[test]
fn a_collector_works_without_the_administrator_and_reads_no_secret_back() {
    let env = store();
    std::fs::rename(env.path("cv-admin"), env.path("../gone")).unwrap();
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap();
    assert!(made.success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    // Volatile lines, changed and unchanged secrets, a changed sealed file.
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\nallow=alaw\n"));
    cv(&env, &["snapshot"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}two\nallow=alaw\n"));
    env.write("pbx/var/lib/asterisk/sounds/custom/a.wav", "RIFF\0sealed");
    cv(&env, &["snapshot"]).succeeded();
    assert!(cv(&env, &["snapshot"]).succeeded().contains("unchanged"));
    let diff = cv(&env, &["diff", "pbx@2", "pbx@3"]);
    assert_eq!(diff.code, 1, "{diff}");
    assert!(diff.text().contains("secret changed"), "{diff}");
    for args in [
        &["name", "pbx@3", "golden"][..],
        &["change", "open", "pbx", "--ticket", "T", "--why", "w"],
        &["change", "close", "T"],
        &["log", "pbx"],
        &["ls", "pbx"],
        &["show", "pbx", "etc/asterisk/sip.conf"],
        &["secrets", "pbx"],
        &["secrets", "exposed"],
        &["search", "allow"],
        &["check", "--read-data"],
        &["maintain"],
        &["mirror", "push"],
        &["mirror", "status"],
    ] {
        let run = cv(&env, args);
        assert_eq!(run.code, 0, "{args:?}: {run}");
        assert!(!format!("{run}").contains(CANARY), "{args:?}: {run}");
    }
    // What is masked is given as it is, and what is sealed is named.
    let masked = cv(&env, &["restore", "pbx", "--to", "masked", "--masked"]).failed(3);
    assert!(masked.contains("(sealed)") && env.path("masked/etc/asterisk/sip.conf").exists(), "{masked}");
    let own = ["cv/keys/identity.txt", "cv/keys/signing.key"];
    let refused: [&[&str]; 6] = [
        &["restore", "pbx", "--to", "out"],
        &["restore", "pbx@1", "--to", "out"],
        &["key", "rotate"],
        &["key", "add", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        &["secrets", "pbx"],
        &["check", "--read-data"],
    ];
    for args in refused {
        for key in own {
            let run = cv(&env, &[args, &["--identity", key]].concat());
            assert_eq!(run.code, 12, "{args:?} with {key}: {run}");
            assert!(!format!("{run}").contains(CANARY));
        }
    }
    cv(&env, &["device", "remove", "pbx"]).succeeded();
    cv(&env, &["forget", "pbx", "--yes"]).failed(12);
    assert!(!env.path("out").exists());
    let found = lab::canaries(&[env.path("cv/store.git"), env.path("mirror.git")], &[env.path("cv"), env.path("masked")]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_message_and_no_process_shows_a_secret() {
    let env = store();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}two\n[broken\n"));
    let pairs: [&[&str]; 9] = [
        &["-vvv", "snapshot"],
        &["-vvv", "diff", "pbx@1", "pbx@2"],
        &["-vvv", "log", "pbx"],
        &["-vvv", "show", "pbx@2"],
        &["-vvv", "secrets", "pbx", "--suspects"],
        &["-vvv", "secrets", "exposed"],
        &["-vvv", "journal", "--json"],
        &["-vvv", "key", "list"],
        &["-vvv", "snapshot", "nobody"],
    ];
    for args in pairs {
        let run = cv(&env, args);
        let all = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(!all.contains(CANARY), "{args:?}: {all}");
    }
    // A failure with the secret at hand: the store cannot be written.
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}three\n"));
    for fault in ["eio", "enospc", "short"] {
        for n in 1..40 {
            let run = env.run(env.command(&["-C", "cv", "-vvv", "snapshot"]).env("CONFVAULT_FAULT", format!("{fault}:{n}")));
            assert!(!format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr).contains(CANARY), "{fault} {n}");
            if run.code == 0 {
                break;
            }
        }
    }
    let found = lab::canaries(&[env.path("cv/store.git")], &[env.path("cv"), env.path("cv-admin")]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_identity_behind_a_passphrase_is_not_asked_for_without_a_terminal() {
    let env = store();
    let text = std::fs::read_to_string(env.path(IDENTITY)).unwrap();
    let locked = confvault::seal::protect(&text, &confvault::seal::Secret::new("correct horse")).unwrap();
    private(&env.path("locked.age"), &locked);
    let refused = cv(&env, &["secrets", "pbx", "--identity", "locked.age"]).failed(12);
    assert!(refused.contains("cannot be opened"), "{refused}");
}

#[test]
fn check_verifies_everything_and_a_revoked_collector_is_cut_off() {
    let env = store();
    cv(&env, &["name", "pbx@1", "golden"]).succeeded();
    cv(&env, &["check", "--read-data"]).succeeded();
    cv(&env, &["check", "--read-data", "--identity", IDENTITY]).succeeded();
    let wrong = cv(&env, &["check", "--identity", "other.txt"]);
    assert_eq!(wrong.code, 12, "{wrong}");

    // Revoked here; what it signed so far counts, what comes later does not, whatever date it bears.
    let done = cv(&env, &["key", "remove", "--signer", "central", "--json"]).json();
    assert_eq!(done["revoked"].as_array().unwrap().len(), 1, "{done}");
    cv(&env, &["check"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", "[100]\nsecret=changed\n");
    cv(&env, &["snapshot"]).failed(12);

    // Whoever has its key can still sign; with a date from before it was revoked it counts as little.
    let forged = next_generation(&env, &env.path("cv/keys/signing.key"));
    // Git knows no cut: the list says which key is revoked, and leaves it out where that is wished.
    let accepted = |args: &[&str]| {
        let list = cv(&env, &[&["key", "signers"], args].concat());
        let text = String::from_utf8(list.stdout.clone()).unwrap();
        env.write("signers", &list.stdout);
        let file = format!("gpg.ssh.allowedSignersFile={}", env.path("signers").display());
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(env.path("cv/store.git"));
        let git = git.args(["-c", "gpg.format=ssh", "-c", &file, "verify-commit", &forged]).output().unwrap();
        (text, git.status.success())
    };
    let (text, good) = accepted(&[]);
    assert!(good && text.starts_with("# revoked") && text.lines().count() == 2, "{text}");
    let (text, good) = accepted(&["--valid"]);
    assert!(!good && text.is_empty(), "{text}");
    let found = cv(&env, &["check", "--json"]);
    assert_eq!(found.code, 13, "{found}");
    let findings = found.json()["signatures"]["findings"].clone();
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings}");
    assert_eq!((&findings[0]["what"], &findings[0]["object"]), (&"revoked".into(), &forged.into()), "{findings}");
}

fn git(env: &TestEnv, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(env.path("cv/store.git")).args(args);
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "central").env(format!("GIT_{who}_EMAIL"), "central@confvault");
        git.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
    }
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn next_message(env: &TestEnv) -> String {
    let message = git(env, &["log", "-1", "--format=%B", "pbx/1.0"]).replace("Generation: 1", "Generation: 2");
    message.replace("generation 1", "generation 2").replace("Kind: first", "Kind: snapshot")
}

/// Adds generation 2, signed by a key of one's own choice; gives its commit.
fn next_generation(env: &TestEnv, key: &std::path::Path) -> String {
    let (message, key) = (next_message(env), format!("user.signingkey={}", key.display()));
    let parent = git(env, &["rev-parse", "pbx/1.0"]);
    let commit = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", "-p", &parent, "-m", &message, "pbx/1.0^{tree}"];
    let signed = git(env, &commit);
    git(env, &["update-ref", "refs/heads/pbx/1.0", &signed]);
    signed
}

#[test]
fn check_finds_an_unsigned_generation_and_one_by_a_stranger() {
    let env = store();
    let parent = git(&env, &["rev-parse", "pbx/1.0"]);
    let unsigned = git(&env, &["commit-tree", "-p", &parent, "-m", &next_message(&env), "pbx/1.0^{tree}"]);
    git(&env, &["update-ref", "refs/heads/pbx/1.0", &unsigned]);
    let found = cv(&env, &["check", "--json"]);
    assert_eq!(found.code, 13, "{found}");
    let what = found.json()["signatures"]["findings"][0]["what"].clone();
    assert_eq!(what, "unsigned", "{found}");

    git(&env, &["update-ref", "refs/heads/pbx/1.0", &parent]);
    let stranger = env.path("stranger");
    Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&stranger).status().unwrap();
    next_generation(&env, &stranger);
    let found = cv(&env, &["check", "--json"]).json();
    assert_eq!(found["signatures"]["findings"][0]["what"], "unknown-signer", "{found}");
    git(&env, &["update-ref", "refs/heads/pbx/1.0", &parent]);
    cv(&env, &["check"]).succeeded();
}

#[test]
fn a_second_collector_joins_and_works_once_it_was_let_in() {
    let env = store();
    let mirror = env.path("mirror.git");
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(&mirror).status().unwrap();
    assert!(made.success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    let found = lab::canaries(std::slice::from_ref(&mirror), std::slice::from_ref(&mirror));
    assert!(found.is_empty(), "{found:#?}");

    // Without the administrator's fingerprint nothing is believed, but it is shown.
    let print = cv(&env, &["key", "list", "--json"]).json()["administrators"][0]["fingerprint"].as_str().unwrap().to_owned();
    let join = ["init", "branch", "--from", "mirror.git", "--collector", "branch", "--admin", "nowhere"];
    let refused = env.cv(&join);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains(&print), "{refused}");
    assert!(!env.path("branch/store.git").exists());
    let joined = env.cv(&[&join[..], &["--fingerprint", &print, "--json"]].concat()).json();
    let request = joined["join_request"].as_str().unwrap().to_owned();
    env.write("gw/etc/asterisk/sip.conf", format!("[200]\nsecret={CANARY}gw\n"));
    let branch = |args: &[&str]| env.cv(&[&["-C", "branch"], args].concat());
    branch(&["device", "add", "gw", "--source", "dir:../gw", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    branch(&["snapshot"]).failed(12);

    // Let in by the administrator, and then it works; both write to one mirror.
    cv(&env, &["key", "admit", &request]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    branch(&["key", "fetch", "../mirror.git"]).failed(1);
    branch(&["key", "fetch", mirror.to_str().unwrap()]).succeeded();
    assert_eq!(branch(&["key", "fetch", mirror.to_str().unwrap(), "--json"]).json()["changed"], false);
    branch(&["snapshot"]).succeeded();
    branch(&["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    branch(&["mirror", "push"]).succeeded();
    branch(&["check", "--read-data"]).succeeded();
    // The administrator opens what the other collector sealed; the collector does not.
    branch(&["check", "--read-data", "--identity", IDENTITY]).succeeded();
    branch(&["check", "--identity", "branch/keys/identity.txt"]).failed(12);
    assert!(lab::canaries(std::slice::from_ref(&mirror), &[mirror.clone(), env.path("branch")]).is_empty());

    // The first one, rebuilt by the administrator from the mirror in one command, with both devices.
    let rebuilt = env.cv(&["init", "again", "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin", "--json"]);
    assert_eq!(rebuilt.code, 0, "{rebuilt}");
    assert_eq!(rebuilt.json()["devices"].as_array().unwrap().len(), 2, "{rebuilt}");
    assert_eq!(rebuilt.json()["join_request"], serde_json::Value::Null);
}

/// A store with a mirror, and a second collector `branch` with a device `gw`, which writes to the same mirror.
fn two_collectors() -> TestEnv {
    let env = store();
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap().success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    env.cv(&["init", "branch", "--from", "mirror.git", "--collector", "branch", "--admin", "cv-admin"]).succeeded();
    env.write("gw/etc/asterisk/sip.conf", format!("[200]\nsecret={CANARY}gw\n"));
    let branch = |args: &[&str]| env.cv(&[&["-C", "branch"], args].concat()).succeeded();
    branch(&["device", "add", "gw", "--source", "dir:../gw", "--profile", "asterisk", "--release", "1.0"]);
    branch(&["mirror", "add", "offsite", "../mirror.git"]);
    branch(&["snapshot"]);
    branch(&["mirror", "push"]);
    cv(&env, &["key", "fetch", "offsite"]).succeeded();
    env
}

#[test]
fn another_collector_is_cut_off_at_what_its_mirror_holds() {
    let env = two_collectors();
    // This store holds nothing of what the other wrote.
    let before = lab::walk(&env.path("cv/store.git"));
    let refused = cv(&env, &["key", "remove", "--signer", "branch"]).failed(2);
    assert!(refused.contains("--from MIRROR"), "{refused}");
    env.cv(&["init", "other", "--collector", "other"]).succeeded();
    cv(&env, &["key", "remove", "--signer", "branch", "--from", "../other/store.git"]).failed(1);
    assert!(before == lab::walk(&env.path("cv/store.git")), "something was written");
    cv(&env, &["key", "remove", "--signer", "branch", "--from", "offsite"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();

    // What it had signed counts for who rebuilds; what it signs later does not.
    let again = |name: &str| env.cv(&["init", name, "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin"]);
    again("again").succeeded();
    env.cv(&["-C", "again", "check", "--read-data"]).succeeded();
    env.write("gw/etc/asterisk/sip.conf", "[200]\nsecret=after-the-cut\n");
    env.cv(&["-C", "branch", "snapshot"]).succeeded();
    // It has not fetched what the administrator signed; its own lines go through.
    env.cv(&["-C", "branch", "mirror", "push"]).failed(3);
    let later = again("later");
    assert_eq!(later.code, 13, "{later}");
    let found = env.cv(&["-C", "later", "check", "--json"]).json()["signatures"]["findings"].clone();
    let found = |name: &str| found.as_array().unwrap().iter().filter(|f| f["ref"] == name).count();
    assert_eq!(found("refs/heads/gw/1.0"), 1, "the one that came later");
    // Its own inventory is there all the same.
    assert!(env.read("later/confvault.toml").contains("dir:../pbx"), "{later}");
}

#[test]
fn a_rebuilt_collector_goes_on_when_its_old_key_is_revoked_and_an_inventory_is_not_left_out_silently() {
    let env = two_collectors();
    let list = cv(&env, &["key", "list", "--json"]).json();
    let central = |s: &&serde_json::Value| s["who"] == "central@confvault";
    let old = list["signers"].as_array().unwrap().iter().find(central).unwrap()["fingerprint"].as_str().unwrap().to_owned();
    let rebuild = |name: &str| env.cv(&["init", name, "--from", "mirror.git", "--collector", "central", "--admin", "cv-admin"]);
    rebuild("again").succeeded();
    let again = |args: &[&str]| env.cv(&[&["-C", "again"], args, &["--admin", "cv-admin"]].concat());
    again(&["key", "remove", "--signer", &old]).succeeded();
    let again = |args: &[&str]| env.cv(&[&["-C", "again"], args].concat());
    env.write("pbx/etc/asterisk/sip.conf", "[100]\nsecret=by-the-new-key\n");
    again(&["snapshot"]).succeeded();
    again(&["check"]).succeeded();

    // An inventory that somebody else has signed is left out, and that is said.
    let mirror = env.path("mirror.git");
    let forge = |args: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(&mirror).args(args);
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "central").env(format!("GIT_{who}_EMAIL"), "central@confvault");
        }
        String::from_utf8(git.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let message = "Inventory\n\nConfvault-Format: 1\nCollector: central\n";
    let forged = forge(&["commit-tree", "-p", "_collector/central", "-m", message, "_collector/central^{tree}"]);
    forge(&["update-ref", "refs/heads/_collector/central", &forged]);
    let third = rebuild("third");
    assert_eq!(third.code, 13, "{third}");
    assert!(third.stderr.contains("NOT taken over") && third.stderr.contains("not signed"), "{third}");
    assert!(!env.read("third/confvault.toml").contains("dir:../pbx"));
}

#[test]
fn facts_from_a_mirror_count_only_if_administrators_signed_them() {
    let env = store();
    let mirror = env.path("mirror.git");
    let clone = |from: &str, to: &str| {
        assert!(
            Command::new("git")
                .args(["clone", "-q", "--mirror"])
                .arg(env.path(from))
                .arg(env.path(to))
                .status()
                .unwrap()
                .success()
        );
    };
    clone("cv/store.git", "mirror.git");
    let fetch = |env: &TestEnv| cv(env, &["key", "fetch", mirror.to_str().unwrap()]);
    fetch(&env).succeeded();
    // The mirror is behind.
    cv(&env, &["key", "rotate"]).succeeded();
    let refused = fetch(&env).failed(13);
    assert!(refused.contains("went back"), "{refused}");
    // The mirror says something of its own.
    std::fs::remove_dir_all(&mirror).unwrap();
    clone("cv/store.git", "mirror.git");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").current_dir(&mirror).args(args);
        git.env("GIT_AUTHOR_NAME", "x")
            .env("GIT_AUTHOR_EMAIL", "x@x")
            .env("GIT_COMMITTER_NAME", "x")
            .env("GIT_COMMITTER_EMAIL", "x@x");
        String::from_utf8(git.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let head = git(&["rev-parse", "_store"]);
    let forged = git(&["commit-tree", "-p", &head, "-m", "x", "_store^{tree}"]);
    git(&["update-ref", "refs/heads/_store", &forged]);
    let refused = fetch(&env).failed(13);
    assert!(refused.contains("not signed by an administrator"), "{refused}");
    // Another store, with administrators of its own.
    env.cv(&["init", "other", "--collector", "other"]).succeeded();
    let refused = cv(&env, &["key", "fetch", env.path("other/store.git").to_str().unwrap()]).failed(13);
    assert!(refused.contains("went back") || refused.contains("not signed"), "{refused}");
    cv(&env, &["check"]).succeeded();
}
