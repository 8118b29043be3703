use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn a_name_once_used_is_never_given_to_another_generation() {
    let env = TestEnv::with_history();
    assert_snapshot!(env.cv(&["name", "pbx", "golden", "--note", "proven"]), @"pbx@3 is golden");
    assert_snapshot!(env.cv(&["name", "pbx@1", "golden"]), @"
    --- stderr
    error: Name is taken by generation 3 of pbx: golden
    hint: choose another name, such as one with a date; a name is never given to another generation
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["unname", "pbx", "golden", "--json"]), @r#"
    {
      "version": 1,
      "command": "unname",
      "device": "pbx",
      "generation": 3,
      "name": "golden"
    }
    "#);
    assert_snapshot!(env.cv(&["name", "pbx@1", "golden"]), @"
    --- stderr
    error: Name was once on generation 3 of pbx and is never given to another: golden
    hint: choose another name, such as one with a date; a name is never given to another generation
    --- exit 1
    ");
    // Back to where it was.
    assert_snapshot!(env.cv(&["name", "pbx@3", "golden", "--json"]), @r#"
    {
      "version": 1,
      "command": "name",
      "device": "pbx",
      "generation": 3,
      "name": "golden"
    }
    "#);
    assert_snapshot!(env.cv(&["unname", "pbx", "silver"]), @"
    --- stderr
    error: Device pbx has no name silver
    hint: names: golden
    --- exit 2
    ");
    for name in ["now", "42", "-x", "a/b", "a b", "pre"] {
        env.cv(&["name", "pbx", "--", name]).failed(2);
    }
}

#[test]
fn git_shows_what_lies_between_two_names() {
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@1", "before"]).succeeded();
    env.cv(&["name", "pbx@3", "after"]).succeeded();
    let git = |args: &[&str]| {
        let out = std::process::Command::new("git").arg("-C").arg(env.path("store.git")).args(args).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let between = git(&["diff", "--name-status", "pbx/before", "pbx/after", "--", "voip"]);
    assert_eq!(between, "A\tvoip/new.conf\nM\tvoip/sip.conf\nD\tvoip/sub/extra.conf\n");
    let text = git(&["diff", "pbx/before", "pbx/after", "--", "voip/sip.conf"]);
    assert!(text.contains("\n-allow=alaw\n+allow=alaw,g722\n"), "{text}");
}

/// Names are tags, and git compares what they stand for as the files stood.
#[test]
fn git_compares_names() {
    let env = TestEnv::with_history();
    for (point, name) in [("pbx@1", "one"), ("pbx@2", "two")] {
        env.cv(&["name", point, name]).succeeded();
    }
    let git =
        std::process::Command::new("git").arg("-C").arg(env.path("store.git")).args(["diff", "pbx/one", "pbx/two"]).output();
    let shown = String::from_utf8(git.unwrap().stdout).unwrap();
    let [changed, by] = ["--- a/voip/sip.conf\n+++ b/voip/sip.conf\n", "\n-allow=alaw\n+allow=alaw,g722\n"];
    assert!(shown.contains(changed) && shown.contains(by), "{shown}");
}
