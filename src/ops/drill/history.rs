//! Drills that were recorded, and whose signature a record stands under.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::{DrillError, Protocol};
use crate::ops::Error;
use crate::ops::keys::{KeyError, KeyRing, trusted};
use crate::ops::signatures::Wrong;
use crate::seal::{Error as SealError, Trust, principal, verify};
use crate::store::object::{Commit, split_commit};
use crate::store::{Entry, JournalQuery, ObjectId, Record, Refs, Store};

/// A drill as the journal holds it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The commit of the journal.
    pub commit: ObjectId,
    /// The record, without its protocol.
    pub record: Record,
    /// What was done and found.
    pub protocol: Protocol,
}

/// Whose signature a record stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSignature {
    /// The fingerprint of the key.
    pub key: String,
    /// Whose key it is.
    pub signer: String,
}

/// What the signature of a record is worth.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Whose it is, or what is wrong with it.
    pub by: Result<RecordSignature, Wrong>,
    /// The signers were followed back to an administrator whose key is pinned here; else they are those that the
    /// store itself names.
    pub pinned: bool,
}

/// Checks the signature of a record in the store of the folder `root`.
///
/// # Errors
/// The key folder or the store cannot be read.
pub fn signed(root: &Path, store: &Store, held: &Held) -> Result<Signed, Error> {
    let ring = KeyRing::at(root);
    if !ring.is_pinned() {
        return Ok(Signed { by: held.signature(store, &Trust::parse(store.facts().files())?), pinned: false });
    }
    match trusted(store, &ring) {
        Ok(trusted) => Ok(Signed { by: held.signature(store, &trusted.trust), pinned: true }),
        Err(error @ (KeyError::Untrusted { .. } | KeyError::RolledBack { .. })) => {
            Ok(Signed { by: Err(Wrong::Untrusted { why: error.to_string() }), pinned: true })
        }
        Err(error) => Err(error.into()),
    }
}

/// Lists drills, newest first.
///
/// # Errors
/// The journal cannot be read.
pub fn list(store: &Store, refs: &Refs, since: Option<DateTime<Utc>>) -> Result<Vec<Held>, Error> {
    let mut found = Vec::new();
    each(store, refs, JournalQuery { since, ..JournalQuery::default() }, &mut |held| {
        found.push(held);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Finds a drill by its id or the beginning of it; without one, the newest.
///
/// # Errors
/// [`DrillError::Unknown`], `Ambiguous`, `Never`; the journal cannot be read.
pub fn find(store: &Store, refs: &Refs, id: Option<&str>) -> Result<Held, Error> {
    let mut found: Vec<Held> = Vec::new();
    each(store, refs, JournalQuery::default(), &mut |held| {
        let whole = id == Some(held.record.run.as_str());
        if id.is_none_or(|id| held.record.run.starts_with(&id.to_ascii_uppercase())) {
            found.push(held);
        }
        if id.is_none() || whole || found.len() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match (found.len(), id) {
        (0, None) => Err(DrillError::Never.into()),
        (0, Some(id)) => Err(DrillError::Unknown(id.to_owned()).into()),
        (1, _) => Ok(found.remove(0)),
        (_, id) => Err(DrillError::Ambiguous(id.unwrap_or_default().to_owned()).into()),
    }
}

fn each(store: &Store, refs: &Refs, query: JournalQuery, visit: &mut dyn FnMut(Held) -> ControlFlow<()>) -> Result<(), Error> {
    store.each_record(refs, &query, &mut |Entry { commit, mut record }| {
        let document = record.more.remove("protocol").filter(|_| record.action == "drill");
        // One of a later version that does not read is passed over here; the journal has it.
        match document.and_then(|document| serde_json::from_value(document).ok()) {
            Some(protocol) => visit(Held { commit, record, protocol }),
            None => ControlFlow::Continue(()),
        }
    })?;
    Ok(())
}

impl Held {
    /// Checks the signature of the commit that holds the record, against the signers of the store.
    ///
    /// # Errors
    /// What is wrong with it.
    fn signature(&self, store: &Store, trust: &Trust) -> Result<RecordSignature, Wrong> {
        let repo = store.repo();
        let raw = repo.commit(&self.commit).map_err(|_| Wrong::Unreadable)?;
        let commit = Commit::parse(&raw).map_err(|_| Wrong::Unreadable)?;
        let (payload, armour) = split_commit(&raw).ok_or(Wrong::Unsigned)?;
        let signer = verify(&payload, &armour, &trust.signers).map_err(|error| match error {
            SealError::SignerUnknown(key) => Wrong::UnknownSigner { key: key.to_string() },
            _ => Wrong::Altered,
        })?;
        let says = commit.committer.name.parse().map_or_else(|_| commit.committer.name.clone(), |name| principal(&name));
        if signer.principal != says {
            return Err(Wrong::OtherCollector { signed_by: signer.principal.clone(), says });
        }
        let key = signer.key.fingerprint();
        if trust.is_revoked(&key) {
            let journal = format!("refs/heads/_journal/{}/", self.record.collector);
            let cuts = trust.revoked.iter().filter(|cut| cut.key == key && cut.reference.starts_with(&journal));
            let cuts: Vec<ObjectId> = cuts.filter_map(|cut| ObjectId::from_hex(cut.commit.as_bytes()).ok()).collect();
            if !reaches(store, cuts, self.commit) {
                return Err(Wrong::Revoked { key: key.to_string() });
            }
        }
        Ok(RecordSignature { key: key.to_string(), signer: signer.principal.clone() })
    }
}

/// Tells whether a commit stands behind one of several.
fn reaches(store: &Store, mut todo: Vec<ObjectId>, commit: ObjectId) -> bool {
    let mut done = HashSet::new();
    while let Some(id) = todo.pop() {
        if id == commit {
            return true;
        }
        if done.insert(id) {
            let parsed = store.repo().commit(&id).ok().and_then(|raw| Commit::parse(&raw).ok());
            todo.extend(parsed.map(|c| c.parents).unwrap_or_default());
        }
    }
    false
}
