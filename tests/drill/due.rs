//! Samples, and when drills are due.

use crate::lab::{findings, git, lab, newest, with_identity};

fn devices(document: &serde_json::Value) -> Vec<String> {
    let all = document["protocol"]["devices"].as_array().unwrap();
    all.iter().map(|d| d["device"].as_str().unwrap().to_owned()).collect()
}

/// Eight more devices.
fn many() -> crate::env::TestEnv {
    let env = lab();
    for n in 0..8 {
        env.write(&format!("fleet/d{n}/a.conf"), format!("n={n}\n"));
    }
    env.cv(&["device", "add", "--from", "fleet", "--release", "1"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["mirror", "push"]).succeeded();
    env
}

#[test]
fn a_sample_can_be_repeated_and_prefers_what_was_never_proven() {
    let env = many();
    git(&env, &["clone", "--quiet", "--mirror", "store.git", "before.git"]);
    with_identity(&env, &["--sample", "3"]).succeeded();
    let first = newest(&env);
    let seed = first["protocol"]["choice"]["seed"].as_u64().unwrap().to_string();
    assert_eq!(first["protocol"]["choice"]["of"], 10);
    assert_eq!(devices(&first).len(), 3);
    // Those that remain come before those that were proven.
    with_identity(&env, &["--sample", "7", "--seed", "1"]).succeeded();
    let second = newest(&env);
    assert!(devices(&second).iter().all(|device| !devices(&first).contains(device)), "{second}");
    with_identity(&env, &["--sample", "3", "--seed", "2"]).succeeded();
    assert_eq!(devices(&newest(&env)), devices(&first), "their proof is oldest now");
    // From the same history the same seed makes the same choice.
    std::fs::remove_dir_all(env.path("store.git")).unwrap();
    git(&env, &["clone", "--quiet", "--mirror", "before.git", "store.git"]);
    std::fs::remove_file(env.path("keys/seen")).unwrap();
    with_identity(&env, &["--sample", "3", "--seed", &seed]).succeeded();
    assert_eq!(devices(&newest(&env)), devices(&first));
}

#[test]
fn what_is_due_is_said_until_it_is_proven() {
    let env = lab();
    let none = env.cv(&["drill", "due"]);
    assert!(none.stderr.contains("no policy asks for drills"), "{none}");
    none.succeeded();
    env.write("confvault.toml", env.read("confvault.toml").replace("#drill_every = ", "drill_every = "));
    let said = env.cv(&["drill", "due"]);
    assert_eq!(said.code, 3, "{said}");
    assert!(said.text().contains("overdue  never"), "{said}");
    let status = env.cv(&["mirror", "status"]);
    assert!(status.stderr.contains("drills of 2 devices are overdue"), "{status}");
    // One is proven, the other fails: it stays due.
    with_identity(&env, &["gw"]).succeeded();
    assert_eq!(crate::lab::drill(&env, &["pbx"]).code, 12);
    let due = env.cv(&["drill", "due", "--json"]).json();
    let of = |device: &str| due["devices"].as_array().unwrap().iter().find(|d| d["device"] == device).unwrap().clone();
    assert_eq!((of("gw")["overdue"].as_bool(), of("pbx")["overdue"].as_bool()), (Some(false), Some(true)));
    assert_eq!((of("pbx")["last_passed"].as_bool(), of("pbx")["proven"].as_str()), (Some(false), None));
    with_identity(&env, &[]).succeeded();
    env.cv(&["drill", "due"]).succeeded();
    assert!(newest(&env)["protocol"]["next_due"].is_string());
    // A failure later does not take the proof away.
    assert_eq!(crate::lab::drill(&env, &["pbx"]).code, 12);
    env.cv(&["drill", "due"]).succeeded();
    assert_eq!(findings(&newest(&env)), ["no-identity pbx", "not-independent -", "inventory -"]);
}
