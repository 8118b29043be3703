//! An installation taken over from a mirror: store, inventory, profiles and host-key pins.

use std::fs;
use std::io;
use std::path::Path;

use super::Error;
use crate::collect::hostkeys::PINS_FILE;
use crate::fsio;
use crate::inventory::{FILE_NAME, PROFILES_DIR, STORE_DIR, template};
use crate::mirror::{self, Cloned, MirrorError, Remote};
use crate::model::CollectorName;
use crate::seal::Trust;
use crate::store::Store;
use crate::store::facts::FactFiles;

/// The largest file that is kept in the collector's branch, in bytes.
const MOST: u64 = 16 << 20;

/// Gathers what the branch of a collector holds: inventory, profiles and host-key pins. No key is among it.
///
/// # Errors
/// A file is there and cannot be read, or is larger than 16 MiB.
pub fn collector_files(root: &Path) -> Result<FactFiles, Error> {
    let mut files = FactFiles::new();
    let mut take = |path: &Path, name: String| -> Result<(), Error> {
        let unread = |source| Error::Store(crate::store::Error::Read { path: path.to_owned(), source });
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unread(e)),
            Ok(meta) if meta.len() > MOST => return Err(unread(io::ErrorKind::FileTooLarge.into())),
            Ok(_) => {}
        }
        files.insert(name, fs::read(path).map_err(unread)?);
        Ok(())
    };
    take(&root.join(FILE_NAME), FILE_NAME.to_owned())?;
    take(&root.join(PINS_FILE), PINS_FILE.to_owned())?;
    let profiles = root.join(PROFILES_DIR);
    for entry in fs::read_dir(&profiles).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What a tree cannot hold as it is, is no profile.
        let plain = crate::store::place::encode(name.as_bytes()).as_ref() == name.as_bytes();
        if plain && name.ends_with(".toml") && entry.path().is_file() {
            take(&entry.path(), format!("{PROFILES_DIR}/{name}"))?;
        }
    }
    Ok(files)
}

/// What was taken over from a mirror.
#[derive(Debug)]
pub struct TakenOver {
    /// The store.
    pub cloned: Cloned,
    /// Under which name this machine goes on.
    pub collector: CollectorName,
    /// Whether that collector's inventory came from the mirror; else it is a fresh one.
    pub had_inventory: bool,
    /// What `_store` says, signed by nobody that this machine knows yet: the fingerprints of its administrators
    /// are to be compared with what the administrator knows, and pinned, before anything of it counts.
    pub claimed: Trust,
}

/// Rebuilds an installation in the folder `root` from a mirror: the store, and the inventory, profiles and
/// host-key pins of the collector `name`, or of the only one that the mirror has. A name that the mirror does
/// not have is that of a collector which joins; it gets a fresh inventory.
///
/// Keys do not come from a mirror; without them nothing can be written.
///
/// # Errors
/// What talking to the mirror and checking what it sent gives; where the store had come already it is taken
/// away again.
pub fn take_over(remote: Remote<'_>, root: &Path, name: Option<&CollectorName>) -> Result<TakenOver, Error> {
    let store = root.join(STORE_DIR);
    if fs::symlink_metadata(root.join(FILE_NAME)).is_ok() {
        return Err(MirrorError::Exists { path: root.join(FILE_NAME) }.into());
    }
    let cloned = mirror::clone_store(remote, &store)?;
    settle(root, &store, name, cloned).inspect_err(|_| {
        // Half an installation would look like a whole one. The error says why it is gone.
        fs::remove_dir_all(&store).ok();
    })
}

fn settle(root: &Path, store: &Path, name: Option<&CollectorName>, cloned: Cloned) -> Result<TakenOver, Error> {
    let opened = Store::open(store)?;
    let claimed = Trust::parse(opened.facts().files())?;
    let known = || MirrorError::Collector { names: cloned.collectors.iter().map(ToString::to_string).collect() };
    let collector = match (name, cloned.collectors.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(known().into()),
    };
    let had_inventory = cloned.collectors.contains(&collector);
    let mut files = match had_inventory {
        true => of_inventory(mirror::collector_files(opened.repo(), &collector)?),
        false => FactFiles::new(),
    };
    files.entry(FILE_NAME.to_owned()).or_insert_with(|| template(&collector).into_bytes());
    // The inventory comes last: a folder without it is not an installation.
    let inventory = files.remove(FILE_NAME).unwrap_or_default();
    for (path, bytes) in &files {
        let path = root.join(path);
        fsio::create_dir_all(path.parent().unwrap_or(root), fsio::PRIVATE_DIR)?;
        fsio::write_new(&path, bytes, fsio::PRIVATE_FILE)?;
    }
    fsio::write_new(&root.join(FILE_NAME), &inventory, fsio::PRIVATE_FILE)?;
    Ok(TakenOver { cloned, collector, had_inventory, claimed })
}

/// Keeps what an installation reads; a mirror has no say in what else lies in the folder, least of all
/// in keys.
fn of_inventory(files: FactFiles) -> FactFiles {
    let ours = |path: &str| {
        let profile = path.strip_prefix(PROFILES_DIR).and_then(|rest| rest.strip_prefix('/'));
        path == FILE_NAME || path == PINS_FILE || profile.is_some_and(|p| !p.contains('/') && p.ends_with(".toml"))
    };
    files.into_iter().filter(|(path, _)| ours(path)).collect()
}
