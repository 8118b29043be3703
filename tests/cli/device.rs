use insta::assert_snapshot;

use crate::env::TestEnv;

fn env() -> TestEnv {
    let env = TestEnv::with_store();
    env.write("confvault.toml", "# ours\ncollector = \"central\"\n");
    env
}

#[test]
fn a_device_is_added_changed_shown_and_removed() {
    let env = env();
    env.write("pbx/a.conf", "x");
    assert_snapshot!(
        env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "20.1", "--label", "site=berlin"]),
        @"added pbx  dir:pbx"
    );
    assert_snapshot!(env.cv(&["device", "set", "pbx", "--profile", "generic", "--label", "role=pbx", "--unlabel", "site"]), @r#"
    name         pbx
    source       dir:pbx
    profile      generic
    release      20.1
    labels       {"role":"pbx"}
    "#);
    assert_snapshot!(env.cv(&["device", "list"]), @"
    NAME  PROFILE  RELEASE  SOURCE   LABELS
    pbx   generic  20.1     dir:pbx  role=pbx
    ");
    assert_snapshot!(env.cv(&["device", "list", "--json"]), @r#"
    {
      "version": 1,
      "command": "device list",
      "devices": [
        {
          "name": "pbx",
          "source": "dir:pbx",
          "profile": "generic",
          "release": "20.1",
          "labels": {
            "role": "pbx"
          }
        }
      ],
      "not_in_inventory": []
    }
    "#);
    assert_snapshot!(env.read("confvault.toml"), @r#"
    # ours
    collector = "central"

    [devices.pbx]
    source = "dir:pbx"
    release = "20.1"
    labels = { role = "pbx" }
    profile = "generic"
    "#);
    assert_snapshot!(env.cv(&["device", "remove", "pbx"]), @"removed pbx; its history stays in the store");
    assert_snapshot!(env.cv(&["device", "list"]), @"
    --- stderr
    No devices; add one with `confvault device add NAME --source URL`
    ");
}

#[test]
fn each_folder_of_a_folder_becomes_a_device() {
    let env = env();
    env.write("fleet/gw-2/a", "x");
    env.write("fleet/gw-1/a", "x");
    assert_snapshot!(env.cv(&["device", "add", "--from", "fleet", "--release", "1"]), @"
    added gw-1  dir:fleet/gw-1
    added gw-2  dir:fleet/gw-2
    ");
    // Once more, when the folder has one more: only that one is new.
    env.write("fleet/gw-3/a", "x");
    assert_snapshot!(env.cv(&["device", "add", "--from", "fleet"]), @"
    added gw-3  dir:fleet/gw-3
    --- stderr
    2 were there already
    ");
    env.cv(&["device", "set", "gw-2", "--source", "dir:elsewhere"]).succeeded();
    assert_snapshot!(env.cv(&["device", "add", "--from", "fleet"]), @"
    --- stderr
    error: Device exists already: gw-2
    hint: change it with `confvault device set gw-2 …`
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["device", "add", "--from", "nowhere"]), @"
    --- stderr
    error: Cannot read $TEST/work/nowhere
    caused by: No such file or directory (os error 2)
    --- exit 1
    ");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let env = env();
    assert_snapshot!(env.cv(&["device", "add", "x", "--source", "dir:nowhere"]), @"
    added x  dir:nowhere
    --- stderr
    warning: Folder of x is not there: $TEST/work/nowhere
    ");
    assert_snapshot!(env.cv(&["device", "add", "y", "--source", "dir:y", "--profile", "nothing"]), @"
    --- stderr
    error: No such profile: nothing
    hint: `confvault profile list` shows all profiles
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["device", "set", "x"]), @"
    --- stderr
    error: Nothing to change
    hint: `confvault device set --help` shows what can be set
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["device", "show", "nobody"]), @"
    --- stderr
    error: No such device in the inventory: nobody
    hint: `confvault device list` shows all devices
    --- exit 2
    ");
    env.write("confvault.toml", "collector = \"central\"\n[policy]\njob = 3\n");
    assert_snapshot!(env.cv(&["device", "list"]), @"
    --- stderr
    error: Line 3 of $TEST/work/confvault.toml, key policy.job
    caused by: Unknown field `job`, expected one of `large_over`, `max_shrink`, `jobs`, `jobs_per_site`, `timeout`, `max_size`, `max_files`, `full_every`, `announced_changes`, `keep_logs`, `keep_large`, `drill_every`, `recovery_target`, `mirror_timeout`, `lock_timeout`
    --- exit 2
    ");
}

#[test]
fn hostile_names_and_passwords_are_refused() {
    let env = env();
    let long = "x".repeat(300);
    for name in ["../x", "/etc/x", ".git/hooks/x", "a/../b", "-oProxyCommand=x", "CON", "a\nb", "_x", "", &long] {
        let run = env.cv(&["device", "add", "--source", "dir:x", "--", name]);
        let said = run.failed(2);
        assert!(!said.contains('\u{1b}') && said.lines().count() < 8, "{said}");
    }
    for source in ["ssh://u:hunter2@h", "sftp://u:hunt/er2@h/x", "ssh://-oProxyCommand=x", "dir:a\x1b[2J"] {
        let said = env.cv(&["device", "add", "x", "--source", source]).failed(2);
        assert!(!said.contains("er2") && !said.contains('\x1b'), "{said}");
    }
    assert_eq!(env.read("confvault.toml"), "# ours\ncollector = \"central\"\n");
}
