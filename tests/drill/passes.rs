//! Drills of good mirrors: what is done, recorded and left.

use std::process::Command;

use insta::assert_snapshot;

use crate::env::TestEnv;
use crate::lab::{CANARY, IDENTITY, command, drill, files, findings, git, lab, left, newest, outcome, wait, with_identity};

/// Takes times out of a protocol, and the width of columns with them.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in [
        (r"\b[\d.]+ (ms|s)\b", "[TOOK]"),
        (r"git [\d.]+", "git [VERSION]"),
        (r"confvault \d+\.\d+\.\d+", "confvault [VERSION]"),
        (r"(On machine) +[^,\n]+", "$1  [HOST]"),
        (r"(_journal/\w+/)\d{4}-\d\d", "$1[MONTH]"),
        (r" {2,}", "  "),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

#[test]
fn a_protocol_says_who_what_from_where_and_how_sure() {
    let env = lab();
    let run = with_identity(&env, &["--by", "A. Deputy", "--note", "first exercise", "--target", "4h"]);
    assert_snapshot!(steady(&run.succeeded()), @r"
    Recovery exercise
      Drill  [RUN]
      Verdict  passed
      Exercised by  A. Deputy
      Note  first exercise
      On machine  [HOST], collector central
      Begun  [TIME]
      Took  [TOOK]; 4 h allowed
      Devices  2 devices: all that the inventory has
      Syntax checks  0 devices passed, 0 devices failed, 2 devices not checked (2: no check is in the profile, or --no-check)
      Next due  no policy asks for drills

    Restored from
      Mirror  off  $TEST/work/off.git
      Apart from the store  same-file-system
      Fetched  5 refs, 55 objects, each checked by git [VERSION]
      Opened with  an identity of a recipient
      Signatures checked  10
      Administrator keys  SHA256:[KEY]
      State of `_store`  commit [ID]

    Devices
      DEVICE  RESULT  GENERATION  NEWEST  RELEASE  COLLECTED  FILES  SIZE  TOOK
      gw  proven  1  1  7  [TIME]  1  10 B  [TOOK]
      pbx  proven  1  1  1.0  [TIME]  2  59 B  [TOOK]

    Evidence
      DEVICE  COMMIT  SET DIGEST (BLAKE3)  ENTRIES EQUAL
      gw  [ID]  [ID]  1
      pbx  [ID]  [ID]  3

    Time
      PHASE  TOOK
      fetch  [TOOK]
      signatures  [TOOK]
      open  [TOOK]
      restore  [TOOK]
      check  [TOOK]

    Findings
      DEVICE  FINDING
      note  -  Mirror off would be lost together with the store (same-file-system)

    Record
      Signature  verified, by signers of the pinned administrator
      Signed by  central@confvault  SHA256:[KEY]
      Commit  [ID] of refs/heads/_journal/central/[MONTH]
      Program  confvault [VERSION]

    Evidence for
      BSI IT-Grundschutz (catalogues)  M 6.41 exercises for data reconstruction, M 6.26
      BSI IT-Grundschutz (compendium)  CON.3.A15, NET.4.1.A14
      ISO/IEC 27001:2022  A.8.13
      NIST SP 800-53 rev. 5  CP-9(1), CP-9(2), CP-4
      Regulation (EU) 2024/2690  Annex 4.2.3, 4.2.6
    ");
    assert_eq!(left(&env), Vec::<std::path::PathBuf>::new());
    // It can be printed again, and is the same.
    let again = steady(&env.cv(&["drill", "show"]).succeeded());
    assert!(again.contains("A. Deputy") && again.contains("verified, by signers of the pinned administrator"), "{again}");
    let listed = env.cv(&["drill", "list"]).succeeded();
    assert!(listed.contains("passed") && listed.contains("A. Deputy"), "{listed}");
}

#[test]
fn nothing_is_written_but_one_record_and_the_mirror_stays_as_it_is() {
    let env = lab();
    let refs = || git(&env, &["-C", "store.git", "for-each-ref", "--format=%(refname) %(objectname)"]);
    let (before, mirror) = (refs(), files(&env.path("off.git")));
    with_identity(&env, &[]).succeeded();
    assert!(mirror == files(&env.path("off.git")), "the mirror was written to");
    let moved: Vec<String> = refs().lines().filter(|line| !before.contains(line)).map(str::to_owned).collect();
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert!(moved[0].starts_with("refs/heads/_journal/central/"), "{moved:?}");
    let head = moved[0].split(' ').next().unwrap();
    assert_eq!(git(&env, &["-C", "store.git", "log", "-1", "--format=%s", head]), "drill");
    assert_eq!(git(&env, &["-C", "store.git", "show", &format!("{head}:records.jsonl")]).lines().count(), 1);
}

#[test]
fn the_record_is_signed_and_git_verifies_it() {
    let env = lab();
    with_identity(&env, &[]).succeeded();
    let document = newest(&env);
    assert_eq!((&document["signature"]["good"], &document["signature"]["pinned"]), (&true.into(), &true.into()), "{document}");
    env.write("signers", env.cv(&["key", "signers"]).stdout);
    let commit = document["commit"].as_str().unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", env.path("signers").display());
    git(&env, &["-C", "store.git", "-c", "gpg.format=ssh", "-c", &allowed, "verify-commit", commit]);
}

#[test]
fn a_copy_of_the_store_shows_the_protocol_and_says_who_vouches_for_it() {
    let env = lab();
    with_identity(&env, &[]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    git(&env, &["clone", "--quiet", "--mirror", "off.git", "copy/store.git"]);
    let shown = env.cv(&["-C", "copy", "drill", "show"]).succeeded();
    assert!(shown.contains("verified, by signers that the store itself names"), "{shown}");
}

#[test]
fn without_an_identity_what_is_closed_is_not_proven_and_the_drill_fails() {
    let env = lab();
    let run = drill(&env, &[]);
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stderr.contains("hint: name an identity of a recipient, with `--identity FILE`"), "{run}");
    assert!(run.text().contains("(1: no check is in the profile, or --no-check; 1: not put back as a whole)"), "{run}");
    let document = newest(&env);
    assert_eq!(findings(&document), ["no-identity pbx", "not-independent -"]);
    assert_eq!((outcome(&document, "pbx"), outcome(&document, "gw")), ("unproven".to_owned(), "proven".to_owned()));
    assert_eq!(document["outcome"], "failed");
    assert!(left(&env).is_empty());
}

#[test]
fn an_identity_that_opens_nothing_is_found_out() {
    let (env, other) = (lab(), lab());
    let identity = other.path(IDENTITY).display().to_string();
    let run = drill(&env, &["--identity", &identity]);
    assert_eq!(run.code, 12, "{run}");
    let document = newest(&env);
    assert_eq!(findings(&document), ["identity-refused pbx", "not-independent -"]);
    assert_eq!(document["protocol"]["opened"], "refused");
}

#[test]
fn an_identity_that_was_added_later_is_told_by_the_epoch() {
    let env = lab();
    // The epoch is rotated to others than the first identity.
    let made = Command::new("age-keygen").arg("-o").arg(env.path("new.txt")).output().unwrap();
    assert!(made.status.success());
    let said = String::from_utf8(made.stderr).unwrap();
    let recipient = said.trim().rsplit(' ').next().unwrap().to_owned();
    std::fs::set_permissions(env.path("new.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    env.cv(&["key", "add", &recipient]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    drill(&env, &["--identity", "new.txt"]).succeeded();
}

#[test]
fn a_store_in_clear_needs_no_identity() {
    let env = TestEnv::with_history();
    git(&env, &["init", "--quiet", "--bare", "off.git"]);
    env.cv(&["mirror", "add", "off", "off.git"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    std::fs::create_dir(env.path("tmp")).unwrap();
    drill(&env, &["pbx@1"]).succeeded();
    let document = newest(&env);
    assert_eq!(document["protocol"]["opened"], "clear");
    assert_eq!(document["protocol"]["devices"][0]["generation"], 1);
    assert_eq!(document["protocol"]["devices"][0]["newest_here"], 3);
}

#[test]
fn a_point_is_put_back_and_kept_byte_for_byte() {
    let env = lab();
    env.cv(&["name", "pbx", "golden"]).succeeded();
    let golden = env.read("pbx/sip.conf");
    env.write("pbx/sip.conf", "[general]\nport=5061\n");
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    with_identity(&env, &["pbx@golden", "gw", "--keep", "kept"]).succeeded();
    assert_eq!(env.read("kept/restored/pbx/sip.conf"), golden);
    assert_eq!(env.read("kept/restored/gw/main.conf"), "port=5060\n");
    let mode = std::fs::metadata(env.path("kept")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o700);
    // Not twice into the same place.
    let said = with_identity(&env, &["--keep", "kept"]).failed(1);
    assert!(said.contains("not empty"), "{said}");
}

#[test]
fn no_secret_is_told_or_left() {
    let env = lab();
    let run = with_identity(&env, &["--html", "page.html", "--json"]);
    assert!(!run.stderr.contains(CANARY) && !String::from_utf8_lossy(&run.stdout).contains(CANARY));
    run.succeeded();
    assert!(!env.read("page.html").contains(CANARY));
    let journal = env.cv(&["journal", "--json"]).succeeded();
    assert!(!journal.contains(CANARY), "{journal}");
}

#[test]
fn the_page_has_the_same_words_and_nothing_of_it_runs() {
    let env = lab();
    let run = with_identity(&env, &["--note", "<script>alert(1)</script>", "--html", "page.html"]);
    run.succeeded();
    let page = env.read("page.html");
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"), "{page}");
    for word in ["Recovery exercise", "SET DIGEST", "M 6.41", "CON.3.A15", "Read and accepted", "alice"] {
        assert!(page.contains(word), "{word}");
    }
    env.cv(&["drill", "show", "--html", "again.html"]).succeeded();
    assert_eq!(env.read("again.html"), page);
}

#[test]
fn a_drill_that_is_killed_leaves_a_folder_that_the_next_one_removes() {
    let env = lab();
    let slow = "name = \"asterisk\"\nextends = \"asterisk\"\n[restore]\nmethod = \"files\"\n[[restore.check]]\nrun = \"sh -c 'while test -e {root}; do sleep 0.1; done'\"\n";
    env.write("profiles/asterisk.toml", slow);
    let journal = env.cv(&["journal", "--json"]).succeeded();
    let mut child = command(&env, &["--identity", IDENTITY]).spawn().unwrap();
    wait("the check", || left(&env).iter().any(|dir| dir.join("checks/pbx/1.txt").exists()));
    let folder = left(&env).remove(0);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&folder.metadata().unwrap().permissions()) & 0o777, 0o700);
    // One that lives keeps its folder.
    with_identity(&env, &["gw"]).succeeded();
    assert!(left(&env) == std::slice::from_ref(&folder));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(folder.exists());
    with_identity(&env, &["gw"]).succeeded();
    assert!(left(&env).is_empty());
    assert_eq!(env.cv(&["journal", "--json"]).succeeded().lines().count(), journal.lines().count() + 2);
    // What is asked to end ends in order.
    let child = command(&env, &["--identity", IDENTITY]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait("the check", || left(&env).iter().any(|dir| dir.join("checks/pbx/1.txt").exists()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let said = env.ended(child.wait_with_output().unwrap()).failed(1);
    assert!(said.contains("stopped; nothing was recorded"), "{said}");
    assert!(left(&env).is_empty());
}

#[test]
fn a_stand_in_gets_the_set_of_the_mirror() {
    let env = lab();
    let profile = "name = \"asterisk\"\nextends = \"asterisk\"\n[restore]\nmethod = \"files\"\n[[restore.check]]\nrun = \"grep -q port= {root}/sip.conf\"\n\
                   [[restore.apply]]\nrun = \"true\"\n";
    env.write("profiles/asterisk.toml", profile);
    env.write("lab/sip.conf", "[general]\nport=9\n");
    env.cv(&["device", "add", "lab-pbx", "--source", "dir:lab", "--profile", "asterisk", "--release", "1.0"]).succeeded();
    let said = with_identity(&env, &["pbx", "--into", "lab-pbx"]).failed(2);
    assert!(said.contains("Nothing is asked without a terminal"), "{said}");
    assert_eq!(env.read("lab/sip.conf"), "[general]\nport=9\n");
    let run = with_identity(&env, &["pbx", "--into", "lab-pbx", "--yes"]);
    assert!(run.text().contains("as the point: put back, made active, compared"), "{run}");
    run.succeeded();
    assert_eq!(env.read("lab/sip.conf"), env.read("pbx/sip.conf"));
    let document = newest(&env);
    let stand_in = &document["protocol"]["stand_in"];
    assert_eq!((&stand_in["outcome"], &stand_in["pre"], &stand_in["post"]), (&"done".into(), &1.into(), &2.into()), "{document}");
    // One that refuses the set is taken back, and the drill fails.
    env.write("profiles/asterisk.toml", profile.replace("\"true\"", "\"false\""));
    env.write("lab/sip.conf", "[general]\nport=9\n");
    let run = with_identity(&env, &["pbx", "--into", "lab-pbx", "--yes"]);
    assert_eq!(run.code, 3, "{run}");
    assert_eq!(env.read("lab/sip.conf"), "[general]\nport=9\n");
    assert_eq!(findings(&newest(&env))[0], "stand-in pbx");
    // The device itself stands in for nobody, nor does one for all.
    with_identity(&env, &["pbx", "--into", "pbx", "--yes"]).failed(2);
    with_identity(&env, &["pbx", "gw", "--into", "lab-pbx", "--yes"]).failed(2);
}

#[test]
fn a_stand_in_behind_a_login_gets_the_set_of_the_mirror() {
    assert!(crate::sshd::available());
    let (env, sshd) = (lab(), crate::sshd::Sshd::start(""));
    let profile = "name = \"asterisk\"\nextends = \"asterisk\"\n[restore]\nmethod = \"files\"\n[[restore.check]]\nrun = \"grep -q port= {root}/sip.conf\"\n\
                   [[restore.apply]]\nrun = \"grep -c . {root}/sip.conf >> $HOME/applied\"\n";
    env.write("profiles/asterisk.toml", profile);
    let tree = sshd.path("tree");
    sshd.write("tree/sip.conf", "[general]\nport=9\n");
    sshd.write("tree/extra.conf", "[extra]\n");
    // The login may give nothing away: the set belongs to a user of the same number.
    let like = format!("--reference={}", tree.join("sip.conf").display());
    let chown = Command::new("chown").args(["-R", &like]).arg(&tree).arg(env.path("pbx")).status();
    assert!(chown.unwrap().success());
    env.cv(&["snapshot", "pbx"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    env.write("known_hosts", format!("lab-pbx {}\n", sshd.public_key()));
    let table = sshd.table("sftp", &tree.display().to_string());
    let inventory = env.read("confvault.toml");
    env.write("confvault.toml", format!("{inventory}\n[devices.lab-pbx]\nprofile = \"asterisk\"\nrelease = \"1.0\"\n{table}"));
    let run = with_identity(&env, &["pbx", "--into", "lab-pbx", "--yes"]);
    assert!(run.code == 0 && run.text().contains("as the point: put back, made active, compared"), "{run}\n{}", sshd.log());
    assert_eq!(std::fs::read_to_string(tree.join("sip.conf")).unwrap(), env.read("pbx/sip.conf"));
    assert!(!tree.join("extra.conf").exists() && sshd.path("home/applied").exists(), "{run}");
    let document = newest(&env);
    let stand_in = &document["protocol"]["stand_in"];
    assert_eq!((&stand_in["device"], &stand_in["outcome"]), (&"lab-pbx".into(), &"done".into()), "{document}");
    assert!(!format!("{run}{document}{}", sshd.log()).contains(CANARY), "a secret is shown");
    // One that goes away in the middle is told of, and the drill fails.
    std::fs::remove_file(tree.join("sip.conf")).unwrap();
    drop(sshd);
    let run = with_identity(&env, &["pbx", "--into", "lab-pbx", "--yes"]);
    assert_eq!((run.code, findings(&newest(&env))[0].as_str()), (3, "stand-in pbx"), "{run}");
}
