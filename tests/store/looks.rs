//! What is remembered of a source, and what it proves.

use confvault::model::{Content, Entry, Stamp};
use confvault::store::{Error, Outcome};

use super::lab::{Lab, RULES, set, voip};

/// The set again, as a source gives it that did not read what the look proves unchanged.
fn unread(lab: &Lab, entries: &[Entry]) -> Vec<Entry> {
    let look = lab.look("gw-1").unwrap();
    let mut entries = set("1", entries.to_vec()).entries().to_vec();
    for entry in &mut entries {
        let seen = look.entries.iter().find(|s| s.path == entry.path && s.scope == entry.scope);
        if let Some(seen) = seen.filter(|s| s.stamp == entry.stamp && look.trusts(&s.stamp, 1)) {
            entry.content = Content::Same(seen.plain);
        }
    }
    entries
}

fn same(entries: &[Entry]) -> usize {
    entries.iter().filter(|e| matches!(e.content, Content::Same(_))).count()
}

#[test]
fn the_unchanged_case_opens_no_object() {
    let lab = Lab::clear();
    let entries = vec![voip("a", "1"), voip("b", "2")];
    lab.made("gw-1", "1", entries.clone());
    let again = unread(&lab, &entries);
    assert_eq!(same(&again), 2);
    // With the packs gone, whatever opened an object would fail.
    let transaction = lab.begin();
    let look = transaction.look(&"gw-1".parse().unwrap(), &super::lab::SEED);
    assert_eq!(look.unwrap().release.as_str(), "1");
    let packs = lab.git_dir().join("objects/pack");
    std::fs::rename(&packs, lab.dir.path().join("away")).unwrap();
    std::fs::create_dir(&packs).unwrap();
    let outcome = lab.encode_in(&transaction, "gw-1", set("1", again), lab.meta(), &RULES);
    assert_eq!(outcome.unwrap(), Outcome::Unchanged { number: 1 });
}

#[test]
fn a_device_that_its_look_proves_unchanged_needs_no_set() {
    let lab = Lab::clear();
    let (plain, logged) = ("gw-1".parse().unwrap(), "gw-2".parse().unwrap());
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    lab.made("gw-2", "1", vec![voip("a", "1"), super::lab::file(confvault::model::Scope::Logs, b"log", b"x")]);
    let before = lab.git(&["rev-parse", "gw-1/1"]);
    let transaction = lab.begin();
    assert!(transaction.look(&plain, &super::lab::SEED).is_some());
    assert_eq!(transaction.unchanged(&plain, &lab.meta()).unwrap(), Some(Outcome::Unchanged { number: 1 }));
    // A look does not tell of logs; of a device that was never seen there is none.
    assert_eq!(transaction.unchanged(&logged, &lab.meta()).unwrap(), None);
    assert_eq!(transaction.unchanged(&"gw-3".parse().unwrap(), &lab.meta()).unwrap(), None);
    assert!(matches!(transaction.unchanged(&plain, &lab.meta()), Err(Error::Refused { .. })));
    transaction.commit().unwrap();
    assert_eq!(lab.git(&["rev-parse", "gw-1/1"]), before);
    let journal = lab.store.journal(&lab.store.refs().unwrap(), &Default::default()).unwrap();
    assert_eq!((journal[0].outcome.as_str(), &journal[0].more["devices"]), ("unchanged", &serde_json::json!(["gw-1"])));
}

#[test]
fn what_was_not_read_is_taken_over_into_the_next_generation() {
    for lab in [Lab::clear(), Lab::sealed()] {
        let mut entries = vec![voip("a", "x\nsecret=1\n"), voip("b/c", "2"), voip("b/d", "3"), voip("e", &"z".repeat(9))];
        entries.push(super::lab::file(confvault::model::Scope::User, b"book", b"Alice"));
        lab.made("gw-1", "1", entries.clone());
        entries[2] = voip("b/d", "changed");
        entries[2].stamp.mtime_ns = 77;
        let again = unread(&lab, &entries);
        assert_eq!(same(&again), 4);
        let second = lab.made("gw-1", "1", again);
        assert_eq!(second.changed.to_string(), "+0 ~1 -0");
        lab.assert_holds(&second, &entries);
        lab.fsck();
    }
}

