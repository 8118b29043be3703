use std::fs;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn a_set_comes_back_byte_for_byte() {
    let env = TestEnv::with_history();
    assert_snapshot!(env.cv(&["restore", "pbx@2", "--to", "out"]), @"pbx@2  3 files, 80 B, in out; every digest checked");
    assert!(env.read("out/sip.conf").contains("alaw,g722") && env.read("out/sub/extra.conf") == "; nothing\n");
    assert_snapshot!(env.cv(&["restore", "pbx@2", "--to", "out", "--compare"]), @"
    --- stderr
    4 the same, 0 different
    ");
    assert_snapshot!(env.cv(&["restore", "pbx@1", "--to", "out"]), @"
    --- stderr
    error: Already there, 3 in all, the first: $TEST/work/out/sip.conf
    hint: choose an empty folder, look with `--plan`, or replace with `--overwrite`
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["restore", "pbx@1", "--to", "out", "--plan"]), @"
    replace  sip.conf  content
    --- stderr
    1 to do, 3 the same as in the set
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["restore", "pbx@1", "sip.conf", "--to", "out", "--overwrite", "--json"]), @r#"
    {
      "version": 1,
      "command": "restore",
      "device": "pbx",
      "generation": 1,
      "release": "18.1",
      "files_count": 1,
      "directories_count": 0,
      "links_count": 0,
      "bytes": 60,
      "masked_count": 0,
      "owners_not_set_count": 0,
      "special_bits_dropped_count": 0,
      "skipped": []
    }
    "#);
    assert!(!env.read("out/sip.conf").contains("g722"));
    assert_snapshot!(env.cv(&["restore", "pbx@1", "nothing", "--to", "out"]), @"
    --- stderr
    error: No such path in this generation: nothing
    hint: `confvault ls POINT` lists the files of a generation
    --- exit 2
    ");
}

#[test]
fn usage_and_trouble_have_their_codes() {
    let env = TestEnv::with_history();
    env.cv(&["restore", "pbx"]).failed(2);
    env.cv(&["restore", "--to", "x"]).failed(2);
    env.cv(&["restore", "pbx", "--to", "x", "--tar", "y"]).failed(2);
    env.cv(&["restore", "--all", "--tar", "y", "--to", "x"]).failed(2);
    env.cv(&["restore", "pbx@99", "--to", "x"]).failed(2);
    env.cv(&["restore", "pbx@99", "--to", "x", "--plan"]).failed(2);
    env.cv(&["restore", "pbx", "--to", "x", "--plan"]).failed(1);
}

#[test]
fn an_archive_goes_into_a_file_or_a_pipe() {
    let env = TestEnv::with_history();
    let piped = env.cv(&["restore", "pbx@1", "--tar", "-"]);
    env.cv(&["restore", "pbx@1", "--tar", "set.tar"]).succeeded();
    assert_eq!(fs::read(env.path("set.tar")).unwrap(), piped.stdout);
    env.cv(&["restore", "pbx@1", "--tar", "set.tar"]).failed(1);
    let list = Command::new("tar").args(["tf", "set.tar"]).current_dir(env.path("")).output().unwrap();
    assert_eq!(String::from_utf8(list.stdout).unwrap(), "sip.conf\nsub/\nsub/extra.conf\nversion\n");
    // Whoever takes the archive may go away without a word from us.
    let mut child =
        env.command(&["restore", "pbx@1", "--tar", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap(), "");
}

#[test]
fn every_device_goes_into_a_folder_of_its_name() {
    let env = TestEnv::with_history();
    env.write("gw/a", "x");
    env.cv(&["device", "add", "gw", "--source", "dir:gw", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["restore", "--all", "--to", "all"]), @"2 devices, 81 B, in all; every digest checked");
    assert_eq!(env.read("all/gw/a"), "x");
    assert!(env.path("all/pbx/new.conf").exists());
    // The same as an archive.
    let piped = env.cv(&["restore", "--all", "--tar", "-"]);
    env.cv(&["restore", "--all", "--tar", "all.tar"]).succeeded();
    assert_eq!(fs::read(env.path("all.tar")).unwrap(), piped.stdout);
    fs::create_dir(env.path("untarred")).unwrap();
    let tar = Command::new("tar").args(["xpf", "../all.tar"]).current_dir(env.path("untarred")).status().unwrap();
    let diff = Command::new("diff").args(["-r", "all", "untarred"]).current_dir(env.path("")).status().unwrap();
    assert!(tar.success() && diff.success());
}

#[test]
fn secrets_need_an_identity_and_masked_text_none() {
    let env = TestEnv::new();
    env.cv(&["init", "vault", "--collector", "central"]).succeeded();
    env.write("pbx/sip.conf", "[1001]\nsecret=s3cr3t-canary\n");
    let add = ["-C", "vault", "device", "add", "pbx", "--source", "dir:../pbx", "--release", "1", "--profile", "asterisk"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "vault", "snapshot"]).succeeded();
    assert_snapshot!(env.cv(&["-C", "vault", "restore", "pbx", "--to", "out"]), @"
    --- stderr
    error: An identity that opens epoch 1 is needed for 1 file, the first: voip/sip.conf
    hint: the one that `confvault init` made: `--identity $TEST/work/vault-admin/identity.txt`
    hint: name an identity that was a recipient then, with `--identity FILE` or CONFVAULT_IDENTITY
    hint: or put back text with tokens in place of secrets, `--masked`
    --- exit 12
    ");
    assert!(!env.path("out/sip.conf").exists());
    assert_snapshot!(env.cv(&["-C", "vault", "restore", "pbx", "--to", "masked", "--masked"]), @"
    pbx@1  1 file, 58 B, in masked; every digest checked
    --- stderr
    warning: tokens stand in place of secrets in 1 file
    ");
    let run = env.run(
        env.command(&["-C", "vault", "restore", "pbx", "--to", "out"]).env("CONFVAULT_IDENTITY", "vault-admin/identity.txt"),
    );
    run.succeeded();
    assert_eq!(env.read("out/sip.conf"), "[1001]\nsecret=s3cr3t-canary\n");
}

#[test]
fn a_generation_below_a_lost_one_comes_back_where_anything_else_leads_to_it() {
    let env = TestEnv::with_history();
    // Generations 1 and 2 are of the release before.
    let run = |env: &TestEnv, point: &str| env.cv(&["restore", point, "--to", &format!("out/{point}")]);
    let text = |env: &TestEnv, point: &str| env.read(&format!("out/{point}/sip.conf"));
    env.lose("refs/heads/pbx/20.2");
    let _ = run(&env, "pbx@2").succeeded();
    assert!(text(&env, "pbx@2").contains("g722"));
    let _ = run(&env, "pbx:18.1@1").succeeded();
    assert!(text(&env, "pbx:18.1@1").contains("alaw\n"));
    assert_eq!(run(&env, "pbx@3").code, 13);
    assert_eq!(run(&env, "pbx:20.2@2").code, 13);
    // Within one line only a name leads on.
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@1", "golden"]).succeeded();
    env.lose("refs/heads/pbx/18.1");
    let _ = run(&env, "pbx@1").succeeded();
    assert_eq!(run(&env, "pbx@2").code, 13);
    // Nothing does.
    let env = TestEnv::with_history();
    env.lose("refs/heads/pbx/18.1");
    assert_eq!(run(&env, "pbx@1").code, 13);
}
