//! The writers' lock: a file under the kernel's advisory lock (`flock`).
//!
//! It ends with its process, however that ends, so there is no stale lock to break and no lock of a
//! living process is ever broken. See the end of "Writing and reading" in `docs/format.md`.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::{Error, Result};
use crate::fsio;

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, waiting at most `wait` for a living holder.
    ///
    /// # Errors
    /// [`Error::Locked`] if a living process held it all that time.
    pub fn take(path: &Path, wait: Duration) -> Result<Self> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let file = fsio::open_lock_file(path)?;
            if fsio::try_lock(&file)? {
                if fsio::is_at(&file, path) {
                    return Ok(Self { _file: file });
                }
                // The file was removed between opening and locking: this lock excludes nobody.
                continue;
            }
            let left = wait.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(Error::Locked { waited_seconds: wait.as_secs(), path: path.to_owned() });
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(matches!(Lock::take(&path, Duration::from_millis(5)), Err(Error::Locked { .. })));
        drop(held);
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_on_a_removed_file_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(matches!(Lock::take(&path, Duration::ZERO), Err(Error::Locked { .. })));
        drop((held, second));
    }
}
