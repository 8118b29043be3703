//! The open store.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::change::ChangeItem;
use super::damage::Damage;
use super::decode::{Access, SetReader};
use super::error::{Error, Result};
use super::facts::{self, FactFiles, Facts, Feature};
use super::generation::Generation;
use super::history::{self, History};
use super::journal::{self, Entry, JournalQuery, Open, Record};
use super::logs::{self, FiledLogs};
use super::manifest::{self, Manifest};
use super::names::{self, Name};
use super::points;
use super::refs::Refs;
use super::repo::Repo;
use super::transaction::{Transaction, Who};
use super::tree::Trees;
use crate::model::{DeviceName, NameTag, Point, Scope, Ticket};
use crate::seal::SigningKey;

/// A store. Clones are cheap and share everything.
#[derive(Debug, Clone)]
pub struct Store {
    repo: Repo,
    facts: Arc<Facts>,
    damage: Arc<Damage>,
}

impl Store {
    /// Makes a store: a repository and the first commit of `_store`, signed if a key is given.
    ///
    /// `files` has what `_store` holds beside `README.md` and `format`, which are written from `features`.
    ///
    /// # Errors
    /// Something is there already, or the disk refused.
    pub fn create(
        dir: &Path,
        features: &[Feature],
        files: FactFiles,
        key: Option<&SigningKey>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        Self::of(facts::create(dir, features, files, key, now)?)
    }

