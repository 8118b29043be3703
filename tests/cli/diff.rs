use std::fs;
use std::process::Command;

use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn two_generations_as_git_shows_them() {
    let env = TestEnv::with_history();
    assert_snapshot!(env.cv(&["diff", "pbx@2"]), @"
    diff --git a/voip/sip.conf b/voip/sip.conf
    --- a/voip/sip.conf
    +++ b/voip/sip.conf
    @@ -1,6 +1,6 @@ [general]
     [general]
     port=5060
    -allow=alaw
    +allow=alaw,g722
     
     [1001]
     secret=s3cr3t-canary
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx"]), @"
    diff --git a/voip/new.conf b/voip/new.conf
    new file mode 100644
    --- /dev/null
    +++ b/voip/new.conf
    @@ -0,0 +1,2 @@
    +[new]
    +x=1
    # voip/sub: directory removed
    diff --git a/voip/sub/extra.conf b/voip/sub/extra.conf
    deleted file mode 100644
    --- a/voip/sub/extra.conf
    +++ /dev/null
    @@ -1 +0,0 @@
    -; nothing
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@2", "@2"]), @"");
    assert_snapshot!(env.cv(&["diff", "pbx@1", "pbx@2", "--word"]), @"
    diff --git a/voip/sip.conf b/voip/sip.conf
    --- a/voip/sip.conf
    +++ b/voip/sip.conf
    @@ -1,6 +1,6 @@ [general]
    [general]
    port=5060
    allow=alaw{+,g722+}

    [1001]
    secret=s3cr3t-canary
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@1", "pbx@3", "--stat"]), @"
     voip/new.conf       | 2 ++
     voip/sip.conf       | 2 +-
     voip/sub            | 0
     voip/sub/extra.conf | 1 -
     4 files changed, 3 insertions(+), 2 deletions(-)
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@1", "@2", "--semantic"]), @"
    voip/sip.conf  (changed)
      general
        ~ allow: alaw -> alaw,g722
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@1", "@2", "--json", "-U0"]), @r#"
    {
      "version": 1,
      "command": "diff",
      "old": {
        "device": "pbx",
        "release": "18.1",
        "generation": 1,
        "time": "[TIME]",
        "signature": "good"
      },
      "new": {
        "device": "pbx",
        "release": "18.1",
        "generation": 2,
        "time": "[TIME]",
        "signature": "good"
      },
      "diff": {
        "format": "confvault-diff",
        "version": 1,
        "equal": false,
        "stats": {
          "added_files": 0,
          "removed_files": 0,
          "changed_files": 1,
          "added_lines": 1,
          "removed_lines": 1,
          "changed_secrets": 0
        },
        "files": [
          {
            "path": "voip/sip.conf",
            "status": "changed",
            "old": {
              "scope": "voip",
              "path": "sip.conf",
              "type": "file",
              "mode": "0644",
              "owner": {
                "uid": [N],
                "gid": [N]
              },
              "size": 60
            },
            "new": {
              "scope": "voip",
              "path": "sip.conf",
              "type": "file",
              "mode": "0644",
              "owner": {
                "uid": [N],
                "gid": [N]
              },
              "size": 65
            },
            "content": "lines",
            "lines": {
              "added": 1,
              "removed": 1,
              "changed_secrets": 0,
              "hurried": false,
              "hunks": [
                {
                  "old_start": 3,
                  "old_lines": 1,
                  "new_start": 3,
                  "new_lines": 1,
                  "section": "[general]",
                  "lines": [
                    {
                      "op": "removed",
                      "old": 3,
                      "new": null,
                      "text": "allow=alaw"
                    },
                    {
                      "op": "added",
                      "old": null,
                      "new": 3,
                      "text": "allow=alaw,g722"
                    }
                  ]
                }
              ]
            }
          }
        ]
      }
    }
    --- exit 1
    "#);
    env.cv(&["diff", "pbx@1", "@2", "--side-by-side"]).failed(1);
}

#[test]
fn patch_reads_it() {
    let env = TestEnv::with_history();
    env.cv(&["restore", "pbx@1", "--to", "out", "--by-scope"]).succeeded();
    let diff = env.cv(&["diff", "pbx@1", "pbx@2"]);
    fs::write(env.path("the.patch"), &diff.stdout).unwrap();
    let git = Command::new("git").args(["apply", "../the.patch"]).current_dir(env.path("out")).status().unwrap();
    assert!(git.success());
    env.cv(&["restore", "pbx@2", "--to", "out", "--by-scope", "--compare"]).succeeded();
}

#[test]
fn now_is_collected_and_not_stored() {
    let env = TestEnv::with_history();
    assert_eq!(env.cv(&["diff", "pbx", "now"]).code, 0);
    env.write("pbx/new.conf", "[new]\nx=2\n");
    assert_snapshot!(env.cv(&["diff", "pbx", "now"]), @"
    diff --git a/voip/new.conf b/voip/new.conf
    --- a/voip/new.conf
    +++ b/voip/new.conf
    @@ -1,2 +1,2 @@ [new]
     [new]
    -x=1
    +x=2
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@1", "now", "sip.conf", "--stat"]), @"
     voip/sip.conf | 2 +-
     1 file changed, 1 insertion(+), 1 deletion(-)
    --- exit 1
    ");
    assert_eq!(env.cv(&["log", "pbx", "--json"]).json()["generations"].as_array().unwrap().len(), 3);
}

#[test]
fn now_knows_large_files_and_what_is_behind_them() {
    let env = TestEnv::with_history();
    let noise = |len: u32, seed: u32| -> Vec<u8> {
        (0..len).map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    };
    fs::write(env.path("pbx/a.wav"), noise(9 << 20, 0)).unwrap();
    // What is behind the first 32 MiB of a set is spooled, however small it is.
    for name in ["b1", "b2", "b3", "b4", "b5"] {
        fs::write(env.path(format!("pbx/{name}.wav")), noise(7 << 20, 0)).unwrap();
    }
    env.write("pbx/z.conf", "[z]\nx=1\n");
    env.cv(&["snapshot", "pbx"]).succeeded();
    assert_snapshot!(env.cv(&["diff", "pbx", "now"]), @"");
    fs::write(env.path("pbx/a.wav"), noise(9 << 20, 1)).unwrap();
    let run = env.cv(&["diff", "pbx", "now", "--stat"]);
    assert!(run.code == 1 && run.to_string().contains("system/a.wav"), "{run}");
}

#[test]
fn a_word_that_could_be_two_things_is_refused() {
    let env = TestEnv::with_history();
    env.write("pbx/now", "x");
    env.write("pbx/gw", "x");
    env.cv(&["snapshot"]).succeeded();
    env.write("gw/a", "x");
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["diff", "pbx", "now"]), @"
    --- stderr
    error: Could be a point and a path: now
    hint: write `-- now` for the path, `@now` for the point
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["diff", "pbx", "gw"]), @"
    --- stderr
    error: Could be a point and a path: gw
    hint: write `-- gw` for the path, `gw@~0` for the point
    --- exit 2
    ");
    env.cv(&["diff", "pbx", "@now"]).failed(0);
    env.cv(&["diff", "pbx", "--", "gw"]).failed(1);
    env.cv(&["diff", "pbx", "gw@~0"]).failed(1);
    env.cv(&["diff", "pbx", "sip.conf"]).failed(0);
}

#[test]
fn trouble_is_2_whatever_it_is() {
    let env = TestEnv::with_history();
    env.cv(&["diff"]).failed(2);
    env.cv(&["diff", "pbx", "--frob"]).failed(2);
    env.cv(&["diff", "../x"]).failed(2);
    assert_snapshot!(env.cv(&["diff", "pbx@1", "pbx@99"]), @"
    --- stderr
    error: Device pbx has no generation @99; it has generations 1 to 3
    hint: `confvault log pbx` shows all generations
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["diff", "pbx@1"]), @"
    --- stderr
    error: Device pbx has no generation before 1; it has 1 as its first
    hint: `confvault log pbx` shows all generations
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["diff", "pbx", "nothing.conf"]), @"
    --- stderr
    error: Nothing on either side matches nothing.conf
    hint: `confvault ls POINT` lists the files of a generation
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["diff", "nobody@1", "now"]), @"
    --- stderr
    error: No such device: nobody
    hint: `confvault device list` shows all devices
    --- exit 2
    ");
    env.run(env.command(&["diff", "pbx"]).env("CONFVAULT_DIR", "/nowhere")).failed(2);
}

