//! What is masked, as the administrator decides it: rules of the inventory, rules that change, and what the
//! history still shows.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "support/env.rs"]
mod env;

use std::process::Command;

use env::{Run, TestEnv};
use serde_json::Value;

const IDENTITY: &str = "cv-admin/identity.txt";

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    env.cv(&[&["-C", "cv"], args].concat())
}

/// A store with one Asterisk, and two mirrors that nothing was pushed to.
fn store(init: &[&str], sip: &str) -> TestEnv {
    let env = TestEnv::new();
    env.cv(&[&["init", "cv", "--collector", "central"], init].concat()).succeeded();
    env.write("pbx/etc/asterisk/sip.conf", sip);
    let add = ["device", "add", "pbx", "--source", "dir:../pbx", "--profile", "asterisk", "--release", "1.0"];
    cv(&env, &add).succeeded();
    for mirror in ["offsite", "idle"] {
        let made = Command::new("git").args(["init", "-q", "--bare"]).arg(env.path(mirror)).status().unwrap();
        assert!(made.success());
        cv(&env, &["mirror", "add", mirror, &format!("../{mirror}")]).succeeded();
    }
    env
}

fn append(env: &TestEnv, text: &str) {
    env.write("cv/confvault.toml", env.read("cv/confvault.toml") + text);
}

/// The text of a file as the store has it.
fn shown(env: &TestEnv, point: &str) -> String {
    String::from_utf8(cv(env, &["show", point, "etc/asterisk/sip.conf"]).stdout).unwrap()
}

fn exposed(env: &TestEnv) -> Vec<Value> {
    let run = cv(env, &["secrets", "exposed", "--json"]);
    run.json()["exposed"].as_array().unwrap().clone()
}

/// What `exposed` says of a rule: generations and mirrors.
fn of_rule(found: &[Value], rule: &str) -> Vec<(Value, Value)> {
    found.iter().filter(|e| e["rule"] == rule).map(|e| (e["generations"].clone(), e["mirrors"].clone())).collect()
}

