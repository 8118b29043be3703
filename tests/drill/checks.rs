//! Syntax checks of profiles, run with real programs against what was put back.

use crate::env::TestEnv;
use crate::lab::{CANARY, findings, lab, newest, outcome, with_identity};

/// Gives the PBX a profile with a check.
fn checked(env: &TestEnv, check: &str) {
    let text =
        format!("name = \"asterisk\"\nextends = \"asterisk\"\n[restore]\nmethod = \"files\"\n[[restore.check]]\n{check}\n");
    env.write("profiles/asterisk.toml", text);
}

#[test]
fn a_check_agrees_or_not_and_what_it_says_is_told_nowhere() {
    let env = lab();
    checked(&env, "run = \"grep -q port=5060 {root}/sip.conf\"");
    with_identity(&env, &[]).succeeded();
    let document = newest(&env);
    assert_eq!(document["protocol"]["devices"][1]["checks"][0]["passed"], true, "{document}");
    // It prints the secret, and does not agree.
    checked(&env, "run = \"cat {root}/sip.conf; exit 4\"");
    let run = with_identity(&env, &["--keep", "kept"]);
    assert_eq!(run.code, 3, "{run}");
    assert!(!run.stderr.contains(CANARY) && !String::from_utf8_lossy(&run.stdout).contains(CANARY));
    let document = newest(&env);
    assert_eq!(findings(&document), ["check-failed pbx", "not-independent -", "inventory -"]);
    assert_eq!(outcome(&document, "pbx"), "failed");
    assert!(!document.to_string().contains(CANARY));
    assert!(env.read("kept/checks/pbx/1.txt").contains(CANARY));
}

#[test]
fn a_check_judges_by_the_words_of_its_profile() {
    let env = lab();
    checked(&env, "run = \"echo file {root} fine; exit 1\"\nok = '(?i)FINE'");
    with_identity(&env, &["pbx"]).succeeded();
    checked(&env, "run = \"echo {root} fine\"\nok = 'good'");
    assert_eq!(with_identity(&env, &["pbx"]).code, 3);
    checked(&env, "run = \"echo {root} error\"\nfails = 'error'");
    assert_eq!(with_identity(&env, &["pbx"]).code, 3);
    // It is ended when its time is over.
    checked(&env, "run = \"sleep 600; : {root}\"\ntimeout-s = 1");
    let run = with_identity(&env, &["pbx"]);
    assert!(run.text().contains("took longer than 1 s"), "{run}");
}

#[test]
fn what_is_not_checked_is_said_and_is_no_failure() {
    let env = lab();
    checked(&env, "run = \"no-such-program -c {root}/sip.conf\"");
    let run = with_identity(&env, &["pbx"]);
    assert!(run.text().contains("Not checked (program missing: no-such-program)"), "{run}");
    run.succeeded();
    for (check, why) in [
        ("run = \"true\"", "it is about the device itself"),
        ("run = \"cat {root}/etc/frr/frr.conf\"", "the set has no etc/frr/frr.conf"),
    ] {
        checked(&env, check);
        let run = with_identity(&env, &["pbx"]);
        assert!(run.text().contains(why), "{run}");
        run.succeeded();
    }
    // Not needed, as there is no such file; and not wished.
    checked(&env, "run = \"false {root}\"\nwhen = [\"other.conf\"]");
    with_identity(&env, &["pbx"]).succeeded();
    checked(&env, "run = \"false {root}\"");
    with_identity(&env, &["pbx", "--no-check"]).succeeded();
}

#[test]
fn the_environment_of_a_check_has_nothing_of_ours() {
    let env = lab();
    checked(&env, "run = \"env > seen; pwd >> seen; echo {root}\"");
    let mut command = crate::lab::command(&env, &["--identity", crate::lab::IDENTITY, "--keep", "kept", "pbx"]);
    command.env("AWS_SECRET", CANARY);
    // The file that the check makes is not part of the set: the comparison came before.
    env.run(&mut command).succeeded();
    let seen = env.read("kept/restored/pbx/seen");
    assert!(!seen.contains(CANARY) && !seen.contains("alice"), "{seen}");
}

#[test]
fn kamailio_agrees_with_a_configuration_and_not_with_a_broken_one() {
    let env = lab();
    let config = "#!KAMAILIO\ndebug=2\nlog_stderror=yes\nlisten=udp:127.0.0.1:5060\nrequest_route {\n    exit;\n}\n";
    env.write("etc-kamailio/kamailio.cfg", config);
    env.cv(&["device", "add", "sip", "--source", "dir:etc-kamailio", "--profile", "kamailio", "--release", "5.6"]).succeeded();
    env.cv(&["snapshot", "sip"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    with_identity(&env, &["sip"]).succeeded();
    let checks = &newest(&env)["protocol"]["devices"][0]["checks"];
    assert_eq!(checks[0]["passed"], true, "Debian's kamailio is needed: {checks}");
    env.write("etc-kamailio/kamailio.cfg", config.replace("exit;", "exit(;"));
    env.cv(&["snapshot", "sip"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    assert_eq!(with_identity(&env, &["sip"]).code, 3);
    assert_eq!(findings(&newest(&env)), ["check-failed sip", "not-independent -"]);
}
