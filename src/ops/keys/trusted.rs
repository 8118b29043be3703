//! Following the line of `_store` back to a pinned key.

use std::collections::BTreeSet;

use super::{KeyError, KeyRing};
use crate::seal::{AllowedSigner, Trust, TrustFiles, parse_signers, verify};
use crate::store::facts::STORE_REF;
use crate::store::object::{Commit, parse_tree, split_commit};
use crate::store::{ObjectId, Repo, Store};

/// What `_store` says, once it is known to be said by administrators.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The commit of `_store`.
    pub commit: ObjectId,
    /// What it says.
    pub trust: Trust,
}

/// Reads what `_store` says and checks that every commit of its first-parent line is signed by an
/// administrator whom the line itself has named before, at least one of them by a pinned key; and that the
/// line has not gone back behind what this installation has seen.
///
/// A forger cannot have a commit by the pinned key on a line of its own making: with such a commit comes
/// everything before it, and what comes after it must be signed by whom it named.
///
/// # Errors
/// [`KeyError::Untrusted`], [`KeyError::RolledBack`], and what reading gives.
pub fn trusted(store: &Store, ring: &KeyRing) -> Result<Trusted, KeyError> {
    let commit = store.facts().commit;
    let before = ring.seen()?.get(STORE_REF).cloned();
    if before.as_deref() != Some(&commit.to_string()) {
        follow(store.repo(), commit, &ring.pinned()?, before.as_deref())?;
        ring.change_seen(|seen| {
            // Another process may have seen what comes after it.
            if seen.get(STORE_REF) == before.as_ref() {
                seen.insert(STORE_REF.to_owned(), commit.to_string());
            }
            Ok(())
        })?;
    }
    Ok(Trusted { commit, trust: Trust::parse(store.facts().files())? })
}

/// Reads what `_store` says for somebody who only reads: where the heads that were seen do not read, or cannot be
/// remembered, the store is whole all the same. It is still followed back to a pinned key.
///
/// # Errors
/// As [`trusted`].
pub fn trusted_to_read(store: &Store, ring: &KeyRing) -> Result<Trust, KeyError> {
    ring.warn_of_loss();
    match trusted(store, ring) {
        Ok(trusted) => Ok(trusted.trust),
        Err(KeyError::Damaged { path, .. }) if ring.is_seen_file(&path) => {
            tracing::warn!(
                "the heads that this machine has seen do not read, so nobody notices what went back: {}; \
                 `confvault key heads --accept` writes them anew",
                path.display()
            );
            vouch(store, ring)?;
            Ok(Trust::parse(store.facts().files())?)
        }
        // It was followed and found good, and could not be remembered: the disk is read-only.
        Err(KeyError::Disk(_)) => Ok(Trust::parse(store.facts().files())?),
        Err(error) => Err(error),
    }
}

/// Checks that the `_store` of another copy of the store is that of an administrator whom this installation has
/// pinned. Nothing of it is remembered.
///
/// # Errors
/// [`KeyError::Untrusted`], and what reading gives.
pub fn vouch(copy: &Store, ring: &KeyRing) -> Result<(), KeyError> {
    follow(copy.repo(), copy.facts().commit, &ring.pinned()?, None)
}

/// Checks the line that ends in `head`; `seen` must be on it.
///
/// # Errors
/// As [`trusted`].
pub(super) fn follow(repo: &Repo, head: ObjectId, pinned: &[AllowedSigner], seen: Option<&str>) -> Result<(), KeyError> {
    let mut line = Vec::new();
    let mut known = BTreeSet::new();
    let mut next = Some(head);
    while let Some(id) = next {
        let untrusted = |why: &str| KeyError::Untrusted { why: why.to_owned(), commit: id.to_string() };
        if !known.insert(id) {
            return Err(untrusted("its line is a circle"));
        }
        let data = repo.commit(&id)?;
        let commit = Commit::parse(&data).map_err(|e| untrusted(e.0))?;
        let (payload, armour) = split_commit(&data).ok_or_else(|| untrusted("it is not signed"))?;
        next = commit.parents.first().copied();
        line.push((id, commit.tree, payload, armour));
    }
    if let Some(seen) = seen
        && !ObjectId::from_hex(seen.as_bytes()).is_ok_and(|seen| known.contains(&seen))
    {
        return Err(KeyError::RolledBack { seen: seen.to_owned(), found: head.to_string() });
    }
    // Oldest first: each commit names who may sign the next; the first must be signed by one that it names.
    let mut administrators: Option<Vec<AllowedSigner>> = None;
    let mut by_pinned = false;
    for (id, tree, payload, armour) in line.into_iter().rev() {
        let untrusted = |why: String| KeyError::Untrusted { why, commit: id.to_string() };
        let file = file_of(repo, tree, b"administrators")?.unwrap_or_default();
        let named = parse_signers(&file)?;
        let may = administrators.as_ref().unwrap_or(&named);
        let signer = verify(&payload, &armour, may).map_err(|e| untrusted(e.to_string()))?;
        // What stands before a genuine commit is as genuine as that.
        by_pinned |= pinned.iter().any(|p| p.key == signer.key);
        if named.is_empty() {
            return Err(untrusted("it names no administrator".to_owned()));
        }
        administrators = Some(named);
    }
    match by_pinned {
        true => Ok(()),
        false => Err(KeyError::Untrusted { why: "no commit is signed by the pinned key".to_owned(), commit: head.to_string() }),
    }
}

/// Reads a file at the root of a tree.
fn file_of(repo: &Repo, tree: ObjectId, name: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
    let corrupt = |_| KeyError::Untrusted { why: "its tree does not read".to_owned(), commit: tree.to_string() };
    let entries = parse_tree(&repo.tree(&tree)?).map_err(corrupt)?;
    let Some(entry) = entries.iter().find(|e| e.name == name) else { return Ok(None) };
    Ok(Some(repo.blob(&entry.id, 1 << 20)?))
}

impl Trusted {
    /// The files of `_store` that are about trust.
    #[must_use]
    pub fn files(&self) -> TrustFiles {
        let mut files = TrustFiles::new();
        self.trust.write(&mut files);
        files
    }
}
