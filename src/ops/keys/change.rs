//! Changes of who reads, who writes and who decides.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{KeyError, KeyRing, Trusted, found::ADMINISTRATOR, trusted, watch::reaches};
use crate::model::CollectorName;
use crate::seal::{
    AllowedSigner, Cut, EpochRecipient, Fingerprint, Identities, PublicKey, Recipient, SigningKey, StoreKeys, Trust,
};
use crate::store::facts::{Feature, STORE_REF};
use crate::store::{ObjectId, Refs, Store};

/// Refs and where they stand.
pub type Heads = Vec<(String, ObjectId)>;

/// A change of keys.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KeyChange {
    /// Add a recipient: it will open everything, old and new.
    AddRecipient(Recipient),
    /// Remove a recipient, named by its key or its comment. What it opened it may have kept.
    RemoveRecipient(String),
    /// Begin a new epoch for what comes later.
    Rotate,
    /// Let a collector in.
    Admit {
        /// Its name.
        name: CollectorName,
        /// The recipient of its own identity.
        recipient: EpochRecipient,
        /// Its signing key.
        signer: PublicKey,
    },
    /// Revoke a collector's signing key, named by the collector or by its fingerprint: what it signed so
    /// far counts, what comes later does not.
    Revoke {
        /// The collector, or the fingerprint.
        which: String,
        /// Heads of mirrors, beside those of this store: what another collector wrote may lie only there.
        elsewhere: Heads,
    },
    /// Name another administrator.
    AddAdministrator(PublicKey),
    /// Remove an administrator.
    RemoveAdministrator(Fingerprint),
}

/// The word for a change in the journal.
#[must_use]
pub fn word(change: &KeyChange) -> &'static str {
    match change {
        KeyChange::AddRecipient(_) => "add-recipient",
        KeyChange::RemoveRecipient(_) => "remove-recipient",
        KeyChange::Rotate => "rotate",
        KeyChange::Admit { .. } => "admit",
        KeyChange::Revoke { .. } => "revoke",
        KeyChange::AddAdministrator(_) => "add-administrator",
        KeyChange::RemoveAdministrator(_) => "remove-administrator",
    }
}

/// What a change did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The newest epoch after it.
    pub epoch: u32,
    /// Recipients that were removed. What they opened before, they may have kept; until the next
    /// rotation, they may also have kept the identity of the epoch that is in use.
    pub removed: Vec<Recipient>,
    /// Keys that were revoked.
    pub revoked: Vec<Fingerprint>,
    /// Refs on which the revoked keys are cut off.
    pub cut: usize,
}

/// Changes `_store` by one commit, signed by an administrator.
///
/// `own` opens the epochs; it is needed wherever keys are sealed anew.
///
/// # Errors
/// [`KeyError::NotAdministrator`], [`KeyError::Nobody`], [`KeyError::NoSuch`], [`KeyError::Already`];
/// [`seal::Error::Key`](crate::seal::Error::Key) if `own` does not open the epochs. Nothing is changed then.
pub fn apply(
    store: &mut Store,
    ring: &KeyRing,
    change: &KeyChange,
    own: &Identities,
    administrator: &SigningKey,
    now: DateTime<Utc>,
) -> Result<Change, KeyError> {
    let Trusted { mut trust, .. } = trusted(store, ring)?;
    if !trust.administrators.iter().any(|a| a.key == administrator.public()) {
        return Err(KeyError::NotAdministrator(administrator.fingerprint()));
    }
    let refs = store.refs()?;
    let mut done = Change::default();
    let why = alter(&mut trust, change, own, &refs, &mut done)?;
    if trust.administrators.is_empty() {
        return Err(KeyError::Nobody("the store would have no administrator"));
    }
    done.epoch = trust.newest();
    store.amend_facts(&why, Some(administrator), now, |features, files| {
        if !trust.recipients.is_empty() && !features.contains(&Feature::Sealing) {
            features.push(Feature::Sealing);
        }
        trust.write(files);
        Ok(())
    })?;
    // Seen at once, so that this installation notices if it is taken back.
    ring.change_seen(|seen| Ok(seen.insert(STORE_REF.to_owned(), store.facts().commit.to_string())))?;
    Ok(done)
}

