//! What is committed together: generations, names, logs and the journal's record of it.

mod chain;
mod commit;
mod snapshot;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::batch::{Batch, Committed};
use super::commit::put_tag;
use super::error::{Error, Result};
use super::facts::FactFiles;
use super::generation::Generation;
use super::journal::{self, Open, Record, RunId};
use super::look::{Kept, Looks};
use super::names;
use super::refs::{RefEdit, Refs};
use super::store::Store;
use crate::model::{CollectorName, DeviceName, Digest, Look, NameTag};
use crate::seal::SigningKey;
pub use chain::Chain;

/// Who writes, for what, and when.
#[derive(Debug, Clone)]
pub struct Who {
    /// The collector.
    pub collector: CollectorName,
    /// Its key; nothing in a store that is not signed.
    pub signing: Option<SigningKey>,
    /// The run.
    pub run: RunId,
    /// The time of the commits.
    pub now: DateTime<Utc>,
}

/// What a commit of a transaction wrote.
#[derive(Debug, Clone)]
pub struct Done {
    /// Counts of the batch.
    pub committed: Committed,
    /// Devices that another process wrote to meanwhile: nothing of them was committed. They are to be
    /// done again in a new transaction.
    pub moved: Vec<DeviceName>,
    /// The changes of refs.
    pub written: Vec<RefEdit>,
}

/// A transaction: everything of it appears at once, or nothing.
///
/// [`Transaction::snapshot`], [`Transaction::record`] and the others work from many threads.
#[derive(Debug)]
pub struct Transaction<'s> {
    store: &'s Store,
    batch: Batch,
    refs: Refs,
    who: Who,
    looks: Looks,
    /// The looks of devices that are in work.
    kept: Mutex<HashMap<DeviceName, Arc<Kept>>>,
    planned: Mutex<Planned>,
}

/// What waits for the commit.
#[derive(Debug, Default)]
struct Planned {
    devices: BTreeMap<DeviceName, Plan>,
    records: Vec<Record>,
    open: BTreeMap<Open, Option<Vec<u8>>>,
    expected: BTreeMap<Open, Option<Vec<u8>>>,
    files: Option<FactFiles>,
    gone: Vec<RefEdit>,
}

/// What waits for one device: all of it is committed, or none.
#[derive(Debug, Default)]
struct Plan {
    edits: Vec<RefEdit>,
    records: Vec<Record>,
    given: Vec<(NameTag, u64)>,
    removed: Vec<(NameTag, u64)>,
    /// A set was given; its generation, if it differs.
    snapshot: bool,
    unchanged: bool,
    /// The record of the look to be remembered, if it says more than the one that is there.
    look: Option<Vec<u8>>,
    /// The tree of its logs.
    logs: Option<ObjectId>,
}

impl Plan {
    /// Gives where a line leads, if this plan moves it.
    fn head(&self, line: &str) -> Option<ObjectId> {
        self.edits.iter().find(|e| e.name == line).and_then(|e| e.new)
    }

    /// Moves a line; `expected` is where it leads before this transaction.
    fn move_head(&mut self, line: String, expected: Option<ObjectId>, new: ObjectId) {
        match self.edits.iter_mut().find(|e| e.name == line) {
            Some(edit) => edit.new = Some(new),
            None => self.edits.push(RefEdit { name: line, expected, new: Some(new) }),
        }
    }
}

impl<'s> Transaction<'s> {
    pub(super) fn begin(store: &'s Store, who: Who) -> Result<Self> {
        let (batch, refs) = (Batch::begin(store.repo())?, store.repo().refs()?);
        let looks = Looks::new(store.repo());
        Ok(Self { store, batch, refs, who, looks, kept: Mutex::default(), planned: Mutex::default() })
    }

    /// Sets how long the commit waits for another writer; 60 s unless told otherwise.
    #[must_use]
    pub fn lock_wait(self, wait: Duration) -> Self {
        Self { batch: self.batch.lock_wait(wait), ..self }
    }

    /// The refs that everything in this transaction is built on.
    #[must_use]
    pub fn refs(&self) -> &Refs {
        &self.refs
    }

    /// Gives what is remembered of a device's source, if it counts: it was taken under the same `rules`
    /// and with the lines of the device as they stand. Opens no git object.
    ///
    /// `rules` must change with the source, with the profile's rules of collecting, normalising and masking,
    /// and with the epoch.
    #[must_use]
    pub fn look(&self, device: &DeviceName, rules: &Digest) -> Option<Arc<Look>> {
        let kept = self.kept(device)?;
        (kept.look.rules == *rules).then(|| Arc::clone(&kept.look))
    }

