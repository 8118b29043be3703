//! A command between two snapshots.

use crate::lab::{number, records, two};

#[test]
fn the_code_of_the_command_is_kept_and_the_snapshot_after_is_taken() {
    let env = two();
    let script = "echo said; echo port=$CONFVAULT_CHANGE > gw-1/main.conf; exit 7";
    let run = env.cv(&["change", "run", "gw-1", "--ticket", "T", "--why", "w", "--", "sh", "-c", script]);
    assert_eq!(run.code, 7, "{run}");
    assert!(run.text().starts_with("said\n") && run.text().contains("gw-1  1  ->  2"), "{run}");
    assert_eq!((number(&env, "gw-1@pre/T"), number(&env, "gw-1@post/T")), (1, 2));
    assert_eq!(env.read("gw-1/main.conf"), "port=T\n");
    let all = records(&env, "change");
    assert_eq!((&all[0]["outcome"], &all[0]["command"], &all[0]["exit_code"]), (&"closed".into(), &"sh".into(), &7.into()));
    // Arguments may hold a password.
    assert!(!all[0].to_string().contains("said"), "{}", all[0]);
}

#[test]
fn a_command_that_ends_by_a_signal_or_is_not_there_closes_too() {
    let env = two();
    let killed = env.cv(&["change", "run", "gw-1", "--ticket", "T", "--why", "w", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, 137, "{killed}");
    let missing = env.cv(&["change", "run", "gw-1", "--ticket", "T", "--why", "w", "--", "/no/such/program"]);
    assert_eq!(missing.code, 127, "{missing}");
    let well = env.cv(&["change", "run", "gw-1", "--ticket", "T", "--why", "w", "--", "true"]);
    assert_eq!(well.code, 0, "{well}");
    assert_eq!(number(&env, "gw-1@post/T/3"), 1);
}

#[test]
fn without_a_snapshot_before_the_command_does_not_run() {
    let env = two();
    std::fs::rename(env.path("gw-2"), env.path("away")).unwrap();
    let run = env.cv(&["change", "run", "gw-1", "gw-2", "--ticket", "T", "--why", "w", "--", "touch", "ran"]);
    assert_eq!(run.code, 3, "{run}");
    assert!(run.stderr.contains("the command was not run"), "{run}");
    assert!(!env.path("ran").exists());
}

#[test]
fn a_command_that_breaks_the_way_to_the_device_leaves_the_change_open() {
    let env = two();
    let run = env.cv(&["change", "run", "gw-1", "--ticket", "T", "--why", "w", "--", "mv", "gw-1", "away"]);
    assert_eq!(run.code, 3, "{run}");
    assert_eq!(env.cv(&["change", "list"]).succeeded().lines().count(), 2);
}
