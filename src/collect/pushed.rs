//! A pushed set: a tar archive that was made inside of where no collector reaches.
//!
//! The archive is hostile until proven otherwise. Nothing of it is ever a path of this machine: names
//! become paths of the set, contents go to memory or to the spool under names of our own. Absolute
//! names, `..`, names that come twice, devices, and links to what is not in the archive are refused, and
//! an archive without its end is none.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use tar::EntryType;

use crate::inventory::Device;
use crate::model::{ConfigPath, Content, Digest, Kind, Owner, Stamp};
use crate::profile::Profile;

use super::spool::{MEMORY, Sink};
use super::tree::{Node, Plan, collected};
use super::{CollectError, Collected, Context};

/// A block of zeros; two of them end an archive.
const END: usize = 512;
/// Padding behind the end that is read, in bytes.
const PADDING: u64 = 16 << 20;

/// Collects from the archive in a file; `/dev/stdin` is one, too.
pub(super) fn collect(
    file: &Path,
    device: &Device,
    profile: &Profile,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let failed = |source| CollectError::Read { path: file.to_owned(), source };
    let reader = std::io::BufReader::with_capacity(256 << 10, std::fs::File::open(file).map_err(failed)?);
    read(reader, file, device, profile, rules, context)
}

fn read(
    reader: impl Read,
    place: &Path,
    device: &Device,
    profile: &Profile,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let bad = |what: &str| CollectError::Archive { what: what.to_owned() };
    let failed = |source| CollectError::Read { path: place.to_owned(), source };
    let taken_ns = super::now_ns();
    let tail = Rc::new(RefCell::new(Vec::new()));
    let mut archive = tar::Archive::new(Tail { inner: reader, last: tail.clone() });
    let mut plan = Plan::new(device, profile, None, context);
    let mut contents: Vec<Option<Content>> = Vec::new();
    let mut at: HashMap<Vec<u8>, Option<usize>> = HashMap::new();
    let limit = device.max_size.unwrap_or(context.policy.max_size).0;
    let (mut in_memory, mut total) = (0, 0_u64);
    let mut buffer = vec![0; 64 << 10];
    for entry in archive.entries().map_err(failed)? {
        context.check_cancel()?;
        let mut entry = entry.map_err(|error| bad(&super::ssh::plain(&error.to_string())))?;
        let Some(path) = path_of(&entry.path_bytes())? else { continue };
        let header = entry.header();
        let size = entry.size();
        // A size that the two headers tell differently is read differently by two programs.
        if header.entry_type() == EntryType::Regular && header.size().is_ok_and(|s| s != size && s != 0) {
            return Err(bad("with two sizes of one file"));
        }
        let number = |value: std::io::Result<u64>| value.ok().and_then(|v| u32::try_from(v).ok());
        let owner = number(header.uid()).zip(number(header.gid())).map(|(uid, gid)| Owner { uid, gid });
        let mode = header.mode().map_err(|_| bad("with a mode that is no number"))? & 0o7777;
        let mtime_ns = i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0).saturating_mul(1_000_000_000);
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::Link => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link,
            EntryType::GNUSparse => {
                return Err(bad("with a sparse file (make it with `tar --hole-detection=raw` or without -S)"));
            }
            _ => return Err(bad("with a device, a FIFO or something else that is no file, folder or link")),
        };
        let kept = at.get(path.as_bytes()).copied();
        if kind == Kind::Directory {
            match kept {
                None => {
                    at.insert(path.as_bytes().to_vec(), None);
                    plan.folder(Node { path, kind, mode, owner, stamp: Stamp { mtime_ns, ..Stamp::default() } })?;
                }
                Some(_) => return Err(bad(&format!("with one name twice: {path}"))),
            }
            continue;
        }
        if kept.is_some() {
            return Err(bad(&format!("with one name twice: {path}")));
        }
        let content = match header.entry_type() {
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| bad("with a link to nowhere"))?.into_owned();
                Content::Bytes(target)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
                let target = path_of(&target)?.ok_or_else(|| bad("with a hard link to nothing"))?;
                let there = at.get(target.as_bytes()).copied().flatten().and_then(|index| contents[index].as_ref());
                let there = there.ok_or_else(|| bad("with a hard link to what is not before it in the archive"))?;
                // A set has each name's content: a small archive of links can stand for a large set.
                total = total.saturating_add(length(there));
                if total > limit {
                    return Err(CollectError::TooLarge { limit });
                }
                let content = Sink::again(there, context.spool, &device.name, MEMORY.saturating_sub(in_memory))?;
                if let Content::Bytes(bytes) = &content {
                    in_memory += bytes.len() as u64;
                }
                content
            }
            _ => {
                total = total.saturating_add(size);
                if total > limit {
                    return Err(CollectError::TooLarge { limit });
                }
                let large_over = context.policy.large_over.0.min(MEMORY.saturating_sub(in_memory));
                let mut sink = Sink::new(context.spool, &device.name, size, large_over)?;
                loop {
                    match entry.read(&mut buffer).map_err(|_| bad("cut off in a file"))? {
                        0 => break,
                        count => sink.put(&buffer[..count])?,
                    }
                }
                if sink.len() != size {
                    return Err(bad("cut off in a file"));
                }
                if let Sink::Memory(bytes) = &sink {
                    in_memory += bytes.len() as u64;
                }
                sink.finish()?
            }
        };
        let stamp = Stamp { mtime_ns, ctime_ns: 0, inode: 0, size: length(&content) };
        let before = plan.planned.len();
        let name = path.as_bytes().to_vec();
        plan.leaf(Node { path, kind, mode, owner, stamp })?;
        // What the profile leaves out has its name, too: it may not come again.
        let taken = plan.planned.len() > before;
        at.insert(name, taken.then_some(contents.len()));
        if taken {
            contents.push(Some(content));
        }
    }
    // The reader stops at the first of the two blocks.
    let mut second = [1; END];
    let mut rest = archive.into_inner().inner;
    let ended = rest.read_exact(&mut second).is_ok() && second.iter().all(|b| *b == 0);
    if tail.borrow().len() < END || tail.borrow().iter().any(|b| *b != 0) || !ended {
        return Err(bad("cut off: it has no end"));
    }
    // What a writer pads with is read, so that it does not fail; what follows is not ours.
    std::io::copy(&mut rest.take(PADDING), &mut std::io::sink()).map_err(failed)?;
    if contents.is_empty() {
        return Err(CollectError::Empty(place.to_owned()));
    }
    let read_bytes = total;
    let (set, skipped) = plan.finish(contents, device, Vec::new(), &mut |_| None)?;
    Ok(collected(set, skipped, taken_ns, rules, read_bytes))
}

fn length(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Spooled { size, .. } => *size,
        Content::Same(_) => 0,
    }
}

/// The path of an entry; nothing for the folder that the archive was made in.
fn path_of(name: &[u8]) -> Result<Option<ConfigPath>, CollectError> {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || name == b"." {
        return Ok(None);
    }
    ConfigPath::new(name).map(Some).map_err(|source| CollectError::Path { folder: "the archive".into(), source })
}

/// Remembers the last bytes that were read.
struct Tail<R> {
    inner: R,
    last: Rc<RefCell<Vec<u8>>>,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut last = self.last.borrow_mut();
        last.extend_from_slice(&buffer[..count]);
        let over = last.len().saturating_sub(END);
        last.drain(..over);
        Ok(count)
    }
}
