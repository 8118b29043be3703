//! Checks who signed what is in a store, and whether lines only ever moved forward ("Signatures" in
//! `docs/format.md`).
//!
//! Nothing here trusts a date, a name or a ref: what counts is reached from a head through parents, and is
//! signed by a key that `_store` names, and not after the place where that key was cut off.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

use super::keys::{KeyError, KeyRing, Seen, trusted_to_read, was_removed};
use crate::seal::{AllowedSigner, Error as SealError, Trust, principal, verify};
use crate::store::facts::STORE_REF;
use crate::store::generation::{Generation, Message};
use crate::store::object::{Commit, Tag, split_commit, split_tag};
use crate::store::{Feature, ObjectId, Ref, Refs, Repo, Store};

/// What is wrong with a signature, a line or a ref.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Wrong {
    /// A commit or tag without a signature.
    Unsigned,
    /// A signature that is malformed, or does not fit what it stands under.
    Altered,
    /// A signature by a key that `_store` does not name.
    UnknownSigner {
        /// The fingerprint of the key.
        key: String,
    },
    /// Signed by one collector in the name of another.
    OtherCollector {
        /// Whose key signed.
        signed_by: String,
        /// Whom the commit names.
        says: String,
    },
    /// Signed by a revoked key after the place where it was cut off.
    Revoked {
        /// The fingerprint of the key.
        key: String,
    },
    /// A generation is missing, doubled or out of order.
    Order {
        /// The number that should stand here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
    /// A commit on the line of another device or release.
    OtherLine {
        /// The line that the commit names.
        says: String,
    },
    /// A line that the newest generation of the device does not reach.
    Aside,
    /// A name on another generation than the tag says.
    OtherGeneration,
    /// A ref that this installation has seen further on.
    WentBack {
        /// The commit that was seen.
        seen: String,
    },
    /// A ref that this installation has seen and that is gone.
    Gone {
        /// The commit that was seen.
        seen: String,
    },
    /// `_store` is not what administrators signed, or went back: nothing that it says counts.
    Untrusted {
        /// What was found.
        why: String,
    },
    /// An object is missing or does not read; structure is checked elsewhere.
    Unreadable,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Unsigned => f.write_str("not signed"),
            Wrong::Altered => f.write_str("the signature does not fit what it stands under"),
            Wrong::UnknownSigner { key } => write!(f, "signed by an unknown key {key}"),
            Wrong::OtherCollector { signed_by, says } => write!(f, "signed by {signed_by} in the name of {says}"),
            Wrong::Revoked { key } => write!(f, "signed by a revoked key after it was cut off: {key}"),
            Wrong::Order { expected, found } => write!(f, "generation {found} stands where {expected} should"),
            Wrong::OtherLine { says } => write!(f, "belongs to another line: {says}"),
            Wrong::Aside => f.write_str("is not reached from the newest generation of the device"),
            Wrong::OtherGeneration => f.write_str("stands on another generation than it says"),
            Wrong::WentBack { seen } => write!(f, "went back or aside: seen before at {seen}"),
            Wrong::Gone { seen } => write!(f, "is gone: seen before at {seen}"),
            Wrong::Untrusted { why } => f.write_str(why),
            Wrong::Unreadable => f.write_str("is missing or does not read"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SignatureFinding {
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit or tag, as hexadecimal digits.
    pub object: String,
    /// What is wrong.
    #[serde(flatten)]
    pub wrong: Wrong,
}

impl fmt::Display for SignatureFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.reference.escape_default(), self.object, self.wrong)
    }
}

/// Refs that share commits: one device, one collector's logs, journal or inventory.
pub(super) fn group(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix("refs/")?.split('/').skip(1);
    let first = parts.next()?;
    if first.starts_with('_') { Some(format!("{first}/{}", parts.next().unwrap_or_default())) } else { Some(first.to_owned()) }
}

/// The collector that a journal, logs or an inventory belong to: nobody else writes there.
pub(super) fn owner(name: &str) -> Option<&str> {
    let (kind, rest) = name.strip_prefix("refs/heads/_")?.split_once('/')?;
    matches!(kind, "journal" | "logs" | "collector").then(|| rest.split('/').next().unwrap_or_default())
}

/// Checks every commit and tag that the refs reach, `_store` apart, which
/// `trusted` has checked; and that every ref in `seen` is still reached.
///
/// Tombstones are the caller's: refs that were erased on purpose are to be left out of `seen`.
#[must_use]
pub fn check(repo: &Repo, refs: &Refs, trust: &Trust, seen: &Seen) -> Vec<SignatureFinding> {
    survey(repo, refs, trust, seen).0
}

