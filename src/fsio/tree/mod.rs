//! Writing a tree below one directory, whatever stands there and whoever changes it meanwhile.
//!
//! [`TreeWriter`] takes entries in any order and keeps three promises, also against a process that
//! swaps directories for links while it works:
//!
//! - Nothing is written outside of the directory, and nothing through a link. Directories are opened
//!   with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, or component by component where the kernel
//!   has no such call; what was opened once must be the same directory (device, inode) later.
//! - What stands there is not touched unless `overwrite` is set, and then it is replaced by a rename,
//!   never opened. A directory is never replaced.
//! - A file appears whole or not at all. All files are first written into a folder
//!   `.confvault-restore-…` of mode 0700 inside of the directory; only [`TreeWriter::commit`] makes
//!   directories and renames files to their places, after one sync, and makes the links last.
//!
//! Owners and modes are set on the open file in that folder, so that a file never is wider than it may
//! be, not for a moment; directories are made 0700 and get theirs in [`TreeWriter::finish`], deepest
//! first. setuid and setgid are not set unless asked for, and never where the owner could not be set.
//!
//! A restore that is killed leaves that folder; the next one into the same directory removes it.

mod dirs;
mod error;
mod stage;

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags};

use super::fault::{self, Step};
use super::{Error, sync_dir};
use crate::model::{ConfigPath, Owner};
use dirs::Dirs;
pub use error::TreeError;
use stage::Stage;

/// The beginning of the names of what a restore makes beside the files of a set, here and on devices.
pub const LEFTOVER: &str = ".confvault-restore-";

/// Up to this many files are synced one by one; above, one sync of the whole file system is cheaper.
const FEW: u64 = 32;

/// How a [`TreeWriter`] treats what stands there, owners and durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeOptions {
    /// Replace files, links, FIFOs, sockets and devices that stand where an entry belongs.
    pub overwrite: bool,
    /// Set owners where the system lets this process; what it refused is counted.
    pub owners: bool,
    /// Set setuid and setgid where an entry has them.
    pub special_bits: bool,
    /// When to wait for the disk.
    pub sync: Durability,
}

/// When a [`TreeWriter`] waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before files of a commit appear, and at the end: a power cut leaves each file whole or not there.
    EachCommit,
    /// At the end: what [`TreeWriter::finish`] reported outlasts a power cut, but one before it can leave
    /// empty files.
    AtEnd,
    /// Never.
    Never,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { overwrite: false, owners: true, special_bits: false, sync: Durability::EachCommit }
    }
}

/// Mode and owner of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner, if known.
    pub owner: Option<Owner>,
}

/// A count of paths, with the first of them by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// How many.
    pub count: u64,
    /// The first hundred.
    pub first: Vec<ConfigPath>,
}

impl Noted {
    /// Counts one more path.
    pub fn add(&mut self, path: &ConfigPath) {
        self.count += 1;
        if self.first.len() < 100 {
            self.first.push(path.clone());
        }
    }

