//! Devices in files of their own: `devices.d`.

use insta::assert_snapshot;

use crate::env::TestEnv;

fn env() -> TestEnv {
    let env = TestEnv::with_store();
    env.write("pbx/a.conf", "a=1\n");
    env.write("gw/a.conf", "a=1\n");
    env.write("devices.d/10-berlin.toml", "# Berlin\n[devices.pbx] # the old one\nsource = \"dir:pbx\"\nrelease = \"1\"\n");
    env.write("devices.d/20-bonn.toml", "[devices.gw]\nsource = \"dir:gw\"\nrelease = \"1\"\n");
    env.write("devices.d/.#20-bonn.toml", "not toml");
    env.write("devices.d/20-bonn.toml~", "not toml");
    env
}

#[test]
fn files_of_devices_are_read_and_changed_where_they_stand() {
    let env = env();
    assert_snapshot!(env.cv(&["device", "list"]), @"
    NAME  PROFILE  RELEASE  SOURCE   LABELS
    gw    generic  1        dir:gw
    pbx   generic  1        dir:pbx
    ");
    env.cv(&["snapshot"]).succeeded();
    let main = env.read("confvault.toml");
    env.cv(&["device", "set", "pbx", "--label", "site=berlin"]).succeeded();
    assert_eq!(
        env.read("devices.d/10-berlin.toml"),
        "# Berlin\n[devices.pbx] # the old one\nsource = \"dir:pbx\"\nrelease = \"1\"\nlabels = { site = \"berlin\" }\n"
    );
    env.cv(&["device", "remove", "gw"]).succeeded();
    assert_eq!((env.read("devices.d/20-bonn.toml").as_str(), env.read("confvault.toml")), ("", main));
    let said = env.cv(&["device", "add", "pbx", "--source", "dir:x"]).failed(1);
    assert!(said.contains("Device exists already: pbx"), "{said}");
    env.cv(&["device", "add", "sw", "--source", "dir:gw", "--release", "1"]).succeeded();
    assert!(env.read("confvault.toml").contains("[devices.sw]"));
    assert!(env.cv(&["log", "gw"]).succeeded().contains("first"));
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_name() {
    let env = env();
    env.write("devices.d/30-twice.toml", "[devices.pbx]\nsource = \"dir:pbx\"\n");
    assert_snapshot!(env.cv(&["device", "list"]), @"
    --- stderr
    error: Device pbx stands in two files: $TEST/work/devices.d/10-berlin.toml, $TEST/work/devices.d/30-twice.toml
    hint: take the device out of one of the files
    --- exit 2
    ");
    env.write("devices.d/30-twice.toml", "[devices.sw]\nsource = \"ssh://u:hunter2@h\"\n");
    let said = env.cv(&["device", "list"]).failed(2);
    assert!(
        said.contains("Line 2 of $TEST/work/devices.d/30-twice.toml, key devices.sw.source") && !said.contains("hunter2"),
        "{said}"
    );
    // Policies and mirrors stand in confvault.toml alone.
    env.write("devices.d/30-twice.toml", "[policy]\njobs = 1\n");
    assert!(env.cv(&["device", "list"]).failed(2).contains("30-twice.toml"));
}

#[test]
fn they_come_back_with_a_lost_collector() {
    let env = env();
    env.cv(&["snapshot"]).succeeded();
    assert!(std::process::Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("m.git")).status().unwrap().success());
    env.cv(&["mirror", "add", "off", "m.git"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    let admin = env.path("../work-admin");
    env.cv(&["init", "again", "--from", "m.git", "--admin", admin.to_str().unwrap()]).succeeded();
    assert_eq!(env.read("again/devices.d/10-berlin.toml"), env.read("devices.d/10-berlin.toml"));
    assert!(env.cv(&["-C", "again", "device", "list"]).succeeded().contains("dir:pbx"));
    assert!(!env.path("again/devices.d/.#20-bonn.toml").exists());
}
