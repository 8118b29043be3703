//! The private folder where files wait until everything is proven good.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, RenameFlags};
use rustix::io::Errno;

use super::super::fault::{self, Step, Verdict};
use super::super::{Error, Result};
use super::dirs::{Dirs, OPEN_DIR, split, what_stands};
use super::{FEW, LEFTOVER, NEW_FILE, TreeError};
use crate::model::{ConfigPath, Owner};

/// A file of the folder that is being written.
pub(super) struct Slot {
    file: File,
    name: u64,
    path: ConfigPath,
    folder: Arc<Path>,
}

impl Slot {
    pub(super) fn fd(&self) -> &File {
        &self.file
    }

    /// Gives the path for messages.
    pub(super) fn shown(&self) -> PathBuf {
        below(&self.folder, &self.path)
    }

    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        (&mut &*self).write_all(bytes)
    }
}

impl Write for &Slot {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match verdict(Step::Write, || self.shown())? {
            Verdict::Go => (&self.file).write(bytes),
            Verdict::Half => {
                (&self.file).write_all(&bytes[..bytes.len() / 2])?;
                Err(fault::no_space())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of the folder that waits for its place.
pub(super) struct Item {
    pub(super) path: ConfigPath,
    pub(super) bytes: u64,
    name: u64,
}

pub(super) struct Stage {
    dir: OwnedFd,
    name: String,
    shown: Arc<Path>,
    root: OwnedFd,
    user: Owner,
    next: AtomicU64,
    items: Vec<Item>,
    ended: bool,
}

/// Passes a step of a test. The path is for tests only, and making one costs more than some steps do.
fn verdict(kind: Step, shown: impl FnOnce() -> PathBuf) -> io::Result<Verdict> {
    if cfg!(debug_assertions) { fault::step(kind, &shown()) } else { Ok(Verdict::Go) }
}

fn step(kind: Step, action: &'static str, shown: &dyn Fn() -> PathBuf) -> Result<()> {
    verdict(kind, shown).map(drop).map_err(|e| Error::new(action, &shown(), e))
}

fn below(folder: &Path, path: &ConfigPath) -> PathBuf {
    folder.join(path.to_string())
}

/// Tries to clean up behind an error that is on its way already.
fn attempt(_: rustix::io::Result<()>) {}

impl Stage {
    /// Makes the folder in the root, after removing those that dead processes left.
    pub(super) fn begin(root: &OwnedFd, shown: &Path) -> Result<Self, TreeError> {
        sweep(root);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let name = format!("{LEFTOVER}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let place = shown.join(&name);
            let refused = |e: Errno| Error::new("create", &place, e.into());
            step(Step::Mkdir, "create", &|| place.clone())?;
            match rustix::fs::mkdirat(root, &name, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) => continue,
                other => other.map_err(refused)?,
            }
            // Until it is locked, another writer that begins takes the folder for one of a dead process.
            let dir = match rustix::fs::openat(root, &name, OPEN_DIR, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(refused)?,
            };
            // The lock says that this process lives; file systems without locks get no sweeping either.
            match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => continue,
                other => attempt(other),
            }
            let stat = rustix::fs::fstat(&dir).map_err(refused)?;
            if stat.st_nlink == 0 {
                // Swept by another process between its making and its locking.
                continue;
            }
            // Whoever may rename in the root could have put a folder of his own in its place.
            if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
                return Err(TreeError::Moved { path: place });
            }
            let root = rustix::io::fcntl_dupfd_cloexec(root, 0).map_err(refused)?;
            // New files in it get the owner and group that it got itself, also where a group is inherited.
            let user = Owner { uid: stat.st_uid, gid: stat.st_gid };
            return Ok(Self {
                dir,
                name,
                shown: place.into(),
                root,
                user,
                next: AtomicU64::new(0),
                items: Vec::new(),
                ended: false,
            });
        }
    }

    /// Gives the owner that new files have by themselves.
    pub(super) fn user(&self) -> Owner {
        self.user
    }

    pub(super) fn create(&self, path: &ConfigPath) -> Result<Slot> {
        let name = self.next.fetch_add(1, Ordering::Relaxed);
        let shown = || below(&self.shown, path);
        step(Step::Create, "create", &shown)?;
        let fd = rustix::fs::openat(&self.dir, name.to_string(), NEW_FILE, Mode::from_raw_mode(0o600))
            .map_err(|e| Error::new("create", &shown(), e.into()))?;
        Ok(Slot { file: File::from(fd), name, path: path.clone(), folder: Arc::clone(&self.shown) })
    }

    pub(super) fn keep(&mut self, slot: Slot, bytes: u64) {
        self.items.push(Item { path: slot.path, bytes, name: slot.name });
    }

    /// Removes a file that failed, behind the error that says so.
    pub(super) fn drop_slot(&self, slot: Slot) {
        attempt(rustix::fs::unlinkat(&self.dir, slot.name.to_string(), AtFlags::empty()));
    }

