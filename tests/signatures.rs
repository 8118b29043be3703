//! Who signed what: forged, revoked, removed, reordered and rolled back generations are all found.
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

use std::collections::BTreeMap;

use chrono::DateTime;
use confvault::model::Digest;
use confvault::ops::keys::{Seen, heads};
use confvault::ops::signatures::{SignatureFinding, Wrong, check};
use confvault::seal::{AllowedSigner, Cut, SigningKey, Trust};
use confvault::store::generation::{Changed, Generation, GenerationKind, Message};
use confvault::store::object::{Ident, Tag, sign_commit};
use confvault::store::{Batch, Error, ObjectId, ObjectKind, RefEdit, Repo};

/// A repository that is written by hand, so that everything in it can be wrong.
struct Hand {
    _dir: tempfile::TempDir,
    repo: Repo,
    refs: BTreeMap<String, ObjectId>,
    key: SigningKey,
    other: SigningKey,
}

#[derive(Clone)]
struct Gen<'a> {
    number: u64,
    release: &'a str,
    parents: Vec<ObjectId>,
    collector: &'a str,
    key: Option<&'a SigningKey>,
}

impl Hand {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(&dir.path().join("store.git")).unwrap();
        let key = |name| SigningKey::generate(name).unwrap();
        Self { repo, _dir: dir, refs: BTreeMap::new(), key: key("central"), other: key("branch") }
    }

    fn trust(&self) -> Trust {
        let signer = |name: &str, key: &SigningKey| AllowedSigner { principal: format!("{name}@confvault"), key: key.public() };
        Trust { signers: vec![signer("central", &self.key), signer("branch", &self.other)], ..Trust::default() }
    }

    fn put(&self, kind: ObjectKind, data: &[u8]) -> ObjectId {
        let batch = Batch::begin(&self.repo).unwrap();
        let id = batch.put(kind, data).unwrap();
        // An object without a ref is swept: a ref of its own keeps it.
        let name = format!("refs/keep/{id}");
        let edit = RefEdit { name: name.clone(), expected: None, new: Some(id) };
        match batch.commit(|refs, _| Ok::<_, Error>(if refs.get(&name).is_none() { vec![edit] } else { vec![] })) {
            Ok(_) => id,
            Err(error) => panic!("{error}"),
        }
    }

    fn raw(&self, g: &Gen<'_>) -> (Vec<u8>, Generation) {
        let time = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let generation = Generation {
            device: "gw-1".parse().unwrap(),
            release: g.release.parse().unwrap(),
            number: g.number,
            id: ObjectId::null(gix::hash::Kind::Sha1),
            tree: self.put(ObjectKind::Tree, b""),
            parents: g.parents.clone(),
            time,
            author: (g.collector.to_owned(), format!("{}@confvault", g.collector)),
            committed: time,
            collector: g.collector.parse().unwrap(),
            kind: GenerationKind::Snapshot,
            note: None,
            changed: Changed::default(),
            set_digest: Digest([1; 32]),
            features: vec![],
            change: None,
            run: None,
            accepted: None,
            imported: None,
        };
        (generation.commit().write(), generation)
    }

    fn generation(&self, g: &Gen<'_>) -> ObjectId {
        let (payload, _) = self.raw(g);
        let data = match g.key {
            Some(key) => sign_commit(&payload, &key.sign(&payload).unwrap()),
            None => payload,
        };
        self.put(ObjectKind::Commit, &data)
    }

    /// A chain 1..=n of one release, signed by `central`.
    fn chain(&self, release: &str, n: u64) -> Vec<ObjectId> {
        let mut ids = Vec::new();
        for number in 1..=n {
            let parents = ids.last().copied().into_iter().collect();
            ids.push(self.generation(&Gen { number, release, parents, collector: "central", key: Some(&self.key) }));
        }
        ids
    }

    fn next(&self, number: u64, parents: &[ObjectId]) -> Gen<'_> {
        Gen { number, release: "1.0", parents: parents.to_vec(), collector: "central", key: Some(&self.key) }
    }

    fn set(&mut self, name: &str, id: ObjectId) {
        self.refs.insert(name.to_owned(), id);
    }

    fn check_with(&self, trust: &Trust, seen: &Seen) -> Vec<SignatureFinding> {
        let batch = Batch::begin(&self.repo).unwrap();
        let edits = |refs: &confvault::store::Refs, _: &Batch| {
            let gone = refs.iter().filter(|r| !self.refs.contains_key(r.name) && !r.name.starts_with("refs/keep/"));
            let gone = gone.map(|r| RefEdit { name: r.name.to_owned(), expected: Some(r.id), new: None });
            let set = self.refs.iter().map(|(name, id)| RefEdit {
                name: name.clone(),
                expected: refs.get(name).map(|r| r.id),
                new: Some(*id),
            });
            Ok::<_, Error>(gone.chain(set).filter(|e| e.expected != e.new).collect())
        };
        batch.commit(edits).unwrap();
        let refs = self.repo.refs().unwrap();
        check(&self.repo, &refs, trust, seen).into_iter().filter(|f| !f.reference.starts_with("refs/keep/")).collect()
    }

    fn wrongs(&self) -> Vec<Wrong> {
        self.check_with(&self.trust(), &Seen::new()).into_iter().map(|f| f.wrong).collect()
    }
}

