//! What others on the machine can see of the program while it works: arguments, environments, messages,
//! files that it leaves; and what a hostile key can make it do.
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
#[path = "support/pty.rs"]
mod pty;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use env::{Run, TestEnv};
use lab::{CANARY, PIN};
use pty::Terminal;

const IDENTITY: &str = "cv-admin/identity.txt";
const PASSPHRASE: &str = "CANARYpassphrase7Qz";

/// Programs that are called by name, each behind a script that writes down how it was called.
fn spies(env: &TestEnv) -> PathBuf {
    let (bin, log) = (env.path("spies"), env.path("called"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&log).unwrap();
    for name in ["git", "ssh", "sh", "age", "ssh-keygen", "ssh-add", "gpg", "openssl", "env", "asterisk"] {
        // The device itself does what it is told.
        let Ok(real) = which(if name == "asterisk" { "true" } else { name }) else { continue };
        let spy = bin.join(name);
        let script = format!(
            "#!/bin/dash\n/bin/cat /proc/$$/cmdline /proc/$$/environ > '{}'/{name}.$$\nexec {} \"$@\"\n",
            log.display(),
            real.display()
        );
        fs::write(&spy, script).unwrap();
        fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

fn which(name: &str) -> Result<PathBuf, ()> {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()).ok_or(())
}

/// Looks at all processes as long as it lives.
struct Watch {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<BTreeSet<String>>>,
}

impl Watch {
    fn begin(secrets: Vec<String>, own: String) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, count) = (stop.clone(), looks.clone());
        let thread = std::thread::spawn(move || {
            let mut found = BTreeSet::new();
            while !end.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if !name.bytes().all(|b| b.is_ascii_digit()) || name == std::process::id().to_string() {
                        continue;
                    }
                    let read = |what: &str| fs::read(entry.path().join(what)).unwrap_or_default();
                    let (arguments, environment) = (read("cmdline"), read("environ"));
                    // Only what this test started has its folder in the environment.
                    if memchr::memmem::find(&environment, own.as_bytes()).is_none() {
                        continue;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    for secret in &secrets {
                        for (what, bytes) in [("arguments", &arguments), ("environment", &environment)] {
                            if memchr::memmem::find(bytes, secret.as_bytes()).is_some() {
                                let shown = String::from_utf8_lossy(&arguments).replace('\0', " ");
                                found.insert(format!("{secret} in the {what} of {shown}"));
                            }
                        }
                    }
                }
            }
            found
        });
        Self { stop, looks, thread: Some(thread) }
    }

    fn end(mut self) -> (usize, BTreeSet<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let found = self.thread.take().unwrap().join().unwrap();
        (self.looks.load(Ordering::Relaxed), found)
    }
}

fn watched(env: &TestEnv, args: &[&str]) -> Command {
    let mut command = env.command(args);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", env.path("spies").display())).env("TMPDIR", env.path("tmp"));
    command
}

/// Changes, drills, what is put back to a device, and an import, each with a secret in hand.
fn devices_changes_and_imports(env: &TestEnv, cv: &dyn Fn(&[&str]) -> Run) {
    cv(&["change", "open", "pbx", "--ticket", "T1", "--why", "a new password"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}three\n"));
    cv(&["change", "close", "T1"]).succeeded();
    cv(&["change", "show", "T1"]).succeeded();
    let edit = format!("printf '[100]\\nsecret=%s%s\\n' {} {} > pbx/etc/asterisk/sip.conf", &CANARY[..6], &CANARY[6..]);
    env.write("edit.sh", edit);
    cv(&["change", "run", "pbx", "--ticket", "T2", "--why", "back", "--", "sh", "edit.sh"]).succeeded();
    cv(&["mirror", "push"]).succeeded();
    cv(&["drill", "pbx", "--identity", IDENTITY]).succeeded();
    cv(&["drill", "pbx", "--from", "offsite", "--identity", IDENTITY]).succeeded();
    cv(&["drill", "show"]).succeeded();
    cv(&["restore", "pbx@3", "--device", "--plan", "--identity", IDENTITY]).failed(1);
    cv(&["restore", "pbx@3", "--device", "--yes", "--identity", IDENTITY]).succeeded();
    assert!(env.read("pbx/etc/asterisk/sip.conf").contains(&format!("{CANARY}three")), "nothing was put back");
    // A tree of another tool.
    let tree = env.path("tree");
    let git = |args: &[&str]| assert!(Command::new("git").args(args).current_dir(&tree).status().unwrap().success());
    env.write("tree/snmp/snmpd.conf", format!("rocommunity {CANARY}\n"));
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "all"]);
    cv(&["import", "git", "tree", "--device", "host", "--profile", "linux", "--release", "13"]).succeeded();
}

