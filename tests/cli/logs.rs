use std::fs;

use crate::env::TestEnv;

const IDENTITY: [&str; 2] = ["--identity", "cv-admin/identity.txt"];

/// What was filed with a run comes back from it, whole, and only with an identity.
#[test]
fn logs_come_back() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    let cv = |args: &[&str]| env.cv(&[&["-C", "cv"], args].concat());
    env.write("pbx/etc/asterisk/sip.conf", "[100]\nsecret=one-two-three\n");
    env.write("pbx/var/log/asterisk/full", "first REGISTER\n");
    cv(&["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    cv(&["device", "add", "bare", "--source", "dir:../bare", "--release", "1.0"]).succeeded();
    env.write("bare/a.conf", "a=b\n");
    cv(&["snapshot"]).succeeded();
    // Over the limit for one blob: chunks.
    let mut large = vec![0; 10 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut large);
    env.write("pbx/var/log/asterisk/queue_log", &large);
    env.write("pbx/var/log/asterisk/full", "first REGISTER\nsecond REGISTER\n");
    cv(&["snapshot"]).succeeded();

    let table = cv(&["logs", "pbx"]).succeeded();
    assert!(table.lines().count() == 3 && table.contains("_logs/central/"), "{table}");
    let listed = cv(&["logs", "pbx", "--json"]).json();
    let logs = listed["logs"].as_array().unwrap();
    assert_eq!((logs.len(), logs[0]["files"].as_array().unwrap().len(), logs[1]["bytes"].as_u64()), (2, 2, Some(15)), "{listed}");
    // The run is that of the generation.
    let generation = cv(&["log", "pbx", "--json"]).json()["generations"][0].clone();
    assert_eq!(generation["run"], logs[1]["run"], "{listed}{generation}");

    assert!(cv(&["logs", "pbx", "--to", "sealed"]).failed(12).contains("--identity"));
    assert!(!env.path("cv/sealed").exists() && !env.path("sealed").exists());
    let back = |more: &[&str]| cv(&[&["logs", "pbx", "--to", "out"], &IDENTITY[..], more].concat());
    let said = back(&[]).succeeded();
    assert!(said.contains("2 files of ") && said.contains("every digest checked"), "{said}");
    assert_eq!(env.read("out/var/log/asterisk/full"), "first REGISTER\nsecond REGISTER\n");
    assert!(fs::read(env.path("out/var/log/asterisk/queue_log")).unwrap() == large);
    // Nothing is replaced; one file, of an earlier commit or run.
    back(&[]).failed(1);
    for older in [&logs[1]["commit"].as_str().unwrap()[..12], logs[1]["run"].as_str().unwrap()] {
        fs::remove_dir_all(env.path("out")).unwrap();
        back(&["--commit", older]).succeeded();
        assert_eq!(env.read("out/var/log/asterisk/full"), "first REGISTER\n");
        assert!(!env.path("out/var/log/asterisk/queue_log").exists());
    }
    back(&["--commit", "ffffffff"]).failed(2);

    assert!(cv(&["logs", "bare"]).stderr.contains("no logs are filed"));
    let refused = cv(&["restore", "pbx", "--scope", "logs", "--to", "x"]).failed(2);
    assert!(refused.contains("confvault logs DEVICE --to DIR"), "{refused}");
}
