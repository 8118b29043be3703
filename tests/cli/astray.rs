//! What is named and is not there: the exit code, and the way on.

use std::os::unix::fs::PermissionsExt;

use crate::env::TestEnv;

/// A store with the device `pbx` of three generations, the second of them named `golden`.
fn named() -> TestEnv {
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@2", "golden"]).succeeded();
    env
}

#[test]
fn what_is_not_there_is_a_fault_of_the_command_line() {
    let env = named();
    let notes = ["release", "review", "nope", "2", "--notes", "sub/notes.txt"];
    env.write("sub/notes.txt", "x\n");
    let ticket = ["--ticket", "T", "--why", "w"];
    let all: &[&[&str]] = &[
        &["log", "nope"],
        &["logs", "nope"],
        &["show", "nope"],
        &["show", "pbx@99"],
        &["show", "pbx@nope"],
        &["show", "pbx@post/T"],
        &["show", "pbx:0.1"],
        &["show", "pbx", "nope.conf"],
        &["ls", "nope"],
        &["ls", "pbx", "nope"],
        &["search", "x", "nope"],
        &["diff", "nope"],
        &["diff", "pbx@99"],
        &["diff", "pbx", "nope"],
        &["diff", "nope", "now"],
        &["name", "nope", "x"],
        &["name", "pbx@99", "x"],
        &["unname", "pbx", "nope"],
        &["restore", "nope", "--to", "out"],
        &["restore", "pbx@nope", "--to", "out"],
        &["restore", "pbx", "nope", "--to", "out"],
        &["restore", "nope", "--device", "--yes"],
        &["snapshot", "nope"],
        &["secrets", "nope"],
        &["secrets", "pbx@99"],
        &["secrets", "exposed", "nope"],
        &["check", "nope"],
        &["device", "show", "nope"],
        &["device", "set", "nope", "--release", "1"],
        &["device", "remove", "nope"],
        &["device", "test", "nope"],
        &["device", "trust", "nope"],
        &["credential", "set", "nope"],
        &["credential", "remove", "nope"],
        &["profile", "show", "nope"],
        &["profile", "test", "sub", "--profile", "nope"],
        &["device", "add", "new", "--source", "dir:sub", "--profile", "nope"],
        &["change", "show", "nope"],
        &["change", "close", "nope"],
        &["change", "abort", "nope"],
        &["device", "replace", "nope"],
        &["release", "finish", "nope"],
        &["release", "rollback", "nope", "--done"],
        &["journal", "--device", "nope"],
        &[&["change", "open", "nope"][..], &ticket].concat(),
        &["release", "list", "nope"],
        &["release", "diff", "nope", "1", "2"],
        &["release", "begin", "nope", "2", "--why", "w"],
        &notes,
        &["mirror", "push", "nope"],
        &["mirror", "status", "nope"],
        &["mirror", "fetch", "nope"],
        &["mirror", "forget", "nope"],
        &["mirror", "remove", "nope"],
        &["drill", "show", "nope"],
        &["forget", "nope"],
        &["key", "remove", "nope"],
    ];
    for args in all {
        let run = env.cv(&[args, &["--json"][..]].concat());
        assert_eq!(run.text(), "", "{args:?}: errors are text, with --json too");
        let said = run.failed(2);
        let named = ["nope", "99", "post/T", "0.1"].iter().any(|word| said.lines().next().unwrap().contains(word));
        assert!(said.starts_with("error: ") && named, "{args:?}: {said}");
        assert!(said.contains("\nhint: "), "{args:?}: {said}");
    }
}

#[test]
fn a_device_that_waits_for_its_first_snapshot_is_said_to() {
    let env = named();
    env.cv(&["device", "add", "fresh", "--source", "dir:nowhere", "--release", "1"]).succeeded();
    let all: &[(&[&str], i32)] = &[
        (&["log", "fresh"], 1),
        (&["ls", "fresh"], 1),
        (&["show", "fresh"], 1),
        (&["search", "x", "fresh"], 1),
        (&["diff", "fresh"], 2),
        (&["diff", "fresh", "now"], 2),
        (&["name", "fresh", "x"], 1),
        (&["restore", "fresh", "--to", "out"], 1),
        (&["restore", "fresh", "--device", "--yes"], 1),
        (&["secrets", "fresh"], 1),
        (&["release", "list", "fresh"], 1),
        (&["check", "fresh"], 1),
    ];
    for (args, code) in all {
        let said = env.cv(args).failed(*code);
        assert!(
            said.contains("Device has no generation yet: fresh\nhint: `confvault snapshot fresh` takes one"),
            "{args:?}: {said}"
        );
    }
    // A slip in the name of one that was never taken is found, too; and one in the name of a mirror.
    assert!(env.cv(&["log", "frehs"]).failed(2).contains("near: fresh"));
    assert!(env.cv(&["device", "show", "frehs"]).failed(2).contains("near: fresh"));
    env.cv(&["mirror", "add", "offsite", "nowhere.git"]).succeeded();
    assert!(env.cv(&["mirror", "push", "ofsite"]).failed(2).contains("near: offsite"));
    assert!(env.cv(&["mirror", "push"]).failed(1).contains("git init --bare"));
}

