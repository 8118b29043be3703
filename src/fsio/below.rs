//! Single steps below one open directory, none of which follows a link or leaves the directory.
//!
//! [`tree`](super::tree) writes a whole tree into a place of its own; this is for a tree that is in use, whose
//! files are replaced one by one: a file is [staged](Below::stage_file) beside its place under another name,
//! whole, synced, with its owner and mode, and then [placed](Below::place) by one rename.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::fault::{self, Step, Verdict};
use super::tree::Meta;
use super::{Error, Result, beneath};
use crate::model::{ConfigPath, Owner};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
const NEW: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory. Paths count from it; a link in the middle of one is an error (`ELOOP`), never followed.
#[derive(Debug)]
pub struct Below {
    root: OwnedFd,
    shown: PathBuf,
}

impl Below {
    /// Opens a directory. `dir` itself may be a link: it was named by the administrator.
    ///
    /// # Errors
    /// It is not there, or no directory.
    pub fn open(dir: &Path) -> Result<Self> {
        let root = rustix::fs::open(dir, FOLDER | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { root: root.map_err(|e| Error::new("open", dir, e.into()))?, shown: dir.to_owned() })
    }

    fn shown(&self, path: &ConfigPath) -> PathBuf {
        self.shown.join(OsStr::from_bytes(path.as_bytes()))
    }

    /// Passes a step of a test, then does something with the open folder above a path and the name in it.
    fn at<T>(
        &self,
        path: &ConfigPath,
        (action, kind): (&'static str, Step),
        act: impl FnOnce(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> Result<T> {
        let bytes = path.as_bytes();
        let (above, name) = match bytes.iter().rposition(|b| *b == b'/') {
            Some(cut) => (&bytes[..cut], &bytes[cut + 1..]),
            None => (&b""[..], bytes),
        };
        let work = || {
            fault::step(kind, &self.shown(path))?;
            let folder = beneath::open(&self.root, above, FOLDER)?;
            act(&folder, OsStr::from_bytes(name))
        };
        work().map_err(|e| Error::new(action, &self.shown(path), e))
    }

    /// Makes a file that must not be there, whole and synced, with its owner and mode.
    ///
    /// # Errors
    /// Something stands there, the owner may not be given, or `content` or the disk failed. What was made of it is
    /// left for [`Below::remove`].
    pub fn stage_file(&self, path: &ConfigPath, meta: Meta, content: &mut dyn Read) -> Result<()> {
        self.at(path, ("create", Step::Create), |folder, name| {
            let mut file = File::from(rustix::fs::openat(folder, name, NEW, Mode::from_raw_mode(0o600))?);
            let mut buffer = vec![0; 64 << 10];
            loop {
                let count = super::Patient(&mut *content).read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                match fault::step(Step::Write, &self.shown(path))? {
                    Verdict::Go => file.write_all(&buffer[..count])?,
                    Verdict::Half => {
                        file.write_all(&buffer[..count / 2])?;
                        return Err(fault::no_space());
                    }
                }
            }
            // The owner comes first: a change of owner takes setuid and setgid away.
            if let Some(owner) = meta.owner {
                rustix::fs::fchown(&file, Some(uid(owner)), Some(gid(owner)))?;
            }
            rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode & 0o7777))?;
            fault::step(Step::Sync, &self.shown(path))?;
            file.sync_all()
        })
    }

    /// Makes a link that must not be there, with this target as bytes.
    ///
    /// # Errors
    /// As [`Below::stage_file`].
    pub fn stage_link(&self, path: &ConfigPath, target: &[u8], owner: Option<Owner>) -> Result<()> {
        self.at(path, ("create", Step::Create), |folder, name| {
            rustix::fs::symlinkat(target, folder, name)?;
            if let Some(owner) = owner {
                rustix::fs::chownat(folder, name, Some(uid(owner)), Some(gid(owner)), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Ok(())
        })
    }

    /// Gives what is staged its place, in one step; `staged` lies in the folder of `path`. A file, link, FIFO or
    /// socket that stands there is replaced and never opened, a directory is not.
    ///
    /// # Errors
    /// A directory stands there, nothing is staged, or the disk refused.
    pub fn place(&self, staged: &ConfigPath, path: &ConfigPath) -> Result<()> {
        let from = staged.components().next_back().unwrap_or_default().to_vec();
        self.at(path, ("rename", Step::Rename), |folder, name| {
            rustix::fs::renameat(folder, from.as_slice(), folder, name)?;
            fault::step(Step::SyncDir, &self.shown(path))?;
            Ok(rustix::fs::fsync(folder)?)
        })
    }

    /// Makes a directory, or takes the one that stands there, and gives it owner and mode.
    ///
    /// # Errors
    /// Something else stands there, or the disk refused.
    pub fn make_dir(&self, path: &ConfigPath, meta: Meta) -> Result<()> {
        self.at(path, ("create", Step::Mkdir), |folder, name| {
            match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            dress(&beneath::open(folder, name.as_bytes(), FOLDER)?, meta)?;
            fault::step(Step::SyncDir, &self.shown(path))?;
            Ok(rustix::fs::fsync(folder)?)
        })
    }

    /// Gives a directory owner and mode.
    ///
    /// # Errors
    /// It is not there, is no directory, or belongs to somebody else.
    pub fn dress_dir(&self, path: &ConfigPath, meta: Meta) -> Result<()> {
        self.at(path, ("set the mode of", Step::Write), |folder, name| {
            dress(&beneath::open(folder, name.as_bytes(), FOLDER)?, meta)
        })
    }

    /// Removes a file or link; one that is not there is none.
    ///
    /// # Errors
    /// A directory stands there, or the disk refused.
    pub fn remove(&self, path: &ConfigPath) -> Result<()> {
        let removed =
            self.at(path, ("remove", Step::Unlink), |folder, name| match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Err(Errno::NOENT) => Ok(()),
                other => Ok(other.and_then(|()| rustix::fs::fsync(folder))?),
            });
        gone_is_fine(removed)
    }

    /// Removes an empty directory; tells whether it is gone. One that has something in it stays.
    ///
    /// # Errors
    /// Something else stands there, or the disk refused.
    pub fn remove_dir(&self, path: &ConfigPath) -> Result<bool> {
        let mut stays = false;
        let removed = self.at(path, ("remove", Step::Unlink), |folder, name| {
            match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOENT) => Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    stays = true;
                    Ok(())
                }
                other => Ok(other.and_then(|()| rustix::fs::fsync(folder))?),
            }
        });
        gone_is_fine(removed)?;
        Ok(!stays)
    }
}

