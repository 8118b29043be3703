use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn generations_of_all_releases_newest_first() {
    let env = TestEnv::with_history();
    env.cv(&["name", "pbx@1", "golden"]).succeeded();
    assert_snapshot!(env.cv(&["log", "pbx"]), @"
    NO  TIME                 RELEASE  KIND         CHANGED   NAMES   NOTE
    3   [TIME]  20.2     unannounced  +1 ~0 -2  -       upgrade
    2   [TIME]  18.1     unannounced  +0 ~1 -0  -
    1   [TIME]  18.1     first        +4 ~0 -0  golden  as taken over
    ");
    assert_snapshot!(env.cv(&["log", "pbx", "--release", "18.1", "-n", "1"]), @"
    NO  TIME                 RELEASE  KIND         CHANGED   NAMES  NOTE
    2   [TIME]  18.1     unannounced  +0 ~1 -0  -
    ");
    assert_snapshot!(env.cv(&["log", "pbx", "--json", "-n", "1"]), @r#"
    {
      "version": 1,
      "command": "log",
      "device": "pbx",
      "generations": [
        {
          "number": 3,
          "time": "[TIME]",
          "release": "20.2",
          "kind": "unannounced",
          "changed": {
            "added": 1,
            "changed": 0,
            "removed": 2
          },
          "names": [],
          "note": "upgrade",
          "change": null,
          "collector": "central",
          "run": "[RUN]",
          "accepted": null,
          "imported": null,
          "set_digest": "[ID]",
          "commit": "[ID]",
          "signature": "good"
        }
      ],
      "broken": false
    }
    "#);
    assert_snapshot!(env.cv(&["log", "pbxx"]), @"
    --- stderr
    error: No such device: pbxx
    hint: near: pbx
    --- exit 2
    ");
}

#[test]
fn what_reads_is_shown_before_what_does_not() {
    let env = TestEnv::with_history();
    let packs = || -> std::collections::BTreeSet<_> {
        std::fs::read_dir(env.path("store.git/objects/pack")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let before = packs();
    env.write("pbx/new.conf", "[new]\nx=2\n");
    env.cv(&["snapshot"]).succeeded();
    let lost: Vec<_> = packs().difference(&before).cloned().collect();
    env.write("pbx/new.conf", "[new]\nx=3\n");
    env.cv(&["snapshot"]).succeeded();
    lost.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let run = env.cv(&["log", "pbx"]);
    assert!(run.text().contains("\n5 ") && !run.text().contains("\n4 "), "{run}");
    assert!(run.failed(13).contains("Object is missing"));
    let document = env.cv(&["log", "pbx", "--json"]).json();
    assert_eq!((&document["broken"], document["generations"].as_array().unwrap().len()), (&true.into(), 1));
    // What is asked for is whole.
    env.cv(&["log", "pbx", "-n", "1"]).succeeded();
}

#[test]
fn a_device_that_was_never_taken_is_no_unknown_one() {
    let env = TestEnv::with_history();
    env.cv(&["device", "add", "fresh", "--source", "dir:nowhere", "--release", "1"]).succeeded();
    for args in [&["log", "fresh"][..], &["restore", "fresh", "--to", "out"], &["show", "fresh", "a"], &["check", "fresh"]] {
        let said = env.cv(args).failed(1);
        assert!(said.contains("Device has no generation yet: fresh"), "{args:?}: {said}");
        assert!(said.contains("`confvault snapshot fresh` takes one"), "{args:?}: {said}");
    }
}

#[test]
fn without_a_store_the_exit_code_says_so() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["log", "pbx"]), @"
    --- stderr
    error: No confvault.toml here or in a folder above: $TEST/work
    hint: name the folder with `-C DIR` or CONFVAULT_DIR, or make a store with `confvault init DIR`
    --- exit 10
    ");
    assert_snapshot!(env.cv(&["-C", "nowhere", "log", "pbx"]), @"
    --- stderr
    error: No store here: $TEST/work/nowhere/store.git
    hint: make one with `confvault init DIR`, or rebuild it with `confvault init DIR --from URL`
    --- exit 10
    ");
}

/// Numbers make the order, whatever the clock and its zone say.
#[test]
fn another_time_zone_changes_what_is_shown_and_nothing_else() {
    let env = TestEnv::with_history();
    env.write("pbx/sip.conf", "[general]\nport=5061\n");
    env.run(env.command(&["snapshot"]).env("TZ", "Pacific/Kiritimati")).succeeded();
    env.write("pbx/sip.conf", "[general]\nport=5062\n");
    env.run(env.command(&["snapshot"]).env("TZ", "Pacific/Honolulu")).succeeded();
    let here = env.cv(&["log", "pbx", "--json"]).json();
    let there = env.run(env.command(&["log", "pbx", "--json"]).env("TZ", "Pacific/Kiritimati")).json();
    assert_eq!(here, there);
    let generations = here["generations"].as_array().unwrap();
    let numbers: Vec<_> = generations.iter().map(|g| g["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let time: chrono::DateTime<chrono::Utc> = generations[0]["time"].as_str().unwrap().parse().unwrap();
    assert!((chrono::Utc::now() - time).num_minutes().abs() < 5, "{time}");
    let shown = env.run(env.command(&["log", "pbx"]).env("TZ", "Pacific/Kiritimati"));
    let local = (time + chrono::Duration::hours(14)).format("%Y-%m-%d %H:%M:%S").to_string();
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&local), "{local} {shown}");
}