#[test]
fn the_last_word_of_the_inventory_holds_and_the_history_says_what_it_shows() {
    let text = "; site code 48151623\n[100]\nsecret=guest\nsecret=s3cret-of-100\n[200]\nsecret=s3cret-of-200\n";
    let env = store(&[], text);
    cv(&env, &["snapshot"]).succeeded();
    cv(&env, &["mirror", "push", "offsite"]).succeeded();
    // A second code, which no mirror was sent.
    env.write("pbx/etc/asterisk/sip.conf", text.replace("48151623", "23421516"));
    cv(&env, &["snapshot"]).succeeded();
    assert!(shown(&env, "pbx@2").contains("code 23421516") && !shown(&env, "pbx@2").contains("guest"));
    assert_eq!(exposed(&env), Vec::<Value>::new());

    // A rule that is not in the language is refused, and nothing is taken.
    let inventory = env.read("cv/confvault.toml");
    append(&env, "\n[[always-mask]]\nregex = 'code (?<secret>[0-9]+'\n");
    let refused = cv(&env, &["snapshot"]).failed(2);
    assert!(refused.contains("code (?<secret>[0-9]+"), "{refused}");
    env.write("cv/confvault.toml", &inventory);

    // Nor one that has the secret in it, as the inventory goes to every mirror; the message does not show it either.
    for spelt in ["48151623", "^; site code 48151623$", "(?i)code (?<secret>48151623)"] {
        append(&env, &format!("\n[[always-mask]]\nregex = '{spelt}'\n"));
        for (command, code) in [(&["snapshot"][..], 2), (&["mirror", "push"], 3)] {
            let refused = cv(&env, command).failed(code);
            assert!(refused.contains("number 1 of [[always-mask]]") && refused.contains("what stands around it"), "{refused}");
            assert!(!refused.contains("48151623"), "{refused}");
        }
        // Who restores is not stopped by it.
        cv(&env, &["restore", "pbx", "--to", "kept", "--identity", IDENTITY]).succeeded();
        std::fs::remove_dir_all(env.path("kept")).unwrap();
        env.write("cv/confvault.toml", &inventory);
    }
    env.write(
        "cv/profiles/own.toml",
        "name = \"own\"\ntitle = \"own\"\n\n[[secret]]\nid = \"x\"\npaths = [\"sip.conf\"]\nregex = 'code (?<secret>48151623)'\n",
    );
    let refused = cv(&env, &["snapshot"]).failed(2);
    assert!(refused.contains("spells out") && !refused.contains("48151623"), "{refused}");
    std::fs::remove_file(env.path("cv/profiles/own.toml")).unwrap();
    let bare =
        Command::new("git").current_dir(env.path("offsite")).args(["grep", "-c", "48151623", "_collector/central"]).output();
    assert!(!bare.unwrap().status.success(), "the inventory on the mirror shows it");

    // Rules that hold for another profile, or another file, change nothing that is seen.
    append(&env, "\n[[always-mask]]\nregex = 'site code (?<secret>[0-9]+)'\nprofile = \"cisco-*\"\n");
    append(&env, "\n[[never-mask]]\nregex = '^secret=s3cret-of-200$'\npaths = [\"iax.conf\"]\n");
    cv(&env, &["snapshot"]).succeeded();
    assert!(!shown(&env, "pbx").contains("s3cret-of-200") && shown(&env, "pbx").contains("23421516"));

    append(&env, "\n[[always-mask]]\nregex = 'site code (?<secret>[0-9]+)'\nprofile = \"asterisk\"\npaths = [\"sip.conf\"]\n");
    append(&env, "\n[[never-mask]]\nregex = '^secret=guest$'\nwhy = \"not a password\"\n");
    // Both speak of one value: to mask wins.
    append(&env, "\n[[never-mask]]\nregex = 'of-100'\n\n[[always-mask]]\nregex = '^secret=(?<secret>s3cret-[a-z]+-100)$'\n");
    let done = cv(&env, &["snapshot"]).succeeded();
    assert!(done.contains("pbx"), "{done}");
    let log = cv(&env, &["log", "pbx", "--json"]).json();
    let kinds: Vec<&str> = log["generations"].as_array().unwrap().iter().map(|g| g["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"remask"), "{log}");
    let newest = shown(&env, "pbx");
    assert!(newest.contains("secret=guest\n") && newest.contains("; site code {{sealed:"), "{newest}");
    assert!(!newest.contains("s3cret"), "{newest}");
    // Nothing more to be done, and it comes back exactly.
    assert!(cv(&env, &["snapshot"]).succeeded().contains("unchanged"));
    cv(&env, &["restore", "pbx", "--to", "out", "--identity", IDENTITY]).succeeded();
    assert_eq!(env.read("out/etc/asterisk/sip.conf"), env.read("pbx/etc/asterisk/sip.conf"));

    // Both codes are named by rule and by where they stand, without their values.
    let found = exposed(&env);
    let mut codes = of_rule(&found, "always-mask");
    codes.sort_by_key(|(generations, _)| generations.to_string());
    let (first, second) = (&codes[0], &codes[1]);
    assert_eq!((codes.len(), found.len()), (2, 2), "{found:?}");
    assert_eq!((first.0.to_string(), first.1.to_string()), ("[1]".into(), "[\"offsite\"]".into()), "{found:?}");
    assert_eq!(second.1.to_string(), "[]", "{found:?}");
    assert!(second.0.as_array().unwrap().contains(&2.into()) && !second.0.as_array().unwrap().contains(&1.into()));
    let said = cv(&env, &["secrets", "exposed"]);
    assert!(said.stderr.contains("change them on the devices") && said.stderr.contains("offsite"), "{said}");
    assert!(!said.stderr.contains("idle"), "{said}");
    let said = format!("{said}{found:?}");
    assert!(["48151623", "23421516", "s3cret"].iter().all(|value| !said.contains(value)), "{said}");
    // A push sends what it shows.
    cv(&env, &["mirror", "push", "idle"]).succeeded();
    assert!(
        of_rule(&exposed(&env), "always-mask").iter().all(|(_, mirrors)| mirrors.as_array().unwrap().contains(&"idle".into()))
    );

    // The list of a generation: rule and line, never the value.
    let listed = cv(&env, &["secrets", "pbx", "--identity", IDENTITY, "--json"]).json();
    let rules: Vec<(u64, &str)> = listed["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| (place["line"].as_u64().unwrap(), place["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(rules[0], (1, "always-mask"), "{rules:?}");
    assert_eq!(rules.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 4, 6], "{rules:?}");
    assert!(!listed.to_string().contains("s3cret"));
}

#[test]
fn a_suspect_is_shown_by_its_beginning_and_taken_by_a_rule() {
    let suspect = "Zk8Qw3Rt6Yu1Io9Pa4Sd7Fg2";
    let env = store(&[], &format!("[100]\nsecret=one-two-three\n; ask for {suspect}\nallow=alaw\n"));
    cv(&env, &["snapshot"]).succeeded();
    let run = cv(&env, &["secrets", "pbx", "--suspects"]);
    assert!(run.stderr.contains("[[always-mask]]"), "{run}");
    let table = run.succeeded();
    let row = table.lines().find(|line| line.contains("suspect")).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains("Zk8Q") && row.contains("24 bytes") && row.contains(" 3 "), "{row}");
    assert!(!table.contains(&suspect[..6]), "{table}");
    let listed = cv(&env, &["secrets", "pbx", "--suspects", "--json"]).json();
    assert_eq!(listed["suspects"].as_array().unwrap().len(), 1, "{listed}");
    assert!(!listed.to_string().contains(&suspect[..6]));
    // Without the question it is not asked, and what was masked is none.
    assert_eq!(cv(&env, &["secrets", "pbx", "--json"]).json()["suspects"].as_array().unwrap().len(), 0);
    append(&env, "\n[[always-mask]]\nregex = 'ask for (?<secret>\\S+)'\n");
    cv(&env, &["snapshot"]).succeeded();
    assert_eq!(cv(&env, &["secrets", "pbx", "--suspects", "--json"]).json()["suspects"].as_array().unwrap().len(), 0);
    assert!(!shown(&env, "pbx").contains(suspect));
    assert_eq!(of_rule(&exposed(&env), "always-mask").len(), 1);
}

#[test]
fn a_rule_of_a_profile_that_changes_masks_anew() {
    let env = store(&[], "[100]\nsecret=one-two-three\nbadge=4711-badge\nport=506070\n");
    cv(&env, &["snapshot"]).succeeded();
    cv(&env, &["mirror", "push", "offsite"]).succeeded();
    assert!(shown(&env, "pbx").contains("4711-badge"));
    let own = "name = \"asterisk\"\ntitle = \"ours\"\nextends = \"asterisk\"\n\n[[secret]]\nid = \"badge\"\nsyntax = [\"ini\"]\nkeys = [\"badge\"]\n";
    env.write("cv/profiles/asterisk.toml", own);
    cv(&env, &["snapshot"]).succeeded();
    let log = cv(&env, &["log", "pbx", "--json"]).json();
    assert_eq!((&log["generations"][0]["kind"], &log["generations"][0]["number"]), (&"remask".into(), &2.into()), "{log}");
    assert!(!shown(&env, "pbx").contains("4711-badge"));
    let found = exposed(&env);
    assert_eq!(of_rule(&found, "asterisk/badge"), [(serde_json::json!([1]), serde_json::json!(["offsite"]))], "{found:?}");
    // A remask is no change of the device.
    assert_eq!(cv(&env, &["diff", "pbx@1", "pbx@2", "--identity", IDENTITY]).code, 0);
    // Nor is it an unannounced one where the snapshot before a change finds it.
    env.write("cv/profiles/asterisk.toml", own.replace("[\"badge\"]", "[\"badge\", \"port\"]"));
    let open = cv(&env, &["change", "open", "pbx", "--ticket", "T", "--why", "w"]);
    assert!(open.code == 0 && !open.stderr.contains("unannounced"), "{open}");
    let newest = cv(&env, &["log", "pbx", "--json"]).json()["generations"][0].clone();
    assert_eq!((&newest["kind"], &newest["number"]), (&"pre".into(), &3.into()), "{newest}");
}

#[test]
fn a_store_that_was_in_clear_says_what_its_mirrors_have() {
    let env = store(&["--no-sealing"], "[100]\nsecret=one-two-three\n");
    env.write("pbx/var/lib/asterisk/sounds/custom/hello.wav", "RIFF\0\0");
    let loud = cv(&env, &["snapshot"]);
    assert!(loud.stderr.contains("secrets are kept in clear"), "{loud}");
    cv(&env, &["mirror", "push", "offsite"]).succeeded();
    let keygen = Command::new("age-keygen").arg("-o").arg(env.path("new.txt")).output().unwrap();
    let recipient = String::from_utf8(keygen.stderr).unwrap().trim().rsplit(' ').next().unwrap().to_owned();
    cv(&env, &["key", "add", &recipient]).succeeded();
    let quiet = cv(&env, &["snapshot"]);
    assert!(!quiet.stderr.contains("kept in clear"), "{quiet}");
    let found = exposed(&env);
    // The secret, and the file of a user that lies there whole.
    assert_eq!(of_rule(&found, "general/secret").len() + of_rule(&found, "not-sealed").len(), found.len(), "{found:?}");
    assert!(found.len() >= 2 && found.iter().all(|e| e["mirrors"] == serde_json::json!(["offsite"])), "{found:?}");
    assert!(found.iter().all(|e| e["generations"] == serde_json::json!([1])), "{found:?}");
    assert!(!shown(&env, "pbx").contains("one-two-three"));
    cv(&env, &["restore", "pbx", "--to", "out", "--identity", "new.txt"]).succeeded();
    assert_eq!(env.read("out/etc/asterisk/sip.conf"), "[100]\nsecret=one-two-three\n");
}

#[test]
fn what_lies_in_clear_whole_is_named_whatever_it_is() {
    let env = store(&["--no-sealing"], "[100]\nsecret=one-two-three\n");
    let inventory = env.read("cv/confvault.toml").replace("[policy]\n", "[policy]\nlarge_over = \"1 KiB\"\n");
    env.write("cv/confvault.toml", inventory);
    let many: String = (0..2000).map(|n| format!("exten => {n},1,Dial(SIP/{n})\n")).collect();
    env.write("pbx/etc/asterisk/extensions.conf", format!("[trunk]\nsecret=largecanary99\n{many}"));
    env.write("pbx/etc/asterisk/keys/store.p12", b"\x30\x82\0\0canary-of-a-container\xff");
    env.write("pbx/var/log/asterisk/full", "REGISTER with canary-of-a-log\n");
    cv(&env, &["snapshot"]).succeeded();
    let month = format!("refs/heads/_logs/central/{}", chrono::Utc::now().format("%Y-%m"));
    cv(&env, &["mirror", "push", "offsite"]).succeeded();
    let keygen = Command::new("age-keygen").arg("-o").arg(env.path("new.txt")).output().unwrap();
    let recipient = String::from_utf8(keygen.stderr).unwrap().trim().rsplit(' ').next().unwrap().to_owned();
    cv(&env, &["key", "add", &recipient]).succeeded();
    cv(&env, &["snapshot"]).succeeded();
    let found = exposed(&env);
    for path in ["etc/asterisk/extensions.conf", "etc/asterisk/keys/store.p12", "var/log/asterisk/full"] {
        let whole =
            found.iter().find(|e| e["path"].as_str().unwrap().ends_with(path)).unwrap_or_else(|| panic!("{path}: {found:?}"));
        assert_eq!((&whole["rule"], &whole["mirrors"]), (&"not-sealed".into(), &serde_json::json!(["offsite"])), "{whole}");
        match path.ends_with("full") {
            true => assert_eq!(whole["months"], serde_json::json!([month])),
            false => assert_eq!(whole["generations"], serde_json::json!([1])),
        }
    }
    let table = cv(&env, &["secrets", "exposed"]).succeeded();
    assert!(table.contains("_logs/central/") && table.contains("store.p12"), "{table}");
    // Of one device only; and a store that was always sealed has none.
    assert!(cv(&env, &["secrets", "exposed", "pbx", "--json"]).json()["exposed"].as_array().unwrap().len() == found.len());
    let env = store(&[], "[100]\nsecret=one-two-three\n");
    env.write("pbx/etc/asterisk/keys/store.p12", b"\x30\x82\0\0canary-of-a-container\xff");
    env.write("pbx/var/log/asterisk/full", "REGISTER with canary-of-a-log\n");
    cv(&env, &["snapshot"]).succeeded();
    assert_eq!(exposed(&env), Vec::<Value>::new());
}

#[test]
fn what_is_masked_is_not_called_clear() {
    let env = store(&[], "[general]\nregister => user:reg-wort@host/100\n[100]\nsecret=twice-1\n[101]\nsecret=twice-1\n");
    cv(&env, &["snapshot"]).succeeded();
    assert!(shown(&env, "pbx").contains("register => user:{{sealed:"));
    assert_eq!(exposed(&env), Vec::<Value>::new());
    for identity in [&[][..], &["--identity", IDENTITY]] {
        let listed = cv(&env, &[&["secrets", "pbx", "--json"], identity].concat()).json();
        let places = listed["secrets"].as_array().unwrap();
        let lines: Vec<_> = places.iter().map(|place| place["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [2, 4, 6], "{listed}");
        assert!(places.iter().all(|place| place["clear"] == false), "{listed}");
        assert_eq!(places[0]["rule"], "asterisk/register");
    }
}
