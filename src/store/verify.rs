//! Reading every object of every pack, and every loose one, and comparing it with its id.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gix::ObjectId;
use gix::objs::Kind;
use gix::odb::pack::data;

use super::decode_entry::Scratch;
use super::error::Result;
use super::objects::{Pack, TOUCHED, WINDOW, id_of};
use super::repo::Repo;

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The object in it; none: the file as a whole.
    pub object: Option<ObjectId>,
    /// What is wrong.
    pub what: String,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packs.
    pub packs: u64,
    /// Objects, those that stand in two packs twice.
    pub objects: u64,
    /// Their plain size in bytes.
    pub bytes: u64,
}

/// What a reader of all objects is told. It is called from many threads.
pub trait Watch: Sync {
    /// Damage was found.
    fn damage(&self, damage: Damage);
    /// An object was read and is the one of its id. Of one that stands in two packs, twice.
    fn object(&self, _id: &ObjectId, _kind: Kind, _data: &[u8]) {}
    /// So many objects of so many were read; in no order.
    fn progress(&self, _done: u64, _total: u64) {}
}

impl Watch for Mutex<Vec<Damage>> {
    fn damage(&self, damage: Damage) {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(damage);
    }
}

/// An object that claims to be larger cannot be one of ours.
const LARGEST: u64 = 4 << 30;

/// Reads all objects with so many threads; damage is told and does not stop it.
///
/// Checked are: the checksums of each pack and index, that they belong together, that every object decodes, and
/// that its bytes give its id.
///
/// # Errors
/// The folder of packs cannot be read.
pub fn verify(repo: &Repo, threads: usize, watch: &dyn Watch) -> Result<Verified> {
    let (packs, broken) = repo.objects().packs()?;
    for (file, what) in broken {
        watch.damage(Damage { file, object: None, what });
    }
    let total = packs.iter().map(|p| u64::from(p.index.num_objects())).sum();
    let count = Count { objects: AtomicU64::new(0), bytes: AtomicU64::new(0), total };
    for pack in &packs {
        verify_pack(pack, threads.max(1), watch, &count);
    }
    orphans(repo, &packs, watch)?;
    verify_loose(repo, watch, &count);
    Ok(Verified { packs: packs.len() as u64, objects: count.objects.into_inner(), bytes: count.bytes.into_inner() })
}

struct Count {
    objects: AtomicU64,
    bytes: AtomicU64,
    total: u64,
}

fn whole(file: &Path, what: impl ToString) -> Damage {
    Damage { file: file.to_owned(), object: None, what: what.to_string() }
}

fn verify_pack(pack: &Pack, threads: usize, watch: &dyn Watch, count: &Count) {
    let (index, never) = (&pack.index, AtomicBool::new(false));
    let mut quiet = gix::progress::Discard;
    if let Err(e) = index.verify_checksum(&mut quiet, &never) {
        watch.damage(whole(index.path(), e));
    }
    let Some(file) = pack.data() else {
        // A pack that was folded away since it was listed is no damage.
        if index.path().exists() {
            let what = if pack.path.exists() { "the pack does not open" } else { "the pack of this index is missing" };
            watch.damage(whole(if pack.path.exists() { &pack.path } else { index.path() }, what));
        }
        return;
    };
    if let Err(e) = file.verify_checksum(&mut quiet, &never) {
        watch.damage(whole(&pack.path, e));
    }
    if file.checksum() != index.pack_checksum() {
        watch.damage(whole(index.path(), "it is not the index of its pack"));
    }
    if file.num_objects() != index.num_objects() {
        watch.damage(whole(index.path(), "it names another number of objects than its pack has"));
    }
    let mut order: Vec<(u64, u32)> = (0..index.num_objects()).map(|n| (index.pack_offset_at_index(n), n)).collect();
    order.sort_unstable();
    // Each thread takes a run of neighbours, which share bases.
    let share = order.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for part in order.chunks(share) {
            let file = Arc::clone(&file);
            scope.spawn(move || verify_part(pack, file, part, watch, count));
        }
    });
}

fn verify_part(pack: &Pack, mut file: Arc<data::File>, part: &[(u64, u32)], watch: &dyn Watch, count: &Count) {
    let (mut scratch, mut read) = (Scratch::default(), 0);
    for (offset, n) in part {
        if read > WINDOW {
            read = 0;
            pack.unmap();
            // One that was folded away meanwhile is read to its end.
            file = pack.data().unwrap_or(file);
        }
        let id = pack.index.oid_at_index(*n).to_owned();
        let (size, what) = match pack.decode(&file, *offset, LARGEST, &mut scratch) {
            Ok((kind, data)) => {
                let what = wrong_id(&id, kind, &data);
                if what.is_none() {
                    watch.object(&id, kind, &data);
                }
                (data.len(), what)
            }
            Err(what) => (0, Some(what)),
        };
        if let Some(what) = what {
            watch.damage(Damage { file: pack.path.clone(), object: Some(id), what });
        }
        read += (size as u64).max(TOUCHED);
        count.read(size as u64, watch);
    }
}

fn wrong_id(id: &ObjectId, kind: Kind, data: &[u8]) -> Option<String> {
    match id_of(kind, data) {
        Ok(found) if found == *id => None,
        Ok(_) => Some("its bytes give another id".to_owned()),
        Err(e) => Some(e.to_string()),
    }
}

impl Count {
    fn read(&self, bytes: u64, watch: &dyn Watch) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let done = self.objects.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(1024) || done == self.total {
            watch.progress(done, self.total);
        }
    }
}

/// Packs whose index is missing: no reader finds what is in them.
fn orphans(repo: &Repo, packs: &[Arc<Pack>], watch: &dyn Watch) -> Result<()> {
    let folder = repo.pack_dir();
    let read = |source| super::Error::Read { path: folder.clone(), source };
    for entry in std::fs::read_dir(&folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let no_index = || !path.with_extension("idx").exists() && path.exists();
        let is_pack = path.extension().is_some_and(|e| e == "pack")
            && path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pack-"));
        if is_pack && !packs.iter().any(|p| p.path == path) && no_index() {
            // A writer renames the pack first and its index at once behind it.
            std::thread::sleep(std::time::Duration::from_millis(200));
            if !no_index() {
                continue;
            }
            watch.damage(whole(&path, "the index of this pack is missing"));
        }
    }
    Ok(())
}

fn verify_loose(repo: &Repo, watch: &dyn Watch, count: &Count) {
    let loose = repo.objects().loose();
    let mut out = Vec::new();
    for id in loose.iter() {
        let id = match id {
            Ok(id) => id,
            Err(e) => {
                watch.damage(whole(loose.path(), e));
                continue;
            }
        };
        let what = match loose.try_find(&id, &mut out) {
            Ok(Some(found)) => wrong_id(&id, found.kind, found.data).or_else(|| {
                watch.object(&id, found.kind, found.data);
                None
            }),
            Ok(None) => None,
            Err(e) => Some(e.to_string()),
        };
        if let Some(what) = what {
            watch.damage(Damage { file: loose.object_path(&id), object: Some(id), what });
        }
        count.read(out.len() as u64, watch);
    }
}
