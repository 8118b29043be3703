//! Is everything of a folder as a look saw it? Answered without a set, and mostly without a listing.
//!
//! A folder whose stamp is the one that the look has, and old enough, holds the names that it held: making,
//! removing and renaming set its time stamps. So one `fstat` a folder stands for its listing, and one
//! `fstatat` a file for its content. Whatever differs, or is not certain, is left to [`super::collect`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::{beneath, granularity, open_root, stamp};
use crate::collect::Context;
use crate::inventory::Device;
use crate::model::{Kind, Look, Stamp};

/// File systems of which it is known that the stamps of a folder tell of its names: `statfs`'s magic
/// numbers of ext2 to ext4, XFS, Btrfs, tmpfs, F2FS, ZFS, bcachefs and overlayfs.
const TOLD: [u32; 8] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E, 0x794C_7630];

/// Gives the stamp of an open folder for [`Look::root`], if it stands on a file system where it proves something.
pub(super) fn root_stamp(root: BorrowedFd<'_>) -> Option<Stamp> {
    #[cfg(target_os = "linux")]
    {
        let kind = rustix::fs::fstatfs(root).ok()?.f_type;
        // The type of the number differs between machines, and some extend its sign.
        let known = TOLD.iter().any(|known| i128::from(kind) & 0xFFFF_FFFF == i128::from(*known));
        rustix::fs::fstat(root).ok().filter(|_| known).map(|stat| stamp(&stat))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (_, _) = (root, TOLD);
        None
    }
}

/// Tells whether a look proves that the folder holds what it held.
pub(in crate::collect) fn unchanged(folder: &Path, device: &Device, look: &Look, context: &Context<'_>) -> bool {
    let most = device.max_size.unwrap_or(context.policy.max_size).0;
    let leaves = look.entries.iter().filter(|entry| entry.kind != Kind::Directory);
    let bytes = leaves.fold(0, |sum: u64, entry| sum.saturating_add(entry.stamp.size));
    let files = u32::try_from(look.entries.len()).unwrap_or(u32::MAX);
    // What is too much, or of another release, is told by whoever makes the set.
    let fits = files <= context.policy.max_files && bytes <= most;
    let same_release = device.release.as_ref().is_none_or(|release| *release == look.release);
    fits && same_release && look.root.is_some_and(|root| is_as_seen(folder, &root, look, context).unwrap_or(false))
}

fn is_as_seen(folder: &Path, root_was: &Stamp, look: &Look, context: &Context<'_>) -> Result<bool, Errno> {
    let root = open_root(folder)?;
    let root_stat = rustix::fs::fstat(&root)?;
    let same = |stat: &Stat, was: &Stamp| {
        let now = stamp(stat);
        now == *was && look.trusts(&now, granularity(&now))
    };
    if !same(&root_stat, root_was) {
        return Ok(false);
    }
    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut here: (&[u8], Option<OwnedFd>) = (b"", None);
    for entry in &look.entries {
        let path = entry.path.as_bytes();
        let stat = if entry.kind == Kind::Directory {
            if context.check_cancel().is_err() {
                return Ok(false);
            }
            let fd = beneath::open(&root, path, folder_flags)?;
            let stat = rustix::fs::fstat(&fd)?;
            // On what is mounted below, stamps may prove nothing.
            if stat.st_dev != root_stat.st_dev {
                return Ok(false);
            }
            here = (path, Some(fd));
            stat
        } else {
            let (above, name) = match path.iter().rposition(|b| *b == b'/') {
                Some(cut) => (&path[..cut], &path[cut + 1..]),
                None => (&b""[..], path),
            };
            if here.0 != above {
                here = (above, Some(beneath::open(&root, above, folder_flags)?));
            }
            let at = here.1.as_ref().map_or(root.as_fd(), AsFd::as_fd);
            rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => return Ok(false),
        };
        // Modes and owners cannot change without the time stamp of the inode.
        if kind != entry.kind || !same(&stat, &entry.stamp) {
            return Ok(false);
        }
    }
    Ok(true)
}
