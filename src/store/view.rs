//! What a transaction sees: the objects of the repository, and those that it has put itself.

use gix::ObjectId;
use gix::objs::Kind;

use super::batch::Batch;
use super::error::{Error, Result};
use super::repo::{Repo, SMALL_LIMIT};

/// Reads objects of a batch that is being written, where there is one, and else of the repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    repo: &'a Repo,
    batch: Option<&'a Batch>,
}

impl<'a> View<'a> {
    pub(super) fn new(repo: &'a Repo, batch: Option<&'a Batch>) -> Self {
        Self { repo, batch }
    }

    pub(super) fn repo(&self) -> &'a Repo {
        self.repo
    }

    /// Reads a tree. One of the repository is checked against its id.
    pub(super) fn tree(&self, id: &ObjectId) -> Result<Vec<u8>> {
        match self.put(id, Kind::Tree, SMALL_LIMIT)? {
            Some(data) => Ok(data),
            None => self.repo.tree(id),
        }
    }

    /// Reads a blob of at most `limit` bytes, without comparing it with its id: the caller has its `stored`
    /// digest.
    pub(super) fn blob(&self, id: &ObjectId, limit: u64) -> Result<Vec<u8>> {
        match self.put(id, Kind::Blob, limit)? {
            Some(data) => Ok(data),
            None => self.repo.blob(id, limit),
        }
    }

    fn put(&self, id: &ObjectId, wanted: Kind, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.batch.map(|batch| batch.object(id, limit)).transpose()?.flatten() {
            Some(object) if object.kind == wanted => Ok(Some(object.data)),
            Some(object) => Err(Error::ObjectKind { wanted, found: object.kind, id: *id }),
            None => Ok(None),
        }
    }
}
