//! Whole files, names and directories.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::fault::{self, Step, Verdict};
use super::{Error, Out, Result};

/// The mode of directories of a store.
pub const PRIVATE_DIR: u32 = 0o700;
/// The mode of files of a store.
pub const PRIVATE_FILE: u32 = 0o600;

fn run<T>(action: &'static str, kind: Step, path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T> {
    fault::step(kind, path).and_then(|_| act()).map_err(|e| Error::new(action, path, e))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// How long a writer waits for another that writes the same file.
const WAIT: Duration = Duration::from_secs(60);

/// How long a writer waits for another that changes the same cache: whoever has it is done within milliseconds.
const CACHE_WAIT: Duration = Duration::from_secs(1);

/// Makes the temporary file beside `path`, locked for this writer.
///
/// There is one name for all writers of a path, so what a killed one left is taken away by the next and
/// nothing gathers.
fn create_beside(path: &Path, mode: u32) -> Result<(PathBuf, Out)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent(path).join(format!(".{name}.tmp"));
    let begin = Instant::now();
    loop {
        match Out::create_new(&temporary, mode) {
            Ok(out) => {
                if try_lock(out.file())? && is_at(out.file(), &temporary) {
                    return Ok((temporary, out));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let left = fs::OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(&temporary);
                if let Ok(left) = left
                    && try_lock(&left)?
                    && is_at(&left, &temporary)
                {
                    unlink_if_there(&temporary)?;
                } else if begin.elapsed() > WAIT {
                    return Err(e);
                } else {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            Err(e) => return Err(e),
        }
    }
}

/// `O_NOFOLLOW`: a link that stands there is not opened.
const O_NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Tries to lock a file (`flock`) for this handle alone; false: another handle has it locked.
///
/// # Errors
/// The file system has no locks.
pub fn try_lock(file: &File) -> Result<bool> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(e) => return Err(Error::new("lock", Path::new("a file"), e.into())),
        }
    }
}

/// Says whether the open file is the one that stands at the path.
#[must_use]
pub fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

/// Writes a file so that at any moment the old one or the new one is there, whole: temporary name,
/// sync, rename, sync of the directory. A link at `path` is replaced, not followed.
///
/// # Errors
/// The disk refused; the old file is then as it was and the temporary one removed, unless only the
/// sync of the directory failed.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let (temporary, mut out) = create_beside(path, mode)?;
    let mut write = || {
        out.put(bytes)?;
        out.sync()?;
        rename(&temporary, path)
    };
    if let Err(e) = write() {
        unlink_quietly(&temporary);
        return Err(e);
    }
    sync_dir(parent(path))
}

/// Changes a cache file in place, neither by a temporary name nor synced; one writer at a time. `change` is
/// given what stands there, nothing if there is no file, and gives what is to stand there.
///
/// A reader beside the writer, or after a crash, may find a mixture of old and new, so what stands in the
/// file needs checksums of its own. Only the bytes from the first that differs to the last are written.
///
/// # Errors
/// The disk refused, the path is a link, or another writer has the file for longer than a second.
pub fn update_cache(path: &Path, mode: u32, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<()> {
    let open = || {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(mode).custom_flags(O_NOFOLLOW).open(path)
    };
    let mut file = run("create", Step::Create, path, open)?;
    let begin = Instant::now();
    while !try_lock(&file)? {
        if begin.elapsed() > CACHE_WAIT {
            return Err(Error::new("lock", path, io::ErrorKind::WouldBlock.into()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut old = Vec::new();
    file.read_to_end(&mut old).map_err(|e| Error::new("read", path, e))?;
    let new = change(&old);
    let from = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let same = old.iter().rev().zip(new[from..].iter().rev()).take_while(|(a, b)| a == b).count();
    let to = if old.len() == new.len() { new.len() - same } else { new.len() };
    if from == to && old.len() == new.len() {
        return Ok(());
    }
    run("write", Step::Write, path, || {
        file.write_all_at(&new[from..to], from as u64)?;
        if new.len() < old.len() { file.set_len(new.len() as u64) } else { Ok(()) }
    })
}

/// Writes a file that must not be there, whole or not at all, synced with its directory. For what must
/// never be overwritten, such as an identity.
///
/// # Errors
/// Something is there, or the disk refused; what this call made is then removed.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let (temporary, mut out) = create_beside(path, mode)?;
    let mut write = || {
        out.put(bytes)?;
        out.sync()?;
        rename_to_free(&temporary, path)
    };
    if let Err(e) = write() {
        unlink_quietly(&temporary);
        return Err(e);
    }
    sync_dir(parent(path))
}

/// Renames to a name that must not be there, also where the file system has no hard links.
///
/// # Errors
/// Something is there, or the disk refused.
pub fn rename_to_free(from: &Path, to: &Path) -> Result<()> {
    match run("rename", Step::Rename, to, || Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)) {
        // A file system that cannot tell, mostly one over a network.
        Err(e)
            if [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
                .iter()
                .any(|no| e.source.raw_os_error() == Some(no.raw_os_error())) =>
        {
            link(from, to)?;
            unlink(from)
        }
        done => done,
    }
}

/// Appends bytes to a file and syncs it; the file is made, private, if it is not there. A power cut can
/// leave half of the bytes at its end, so whoever reads it must know a whole line from a part of one.
///
/// # Errors
/// The disk refused, or the path is a link.
pub fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    let open = || fs::OpenOptions::new().append(true).create(true).mode(PRIVATE_FILE).custom_flags(O_NOFOLLOW).open(path);
    let mut file = run("create", Step::Create, path, open)?;
    let write = |file: &mut File| match fault::step(Step::Write, path)? {
        Verdict::Go => file.write_all(bytes),
        Verdict::Half => {
            file.write_all(&bytes[..bytes.len() / 2])?;
            Err(fault::no_space())
        }
    };
    write(&mut file).map_err(|e| Error::new("write", path, e))?;
    run("sync", Step::Sync, path, || file.sync_all())
}

fn unlink_quietly(path: &Path) {
    // Best effort behind an error that is reported.
    drop(fs::remove_file(path));
}

/// Renames; what stood at `to` is replaced. The directory is not synced.
///
/// # Errors
/// The disk refused.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    run("rename", Step::Rename, to, || fs::rename(from, to))
}

/// Gives a file a second name, which must not be there.
///
/// # Errors
/// The name is there, or the file system has no hard links.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    run("link", Step::Link, to, || fs::hard_link(from, to))
}

/// Removes a file or a link.
///
/// # Errors
/// It is not there, or the disk refused.
pub fn unlink(path: &Path) -> Result<()> {
    run("remove", Step::Unlink, path, || fs::remove_file(path))
}

/// Removes a file or a link and says if it was there.
///
/// # Errors
/// The disk refused.
pub fn unlink_if_there(path: &Path) -> Result<bool> {
    match unlink(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Removes an empty directory.
///
/// # Errors
/// It is not there, not empty, or the disk refused.
pub fn remove_dir(path: &Path) -> Result<()> {
    run("remove", Step::Unlink, path, || fs::remove_dir(path))
}

/// Makes a directory with exactly this mode; it must not be there.
///
/// # Errors
/// Something is there, or the disk refused.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    run("create", Step::Mkdir, path, || {
        DirBuilder::new().mode(0o700 & mode).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    })
}

