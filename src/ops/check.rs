//! Is the store whole, and what its administrators and collectors made of it?

use std::path::Path;

use super::keys::{KeyError, KeyRing};
use super::signatures::{SignatureReport, check_store};
use super::{Error, Reader};
use crate::inventory::{Inventory, STORE_DIR};
use crate::model::DeviceName;
use crate::seal::Identities;
use crate::store::check::{CheckOptions, CheckReport, Fault, Finding};
use crate::store::facts::STORE_REF;
use crate::store::{self, Access, Record, Refs, Store};

/// What is checked.
#[derive(Debug, Default)]
pub struct Options {
    /// Read every object, and compare it with all its digests.
    pub read_data: bool,
    /// Only these devices, without signatures and without the rest of the store; none for everything.
    pub devices: Vec<DeviceName>,
    /// Threads that read.
    pub threads: usize,
}

/// What was checked and found.
#[derive(Debug)]
pub struct Report {
    /// Structure and data.
    pub data: CheckReport,
    /// `_store` does not read: nothing is known of signatures, and of what was dropped on purpose.
    pub without_facts: bool,
    /// Signatures and heads; nothing where only some devices were checked, or `_store` does not read.
    pub signatures: Option<SignatureReport>,
    /// Devices that the inventory does not have any more; nothing where only some devices were checked.
    pub gone: Vec<DeviceName>,
    /// Whether digests of decoded bytes could be compared, too: the store keys are at hand.
    pub with_keys: bool,
}

impl Report {
    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.data.is_clean() && self.signatures.as_ref().is_none_or(|report| report.findings.is_empty())
    }

    /// Makes the journal's record of it.
    #[must_use]
    pub fn record(&self, options: &Options) -> Record {
        let findings = self.data.findings.len() + self.signatures.as_ref().map_or(0, |report| report.findings.len());
        let record = Record::new("check", if self.is_clean() { "done" } else { "damage" }).with("findings", findings);
        record.with("read_data", options.read_data).with("generations", self.data.generations)
    }
}

/// Refuses names that no device has: a slip of the pen is no damage. One that has lost its lines was seen once.
fn check_names(store: &Store, refs: &Refs, ring: &KeyRing, devices: &[DeviceName]) -> Result<(), Error> {
    // What cannot be read is told by the check itself.
    let seen = ring.seen().unwrap_or_default();
    for device in devices {
        let prefix = format!("refs/heads/{device}/");
        if !seen.keys().any(|name| name.starts_with(&prefix)) && refs.prefix(&prefix).next().is_none() {
            store.newest(refs, device)?;
        }
    }
    Ok(())
}

/// Tells whether a store did not open because `_store` is damaged: the rest is then looked at all the same.
fn is_of_facts(error: &store::Error) -> bool {
    use store::Error as E;
    match error {
        E::BranchGone { .. } | E::ObjectMissing { .. } | E::ObjectCorrupt { .. } | E::ObjectKind { .. } => true,
        E::Corrupt { whose, .. } => whose == "_store",
        _ => false,
    }
}

/// Checks the store in the folder `root`. `progress` is told, from any thread, how many of how many
/// objects were read.
///
/// # Errors
/// The store cannot be opened at all, or has no such device; everything else is a finding.
pub fn check(
    root: &Path,
    identities: Option<&Identities>,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, Error> {
    let (reader, alone);
    let mut lost = None;
    let (store, access) = match Reader::open(root, identities) {
        Ok(open) => {
            reader = open;
            (&reader.store, reader.access())
        }
        // Who said so is a question of its own, answered below; the bytes are checked all the same.
        Err(Error::Key(KeyError::Untrusted { .. } | KeyError::RolledBack { .. })) => {
            alone = Store::open(&root.join(STORE_DIR))?;
            (&alone, Access::default())
        }
        Err(Error::Store(error)) if is_of_facts(&error) => {
            alone = Store::open_without_facts(&root.join(STORE_DIR))?;
            lost = Some(error);
            (&alone, Access::default())
        }
        Err(error) => return Err(error),
    };
    let devices = (!options.devices.is_empty()).then_some(options.devices.as_slice());
    let how = CheckOptions { read_data: options.read_data, access, devices, threads: options.threads };
    let refs = store.refs()?;
    check_names(store, &refs, &KeyRing::at(root), &options.devices)?;
    let mut data = store.check(&refs, &how, progress)?;
    if let Some(error) = &lost
        && !data.findings.iter().any(|finding| finding.place.as_deref() == Some(STORE_REF))
    {
        let (fault, what, place) = (Fault::Damaged, error.to_string(), Some(STORE_REF.to_owned()));
        data.findings.push(Finding { fault, what, object: None, place, file: None, touches: Vec::new() });
    }
    let gone = match Inventory::load(root) {
        Ok(inventory) if devices.is_none() => super::gone(&inventory, store, &refs),
        // A copy of the store has none.
        _ => Vec::new(),
    };
    let signatures = match devices {
        None if lost.is_none() => Some(check_store(store, &KeyRing::at(root))?),
        _ => None,
    };
    Ok(Report { data, without_facts: lost.is_some(), signatures, gone, with_keys: access.keys.is_some() })
}