/// As [`check`]; says also how many commits and tags were looked at.
#[must_use]
pub fn survey(repo: &Repo, refs: &Refs, trust: &Trust, seen: &Seen) -> (Vec<SignatureFinding>, u64) {
    let mut groups: BTreeMap<String, Vec<Ref<'_>>> = BTreeMap::new();
    for found in refs.iter().filter(|r| r.name != STORE_REF) {
        if let Some(group) = group(found.name) {
            groups.entry(group).or_default().push(found);
        }
    }
    let mut pins: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, commit) in seen.iter().filter(|(name, _)| *name != STORE_REF) {
        if let Some(group) = group(name) {
            pins.entry(group).or_default().push((name, commit));
        }
    }
    let all: BTreeSet<&String> = groups.keys().chain(pins.keys()).collect();
    let all: Vec<&String> = all.into_iter().collect();
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let looked_at = AtomicU64::new(0);
    let work = || {
        while let Some(group) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (refs, pins) = (groups.get(*group).map_or(&[][..], |r| r), pins.get(*group).map_or(&[][..], |p| p));
            let mut walk = Walk {
                repo,
                trust,
                signers: &trust.signers,
                findings: Vec::new(),
                data: BTreeMap::new(),
                numbers: BTreeMap::new(),
            };
            walk.group(refs, pins);
            let tags = refs.iter().filter(|r| r.name.starts_with("refs/tags/")).count();
            looked_at.fetch_add((walk.data.len() + tags) as u64, Ordering::Relaxed);
            findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut walk.findings);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(all.len().max(1));
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut findings = findings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    findings.sort();
    (findings, looked_at.into_inner())
}

/// What a check of signatures found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SignatureReport {
    /// What is wrong; none in a store that is as its administrators and collectors made it.
    pub findings: Vec<SignatureFinding>,
    /// No administrator is pinned here, so the store was only compared with what it says of itself.
    pub unpinned: bool,
    /// The store asks for no signatures.
    pub unsigned: bool,
}

/// Checks the signatures of a store: `_store` from a pinned key on, then everything else by the signers that it
/// names, and all heads against those that this installation has seen. What a tombstone names may be gone.
///
/// # Errors
/// The key folder or the refs cannot be read.
pub fn check_store(store: &Store, ring: &KeyRing) -> Result<SignatureReport, KeyError> {
    let mut report = SignatureReport::default();
    if !store.facts().has(Feature::Signing) {
        report.unsigned = true;
        return Ok(report);
    }
    // The heads that were seen first: a snapshot that ends in between moves the refs on, never back.
    let mut seen = match ring.seen() {
        Err(error @ KeyError::Damaged { .. }) => {
            let wrong = Wrong::Untrusted { why: error.to_string() };
            report.findings.push(SignatureFinding { reference: "keys/seen".to_owned(), object: "-".to_owned(), wrong });
            Seen::new()
        }
        seen => seen?,
    };
    let refs = store.refs()?;
    let trust = if ring.is_pinned() {
        match trusted_to_read(store, ring) {
            Ok(trust) => trust,
            Err(error @ (KeyError::Untrusted { .. } | KeyError::RolledBack { .. })) => {
                let wrong = Wrong::Untrusted { why: error.to_string() };
                let object = store.facts().commit.to_string();
                report.findings.push(SignatureFinding { reference: STORE_REF.to_owned(), object, wrong });
                return Ok(report);
            }
            Err(error) => return Err(error),
        }
    } else {
        report.unpinned = true;
        Trust::parse(store.facts().files())?
    };
    let erased: HashSet<&str> = store.facts().tombstones().map(|(name, _)| name).collect();
    // The journal is asked only of what is not as it was seen.
    let moved = |name: &str, id: &str| refs.get(name).map(|found| found.id) != ObjectId::from_hex(id.as_bytes()).ok();
    let mut gone = Vec::new();
    for (name, id) in &seen {
        if erased.contains(name.as_str()) || moved(name, id) && was_removed(store.repo(), &refs, name)? {
            gone.push(name.clone());
        }
    }
    gone.iter().for_each(|name| drop(seen.remove(name)));
    report.findings.extend(check(store.repo(), &refs, &trust, &seen));
    Ok(report)
}

