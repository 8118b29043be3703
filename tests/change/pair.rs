//! A snapshot before, a snapshot after.

use crate::lab::{number, records, set, two};

#[test]
fn both_points_are_there_though_nothing_was_new_before() {
    let env = two();
    let opened = env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "CHG-1", "--why", "new trunk", "--by", "eva"]);
    assert_eq!(opened.succeeded(), "gw-1@pre/CHG-1  generation 1\ngw-2@pre/CHG-1  generation 1\n");
    set(&env, "gw-1", "port=5061\n");
    let closed = env.cv(&["change", "close", "CHG-1", "--note", "as planned"]);
    assert_eq!(closed.succeeded(), "gw-1  1  ->  2  1 file, +1 -1 lines, 0 secrets changed\ngw-2  1  ->  1  nothing differs\n");
    assert_eq!((number(&env, "gw-1@pre/CHG-1"), number(&env, "gw-1@post/CHG-1")), (1, 2));
    assert_eq!((number(&env, "gw-2@pre/CHG-1"), number(&env, "gw-2@post/CHG-1")), (1, 1));
    let diff = env.cv(&["diff", "gw-1@pre/CHG-1", "@post/CHG-1"]);
    assert!(diff.code == 1 && diff.text().contains("+port=5061"), "{diff}");
    let all = records(&env, "change");
    assert_eq!((all.len(), &all[0]["outcome"], &all[1]["outcome"]), (2, &"closed".into(), &"opened".into()));
    assert_eq!((&all[1]["by"], &all[1]["why"], &all[0]["note"]), (&"eva".into(), &"new trunk".into(), &"as planned".into()));
    assert_eq!(env.cv(&["change", "list"]).succeeded(), "");
    let shown = env.cv(&["change", "show", "CHG-1", "--json"]).json();
    assert_eq!((&shown["state"], &shown["devices"][0]["post"]), (&"closed".into(), &2.into()));
    assert_eq!(shown["devices"][0]["differs"]["changed_files"], 1);
}

#[test]
fn a_ticket_opened_twice_has_two_pairs() {
    let env = two();
    for text in ["a=1\n", "a=2\n"] {
        env.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "once more"]).succeeded();
        set(&env, "gw-1", text);
        env.cv(&["change", "close", "T"]).succeeded();
    }
    let numbers = ["pre/T", "post/T", "pre/T/2", "post/T/2"].map(|at| number(&env, &format!("gw-1@{at}")));
    assert_eq!(numbers, [1, 2, 2, 3]);
    let all = env.cv(&["change", "list", "--all", "--json"]).json();
    let ids: Vec<_> = all["changes"].as_array().unwrap().iter().map(|item| item["change"].as_str().unwrap()).collect();
    assert_eq!(ids, ["T/2", "T"]);
    let missing = env.cv(&["change", "show", "T/3"]).failed(2);
    assert!(missing.starts_with("error: No change is known: T/3\n"), "{missing}");
}

#[test]
fn a_change_begun_anew_is_counted_from_where_it_was_open() {
    let env = two();
    std::fs::rename(env.path("gw-2"), env.path("away")).unwrap();
    set(&env, "gw-1", "port=1\n");
    let refused = env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "T", "--why", "w"]).failed(3);
    assert!(refused.contains("change T is not open: a snapshot before it failed"), "{refused}");
    assert_eq!(env.cv(&["change", "list"]).succeeded(), "");
    let none = env.cv(&["change", "close", "T"]).failed(2);
    assert!(none.starts_with("error: No change has the ticket T\n"), "{none}");
    std::fs::rename(env.path("away"), env.path("gw-2")).unwrap();
    set(&env, "gw-1", "port=2\n");
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "T", "--why", "w"]).succeeded();
    // The first attempt made generation 2 as `pre`; what stood when the change was open is 3.
    assert_eq!(number(&env, "gw-1@pre/T"), 3);
}

#[test]
fn a_change_stays_open_until_what_came_after_is_kept() {
    let env = two();
    env.cv(&["change", "open", "gw-1", "gw-2", "--ticket", "T", "--why", "w"]).succeeded();
    std::fs::rename(env.path("gw-2"), env.path("away")).unwrap();
    let open = env.cv(&["change", "close", "T"]).failed(3);
    assert!(open.contains("change T is open still"), "{open}");
    assert_eq!(env.cv(&["change", "list"]).succeeded().lines().count(), 2);
    let none = env.cv(&["show", "gw-1@post/T"]).failed(2);
    assert!(none.contains("post/T"), "{none}");
    // Giving it up needs no answer of the device.
    let given_up = env.cv(&["change", "abort", "T", "--note", "the card died"]).failed(3);
    assert!(given_up.contains("change T is given up"), "{given_up}");
    assert_eq!(env.cv(&["change", "list"]).succeeded(), "");
    assert_eq!(number(&env, "gw-1@post/T"), 1);
    assert!(env.cv(&["show", "gw-2@post/T"]).code != 0);
}

#[test]
fn giving_up_says_what_is_not_as_before() {
    let env = two();
    env.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "w"]).succeeded();
    set(&env, "gw-1", "broken\n");
    // To put back is asked for first; what comes of it stands in `tests/device_restore`.
    let refused = env.cv(&["change", "abort", "T", "--restore"]).failed(2);
    assert!(refused.contains("Nothing is asked without a terminal, and nothing was done"), "{refused}");
    assert_eq!(env.read("gw-1/main.conf"), "broken\n");
    assert_eq!(env.cv(&["change", "list"]).succeeded().lines().count(), 2);
    let run = env.cv(&["change", "abort", "T"]);
    assert!(run.stderr.contains("gw-1 is not as it stood before the change"), "{run}");
    assert_eq!(run.code, 0);
}

#[test]
fn one_change_at_a_time_on_a_device() {
    let env = two();
    env.cv(&["change", "open", "gw-1", "--ticket", "A", "--why", "w"]).succeeded();
    let busy = env.cv(&["change", "open", "gw-2", "gw-1", "--ticket", "B", "--why", "w"]).failed(1);
    assert!(busy.starts_with("error: Device gw-1 is part of an open change: A\nhint: "), "{busy}");
    let twice = env.cv(&["change", "open", "gw-2", "--ticket", "A", "--why", "w"]).failed(1);
    assert!(twice.starts_with("error: A change is open already under ticket A\n"), "{twice}");
    let unknown = env.cv(&["change", "open", "gw-9", "--ticket", "B", "--why", "w"]);
    assert!(unknown.code != 0, "{unknown}");
    assert!(env.cv(&["change", "open", "gw-2", "--ticket", "B", "--why", " "]).failed(2).contains("needs a reason"));
    assert_eq!(records(&env, "change").len(), 1);
}

#[test]
fn who_does_it_is_known_where_no_variable_says_so() {
    // As under systemd and cron: the environment of the tests has no USER.
    let env = two();
    let me = std::process::Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(me.stdout).unwrap().trim().to_owned();
    env.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "w"]).succeeded();
    let shown = env.cv(&["change", "show", "T", "--json"]).json();
    let uid = format!("uid {}", rustix::process::geteuid().as_raw());
    assert!(shown["by"] == me || shown["by"] == uid, "{shown}");
    let said =
        env.run(env.command(&["change", "open", "gw-2", "--ticket", "U", "--why", "w"]).env("USER", "").env("LOGNAME", "eva"));
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(env.cv(&["change", "show", "U", "--json"]).json()["by"], "eva");
}