/// Changes the values; gives the subject of the commit.
fn alter(trust: &mut Trust, change: &KeyChange, own: &Identities, refs: &Refs, done: &mut Change) -> Result<String, KeyError> {
    match change {
        KeyChange::AddRecipient(recipient) => {
            let first = trust.recipients.is_empty();
            let mut keys = trust.store_keys(own)?;
            let opener = trust.unlock(own)?;
            if !trust.recipients.add(recipient.clone())? {
                return Err(KeyError::Already(recipient.to_string()));
            }
            trust.rewrap(&opener, &keys)?;
            if first {
                // A store that kept its secrets in clear begins to seal.
                trust.begin_epoch(&mut keys)?;
            }
            Ok("Add a recipient".to_owned())
        }
        KeyChange::RemoveRecipient(which) => {
            let keys = trust.store_keys(own)?;
            let opener = trust.unlock(own)?;
            done.removed = trust.recipients.remove(which);
            if done.removed.is_empty() {
                return Err(KeyError::NoSuch { what: "recipient", name: which.clone() });
            }
            if trust.recipients.is_empty() {
                return Err(KeyError::Nobody("the store would have no recipient"));
            }
            trust.rewrap(&opener, &keys)?;
            Ok("Remove a recipient".to_owned())
        }
        KeyChange::Rotate => {
            let mut keys: StoreKeys = trust.store_keys(own)?;
            trust.begin_epoch(&mut keys)?;
            Ok(format!("Begin epoch {}", trust.newest()))
        }
        KeyChange::Admit { name, recipient, signer } => {
            let keys = trust.store_keys(own)?;
            if trust.is_revoked(&signer.fingerprint()) {
                return Err(KeyError::Already(format!("revoked {}", signer.fingerprint())));
            }
            trust.admit(name, recipient.clone(), signer.clone(), &keys)?;
            Ok(format!("Let collector {name} in"))
        }
        KeyChange::Revoke { which, elsewhere } => {
            revoke(trust, which, refs, elsewhere, done)?;
            Ok("Revoke a signer".to_owned())
        }
        KeyChange::AddAdministrator(key) => {
            if trust.administrators.iter().any(|a| a.key == *key) {
                return Err(KeyError::Already(key.fingerprint().to_string()));
            }
            trust.administrators.push(AllowedSigner { principal: ADMINISTRATOR.to_owned(), key: key.clone() });
            Ok("Add an administrator".to_owned())
        }
        KeyChange::RemoveAdministrator(print) => {
            let before = trust.administrators.len();
            trust.administrators.retain(|a| a.key.fingerprint() != *print);
            if trust.administrators.len() == before {
                return Err(KeyError::NoSuch { what: "administrator", name: print.to_string() });
            }
            Ok("Remove an administrator".to_owned())
        }
    }
}

/// Gives the signers that are meant by a collector's name or a fingerprint, and are not revoked.
fn meant(trust: &Trust, which: &str) -> Vec<AllowedSigner> {
    let is = |s: &&AllowedSigner| collector(s) == Some(which) || s.key.fingerprint().to_string() == which;
    trust.signers.iter().filter(is).filter(|s| !trust.is_revoked(&s.key.fingerprint())).cloned().collect()
}

fn collector(signer: &AllowedSigner) -> Option<&str> {
    signer.principal.strip_suffix("@confvault")
}

/// Tells whether another collector than `own` is meant: its lines need not be in this store, or not whole.
///
/// # Errors
/// What [`trusted`] gives.
pub fn revokes_another(store: &Store, ring: &KeyRing, which: &str, own: Option<&CollectorName>) -> Result<bool, KeyError> {
    let trust = trusted(store, ring)?.trust;
    Ok(meant(&trust, which).iter().any(|signer| collector(signer) != own.map(CollectorName::as_str)))
}

/// Gives the heads of a mirror of this store, of which only the ids are believed.
///
/// # Errors
/// [`KeyError::OtherStore`] if the mirror's `_store` is none that this store has had.
pub fn heads_elsewhere(store: &Store, theirs: Heads) -> Result<Heads, KeyError> {
    let known =
        |(name, id): &(String, ObjectId)| name == STORE_REF && reaches(store.repo(), store.facts().commit, *id).is_ok_and(|r| r);
    if theirs.iter().any(known) { Ok(theirs) } else { Err(KeyError::OtherStore) }
}

/// Cuts keys off at the heads as they are now, here and elsewhere, and takes the store keys from their collector.
fn revoke(trust: &mut Trust, which: &str, refs: &Refs, elsewhere: &Heads, done: &mut Change) -> Result<(), KeyError> {
    let fresh = meant(trust, which);
    if fresh.is_empty() {
        return Err(KeyError::NoSuch { what: "signer", name: which.to_owned() });
    }
    for signer in fresh {
        let key = signer.key.fingerprint();
        // Every ref is listed: one that is not counts nothing. One that stands elsewhere otherwise has both places.
        let here = refs.iter().map(|r| (r.name.to_owned(), r.id));
        let cuts: BTreeSet<(String, ObjectId)> = here.chain(elsewhere.iter().cloned()).collect();
        for (reference, commit) in cuts.into_iter().filter(|(name, _)| name != STORE_REF) {
            trust.revoked.push(Cut { key: key.clone(), reference, commit: commit.to_string() });
            done.cut += 1;
        }
        done.revoked.push(key);
        // A collector that was rebuilt has another key, and goes on with it.
        if let Some(name) = collector(&signer).filter(|name| meant(trust, name).is_empty()) {
            trust.collectors.retain(|other, _| other.as_str() != name);
        }
    }
    Ok(())
}
