//! Reading objects: packs and loose objects below `objects/`.
//!
//! gix decodes; which packs there are is known here, so that a damaged pack or index costs only what
//! lies in it alone, and a pack that `maintain` folded away is looked for once more.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use gix::ObjectId;
use gix::objs::Kind;
use gix::odb::loose;
use gix::odb::pack::data::decode::header::ResolvedBase;
use gix::odb::pack::{data, index};

use super::decode_entry::{self, Scratch};
use super::error::{Error, Result};
use super::repo::Object;

const SHA1: gix::hash::Kind = gix::hash::Kind::Sha1;

/// A pack with its index; the pack itself is opened when it is first read.
pub(super) struct Pack {
    pub(super) index: index::File,
    pub(super) path: PathBuf,
    /// Bases are remembered by this number, so no two packs that were ever open share one.
    number: u32,
    data: RwLock<Mapped>,
}

/// The mapping of a pack.
enum Mapped {
    Not,
    Open(Arc<data::File>),
    /// The file does not open.
    Failed,
}

/// How much is read from packs before all their mappings are given up, in bytes: the pages that were touched count as memory
/// of this process until then. A pack is mapped anew when it is read the next time.
pub(super) const WINDOW: u64 = 32 << 20;

/// What one read touches at least, in bytes. Around a page that is missing the kernel maps those that it has at hand, 64 KiB
/// of them (`fault_around_bytes`).
pub(super) const TOUCHED: u64 = 64 << 10;

/// Indices that do not open, and why.
type Broken = Vec<(PathBuf, String)>;

/// The packs as they were listed at one moment, newest first.
#[derive(Debug, Default)]
struct Listing {
    packs: Vec<Arc<Pack>>,
    broken: Broken,
    /// Where the last object was found.
    last: AtomicUsize,
}

/// All objects of a repository.
pub(super) struct Objects {
    folder: PathBuf,
    loose: loose::Store,
    listing: RwLock<Arc<Listing>>,
    /// Bytes that were read since the packs were mapped.
    read: AtomicU64,
    /// What a few readers used and whoever reads next uses again.
    scratch: Mutex<Vec<Scratch>>,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pack").field(&self.path).finish()
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Objects").field(&self.folder).finish()
    }
}

/// Why a pack did not give an object.
enum Failure {
    /// The file of the pack is not there any more.
    Gone,
    /// This one is final for this pack.
    Bad(Error),
}

impl Pack {
    fn open(index: &Path) -> std::result::Result<Self, gix::Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Ok(Self {
            index: index::File::at(index, SHA1)?,
            path: index.with_extension("pack"),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            data: RwLock::new(Mapped::Not),
        })
    }

    /// Gives the open pack; none: its file does not open.
    pub(super) fn data(&self) -> Option<Arc<data::File>> {
        match &*self.data.read().unwrap_or_else(PoisonError::into_inner) {
            Mapped::Open(file) => return Some(Arc::clone(file)),
            Mapped::Failed => return None,
            Mapped::Not => {}
        }
        let mut data = self.data.write().unwrap_or_else(PoisonError::into_inner);
        if let Mapped::Open(file) = &*data {
            return Some(Arc::clone(file));
        }
        *data = match data::File::at(&self.path, SHA1) {
            Ok(mut file) => {
                file.id = self.number;
                Mapped::Open(Arc::new(file))
            }
            Err(_) => Mapped::Failed,
        };
        if let Mapped::Open(file) = &*data { Some(Arc::clone(file)) } else { None }
    }

    /// Gives the mapping up, once nobody reads in it any more.
    pub(super) fn unmap(&self) {
        let mut data = self.data.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*data, Mapped::Open(_)) {
            *data = Mapped::Not;
        }
    }

    /// Tells whether the file of the pack did not open.
    fn failed(&self) -> bool {
        matches!(*self.data.read().unwrap_or_else(PoisonError::into_inner), Mapped::Failed)
    }
}

impl Objects {
    pub(super) fn open(objects: &Path) -> Self {
        Self {
            folder: objects.join("pack"),
            loose: loose::Store::at(objects, SHA1),
            listing: RwLock::default(),
            read: AtomicU64::new(0),
            scratch: Mutex::default(),
        }
    }

    /// Gives kind and size in bytes.
    pub(super) fn header(&self, id: &ObjectId) -> Result<(Kind, u64)> {
        self.find(
            id,
            |pack, at, scratch| pack.header(id, at, scratch),
            |loose| Ok(loose.try_header(id).map_err(|e| corrupt(id, &e))?.map(|(size, kind)| (kind, size))),
            |_| 0,
        )
    }