const LINE: &str = "refs/heads/gw-1/1.0";

#[test]
fn a_signed_line_over_two_releases_is_clean() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 3);
    let two = Gen { release: "2.0", ..hand.next(4, &ids[2..]) };
    let four = hand.generation(&two);
    // Back to the first release: the line goes on, with the newest generation as second parent.
    let five = hand.generation(&hand.next(5, &[ids[2], four]));
    hand.set("refs/heads/gw-1/2.0", four);
    hand.set(LINE, five);
    assert_eq!(hand.wrongs(), []);
}

#[test]
fn unsigned_forged_and_borrowed_signatures_are_found() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 1);
    let unsigned = hand.generation(&Gen { key: None, ..hand.next(2, &ids) });
    hand.set(LINE, unsigned);
    assert_eq!(hand.wrongs(), [Wrong::Unsigned]);

    let stranger = SigningKey::generate("x").unwrap();
    let key = stranger.fingerprint().to_string();
    let by_stranger = hand.generation(&Gen { key: Some(&stranger), ..hand.next(2, &ids) });
    hand.set(LINE, by_stranger);
    assert_eq!(hand.wrongs(), [Wrong::UnknownSigner { key }]);

    let borrowed = hand.generation(&Gen { key: Some(&hand.other), ..hand.next(2, &ids) });
    hand.set(LINE, borrowed);
    let (signed_by, says) = ("branch@confvault".to_owned(), "central@confvault".to_owned());
    assert_eq!(hand.wrongs(), [Wrong::OtherCollector { signed_by, says }]);

    // A genuine signature of another commit.
    let (payload, _) = hand.raw(&hand.next(2, &ids));
    let (foreign, _) = hand.raw(&hand.next(7, &ids));
    let moved = hand.put(ObjectKind::Commit, &sign_commit(&payload, &hand.key.sign(&foreign).unwrap()));
    hand.set(LINE, moved);
    assert_eq!(hand.wrongs(), [Wrong::Altered]);
}

#[test]
fn removed_doubled_and_reordered_generations_are_found() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 3);
    // Generation 4 was taken out: 5 stands on 3.
    let five = hand.generation(&hand.next(5, &ids[2..]));
    hand.set(LINE, five);
    assert_eq!(hand.wrongs(), [Wrong::Order { expected: 4, found: 3 }]);
    let again = hand.generation(&hand.next(3, &ids[2..]));
    hand.set(LINE, again);
    assert_eq!(hand.wrongs(), [Wrong::Order { expected: 2, found: 3 }]);
    let late_root = hand.generation(&hand.next(2, &[]));
    hand.set(LINE, late_root);
    assert_eq!(hand.wrongs(), [Wrong::Order { expected: 1, found: 2 }]);
    // Taken out where another line was visited before.
    let on_two = hand.generation(&Gen { release: "2.0", ..hand.next(5, &ids[1..2]) });
    hand.set(LINE, ids[2]);
    hand.set("refs/heads/gw-1/2.0", on_two);
    let wrongs = hand.wrongs();
    assert!(wrongs.contains(&Wrong::Order { expected: 4, found: 2 }) && wrongs.contains(&Wrong::Aside), "{wrongs:?}");
}

#[test]
fn a_line_under_a_foreign_name_is_found() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 2);
    hand.set("refs/heads/gw-2/1.0", ids[1]);
    let says = "gw-1/1.0".to_owned();
    assert_eq!(hand.wrongs(), [Wrong::OtherLine { says: says.clone() }, Wrong::OtherLine { says }]);
}

