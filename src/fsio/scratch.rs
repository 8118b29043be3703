//! Private folders to work in, which do not outlive their use.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Error, PRIVATE_DIR, Result, is_at, remove_all, try_lock};

/// How often a folder is made anew that another process took away before it was locked.
const TRIES: usize = 100;

/// A folder of mode 0700, locked while this process lives, and removed when dropped.
///
/// A process that is killed leaves its folder behind; the next one that works in the same place under the
/// same prefix removes it.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one in the folder `above`, after removing those that killed processes left there.
    ///
    /// # Errors
    /// The folder cannot be read or written, or its file system has no locks.
    pub fn new(above: &Path, prefix: &str) -> Result<Self> {
        let refused = |e| Error::new("create", above, e);
        for entry in fs::read_dir(above).map_err(refused)?.filter_map(io::Result::ok) {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())
                && let Some(_lock) = left(&entry.path())
            {
                // What cannot be removed is no reason not to work.
                drop(remove_all(&entry.path()));
            }
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix).permissions(Permissions::from_mode(PRIVATE_DIR));
        for _ in 0..TRIES {
            let dir = builder.tempdir_in(above).map_err(refused)?;
            // Another process that began at the same time may have taken it for one that was left.
            let lock = match File::open(dir.path()) {
                Ok(lock) => lock,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(refused(e)),
            };
            if try_lock(&lock)? && is_at(&lock, dir.path()) {
                return Ok(Self { dir: dir.keep(), _lock: lock });
            }
        }
        Err(refused(io::ErrorKind::ResourceBusy.into()))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the folder now.
    ///
    /// # Errors
    /// The disk refused; something is left.
    pub fn remove(self) -> Result<()> {
        remove_all(&self.dir)
    }
}

/// Gives the lock of a folder that is ours and whose process has ended: a lock ends with its process.
fn left(dir: &Path) -> Option<File> {
    let meta = fs::symlink_metadata(dir).ok()?;
    let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw();
    let file = if ours { File::open(dir).ok()? } else { return None };
    try_lock(&file).unwrap_or(false).then_some(file)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays, if the disk refuses, is removed by the next.
        drop(remove_all(&self.dir));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_goes_and_what_lives_stays() {
        let above = tempfile::tempdir().unwrap();
        let left = above.path().join("x-left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("file"), "secret").unwrap();
        std::os::unix::fs::symlink("/", above.path().join("x-link")).unwrap();
        fs::create_dir(left.join("no entry")).unwrap();
        fs::write(left.join("no entry/file"), "secret").unwrap();
        fs::set_permissions(left.join("no entry"), Permissions::from_mode(0o500)).unwrap();
        let first = Scratch::new(above.path(), "x-").unwrap();
        assert!(!left.exists() && first.dir().is_dir());
        assert_eq!(fs::metadata(first.dir()).unwrap().permissions().mode() & 0o777, 0o700);
        let second = Scratch::new(above.path(), "x-").unwrap();
        assert!(first.dir().is_dir() && above.path().join("x-link").symlink_metadata().is_ok());
        let made = |_| {
            std::thread::scope(|scope| {
                let work = || (0..50).for_each(|_| assert!(Scratch::new(above.path(), "x-").unwrap().dir().is_dir()));
                (0..4).for_each(|_| drop(scope.spawn(work)));
            })
        };
        (0..2).for_each(made);
        let paths = [first.dir().to_owned(), second.dir().to_owned()];
        drop((first, second));
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