    /// Reads an object of at most `limit` bytes; `check` compares it with its id.
    pub(super) fn object(&self, id: &ObjectId, limit: u64, check: bool) -> Result<Object> {
        let verify = |object: Object| if check { verify(id, object) } else { Ok(object) };
        self.find(
            id,
            |pack, at, scratch| pack.object(id, at, limit, scratch).and_then(|o| verify(o).map_err(Failure::Bad)),
            |loose| {
                let Some((size, _)) = loose.try_header(id).map_err(|e| corrupt(id, &e))? else { return Ok(None) };
                within(id, size, limit)?;
                let mut data = Vec::new();
                let kind = match loose.try_find(id, &mut data).map_err(|e| corrupt(id, &e))? {
                    Some(found) => found.kind,
                    None => return Ok(None),
                };
                verify(Object { kind, data }).map(Some)
            },
            |object| object.data.len() as u64,
        )
    }

    /// Looks in all packs, then among loose objects, then once more in a fresh list of packs.
    ///
    /// An object that is damaged in one place is taken from another.
    fn find<T>(
        &self,
        id: &ObjectId,
        in_pack: impl Fn(&Pack, u64, &mut Scratch) -> std::result::Result<T, Failure>,
        in_loose: impl Fn(&loose::Store) -> Result<Option<T>>,
        bytes: impl Fn(&T) -> u64,
    ) -> Result<T> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut listing = self.listing();
        let mut failed = None;
        // A pack can vanish again and again beside a busy `maintain`; each time another one has its objects.
        let found = 'found: {
            for _ in 0..5 {
                let last = listing.last.load(Ordering::Relaxed);
                let count = listing.packs.len();
                let mut gone = false;
                for n in 0..count {
                    let n = (n + last) % count;
                    let pack = &listing.packs[n];
                    let Some(entry) = pack.index.lookup(id) else { continue };
                    match in_pack(pack, pack.index.pack_offset_at_index(entry), &mut scratch) {
                        Ok(found) => {
                            listing.last.store(n, Ordering::Relaxed);
                            self.count(&listing, bytes(&found));
                            break 'found Some(found);
                        }
                        Err(Failure::Gone) => gone = true,
                        Err(Failure::Bad(e)) => failed = failed.or(Some(e)),
                    }
                }
                match in_loose(&self.loose) {
                    Ok(Some(found)) => break 'found Some(found),
                    Ok(None) => {}
                    Err(e) => failed = failed.or(Some(e)),
                }
                let (fresh, changed) = self.relist(&listing)?;
                listing = fresh;
                if !changed && !gone {
                    break;
                }
            }
            None
        };
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        match (found, failed, listing.broken.first()) {
            (Some(found), ..) => Ok(found),
            (None, Some(failed), _) => Err(failed),
            (None, None, Some((path, what))) => Err(Error::CorruptFile { what: what.clone(), path: path.clone() }),
            (None, None, None) => Err(Error::ObjectMissing { id: *id }),
        }
    }

    /// Counts what was read, and gives the mappings of all packs up when they have served for so much.
    fn count(&self, listing: &Listing, bytes: u64) {
        let bytes = bytes.max(TOUCHED);
        if self.read.fetch_add(bytes, Ordering::Relaxed) + bytes > WINDOW {
            self.read.store(0, Ordering::Relaxed);
            listing.packs.iter().for_each(|pack| pack.unmap());
        }
    }

    fn listing(&self) -> Arc<Listing> {
        Arc::clone(&self.listing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists the packs anew; says whether other ones are there than in `known`. Packs that stay are
    /// not opened again.
    fn relist(&self, known: &Arc<Listing>) -> Result<(Arc<Listing>, bool)> {
        let mut shared = self.listing.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&shared, known) {
            // Another thread has listed meanwhile.
            return Ok((Arc::clone(&shared), true));
        }
        let mut found = index_files(&self.folder)?;
        found.sort_by(|a, b| b.cmp(a));
        let old = |path: &Path| shared.packs.iter().find(|p| p.index.path() == path && !p.failed()).cloned();
        let mut fresh = Listing::default();
        let mut changed = false;
        for (_, path) in found {
            if let Some(pack) = old(&path) {
                fresh.packs.push(pack);
                continue;
            }
            match Pack::open(&path) {
                Ok(pack) => {
                    changed = true;
                    fresh.packs.push(Arc::new(pack));
                }
                Err(_) if !path.exists() => changed = true,
                Err(e) => fresh.broken.push((path, e.to_string())),
            }
        }
        changed |= fresh.packs.len() != shared.packs.len();
        let fresh = Arc::new(fresh);
        *shared = Arc::clone(&fresh);
        Ok((fresh, changed))
    }

    /// Lists the packs anew and gives them, and the indices that do not open.
    pub(super) fn packs(&self) -> Result<(Vec<Arc<Pack>>, Broken)> {
        let (listing, _) = self.relist(&self.listing())?;
        Ok((listing.packs.clone(), listing.broken.clone()))
    }

    /// Gives the loose objects.
    pub(super) fn loose(&self) -> &loose::Store {
        &self.loose
    }
}

/// Gives the indices of packs in a folder with the times they were changed.
fn index_files(folder: &Path) -> Result<Vec<(std::time::SystemTime, PathBuf)>> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("pack-") && name.ends_with(".idx") {
            // A file that vanishes meanwhile is none.
            let meta = std::fs::metadata(entry.path()).ok().filter(std::fs::Metadata::is_file);
            if let Some(changed) = meta.and_then(|m| m.modified().ok()) {
                found.push((changed, entry.path()));
            }
        }
    }
    Ok(found)
}

