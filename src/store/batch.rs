//! A batch: objects and refs that appear together or not at all.
//!
//! The order is that of "Writing and reading" in `docs/format.md`. Nothing is taken for written because it
//! exists: an object is skipped only if this very batch has it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gix::ObjectId;
use gix::objs::Kind;
use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::error::{Error, Result};
use super::objects::id_of;
use super::pack::PackWriter;
use super::refs::{RefEdit, Refs};
use super::repo::{Object, Repo, tag_target};
use super::{pending, reftx};
use crate::fsio;

/// The level of compression: the fastest one. `maintain` compresses again.
const FAST: i32 = 1;
/// The level for bytes that do not compress.
const RAW: i32 = 0;

/// What a commit of a batch wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
pub struct Batch {
    repo: Repo,
    wait: Duration,
    state: Mutex<State>,
    deflaters: Mutex<Vec<Deflater>>,
}

#[derive(Debug, Default)]
struct State {
    writer: Option<PackWriter>,
    /// What was put.
    seen: gix::hashtable::HashMap<ObjectId, Put>,
    /// A write failed, so the file ends in the middle of an object.
    broken: bool,
    /// What the disk said to that write.
    reason: Option<fsio::Error>,
}

impl State {
    /// The error of whoever comes after the write that failed: it names the first cause.
    fn check(&self) -> Result<()> {
        if self.broken { Err(Error::BatchBroken(self.reason.as_ref().map(fsio::Error::again))) } else { Ok(()) }
    }
}

/// An object that was put.
#[derive(Debug, Clone, Copy)]
struct Put {
    /// Its place among the entries of the pack.
    place: u32,
    /// For a tag what it points to, and whether that is a tag again.
    target: Option<(ObjectId, bool)>,
}

struct Deflater {
    fast: Compressor,
    raw: Option<Compressor>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deflater")
    }
}

fn compressor(level: i32) -> Compressor {
    Compressor::new(CompressionLvl::new(level).expect("the level is one of libdeflate's"))
}

impl Deflater {
    fn new() -> Self {
        Self { fast: compressor(FAST), raw: None, out: Vec::new() }
    }

    fn run(&mut self, data: &[u8], raw: bool) -> &[u8] {
        let level = if raw { self.raw.get_or_insert_with(|| compressor(RAW)) } else { &mut self.fast };
        let bound = level.zlib_compress_bound(data.len());
        if self.out.len() < bound {
            self.out.resize(bound, 0);
        }
        let len = level.zlib_compress(data, &mut self.out).expect("the buffer has the bound that the compressor asked for");
        &self.out[..len]
    }
}

impl Batch {
    /// Begins a batch. Nothing is written before the first `put`.
    ///
    /// # Errors
    /// [`Error::NoStore`] if the repository has vanished since it was opened.
    pub fn begin(repo: &Repo) -> Result<Self> {
        if !repo.pack_dir().is_dir() {
            return Err(Error::NoStore { path: repo.dir().to_owned() });
        }
        let wait = Duration::from_secs(60);
        Ok(Self { repo: repo.clone(), wait, state: Mutex::default(), deflaters: Mutex::default() })
    }

    /// Sets how long [`Batch::commit`] waits for another writer; 60 s unless told otherwise.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Adds an object, compressed; one that is in this batch already is not written again.
    ///
    /// # Errors
    /// [`Error::Collision`], or the disk refused.
    pub fn put(&self, kind: Kind, data: &[u8]) -> Result<ObjectId> {
        self.add(kind, data, false)
    }

    /// Adds an object as it is, for bytes that do not compress.
    ///
    /// # Errors
    /// As [`Batch::put`].
    pub fn put_raw(&self, kind: Kind, data: &[u8]) -> Result<ObjectId> {
        self.add(kind, data, true)
    }

