//! Whether one generation, name or head is signed by who may: asked before it is put back, built on or sent on. What
//! stands behind it is [`check`](super::check)'s.

use std::path::Path;

use super::Error;
use super::keys::{KeyError, KeyRing, Seen, reaches, trusted_to_read};
use super::signatures::{SignatureFinding, Wrong, group, owner};
use crate::model::DeviceName;
use crate::seal::{Error as SealError, Trust, principal, verify};
use crate::store::facts::STORE_REF;
use crate::store::generation::Message;
use crate::store::object::{Commit, Tag, split_commit, split_tag};
use crate::store::{Feature, Generation, ObjectId, Refs, Store};

const TAGS: &str = "refs/tags/";

/// What the signature of a generation is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// The store asks for no signatures.
    NotAsked,
    /// Signed by who may.
    Good,
    /// Signed by nobody who may.
    Wrong(SignatureFinding),
}

impl Signature {
    /// What is wrong, if anything is.
    #[must_use]
    pub fn wrong(self) -> Option<SignatureFinding> {
        match self {
            Self::Wrong(found) => Some(found),
            Self::Good | Self::NotAsked => None,
        }
    }
}

/// Whom a store trusts: by the keys of the installation in `root`, or, of a copy without them, by what it says of itself.
///
/// # Errors
/// `_store` is not what administrators signed, or the keys cannot be read.
pub fn trust_of(store: &Store, root: &Path) -> Result<Trust, Error> {
    let ring = KeyRing::at(root);
    if ring.is_there() { Ok(trusted_to_read(store, &ring)?) } else { Ok(Trust::parse(store.facts().files())?) }
}

/// Says what is wrong with the signature of a commit or tag on `reference`; nothing in a store without signatures.
#[must_use]
pub fn wrong(store: &Store, refs: &Refs, trust: &Trust, reference: &str, id: ObjectId) -> Option<SignatureFinding> {
    if !store.facts().has(Feature::Signing) || reference == STORE_REF {
        return None;
    }
    let wrong = signature(store, refs, trust, reference, id).err()?;
    Some(SignatureFinding { reference: reference.to_owned(), object: id.to_string(), wrong })
}

fn signature(store: &Store, refs: &Refs, trust: &Trust, reference: &str, id: ObjectId) -> Result<(), Wrong> {
    let repo = store.repo();
    let (payload, armour, message, by) = if reference.starts_with(TAGS) {
        let raw = repo.tag(&id).map_err(|_| Wrong::Unreadable)?;
        let tag = Tag::parse(&raw).map_err(|_| Wrong::Unreadable)?;
        let (payload, armour) = split_tag(&raw);
        (payload.to_vec(), armour.ok_or(Wrong::Unsigned)?.to_owned(), tag.message, tag.tagger.name)
    } else {
        let raw = repo.commit(&id).map_err(|_| Wrong::Unreadable)?;
        let commit = Commit::parse(&raw).map_err(|_| Wrong::Unreadable)?;
        let (payload, armour) = split_commit(&raw).ok_or(Wrong::Unsigned)?;
        (payload, armour, commit.message, commit.committer.name)
    };
    let signer = verify(&payload, &armour, &trust.signers).map_err(|error| match error {
        SealError::SignerUnknown(key) => Wrong::UnknownSigner { key: key.to_string() },
        _ => Wrong::Altered,
    })?;
    let says = Message::parse(&message).ok().and_then(|m| m.get("Collector").map(str::to_owned)).unwrap_or(by);
    for says in [says.as_str()].into_iter().chain(owner(reference)) {
        let says = says.parse().map_or_else(|_| says.to_owned(), |name| principal(&name));
        if says != signer.principal {
            return Err(Wrong::OtherCollector { signed_by: signer.principal.clone(), says });
        }
    }
    let key = signer.key.fingerprint();
    // As in a check of everything: a cut counts where its ref is there, for all that the refs of its kind share.
    let cuts = trust.revoked.iter().filter(|cut| cut.key == key);
    let here = cuts.filter(|cut| group(&cut.reference) == group(reference) && refs.get(&cut.reference).is_some());
    let counts = |cut: ObjectId| cut == id || reaches(repo, cut, id).is_ok_and(|reached| reached);
    if trust.is_revoked(&key) && !here.filter_map(|cut| ObjectId::from_hex(cut.commit.as_bytes()).ok()).any(counts) {
        return Err(Wrong::Revoked { key: key.to_string() });
    }
    Ok(())
}

/// Says what the signature of a generation is worth.
#[must_use]
pub fn signature_of(store: &Store, refs: &Refs, trust: &Trust, generation: &Generation) -> Signature {
    let line = format!("refs/heads/{}/{}", generation.device, generation.release.to_ref());
    match wrong(store, refs, trust, &line, generation.id) {
        Some(found) => Signature::Wrong(found),
        None if store.facts().has(Feature::Signing) => Signature::Good,
        None => Signature::NotAsked,
    }
}

/// Gives what is wrong with heads that this installation has not written, taken over or accepted, below a prefix.
#[must_use]
pub fn strange_heads(store: &Store, refs: &Refs, trust: &Trust, seen: &Seen, prefix: &str) -> Vec<SignatureFinding> {
    let new = refs.prefix(prefix).filter(|head| seen.get(head.name) != Some(&head.id.to_string()));
    new.filter_map(|head| wrong(store, refs, trust, head.name, head.id)).collect()
}

/// Refuses to build on a line of a device whose head is signed by nobody who may, unless it was accepted.
///
/// # Errors
/// [`KeyError::Foreign`].
pub fn check_lines(store: &Store, refs: &Refs, trust: &Trust, seen: &Seen, device: &DeviceName) -> Result<(), KeyError> {
    let found = strange_heads(store, refs, trust, seen, &format!("refs/heads/{device}/")).into_iter().next();
    found.map_or(Ok(()), |found| Err(KeyError::Foreign(found)))
}
