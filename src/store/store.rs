//! The open store.

use std::path::Path;

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::decode::{Access, SetReader};
use super::error::Result;
use super::facts::{FactFiles, Facts};
use super::generation::Generation;
use super::history::History;
use super::journal::{JournalQuery, Record};
use super::manifest::Manifest;
use super::names::Name;
use super::refs::Refs;
use super::repo::Repo;
use super::transaction::{Transaction, Who};
use crate::model::{DeviceName, Digest, Look, Point};
use crate::seal::SigningKey;

/// A store. Clones share everything.
#[derive(Debug, Clone)]
pub struct Store {
    repo: Repo,
    facts: Facts,
}

impl Store {
    /// Makes a store: a repository and the first commit of `_store`, signed if a key is given.
    ///
    /// `files` has what `_store` holds beside `README.md` and `format`, which are written from `features`.
    ///
    /// # Errors
    /// Something is there already, or the disk refused.
    pub fn create(
        _dir: &Path,
        _features: &[super::facts::Feature],
        _files: FactFiles,
        _key: Option<&SigningKey>,
        _now: DateTime<Utc>,
    ) -> Result<Self> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Opens a store.
    ///
    /// # Errors
    /// Those of [`Repo::open`]; [`Error::UnknownFormat`](super::Error::UnknownFormat), `UnknownFeature`.
    pub fn open(dir: &Path) -> Result<Self> {
        let repo = Repo::open(dir)?;
        let facts = Facts::read(&repo, &repo.refs()?)?;
        Ok(Self { repo, facts })
    }

    /// The repository.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// What `_store` held when the store was opened.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Changes `_store` by a commit of its own.
    ///
    /// # Errors
    /// What `change` gives; [`Error::RefMoved`](super::Error::RefMoved), or the disk refused.
    pub fn amend_facts(
        &mut self,
        _why: &str,
        _key: Option<&SigningKey>,
        _now: DateTime<Utc>,
        _change: impl FnOnce(&mut FactFiles) -> Result<()>,
    ) -> Result<()> {
        Ok(())
    }

    /// Reads all refs.
    ///
    /// # Errors
    /// A ref or `packed-refs` cannot be read or is corrupt.
    pub fn refs(&self) -> Result<Refs> {
        self.repo.refs()
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The refs cannot be read.
    pub fn begin(&self, who: Who) -> Result<Transaction<'_>> {
        Transaction::begin(self, who)
    }

    /// Lists the devices that have a line, sorted.
    #[must_use]
    pub fn devices(&self, _refs: &Refs) -> Vec<DeviceName> {
        Vec::new()
    }

    /// Gives the newest generation of a device.
    ///
    /// # Errors
    /// [`Error::NoDevice`](super::Error::NoDevice); the commit is missing or corrupt.
    pub fn newest(&self, _refs: &Refs, _device: &DeviceName) -> Result<Generation> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Lists the generations of a device, newest first, over all releases; reads commits only.
    ///
    /// # Errors
    /// As [`Store::newest`].
    pub fn history(&self, refs: &Refs, device: &DeviceName) -> Result<History> {
        History::new(self, refs, device)
    }

    /// Finds the generation of a point.
    ///
    /// # Errors
    /// [`Error::NoDevice`](super::Error::NoDevice), `NoGeneration`, `NoName`, `NotStored`.
    pub fn resolve(&self, _refs: &Refs, _point: &Point) -> Result<Generation> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Lists the names of a device, sorted.
    ///
    /// # Errors
    /// A tag is corrupt.
    pub fn names(&self, _refs: &Refs, _device: &DeviceName) -> Result<Vec<Name>> {
        Ok(Vec::new())
    }

    /// Reads the manifest of a generation, checked against the digest in its commit.
    ///
    /// # Errors
    /// [`Error::Manifest`](super::Error::Manifest), `Corrupt`, `UnknownFeature`.
    pub fn manifest(&self, _generation: &Generation) -> Result<Manifest> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Begins to read the set of a generation.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn read_set<'a>(&'a self, refs: &Refs, generation: &Generation, access: Access<'a>) -> Result<SetReader<'a>> {
        SetReader::new(self, refs, generation, access)
    }

    /// Gives what is remembered of a device's source, if it counts for the refs as they stand and for `rules`.
    #[must_use]
    pub fn look(&self, _refs: &Refs, _device: &DeviceName, _rules: &Digest) -> Option<Look> {
        None
    }

    /// Reads records of the journal, newest first.
    ///
    /// # Errors
    /// A commit of the journal is missing or corrupt.
    pub fn journal(&self, _refs: &Refs, _query: &JournalQuery) -> Result<Vec<Record>> {
        Ok(Vec::new())
    }

    /// Reads what is open: name and content, sorted.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub fn open_items(&self, _refs: &Refs) -> Result<Vec<(super::journal::Open, Vec<u8>)>> {
        Ok(Vec::new())
    }

    pub(super) fn corrupt(whose: &impl std::fmt::Display, what: &str, id: ObjectId) -> super::Error {
        super::Error::Corrupt { whose: whose.to_string(), what: what.to_owned(), id }
    }
}
