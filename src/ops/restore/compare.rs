//! Does a directory hold a set? And what would putting it back do?

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::layout::{Placed, layout};
use super::{RestoreError, RestoreOptions};
use crate::fsio::Patient;
use crate::model::{ConfigPath, Digest, Kind, Owner};
use crate::seal::DeviceKeys;
use crate::store::{Access, Decoded, SetReader};

/// One thing that is not as in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The set has it, the directory has not.
    Missing,
    /// The directory has it, the set has not.
    Extra,
    /// It is something else: a directory in place of a file, a FIFO …
    Kind,
    /// The bytes differ.
    Content,
    /// The target of the link differs.
    Target,
    /// The permission bits differ.
    Mode {
        /// Those of the set.
        wanted: u32,
        /// Those found.
        found: u32,
    },
    /// The owner differs.
    Owner {
        /// That of the set.
        wanted: Owner,
        /// That found.
        found: Owner,
    },
    /// It cannot be told without an identity.
    Unproven,
}

impl Difference {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Extra => "extra",
            Difference::Kind => "kind",
            Difference::Content => "content",
            Difference::Target => "target",
            Difference::Mode { .. } => "mode",
            Difference::Owner { .. } => "owner",
            Difference::Unproven => "unproven",
        }
    }
}

/// A directory beside a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries that are equal in every way.
    pub same: u64,
    /// What differs, by path.
    pub differences: Vec<(ConfigPath, Difference)>,
}

impl Comparison {
    /// Says whether the directory holds the set, proven, byte for byte.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares what is chosen of a set with a directory: content, kinds, modes, targets, owners, and what is
/// there beside it. Where store keys are at hand, digests prove the content without any identity.
///
/// With `no_owners` owners do not count; setuid and setgid count only with `special_bits`.
///
/// # Errors
/// [`RestoreError`] if the store or the directory cannot be read.
pub fn compare(
    set: &SetReader<'_>,
    access: Access<'_>,
    dir: &Path,
    options: &RestoreOptions,
) -> Result<Comparison, RestoreError> {
    let places = layout(set.manifest(), access, options, true)?;
    let mut comparison = Comparison::default();
    for place in &places {
        let found = differences(set, access, dir, place, options)?;
        if found.is_empty() {
            comparison.same += 1;
        }
        comparison.differences.extend(found.into_iter().map(|d| (place.path.clone(), d)));
    }
    if options.paths.is_all() && options.scopes.is_empty() {
        let known: BTreeSet<&[u8]> = places.iter().map(|p| p.path.as_bytes()).collect();
        let extra = list(dir)?;
        // A folder that is above an entry without a line of its own is no difference.
        let above: BTreeSet<&[u8]> = places.iter().flat_map(|p| prefixes(p.path.as_bytes())).collect();
        for path in extra.iter().filter(|p| !known.contains(p.as_bytes()) && !above.contains(p.as_bytes())) {
            comparison.differences.push((path.clone(), Difference::Extra));
        }
    }
    comparison.differences.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(comparison)
}

fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

/// Lists everything below a directory, one directory open at a time.
fn list(dir: &Path) -> Result<Vec<ConfigPath>, RestoreError> {
    let mut out = Vec::new();
    let mut todo = vec![Vec::new()];
    while let Some(at) = todo.pop() {
        let here = dir.join(OsStr::from_bytes(&at));
        let unread = |source| RestoreError::Read { path: here.clone(), source };
        for entry in fs::read_dir(&here).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let mut path = at.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(entry.file_name().as_bytes());
            if entry.file_type().map_err(unread)?.is_dir() {
                todo.push(path.clone());
            }
            out.extend(ConfigPath::new(path));
        }
    }
    Ok(out)
}

fn differences(
    set: &SetReader<'_>,
    access: Access<'_>,
    dir: &Path,
    place: &Placed<'_>,
    options: &RestoreOptions,
) -> Result<Vec<Difference>, RestoreError> {
    let line = place.line;
    let path = dir.join(OsStr::from_bytes(place.path.as_bytes()));
    let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(vec![Difference::Missing]) };
    let kind = match line.kind {
        Kind::Directory => meta.is_dir(),
        Kind::File => meta.is_file(),
        Kind::Link => meta.is_symlink(),
    };
    if !kind {
        return Ok(vec![Difference::Kind]);
    }
    let mut out = Vec::new();
    if line.kind == Kind::Link {
        let target = fs::read_link(&path).map_err(|source| RestoreError::Read { path: path.clone(), source })?;
        if set.read(line)?.bytes() != target.as_os_str().as_bytes() {
            out.push(Difference::Target);
        }
    } else {
        let bits = if options.special_bits { 0o7777 } else { 0o1777 };
        let (wanted, found) = (line.mode & bits, meta.mode() & bits);
        if wanted != found {
            out.push(Difference::Mode { wanted, found });
        }
    }
    if line.kind == Kind::File {
        match same_content(set, access, &path, place)? {
            Some(true) => {}
            Some(false) => out.push(Difference::Content),
            None => out.push(Difference::Unproven),
        }
    }
    if let Some(wanted) = line.owner.filter(|_| !options.no_owners) {
        let found = Owner { uid: meta.uid(), gid: meta.gid() };
        if wanted != found {
            out.push(Difference::Owner { wanted, found });
        }
    }
    Ok(out)
}

