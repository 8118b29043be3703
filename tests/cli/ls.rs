use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn files_with_mode_size_and_form() {
    let env = TestEnv::with_history();
    let run = env.cv(&["ls", "pbx@1"]);
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    assert_snapshot!(run.succeeded().replace(&format!("{uid}:{gid}"), "[OWNER]"), @"
    -0644  [OWNER]  5 B   plain  system/version
    -0644  [OWNER]  60 B  plain  voip/sip.conf
    d0755  [OWNER]  -     -      voip/sub
    -0644  [OWNER]  10 B  plain  voip/sub/extra.conf
    ");
    assert_snapshot!(env.cv(&["ls", "pbx@1", "--json", "sip.conf"]), @r#"
    {
      "version": 1,
      "command": "ls",
      "device": "pbx",
      "generation": 1,
      "release": "18.1",
      "signature": "good",
      "entries": [
        {
          "scope": "voip",
          "path": "sip.conf",
          "kind": "file",
          "mode": "0644",
          "uid": [N],
          "gid": [N],
          "size_bytes": 60,
          "form": "plain"
        }
      ]
    }
    "#);
    assert_snapshot!(env.cv(&["ls", "pbx@1", "nothing"]), @"
    --- stderr
    error: Nothing of this generation matches nothing
    hint: `confvault ls POINT` lists the files of a generation
    --- exit 2
    ");
    assert!(env.cv(&["ls", "pbx@1", "**/*.conf"]).succeeded().lines().count() == 2);
}
