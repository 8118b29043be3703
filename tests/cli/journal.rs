use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn everything_is_recorded_once() {
    let env = TestEnv::with_history();
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["name", "pbx", "golden"]).succeeded();
    env.cv(&["unname", "pbx", "golden"]).succeeded();
    env.cv(&["restore", "pbx", "--to", "out"]).succeeded();
    env.cv(&["check"]).succeeded();
    env.cv(&["maintain"]).succeeded();
    assert_snapshot!(env.cv(&["journal"]), @"
    TIME                 COLLECTOR  ACTION    OUTCOME     WHAT
    [TIME]  central    maintain  done        packs_before=10 packs_after=1 =[N] =[N]
    [TIME]  central    check     done        findings=0 read_data=false generations=3
    [TIME]  central    restore   done        pbx generation=3 files=3 bytes=80 skipped=0
    [TIME]  central    unname    done        pbx generation=3 name=golden
    [TIME]  central    name      done        pbx generation=3 name=golden
    [TIME]  central    snapshot  unchanged   devices=pbx
    [TIME]  central    snapshot  generation  pbx generation=3 release=20.2 kind=unannounced changed=+1 ~0 -2
    [TIME]  central    snapshot  generation  pbx generation=2 release=18.1 kind=unannounced changed=+0 ~1 -0
    [TIME]  central    snapshot  generation  pbx generation=1 release=18.1 kind=first changed=+4 ~0 -0
    [TIME]  central    init      done        sealing=false
    ");
    assert_snapshot!(env.cv(&["journal", "--json", "--device", "pbx", "-n", "2"]), @r#"
    {"v":1,"time":"[TIME]","run":"[RUN]","action":"restore","collector":"central","version":"0.1.0","outcome":"done","device":"pbx","generation":3,"files":3,"bytes":80,"skipped":0}
    {"v":1,"time":"[TIME]","run":"[RUN]","action":"unname","collector":"central","version":"0.1.0","outcome":"done","device":"pbx","generation":3,"name":"golden"}
    "#);
    assert!(env.cv(&["journal", "--since", "1h", "--json"]).succeeded().lines().count() > 5);
    assert_eq!(env.cv(&["journal", "--since", "2100-01-01", "--json"]).succeeded(), "");
    env.cv(&["journal", "--since", "yesterday"]).failed(2);
}