    /// Says whether the batch has the object.
    #[must_use]
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.state().seen.contains_key(id)
    }

    /// Gives the number of objects in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().seen.len()
    }

    /// Says whether nothing was put.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads an object of the batch back, of at most `limit` bytes; nothing if the batch does not have it.
    ///
    /// # Errors
    /// [`Error::ObjectTooLarge`], `BatchBroken`, or the disk refused.
    pub fn object(&self, id: &ObjectId, limit: u64) -> Result<Option<Object>> {
        let state = self.state();
        let Some(place) = state.seen.get(id).map(|put| put.place) else { return Ok(None) };
        state.check()?;
        let writer = state.writer.as_ref().ok_or(Error::BatchBroken(None))?;
        let found = writer.entry(usize::try_from(place).map_err(|_| Error::TooManyObjects)?)?;
        drop(state);
        let corrupt = |what: &str| Error::ObjectCorrupt { what: what.to_owned(), id: *id };
        let (kind, size, deflated) = found.ok_or_else(|| corrupt("its entry does not read back"))?;
        if size > limit {
            return Err(Error::ObjectTooLarge { size, limit, id: *id });
        }
        let mut data = vec![0; usize::try_from(size).map_err(|_| corrupt("its size"))?];
        let length = Decompressor::new().zlib_decompress(&deflated, &mut data);
        match length {
            Ok(length) if length == data.len() => Ok(Some(Object { kind, data })),
            _ => Err(corrupt("its entry does not read back")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked in here has set `broken` before, as below.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, kind: Kind, data: &[u8], raw: bool) -> Result<ObjectId> {
        let id = id_of(kind, data)?;
        if self.contains(&id) {
            return Ok(id);
        }
        let target = if kind == Kind::Tag { Some(tag_target(data, &id)?) } else { None };
        let pool = || self.deflaters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deflater = pool().pop().unwrap_or_else(Deflater::new);
        let deflated = deflater.run(data, raw);
        let mut state = self.state();
        state.check()?;
        if !state.seen.contains_key(&id) {
            state.broken = true;
            let place = match self.append(&mut state.writer, &id, kind, data.len() as u64, deflated) {
                Ok(place) => place,
                Err(error) => {
                    if let Error::Disk(cause) = &error {
                        state.reason = Some(cause.again());
                    }
                    return Err(error);
                }
            };
            state.seen.insert(id, Put { place, target });
            state.broken = false;
        }
        drop(state);
        pool().push(deflater);
        Ok(id)
    }

    /// Writes an object into the pack, which the first one begins; gives its place.
    fn append(&self, to: &mut Option<PackWriter>, id: &ObjectId, kind: Kind, size: u64, deflated: &[u8]) -> Result<u32> {
        let writer = match to {
            Some(writer) => writer,
            none => none.insert(PackWriter::create(&self.repo.pack_dir())?),
        };
        let place = u32::try_from(writer.len()).map_err(|_| Error::TooManyObjects)?;
        writer.add(id, kind, size, deflated)?;
        Ok(place)
    }

    /// Commits: under the writers' lock the refs are read again, `edits` builds what depends on them (it
    /// may `put`) and gives the changes of refs; then objects and refs appear together. Where `edits` gives
    /// none, nothing is written.
    ///
    /// # Errors
    /// What `edits` returns; [`Error::Locked`], [`Error::RefMoved`], [`Error::RefName`], or the disk refused. The
    /// store is then as it was, unless the very last sync failed, when the new refs may or may not outlast a power cut.
    pub fn commit<E: From<Error>>(self, edits: impl FnOnce(&Refs, &Batch) -> Result<Vec<RefEdit>, E>) -> Result<Committed, E> {
        self.flush()?;
        let _lock = self.repo.lock(self.wait)?;
        pending::recover(&self.repo)?;
        let paths = reftx::Paths::new(self.repo.dir(), self.repo.cache_dir());
        let mut refs = self.repo.refs().map_err(E::from)?;
        if refs.has_loose() {
            paths.fold(&refs)?;
            refs = self.repo.refs().map_err(E::from)?;
        }
        let edits = edits(&refs, &self)?;
        Ok(self.write(&refs, &edits, &paths)?)
    }

    /// Hands what was put so far to the disk, so that little is left under the lock.
    fn flush(&self) -> Result<()> {
        let mut state = self.state();
        state.check()?;
        state.writer.as_mut().map_or(Ok(()), PackWriter::sync)
    }

    fn write(self, refs: &Refs, edits: &[RefEdit], paths: &reftx::Paths) -> Result<Committed> {
        let changes = reftx::check(refs, edits)?;
        if changes.is_empty() {
            return Ok(Committed::default());
        }
        let state = std::mem::take(&mut *self.state());
        state.check()?;
        let State { writer, seen, .. } = state;
        let finished = writer.map(PackWriter::finish).transpose()?;
        let prepared = paths.prepare(refs, &changes, &|id| peel(&self.repo, &seen, id))?;
        let mut committed = Committed { refs: changes.len() as u64, ..Committed::default() };
        let Some(finished) = finished else {
            fsio::sync_dir(self.repo.cache_dir())?;
            prepared.publish()?;
            return Ok(committed);
        };
        committed.objects = finished.objects;
        committed.added_bytes = finished.bytes;
        let folder = self.repo.pack_dir();
        let note = pending::note(&self.repo, &finished, edits)?;
        let published = finished.publish(&folder).and_then(|()| prepared.publish());
        if let Err(e) = published {
            // Best effort: what stays is undone by the next writer, who finds the note.
            drop(if paths.is_published() { Ok(()) } else { note.undo() });
            return Err(e);
        }
        note.done()?;
        Ok(committed)
    }
}

/// Gives the object that a new value of a ref stands for at last, if it is a tag. That every new value
/// exists is checked on the way.
fn peel(repo: &Repo, seen: &gix::hashtable::HashMap<ObjectId, Put>, id: &ObjectId) -> Result<Option<ObjectId>> {
    let (mut at, mut peeled) = (*id, None);
    while let Some(put) = seen.get(&at) {
        match &put.target {
            None => return Ok(peeled),
            Some((target, is_tag)) => {
                at = *target;
                peeled = Some(at);
                if !is_tag {
                    break;
                }
            }
        }
    }
    if seen.contains_key(&at) {
        return Ok(peeled);
    }
    Ok(repo.peel(&at)?.or(peeled))
}