#[test]
fn a_revoked_key_counts_up_to_its_cut_whatever_the_dates_say() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 3);
    hand.set(LINE, ids[2]);
    let key = hand.key.fingerprint();
    let mut trust = hand.trust();
    let cut = |at: ObjectId| Cut { key: key.clone(), reference: LINE.to_owned(), commit: at.to_string() };
    trust.revoked = vec![cut(ids[2])];
    assert_eq!(hand.check_with(&trust, &Seen::new()), []);
    // All bear the same date; generation 3 comes after the cut.
    trust.revoked = vec![cut(ids[1])];
    let found = hand.check_with(&trust, &Seen::new());
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].object, &found[0].wrong), (&ids[2].to_string(), &Wrong::Revoked { key: key.to_string() }));
    // A ref that is not listed counts nothing by that key.
    trust.revoked = vec![Cut { reference: "refs/heads/gw-9/1.0".into(), ..cut(ids[2]) }];
    assert_eq!(hand.check_with(&trust, &Seen::new()).len(), 3);
    // What another collector adds after the cut counts.
    let four = hand.generation(&Gen { collector: "branch", key: Some(&hand.other), ..hand.next(4, &ids[2..]) });
    hand.set(LINE, four);
    trust.revoked = vec![cut(ids[2])];
    assert_eq!(hand.check_with(&trust, &Seen::new()), []);
}

#[test]
fn a_line_that_went_back_or_aside_or_is_gone_is_noticed() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 3);
    hand.set(LINE, ids[2]);
    assert_eq!(hand.check_with(&hand.trust(), &Seen::new()), []);
    let seen: Seen = heads(&hand.repo.refs().unwrap()).into_iter().filter(|(n, _)| n == LINE).collect();
    assert_eq!(seen.len(), 1);
    let was = ids[2].to_string();
    let wrongs = |hand: &Hand| hand.check_with(&hand.trust(), &seen).into_iter().map(|f| f.wrong).collect::<Vec<_>>();

    let four = hand.generation(&hand.next(4, &ids[2..]));
    hand.set(LINE, four);
    assert_eq!(wrongs(&hand), []);
    hand.set(LINE, ids[1]);
    assert_eq!(wrongs(&hand), [Wrong::WentBack { seen: was.clone() }]);
    let aside = hand.generation(&Gen { collector: "branch", key: Some(&hand.other), ..hand.next(3, &ids[1..2]) });
    hand.set(LINE, aside);
    assert_eq!(wrongs(&hand), [Wrong::WentBack { seen: was.clone() }]);
    hand.refs.remove(LINE);
    assert_eq!(wrongs(&hand), [Wrong::Gone { seen: was }]);
}

#[test]
fn a_name_that_was_moved_or_forged_is_found() {
    let mut hand = Hand::new();
    let ids = hand.chain("1.0", 2);
    hand.set(LINE, ids[1]);
    let tag = |hand: &Hand, target: ObjectId, key: Option<&SigningKey>| {
        let trailers =
            [("Confvault-Format", "1"), ("Device", "gw-1"), ("Generation", "2"), ("Name", "golden"), ("Collector", "central")];
        let trailers = trailers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let message = Message { subject: "golden".into(), note: None, trailers }.write();
        let tagger = Ident::new("central", "central@confvault", DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let mut data = Tag { target, name: "gw-1/golden".into(), tagger, message }.write();
        if let Some(key) = key {
            let armour = key.sign(&data).unwrap();
            data.extend_from_slice(armour.as_bytes());
        }
        hand.put(ObjectKind::Tag, &data)
    };
    const NAME: &str = "refs/tags/gw-1/golden";
    let good = tag(&hand, ids[1], Some(&hand.key));
    hand.set(NAME, good);
    assert_eq!(hand.wrongs(), []);
    let unsigned = tag(&hand, ids[1], None);
    hand.set(NAME, unsigned);
    assert_eq!(hand.wrongs(), [Wrong::Unsigned]);
    let moved = tag(&hand, ids[0], Some(&hand.key));
    hand.set(NAME, moved);
    assert_eq!(hand.wrongs(), [Wrong::OtherGeneration]);
    hand.refs.remove(NAME);
    hand.set("refs/tags/gw-1/silver", good);
    assert_eq!(hand.wrongs(), [Wrong::OtherGeneration]);
}
