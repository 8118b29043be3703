//! Random operations against a naive copy.

use std::collections::BTreeMap;

use confvault::model::{Entry, Kind, Scope};
use confvault::store::Outcome;
use proptest::prelude::*;

use super::lab::{Lab, RULES, directory, file, link, set};
use crate::support::rounds;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
    Link(u8, Vec<u8>),
    Directory(u8),
    Mode(u8, u32),
    Snapshot { release: u8, unread: bool },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = prop_oneof![
        4 => "[ab\n]{0,12}(secret=[xy&/\\\\]{1,3}\n)?(! [0-9]\n)?".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(b"{{sealed:00}}\0".to_vec()),
    ];
    let step = prop_oneof![
        6 => (0u8..10, text).prop_map(|(n, t)| Step::Put(n, t)),
        2 => (0u8..10).prop_map(Step::Remove),
        1 => (0u8..10, "[a-z/]{1,9}").prop_map(|(n, t)| Step::Link(n, t.into_bytes())),
        1 => (0u8..10).prop_map(Step::Directory),
        1 => (0u8..10, 0u32..0o10000).prop_map(|(n, m)| Step::Mode(n, m)),
        6 => (0u8..3, any::<bool>()).prop_map(|(release, unread)| Step::Snapshot { release, unread }),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..30)
}

/// The places that steps name: of all scopes, some below others' parents, some hostile.
fn place(n: u8) -> (Scope, &'static [u8]) {
    [
        (Scope::Voip, &b"a"[..]),
        (Scope::Voip, b"b/c"),
        (Scope::Voip, b"b/d/e"),
        (Scope::Voip, b"b.d"),
        (Scope::Voip, b".git/config"),
        (Scope::System, b"a"),
        (Scope::System, b"\xff%"),
        (Scope::User, b"book"),
        (Scope::User, b"x/y/z"),
        (Scope::Voip, b"large"),
    ][usize::from(n)]
}

/// What the store must say: number, release and entries of each generation.
#[derive(Default)]
struct Naive {
    generations: Vec<(String, Vec<Entry>)>,
}

fn plain(entry: &Entry) -> Entry {
    Entry { stamp: confvault::model::Stamp::default(), ..entry.clone() }
}

/// What makes a generation: content without volatile lines, or anything else of an entry.
fn essence(entries: &[Entry]) -> Vec<Entry> {
    let mut out: Vec<Entry> = entries.iter().map(plain).collect();
    for entry in out.iter_mut().filter(|e| e.kind == Kind::File) {
        let confvault::model::Content::Bytes(bytes) = &entry.content else { unreachable!() };
        if !bytes.contains(&0) && bytes.len() <= 64 {
            let normal = confvault::store::Rules::normalise(&RULES, &entry.path, bytes).into_owned();
            entry.content = confvault::model::Content::Bytes(normal);
        }
    }
    out
}

fn run(mut lab: Lab, steps: &[Step]) {
    lab.large_over = 64;
    let mut source: BTreeMap<u8, Entry> = BTreeMap::new();
    let mut naive = Naive::default();
    let mut clock = 0;
    for step in steps {
        clock += 1;
        match step {
            Step::Put(n, content) => {
                let (scope, path) = place(*n);
                let content = if *n == 9 { content.repeat(40) } else { content.clone() };
                let mut entry = file(scope, path, &content);
                entry.stamp.mtime_ns = clock;
                source.insert(*n, entry);
            }
            Step::Remove(n) => drop(source.remove(n)),
            Step::Link(n, target) => drop(source.insert(*n, link(place(*n).0, place(*n).1, target))),
            Step::Directory(n) => drop(source.insert(*n, directory(place(*n).0, place(*n).1))),
            Step::Mode(n, mode) => {
                source.entry(*n).and_modify(|e| e.mode = *mode);
            }
            Step::Reopen => lab.reopen(),
            Step::Snapshot { release, unread } => {
                let release = release.to_string();
                let entries = set(&release, source.values().cloned().collect()).entries().to_vec();
                let mut given = entries.clone();
                if *unread && let Some(look) = lab.look("gw-1") {
                    for entry in given.iter_mut().filter(|e| e.kind == Kind::File) {
                        let seen =
                            look.entries.iter().find(|s| (s.scope, &s.path, s.kind) == (entry.scope, &entry.path, entry.kind));
                        if let Some(seen) = seen.filter(|s| s.stamp == entry.stamp) {
                            entry.content = confvault::model::Content::Same(seen.plain);
                        }
                    }
                }
                let transaction = lab.begin();
                let mut outcome = lab.encode_in(&transaction, "gw-1", set(&release, given), lab.meta(), &RULES);
                if matches!(outcome, Err(confvault::store::Error::ContentNeeded { .. })) {
                    outcome = lab.encode_in(&transaction, "gw-1", set(&release, entries.clone()), lab.meta(), &RULES);
                }
                let outcome = outcome.unwrap();
                transaction.commit().unwrap();
                let last = naive.generations.last();
                let same = last.is_some_and(|(r, e)| *r == release && essence(e) == essence(&entries));
                assert_eq!(matches!(outcome, Outcome::Unchanged { .. }), same, "{outcome:?}");
                if !same {
                    naive.generations.push((release, entries));
                }
            }
        }
    }
    let refs = lab.store.refs().unwrap();
    for (i, (release, entries)) in naive.generations.iter().enumerate() {
        let generation = lab.at(&format!("gw-1@{}", i + 1)).unwrap();
        assert_eq!((generation.release.as_str(), generation.number), (release.as_str(), i as u64 + 1));
        lab.assert_holds(&generation, entries);
    }
    let options = confvault::store::CheckOptions { read_data: true, ..Default::default() };
    assert_eq!(lab.store.check(&refs, &options, &|_, _| {}).unwrap().findings, []);
}

fn cases() -> u32 {
    u32::try_from(rounds(24, 5000)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_generation_of_a_clear_store_is_what_was_put(steps in steps()) {
        run(Lab::clear(), &steps);
    }

    #[test]
    fn every_generation_of_a_sealed_store_is_what_was_put(steps in steps()) {
        run(Lab::sealed(), &steps);
    }
}
