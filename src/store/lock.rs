//! The writers' lock: `confvault/lock` under the kernel's advisory lock.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::error::Result;

/// The lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, waiting at most `wait` for a living holder.
    ///
    /// # Errors
    /// [`Error::Locked`](super::Error::Locked) if a living process held it all that time.
    pub fn take(_path: &Path, _wait: Duration) -> Result<Self> {
        todo!()
    }
}
