//! Remembering heads, and noticing refs that went back or are gone.
//!
//! `packed-refs` is a text without a checksum: one that was cut at the end of a line is whole to every reader,
//! and what stood behind the cut is gone. What an installation has seen is kept outside of the store, so it
//! notices that, writes nothing on top of the loss, and knows what was there.

use std::collections::HashSet;

use super::{KeyError, KeyRing, Seen};
use crate::model::{CollectorName, DeviceName};
use crate::seal::{AllowedSigner, SigningKey, signer_of, verify};
use crate::store::facts::{Facts, STORE_REF};
use crate::store::object::{Commit, split_commit, split_tag};
use crate::store::{ObjectId, RefEdit, Refs, Repo, Store, journal};

/// A head that a store no longer reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WentBack {
    /// The ref.
    pub reference: String,
    /// The commit or tag that was seen.
    pub seen: String,
    /// What is there; nothing if the ref is gone.
    pub found: Option<String>,
}

/// Gives the heads of a store, to be remembered; `_store` apart, which is [`trusted`](super::trusted)'s.
#[must_use]
pub fn heads(refs: &Refs) -> Seen {
    refs.iter().filter(|r| r.name != STORE_REF).map(|r| (r.name.to_owned(), r.id.to_string())).collect()
}

/// Remembers the heads of a store: those that this process has `written`, and those that bear the signature of
/// `own`, as a process that was killed may have written them. What went back or is gone keeps the head that was
/// seen, so that it is found again, and is given; so does what somebody else has moved.
///
/// # Errors
/// The key folder cannot be read or written.
pub fn remember(
    ring: &KeyRing,
    store: &Store,
    refs: &Refs,
    own: Option<&SigningKey>,
    written: &[RefEdit],
) -> Result<Vec<WentBack>, KeyError> {
    let own = own.map(|key| AllowedSigner { principal: String::new(), key: key.public() });
    ring.change_seen(|seen| {
        for edit in written {
            match edit.new {
                Some(id) => drop(seen.insert(edit.name.clone(), id.to_string())),
                None => drop(seen.remove(&edit.name)),
            }
        }
        let lost = went_back(store.repo(), store.facts(), refs, seen, "refs/")?;
        let is_lost = |name: &str| lost.iter().any(|back| back.reference == name);
        for head in refs.iter().filter(|r| r.name != STORE_REF) {
            let known = seen.get(head.name).and_then(|seen| ObjectId::from_hex(seen.as_bytes()).ok());
            if known != Some(head.id) && !is_lost(head.name) && is_own(store.repo(), refs, head.name, own.as_ref()) {
                seen.insert(head.name.to_owned(), head.id.to_string());
            }
        }
        // What was taken away on purpose.
        seen.retain(|name, _| name == STORE_REF || refs.get(name).is_some() || is_lost(name));
        Ok(lost)
    })
}

/// Tells whether a head bears the signature of a key; without a key, every head counts.
fn is_own(repo: &Repo, refs: &Refs, name: &str, own: Option<&AllowedSigner>) -> bool {
    let (Some(own), Some(head)) = (own, refs.get(name).map(|r| r.id)) else { return own.is_none() };
    let key = own.key.fingerprint();
    // Most heads of a shared store are of others, and say so: to verify a signature takes many times longer.
    let signed = |payload: &[u8], armour: &str| {
        signer_of(armour).is_ok_and(|by| by == key) && verify(payload, armour, std::slice::from_ref(own)).is_ok()
    };
    if name.starts_with(TAGS) {
        return repo.tag(&head).is_ok_and(|tag| matches!(split_tag(&tag), (payload, Some(armour)) if signed(payload, armour)));
    }
    repo.commit(&head).is_ok_and(|data| split_commit(&data).is_some_and(|(payload, armour)| signed(&payload, &armour)))
}

/// Takes the heads as they are for those that were seen. `_store` stays what was seen. A file of them that does not
/// read is written anew; `_store` is then followed back to a pinned key again.
///
/// # Errors
/// The key folder cannot be read or written.
pub fn accept(ring: &KeyRing, refs: &Refs) -> Result<(), KeyError> {
    ring.renew_seen(|mut seen| {
        let mut now = heads(refs);
        now.extend(seen.remove_entry(STORE_REF));
        now
    })
}

