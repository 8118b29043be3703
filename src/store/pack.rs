//! Writing packs: version 2, with an index of version 2, without deltas.
//!
//! Both files are written under temporary names in `objects/pack` and stay locked (`flock`) while their
//! writer lives, so that another writer can tell what a dead one left. Deltas come when `maintain` folds packs.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gix::ObjectId;
use gix::objs::Kind;
use sha1::{Digest, Sha1};

use super::error::{Error, Result};
use crate::fsio;

/// How the names of unfinished files begin.
const TEMPORARY: &str = "tmp_confvault_";

/// Offsets from here on do not fit the first table of an index.
const LARGE: u64 = 1 << 31;

/// An object in the pack.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: [u8; 20],
    crc: u32,
    offset: u64,
}

/// A pack that is being written under a temporary name. Dropped, it removes its files.
#[derive(Debug)]
pub(super) struct PackWriter {
    out: fsio::Out,
    files: Temporary,
    offset: u64,
    entries: Vec<Entry>,
}

/// A finished, synced pack with its index, still under temporary names. Dropped, it removes them.
#[derive(Debug)]
pub(super) struct Finished {
    files: Temporary,
    _locked: [File; 2],
    /// `pack-<hash>`.
    pub(super) stem: String,
    pub(super) objects: u64,
    /// Size of both files, in bytes.
    pub(super) bytes: u64,
}

/// The temporary names; what is still there when this is dropped is removed.
#[derive(Debug)]
struct Temporary {
    pack: PathBuf,
    index: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort: what stays is swept by the next writer. A pack that was published has left its names.
        for left in [&self.pack, &self.index].into_iter().filter(|file| file.exists()) {
            drop(fsio::unlink(left));
        }
    }
}

impl Temporary {
    fn new(folder: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        let name = format!("{TEMPORARY}{}_{}_{nanos:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // `git` opens whatever ends in `.idx`, so these must not.
        Self { pack: folder.join(format!("{name}_pack")), index: folder.join(format!("{name}_idx")) }
    }
}

/// Makes a file and locks it before any sweeper can take it for a dead writer's.
fn create_locked(path: &Path) -> Result<fsio::Out> {
    for _ in 0..100 {
        let out = fsio::Out::create_new(path, fsio::PRIVATE_FILE)?;
        if fsio::try_lock(out.file())? && fsio::is_at(out.file(), path) {
            return Ok(out);
        }
        // A sweeper came between; it has removed the file or is about to.
        drop(out);
        fsio::unlink_if_there(path)?;
    }
    Err(Error::Locked { waited_seconds: 0, path: path.to_owned() })
}

/// The first bytes of a pack: the magic word, the version, and the number of objects, none yet.
pub(super) const HEAD: [u8; 12] = *b"PACK\0\0\0\x02\0\0\0\0";

/// Reads the number of objects from an index: the last word of the table behind eight bytes.
pub(super) fn count_objects(index: &Path) -> io::Result<u32> {
    let mut word = [0; 4];
    File::open(index)?.read_exact_at(&mut word, 8 + 255 * 4)?;
    Ok(u32::from_be_bytes(word))
}

impl PackWriter {
    /// Begins a pack in the folder `objects/pack`.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let files = Temporary::new(folder);
        let mut out = create_locked(&files.pack)?;
        out.put(&HEAD)?;
        Ok(Self { out, files, offset: HEAD.len() as u64, entries: Vec::new() })
    }

    /// Appends an object: its size in bytes and its bytes as zlib stream.
    pub(super) fn add(&mut self, id: &ObjectId, kind: Kind, size: u64, deflated: &[u8]) -> Result<()> {
        let mut header = [0u8; 12];
        let header = entry_header(kind, size, &mut header);
        let mut crc = libdeflater::Crc::new();
        crc.update(header);
        crc.update(deflated);
        self.out.put(header)?;
        self.out.put(deflated)?;
        let mut raw = [0; 20];
        raw.copy_from_slice(id.as_slice());
        self.entries.push(Entry { id: raw, crc: crc.sum(), offset: self.offset });
        self.offset += (header.len() + deflated.len()) as u64;
        Ok(())
    }