#[test]
fn a_volatile_file_is_read_again_so_that_its_true_bytes_can_be_stored() {
    let lab = Lab::clear();
    let mut entries = vec![voip("a", "x\n! 1\n"), voip("b", "2")];
    lab.made("gw-1", "1", entries.clone());
    entries[0] = voip("a", "x\n! 2\n");
    entries[0].stamp.mtime_ns = 50;
    assert_eq!(lab.put("gw-1", "1", entries.clone()), Outcome::Unchanged { number: 1 });
    // Not trusted: its bytes are not those of the generation.
    let again = unread(&lab, &entries);
    assert_eq!((same(&again), matches!(again[0].content, Content::Bytes(_))), (1, true));
    entries[1] = voip("b", "3");
    entries[1].stamp.mtime_ns = 60;
    let second = lab.made("gw-1", "1", unread(&lab, &entries));
    lab.assert_holds(&second, &entries);
}

#[test]
fn a_look_counts_only_for_the_lines_and_rules_it_was_taken_with() {
    let mut lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    assert!(lab.look("gw-1").is_some());
    let other = confvault::model::Digest([1; 32]);
    assert!(lab.begin().look(&"gw-1".parse().unwrap(), &other).is_none());
    // Another line of the device appears without the cache knowing of it.
    let cache = lab.look_file("gw-1");
    let kept = std::fs::read(&cache).unwrap();
    lab.made("gw-1", "2", vec![voip("a", "1")]);
    std::fs::write(&cache, kept).unwrap();
    assert!(lab.look("gw-1").is_none());
    // Damaged, or deleted with the whole folder: none, and made again.
    for _ in 0..2 {
        std::fs::write(&cache, b"junk").unwrap();
        assert!(lab.look("gw-1").is_none());
        assert_eq!(lab.put("gw-1", "2", vec![voip("a", "1")]), Outcome::Unchanged { number: 2 });
        assert!(lab.look("gw-1").is_some());
        std::fs::remove_dir_all(lab.git_dir().join("confvault")).unwrap();
        assert!(lab.look("gw-1").is_none());
        lab.reopen();
        assert_eq!(lab.put("gw-1", "2", vec![voip("a", "1")]), Outcome::Unchanged { number: 2 });
    }
}

#[test]
fn a_secret_that_changed_needs_the_other_masked_files_and_says_so() {
    let lab = Lab::sealed();
    let mut entries = vec![voip("a", "secret=1\n"), voip("b", "secret=2\nx\n")];
    let stamp = Stamp { mtime_ns: 9, ..entries[1].stamp };
    lab.made("gw-1", "1", entries.clone());
    // A change beside the secrets needs nothing else.
    entries[1] = Entry { stamp, ..voip("b", "secret=2\ny\n") };
    let second = lab.made("gw-1", "1", unread(&lab, &entries));
    lab.assert_holds(&second, &entries);
    let age = |n: u64| lab.git(&["rev-parse", &format!("{}:.confvault/secrets.age", lab.at(&format!("gw-1@{n}")).unwrap().id)]);
    assert_eq!(age(1), age(2));
    entries[1] = Entry { stamp: Stamp { mtime_ns: 10, ..stamp }, ..voip("b", "secret=3\ny\n") };
    let transaction = lab.begin();
    let partly = set("1", unread(&lab, &entries));
    let error = lab.encode_in(&transaction, "gw-1", partly, lab.meta(), &RULES);
    assert!(matches!(&error, Err(Error::ContentNeeded { path, .. }) if path == "voip/a"), "{error:?}");
    drop(transaction);
    let third = lab.made("gw-1", "1", entries.clone());
    lab.assert_holds(&third, &entries);
}
