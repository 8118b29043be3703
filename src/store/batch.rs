//! A batch: objects and refs that appear together or not at all.

use std::time::Duration;

use gix::ObjectId;
use gix::objs::Kind;

use super::error::{Error, Result};
use super::refs::{RefEdit, Refs};
use super::repo::Repo;

/// What a commit of a batch wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Objects in the new pack; 0 if none was written.
    pub objects: u64,
    /// Size of the new pack and its index, in bytes.
    pub added_bytes: u64,
    /// Refs that were changed.
    pub refs: u64,
}

/// Objects that are being written, invisible until [`Batch::commit`].
///
/// `put` works from many threads at once. A batch that is dropped leaves nothing behind.
#[derive(Debug)]
pub struct Batch {}

impl Batch {
    /// Begins a batch. Nothing is written before the first `put`.
    ///
    /// # Errors
    /// None at present.
    pub fn begin(_repo: &Repo) -> Result<Self> {
        todo!()
    }

    /// Sets how long [`Batch::commit`] waits for another writer; 60 s unless told otherwise.
    #[must_use]
    pub fn lock_wait(self, _wait: Duration) -> Self {
        todo!()
    }

    /// Adds an object, compressed; one that is in this batch already is not written again.
    ///
    /// # Errors
    /// [`Error::Collision`], or the disk refused.
    pub fn put(&self, _kind: Kind, _data: &[u8]) -> Result<ObjectId> {
        todo!()
    }

    /// Adds an object as it is, for bytes that do not compress.
    ///
    /// # Errors
    /// As [`Batch::put`].
    pub fn put_raw(&self, _kind: Kind, _data: &[u8]) -> Result<ObjectId> {
        todo!()
    }

    /// Says whether the batch has the object.
    #[must_use]
    pub fn contains(&self, _id: &ObjectId) -> bool {
        todo!()
    }

    /// Commits: under the writers' lock the refs are read again, `edits` builds what depends on them (it may
    /// `put`) and gives the changes of refs, then objects and refs appear together.
    ///
    /// # Errors
    /// What `edits` returns; [`Error::Locked`], [`Error::RefMoved`], or the disk refused. The store is then as it was.
    pub fn commit<E: From<Error>>(self, _edits: impl FnOnce(&Refs, &Batch) -> Result<Vec<RefEdit>, E>) -> Result<Committed, E> {
        todo!()
    }
}
