//! What nobody announced.

use crate::lab::{add, records, set, two};

#[test]
fn a_difference_outside_of_a_change_is_marked_everywhere() {
    let env = two();
    set(&env, "gw-1", "port=1\n");
    let run = env.cv(&["snapshot"]);
    assert!(run.text().contains("gw-1  generation 2  1.0  unannounced"), "{run}");
    assert!(run.stderr.contains("1 new (1 unannounced), 1 unchanged, 0 failed"), "{run}");
    assert!(run.stderr.contains("gw-1: generation 2 is an unannounced change"), "{run}");
    let shown = env.cv(&["show", "gw-1", "--json"]).json();
    assert_eq!(shown["generation"]["kind"], "unannounced");
    let all = records(&env, "snapshot");
    let marked: Vec<_> = all.iter().filter(|r| r["kind"] == "unannounced").collect();
    assert_eq!((marked.len(), &marked[0]["device"], &marked[0]["generation"]), (1, &"gw-1".into(), &2.into()));
    // What is as it was is nobody's change.
    let again = env.cv(&["snapshot", "--json"]).json();
    assert_eq!((&again["unannounced_count"], &again["unchanged_count"]), (&0.into(), &2.into()));
}

#[test]
fn a_difference_inside_of_a_change_belongs_to_it() {
    let env = two();
    env.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "w"]).succeeded();
    set(&env, "gw-1", "port=1\n");
    set(&env, "gw-2", "port=1\n");
    let run = env.cv(&["snapshot", "--json"]).json();
    let kinds: Vec<_> = run["devices"].as_array().unwrap().iter().map(|d| d["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "unannounced"]);
    let shown = env.cv(&["show", "gw-1", "--json"]).json();
    assert_eq!(shown["generation"]["change"], "T");
    env.cv(&["change", "close", "T"]).succeeded();
    set(&env, "gw-1", "port=2\n");
    let run = env.cv(&["snapshot", "gw-1", "--json"]).json();
    assert_eq!(run["devices"][0]["kind"], "unannounced");
}

#[test]
fn a_new_device_and_a_policy_without_announcements_mark_nothing() {
    let env = two();
    set(&env, "gw-3", "port=1\n");
    add(&env, "gw-3", "1.0");
    let run = env.cv(&["snapshot", "gw-3", "--json"]).json();
    assert_eq!(run["devices"][0]["kind"], "first");
    let text = env.read("confvault.toml").replace("[policy]\n", "[policy]\nannounced_changes = false\n");
    env.write("confvault.toml", text);
    set(&env, "gw-1", "port=1\n");
    let run = env.cv(&["snapshot", "gw-1", "--json"]).json();
    assert_eq!((&run["devices"][0]["kind"], &run["unannounced_count"]), (&"snapshot".into(), &0.into()));
}