impl Pack {
    fn file(&self, id: &ObjectId) -> std::result::Result<Arc<data::File>, Failure> {
        self.data().ok_or_else(|| {
            if self.path.exists() {
                let path = self.path.display();
                Failure::Bad(Error::ObjectCorrupt { what: format!("its pack does not open, {path}"), id: *id })
            } else {
                Failure::Gone
            }
        })
    }

    fn bad(&self, id: &ObjectId, e: &dyn std::fmt::Display) -> Failure {
        Failure::Bad(Error::ObjectCorrupt { what: format!("{e}, in {}", self.path.display()), id: *id })
    }

    /// Gives the entry of a base that a delta names by its id; packs of `git` may have such.
    fn base(&self, file: &data::File, base: &gix::oid) -> std::result::Result<Option<data::Entry>, gix::Error> {
        self.index.lookup(base).map(|at| file.entry(self.index.pack_offset_at_index(at))).transpose()
    }

    fn header(&self, id: &ObjectId, at: u64, scratch: &mut Scratch) -> std::result::Result<(Kind, u64), Failure> {
        let file = self.file(id)?;
        let entry = file.entry(at).map_err(|e| self.bad(id, &e))?;
        let base = |base: &gix::oid| Ok(self.base(&file, base)?.map(ResolvedBase::InPack));
        let header = file.decode_header(entry, &mut scratch.inflate, &base).map_err(|e| self.bad(id, &e))?;
        Ok((header.kind, header.object_size))
    }

    fn object(&self, id: &ObjectId, at: u64, limit: u64, scratch: &mut Scratch) -> std::result::Result<Object, Failure> {
        let (_, size) = self.header(id, at, scratch)?;
        within(id, size, limit).map_err(Failure::Bad)?;
        let file = self.file(id)?;
        let (kind, data) = self.decode(&file, at, limit, scratch).map_err(|e| self.bad(id, &e))?;
        Ok(Object { kind, data })
    }

    /// Decodes the object at an offset of the pack; the error says what is wrong with it.
    pub(super) fn decode(
        &self,
        file: &data::File,
        at: u64,
        limit: u64,
        scratch: &mut Scratch,
    ) -> std::result::Result<(Kind, Vec<u8>), String> {
        decode_entry::decode(file, &self.index, at, limit, scratch)
    }
}

fn within(id: &ObjectId, size: u64, limit: u64) -> Result<()> {
    if size > limit { Err(Error::ObjectTooLarge { size, limit, id: *id }) } else { Ok(()) }
}

/// Computes the id of an object, detecting bytes made to collide.
pub(super) fn id_of(kind: Kind, data: &[u8]) -> Result<ObjectId> {
    gix::objs::compute_hash(SHA1, kind, data).map_err(|_| Error::Collision)
}

fn verify(id: &ObjectId, object: Object) -> Result<Object> {
    if id_of(object.kind, &object.data)? == *id {
        return Ok(object);
    }
    Err(Error::ObjectCorrupt { what: "its bytes give another id".into(), id: *id })
}

fn corrupt(id: &ObjectId, e: &dyn std::fmt::Display) -> Error {
    Error::ObjectCorrupt { what: e.to_string(), id: *id }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Packs of `git`, and in each the id of its one blob.
    fn packed(dir: &Path, contents: &[&str]) -> Vec<ObjectId> {
        let git = |command: &str| {
            let out = Command::new("sh").args(["-ec", command]).current_dir(dir).stderr(Stdio::null()).output().unwrap();
            assert!(out.status.success(), "{command}");
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        git("git init -q --bare .");
        let pack = |content: &&str| {
            let id = git(&format!("printf '{content}' | git hash-object -w --stdin"));
            git(&format!("echo {id} | git pack-objects -q objects/pack/pack; git prune-packed -q"));
            id.parse().unwrap()
        };
        contents.iter().map(pack).collect()
    }

    #[test]
    fn packs_are_not_mapped_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let ids = packed(dir.path(), &["one", "two"]);
        let objects = Objects::open(&dir.path().join("objects"));
        let mapped = || {
            let (packs, _) = objects.packs().unwrap();
            packs.iter().filter(|p| matches!(*p.data.read().unwrap(), Mapped::Open(_))).count()
        };
        assert_eq!(objects.object(&ids[0], 10, true).unwrap().data, b"one");
        assert_eq!(mapped(), 1);
        let mut most = 0;
        for _ in 0..WINDOW / TOUCHED {
            most = most.max(mapped());
            assert_eq!(objects.object(&ids[1], 10, true).unwrap().data, b"two");
        }
        assert_eq!((most, mapped()), (2, 0));
        // What is read on is mapped anew, and nothing else.
        assert_eq!(objects.object(&ids[1], 10, true).unwrap().data, b"two");
        assert_eq!(mapped(), 1);
    }
}
