//! The source `dir:`: a folder of this machine.
//!
//! The path of a file on the device is its path below the folder. Links are never followed, what is
//! neither file, folder nor link is reported and left out, and whatever cannot be read fails the
//! whole device. A file that the look proves unchanged is not opened.

mod unchanged;

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::fsio::beneath;
use crate::inventory::Device;
use crate::model::{ConfigPath, ConfigSet, Content, Digest, Entry, Kind, Look, LookEntry, Owner, Scope, Stamp};
use crate::profile::{Claim, Profile};

use super::tree::place_folders;
use super::{CollectError, Collected, Context, Referenced, Skipped, act, finish};

pub(super) use unchanged::unchanged;

/// Bytes of one device that are read into memory; what comes behind them is referred to.
const MEMORY_BYTES: u64 = 32 << 20;

/// Collects a folder.
pub(super) fn collect(
    folder: &Path,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let root = open_root(folder).map_err(|error| match error {
        Errno::NOENT => CollectError::Missing(folder.to_path_buf()),
        Errno::NOTDIR => CollectError::NotFolder(folder.to_path_buf()),
        error => CollectError::Read { path: folder.to_path_buf(), source: error.into() },
    })?;
    let taken_ns = super::now_ns();
    // Before anything is listed: what comes later must differ.
    let root_stamp = unchanged::root_stamp(root.as_fd());
    let mut walk = Walk {
        folder,
        root: root.as_fd(),
        profile,
        look,
        known: look.map(known).unwrap_or_default(),
        context,
        max_files: context.policy.max_files,
        max_bytes: device.max_size.unwrap_or(context.policy.max_size).0,
        large_over: context.policy.large_over.0,
        count: 0,
        bytes: 0,
        in_memory: 0,
        all_same: true,
        reads: look.is_none(),
        buffer: Vec::new(),
        #[cfg(target_os = "linux")]
        leaves_atime: true,
        folders: Vec::new(),
        entries: Vec::with_capacity(look.map_or(16, |look| look.entries.len())),
        out: Found::default(),
    };
    walk.run()?;
    let Walk { entries, out, all_same, .. } = walk;
    if !context.partial && !entries.iter().any(|entry| entry.kind != Kind::Directory) {
        return Err(CollectError::Empty(folder.to_path_buf()));
    }
    let same = look.filter(|look| all_same && look.entries.len() == entries.len());
    if same.is_none() && !context.partial {
        finish::check_required(profile, &entries)?;
    }
    let release = match (&device.release, same) {
        (Some(release), _) => Some(release.clone()),
        (None, Some(look)) => Some(look.release.clone()),
        (None, None) => {
            let mut read = |path: &ConfigPath| whole(root.as_fd(), path);
            if context.partial {
                finish::release(device, profile, &entries, &mut read).ok()
            } else {
                Some(finish::release(device, profile, &entries, &mut read)?)
            }
        }
    };
    Ok(Collected {
        set: ConfigSet::new(entries, release, out.unclaimed)?,
        taken_ns,
        rules,
        // What is left out is told at every look.
        root: root_stamp.filter(|_| out.skipped.is_empty()),
        skipped: out.skipped,
        warnings: Vec::new(),
        without: Vec::new(),
        more: false,
        read_bytes: out.read_bytes,
        referenced: out.referenced,
    })
}