/// Says whether a file has the bytes of the set; nothing if that cannot be told.
fn same_content(set: &SetReader<'_>, access: Access<'_>, path: &Path, place: &Placed<'_>) -> Result<Option<bool>, RestoreError> {
    let unread = |source| RestoreError::Read { path: path.to_owned(), source };
    let Some(body) = &place.line.body else { return Ok(Some(true)) };
    let key = access.keys.and_then(|keys| keys.epoch(set.manifest().epoch));
    let mut file = open(path).map_err(unread)?;
    if file.metadata().map_err(unread)?.len() != body.size {
        return Ok(Some(false));
    }
    if let Some(key) = key {
        let keys = DeviceKeys::derive(key, &set.generation().device);
        return Ok(Some(digest(&mut file, &keys).map_err(unread)? == body.plain));
    }
    if place.locked {
        return Ok(None);
    }
    let mut other = Same { file, buffer: Vec::new(), same: true };
    if body.form.chunked() {
        set.copy(place.line, &mut other)?;
        return Ok(Some(other.same && other.at_end().map_err(unread)?));
    }
    match set.read(place.line)? {
        Decoded::Masked(_) => Ok(None),
        Decoded::Plain(bytes) => {
            io::Write::write_all(&mut other, &bytes).map_err(unread)?;
            Ok(Some(other.same && other.at_end().map_err(unread)?))
        }
    }
}

/// Opens a file that was a regular one a moment ago; never a link, and never waits for a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
}

fn digest(file: &mut File, keys: &DeviceKeys) -> io::Result<Digest> {
    let mut digest = keys.digest_writer();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match Patient(&mut *file).read(&mut buffer)? {
            0 => return Ok(digest.finish()),
            n => digest.update(&buffer[..n]),
        }
    }
}

/// A writer that compares what is written with a file.
struct Same {
    file: File,
    buffer: Vec<u8>,
    same: bool,
}

impl Same {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(Patient(&mut self.file).read(&mut [0])? == 0)
    }
}

impl io::Write for Same {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.resize(bytes.len(), 0);
        if self.same {
            match self.file.read_exact(&mut self.buffer) {
                Ok(()) => self.same = self.buffer == bytes,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => self.same = false,
                Err(e) => return Err(e),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What putting an entry back would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// It is not there and would be made.
    Create,
    /// It is there, equal.
    Same,
    /// It is there and differs; it would be replaced, with `overwrite` only.
    Replace,
    /// It is there and equal but for mode or owner.
    Adjust,
    /// A directory stands in the way, or something else where a directory belongs.
    Blocked,
    /// It is sealed or masked, and no identity is at hand.
    Locked,
}

impl Act {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Create => "create",
            Act::Same => "same",
            Act::Replace => "replace",
            Act::Adjust => "adjust",
            Act::Blocked => "blocked",
            Act::Locked => "locked",
        }
    }
}

/// One entry of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its place below the directory.
    pub path: ConfigPath,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits.
    pub mode: u32,
    /// Size of its plain bytes.
    pub size: u64,
    /// What putting it back would do.
    pub act: Act,
    /// How it differs from what is there.
    pub differences: Vec<Difference>,
}

/// Says what putting a set back into `dir` would do, entry by entry, and writes nothing. `dir` need not be
/// there.
///
/// # Errors
/// As [`compare`].
pub fn plan(set: &SetReader<'_>, access: Access<'_>, dir: &Path, options: &RestoreOptions) -> Result<Vec<Planned>, RestoreError> {
    let places = layout(set.manifest(), access, options, true)?;
    let mut out = BTreeMap::new();
    for place in &places {
        let differences = differences(set, access, dir, place, options)?;
        let there = dir.join(OsStr::from_bytes(place.path.as_bytes()));
        let is_dir = fs::symlink_metadata(&there).is_ok_and(|m| m.is_dir());
        let wants_dir = place.line.kind == Kind::Directory;
        let act = match differences.first() {
            None => Act::Same,
            Some(_) if place.locked && !options.masked => Act::Locked,
            Some(Difference::Missing) => Act::Create,
            Some(Difference::Kind) if is_dir || (wants_dir && !options.overwrite) => Act::Blocked,
            Some(_) if differences.iter().all(|d| matches!(d, Difference::Mode { .. } | Difference::Owner { .. })) => Act::Adjust,
            Some(_) => Act::Replace,
        };
        let line = place.line;
        let size = line.body.as_ref().map_or(0, |b| b.size);
        let planned = Planned { path: place.path.clone(), kind: line.kind, mode: line.mode, size, act, differences };
        out.insert(place.path.clone(), planned);
    }
    Ok(out.into_values().collect())
}