/// Finds refs below a prefix whose head does not reach what was seen. What was taken away on purpose, by a
/// tombstone or as a removed name, is none. `_store` is [`trusted`](super::trusted)'s.
///
/// # Errors
/// A commit is missing or damaged.
pub fn went_back(repo: &Repo, facts: &Facts, refs: &Refs, seen: &Seen, prefix: &str) -> Result<Vec<WentBack>, KeyError> {
    let below = seen.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let mut found = Vec::new();
    for (name, commit) in below.filter(|(name, _)| *name != STORE_REF) {
        let head = refs.get(name).map(|r| r.id);
        let reached = match (head, ObjectId::from_hex(commit.as_bytes())) {
            (Some(head), Ok(commit)) if head == commit => true,
            // A name does not move on; the same name on the same generation may be another tag.
            (Some(head), Ok(commit)) if !name.starts_with(TAGS) => reaches(repo, head, commit)?,
            _ => false,
        };
        if !reached && !facts.is_erased(name) && !was_removed(repo, refs, name)? {
            found.push(WentBack { reference: name.clone(), seen: commit.clone(), found: head.map(|id| id.to_string()) });
        }
    }
    Ok(found)
}

const TAGS: &str = "refs/tags/";

/// Tells whether a ref is a name that was once removed.
///
/// # Errors
/// The journal is missing or damaged.
pub fn was_removed(repo: &Repo, refs: &Refs, reference: &str) -> Result<bool, KeyError> {
    let parts = reference.strip_prefix(TAGS).and_then(|rest| rest.split_once('/'));
    let Some((Ok(device), Ok(name))) = parts.map(|(device, name)| (device.parse::<DeviceName>(), name.parse())) else {
        return Ok(false);
    };
    Ok(journal::used_name(repo, refs, &device, &name)?.is_some())
}

/// Refuses to go on with a device whose line went back: what would be written would not join what others have.
///
/// # Errors
/// [`KeyError::LineWentBack`], or the store cannot be read.
pub fn check_device(seen: &Seen, store: &Store, refs: &Refs, device: &DeviceName) -> Result<(), KeyError> {
    refuse(seen, store, refs, &format!("refs/heads/{device}/"))
}

/// Refuses to give or take names of a device where one is gone: it could be given to another generation.
///
/// # Errors
/// [`KeyError::LineWentBack`], or the store cannot be read.
pub fn check_names(seen: &Seen, store: &Store, refs: &Refs, device: &DeviceName) -> Result<(), KeyError> {
    check_device(seen, store, refs, device)?;
    refuse(seen, store, refs, &format!("{TAGS}{device}/"))
}

/// Refuses to write in the name of a collector whose journal, logs or inventory went back: a journal that began
/// anew would not know the names that were used, nor what is open.
///
/// # Errors
/// [`KeyError::LineWentBack`], or the store cannot be read.
pub fn check_collector(seen: &Seen, store: &Store, refs: &Refs, collector: &CollectorName) -> Result<(), KeyError> {
    for branch in ["_journal", "_logs", "_collector"] {
        let prefix = format!("refs/heads/{branch}/{collector}");
        let own = |name: &str| name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let back = went_back(store.repo(), store.facts(), refs, seen, &prefix)?;
        first(back.into_iter().filter(|b| own(&b.reference)))?;
    }
    Ok(())
}

/// Refuses to take away what no ref reaches while a ref is gone that this installation has seen.
///
/// # Errors
/// [`KeyError::LineWentBack`], or the store cannot be read.
pub fn check_all(ring: &KeyRing, store: &Store) -> Result<(), KeyError> {
    let seen = ring.seen()?;
    refuse(&seen, store, &store.refs()?, "refs/")
}

fn refuse(seen: &Seen, store: &Store, refs: &Refs, prefix: &str) -> Result<(), KeyError> {
    first(went_back(store.repo(), store.facts(), refs, seen, prefix)?.into_iter())
}

fn first(mut back: impl Iterator<Item = WentBack>) -> Result<(), KeyError> {
    match back.next() {
        Some(WentBack { reference, seen, .. }) => Err(KeyError::LineWentBack { reference, seen }),
        None => Ok(()),
    }
}

/// Tells whether a commit is `head` or behind it.
pub(in crate::ops) fn reaches(repo: &Repo, head: ObjectId, commit: ObjectId) -> Result<bool, KeyError> {
    let (mut done, mut todo) = (HashSet::new(), std::collections::VecDeque::from([head]));
    while let Some(id) = todo.pop_front() {
        if id == commit {
            return Ok(true);
        }
        if done.insert(id) {
            let data = repo.commit(&id)?;
            let parsed = Commit::parse(&data).map_err(|_| KeyError::Damaged { what: "a commit", path: repo.dir().to_owned() })?;
            todo.extend(parsed.parents);
        }
    }
    Ok(false)
}
