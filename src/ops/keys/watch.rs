//! Remembering heads, and noticing lines that went back.

use std::collections::HashSet;

use super::{KeyError, KeyRing, Seen};
use crate::model::DeviceName;
use crate::store::facts::STORE_REF;
use crate::store::object::Commit;
use crate::store::{ObjectId, Refs, Repo};

/// Heads that a store no longer reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WentBack {
    /// The ref.
    pub reference: String,
    /// The commit that was seen.
    pub seen: String,
    /// The commit that is there; nothing if the ref is gone.
    pub found: Option<String>,
}

/// Gives the heads of a store, to be remembered. Names are left out, as they may be removed.
#[must_use]
pub fn heads(refs: &Refs) -> Seen {
    let counts = |name: &str| name != STORE_REF && !name.starts_with("refs/tags/");
    refs.iter().filter(|r| counts(r.name)).map(|r| (r.name.to_owned(), r.id.to_string())).collect()
}

/// Remembers the heads of a store. A line that went back keeps the head that was seen, so that it is found again.
///
/// # Errors
/// The key folder cannot be read or written.
pub fn remember(ring: &KeyRing, repo: &Repo, refs: &Refs) -> Result<(), KeyError> {
    let seen = ring.seen()?;
    let mut now = heads(refs);
    for back in went_back(repo, refs, &seen, "refs/")? {
        now.insert(back.reference, back.seen);
    }
    if let Some(commit) = seen.get(STORE_REF) {
        now.insert(STORE_REF.to_owned(), commit.clone());
    }
    if now != seen { ring.set_seen(&now) } else { Ok(()) }
}

/// Takes the heads as they are for those that were seen. `_store` stays what was seen.
///
/// # Errors
/// The key folder cannot be read or written.
pub fn accept(ring: &KeyRing, refs: &Refs) -> Result<(), KeyError> {
    let mut now = heads(refs);
    if let Some(commit) = ring.seen()?.get(STORE_REF) {
        now.insert(STORE_REF.to_owned(), commit.clone());
    }
    ring.set_seen(&now)
}

/// Finds refs below a prefix whose head does not reach what was seen. `_store` is
/// [`trusted`](super::trusted)'s.
///
/// # Errors
/// A commit is missing or damaged.
pub fn went_back(repo: &Repo, refs: &Refs, seen: &Seen, prefix: &str) -> Result<Vec<WentBack>, KeyError> {
    let below = seen.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let mut found = Vec::new();
    for (name, commit) in below.filter(|(name, _)| *name != STORE_REF) {
        let head = refs.get(name).map(|r| r.id);
        let reached = match (head, ObjectId::from_hex(commit.as_bytes())) {
            (Some(head), Ok(commit)) => head == commit || reaches(repo, head, commit)?,
            _ => false,
        };
        if !reached {
            found.push(WentBack { reference: name.clone(), seen: commit.clone(), found: head.map(|id| id.to_string()) });
        }
    }
    Ok(found)
}

/// Refuses to go on with a device whose line went back: what would be written would not join what others have.
///
/// # Errors
/// [`KeyError::LineWentBack`], or the store cannot be read.
pub fn check_device(seen: &Seen, repo: &Repo, refs: &Refs, device: &DeviceName) -> Result<(), KeyError> {
    match went_back(repo, refs, seen, &format!("refs/heads/{device}/"))?.into_iter().next() {
        Some(WentBack { reference, seen, .. }) => Err(KeyError::LineWentBack { reference, seen }),
        None => Ok(()),
    }
}

fn reaches(repo: &Repo, head: ObjectId, commit: ObjectId) -> Result<bool, KeyError> {
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