/// Opens the folder of a source; links on the way to it are followed.
fn open_root(folder: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Checks that a file which the set refers to is still the one that was looked at.
pub(super) fn recheck(file: &Referenced) -> Result<(), CollectError> {
    let now = File::open(&file.folder)
        .map_err(|_| Errno::NOENT)
        .and_then(|root| beneath::open(&root, file.path.as_bytes(), OFlags::RDONLY))
        .and_then(rustix::fs::fstat);
    match now {
        Ok(stat) if stamp(&stat) == file.stamp => Ok(()),
        _ => Err(CollectError::Changing(file.path.clone())),
    }
}

/// Reads a file again, for the release.
fn whole(root: BorrowedFd<'_>, path: &ConfigPath) -> Option<Vec<u8>> {
    let fd = beneath::open(root, path.as_bytes(), OFlags::RDONLY).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let mut bytes = Vec::new();
    read_up_to(fd.as_fd(), &mut bytes, size(&stat).min(MEMORY_BYTES)).ok()?;
    Some(bytes)
}

/// The files and links of a look by path; a path of a folder has one scope for these.
fn known(look: &Look) -> HashMap<&[u8], &LookEntry> {
    let leaves = look.entries.iter().filter(|entry| entry.kind != Kind::Directory);
    leaves.map(|entry| (entry.path.as_bytes(), entry)).collect()
}

#[derive(Default)]
struct Found {
    unclaimed: Vec<ConfigPath>,
    skipped: Vec<Skipped>,
    referenced: Vec<Referenced>,
    read_bytes: u64,
}

/// A folder that was walked, until it is known which scopes it belongs to.
struct Folder {
    path: ConfigPath,
    stat: Stat,
}

/// What was seen under a name.
struct Seen {
    stat: Stat,
    /// Open, if that is how it was seen.
    fd: Option<OwnedFd>,
}

struct Walk<'a> {
    folder: &'a Path,
    root: BorrowedFd<'a>,
    profile: &'a Profile,
    look: Option<&'a Look>,
    known: HashMap<&'a [u8], &'a LookEntry>,
    context: &'a Context<'a>,
    max_files: u32,
    max_bytes: u64,
    large_over: u64,
    count: u32,
    bytes: u64,
    in_memory: u64,
    /// Everything is what the look saw.
    all_same: bool,
    /// A file had to be read.
    reads: bool,
    /// Room for what is read only to be compared.
    buffer: Vec<u8>,
    #[cfg(target_os = "linux")]
    leaves_atime: bool,
    folders: Vec<Folder>,
    entries: Vec<Entry>,
    out: Found,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), CollectError> {
        self.walk_folder(None)?;
        let mut next = 0;
        while next < self.folders.len() {
            let path = self.folders[next].path.clone();
            self.walk_folder(Some(&path))?;
            next += 1;
        }
        let folders = std::mem::take(&mut self.folders).into_iter();
        let folders =
            folders.map(|Folder { path, stat }| entry(Scope::System, path, Kind::Directory, &stat, Content::Bytes(Vec::new())));
        place_folders(self.profile, folders.collect(), &mut self.entries);
        Ok(())
    }

    /// Where something is, for messages.
    fn place(&self, path: &[u8]) -> PathBuf {
        self.folder.join(std::ffi::OsStr::from_bytes(path))
    }

    fn unreadable(&self, path: &[u8], source: Errno) -> CollectError {
        CollectError::Read { path: self.place(path), source: source.into() }
    }

    fn walk_folder(&mut self, path: Option<&ConfigPath>) -> Result<(), CollectError> {
        self.context.check_cancel()?;
        let bytes = path.map_or(&b""[..], ConfigPath::as_bytes);
        let fd = match beneath::open(self.root, bytes, OFlags::RDONLY | OFlags::DIRECTORY) {
            // Removed, or replaced by something else, since its parent was read.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if path.is_some() => return Ok(()),
            fd => fd.map_err(|e| self.unreadable(bytes, e))?,
        };
        let mut dir = Dir::new(fd).map_err(|e| self.unreadable(bytes, e))?;
        while let Some(entry) = dir.read() {
            let entry = entry.map_err(|e| self.unreadable(bytes, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let wrong = |source| CollectError::Path { folder: self.place(bytes), source };
            let path = match path {
                Some(parent) => parent.join(name),
                None => ConfigPath::new(name),
            };
            let path = path.map_err(wrong)?;
            let fd = dir.fd().map_err(|e| self.unreadable(bytes, e))?;
            self.visit(fd, entry.file_name(), entry.file_type(), path)?;
        }
        Ok(())
    }

    /// Takes up what stands under a name; `hint` is what the listing says of it.
    fn visit(&mut self, dir: BorrowedFd<'_>, name: &CStr, hint: FileType, path: ConfigPath) -> Result<(), CollectError> {
        let Some(seen) = self.see(dir, name, hint).map_err(|e| self.unreadable(path.as_bytes(), e))? else { return Ok(()) };
        let stat = seen.stat;
        let (kind, what) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => (Kind::Directory, ""),
            FileType::RegularFile => (Kind::File, ""),
            FileType::Symlink => (Kind::Link, ""),
            FileType::Socket => (Kind::File, "socket"),
            FileType::Fifo => (Kind::File, "FIFO"),
            _ => (Kind::File, "device"),
        };
        if act::is_leftover(&path) {
            self.out.skipped.push(Skipped { path, what: act::LEFTOVER_WORDS });
            return Ok(());
        }
        if kind == Kind::Directory {
            if self.profile.claim(&path) != Claim::Skip {
                self.count_one()?;
                self.folders.push(Folder { path, stat });
            }
            return Ok(());
        }
        let before = self.known.get(path.as_bytes()).copied().filter(|_| what.is_empty());
        let scope = match before {
            Some(entry) => entry.scope,
            None => match self.profile.claim(&path) {
                Claim::Skip => return Ok(()),
                _ if !what.is_empty() => {
                    self.out.skipped.push(Skipped { path, what });
                    return Ok(());
                }
                Claim::Scope(scope) => scope,
                Claim::Unclaimed => {
                    self.out.unclaimed.push(path.clone());
                    Scope::System
                }
            },
        };
        self.count_one()?;
        let taken = stamp(&stat);
        let same = before.filter(|old| {
            old.kind == kind && old.stamp == taken && self.look.is_some_and(|look| look.trusts(&taken, granularity(&taken)))
        });
        let (stat, content) = match same {
            Some(old) => {
                self.add_bytes(taken.size)?;
                (stat, Content::Same(old.plain))
            }
            None => {
                self.reads = true;
                match self.content(dir, name, &path, before.filter(|old| old.kind == kind), kind, seen)? {
                    Some(found) => found,
                    None => {
                        self.all_same = false;
                        return Ok(());
                    }
                }
            }
        };
        self.all_same &= matches!(content, Content::Same(_));
        self.entries.push(entry(scope, path, kind, &stat, content));
        Ok(())
    }

    fn count_one(&mut self) -> Result<(), CollectError> {
        self.count += 1;
        if self.count.is_multiple_of(256) {
            self.context.check_cancel()?;
        }
        if self.count > self.max_files { Err(CollectError::TooMany { limit: self.max_files }) } else { Ok(()) }
    }

    fn add_bytes(&mut self, bytes: u64) -> Result<(), CollectError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.max_bytes { Err(CollectError::TooLarge { limit: self.max_bytes }) } else { Ok(()) }
    }

    /// Looks at what stands under a name; nothing if it is gone.
    fn see(&mut self, dir: BorrowedFd<'_>, name: &CStr, hint: FileType) -> Result<Option<Seen>, Errno> {
        // Where files are being read anyway, one that is opened tells what a look at its name would.
        if hint == FileType::RegularFile
            && self.reads
            && let Ok(fd) = self.open_file(dir, name)
            && let Ok(stat) = rustix::fs::fstat(&fd)
        {
            return Ok(Some(Seen { stat, fd: Some(fd) }));
        }
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            stat => Ok(Some(Seen { stat: stat?, fd: None })),
        }
    }

    /// Opens a file for reading; leaves its time of access alone where the system lets us.
    fn open_file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        #[cfg(target_os = "linux")]
        if self.leaves_atime {
            match beneath::open(dir, name.to_bytes(), OFlags::RDONLY | OFlags::NOATIME) {
                // Only the owner of a file and root may ask for that.
                Err(Errno::PERM) => self.leaves_atime = false,
                fd => return fd,
            }
        }
        beneath::open(dir, name.to_bytes(), OFlags::RDONLY)
    }

    /// Opens the regular file of `stat`; `INVAL` if another one stands there.
    fn open_same(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<OwnedFd, Errno> {
        let fd = self.open_file(dir, name)?;
        if is_file_of(&fd, stat)? { Ok(fd) } else { Err(Errno::INVAL) }
    }

    /// Reads what stands under a name, with the stat that belongs to it; nothing if it is gone.
    fn content(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        path: &ConfigPath,
        before: Option<&LookEntry>,
        kind: Kind,
        mut seen: Seen,
    ) -> Result<Option<(Stat, Content)>, CollectError> {
        for _ in 0..2 {
            let Seen { stat, fd } = seen;
            let read = match kind {
                Kind::Link => read_link(dir, name, &stat).map(Some),
                _ if size(&stat) > self.large_over || self.in_memory + size(&stat) > MEMORY_BYTES => Ok(None),
                _ => {
                    // What is mostly read to find that it did not change needs no room of its own.
                    let mut bytes = if before.is_some() { std::mem::take(&mut self.buffer) } else { Vec::new() };
                    let fd = fd.map_or_else(|| self.open_same(dir, name, &stat), Ok);
                    fd.and_then(|fd| read_file(&fd, &stat, &mut bytes)).map(|()| Some(bytes))
                }
            };
            let read = match read {
                Ok(read) => read,
                // It was replaced or altered in between: the second round sees what stands there now.
                Err(Errno::NOENT | Errno::LOOP | Errno::INVAL | Errno::NXIO) => {
                    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => return Ok(None),
                        Err(error) => return Err(self.unreadable(path.as_bytes(), error)),
                        Ok(now) if FileType::from_raw_mode(now.st_mode) != FileType::from_raw_mode(stat.st_mode) => break,
                        Ok(now) => seen = Seen { stat: now, fd: None },
                    }
                    continue;
                }
                Err(error) => return Err(self.unreadable(path.as_bytes(), error)),
            };
            self.add_bytes(size(&stat))?;
            let content = match read {
                Some(bytes) => {
                    self.out.read_bytes += bytes.len() as u64;
                    self.keep(bytes, before)
                }
                None => self.refer(dir, name, path, &stat)?,
            };
            return Ok(Some((stat, content)));
        }
        Err(CollectError::Changing(path.clone()))
    }

    /// Keeps what was read, unless it is what the look saw.
    fn keep(&mut self, bytes: Vec<u8>, before: Option<&LookEntry>) -> Content {
        let Some(old) = before else {
            self.in_memory += bytes.len() as u64;
            return Content::Bytes(bytes);
        };
        let content = if (self.context.digest)(&bytes) == Some(old.plain) {
            Content::Same(old.plain)
        } else {
            self.in_memory += bytes.len() as u64;
            Content::Bytes(bytes.as_slice().to_vec())
        };
        self.buffer = bytes;
        content
    }

    /// Refers to a file in place of reading it, once it is known that it can be read.
    fn refer(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: &ConfigPath, stat: &Stat) -> Result<Content, CollectError> {
        beneath::open(dir, name.to_bytes(), OFlags::RDONLY).map_err(|e| self.unreadable(path.as_bytes(), e))?;
        let folder = self.folder.to_path_buf();
        self.out.referenced.push(Referenced { folder, path: path.clone(), stamp: stamp(stat) });
        Ok(Content::Spooled { file: self.place(path.as_bytes()), size: size(stat) })
    }
}

