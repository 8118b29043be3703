use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn packs_become_one_and_nothing_is_lost() {
    let env = TestEnv::with_history();
    let before = env.cv(&["log", "pbx"]).succeeded();
    let run = env.cv(&["maintain"]).succeeded();
    assert!(run.contains("packs of") && run.contains("now 1 of"), "{run}");
    assert_eq!(env.cv(&["log", "pbx"]).succeeded(), before);
    env.cv(&["check", "--read-data"]).succeeded();
    assert_snapshot!(env.cv(&["maintain", "--quick", "--json"]), @r#"
    {
      "version": 1,
      "command": "maintain",
      "packs_before_count": 3,
      "packs_after_count": 2,
      "before_bytes": [N],
      "after_bytes": [N]
    }
    "#);
}
