//! What a collector keeps of itself in the store: inventory, profiles and host-key pins. A lost one is rebuilt from it.

use std::fs;
use std::io;
use std::path::Path;

use super::Error;
use crate::collect::hostkeys::PINS_FILE;
use crate::inventory::{DEVICES_DIR, FILE_NAME, PROFILES_DIR};
use crate::store::facts::FactFiles;

/// The largest file that is kept in the collector's branch, in bytes.
const MOST: u64 = 16 << 20;
/// Folders whose `*.toml` files are kept.
const FOLDERS: [&str; 2] = [PROFILES_DIR, DEVICES_DIR];

/// Gathers what the branch of a collector holds: inventory with the files of its devices, profiles and host-key pins. No key is among it.
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
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What a tree cannot hold as it is, is no profile.
            let plain = crate::store::place::encode(name.as_bytes()).as_ref() == name.as_bytes();
            if plain && name.ends_with(".toml") && !name.starts_with('.') && entry.path().is_file() {
                take(&entry.path(), format!("{folder}/{name}"))?;
            }
        }
    }
    Ok(files)
}

/// Keeps what an installation reads; a mirror has no say in what else lies in the folder, least of all
/// in keys.
pub(super) fn of_inventory(files: FactFiles) -> FactFiles {
    let ours = |path: &str| {
        let of = |folder: &&str| path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        let in_folder = FOLDERS.iter().find_map(of);
        path == FILE_NAME || path == PINS_FILE || in_folder.is_some_and(|p| !p.contains('/') && p.ends_with(".toml"))
    };
    files.into_iter().filter(|(path, _)| ours(path)).collect()
}
