use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn lines_are_found_with_the_generations_that_hold_them() {
    let env = TestEnv::with_history();
    assert_snapshot!(env.cv(&["search", "allow|x=1"]), @"
    pbx@3 voip/new.conf:2: x=1
    pbx@3 voip/sip.conf:3: allow=alaw,g722
    --- stderr
    2 lines in 1 generation of 1 device
    ");
    assert_snapshot!(env.cv(&["search", "allow", "pbx", "--all-generations"]), @"
    pbx@2-3 voip/sip.conf:3: allow=alaw,g722
    pbx@1 voip/sip.conf:3: allow=alaw
    --- stderr
    2 lines in 3 generations of 1 device
    ");
    assert_snapshot!(env.cv(&["search", "-F", "port=5060", "--all-generations", "--json"]), @r#"
    {"device":"pbx","first_generation":2,"last_generation":3,"scope":"voip","path":"sip.conf","line":2,"text":"port=5060"}
    {"device":"pbx","first_generation":1,"last_generation":1,"scope":"voip","path":"sip.conf","line":2,"text":"port=5060"}
    "#);
    assert_snapshot!(env.cv(&["search", "-i", "PORT", "--path", "new.conf"]), @"
    --- stderr
    0 lines in 1 generation of 1 device
    ");
    assert_snapshot!(env.cv(&["search", "(", "pbx"]), @"
    --- stderr
    error: Not a regular expression: unclosed group
    hint: `-F` takes the pattern as it is written
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["search", "x", "nobody"]), @"
    --- stderr
    error: No such device: nobody
    hint: `confvault device list` shows all devices
    --- exit 2
    ");
}

#[test]
fn what_is_damaged_is_named_and_hides_nothing_else() {
    let env = TestEnv::with_history();
    env.write("gw/gw.conf", "allow=alaw\n");
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    env.lose("refs/heads/gw/1:voip/gw.conf");
    let run = env.cv(&["search", "allow"]);
    assert_eq!(run.code, 13, "{run}");
    assert!(run.text().contains("pbx@3 voip/sip.conf:3: allow=alaw,g722"), "{run}");
    assert!(run.stderr.contains("Not searched: gw@1 voip/gw.conf"), "{run}");
    assert!(run.stderr.contains("hint: `confvault check --read-data`"), "{run}");
    // The newest commit of a device: nothing of it is known, the other is searched.
    env.lose("refs/heads/gw/1");
    let run = env.cv(&["search", "allow", "--all-generations", "--json"]);
    assert_eq!(run.code, 13, "{run}");
    assert_eq!(run.text().lines().count(), 2, "{run}");
    assert!(run.stderr.contains("error: Not searched: gw\n"), "{run}");
}