    /// Opens a store.
    ///
    /// # Errors
    /// Those of [`Repo::open`]; [`Error::UnknownFormat`], `UnknownFeature`.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::of(Repo::open(dir)?)
    }

    /// Opens a store of which `_store` is damaged, to look at the rest: nothing of what it says is known.
    pub(crate) fn open_without_facts(dir: &Path) -> Result<Self> {
        Ok(Self::with(Repo::open(dir)?, Facts::unread()))
    }

    fn of(repo: Repo) -> Result<Self> {
        let facts = Facts::read(&repo, &repo.refs()?)?;
        Ok(Self::with(repo, facts))
    }

    fn with(repo: Repo, facts: Facts) -> Self {
        let damage = Arc::new(Damage::load(&repo));
        Self { repo, facts: Arc::new(facts), damage }
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

    pub(super) fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Changes `_store` by a commit of its own, on top of what was read when the store was opened.
    ///
    /// # Errors
    /// What `change` gives; [`Error::RefMoved`] if someone else changed it meanwhile, or the disk refused.
    pub fn amend_facts(
        &mut self,
        why: &str,
        key: Option<&SigningKey>,
        now: DateTime<Utc>,
        change: impl FnOnce(&mut Vec<Feature>, &mut FactFiles) -> Result<()>,
    ) -> Result<()> {
        let (mut features, mut files) = (self.facts.features.clone(), self.facts.files().clone());
        change(&mut features, &mut files)?;
        facts::amend(&self.repo, &self.facts, &features, files, why, key, now)?;
        self.facts = Arc::new(Facts::read(&self.repo, &self.repo.refs()?)?);
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
    pub fn devices(&self, refs: &Refs) -> Vec<DeviceName> {
        history::devices(refs)
    }

    /// Gives the newest generation of a device.
    ///
    /// # Errors
    /// [`Error::NoDevice`]; the commit is missing or corrupt.
    pub fn newest(&self, refs: &Refs, device: &DeviceName) -> Result<Generation> {
        history::newest(&self.repo, refs, device)
    }

    /// Forgets what the source of a device looked like: the next snapshot reads everything.
    ///
    /// # Errors
    /// The cache cannot be removed.
    pub fn forget_look(&self, device: &DeviceName) -> Result<()> {
        Ok(super::look::forget(&self.repo, device)?)
    }

    /// Lists the generations of a device, newest first, over all releases; reads commits only.
    ///
    /// # Errors
    /// As [`Store::newest`].
    pub fn history(&self, refs: &Refs, device: &DeviceName) -> Result<History> {
        History::new(&self.repo, refs, device)
    }

    /// Finds the generation of a point.
    ///
    /// # Errors
    /// [`Error::NoDevice`], `NoGeneration`, `NoName`, `NotStored`.
    pub fn resolve(&self, refs: &Refs, point: &Point) -> Result<Generation> {
        points::resolve(&self.repo, refs, point)
    }

    /// Gives the names of a device, sorted; one that is missing or corrupt hides no other.
    pub fn each_name(&self, refs: &Refs, device: &DeviceName) -> impl Iterator<Item = Result<Name>> {
        names::each(&self.repo, refs, device)
    }

    /// Lists the names of a device, sorted.
    ///
    /// # Errors
    /// A tag is corrupt.
    pub fn names(&self, refs: &Refs, device: &DeviceName) -> Result<Vec<Name>> {
        names::list(&self.repo, refs, device)
    }

    /// Reads the manifest of a generation, checked against the digest in its commit.
    ///
    /// # Errors
    /// [`Error::Manifest`], `Corrupt`, `UnknownFeature`.
    pub fn manifest(&self, generation: &Generation) -> Result<Manifest> {
        if let Some(feature) = generation.unknown_feature() {
            return Err(Error::UnknownFeature(feature.escape_default().to_string()));
        }
        let corrupt = |what: &str, id| Error::Corrupt { whose: generation.device.to_string(), what: what.to_owned(), id };
        let place = [b".confvault".as_slice(), b"manifest"];
        let found = Trees::new(&self.repo).find(generation.tree, place.into_iter())?;
        let (_, id) = found.ok_or_else(|| corrupt("a generation without a manifest", generation.tree))?;
        let text = self.repo.blob(&id, manifest::MAX_BYTES as u64)?;
        if blake3::hash(&text).as_bytes() != &generation.set_digest.0 {
            return Err(corrupt("not the manifest that the commit names", id));
        }
        let (device, number) = (&generation.device, generation.number);
        let wrong = |source| Error::Manifest { device: device.clone(), number, source };
        let manifest = Manifest::parse(&text).map_err(wrong)?;
        if manifest.lines.first().is_some_and(|l| l.scope == Scope::Logs) {
            return Err(corrupt("logs in a generation", id));
        }
        Ok(manifest)
    }

    /// Begins to read the set of a generation.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn read_set<'a>(&'a self, refs: &Refs, generation: &Generation, access: Access<'a>) -> Result<SetReader<'a>> {
        SetReader::new(self, refs, generation, access)
    }

    /// Lists the logs that are filed, of one device or of all, newest first; reads commits and their trees only.
    ///
    /// # Errors
    /// A commit of logs is missing or corrupt.
    pub fn logs(&self, refs: &Refs, device: Option<&DeviceName>) -> Result<Vec<FiledLogs>> {
        logs::list(&self.repo, refs, device)
    }

    /// Begins to read logs that are filed. No digest in a commit names their manifest; each file is held to the manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`], `Corrupt`.
    pub fn read_logs<'a>(&'a self, refs: &Refs, filed: &FiledLogs, access: Access<'a>) -> Result<SetReader<'a>> {
        logs::open(self, refs, filed, access)
    }

    /// Reads records of the journal, newest first.
    ///
    /// # Errors
    /// A commit of the journal is missing or corrupt.
    pub fn journal(&self, refs: &Refs, query: &JournalQuery) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.each_record(refs, query, &mut |entry| {
            records.push(entry.record);
            ControlFlow::Continue(())
        })?;
        Ok(records)
    }

    /// Reads records of the journal with the commits that hold them, newest first, until `visit` breaks off.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub fn each_record(&self, refs: &Refs, query: &JournalQuery, visit: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        journal::each(&self.repo, refs, query, visit)
    }

    /// Finds the generation that a removed name was on.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub fn name_was_used(&self, refs: &Refs, device: &DeviceName, name: &NameTag) -> Result<Option<u64>> {
        journal::used_name(&self.repo, refs, device, name)
    }

    /// Reads changes, open ones and those that ended, of all collectors, or only those under one ticket; in the
    /// order in which they were opened.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub fn changes(&self, refs: &Refs, ticket: Option<&Ticket>) -> Result<Vec<ChangeItem>> {
        journal::changes(&self.repo, refs, ticket)
    }

    /// Reads what is open: what and content, sorted.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub fn open_items(&self, refs: &Refs) -> Result<Vec<(Open, Vec<u8>)>> {
        journal::open_items(&self.repo, refs)
    }
}