fn entry(scope: Scope, path: ConfigPath, kind: Kind, stat: &Stat, content: Content) -> Entry {
    let owner = Some(Owner { uid: stat.st_uid, gid: stat.st_gid });
    let mode = if kind == Kind::Link { 0o777 } else { stat.st_mode & 0o7777 };
    Entry { scope, path, kind, mode, owner, stamp: stamp(stat), content }
}

/// Tells whether an open file is the regular file of `stat`, as it was then.
fn is_file_of(fd: &OwnedFd, stat: &Stat) -> Result<bool, Errno> {
    let now = rustix::fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(now.st_mode) == FileType::RegularFile && stamp(&now) == stamp(stat))
}

/// Reads a file whole in the place of what `bytes` has, if it is still that of `stat` behind the last byte; else `INVAL`.
///
/// Replacing or removing a file sets the time stamp of its inode too, so what was read stood under its name.
fn read_file(fd: &OwnedFd, stat: &Stat, bytes: &mut Vec<u8>) -> Result<(), Errno> {
    bytes.clear();
    read_up_to(fd.as_fd(), bytes, size(stat))?;
    if bytes.len() as u64 == size(stat) && is_file_of(fd, stat)? { Ok(()) } else { Err(Errno::INVAL) }
}

/// Reads the target of a link, if it is the link of `stat`; else `INVAL`.
fn read_link(dir: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<Vec<u8>, Errno> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    let after = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if stamp(&after) == stamp(stat) { Ok(target.into_bytes()) } else { Err(Errno::INVAL) }
}