#[test]
fn a_path_of_the_device_leads_to_the_one_of_the_set() {
    let env = named();
    for args in [
        &["show", "pbx", "/etc/asterisk/sip.conf"][..],
        &["show", "pbx", "spi.conf"],
        &["ls", "pbx", "/etc/asterisk/sip.conf"],
        &["diff", "pbx", "/etc/asterisk/sip.conf"],
        &["restore", "pbx", "/etc/asterisk/sip.conf", "--to", "out"],
    ] {
        let said = env.cv(args).failed(2);
        assert!(said.contains("near: ") && said.contains("/sip.conf\n"), "{args:?}: {said}");
    }
    let said = env.cv(&["diff", "pbx", "golden"]).failed(2);
    assert!(said.contains("`confvault diff pbx @golden`"), "{said}");
    // Also where the device has nothing before to compare with.
    let said = env.cv(&["diff", "pbx@1", "golden"]).failed(2);
    assert!(said.contains("`confvault diff pbx@1 @golden`"), "{said}");
}

#[test]
fn the_identity_that_init_made_is_named() {
    let env = TestEnv::new();
    env.write("pbx/sip.conf", "[1]\nsecret=s3cr3t-canary\n");
    env.cv(&["init", "cv", "--collector", "c"]).succeeded();
    let cv = |args: &[&str]| env.cv(&[&["-C", "cv"], args].concat());
    cv(&["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "20.6.0"]).succeeded();
    cv(&["snapshot"]).succeeded();
    let restore = |identity: &[&str]| cv(&[&["restore", "pbx", "--to", "out"], identity].concat());
    let made = "cv-admin/identity.txt`";
    assert!(restore(&[]).failed(12).contains(made));
    assert!(restore(&["--identity", "nowhere.txt"]).failed(12).contains(made));
    assert!(restore(&["--identity", "cv-admin"]).failed(12).contains("this is a folder; name `"));
    // A folder that others can read is no key file whose rights are to be taken away.
    env.write("open/notes.txt", "x");
    std::fs::set_permissions(env.path("open"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = restore(&["--identity", "open"]).failed(12);
    assert!(said.contains("this is a folder; name the file in it") && !said.contains("chmod"), "{said}");
    // A pipe that others can read is made anew; its rights are no file's.
    assert!(std::process::Command::new("mkfifo").args(["-m", "644"]).arg(env.path("pipe")).status().unwrap().success());
    let said = restore(&["--identity", "pipe"]).failed(12);
    assert!(said.contains("hint: this is a pipe that others can read") && !said.contains("chmod"), "{said}");
    let own = restore(&["--identity", "cv/keys/identity.txt"]).failed(12);
    assert!(own.contains("identity of the collector itself") && own.contains(made), "{own}");
    restore(&["--identity", "cv-admin/identity.txt"]).succeeded();
    // Away from this machine, as it should be, nothing is promised.
    std::fs::rename(env.path("cv-admin"), env.path("safe")).unwrap();
    std::fs::remove_dir_all(env.path("out")).unwrap();
    assert!(!restore(&[]).failed(12).contains("that `confvault init` made"));
    // A slip in the administrator's folder is said, not that the administrator is unknown.
    let said = env.cv(&["init", "two", "--from", "cv/store.git", "--admin", "cv-admin"]).failed(12);
    assert!(said.contains("No administrator's folder here: "), "{said}");
}

#[test]
fn what_a_word_should_have_been_is_said() {
    let env = named();
    let said = env.cv(&["device", "add", "x", "--source", "/etc/asterisk"]).failed(2);
    assert!(said.contains("is not a URL of a source") && said.contains("`dir:/etc/asterisk`"), "{said}");
    let said = env.cv(&["restore", "pbx"]).failed(2);
    assert!(["--to", "--tar", "--device"].iter().all(|way| said.contains(way)), "{said}");
    let said = env.cv(&["forget", "pbx"]).failed(1);
    assert!(said.contains("`confvault device remove pbx`"), "{said}");
    // A folder with something in it is no obstacle, but may be the wrong one.
    env.write("etc/sip.conf", "x");
    assert!(env.cv(&["init", "etc"]).stderr.contains("was not empty"));
}

#[test]
fn a_command_line_that_does_not_parse_says_nothing_on_standard_output() {
    let env = named();
    for args in [&["ls", "--json"][..], &["ls", "pbx", "--bogus", "--json"], &["device", "add", "x", "--source", "/x", "--json"]]
    {
        let run = env.cv(args);
        assert_eq!(run.text(), "", "{args:?}");
        assert!(run.failed(2).starts_with("error: "), "{args:?}");
    }
}