    /// Adds another count.
    pub fn extend(&mut self, other: Noted) {
        self.count += other.count;
        let room = 100usize.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

/// What a [`TreeWriter`] did.
#[derive(Debug, Default)]
pub struct Written {
    /// Files that are in place.
    pub files: u64,
    /// Directories that are in place, made or found.
    pub directories: u64,
    /// Links that are in place.
    pub links: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Entries left out because something stands there and `overwrite` is not set.
    pub existing: Noted,
    /// Entries whose owner the system did not let this process set.
    pub owners_not_set: Noted,
    /// Entries whose setuid or setgid bit was left out.
    pub special_bits_dropped: Noted,
    /// Entries that are not in place because of what stands there ([`TreeError::Blocked`]), or because
    /// somebody exchanged a directory meanwhile ([`TreeError::Moved`]); everything else is in place.
    pub failed: Vec<(ConfigPath, TreeError)>,
}

struct Link {
    path: ConfigPath,
    target: Vec<u8>,
    owner: Option<Owner>,
}

/// Writes entries below one directory; see the module for its promises.
///
/// Entries are *staged* first and appear in [`TreeWriter::commit`]. A writer that is dropped without
/// it leaves nothing but the directory itself.
pub struct TreeWriter {
    options: TreeOptions,
    dirs: Dirs,
    stage: Stage,
    /// Directories to be made by the next commit.
    wanted: Vec<(ConfigPath, Meta)>,
    links: Vec<Link>,
    /// How much of files, directories and links [`TreeWriter::abandon`] does not forget.
    marked: (usize, usize, usize),
    seen: HashSet<ConfigPath>,
    report: Written,
    /// Owners that the system refused once, so that it is not asked again for each file.
    refused: HashSet<Owner>,
}

impl TreeWriter {
    /// Opens `dir`, which is made (0700, also what is missing above it) if it is not there.
    ///
    /// # Errors
    /// [`TreeError::RootIsLink`] if `dir` itself is a link; [`TreeError::Disk`].
    pub fn open(dir: &Path, options: TreeOptions) -> Result<Self, TreeError> {
        // Without the components a trailing slash would make the kernel follow a link.
        let dir: PathBuf = dir.components().collect();
        if std::fs::symlink_metadata(&dir).is_ok_and(|m| m.is_symlink()) {
            return Err(TreeError::RootIsLink { path: dir });
        }
        let made = make(&dir).map_err(|e| Error::new("create", &dir, e))?;
        let root =
            rustix::fs::open(&dir, dirs::OPEN_DIR, rustix::fs::Mode::empty()).map_err(|e| Error::new("open", &dir, e.into()))?;
        if made && options.sync != Durability::Never {
            sync_dir(dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        let stage = Stage::begin(&root, &dir)?;
        let dirs = Dirs::new(root, dir, stage.user(), options.overwrite)?;
        Ok(Self {
            options,
            dirs,
            stage,
            wanted: Vec::new(),
            links: Vec::new(),
            marked: (0, 0, 0),
            seen: HashSet::new(),
            report: Written::default(),
            refused: HashSet::new(),
        })
    }

    fn first_time(&mut self, path: &ConfigPath) -> Result<(), TreeError> {
        if self.seen.insert(path.clone()) { Ok(()) } else { Err(TreeError::Twice { path: path.clone() }) }
    }

    /// Stages a directory. What is missing above it is made with mode 0700.
    ///
    /// # Errors
    /// [`TreeError::Twice`].
    pub fn directory(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), TreeError> {
        self.first_time(path)?;
        self.wanted.push((path.clone(), meta));
        Ok(())
    }

    /// Stages a link with this target, as bytes. It is made after everything else and never followed.
    ///
    /// # Errors
    /// [`TreeError::Twice`].
    pub fn link(&mut self, path: &ConfigPath, target: &[u8], owner: Option<Owner>) -> Result<(), TreeError> {
        self.first_time(path)?;
        self.links.push(Link { path: path.clone(), target: target.to_vec(), owner });
        Ok(())
    }

    /// Stages a file.
    ///
    /// # Errors
    /// [`TreeError::Twice`], [`TreeError::Disk`].
    pub fn file(&mut self, path: &ConfigPath, meta: Meta, bytes: &[u8]) -> Result<(), TreeError> {
        self.stage_file(path, meta, |slot| {
            slot.write_all(bytes).map_err(|e| Error::new("write", &slot.shown(), e))?;
            Ok(bytes.len() as u64)
        })
    }

    /// Stages a file whose bytes `fill` writes; if it fails the file is gone and its error is passed on.
    ///
    /// # Errors
    /// What `fill` returns; [`TreeError::Twice`], [`TreeError::Disk`].
    pub fn file_with<E: From<TreeError>>(
        &mut self,
        path: &ConfigPath,
        meta: Meta,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        self.stage_file(path, meta, |slot| {
            let mut out = Counter { out: BufWriter::with_capacity(1 << 16, slot), bytes: 0 };
            fill(&mut out)?;
            out.flush().map_err(|e| TreeError::from(Error::new("write", &slot.shown(), e)))?;
            Ok(out.bytes)
        })
    }

    fn stage_file<E: From<TreeError>>(
        &mut self,
        path: &ConfigPath,
        meta: Meta,
        fill: impl FnOnce(&stage::Slot) -> Result<u64, E>,
    ) -> Result<(), E> {
        self.first_time(path)?;
        let slot = self.stage.create(path).map_err(TreeError::from)?;
        let done = fill(&slot).and_then(|bytes| Ok((bytes, self.dress(path, meta, &slot)?)));
        match done {
            Ok((bytes, ())) => {
                self.stage.keep(slot, bytes);
                Ok(())
            }
            Err(e) => {
                self.seen.remove(path);
                self.stage.drop_slot(slot);
                Err(e)
            }
        }
    }

    /// Gives a written file its owner and mode.
    fn dress(&mut self, path: &ConfigPath, meta: Meta, slot: &stage::Slot) -> Result<(), TreeError> {
        let owned = self.give(slot.fd(), &|| slot.shown(), path, meta.owner)?;
        let mode = self.allowed(path, meta.mode, owned);
        // The owner comes first: a change of owner takes setuid and setgid away.
        rustix::fs::fchmod(slot.fd(), rustix::fs::Mode::from_raw_mode(mode))
            .map_err(|e| Error::new("set the mode of", &slot.shown(), e.into()))?;
        Ok(())
    }

    /// Sets an owner where that is wanted and allowed. Returns whether the file belongs to its owner now.
    fn give(
        &mut self,
        fd: impl std::os::fd::AsFd,
        shown: &dyn Fn() -> PathBuf,
        path: &ConfigPath,
        owner: Option<Owner>,
    ) -> Result<bool, TreeError> {
        let Some(owner) = owner.filter(|_| self.options.owners) else { return Ok(owner.is_none()) };
        if owner == self.stage.user() {
            return Ok(true);
        }
        if !self.refused.contains(&owner) {
            match rustix::fs::fchown(fd, Some(uid(owner)), Some(gid(owner))) {
                Ok(()) => return Ok(true),
                Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => self.refused.insert(owner),
                Err(e) => return Err(Error::new("set the owner of", &shown(), e.into()).into()),
            };
        }
        self.report.owners_not_set.add(path);
        Ok(false)
    }

    /// Takes away the bits that are not to be set: a setuid bit under another owner would give away the
    /// rights of whoever restores.
    fn allowed(&mut self, path: &ConfigPath, mode: u32, owned: bool) -> u32 {
        let mode = mode & 0o7777;
        if mode & 0o6000 != 0 && !(self.options.special_bits && owned) {
            self.report.special_bits_dropped.add(path);
            return mode & 0o1777;
        }
        mode
    }

    /// Counts what is staged and not yet in place, in files and bytes.
    #[must_use]
    pub fn staged(&self) -> (u64, u64) {
        self.stage.weight()
    }

    /// Keeps what is staged now when [`TreeWriter::abandon`] is called later.
    pub fn mark(&mut self) {
        self.marked = (self.stage.len(), self.wanted.len(), self.links.len());
    }

    /// Forgets everything that was staged since the last mark or commit.
    ///
    /// # Errors
    /// [`TreeError::Disk`].
    pub fn abandon(&mut self) -> Result<(), TreeError> {
        let (files, directories, links) = self.marked;
        for item in self.stage.split_off(files) {
            self.seen.remove(&item.path);
            self.stage.discard(&item)?;
        }
        for (path, _) in self.wanted.drain(directories..) {
            self.seen.remove(&path);
        }
        for link in self.links.drain(links..) {
            self.seen.remove(&link.path);
        }
        Ok(())
    }

    /// Puts everything that is staged into place: one sync, directories, files, links.
    ///
    /// An entry that cannot be placed does not stop the others; see [`Written::failed`].
    ///
    /// # Errors
    /// [`TreeError::Disk`].
    pub fn commit(&mut self) -> Result<(), TreeError> {
        let items = self.stage.split_off(0);
        self.marked = (0, 0, 0);
        if self.options.sync == Durability::EachCommit {
            self.stage.sync(&items, &self.dirs)?;
        }
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, meta) in wanted {
            let done = self.dirs.want(&path, meta, &self.stage);
            if self.placed(&path, done.map(|()| true))? {
                self.report.directories += 1;
            }
        }
        for item in items {
            let done = self.stage.place(&item, &mut self.dirs);
            if self.placed(&item.path, done)? {
                self.report.files += 1;
                self.report.bytes += item.bytes;
            } else {
                self.stage.discard(&item)?;
            }
        }
        for link in std::mem::take(&mut self.links) {
            let owner = link.owner.filter(|o| self.options.owners && *o != self.stage.user());
            let mut refused = false;
            let dress = |dir: &std::os::fd::OwnedFd, name: &str| {
                let set = |o| rustix::fs::chownat(dir, name, Some(uid(o)), Some(gid(o)), AtFlags::SYMLINK_NOFOLLOW);
                refused = owner.is_some_and(|o| set(o).is_err());
            };
            let done = self.stage.link(&link.path, &link.target, &mut self.dirs, dress);
            if self.placed(&link.path, done)? {
                self.report.links += 1;
                if refused {
                    self.report.owners_not_set.add(&link.path);
                }
            }
        }
        Ok(())
    }

    /// Sorts out what became of an entry: in place, left as it stood, failed, or the end of the restore.
    fn placed(&mut self, path: &ConfigPath, done: Result<bool, TreeError>) -> Result<bool, TreeError> {
        match done {
            Ok(true) => return Ok(true),
            Ok(false) => self.report.existing.add(path),
            Err(e @ (TreeError::Blocked { .. } | TreeError::Moved { .. })) => self.report.failed.push((path.clone(), e)),
            Err(e) => return Err(e),
        }
        Ok(false)
    }

    /// Commits, gives directories their modes, deepest first, and syncs.
    ///
    /// # Errors
    /// As [`TreeWriter::commit`].
    pub fn finish(mut self) -> Result<Written, TreeError> {
        self.commit()?;
        for (path, meta) in self.dirs.modes() {
            let (fd, shown) = match self.dirs.again(&path) {
                Ok(found) => found,
                Err(e) => {
                    self.placed(&path, Err(e))?;
                    continue;
                }
            };
            let owned = self.give(&*fd, &|| shown.clone(), &path, meta.owner)?;
            let mode = self.allowed(&path, meta.mode, owned);
            match rustix::fs::fchmod(&*fd, rustix::fs::Mode::from_raw_mode(mode)) {
                Ok(()) => {}
                // A directory of another user, which stood there before.
                Err(rustix::io::Errno::PERM) => self.report.owners_not_set.add(&path),
                Err(e) => return Err(Error::new("set the mode of", &shown, e.into()).into()),
            }
        }
        self.stage.end(self.dirs.root())?;
        if self.options.sync != Durability::Never {
            let few = self.options.sync == Durability::EachCommit && self.report.files <= FEW;
            self.dirs.sync(few)?;
        }
        Ok(std::mem::take(&mut self.report))
    }
}

/// Makes a directory and what is missing above it with mode 0700; says whether it was not there. The mode is
/// never set by path afterwards: a link could stand there by then.
fn make(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::DirBuilderExt as _;
    if dir.is_dir() {
        return Ok(false);
    }
    fault::step(Step::Mkdir, dir)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    Ok(true)
}

fn uid(owner: Owner) -> rustix::fs::Uid {
    rustix::fs::Uid::from_raw(owner.uid)
}

fn gid(owner: Owner) -> rustix::fs::Gid {
    rustix::fs::Gid::from_raw(owner.gid)
}

/// Counts what goes through.
struct Counter<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Syncs the file system that holds `fd`, or everything where the system has no such call.
fn sync_file_system(fd: impl std::os::fd::AsFd, shown: &Path) -> Result<(), TreeError> {
    let sync = || {
        fault::step(Step::SyncDir, shown)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(fd)?;
        #[cfg(not(target_os = "linux"))]
        {
            drop(fd);
            rustix::fs::sync();
        }
        Ok::<_, io::Error>(())
    };
    Ok(sync().map_err(|e| Error::new("sync", shown, e))?)
}

/// Flags for a new file: it must not be there, and no link is followed.
const NEW_FILE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