#[test]
fn a_page_is_written_for_its_owner_only() {
    let env = TestEnv::with_history();
    env.cv(&["diff", "pbx@1", "@2", "--html", "page.html"]).failed(1);
    let page = env.read("page.html");
    assert!(page.contains("g722") && !page.contains("<script"), "{page}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(env.path("page.html")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_changed_secret_is_a_changed_token_on_both_sides() {
    let env = TestEnv::new();
    env.cv(&["init", "vault", "--collector", "central"]).succeeded();
    env.write("pbx/sip.conf", "[1001]\nsecret=s3cr3t-canary\nport=1\n");
    let add = ["-C", "vault", "device", "add", "pbx", "--source", "dir:../pbx", "--release", "1", "--profile", "asterisk"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "vault", "snapshot"]).succeeded();
    env.write("pbx/sip.conf", "[1001]\nsecret=s3cr3t-canary\nport=2\n");
    assert_snapshot!(env.cv(&["-C", "vault", "diff", "pbx", "now"]), @"
    diff --git a/voip/sip.conf b/voip/sip.conf
    --- a/voip/sip.conf
    +++ b/voip/sip.conf
    @@ -1,3 +1,3 @@ [1001]
     [1001]
     secret={{sealed:[TOKEN]}}
    -port=1
    +port=2
    --- exit 1
    ");
    env.write("pbx/sip.conf", "[1001]\nsecret=an0ther-canary\nport=1\n");
    for how in [&["--stat"][..], &["--word"], &["--semantic"], &["--json"], &["-y"], &["--html", "-"], &[]] {
        let args = [&["-C", "vault", "diff", "pbx", "now", "-vvv"], how].concat();
        let run = env.cv(&args);
        assert_eq!(run.code, 1, "{run}");
        assert!(!format!("{run}").contains("canary"), "{run}");
    }
}

#[test]
fn volatile_lines_are_shown_if_they_are_asked_for() {
    let env = TestEnv::with_store();
    let text = |time: &str, address: &str| {
        format!("! Last configuration change at {time} UTC Mon Jan 1 2026\nhostname gw\naccess-list 1 permit {address}\nend\n")
    };
    env.write("gw/running-config", text("10:00:00", "10.0.0.1"));
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "1", "--profile", "cisco-ios"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    env.write("gw/running-config", text("11:00:00", "10.0.0.2"));
    env.cv(&["snapshot"]).succeeded();
    let plain = env.cv(&["diff", "gw@1", "@2"]);
    assert!(plain.code == 1 && plain.text().contains("+access-list 1 permit 10.0.0.2"), "{plain}");
    assert!(!plain.text().contains("-! Last") && !plain.text().contains("+! Last"), "{plain}");
    let whole = env.cv(&["diff", "gw@1", "@2", "--volatile"]);
    assert!(whole.code == 1 && whole.text().contains("+access-list 1 permit 10.0.0.2"), "{whole}");
    assert!(whole.text().contains("-! Last configuration change at 10:00:00"), "{whole}");
    assert!(whole.text().contains("+! Last configuration change at 11:00:00"), "{whole}");
    // Where nothing else differs, only this tells the two apart.
    env.write("gw/running-config", text("12:00:00", "10.0.0.2"));
    assert_eq!(env.cv(&["diff", "gw", "now"]).code, 0);
    assert_eq!(env.cv(&["diff", "gw", "now", "--volatile"]).code, 1);
}
