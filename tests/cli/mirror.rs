use std::process::Command;

use insta::assert_snapshot;

use crate::env::TestEnv;

fn git(env: &TestEnv, args: &[&str]) {
    let status = Command::new("git").args(args).current_dir(env.path("")).env("GIT_CONFIG_NOSYSTEM", "1").status().unwrap();
    assert!(status.success(), "git {args:?}");
}

fn env() -> TestEnv {
    let env = TestEnv::with_history();
    git(&env, &["init", "--quiet", "--bare", "off.git"]);
    env.cv(&["mirror", "add", "off", "off.git"]).succeeded();
    env
}

#[test]
fn a_mirror_gets_everything_and_says_so() {
    let env = env();
    assert_snapshot!(env.cv(&["mirror", "status"]), @"
    off  lacks something  $TEST/work/off.git
      missing  refs/heads/_store
      missing  refs/heads/_journal/central/[MONTH]
      missing  refs/heads/pbx/18.1
      missing  refs/heads/pbx/20.2
    --- stderr
    warning: off lies on the file system of the store: what takes one takes both
    --- exit 3
    ");
    assert_snapshot!(env.cv(&["mirror", "push"]), @"off  took 5 refs");
    assert_snapshot!(env.cv(&["mirror", "push"]), @"off  had everything");
    assert_snapshot!(env.cv(&["mirror", "status"]), @"
    off  has everything  $TEST/work/off.git
      has  refs/heads/_store
      has  refs/heads/_collector/central
      has  refs/heads/_journal/central/[MONTH]
      has  refs/heads/pbx/18.1
      has  refs/heads/pbx/20.2
    --- stderr
    warning: off lies on the file system of the store: what takes one takes both
    ");
    env.write("pbx/sip.conf", "[general]\nport=5061\nallow=alaw\n\n[1001]\nsecret=s3cr3t-canary\n");
    env.cv(&["snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["mirror", "status", "--behind"]), @"
    off  lacks something  $TEST/work/off.git
      behind by 1  refs/heads/_journal/central/[MONTH]
      behind by 1  refs/heads/pbx/20.2
    --- stderr
    warning: off lies on the file system of the store: what takes one takes both
    --- exit 3
    ");
    assert_snapshot!(env.cv(&["mirror", "push", "off", "--json"]), @r#"
    {
      "version": 1,
      "command": "mirror push",
      "mirrors": [
        {
          "mirror": "off",
          "url": "$TEST/work/off.git",
          "outcome": "done",
          "moved_count": 2,
          "lost": [],
          "groups": [
            {
              "group": "_store",
              "outcome": "up-to-date"
            },
            {
              "group": "_collector/central",
              "outcome": "up-to-date"
            },
            {
              "group": "_journal/central",
              "outcome": "pushed",
              "refs_count": 1
            },
            {
              "group": "pbx",
              "outcome": "pushed",
              "refs_count": 1
            }
          ],
          "strange": []
        }
      ]
    }
    "#);
    env.cv(&["mirror", "remove", "off"]).succeeded();
    assert_snapshot!(env.cv(&["mirror", "push"]), @"
    --- stderr
    error: There is no mirror
    hint: add one with `confvault mirror add MIRROR URL`
    --- exit 1
    ");
}

#[test]
fn the_hook_is_proven() {
    let env = env();
    env.cv(&["mirror", "push"]).succeeded();
    let proof = env.cv(&["mirror", "status", "--prove"]);
    assert_eq!(proof.code, 3, "{proof}");
    assert!(proof.text().contains("NOT append-only"), "{proof}");
    let hook = env.cv(&["mirror", "hook"]).succeeded();
    assert_eq!(env.cv(&["mirror", "hook", "--json"]).json()["hook"], hook.as_str());
    env.write("off.git/hooks/update", hook);
    std::fs::set_permissions(env.path("off.git/hooks/update"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let proof = env.cv(&["mirror", "status", "--prove"]);
    assert!(proof.text().contains("append-only: proven"), "{proof}");
}

#[test]
fn a_device_that_the_mirror_holds_otherwise_is_refused_and_named() {
    let env = env();
    env.write("gw/a", "x");
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    git(&env, &["-C", "off.git", "update-ref", "refs/heads/gw/1", "refs/heads/pbx/18.1"]);
    env.write("gw/a", "y");
    env.write("pbx/new.conf", "[new]\nx=2\n");
    env.cv(&["snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["mirror", "push"]), @"
    off  took 2 refs
    --- stderr
    error: Mirror off refused gw; nothing of it was moved: refs/heads/gw/1
    caused by: the mirror holds it otherwise (diverged)
    hint: `confvault mirror status off` shows how they differ; find out who wrote there
    --- exit 3
    ");
}

#[test]
fn a_store_is_rebuilt_from_its_mirror_in_one_command() {
    let env = env();
    env.cv(&["mirror", "push"]).succeeded();
    assert_snapshot!(env.cv(&["init", "again", "--from", "off.git"]), @"
    --- stderr
    error: Whose store this is was not confirmed; its administrators have the keys SHA256:[KEY]
    hint: compare the fingerprint with the administrator's own (`confvault key list`), then give it: `--fingerprint SHA256:…`
    hint: or name the administrator's folder with `--admin FOLDER`
    --- exit 12
    ");
    assert!(!env.path("again/store.git").exists() && !env.path("again/keys").exists());
    env.cv(&["init", "again", "--from", "off.git", "--fingerprint", "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
        .failed(12);
    assert_snapshot!(env.cv(&["init", "again", "--from", "off.git", "--admin", "../work-admin"]), @"
    store             $TEST/work/again/store.git
    collector         central
    administrator key SHA256:[KEY]
    checked           1 device, [SIZE]: clean
    ");
    env.cv(&["-C", "again", "check", "--read-data"]).succeeded();
    assert!(env.read("again/confvault.toml").contains("[devices.pbx]"));
    // It goes on where the lost one stopped.
    env.cv(&["-C", "again", "device", "set", "pbx", "--source", "dir:../pbx"]).succeeded();
    assert_snapshot!(env.cv(&["-C", "again", "snapshot"]), @"
    pbx  unchanged 3
    --- stderr
    warning: secrets are kept in clear in this store (made with --no-sealing)
    0 new, 1 unchanged, 0 failed; [SIZE] added in [SECONDS] s
    ");
}

#[test]
fn another_machine_joins_and_is_let_in() {
    let env = env();
    env.cv(&["mirror", "push"]).succeeded();
    let fingerprint = env.cv(&["key", "list", "--json"]).json()["administrators"][0]["fingerprint"].as_str().unwrap().to_owned();
    let joined = env.cv(&["init", "branch", "--from", "off.git", "--collector", "branch", "--fingerprint", &fingerprint]);
    assert_snapshot!(joined, @"
    store             $TEST/work/branch/store.git
    collector         branch
    administrator key SHA256:[KEY]
    checked           1 device, [SIZE]: clean
    confvault key admit 'confvault-join 1 branch age1[KEY] ssh-ed25519 [KEY]'
    --- stderr
    This machine may read what is in clear. To let it write, an administrator runs:
    The inventory is a new one; add devices with `confvault device add`
    ");
    env.cv(&["-C", "branch", "log", "pbx"]).succeeded();
    let request = String::from_utf8(joined.stdout).unwrap();
    let request = request.split('\'').nth(1).unwrap();
    env.cv(&["key", "admit", request]).succeeded();
}

#[test]
fn what_is_no_mirror_is_said() {
    let env = TestEnv::with_store();
    for url in ["ext::sh -c id", "--upload-pack=x", "https://u:hunter2@h/x", "ssh://-oProxyCommand=x/"] {
        let said = env.cv(&["mirror", "add", "x", "--", url]).failed(2);
        assert!(!said.contains("hunter2"), "{said}");
    }
    env.cv(&["mirror", "add", "gone", "gone.git"]).succeeded();
    let said = env.cv(&["mirror", "push"]).failed(1);
    assert!(said.contains("error:"), "{said}");
}

#[test]
fn what_protects_nothing_on_the_way_is_said_to() {
    let env = TestEnv::with_store();
    for (name, url, open) in [
        ("plain", "http://mirror.example/cv.git", true),
        ("old", "git://mirror.example/cv.git", true),
        ("tls", "https://mirror.example/cv.git", false),
        ("ssh", "ssh://backup@mirror.example/cv.git", false),
        ("scp", "backup@mirror.example:cv.git", false),
    ] {
        let run = env.cv(&["mirror", "add", name, url]);
        assert_eq!(run.stderr.contains("can be read and altered on the way"), open, "{run}");
        run.succeeded();
    }
    for url in ["https://user:geheim@mirror.example/cv.git", "ssh://user:geheim@mirror.example/cv.git"] {
        let refused = env.cv(&["mirror", "add", "secret", url]).failed(2);
        assert!(!refused.contains("geheim"), "{refused}");
    }
}

#[test]
fn a_name_that_is_none_of_a_mirror_is_called_so() {
    let env = TestEnv::with_store();
    let said = env.cv(&["mirror", "add", "_x", "far.git"]).failed(2);
    assert!(said.contains("is not a mirror name") && !said.contains("device"), "{said}");
}