    pub(super) fn split_off(&mut self, at: usize) -> Vec<Item> {
        self.items.split_off(at)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn weight(&self) -> (u64, u64) {
        (self.items.len() as u64, self.items.iter().map(|i| i.bytes).sum())
    }

    pub(super) fn discard(&self, item: &Item) -> Result<()> {
        self.remove(&item.name.to_string(), &item.path)
    }

    fn remove(&self, name: &str, path: &ConfigPath) -> Result<()> {
        let shown = || below(&self.shown, path);
        step(Step::Unlink, "remove", &shown)?;
        rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()).map_err(|e| Error::new("remove", &shown(), e.into()))
    }

    /// Syncs the content of what waits, before any of it gets a name that counts.
    pub(super) fn sync(&self, items: &[Item], dirs: &Dirs) -> Result<(), TreeError> {
        if items.len() as u64 > FEW {
            return super::sync_file_system(dirs.root(), &self.shown);
        }
        for item in items {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
            let shown = below(&self.shown, &item.path);
            step(Step::Sync, "sync", &|| shown.clone())?;
            match rustix::fs::openat(&self.dir, item.name.to_string(), flags, Mode::empty()) {
                Ok(fd) => rustix::fs::fsync(&fd).map_err(|e| Error::new("sync", &shown, e.into()))?,
                // A file that its owner may not read can be synced with all others only.
                Err(Errno::ACCESS) => return super::sync_file_system(dirs.root(), &self.shown),
                Err(e) => return Err(Error::new("sync", &shown, e.into()).into()),
            }
        }
        Ok(())
    }

    /// Renames a file to its place. Returns `false` if something stands there and must not be replaced; the
    /// file then still waits.
    pub(super) fn place(&self, item: &Item, dirs: &mut Dirs) -> Result<bool, TreeError> {
        let (above, name) = split(item.path.as_bytes());
        let above = dirs.get(above, self)?;
        let shown = || dirs.shown(item.path.as_bytes());
        self.rename(&item.name.to_string(), &above, name, &shown, dirs.overwrite())
    }

    /// Makes a link. Returns `false` if something stands there and must not be replaced.
    ///
    /// `dress` gets the folder and the link's name in it, to set its owner: once the link has its place, somebody
    /// could have put a hard link there instead, and its owner would be set.
    pub(super) fn link(
        &self,
        path: &ConfigPath,
        target: &[u8],
        dirs: &mut Dirs,
        dress: impl FnOnce(&OwnedFd, &str),
    ) -> Result<bool, TreeError> {
        let (above, name) = split(path.as_bytes());
        let above = dirs.get(above, self)?;
        let shown = || dirs.shown(path.as_bytes());
        let waiting = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        step(Step::Create, "create", &shown)?;
        rustix::fs::symlinkat(target, &self.dir, waiting.as_str()).map_err(|e| Error::new("create", &shown(), e.into()))?;
        dress(&self.dir, &waiting);
        let done = self.rename(&waiting, &above, name, &shown, dirs.overwrite());
        if !matches!(done, Ok(true)) {
            self.remove(&waiting, path)?;
        }
        done
    }