/// Reads up to `limit` bytes.
fn read_up_to(fd: BorrowedFd<'_>, bytes: &mut Vec<u8>, limit: u64) -> Result<(), Errno> {
    let limit = usize::try_from(limit).map_err(|_| Errno::FBIG)?;
    bytes.reserve_exact(limit);
    while bytes.len() < limit {
        let room = limit - bytes.len();
        match rustix::io::read(fd, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => break,
            Ok(count) if count > room => {
                bytes.truncate(limit);
                break;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the types differ between systems")]
fn stamp(stat: &Stat) -> Stamp {
    let ns = |s, ns| i64::saturating_add(i64::saturating_mul(s, 1_000_000_000), ns);
    Stamp {
        mtime_ns: ns(i64::from(stat.st_mtime), stat.st_mtime_nsec as i64),
        ctime_ns: ns(i64::from(stat.st_ctime), stat.st_ctime_nsec as i64),
        inode: u64::from(stat.st_ino),
        size: size(stat),
    }
}

/// The step of the clock that made a stamp: that of the kernel's tick, with a margin, or of a file
/// system that keeps seconds.
fn granularity(stamp: &Stamp) -> i64 {
    let coarse = stamp.mtime_ns % 1_000_000_000 == 0 && stamp.ctime_ns % 1_000_000_000 == 0;
    if coarse { 2_000_000_000 } else { 20_000_000 }
}
