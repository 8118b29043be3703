//! What a source looked like when it was last read: the values behind the cache.

use super::{ConfigPath, Digest, Kind, Owner, Release, Scope};

/// Time stamps and identity of a file at its source, as far as the source gives them.
///
/// Two equal stamps mean "not touched" only if the file was older than the look that took them:
/// see [`Look::trusts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Time of the last change of content, in nanoseconds since 1970; whole seconds over SFTP.
    pub mtime_ns: i64,
    /// Time of the last change of the inode, in nanoseconds since 1970; 0 where the source has none.
    pub ctime_ns: i64,
    /// Inode number; 0 where the source has none.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
}

/// One entry of a [`Look`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookEntry {
    /// Scope of the entry.
    pub scope: Scope,
    /// Path below the scope.
    pub path: ConfigPath,
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Owner, where the source gives it.
    pub owner: Option<Owner>,
    /// The stamp at the source.
    pub stamp: Stamp,
    /// Keyed digest of the content (of a link: of its target); all zero for a directory.
    pub plain: Digest,
}

/// Everything remembered of one device's source from the last time that it was read.
///
/// A look is a cache: it can be thrown away at any time, and it counts only for the head commit and
/// the profile that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Commit id (hexadecimal) of the newest generation when the look was taken.
    pub head: String,
    /// The release of that generation.
    pub release: Release,
    /// Identifies the profile's rules and the source under which the look was taken.
    pub rules: Digest,
    /// When the look began, in nanoseconds since 1970, by the clock of the source's file system
    /// where that is known.
    pub taken_ns: i64,
    /// The stamp of the folder that the paths count from, where equal stamps of all folders prove that each
    /// holds what it held; nothing where they do not, or where something that was left out has to be told
    /// at each look.
    pub root: Option<Stamp>,
    /// The entries, sorted by scope and path.
    pub entries: Vec<LookEntry>,
}

impl Look {
    /// Tells whether an equal stamp proves an equal content: a file changed in the same instant as
    /// the look, or later by its clock, is looked at again.
    #[must_use]
    pub fn trusts(&self, stamp: &Stamp, granularity_ns: i64) -> bool {
        let newest = stamp.mtime_ns.max(stamp.ctime_ns);
        newest.saturating_add(granularity_ns) < self.taken_ns
    }
}