    /// Gives what the cache has of a device.
    fn kept(&self, device: &DeviceName) -> Option<Arc<Kept>> {
        let known = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known().get(device) {
            return Some(Arc::clone(kept));
        }
        if self.store.damage().concerns(device) {
            return None;
        }
        let kept = Arc::new(self.looks.load(&self.refs, device)?);
        known().insert(device.clone(), Arc::clone(&kept));
        Some(kept)
    }

    /// Forgets what the cache has of a device that was done: a fleet of looks would fill the memory for nothing.
    fn release(&self, device: &DeviceName) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(device);
    }

    fn planned(&self) -> MutexGuard<'_, Planned> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a generation, which may be one of this transaction, a name.
    ///
    /// # Errors
    /// [`Error::NameTaken`], `NameUsed`.
    pub fn name(&self, generation: &Generation, name: &NameTag, note: Option<&str>) -> Result<()> {
        let device = &generation.device;
        let full = names::tag_ref(device, name);
        if let Some(tag) = self.refs.get(&full) {
            let number = names::read(self.store.repo(), device, &tag)?.number;
            return Err(Error::NameTaken { device: device.clone(), number, name: name.to_string() });
        }
        self.check_unused(&self.refs, device, name, generation.number)?;
        let tag = names::tag(generation, name, note, &self.who.collector, self.who.now);
        let id = put_tag(&self.batch, &tag, self.who.signing.as_ref())?;
        let mut planned = self.planned();
        let plan = planned.devices.entry(device.clone()).or_default();
        if let Some((_, number)) = plan.given.iter().find(|(n, _)| n == name) {
            return Err(Error::NameTaken { device: device.clone(), number: *number, name: name.to_string() });
        }
        plan.edits.push(RefEdit { name: full, expected: None, new: Some(id) });
        plan.given.push((name.clone(), generation.number));
        plan.records.push(
            Record::new("name", "done")
                .with("device", device.as_str())
                .with("generation", generation.number)
                .with("name", name.as_str()),
        );
        Ok(())
    }

    fn check_unused(&self, refs: &Refs, device: &DeviceName, name: &NameTag, number: u64) -> Result<()> {
        match journal::used_name(self.store.repo(), refs, device, name)? {
            Some(used) if used != number => Err(Error::NameUsed { device: device.clone(), number: used, name: name.to_string() }),
            _ => Ok(()),
        }
    }

    /// Takes a name away; it stays used.
    ///
    /// # Errors
    /// [`Error::NoName`], `NoDevice`.
    pub fn unname(&self, device: &DeviceName, name: &NameTag) -> Result<()> {
        let full = names::tag_ref(device, name);
        let Some(tag) = self.refs.get(&full) else {
            super::history::newest(self.store.repo(), &self.refs, device)?;
            let there = names::list(self.store.repo(), &self.refs, device)?;
            let there = there.into_iter().map(|n| n.name.to_string()).collect();
            return Err(Error::NoName { device: device.clone(), name: name.to_string(), there });
        };
        let number = names::read(self.store.repo(), device, &tag)?.number;
        let mut planned = self.planned();
        let plan = planned.devices.entry(device.clone()).or_default();
        plan.edits.push(RefEdit { name: full, expected: Some(tag.id), new: None });
        plan.removed.push((name.clone(), number));
        plan.records.push(
            Record::new("unname", "done").with("device", device.as_str()).with("generation", number).with("name", name.as_str()),
        );
        Ok(())
    }

    /// Takes back what was planned for a device, its set and its names: nothing of it is committed.
    pub fn withdraw(&self, device: &DeviceName) {
        self.planned().devices.remove(device);
    }

    /// Adds a record to the journal. One with a `device` that is in this transaction is left out if the
    /// device has moved.
    pub fn record(&self, record: Record) {
        self.planned().records.push(record);
    }

    /// Takes refs away that were erased on purpose; those that are gone already are passed over.
    pub fn remove(&self, refs: Vec<RefEdit>) {
        self.planned().gone.extend(refs.into_iter().map(|edit| RefEdit { new: None, ..edit }));
    }

    /// Opens, alters or (with nothing) closes what the journal carries along.
    pub fn set_open(&self, what: Open, content: Option<Vec<u8>>) {
        self.planned().open.insert(what, content);
    }

    /// Makes the commit fail unless the own journal still carries this, or (with nothing) nothing there.
    pub fn expect_open(&self, what: Open, content: Option<Vec<u8>>) {
        self.planned().expected.insert(what, content);
    }

    /// Sets what the branch of the collector holds: its inventory, profiles and host-key pins. Nothing is
    /// committed if it holds that already.
    pub fn collector_files(&self, files: FactFiles) {
        self.planned().files = Some(files);
    }
}