struct Walk<'a> {
    repo: &'a Repo,
    trust: &'a Trust,
    signers: &'a [AllowedSigner],
    findings: Vec<SignatureFinding>,
    /// The parents of what was visited.
    data: BTreeMap<ObjectId, Vec<ObjectId>>,
    /// The numbers of the generations that were visited.
    numbers: BTreeMap<ObjectId, u64>,
}

impl Walk<'_> {
    fn add(&mut self, reference: &str, object: impl fmt::Display, wrong: Wrong) {
        self.findings.push(SignatureFinding { reference: reference.to_owned(), object: object.to_string(), wrong });
    }

    fn group(&mut self, refs: &[Ref<'_>], pins: &[(&str, &str)]) {
        let mut revoked = Vec::new();
        for found in refs {
            self.head(found, &mut revoked);
        }
        self.newest(refs);
        self.cut_off(refs, &revoked);
        for (name, commit) in pins {
            let there = refs.iter().find(|r| r.name == *name);
            let Some(there) = there else {
                self.add(name, "-", Wrong::Gone { seen: (*commit).to_owned() });
                continue;
            };
            let seen = ObjectId::from_hex(commit.as_bytes()).ok();
            let reached = seen.is_some_and(|seen| there.id == seen || self.reaches(there.peeled.unwrap_or(there.id), seen));
            if !reached {
                self.add(name, there.id, Wrong::WentBack { seen: (*commit).to_owned() });
            }
        }
    }

    /// Checks a ref and everything behind it that was not visited.
    fn head(&mut self, head: &Ref<'_>, revoked: &mut Vec<(String, String, ObjectId)>) {
        let mut tip = head.id;
        if head.name.starts_with("refs/tags/") {
            tip = match self.tag(head, revoked) {
                Some(target) => target,
                None => return,
            };
        }
        let mut todo = vec![(tip, None::<u64>)];
        while let Some((id, expected)) = todo.pop() {
            if self.data.contains_key(&id) {
                if let (Some(expected), Some(found)) = (expected, self.numbers.get(&id).copied())
                    && expected != found
                {
                    self.add(head.name, id, Wrong::Order { expected, found });
                }
                continue;
            }
            self.data.insert(id, Vec::new());
            let Ok(raw) = self.repo.commit(&id) else {
                self.add(head.name, id, Wrong::Unreadable);
                continue;
            };
            let Ok(commit) = Commit::parse(&raw) else {
                self.add(head.name, id, Wrong::Unreadable);
                continue;
            };
            let says = Message::parse(&commit.message).ok().and_then(|m| m.get("Collector").map(str::to_owned));
            let says = says.unwrap_or_else(|| commit.committer.name.clone());
            if let Some(owner) = owner(head.name).filter(|owner| **owner != says) {
                let name = |text: &str| text.parse().map_or_else(|_| text.to_owned(), |name| principal(&name));
                self.add(head.name, id, Wrong::OtherCollector { signed_by: name(&says), says: name(owner) });
            }
            match split_commit(&raw) {
                Some((payload, armour)) => self.signature(head.name, id, &payload, &armour, &says, revoked),
                None => self.add(head.name, id, Wrong::Unsigned),
            }
            let number = self.line(head, id, tip, &raw, expected, commit.parents.is_empty());
            // The generation before in number is the last parent.
            let before = number.map(|n| n.saturating_sub(1));
            let last = commit.parents.len().saturating_sub(1);
            let parents = commit.parents.iter().enumerate();
            todo.extend(parents.map(|(at, parent)| (*parent, before.filter(|_| at == last))));
            self.data.insert(id, commit.parents);
        }
    }

    /// Checks that a generation stands in its place; gives its number.
    fn line(
        &mut self,
        head: &Ref<'_>,
        id: ObjectId,
        tip: ObjectId,
        raw: &[u8],
        expected: Option<u64>,
        root: bool,
    ) -> Option<u64> {
        let line = head.name.strip_prefix("refs/heads/").filter(|l| !l.starts_with('_'))?;
        let Ok(generation) = Generation::parse(id, raw) else {
            self.add(head.name, id, Wrong::Unreadable);
            return None;
        };
        let own = format!("{}/{}", generation.device, generation.release.to_ref());
        let device = line.split('/').next().unwrap_or_default();
        if generation.device.as_str() != device || (id == tip && own != line) {
            self.add(head.name, id, Wrong::OtherLine { says: own });
        }
        let expected = if root { Some(1) } else { expected };
        if let Some(expected) = expected.filter(|n| *n != generation.number) {
            self.add(head.name, id, Wrong::Order { expected, found: generation.number });
        }
        self.numbers.insert(id, generation.number);
        Some(generation.number)
    }

    /// Checks that everything of a device is reached from its newest generation.
    fn newest(&mut self, refs: &[Ref<'_>]) {
        let number = |r: &&Ref<'_>| self.numbers.get(&r.id).copied();
        let lines: Vec<&Ref<'_>> = refs.iter().filter(|r| r.name.starts_with("refs/heads/") && number(r).is_some()).collect();
        let Some(newest) = lines.iter().max_by_key(|r| number(r)).map(|r| r.id) else { return };
        for line in lines {
            if !self.reaches(newest, line.id) {
                self.add(line.name, line.id, Wrong::Aside);
            }
        }
    }

    /// Checks a name; gives the commit that it stands on.
    fn tag(&mut self, head: &Ref<'_>, revoked: &mut Vec<(String, String, ObjectId)>) -> Option<ObjectId> {
        let raw = self.repo.tag(&head.id);
        let parsed = raw.as_ref().ok().and_then(|raw| Tag::parse(raw).ok());
        let (Ok(raw), Some(tag)) = (raw, parsed) else {
            self.add(head.name, head.id, Wrong::Unreadable);
            return None;
        };
        let (payload, armour) = split_tag(&raw);
        let message = Message::parse(&tag.message).ok();
        let get = |key| message.as_ref().and_then(|m| m.get(key).map(str::to_owned));
        let says = get("Collector").unwrap_or_else(|| tag.tagger.name.clone());
        match armour {
            Some(armour) => self.signature(head.name, head.id, payload, armour, &says, revoked),
            None => self.add(head.name, head.id, Wrong::Unsigned),
        }
        let on = self.repo.commit(&tag.target).ok().and_then(|raw| Generation::parse(tag.target, &raw).ok());
        let fits = on.is_some_and(|g| {
            let name = format!("refs/tags/{}/{}", g.device, get("Name").unwrap_or_default());
            get("Generation").as_deref() == Some(&g.number.to_string()) && name == head.name
        });
        if !fits {
            self.add(head.name, head.id, Wrong::OtherGeneration);
        }
        Some(tag.target)
    }

    fn signature(
        &mut self,
        reference: &str,
        id: ObjectId,
        payload: &[u8],
        armour: &str,
        says: &str,
        revoked: &mut Vec<(String, String, ObjectId)>,
    ) {
        match verify(payload, armour, self.signers) {
            Ok(signer) => {
                let says = says.parse().map_or_else(|_| says.to_owned(), |name| principal(&name));
                if signer.principal != says {
                    let signed_by = signer.principal.clone();
                    self.add(reference, id, Wrong::OtherCollector { signed_by, says });
                }
                let key = signer.key.fingerprint();
                if self.trust.is_revoked(&key) {
                    revoked.push((key.to_string(), reference.to_owned(), id));
                }
            }
            Err(SealError::SignerUnknown(key)) => {
                self.add(reference, id, Wrong::UnknownSigner { key: key.to_string() });
            }
            Err(_) => self.add(reference, id, Wrong::Altered),
        }
    }

    /// Of what revoked keys signed, only that counts which the places of their cuts reach.
    fn cut_off(&mut self, refs: &[Ref<'_>], revoked: &[(String, String, ObjectId)]) {
        let keys: BTreeSet<&String> = revoked.iter().map(|(key, ..)| key).collect();
        for key in keys {
            let cuts = self.trust.revoked.iter().filter(|c| c.key.to_string() == *key);
            let cuts = cuts.filter(|c| refs.iter().any(|r| r.name == c.reference));
            let mut todo: Vec<ObjectId> = cuts.filter_map(|c| ObjectId::from_hex(c.commit.as_bytes()).ok()).collect();
            let mut counts: HashSet<ObjectId> = HashSet::new();
            while let Some(id) = todo.pop() {
                if counts.insert(id) {
                    todo.extend(self.data.get(&id).into_iter().flatten());
                }
            }
            for (_, reference, id) in revoked.iter().filter(|(k, _, id)| k == key && !counts.contains(id)) {
                self.add(reference, id, Wrong::Revoked { key: key.clone() });
            }
        }
    }

    /// Tells whether a commit was visited behind `from`.
    fn reaches(&self, from: ObjectId, commit: ObjectId) -> bool {
        let mut done = HashSet::new();
        let mut todo = vec![from];
        while let Some(id) = todo.pop() {
            if id == commit {
                return true;
            }
            if done.insert(id) {
                todo.extend(self.data.get(&id).into_iter().flatten());
            }
        }
        false
    }
}
