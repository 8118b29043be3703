//! Keys that do not fit, in every command that takes one; and every change of keys, killed at every step.
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
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use env::{Run, TestEnv};
use lab::{CANARY, private};

const IDENTITY: &str = "cv-admin/identity.txt";

/// A sealed store in `cv` with two generations of a device, a sealed file among them, and a mirror.
fn store() -> TestEnv {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\n"));
    env.write("pbx/etc/asterisk/astdb.sqlite3", "\0sealed");
    let source = ["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"];
    cv(&env, &source).succeeded();
    cv(&env, &["snapshot"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}two\n"));
    cv(&env, &["snapshot"]).succeeded();
    env
}

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    env.cv(&[&["-C", "cv"], args].concat())
}

/// Makes an identity with `age-keygen`; gives its recipient.
fn identity(env: &TestEnv, name: &str) -> String {
    let made = Command::new("age-keygen").arg("-o").arg(env.path(name)).output().unwrap();
    assert!(made.status.success());
    env.read(name).lines().find_map(|l| l.strip_prefix("# public key: ")).unwrap().to_owned()
}

#[test]
fn a_key_that_does_not_fit_ends_alike_everywhere_and_writes_nothing() {
    let env = store();
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap();
    assert!(made.success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&env, &["mirror", "push"]).succeeded();
    identity(&env, "wrong.txt");
    // One that is over: it was a recipient, was removed, and a new epoch began. Opening what is older is not
    // taken from it, but it does not belong to this store any more.
    let over = identity(&env, "over.txt");
    cv(&env, &["key", "add", &over]).succeeded();
    cv(&env, &["key", "remove", &over]).succeeded();
    cv(&env, &["key", "rotate"]).succeeded();
    env.write("open.txt", env.read(IDENTITY));
    fs::set_permissions(env.path("open.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    let locked = confvault::seal::protect(&env.read(IDENTITY), &confvault::seal::Secret::new("correct horse")).unwrap();
    private(&env.path("locked.age"), &locked);
    private(&env.path("garbage.txt"), b"no key\n");
    fs::create_dir(env.path("folder")).unwrap();
    // What opens everything is not to be found by itself.
    fs::rename(env.path(IDENTITY), env.path("away.txt")).unwrap();

    let other = identity(&env, "other.txt");
    let before = (lab::walk(&env.path("cv")), lab::walk(&env.path("mirror.git")));
    // The codes of `diff` are those of its trade: 2 is trouble.
    let commands: [(&[&str], i32); 9] = [
        (&["restore", "pbx", "--to", "out"], 12),
        (&["restore", "pbx", "--tar", "out.tar"], 12),
        (&["restore", "pbx", "--plan", "--to", "out"], 2),
        (&["diff", "pbx@1", "pbx@2"], 2),
        (&["show", "pbx", "etc/asterisk/sip.conf"], 12),
        (&["secrets", "pbx"], 12),
        (&["check", "--read-data"], 12),
        (&["key", "rotate"], 12),
        (&["key", "add", &other], 12),
    ];
    for (command, code) in commands {
        let mut said = BTreeSet::new();
        for bad in ["wrong.txt", "over.txt"] {
            let run = cv(&env, &[command, &["--identity", bad]].concat());
            assert_eq!(run.code, code, "{command:?} with {bad}: {run}");
            said.insert(run.stderr.clone());
        }
        assert_eq!(said.len(), 1, "{command:?} tells wrong keys apart: {said:#?}");
        for bad in ["open.txt", "locked.age", "garbage.txt", "folder", "nowhere.txt"] {
            let run = cv(&env, &[command, &["--identity", bad]].concat());
            assert_eq!(run.code, code, "{command:?} with {bad}: {run}");
            // By the environment it ends as by the option.
            let mut again = env.command(&[&["-C", "cv"], command].concat());
            let again = env.run(again.env("CONFVAULT_IDENTITY", env.path(bad)));
            assert_eq!(again.code, code, "{command:?} with {bad} in the environment: {again}");
        }
        assert!(!env.path("out").exists() && !env.path("out.tar").exists(), "{command:?} wrote something");
    }
    let after = (lab::walk(&env.path("cv")), lab::walk(&env.path("mirror.git")));
    let changed: Vec<&String> =
        after.0.iter().filter(|(name, bytes)| before.0.get(*name) != Some(bytes)).map(|(n, _)| n).collect();
    assert!(changed.is_empty(), "written: {changed:?}");
    assert!(before == after, "something was written");
    // And with the right one all is well.
    fs::rename(env.path("away.txt"), env.path(IDENTITY)).unwrap();
    cv(&env, &["restore", "pbx", "--to", "out", "--identity", IDENTITY]).succeeded();
}

/// Tells whether an identity opens all of the newest generation.
fn opens(env: &TestEnv, identity: &str) -> bool {
    let run = cv(env, &["restore", "pbx", "--to", "out", "--identity", identity]);
    assert!([0, 12].contains(&run.code), "{run}");
    fs::remove_dir_all(env.path("out")).ok();
    run.code == 0
}

/// Kills a command at its n-th step for every n. After each kill the store is as before or as after, makes no
/// generation, and the identity of the administrator opens it; `more` is asked of the state then.
fn killed_at_every_step(env: &TestEnv, args: &[&str], more: &dyn Fn(&str)) -> usize {
    let state = || String::from_utf8(cv(env, &["key", "list", "--json"]).stdout).unwrap();
    let before = state();
    for n in 1..500 {
        let run = env.run(env.command(&[&["-C", "cv"], args].concat()).env("CONFVAULT_FAULT", format!("kill:{n}")));
        assert!(run.code <= 0, "step {n} of {args:?}: {run}");
        let now = state();
        assert!(opens(env, IDENTITY), "step {n}");
        more(&now);
        if run.code == 0 || now != before {
            assert_ne!(now, before);
            let snapshot = cv(env, &["snapshot"]);
            assert!(snapshot.code == 12 || snapshot.succeeded().contains("unchanged 2"), "a change of keys made a generation");
            return n;
        }
    }
    panic!("no end of steps")
}

#[test]
fn recipients_and_epochs_are_changed_whole_or_not_at_all() {
    let env = store();
    let second = identity(&env, "second.txt");
    let opens = |name: &str| opens(&env, name);
    assert!(opens(IDENTITY) && !opens("second.txt"));
    let steps = killed_at_every_step(&env, &["key", "add", &second], &|state| {
        // Who is on the list opens all; who is not opens nothing.
        assert_eq!(opens("second.txt"), state.contains(&second));
    });
    assert!(steps > 5, "{steps}");
    let steps = killed_at_every_step(&env, &["key", "remove", &second], &|_| {});
    assert!(steps > 5, "{steps}");
    let steps = killed_at_every_step(&env, &["key", "rotate"], &|_| {});
    assert!(steps > 5, "{steps}");
    // What is written after the rotation is closed to who was removed; nothing was lost.
    env.write("pbx/etc/asterisk/sip.conf", "[100]\nsecret=after-the-rotation\n");
    env.write("pbx/etc/asterisk/astdb.sqlite3", "\0sealed anew");
    cv(&env, &["snapshot"]).succeeded();
    assert!(!opens("second.txt"));
    let epochs = lab::objects(&env.path("cv/store.git"));
    for (id, sealed) in epochs.iter().filter(|(_, data)| data.starts_with(b"age-encryption.org/v1")) {
        fs::write(env.path("sealed.age"), sealed).unwrap();
        let age =
            Command::new("age").args(["-d", "-i"]).arg(env.path("second.txt")).arg(env.path("sealed.age")).output().unwrap();
        if age.status.success() {
            // The keys of the first epoch, from the time when it was a recipient.
            let plain = String::from_utf8_lossy(&age.stdout).into_owned();
            assert!(!plain.contains("after-the-rotation") && !plain.contains("sealed anew"), "{id}");
            private(&env.path("kept.txt"), plain.as_bytes());
            for (newer, data) in epochs.iter().filter(|(_, data)| data.starts_with(b"age-encryption.org/v1")) {
                fs::write(env.path("sealed.age"), data).unwrap();
                let deeper = Command::new("age")
                    .args(["-d", "-i"])
                    .arg(env.path("kept.txt"))
                    .arg(env.path("sealed.age"))
                    .output()
                    .unwrap();
                let plain = String::from_utf8_lossy(&deeper.stdout).into_owned();
                assert!(!plain.contains("after-the-rotation") && !plain.contains("sealed anew"), "{newer}");
            }
        }
    }
    for generation in ["pbx@1", "pbx@2", "pbx@3"] {
        cv(&env, &["restore", generation, "--to", &format!("out-{}", &generation[4..]), "--identity", IDENTITY]).succeeded();
    }
    assert_eq!(env.read("out-1/etc/asterisk/sip.conf"), format!("[100]\nsecret={CANARY}\n"));
    cv(&env, &["check", "--read-data", "--identity", IDENTITY]).succeeded();
}

#[test]
fn signers_and_administrators_are_changed_whole_or_not_at_all() {
    let env = store();
    env.cv(&["init", "other", "--collector", "other"]).succeeded();
    let request = env.cv(&["-C", "other", "key", "request", "--json"]).json()["request"].as_str().unwrap().to_owned();
    let key = Command::new("ssh-keygen").arg("-y").arg("-f").arg(env.path("other-admin/administrator.key")).output().unwrap();
    env.write("other.pub", &key.stdout);
    let print = |state: &str, kind: &str, at: usize| {
        let state: serde_json::Value = serde_json::from_str(state).unwrap();
        state[kind][at]["fingerprint"].as_str().unwrap().to_owned()
    };
    assert!(killed_at_every_step(&env, &["key", "admit", &request], &|_| {}) > 5);
    assert!(killed_at_every_step(&env, &["key", "add", "--administrator", "other.pub"], &|_| {}) > 5);
    let state = String::from_utf8(cv(&env, &["key", "list", "--json"]).stdout).unwrap();
    let second = print(&state, "administrators", 1);
    assert!(killed_at_every_step(&env, &["key", "remove", "--administrator", &second], &|_| {}) > 5);
    assert!(killed_at_every_step(&env, &["key", "remove", "--signer", "other", "--here"], &|_| {}) > 5);
    cv(&env, &["check", "--read-data"]).succeeded();
    assert!(killed_at_every_step(&env, &["key", "remove", "--signer", "central"], &|_| {}) > 5);
    // What it had signed until then counts.
    cv(&env, &["check", "--read-data"]).succeeded();
}

#[test]
fn a_folder_of_keys_that_others_write_to_is_refused() {
    let env = store();
    let mode = |folder: &str, mode| {
        let rights = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(env.path(folder), rights).unwrap();
    };
    for (folder, commands) in [
        ("cv-admin", &[&["key", "rotate"][..]][..]),
        ("cv/keys", &[&["snapshot"], &["log", "pbx"], &["check"], &["key", "rotate"]]),
    ] {
        for open in [0o777, 0o775] {
            mode(folder, open);
            for command in commands {
                let said = format!("{}", cv(&env, command));
                let words = format!("A folder of keys can be written to by others (mode {open:04o}): ");
                let hint = format!("{folder}`, and see who wrote there");
                assert!(said.contains(&words), "{command:?}: {said}");
                // What only shows goes on, and warns.
                assert!(command[0] == "log" || said.contains(&hint), "{command:?}: {said}");
                assert!(command[0] == "log" || said.contains("--- exit 12"), "{command:?}: {said}");
            }
        }
        for shut in [0o1777, 0o755, 0o700] {
            mode(folder, shut);
            cv(&env, &["key", "rotate"]).succeeded();
        }
    }
}