/// A second collector that asks to be let in, is admitted, fetches the keys, works, and is revoked.
fn another_collector(env: &TestEnv, cv: &dyn Fn(&[&str]) -> Run) {
    let mirror = env.path("mirror.git").display().to_string();
    let print = cv(&["key", "list", "--json"]).json()["administrators"][0]["fingerprint"].as_str().unwrap().to_owned();
    let join = ["init", "branch", "--from", "mirror.git", "--collector", "branch", "--admin", "nowhere"];
    let joined = env.run(&mut watched(env, &[&join[..], &["--fingerprint", &print, "--json"]].concat())).json();
    cv(&["key", "admit", joined["join_request"].as_str().unwrap()]).succeeded();
    cv(&["mirror", "push"]).succeeded();
    cv(&["key", "fetch", "offsite"]).succeeded();
    let branch = |args: &[&str]| env.run(&mut watched(env, &[&["-C", "branch", "-vvv"], args].concat()));
    branch(&["key", "fetch", &mirror]).succeeded();
    env.write("gw/etc/asterisk/sip.conf", format!("[200]\nsecret={CANARY}\n"));
    branch(&["device", "add", "gw", "--source", "dir:../gw", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    branch(&["snapshot"]).succeeded();
    branch(&["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    branch(&["mirror", "push"]).succeeded();
    cv(&["key", "signers"]).succeeded();
    cv(&["key", "remove", "--signer", "branch", "--from", "offsite"]).succeeded();
}

#[test]
fn no_argument_and_no_environment_shows_a_secret() {
    let env = TestEnv::new();
    spies(&env);
    fs::create_dir(env.path("tmp")).unwrap();
    // The age identity has a secret of its own, known once it was made.
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    let age = env.read(IDENTITY).lines().find(|l| l.starts_with("AGE-SECRET-KEY")).unwrap()[20..50].to_owned();
    let secrets = [CANARY, PIN, PASSPHRASE, &age].map(str::to_owned).to_vec();
    let own = env.path("").parent().unwrap().display().to_string();
    let watch = Watch::begin(secrets.clone(), own);

    let cv = |args: &[&str]| {
        let run = env.run(&mut watched(&env, &[&["-C", "cv", "-vvv"], args].concat()));
        let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        // `show` and `diff` with an identity are asked for what is secret.
        let asked = args.contains(&"--identity");
        for secret in &secrets {
            assert!(asked || !said.contains(secret.as_str()), "{args:?} says {secret}: {said}");
        }
        run
    };
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\n"));
    env.write("pbx/etc/asterisk/voicemail.conf", format!("[default]\n100 => {PIN},Alice\n"));
    cv(&["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    cv(&["snapshot"]).succeeded();
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap();
    assert!(made.success());
    cv(&["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    cv(&["mirror", "push"]).succeeded();
    cv(&["mirror", "status"]).succeeded();
    let keygen = Command::new("age-keygen").arg("-o").arg(env.path("second.txt")).output().unwrap();
    let second = String::from_utf8(keygen.stderr).unwrap().trim().rsplit(' ').next().unwrap().to_owned();
    cv(&["key", "list"]).succeeded();
    cv(&["key", "add", &second]).succeeded();
    cv(&["key", "rotate"]).succeeded();
    cv(&["key", "remove", &second]).succeeded();
    cv(&["key", "heads"]).succeeded();
    cv(&["secrets", "pbx"]).succeeded();
    cv(&["secrets", "pbx", "--suspects", "--identity", IDENTITY]).succeeded();
    cv(&["secrets", "exposed"]).succeeded();
    cv(&["restore", "pbx", "--to", "out", "--identity", IDENTITY]).succeeded();
    cv(&["restore", "pbx", "--to", "masked", "--masked"]).succeeded();
    cv(&["restore", "pbx", "--to", "nobody"]).failed(12);
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}two\n"));
    cv(&["snapshot"]).succeeded();
    assert_eq!(cv(&["diff", "pbx@1", "pbx@2"]).code, 1);
    assert_eq!(cv(&["diff", "pbx@1", "pbx@2", "--identity", IDENTITY]).code, 1);
    assert!(cv(&["search", "secret"]).code <= 1);
    cv(&["check", "--read-data", "--identity", IDENTITY]).succeeded();
    cv(&["maintain"]).succeeded();
    cv(&["forget"]).succeeded();
    cv(&["journal", "--json"]).succeeded();
    cv(&["mirror", "push"]).succeeded();
    let again = env.run(&mut watched(&env, &["init", "again", "--from", "mirror.git", "--admin", "cv-admin", "-vvv"]));
    again.succeeded();
    devices_changes_and_imports(&env, &cv);
    another_collector(&env, &cv);
    // A passphrase is typed, and never given.
    let locked = |args: &[&str]| Terminal::start(&watched(&env, args));
    let mut terminal = locked(&["init", "locked", "--collector", "central"]);
    for question in ["(nothing: none): ", "Again: "] {
        terminal.expect(question);
        terminal.types_unseen(PASSPHRASE);
    }
    let (code, shown) = terminal.end();
    assert!(code == 0 && !shown.contains(PASSPHRASE), "{shown}");
    let mut terminal = locked(&["-C", "locked", "key", "rotate"]);
    terminal.expect("Passphrase of the identity");
    terminal.types_unseen(PASSPHRASE);
    let (code, shown) = terminal.end();
    assert!(code == 0 && !shown.contains(PASSPHRASE), "{shown}");

    let (looks, found) = watch.end();
    assert!(looks > 10, "the watch saw {looks} processes only");
    assert!(found.is_empty(), "{found:#?}");
    // Every program that was called, as it was called.
    let called = lab::walk(&env.path("called"));
    assert!(called.keys().any(|name| name.starts_with("git.")), "{:?}", called.keys());
    for (name, bytes) in called {
        for secret in &secrets {
            assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret} was given to {name}");
        }
    }
    let left = lab::walk(&env.path("tmp"));
    assert!(left.is_empty(), "left behind: {:?}", left.keys());
}

#[test]
fn a_panic_says_where_and_not_what() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\n"));
    let add = ["-C", "cv", "device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"];
    env.cv(&add).succeeded();
    let mut panicked = 0;
    for n in (1..40).chain([60, 80]) {
        let mut command = env.command(&["-C", "cv", "-vvv", "snapshot"]);
        command.env("CONFVAULT_FAULT", format!("panic:{n}")).env("CONFVAULT_FAULT_TEXT", format!("inside of secret={CANARY}"));
        let run = env.run(command.env("RUST_BACKTRACE", "full"));
        let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(!said.contains(CANARY), "{said}");
        if run.code != 0 {
            panicked += 1;
            assert!(said.contains("withheld") && said.contains("src/fsio/fault.rs:"), "{said}");
        }
    }
    assert!(panicked > 5, "{panicked}");
    // Nothing of it was recorded either, and the store goes on.
    env.cv(&["-C", "cv", "snapshot"]).succeeded();
    let found = lab::canaries(&[env.path("cv/store.git")], &[env.path("cv"), env.path("cv-admin")]);
    assert!(found.is_empty(), "{found:#?}");
    env.cv(&["-C", "cv", "check", "--read-data"]).succeeded();
}

#[test]
fn no_core_is_written_of_a_process_that_holds_secrets() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", "[100]\n");
    let add = ["-C", "cv", "device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"];
    env.cv(&add).succeeded();
    // What a child inherits is what the program has.
    let run = Command::new("sh")
        .arg("-c")
        .arg("ulimit -c unlimited 2>/dev/null || ulimit -c $(ulimit -Hc); exec \"$@\"")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_confvault"))
        .args(["-C", "cv", "change", "run", "pbx", "--ticket", "T", "--why", "w", "--", "sh", "-c", "ulimit -Sc > limit"])
        .current_dir(env.path(""))
        .output()
        .unwrap();
    assert!(env.path("limit").exists(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(env.read("limit").trim(), "0");
}

/// As [`watched`], and killed if it computes for more than a second; what it waits for is another matter.
fn bounded(env: &TestEnv, args: &[&str]) -> Command {
    let inner = watched(env, args);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -t 1 && exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().unwrap_or(&env.path("")));
    command
}

#[test]
fn hostile_key_material_is_refused_at_once_and_runs_nothing() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}\n"));
    let add = ["-C", "cv", "device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "cv", "snapshot"]).succeeded();
    // Whatever plugin is looked for, it stands ready.
    let bin = env.path("spies");
    fs::create_dir_all(&bin).unwrap();
    for name in ["age-plugin-yubikey", "age-plugin-x", "age-plugin-a", "age-plugin-tag", "age-plugin-pq", "evil"] {
        fs::write(bin.join(name), format!("#!/bin/sh\ntouch {}\n", env.path("executed").display())).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let before = lab::walk(&env.path("cv"));
    let mut slowest = Duration::ZERO;
    let mut refused = |args: &[&str], code: i32| {
        let begin = Instant::now();
        let run: Run = env.run(&mut bounded(&env, args));
        slowest = slowest.max(begin.elapsed());
        assert_eq!(run.code, code, "{args:?}: {run}");
    };
    let big = env.path("big");
    fs::write(&big, vec![b'#'; 17 << 20]).unwrap();
    fs::set_permissions(&big, fs::Permissions::from_mode(0o600)).unwrap();
    for recipient in [
        "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
        "age1x/../../evil1qqqq",
        "age1../../../../tmp/evil1qqqq",
        "age1tag1qqqq",
        "age1pq1qqqq",
        "big",
        "/dev/zero",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
    ] {
        // What has not the form of a key is the name of a file.
        let code = if ["big", "/dev/zero"].contains(&recipient) { 12 } else { 2 };
        refused(&["-C", "cv", "key", "add", "--", recipient], code);
        refused(&["init", "other", "--recipient", recipient], code);
        assert!(!env.path("other/store.git").exists());
    }
    let mut hard = confvault::seal::protect("x", &confvault::seal::Secret::new("p")).unwrap();
    let head = String::from_utf8_lossy(&hard).lines().nth(1).unwrap().to_owned();
    let salt = head.split(' ').nth(2).unwrap();
    let at = memchr::memmem::find(&hard, salt.as_bytes()).unwrap() + salt.len();
    hard.splice(at + 1..at + 3, *b"30");
    for (name, bytes) in [
        ("hard.age", hard.as_slice()),
        ("plugin.txt", b"AGE-PLUGIN-YUBIKEY-1QQQQ\n"),
        ("path.txt", b"AGE-PLUGIN-../../EVIL-1QQQQ\n"),
        ("cut.txt", b"AGE-SECRET-KEY-1QQQ\n"),
        ("pem.txt", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"),
        ("empty.txt", b""),
    ] {
        lab::private(&env.path(name), bytes);
        refused(&["-C", "cv", "secrets", "pbx", "--identity", name], 12);
    }
    refused(&["-C", "cv", "secrets", "pbx", "--identity", "big"], 12);
    // Nobody writes to it, and nobody waits for that.
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(env.path("pipe")).status().unwrap().success());
    refused(&["-C", "cv", "secrets", "pbx", "--identity", "pipe"], 12);
    refused(&["-C", "cv", "key", "admit", "confvault-join 1 x age1yubikey1qq ssh-ed25519 AAAA"], 2);
    println!("the slowest refusal took {slowest:?}");
    // A work factor that was believed would take hours, of computing; nothing is waited for either.
    assert!(slowest < Duration::from_secs(120), "{slowest:?}");
    assert!(!env.path("executed").exists(), "a plugin was run");
    assert!(before == lab::walk(&env.path("cv")), "something was written");
    // One that has a writer is read, however late it writes: a shell gives `<(pass show …)` so.
    let pipe = env.path("pipe");
    // Opened for both, so that it has a writer before there is one who reads.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut command = env.command(&["-C", "cv", "secrets", "pbx", "--identity", "pipe"]);
    let mut reader = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let held = format!("/proc/{}/fd", reader.id());
    let holds =
        || fs::read_dir(&held).is_ok_and(|fds| fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == pipe)));
    while reader.try_wait().unwrap().is_none() && !holds() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(300));
    writer.write_all(&fs::read(env.path(IDENTITY)).unwrap()).unwrap();
    drop(writer);
    env.ended(reader.wait_with_output().unwrap()).succeeded();
}
