//! Directories below the root: opened without following links, remembered by device and inode.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

use super::super::fault::{self, Step};
use super::super::{Error, Result, beneath};
use super::stage::Stage;
use super::{Meta, TreeError};
use crate::model::{ConfigPath, Owner};

/// Flags that open a directory and nothing else, and no link.
pub(super) const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How many directories are held open at most: far below the least limit that a system has.
const HELD: usize = 16;

struct Known {
    device: u64,
    inode: u64,
    made: bool,
    meta: Option<Meta>,
}

pub(super) struct Dirs {
    root: Arc<OwnedFd>,
    shown: PathBuf,
    user: Owner,
    overwrite: bool,
    known: BTreeMap<Vec<u8>, Known>,
    held: VecDeque<(Vec<u8>, Arc<OwnedFd>)>,
}

fn identity(fd: &OwnedFd, shown: &Path) -> Result<(u64, u64, u32, RawMode)> {
    let stat = rustix::fs::fstat(fd).map_err(|e| Error::new("open", shown, e.into()))?;
    #[allow(clippy::useless_conversion, reason = "the width differs between systems")]
    Ok((u64::try_from(stat.st_dev).unwrap_or(u64::MAX), stat.st_ino.into(), stat.st_uid, stat.st_mode))
}

/// Cuts a path into what is above it (empty: the root) and its last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &OsStr) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(cut) => (&path[..cut], OsStr::from_bytes(&path[cut + 1..])),
        None => (&[], OsStr::from_bytes(path)),
    }
}