    fn rename(
        &self,
        from: &str,
        above: &OwnedFd,
        name: &OsStr,
        shown: &dyn Fn() -> PathBuf,
        overwrite: bool,
    ) -> Result<bool, TreeError> {
        step(Step::Rename, "rename", shown)?;
        let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let mut done = rustix::fs::renameat_with(&self.dir, from, above, name, flags);
        if matches!(done, Err(Errno::INVAL | Errno::NOSYS)) && !overwrite {
            // A file system without NOREPLACE, such as NFS: a hard link refuses to replace as well.
            done = rustix::fs::linkat(&self.dir, from, above, name, AtFlags::empty())
                .and_then(|()| rustix::fs::unlinkat(&self.dir, from, AtFlags::empty()));
        }
        if matches!(done, Err(Errno::XDEV)) {
            return self.carry(from, above, name, &shown(), overwrite);
        }
        match done {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) if !overwrite => Ok(false),
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                Err(TreeError::Blocked { found: what_stands(above, name), path: shown() })
            }
            // The open directory has no name any more.
            Err(Errno::NOENT) => Err(TreeError::Moved { path: shown() }),
            Err(e) => Err(Error::new("rename", &shown(), e.into()).into()),
        }
    }

    /// Takes a file to a directory on another file system that is mounted below the root: a copy beside
    /// its place, then a rename there.
    fn carry(&self, from: &str, above: &OwnedFd, name: &OsStr, shown: &Path, overwrite: bool) -> Result<bool, TreeError> {
        let refused = |e: io::Error| TreeError::from(Error::new("write", shown, e));
        let there = format!("{LEFTOVER}{}-{from}", std::process::id());
        let stat = rustix::fs::statat(&self.dir, from, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| refused(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let target = rustix::fs::readlinkat(&self.dir, from, Vec::new()).map_err(|e| refused(e.into()))?;
            rustix::fs::symlinkat(&*target, above, there.as_str()).map_err(|e| refused(e.into()))?;
        } else {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
            let input = rustix::fs::openat(&self.dir, from, flags, Mode::empty()).map_err(|e| refused(e.into()))?;
            let output =
                rustix::fs::openat(above, &there, NEW_FILE, Mode::from_raw_mode(0o600)).map_err(|e| refused(e.into()))?;
            let (mut input, mut output) = (File::from(input), File::from(output));
            let copied = copy(&mut input, &mut output, &stat);
            if let Err(e) = copied {
                attempt(rustix::fs::unlinkat(above, &there, AtFlags::empty()));
                return Err(refused(e));
            }
        }
        let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let done = rustix::fs::renameat_with(above, &there, above, name, flags);
        if done.is_err() {
            attempt(rustix::fs::unlinkat(above, &there, AtFlags::empty()));
        }
        match done {
            Ok(()) => {
                rustix::fs::unlinkat(&self.dir, from, AtFlags::empty()).map_err(|e| refused(e.into()))?;
                Ok(true)
            }
            Err(Errno::EXIST) if !overwrite => Ok(false),
            Err(Errno::ISDIR) => Err(TreeError::Blocked { found: "a directory", path: shown.to_owned() }),
            Err(e) => Err(Error::new("rename", shown, e.into()).into()),
        }
    }

    /// Puts a new directory where something else stands, in one step, and removes what stood there.
    pub(super) fn exchange_for_dir(&self, above: &OwnedFd, name: &OsStr, shown: &Path) -> Result<(), TreeError> {
        let waiting = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let refused = |e: Errno| TreeError::from(Error::new("create", shown, e.into()));
        step(Step::Rename, "rename", &|| shown.to_owned())?;
        rustix::fs::mkdirat(&self.dir, waiting.as_str(), Mode::from_raw_mode(0o700)).map_err(refused)?;
        let swap = || rustix::fs::renameat_with(&self.dir, waiting.as_str(), above, name, RenameFlags::EXCHANGE);
        if let Err(e) = swap() {
            attempt(rustix::fs::unlinkat(&self.dir, waiting.as_str(), AtFlags::REMOVEDIR));
            // What stood there went away in the meantime.
            return Err(if e == Errno::NOENT { TreeError::Moved { path: shown.to_owned() } } else { refused(e) });
        }
        if rustix::fs::unlinkat(&self.dir, waiting.as_str(), AtFlags::empty()).is_err() {
            // It became a directory in the meantime: back with it.
            attempt(swap());
            attempt(rustix::fs::unlinkat(&self.dir, waiting.as_str(), AtFlags::REMOVEDIR));
            return Err(TreeError::Moved { path: shown.to_owned() });
        }
        Ok(())
    }

    /// Removes the folder, which is empty now.
    pub(super) fn end(&mut self, root: &OwnedFd) -> Result<()> {
        self.ended = true;
        step(Step::Unlink, "remove", &|| self.shown.to_path_buf())?;
        rustix::fs::unlinkat(root, self.name.as_str(), AtFlags::REMOVEDIR)
            .map_err(|e| Error::new("remove", &self.shown, e.into()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.ended {
            // An error is on its way already; what cannot be removed is swept by the next restore.
            empty(&self.dir);
            attempt(rustix::fs::unlinkat(&self.root, self.name.as_str(), AtFlags::REMOVEDIR));
        }
    }
}

fn copy(input: &mut File, output: &mut File, stat: &rustix::fs::Stat) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = crate::fsio::Patient(&mut *input).read(&mut buffer)?;
        if n == 0 {
            break;
        }
        output.write_all(&buffer[..n])?;
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(&*output, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&*output, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    output.sync_all()
}

/// Removes what lies directly in a folder of ours.
fn empty(dir: &OwnedFd) {
    for name in &list(dir) {
        if rustix::fs::unlinkat(dir, name, AtFlags::empty()).is_err() {
            attempt(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR));
        }
    }
}

/// Removes the folders that killed restores left: ours, private, with files of our naming, and locked by nobody.
///
/// Where others may rename, a folder of that name can be anything of ours that they want to be rid of.
fn sweep(root: &OwnedFd) {
    let ours = |fd: &OwnedFd, others: u32| {
        let user = rustix::process::geteuid().as_raw();
        rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_uid == user && stat.st_mode & others == 0)
    };
    if !ours(root, 0o022) {
        return;
    }
    for name in list(root).iter().filter(|n| n.to_bytes().starts_with(LEFTOVER.as_bytes())) {
        let Ok(dir) = rustix::fs::openat(root, name, OPEN_DIR, Mode::empty()) else { continue };
        let numbered = || list(&dir).iter().all(|n| n.to_bytes().iter().all(u8::is_ascii_digit));
        if ours(&dir, 0o077) && numbered() && rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            empty(&dir);
            attempt(rustix::fs::unlinkat(root, name, AtFlags::REMOVEDIR));
        }
    }
}

fn list(dir: &OwnedFd) -> Vec<CString> {
    let Ok(mut entries) = Dir::read_from(dir) else { return Vec::new() };
    let mut names = Vec::new();
    while let Some(Ok(entry)) = entries.read() {
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names
}
