use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn generations_of_all_releases_newest_first() {
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@1", "golden"]).succeeded();
    assert_snapshot!(env.cv(&["log", "pbx"]), @"
    NO  TIME                 RELEASE  KIND         CHANGED   NAMES   NOTE
    3   [TIME]  20.2     unannounced  +1 ~0 -2  -       upgrade
    2   [TIME]  18.1     unannounced  +0 ~1 -0  -
    1   [TIME]  18.1     first        +4 ~0 -0  golden  as taken over
    ");
    assert_snapshot!(env.cv(&["log", "pbx", "--release", "18.1", "-n", "1"]), @"
    NO  TIME                 RELEASE  KIND         CHANGED   NAMES  NOTE
    2   [TIME]  18.1     unannounced  +0 ~1 -0  -
    ");
    assert_snapshot!(env.cv(&["log", "pbx", "--json", "-n", "1"]), @r#"
    {
      "version": 1,
      "command": "log",
      "device": "pbx",
      "generations": [
        {
          "number": 3,
          "time": "[TIME]",
          "release": "20.2",
          "kind": "unannounced",
          "changed": {
            "added": 1,
            "changed": 0,
            "removed": 2
          },
          "names": [],
          "note": "upgrade",
          "change": null,
          "collector": "central",
          "run": "[RUN]",
          "accepted": null,
          "imported": null,
          "set_digest": "[ID]",
          "commit": "[ID]"
        }
      ]
    }
    "#);
    assert_snapshot!(env.cv(&["log", "pbxx"]), @"
    --- stderr
    error: No such device: pbxx
    hint: near: pbx
    --- exit 1
    ");
}

#[test]
fn without_a_store_the_exit_code_says_so() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["log", "pbx"]), @"
    --- stderr
    error: No confvault.toml here or in a folder above: $TEST/work
    hint: name the folder with `-C DIR` or CONFVAULT_DIR, or make a store with `confvault init DIR`
    --- exit 10
    ");
    assert_snapshot!(env.cv(&["-C", "nowhere", "log", "pbx"]), @"
    --- stderr
    error: No store here: $TEST/work/nowhere/store.git
    hint: make one with `confvault init DIR`, or rebuild it with `confvault init DIR --from URL`
    --- exit 10
    ");
}