impl Dirs {
    pub(super) fn new(root: OwnedFd, shown: PathBuf, user: Owner, overwrite: bool) -> Result<Self> {
        Ok(Self { root: Arc::new(root), shown, user, overwrite, known: BTreeMap::new(), held: VecDeque::new() })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(super) fn shown(&self, path: &[u8]) -> PathBuf {
        self.shown.join(OsStr::from_bytes(path))
    }

    pub(super) fn overwrite(&self) -> bool {
        self.overwrite
    }

    /// Makes a directory, or finds it, and remembers the mode it is to have at the end.
    pub(super) fn want(&mut self, path: &ConfigPath, meta: Meta, stage: &Stage) -> Result<(), TreeError> {
        self.get(path.as_bytes(), stage)?;
        if let Some(known) = self.known.get_mut(path.as_bytes()) {
            known.meta = Some(meta);
        }
        Ok(())
    }

    /// Gives the directory at `path`, made if it is not there. A loop, as a hostile path has thousands of levels.
    pub(super) fn get(&mut self, path: &[u8], stage: &Stage) -> Result<Arc<OwnedFd>, TreeError> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(fd) = self.find_held(path) {
            return Ok(fd);
        }
        let mut ends: Vec<usize> = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).collect();
        ends.push(path.len());
        let known = ends.iter().rposition(|&end| self.known.contains_key(&path[..end]));
        let mut above = match known {
            Some(at) => self.open_known(&path[..ends[at]])?,
            None => Arc::clone(&self.root),
        };
        for &end in &ends[known.map_or(0, |at| at + 1)..] {
            above = self.make_known(&above, &path[..end], stage)?;
        }
        Ok(above)
    }

    fn find_held(&mut self, path: &[u8]) -> Option<Arc<OwnedFd>> {
        let at = self.held.iter().position(|(held, _)| held == path)?;
        let entry = self.held.remove(at)?;
        let fd = Arc::clone(&entry.1);
        self.held.push_front(entry);
        Some(fd)
    }

    fn open_known(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>, TreeError> {
        match self.find_held(path) {
            Some(fd) => Ok(fd),
            None => self.reopen(path),
        }
    }

    fn make_known(&mut self, above: &OwnedFd, path: &[u8], stage: &Stage) -> Result<Arc<OwnedFd>, TreeError> {
        let (fd, made) = self.make(above, split(path).1, path, stage)?;
        let shown = self.shown(path);
        let (device, inode, uid, mode) = identity(&fd, &shown)?;
        // Whoever may write above could have put a directory of his own in place of ours.
        if made && (uid != self.user.uid || mode & 0o077 != 0) {
            return Err(TreeError::Moved { path: shown });
        }
        self.known.insert(path.to_vec(), Known { device, inode, made, meta: None });
        Ok(self.hold(path, fd))
    }

    fn hold(&mut self, path: &[u8], fd: OwnedFd) -> Arc<OwnedFd> {
        let fd = Arc::new(fd);
        self.held.truncate(HELD - 1);
        self.held.push_front((path.to_vec(), Arc::clone(&fd)));
        fd
    }

    fn make(&self, above: &OwnedFd, name: &OsStr, path: &[u8], stage: &Stage) -> Result<(OwnedFd, bool), TreeError> {
        let shown = self.shown(path);
        let refused = |e: Errno| Error::new("create", &shown, e.into());
        fault::step(Step::Mkdir, &shown).map_err(|e| Error::new("create", &shown, e))?;
        let made = match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            // The directory above has no name any more.
            Err(Errno::NOENT) => return Err(TreeError::Moved { path: shown }),
            Err(e) => return Err(refused(e).into()),
        };
        match rustix::fs::openat(above, name, OPEN_DIR, Mode::empty()) {
            Ok(fd) => Ok((fd, made)),
            Err(Errno::NOENT) => Err(TreeError::Moved { path: shown }),
            Err(Errno::LOOP | Errno::NOTDIR) if made => Err(TreeError::Moved { path: shown }),
            Err(Errno::LOOP | Errno::NOTDIR) if self.overwrite => {
                stage.exchange_for_dir(above, name, &shown)?;
                match rustix::fs::openat(above, name, OPEN_DIR, Mode::empty()) {
                    Ok(fd) => Ok((fd, true)),
                    Err(_) => Err(TreeError::Moved { path: shown }),
                }
            }
            Err(Errno::LOOP | Errno::NOTDIR) => Err(TreeError::Blocked { found: what_stands(above, name), path: shown }),
            Err(e) => Err(Error::new("open", &shown, e.into()).into()),
        }
    }

    /// Opens a directory again and makes sure that it is the same one.
    fn reopen(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>, TreeError> {
        let shown = self.shown(path);
        let fd = match beneath::open(&*self.root, path, OPEN_DIR) {
            Ok(fd) => fd,
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::XDEV) => return Err(TreeError::Moved { path: shown }),
            Err(e) => return Err(Error::new("open", &shown, e.into()).into()),
        };
        let (device, inode, ..) = identity(&fd, &shown)?;
        match self.known.get(path) {
            Some(known) if known.device == device && known.inode == inode => Ok(self.hold(path, fd)),
            _ => Err(TreeError::Moved { path: shown }),
        }
    }

    /// Gives a directory that is known, and its path for messages.
    pub(super) fn again(&mut self, path: &ConfigPath) -> Result<(Arc<OwnedFd>, PathBuf), TreeError> {
        Ok((self.open_known(path.as_bytes())?, self.shown(path.as_bytes())))
    }

    /// Lists the directories that get a mode, deepest first. Those found get theirs only with `overwrite`.
    pub(super) fn modes(&self) -> Vec<(ConfigPath, Meta)> {
        let due = self.known.iter().rev().filter(|(_, known)| known.made || self.overwrite);
        due.filter_map(|(path, known)| Some((ConfigPath::new(path.clone()).ok()?, known.meta?))).collect()
    }

    /// Syncs the names: each directory, or the file system where they are many.
    pub(super) fn sync(&mut self, few: bool) -> Result<(), TreeError> {
        if !few || self.known.len() > HELD {
            return super::sync_file_system(&*self.root, &self.shown);
        }
        let paths: Vec<Vec<u8>> = self.known.keys().cloned().collect();
        for path in paths {
            match self.open_known(&path) {
                Ok(fd) => sync_dir(&fd, &self.shown(&path))?,
                // Its new mode keeps us out, or somebody took it away.
                Err(_) => return super::sync_file_system(&*self.root, &self.shown),
            }
        }
        Ok(sync_dir(&self.root, &self.shown)?)
    }
}

fn sync_dir(fd: &OwnedFd, shown: &Path) -> Result<()> {
    let sync = || {
        fault::step(Step::SyncDir, shown)?;
        rustix::fs::fsync(fd).map_err(io::Error::from)
    };
    sync().map_err(|e| Error::new("sync", shown, e))
}

/// Names what stands at a place, for messages.
pub(super) fn what_stands(dir: &OwnedFd, name: &OsStr) -> &'static str {
    let Ok(stat) = rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else { return "something" };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => "a directory",
        FileType::RegularFile => "a file",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}