    /// Gives the number of entries so far; the next one gets it as its place.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Reads an entry back by its place: kind, size of the object in bytes, and its bytes as zlib stream.
    pub(super) fn entry(&self, place: usize) -> Result<Option<(Kind, u64, Vec<u8>)>> {
        let Some(from) = self.entries.get(place).map(|e| e.offset) else { return Ok(None) };
        let to = self.entries.get(place + 1).map_or(self.offset, |e| e.offset);
        let bytes = self.out.read_back(from, usize::try_from(to - from).map_err(|_| Error::TooManyObjects)?)?;
        Ok(parse_header(&bytes).map(|(kind, size, length)| (kind, size, bytes[length..].to_vec())))
    }

    /// Hands what is there to the disk, so that little is left to sync under the writers' lock.
    pub(super) fn sync(&mut self) -> Result<()> {
        Ok(self.out.sync()?)
    }

    /// Writes count and trailer, syncs, and writes and syncs the index.
    pub(super) fn finish(mut self) -> Result<Finished> {
        let count = u32::try_from(self.entries.len()).map_err(|_| Error::TooManyObjects)?;
        self.out.patch(8, &count.to_be_bytes())?;
        let hash = hash_file(self.out.file()).map_err(|source| Error::Read { path: self.files.pack.clone(), source })?;
        self.out.put(&hash)?;
        self.entries.sort_unstable_by_key(|e| e.id);
        let pack_file = self.out.finish_sync()?;
        let index = create_locked(&self.files.index)?;
        let (index_file, index_bytes) = write_index(index, &self.entries, &hash)?;
        Ok(Finished {
            stem: format!("pack-{}", ObjectId::from_bytes_or_panic(&hash)),
            objects: u64::from(count),
            bytes: self.offset + 20 + index_bytes,
            files: self.files,
            _locked: [pack_file, index_file],
        })
    }
}

impl Finished {
    /// Says whether a pack of the same bytes is there already.
    pub(super) fn is_there(&self, folder: &Path) -> bool {
        folder.join(format!("{}.pack", self.stem)).exists() && folder.join(format!("{}.idx", self.stem)).exists()
    }

    /// Gives the files their names, the pack before its index, and syncs the folder.
    pub(super) fn publish(self, folder: &Path) -> Result<()> {
        // A pack that is there under this name has the same bytes, or is damaged: it is replaced.
        fsio::rename(&self.files.pack, &folder.join(format!("{}.pack", self.stem)))?;
        fsio::rename(&self.files.index, &folder.join(format!("{}.idx", self.stem)))?;
        fsio::sync_dir(folder)?;
        Ok(())
    }
}

/// Removes both files of a pack, the index first, so that no reader finds an index without a pack.
pub(super) fn remove(folder: &Path, stem: &str) -> Result<()> {
    fsio::unlink_if_there(&folder.join(format!("{stem}.idx")))?;
    fsio::unlink_if_there(&folder.join(format!("{stem}.pack")))?;
    Ok(())
}

/// Removes the unfinished files of writers that are dead. The caller holds the writers' lock.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if fsio::try_lock(&file).unwrap_or(false) {
            fsio::unlink_if_there(&path)?;
        }
    }
    Ok(())
}

