//! All writes to disk: temporary name, sync, rename, sync of the directory.
//!
//! Every write of confvault goes through this room, which is also where a test stops the world: each
//! function passes a [`fault`] step before it touches the disk. Nothing here decides what is written.
//!
//! Invariants: modes are set explicitly, so the umask neither widens nor narrows them; a file that
//! [`write_file`] replaced is the old one or the new one, whole, at any moment and after a power cut.

pub mod below;
pub mod beneath;
pub mod fault;
mod file;
mod out;
mod patient;
mod remove;
mod scratch;
pub mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use file::{
    PRIVATE_DIR, PRIVATE_FILE, append, create_dir, create_dir_all, is_at, link, open_lock_file, remove_dir, rename,
    rename_to_free, set_mode_and_sync, sync_dir, try_lock, unlink, unlink_if_there, update_cache, write_file, write_new,
};
pub use out::Out;
pub use patient::Patient;
pub use remove::remove_all;
pub use scratch::Scratch;

/// A step on disk that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("Cannot {action} {}", path.display())]
pub struct Error {
    /// What was tried: `create`, `write`, `sync`, `rename` …
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why the system refused.
    #[source]
    pub source: io::Error,
}

impl Error {
    /// Makes the error of an action on a path.
    #[must_use]
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// Gives the same error again, for whoever fails because of it.
    #[must_use]
    pub fn again(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { action: self.action, path: self.path.clone(), source }
    }

    /// Tells whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Gives the kind of the system's error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The result of a step on disk.
pub type Result<T, E = Error> = std::result::Result<T, E>;
