//! What comes from devices and users in bad faith: names, paths, escape codes; through the program.

use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::Stdio;

use crate::env::TestEnv;

const HOSTILE: &[&str] = &[
    "../x",
    "/etc/x",
    ".git/hooks/x",
    "a/../b",
    "-oProxyCommand=x",
    "CON",
    "a\nb",
    "a\u{202e}b",
    "",
    "_store",
    "x.lock",
    "a..b",
];

#[test]
fn hostile_device_names_are_refused_by_every_command() {
    let env = TestEnv::with_history();
    let before = tree(&env);
    let long = "x".repeat(300);
    for name in HOSTILE.iter().copied().chain([long.as_str()]) {
        for args in [
            &["log", "--", name][..],
            &["show", "--", name],
            &["ls", "--", name],
            &["snapshot", "--", name],
            &["diff", "--", name],
            &["restore", "--to", "out", "--", name],
            &["name", "--", name, "golden"],
            &["name", "--", "pbx", name],
            &["unname", "--", name, "golden"],
            &["device", "show", "--", name],
            &["device", "remove", "--", name],
            &["journal", "--device", name],
            &["mirror", "push", "--", name],
            &["search", "x", "--", name],
        ] {
            let run = env.cv(args);
            assert!([1, 2].contains(&run.code), "{args:?} {run}");
            assert!(!run.stderr.contains(['\u{1b}', '\u{202e}']), "{args:?} {run}");
            assert!(run.stderr.lines().count() <= 6, "{args:?} {run}");
        }
    }
    assert_eq!(tree(&env), before, "something was written");
}

fn tree(env: &TestEnv) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(env.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn hostile_names_of_files_are_kept_shown_and_put_back() {
    let env = TestEnv::with_store();
    let names =
        [".git/hooks/post-checkout", ".GIT/config", "-rf", "CON", "new\nline", "esc\x1b[2J", "rtl\u{202e}x", "100%", "a\\b"];
    for name in names {
        env.write(&format!("pbx/{name}"), name);
    }
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    let list = env.cv(&["ls", "pbx"]).succeeded();
    assert!(!list.contains(['\u{1b}', '\u{202e}']) && list.contains("new%0Aline"), "{list}");
    assert_eq!(env.cv(&["show", "pbx", "new%0Aline"]).stdout, b"new\nline");
    env.cv(&["restore", "pbx", "--to", "out"]).succeeded();
    for name in names {
        assert_eq!(env.read(&format!("out/{name}")), name);
    }
    env.cv(&["check", "--read-data"]).succeeded();
}

/// Runs the program with a terminal as its standard output, and gives what reached it.
fn on_terminal(env: &TestEnv, args: &[&str]) -> String {
    let main = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&main).unwrap();
    rustix::pty::unlockpt(&main).unwrap();
    let name = rustix::pty::ptsname(&main, Vec::new()).unwrap();
    let side =
        rustix::fs::open(name.as_c_str(), rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty());
    let side = side.unwrap();
    let mut command = env.command(args);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    command.stdout(Stdio::from(side.as_fd().try_clone_to_owned().unwrap())).stderr(Stdio::from(side));
    let mut child = command.spawn().unwrap();
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        let mut file = fs::File::from(main);
        // The terminal is gone (EIO) once the program has ended.
        while let Ok(count @ 1..) = file.read(&mut piece) {
            seen.extend_from_slice(&piece[..count]);
        }
        seen
    });
    child.wait().unwrap();
    String::from_utf8(reader.join().unwrap()).expect("only text reaches a terminal")
}

#[test]
fn what_a_device_wrote_reaches_no_terminal_raw() {
    let env = TestEnv::with_store();
    env.write("pbx/a.conf", b"[x]\nbell=\x07\x1b[2J\x1b]0;owned\x07\nbidi=\xe2\x80\xae\nraw=\xff\r\n");
    env.write("pbx/esc\x1b[2J", "x");
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "1"]).succeeded();
    env.cv(&["snapshot", "--note", "esc\x1b[31m"]).succeeded();
    env.write("pbx/a.conf", b"[x]\nbell=\x07\x1b[2J\x1b[3J\n");
    env.cv(&["snapshot"]).succeeded();
    for args in [
        &["show", "pbx@1", "a.conf"][..],
        &["diff", "pbx"],
        &["diff", "pbx", "--word"],
        &["diff", "pbx", "-y"],
        &["diff", "pbx", "--stat"],
        &["diff", "pbx", "--semantic"],
        &["search", "bell", "--all-generations"],
        &["ls", "pbx"],
        &["log", "pbx"],
        &["show", "pbx@1"],
        &["journal"],
        &["show", "pbx", "esc%1B[2J"],
        &["show", "pbx", "nothing\x1b[2J"],
    ] {
        let seen = on_terminal(&env, args);
        let raw: Vec<char> = seen.chars().filter(|c| (c.is_control() && !"\r\n\t".contains(*c)) || *c == '\u{202e}').collect();
        assert!(!seen.is_empty() && raw.is_empty(), "{args:?} {raw:?} {seen}");
    }
    // Into a pipe it goes as it is.
    assert!(env.cv(&["diff", "pbx"]).stdout.windows(4).any(|w| w == b"\x1b[2J"));
}
