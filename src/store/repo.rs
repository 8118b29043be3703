//! The repository: making it, opening it, reading its objects.

use std::path::Path;
use std::time::Duration;

use gix::ObjectId;
use gix::objs::Kind;

use super::error::Result;
use super::lock::Lock;
use super::refs::Refs;

/// An object, decoded and checked against its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Blob, tree, commit or tag.
    pub kind: Kind,
    /// Its bytes, without git's header.
    pub data: Vec<u8>,
}

/// An open repository. Clones are cheap and share everything; all methods work from many threads.
#[derive(Debug, Clone)]
pub struct Repo {}

impl Repo {
    /// Makes a bare repository at `dir`, which must not exist or be empty, with `HEAD` at `refs/heads/_store`.
    ///
    /// # Errors
    /// Something is there, or the disk refused.
    pub fn create(_dir: &Path) -> Result<Self> {
        todo!()
    }

    /// Opens a repository and refuses what could run a program or hide refs and objects.
    ///
    /// # Errors
    /// [`Error::NoStore`](super::Error::NoStore), `ForeignOwner`, `RefusedSetting`.
    pub fn open(_dir: &Path) -> Result<Self> {
        todo!()
    }

    /// Gives the directory of the repository.
    #[must_use]
    pub fn dir(&self) -> &Path {
        todo!()
    }

    /// Gives the directory beside the objects for locks and caches, `confvault/`.
    #[must_use]
    pub fn cache_dir(&self) -> &Path {
        todo!()
    }

    /// Reads all refs.
    ///
    /// # Errors
    /// A ref or `packed-refs` cannot be read or is corrupt.
    pub fn refs(&self) -> Result<Refs> {
        todo!()
    }

    /// Takes the writers' lock.
    ///
    /// # Errors
    /// [`Error::Locked`](super::Error::Locked).
    pub fn lock(&self, _wait: Duration) -> Result<Lock> {
        todo!()
    }

    /// Gives kind and size in bytes of an object without decoding it.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`](super::Error::ObjectMissing), `ObjectCorrupt`.
    pub fn header(&self, _id: &ObjectId) -> Result<(Kind, u64)> {
        todo!()
    }

    /// Reads an object of at most `limit` bytes and checks it against its id.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`](super::Error::ObjectMissing), `ObjectCorrupt`, `ObjectTooLarge`.
    pub fn object(&self, _id: &ObjectId, _limit: u64) -> Result<Object> {
        todo!()
    }

    /// Reads a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn blob(&self, _id: &ObjectId, _limit: u64) -> Result<Vec<u8>> {
        todo!()
    }

    /// Reads a tree, to be parsed with `gix::objs::TreeRefIter::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn tree(&self, _id: &ObjectId) -> Result<Vec<u8>> {
        todo!()
    }

    /// Reads a commit, to be parsed with `gix::objs::CommitRef::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn commit(&self, _id: &ObjectId) -> Result<Vec<u8>> {
        todo!()
    }

    /// Reads an annotated tag, to be parsed with `gix::objs::TagRef::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn tag(&self, _id: &ObjectId) -> Result<Vec<u8>> {
        todo!()
    }
}