/// Makes a directory and what is missing above it, each with exactly this mode, and syncs the
/// directories that gained an entry. Directories that are there keep their mode.
///
/// # Errors
/// Something else stands in the way, or the disk refused.
pub fn create_dir_all(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_dir_all(above, mode)?;
    }
    match create_dir(path, mode) {
        Ok(()) => sync_dir(above),
        // Another process was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Syncs a directory, so that names made, renamed and removed in it outlast a power cut.
///
/// # Errors
/// The disk refused.
pub fn sync_dir(path: &Path) -> Result<()> {
    run("sync", Step::SyncDir, path, || File::open(path)?.sync_all())
}

/// Opens a file to be locked, and makes it, empty and private, if it is not there.
///
/// # Errors
/// The disk refused.
pub fn open_lock_file(path: &Path) -> Result<File> {
    let open = || {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(path)?;
        if file.metadata()?.permissions().mode() & 0o777 != PRIVATE_FILE {
            // Fails for who may write but does not own it, and then the mode is not ours to set.
            drop(file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE)));
        }
        Ok(file)
    };
    open().map_err(|e| Error::new("open", path, e))
}

/// Gives a file that another program wrote its mode, and syncs it.
///
/// # Errors
/// It is not there, or the disk refused.
pub fn set_mode_and_sync(path: &Path, mode: u32) -> Result<()> {
    run("sync", Step::Sync, path, || {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        File::open(path)?.sync_all()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_what_a_dead_writer_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(dir.path().join(".x.tmp"), "half").unwrap();
        write_file(&path, b"one", 0o640).unwrap();
        write_file(&path, b"two", 0o600).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("x"));
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        write_file(&path, b"new", 0o600).unwrap();
        assert!(!path.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"untouched");
        assert!(write_new(&path, b"again", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn many_writers_of_one_file_leave_one_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::thread::scope(|s| {
            for n in 0..4u8 {
                let path = &path;
                s.spawn(move || (0..20).for_each(|_| write_file(path, &[n; 5000], 0o600).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|b| *b == bytes[0]));
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn directories_get_exactly_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        create_dir_all(&deep, 0o750).unwrap();
        assert_eq!((mode(&deep), mode(deep.parent().unwrap())), (0o750, 0o750));
        create_dir_all(&deep, 0o700).unwrap();
        assert_eq!(mode(&deep), 0o750);
        fs::write(dir.path().join("f"), "").unwrap();
        assert!(create_dir_all(&dir.path().join("f/x"), 0o700).is_err());
    }

    #[test]
    fn a_cache_is_changed_in_place_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let set = |path: &Path, old: &'static [u8], new: &'static [u8]| {
            update_cache(path, PRIVATE_FILE, |there| {
                assert_eq!(there, old);
                new.to_vec()
            })
        };
        let steps: [&[u8]; 8] = [b"", b"long content", b"short", b"short", b"shirt", b"shirts", b"its", b""];
        for pair in steps.windows(2) {
            set(&path, pair[0], pair[1]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), pair[1]);
        }
        let (aim, link) = (dir.path().join("aim"), dir.path().join("link"));
        fs::write(&aim, "kept").unwrap();
        std::os::unix::fs::symlink(&aim, &link).unwrap();
        assert!(set(&link, b"kept", b"x").is_err());
        assert_eq!(fs::read(&aim).unwrap(), b"kept");
    }

    #[test]
    fn many_writers_of_a_cache_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::thread::scope(|s| {
            for n in 0..4u8 {
                let path = &path;
                s.spawn(move || (0..20).for_each(|_| update_cache(path, 0o600, |old| [old, &[n]].concat()).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!((0..4u8).all(|n| bytes.iter().filter(|b| **b == n).count() == 20), "{bytes:?}");
    }
}