/// Writes the type and size of an entry as git does: four bits of size, then seven a byte.
fn entry_header(kind: Kind, size: u64, buffer: &mut [u8; 12]) -> &[u8] {
    let kind = match kind {
        Kind::Commit => 1u8,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let low = |n: u64, mask: u64| u8::try_from(n & mask).expect("masked to a byte");
    buffer[0] = kind << 4 | low(size, 15);
    let (mut rest, mut len) = (size >> 4, 1);
    while rest > 0 {
        buffer[len - 1] |= 0x80;
        buffer[len] = low(rest, 0x7f);
        rest >>= 7;
        len += 1;
    }
    &buffer[..len]
}

/// Reads what [`entry_header`] wrote: kind, size in bytes, and the length of the header.
fn parse_header(bytes: &[u8]) -> Option<(Kind, u64, usize)> {
    let first = *bytes.first()?;
    let kind = match first >> 4 & 7 {
        1 => Kind::Commit,
        2 => Kind::Tree,
        3 => Kind::Blob,
        4 => Kind::Tag,
        _ => return None,
    };
    let (mut size, mut shift, mut at, mut more) = (u64::from(first & 15), 4, 1, first & 0x80 != 0);
    while more {
        let byte = *bytes.get(at)?;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        (shift, at, more) = (shift + 7, at + 1, byte & 0x80 != 0);
    }
    Some((kind, size, at))
}

/// SHA-1 over a whole file. A pack's trailer guards against accidents only, so it needs no detection
/// of collision attacks; ids of objects have it.
fn hash_file(mut file: &File) -> std::io::Result<[u8; 20]> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha1::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match fsio::Patient(file).read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Writes an index of version 2 for entries sorted by id; gives the file and its size in bytes.
fn write_index(mut out: fsio::Out, entries: &[Entry], pack_hash: &[u8; 20]) -> Result<(File, u64)> {
    let mut bytes = Vec::with_capacity(8 + 1024 + entries.len() * 28 + 40);
    bytes.extend_from_slice(b"\xfftOc\0\0\0\x02");
    let mut seen = 0u32;
    let mut rest = entries.iter().peekable();
    for first in 0..=255u8 {
        while rest.next_if(|e| e.id[0] == first).is_some() {
            seen += 1;
        }
        bytes.extend_from_slice(&seen.to_be_bytes());
    }
    entries.iter().for_each(|e| bytes.extend_from_slice(&e.id));
    entries.iter().for_each(|e| bytes.extend_from_slice(&e.crc.to_be_bytes()));
    let mut large = Vec::new();
    for entry in entries {
        let small = match u32::try_from(entry.offset) {
            Ok(offset) if entry.offset < LARGE => offset,
            _ => {
                large.push(entry.offset);
                0x8000_0000 | u32::try_from(large.len() - 1).expect("there are at most 2^32 entries, large ones are fewer")
            }
        };
        bytes.extend_from_slice(&small.to_be_bytes());
    }
    large.iter().for_each(|offset| bytes.extend_from_slice(&offset.to_be_bytes()));
    bytes.extend_from_slice(pack_hash);
    let own: [u8; 20] = Sha1::digest(&bytes).into();
    bytes.extend_from_slice(&own);
    out.put(&bytes)?;
    Ok((out.finish_sync()?, bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_entry_reads_back() {
        for kind in [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag] {
            for size in [0, 1, 15, 16, 2047, 2048, 1 << 32, u64::MAX] {
                let mut buffer = [0; 12];
                let header = entry_header(kind, size, &mut buffer);
                assert_eq!(parse_header(header), Some((kind, size, header.len())));
                assert_eq!(parse_header(&header[..header.len() - 1]), None);
            }
        }
        assert_eq!(parse_header(&[0x70]), None);
    }

    /// Packs over 2 and over 4 GiB: offsets that do not fit the first table stand in a second one.
    #[test]
    fn an_index_of_a_pack_of_any_size_is_read_by_gix_and_git() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack-0.idx");
        let offsets = [12, LARGE - 1, LARGE, LARGE + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 7, 1 << 40];
        // Ids that go down while offsets go up, so that the tables are in different orders.
        let entry = |(n, offset): (u8, u64)| Entry { id: [250 - n; 20], crc: u32::from(n), offset };
        let mut entries: Vec<Entry> = (0..).zip(offsets).map(entry).collect();
        entries.sort_unstable_by_key(|e| e.id);
        let out = fsio::Out::create_new(&path, fsio::PRIVATE_FILE).unwrap();
        let (_, bytes) = write_index(out, &entries, &[7; 20]).unwrap();
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());

        let index = gix::odb::pack::index::File::at(&path, gix::hash::Kind::Sha1).unwrap();
        for entry in &entries {
            let at = index.lookup(ObjectId::from_bytes_or_panic(&entry.id)).unwrap();
            assert_eq!((index.pack_offset_at_index(at), index.crc32_at_index(at)), (entry.offset, Some(entry.crc)));
        }
        let stdin = File::open(&path).unwrap();
        let shown = std::process::Command::new("git").arg("show-index").stdin(stdin).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let expected: String =
            entries.iter().map(|e| format!("{} {} ({:08x})\n", e.offset, ObjectId::from_bytes_or_panic(&e.id), e.crc)).collect();
        assert_eq!(shown, expected);
    }
}
