use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn a_generation_shows_its_facts() {
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@2", "golden", "--note", "the good one"]).succeeded();
    assert_snapshot!(env.cv(&["show", "pbx@golden"]), @"
    device      pbx
    generation  2
    release     18.1
    time        [TIME]
    kind        unannounced
    changed     +0 ~1 -0
    name        golden  the good one
    collector   central
    set digest  [ID]
    commit      [ID]
    ");
    assert_snapshot!(env.cv(&["show", "pbx:18.1"]), @"
    device      pbx
    generation  2
    release     18.1
    time        [TIME]
    kind        unannounced
    changed     +0 ~1 -0
    name        golden  the good one
    collector   central
    set digest  [ID]
    commit      [ID]
    ");
    assert_snapshot!(env.cv(&["show", "pbx@9"]), @"
    --- stderr
    error: Device pbx has no generation @9; it has generations 1 to 3
    hint: `confvault log pbx` shows all generations
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["show", "pbx@nothing"]), @"
    --- stderr
    error: Device pbx has no name nothing
    hint: names: golden
    --- exit 2
    ");
    env.cv(&["show", "pbx@0"]).failed(2);
}

#[test]
fn a_file_goes_out_byte_for_byte() {
    let env = TestEnv::with_store();
    let bytes = b"a\x1b[2J\0\xff\r\nno end";
    env.write("pbx/a.bin", bytes);
    env.write("pbx/b/a.bin", "other");
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    let run = env.cv(&["show", "pbx", "a.bin"]);
    assert_eq!(run.stdout, bytes);
    assert_eq!(env.cv(&["show", "pbx", "b/a.bin"]).stdout, b"other");
    assert_snapshot!(env.cv(&["show", "pbx", "**/a.bin"]), @"
    --- stderr
    error: More than one file matches: **/a.bin
    hint: name one whole, such as voip/a.bin or voip/b/a.bin
    --- exit 2
    ");
    assert_snapshot!(env.cv(&["show", "pbx", "nothing"]), @"
    --- stderr
    error: No such file in this generation: nothing
    hint: `confvault ls POINT` lists the files of a generation
    --- exit 2
    ");
}

#[test]
fn without_an_identity_secrets_are_tokens() {
    let env = TestEnv::new();
    env.cv(&["init", "vault", "--collector", "central"]).succeeded();
    env.write("pbx/sip.conf", "[1001]\nsecret=s3cr3t-canary\n");
    let add = ["-C", "vault", "device", "add", "pbx", "--source", "dir:../pbx", "--release", "1", "--profile", "asterisk"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "vault", "snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["-C", "vault", "show", "pbx", "sip.conf"]), @"
    [1001]
    secret={{sealed:[TOKEN]}}
    --- stderr
    Secrets are shown as tokens; `--identity FILE` opens them
    ");
    let opened = env.cv(&["-C", "vault", "show", "pbx", "sip.conf", "--identity", "vault-admin/identity.txt"]);
    assert_eq!(opened.stdout, b"[1001]\nsecret=s3cr3t-canary\n");
    env.write("wrong.txt", "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQS3QQQQQ");
    env.cv(&["-C", "vault", "show", "pbx", "sip.conf", "--identity", "wrong.txt"]).failed(12);
    env.cv(&["-C", "vault", "show", "pbx", "sip.conf", "--identity", "not-there.txt"]).failed(12);
}

#[test]
fn a_file_of_text_has_a_json_form() {
    let env = TestEnv::with_history();
    let shown = env.cv(&["show", "pbx@2", "sip.conf"]).succeeded();
    let told = env.cv(&["show", "pbx@2", "sip.conf", "--json"]).json();
    assert_eq!(
        (&told["number"], &told["file"]["path"], &told["file"]["text"]),
        (&2.into(), &"sip.conf".into(), &shown.as_str().into())
    );
    assert_eq!(told["file"]["masked"], false);
    env.write("bin/x.bin", b"\xff\xfe");
    env.cv(&["device", "add", "bin", "--source", "dir:bin", "--release", "1"]).succeeded();
    env.cv(&["snapshot", "bin"]).succeeded();
    let told = env.cv(&["show", "bin", "x.bin", "--json"]).json();
    let file = serde_json::json!({ "scope": "voip", "path": "x.bin", "masked": false, "size_bytes": 2, "base64": "//4=" });
    assert_eq!((&told["file"], &told["signature"]), (&file, &"good".into()));
}
