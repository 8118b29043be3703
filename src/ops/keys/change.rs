//! Changes of who reads, who writes and who decides.

use chrono::{DateTime, Utc};

use super::{KeyError, KeyRing, Trusted, found::ADMINISTRATOR, trusted};
use crate::model::CollectorName;
use crate::seal::{
    AllowedSigner, Cut, EpochRecipient, Fingerprint, Identities, PublicKey, Recipient, SigningKey, StoreKeys, Trust,
};
use crate::store::facts::{Feature, STORE_REF};
use crate::store::{Refs, Store};

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
    Revoke(String),
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
        KeyChange::Revoke(_) => "revoke",
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
        KeyChange::Revoke(which) => {
            revoke(trust, which, refs, done)?;
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

/// Cuts keys off at the heads as they are now, and takes the store keys from their collector.
fn revoke(trust: &mut Trust, which: &str, refs: &Refs, done: &mut Change) -> Result<(), KeyError> {
    let is =
        |s: &&AllowedSigner| s.principal.strip_suffix("@confvault") == Some(which) || s.key.fingerprint().to_string() == which;
    let keys: Vec<_> = trust.signers.iter().filter(is).cloned().collect();
    let fresh: Vec<_> = keys.into_iter().filter(|s| !trust.is_revoked(&s.key.fingerprint())).collect();
    if fresh.is_empty() {
        return Err(KeyError::NoSuch { what: "signer", name: which.to_owned() });
    }
    for signer in fresh {
        let key = signer.key.fingerprint();
        // Every ref is listed: one that is not counts nothing.
        for found in refs.iter().filter(|r| r.name != STORE_REF) {
            trust.revoked.push(Cut { key: key.clone(), reference: found.name.to_owned(), commit: found.id.to_string() });
            done.cut += 1;
        }
        if let Some(name) = signer.principal.strip_suffix("@confvault").and_then(|n| n.parse::<CollectorName>().ok()) {
            trust.collectors.remove(&name);
        }
        done.revoked.push(key);
    }
    Ok(())
}
