//! What nobody announced.

use crate::lab::{add, number, records, set, two};

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
fn what_differed_before_a_change_is_no_part_of_it() {
    let env = two();
    set(&env, "gw-1", "port=1\n");
    let run = env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "T", "--why", "w"]);
    assert_eq!((run.code, run.text()), (0, "gw-1@pre/T  generation 2\ngw-2@pre/T  generation 1\n".into()));
    assert_eq!(run.stderr.matches("unannounced").count(), 1, "{run}");
    assert!(run.stderr.contains("warning: gw-1: generation 2 is an unannounced change"), "{run}");
    let kind = |at: &str| env.cv(&["show", at, "--json"]).json()["generation"]["kind"].clone();
    // It is the point before the change all the same, and what the change does is its own.
    assert_eq!((kind("gw-1@pre/T"), number(&env, "gw-1@pre/T")), ("unannounced".into(), 2));
    let all = records(&env, "snapshot");
    let marked: Vec<_> = all.iter().filter(|r| r["kind"] == "unannounced").collect();
    assert_eq!((marked.len(), &marked[0]["generation"], &marked[0]["change"]), (1, &2.into(), &"T".into()));
    set(&env, "gw-1", "port=2\n");
    env.cv(&["change", "close", "T"]).succeeded();
    assert_eq!((kind("gw-1@post/T"), number(&env, "gw-1@post/T")), ("post".into(), 3));

    // The same around a command.
    set(&env, "gw-1", "port=3\n");
    let run = env.cv(&["change", "run", "gw-1", "--ticket", "U", "--why", "w", "--", "sh", "-c", "echo port=4 > gw-1/main.conf"]);
    assert!(run.code == 0 && run.stderr.contains("gw-1: generation 4 is an unannounced change"), "{run}");
    assert_eq!((kind("gw-1@pre/U"), kind("gw-1@post/U")), ("unannounced".into(), "post".into()));

    // A change that does not open leaves the mark, and what is pre/V until another one opens.
    set(&env, "gw-1", "port=5\n");
    std::fs::rename(env.path("gw-2"), env.path("away")).unwrap();
    let refused = env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "V", "--why", "w"]).failed(3);
    assert!(refused.contains("gw-1: generation 6 is an unannounced change"), "{refused}");
    assert_eq!(number(&env, "gw-1@pre/V"), 6);
}

#[test]
fn before_a_change_of_a_new_device_or_under_a_policy_without_announcements_nothing_is_marked() {
    let env = two();
    set(&env, "gw-3", "port=1\n");
    add(&env, "gw-3", "1.0");
    let text = env.read("confvault.toml");
    env.cv(&["change", "open", "gw-3", "--ticket", "T", "--why", "w"]).succeeded();
    env.write("confvault.toml", text.replace("[policy]\n", "[policy]\nannounced_changes = false\n"));
    set(&env, "gw-1", "port=1\n");
    env.cv(&["change", "open", "gw-1", "--ticket", "U", "--why", "w"]).succeeded();
    for point in ["gw-3@pre/T", "gw-1@pre/U"] {
        assert_eq!(env.cv(&["show", point, "--json"]).json()["generation"]["kind"], "pre");
    }
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
