//! Making indices of packs anew.
//!
//! An index says only where the objects of its pack lie. One that is lost or damaged hides a pack that may be whole;
//! `git index-pack` reads all of such a pack, and makes its index if every object is there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::error::{Error, Result};
use super::lock::Lock;
use super::repo::Repo;
use super::{git, pending};
use crate::fsio;

/// How long is waited for a writer.
const WAIT: Duration = Duration::from_secs(60);

/// Makes the index anew of every pack that is whole and whose index is lost or damaged; gives how many. A pack that
/// does not read stays as it is.
///
/// # Errors
/// [`Error::Locked`] if a maintenance runs, or the disk refused.
pub fn reindex(dir: &Path) -> Result<usize> {
    let repo = Repo::open(dir)?;
    let cache = repo.make_cache_dir()?;
    let _alone = Lock::take(&cache.join("maintain.lock"), Duration::ZERO)?;
    let _writers = repo.lock(WAIT)?;
    // What a writer or a maintenance left that died has no index either, and goes.
    pending::recover(&repo)?;
    let folder = repo.pack_dir();
    let read = |source| Error::Read { path: folder.clone(), source };
    let mut made = 0;
    for entry in fs::read_dir(&folder).map_err(read)? {
        let pack = entry.map_err(read)?.path();
        let name = pack.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("pack-") && name.ends_with(".pack") && !is_whole(&pack.with_extension("idx")) {
            made += usize::from(make(&repo, &pack)?);
        }
    }
    if made > 0 {
        // A list of all packs that `git` made names what was there.
        fsio::unlink_if_there(&folder.join("multi-pack-index"))?;
        fsio::sync_dir(&folder)?;
    }
    Ok(made)
}

/// Tells whether an index is there, and is what its own checksum says.
fn is_whole(index: &Path) -> bool {
    let Ok(bytes) = fs::read(index) else { return false };
    let Some((body, sum)) = bytes.split_last_chunk::<20>() else { return false };
    <[u8; 20]>::from(Sha1::digest(body)) == *sum
}

/// Makes an index beside the caches and moves it to its pack; says whether the pack was whole.
fn make(repo: &Repo, pack: &Path) -> Result<bool> {
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
