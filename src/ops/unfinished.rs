//! What a killed `init` left, so that the next one begins anew.
//!
//! Before an `init` makes anything it writes `ROOT/unfinished`, and takes it away last. The inventory comes
//! right before that: a folder with an inventory is whole, one with `unfinished` and no inventory is not.
//! Keys outside of `ROOT`, and files beside the store, are announced with their digest before they are written, so that
//! nothing is ever removed but what that very `init` wrote.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::keys::KeyRing;
use crate::fsio;
use crate::inventory::{FILE_NAME, STORE_DIR};

const HEAD: &str = "confvault-unfinished 1";

/// What was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A new store.
    Make,
    /// A store from its mirror.
    Rebuild,
}

impl Work {
    fn word(self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Rebuild => "rebuild",
        }
    }
}

/// How a folder stands that a store is to be made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing was there.
    Nothing,
    /// Something unfinished was there, and was taken away.
    Cleared,
    /// The work had been done, but for its last step.
    Done,
}

/// The file that says that an `init` is under way.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    text: String,
}

impl Unfinished {
    /// Says that work begins.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn begin(root: &Path, work: Work) -> Result<Self, Error> {
        let this = Self { path: root.join("unfinished"), text: format!("{HEAD} {}\n", work.word()) };
        fsio::write_file(&this.path, this.text.as_bytes(), 0o600)?;
        Ok(this)
    }

    /// Announces a file that is about to be written outside of the store and the keys of the folder.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn announce(&mut self, path: &Path, bytes: &[u8]) -> Result<(), fsio::Error> {
        let digest = blake3::hash(bytes).to_hex();
        self.text.push_str(&format!("{digest} {}\n", path.display()));
        fsio::write_file(&self.path, self.text.as_bytes(), 0o600)
    }

    /// Says that the work is done.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn end(self) -> Result<(), Error> {
        Ok(fsio::unlink(&self.path)?)
    }
}

/// Makes the folder ready for a new store: what an unfinished `init` left in it is taken away.
///
/// # Errors
/// [`Error::Exists`] where there is anything else.
pub(super) fn clear(root: &Path, work: Work) -> Result<Before, Error> {
    let (store, inventory, ring) = (root.join(STORE_DIR), root.join(FILE_NAME), KeyRing::at(root));
    let exists = || Error::Exists(root.to_owned());
    let Some(keys) = read(&root.join("unfinished"), work)? else {
        let free = !inventory.exists() && !store.exists() && !ring.is_there() && !ring.is_pinned();
        return if free { Ok(Before::Nothing) } else { Err(exists()) };
    };
    if inventory.exists() {
        return Ok(Before::Done);
    }
    // A store that has more than its first commit and the record of that was used; `init` never leaves that.
    let first = |name: &String| name == "refs/heads/_store" || name.starts_with("refs/heads/_journal/");
    if work == Work::Make && !refs(&store)?.iter().all(first) {
        return Err(exists());
    }
    for (digest, path) in keys {
        match fs::read(&path) {
            Ok(bytes) if blake3::hash(&bytes).to_hex().as_str() == digest => fsio::unlink(&path)?,
            _ => {}
        }
    }
    fsio::remove_all(&store)?;
    fsio::remove_all(ring.dir())?;
    Ok(Before::Cleared)
}

/// Reads what an unfinished `init` announced; nothing if there is none of this kind.
fn read(path: &Path, work: Work) -> Result<Option<Vec<(String, PathBuf)>>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fsio::Error::new("read", path, error).into()),
    };
    let mut lines = text.lines();
    if lines.next() != Some(&format!("{HEAD} {}", work.word())) {
        return Ok(None);
    }
    let key = |line: &str| line.split_once(' ').map(|(digest, path)| (digest.to_owned(), PathBuf::from(path)));
    Ok(Some(lines.filter_map(key).collect()))
}

/// Lists the refs of a repository by its files, whether it opens or not.
fn refs(store: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut todo = vec![store.join("refs")];
    while let Some(dir) = todo.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(fsio::Error::new("read", &dir, error).into()),
        };
        for entry in entries {
            let path = entry.map_err(|error| fsio::Error::new("read", &dir, error))?.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                names.push(path.strip_prefix(store).unwrap_or(&path).display().to_string());
            }
        }
    }
    if let Ok(packed) = fs::read_to_string(store.join("packed-refs")) {
        let name = |line: &str| line.split_once(' ').map(|(_, name)| name.to_owned());
        names.extend(packed.lines().filter(|line| !line.starts_with(['#', '^'])).filter_map(name));
    }
    // A lock or a temporary file beside a ref is none.
    names.retain(|name| !name.ends_with(".lock") && !name.ends_with(".tmp"));
    Ok(names)
}