/// Where the folder above is gone, so is what was in it.
fn gone_is_fine(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn dress(folder: &OwnedFd, meta: Meta) -> io::Result<()> {
    if let Some(owner) = meta.owner {
        rustix::fs::fchown(folder, Some(uid(owner)), Some(gid(owner)))?;
    }
    Ok(rustix::fs::fchmod(folder, Mode::from_raw_mode(meta.mode & 0o7777))?)
}

fn uid(owner: Owner) -> Uid {
    Uid::from_raw(owner.uid)
}

fn gid(owner: Owner) -> Gid {
    Gid::from_raw(owner.gid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn path(text: &str) -> ConfigPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_at_the_place_is_replaced_and_one_above_it_stops_the_step() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink(outside.path().join("kept"), dir.path().join("etc/a.conf")).unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        let below = Below::open(dir.path()).unwrap();
        let meta = Meta { mode: 0o640, owner: None };
        below.stage_file(&path("etc/.new"), meta, &mut &b"new"[..]).unwrap();
        assert!(below.stage_file(&path("etc/.new"), meta, &mut &b"again"[..]).is_err());
        below.place(&path("etc/.new"), &path("etc/a.conf")).unwrap();
        assert_eq!(fs::read(dir.path().join("etc/a.conf")).unwrap(), b"new");
        assert_eq!(fs::symlink_metadata(dir.path().join("etc/a.conf")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
        assert!(below.stage_file(&path("link/x"), meta, &mut &b"x"[..]).is_err());
        assert!(below.remove(&path("link/kept")).is_err());
        assert!(below.make_dir(&path("link"), meta).is_err() && below.dress_dir(&path("link"), meta).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_come_and_go_and_one_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let below = Below::open(dir.path()).unwrap();
        let meta = Meta { mode: 0o750, owner: None };
        below.make_dir(&path("a"), meta).unwrap();
        below.make_dir(&path("a/b"), meta).unwrap();
        below.make_dir(&path("a"), meta).unwrap();
        assert!(!below.remove_dir(&path("a")).unwrap());
        assert!(below.remove_dir(&path("a/b")).unwrap() && below.remove_dir(&path("a")).unwrap());
        assert!(below.remove_dir(&path("a/b")).unwrap());
        below.remove(&path("a/x")).unwrap();
        below.stage_link(&path("l"), b"nowhere", None).unwrap();
        assert!(below.remove_dir(&path("l")).is_err());
        below.remove(&path("l")).unwrap();
    }
}
