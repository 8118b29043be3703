//! Whole files, names and directories.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::{self, Step};
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

/// Gives a name beside `path` that no other process or thread uses.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    parent(path).join(format!(".{name}.tmp{}-{n}", std::process::id()))
}

/// Writes a file so that at any moment the old one or the new one is there, whole: temporary name,
/// sync, rename, sync of the directory. A link at `path` is replaced, not followed.
///
/// # Errors
/// The disk refused; the old file is then as it was and the temporary one removed.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let temporary = beside(path);
    // A name left by a dead process that had our id.
    unlink_quietly(&temporary);
    let write = || {
        let mut out = Out::create_new(&temporary, mode)?;
        out.put(bytes)?;
        out.finish_sync()?;
        rename(&temporary, path)
    };
    if let Err(e) = write() {
        unlink_quietly(&temporary);
        return Err(e);
    }
    sync_dir(parent(path))
}

/// Writes a file that must not be there, synced with its directory. For what must never be
/// overwritten, such as an identity.
///
/// # Errors
/// The file is there, or the disk refused; what this call made is then removed.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut out = Out::create_new(path, mode)?;
    if let Err(e) = out.put(bytes).and_then(|()| out.finish_sync().map(drop)) {
        unlink_quietly(path);
        return Err(e);
    }
    sync_dir(parent(path))
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
