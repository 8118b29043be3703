//! Making anew what can be told from the rest: indices of packs, and their first and last bytes.
//!
//! An index says only where the objects of its pack lie. One that is lost or damaged hides a pack that may be whole;
//! `git index-pack` reads all of such a pack, and makes its index if every object is there.
//!
//! A pack ends with the checksum of all that is before it, which is its name, too, and begins with what its index
//! says. Where only these bytes are damaged, the checksum proves that all others are as they were written.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use gix::ObjectId;
use sha1::{Digest as _, Sha1};

use super::error::{Error, Result};
use super::lock::Lock;
use super::maintain::WAIT;
use super::pack::{HEAD, count_objects};
use super::repo::Repo;
use super::{git, pending};
use crate::fsio;

/// The bytes behind the last object: the checksum.
const TRAILER: usize = 20;

/// What was made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remade {
    /// Indices of packs that are whole.
    pub indices: usize,
    /// Packs of which nothing but the first or the last bytes was damaged.
    pub packs: usize,
}

/// Makes anew the ends of every pack whose objects are all as they were written, and the index of every pack that is whole
/// and whose index is lost or damaged; gives how many. A pack that does not read stays as it is.
///
/// # Errors
/// [`Error::Locked`] if a maintenance runs, or the disk refused.
pub fn remake(dir: &Path) -> Result<Remade> {
    let repo = Repo::open(dir)?;
    let cache = repo.make_cache_dir()?;
    let _alone = Lock::take(&cache.join("maintain.lock"), Duration::ZERO)?;
    let _writers = repo.lock(WAIT)?;
    // What a writer or a maintenance left that died has no index either, and goes.
    pending::recover(&repo)?;
    let folder = repo.pack_dir();
    let read = |source| Error::Read { path: folder.clone(), source };
    let mut done = Remade::default();
    for entry in fs::read_dir(&folder).map_err(read)? {
        let pack = entry.map_err(read)?.path();
        let name = pack.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("pack-") || !name.ends_with(".pack") {
            continue;
        }
        done.packs += usize::from(mend_ends(&repo, &pack)?);
        if !is_whole(&pack.with_extension("idx")) {
            done.indices += usize::from(make_index(&repo, &pack)?);
        }
    }
    if done != Remade::default() {
        // A list of all packs that `git` made names what was there.
        fsio::unlink_if_there(&folder.join("multi-pack-index"))?;
        fsio::sync_dir(&folder)?;
    }
    Ok(done)
}

/// Writes a pack anew if its first or last bytes are damaged and nothing else is; says whether it did.
fn mend_ends(repo: &Repo, path: &Path) -> Result<bool> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = stem.strip_prefix("pack-").and_then(|hash| ObjectId::from_hex(hash.as_bytes()).ok());
    let (Some(named), Ok(pack)) = (named, File::open(path)) else { return Ok(false) };
    let Ok(length) = pack.metadata().map(|meta| meta.len()) else { return Ok(false) };
    let (mut right, mut head, mut trailer) = (HEAD, HEAD, [0; TRAILER]);
    let from = length.saturating_sub(TRAILER as u64);
    if from < HEAD.len() as u64 || pack.read_exact_at(&mut head, 0).is_err() || pack.read_exact_at(&mut trailer, from).is_err() {
        return Ok(false);
    }
    let index = path.with_extension("idx");
    match is_whole(&index).then(|| count_objects(&index)) {
        Some(Ok(count)) => right[8..].copy_from_slice(&count.to_be_bytes()),
        _ => right[8..].copy_from_slice(&head[8..]),
    }
    if head == right && trailer == named.as_slice() {
        return Ok(false);
    }
    let body = match proven(&pack, &right, from, &named) {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(false),
        Err(error) => {
            tracing::debug!("{}: {error}", path.display());
            return Ok(false);
        }
    };
    let new = repo.cache_dir().join("mended.pack");
    fsio::unlink_if_there(&new)?;
    let mut out = fsio::Out::create_new(&new, fsio::PRIVATE_FILE)?;
    out.put(&right)?;
    let read = |source| Error::Read { path: path.to_owned(), source };
    each_part(&pack, body, |part| out.put(part)).map_err(read)??;
    out.put(named.as_slice())?;
    drop(out.finish_sync()?);
    fsio::rename(&new, path)?;
    Ok(true)
}

/// Finds where the objects of a pack end: the place at `from`, or up to the length of a trailer behind it, before
/// which all bytes, with the right ones at their head, have the checksum.
fn proven(pack: &File, head: &[u8], from: u64, sum: &ObjectId) -> io::Result<Option<u64>> {
    let mut hash = Sha1::new_with_prefix(head);
    let Ok(()) = each_part(pack, from, |part| {
        hash.update(part);
        Ok::<_, Infallible>(())
    })?;
    let mut last = [0; TRAILER];
    pack.read_exact_at(&mut last, from)?;
    for (cut, at) in (0..=TRAILER).zip(from..) {
        if hash.clone().finalize().as_slice() == sum.as_slice() {
            return Ok(Some(at));
        }
        last.get(cut..=cut).into_iter().for_each(|byte| hash.update(byte));
    }
    Ok(None)
}

/// Reads what is behind the head of a pack, up to a place.
fn each_part<E>(mut pack: &File, to: u64, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> io::Result<Result<(), E>> {
    pack.seek(SeekFrom::Start(HEAD.len() as u64))?;
    let mut rest = fsio::Patient(Read::take(&mut pack, to - HEAD.len() as u64));
    let mut buffer = vec![0; 1 << 17];
    loop {
        let n = match rest.read(&mut buffer)? {
            0 if rest.0.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(Ok(())),
            n => n,
        };
        if let Err(error) = take(&buffer[..n]) {
            return Ok(Err(error));
        }
    }
}

/// Tells whether an index is there, and is what its own checksum says.
fn is_whole(index: &Path) -> bool {
    let sums_up = |(body, sum): (&[u8], &[u8; TRAILER])| <[u8; TRAILER]>::from(Sha1::digest(body)) == *sum;
    fs::read(index).is_ok_and(|bytes| bytes.split_last_chunk().is_some_and(sums_up))
}

/// Makes an index beside the caches and moves it to its pack; says whether the pack was whole.
fn make_index(repo: &Repo, pack: &Path) -> Result<bool> {
    let new = repo.cache_dir().join("index-pack.idx");
    fsio::unlink_if_there(&new)?;
    let mut command = git::command(repo.dir());
    command.args(["index-pack", "--no-rev-index", "-o"]).arg(&new).arg(pack);
    if let Err(error) = git::run(command, "index-pack", Vec::new()) {
        tracing::debug!("{}: {error}", pack.display());
        fsio::unlink_if_there(&new)?;
        return Ok(false);
    }
    fsio::set_mode_and_sync(&new, fsio::PRIVATE_FILE)?;
    fsio::rename(&new, &pack.with_extension("idx"))?;
    Ok(true)
}
