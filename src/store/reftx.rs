//! The only writer of refs: one rewrite of `packed-refs` for all changes of a commit.
//!
//! Held to step 4 of "Writing and reading" in `docs/format.md`. The new file is made as
//! `confvault/packed-refs.new` and synced, gets a second name `packed-refs.lock` (which fails if a foreign
//! `git` holds it), and is renamed to `packed-refs`. A `packed-refs.lock` that is the same file as
//! `packed-refs.new` is therefore ours, and stale when the writers' lock is held; any other is a living
//! program's and is never removed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gix::ObjectId;

use super::error::{Error, Result};
use super::refs::{RefEdit, Refs};
use crate::fsio;

/// How long a `packed-refs.lock` of a foreign program is waited for.
const FOREIGN_WAIT: Duration = Duration::from_secs(10);

/// The paths of a transaction. The caller holds the writers' lock.
#[derive(Debug)]
pub(super) struct Paths {
    dir: PathBuf,
    cache: PathBuf,
    packed: PathBuf,
    lock: PathBuf,
    new: PathBuf,
}

/// A rewrite that is on disk under another name and waits for [`Prepared::publish`].
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    paths: &'a Paths,
    published: bool,
}

/// Gives the object that a new value stands for at last, if it is an annotated tag.
pub(super) type PeelNew<'a> = &'a dyn Fn(&ObjectId) -> Result<Option<ObjectId>>;

impl Paths {
    pub(super) fn new(dir: &Path, cache: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            cache: cache.to_owned(),
            packed: dir.join("packed-refs"),
            lock: dir.join("packed-refs.lock"),
            new: cache.join("packed-refs.new"),
        }
    }

    /// Says whether the last rewrite that was prepared is the truth; only until [`Paths::recover`].
    pub(super) fn is_published(&self) -> bool {
        same_file(&self.new, &self.packed)
    }

    /// Removes what a writer left that died in the middle.
    pub(super) fn recover(&self) -> Result<()> {
        if same_file(&self.new, &self.lock) {
            fsio::unlink(&self.lock)?;
            fsio::sync_dir(&self.dir)?;
        }
        fsio::unlink_if_there(&self.new)?;
        Ok(())
    }

    /// Moves all loose refs into `packed-refs`, so that none overrides what is written next.
    pub(super) fn fold(&self, refs: &Refs) -> Result<()> {
        if refs.loose().is_empty() {
            return Ok(());
        }
        let prepared = self.prepare(refs, &Edits::new(), &|_| Ok(None))?;
        fsio::sync_dir(&self.cache)?;
        prepared.publish()?;
        let mut touched = std::collections::BTreeSet::new();
        for loose in refs.loose() {
            let path = self.dir.join(&loose.name);
            // Only if it still has the value that was folded.
            let same = std::fs::read(&path).is_ok_and(|text| text.trim_ascii_end() == loose.id.to_string().as_bytes());
            if same && fsio::unlink_if_there(&path)? {
                touched.extend(path.parent().map(Path::to_owned));
            }
        }
        // A loose ref that came back after a power cut would be an old value over a new one.
        for folder in touched.iter().rev() {
            fsio::sync_dir(folder)?;
            remove_empty(folder, &self.dir);
        }
        Ok(())
    }

    /// Checks the changes against the refs and writes what `packed-refs` will be.
    pub(super) fn prepare(&self, refs: &Refs, edits: &Edits<'_>, peel: PeelNew<'_>) -> Result<Prepared<'_>> {
        let prepared = Prepared { paths: self, published: false };
        let mut out = fsio::Out::create_new(&self.new, fsio::PRIVATE_FILE)?;
        out.put(b"# pack-refs with: peeled fully-peeled sorted \n")?;
        let mut changed = edits.iter().peekable();
        for r in refs.iter() {
            while let Some((name, edit)) = changed.next_if(|(name, _)| **name < r.name) {
                line(&mut out, name, edit.new, peel)?;
            }
            match changed.next_if(|(name, _)| **name == r.name) {
                Some((name, edit)) => line(&mut out, name, edit.new, peel)?,
                None => put_line(&mut out, r.name, &r.id, r.peeled.as_ref())?,
            }
        }
        for (name, edit) in changed {
            line(&mut out, name, edit.new, peel)?;
        }
        out.finish_sync()?;
        Ok(prepared)
    }
}

impl Prepared<'_> {
    /// Makes the rewrite the truth: until the rename in here everything is as it was, after it
    /// everything is as it will be. The caller has synced the folder of `packed-refs.new`, else a power
    /// cut could leave a lock that nobody knows.
    pub(super) fn publish(mut self) -> Result<()> {
        let paths = self.paths;
        let Paths { dir, packed, lock, new, .. } = paths;
        let begin = Instant::now();
        loop {
            match fsio::link(new, lock) {
                Ok(()) => break,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    if begin.elapsed() > FOREIGN_WAIT {
                        return Err(Error::Locked { waited_seconds: FOREIGN_WAIT.as_secs(), path: lock.clone() });
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(e) => return Err(e.into()),
            }
        }
        fsio::rename(lock, packed)?;
        self.published = true;
        fsio::sync_dir(dir)?;
        fsio::unlink_if_there(new)?;
        Ok(())
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if !self.published {
            // The lock first: without the other name of the file nobody would know whose it is.
            if same_file(&self.paths.new, &self.paths.lock) {
                drop(fsio::unlink_if_there(&self.paths.lock));
            }
            drop(fsio::unlink_if_there(&self.paths.new));
        }
    }
}

/// Changes by name.
pub(super) type Edits<'a> = BTreeMap<&'a str, &'a RefEdit>;

/// Checks changes: names, expected values, and that no ref is to be a folder of another.
pub(super) fn check<'a>(refs: &Refs, edits: &'a [RefEdit]) -> Result<Edits<'a>> {
    let mut by_name = Edits::new();
    for edit in edits {
        let refused = |why: &str| Error::RefName { why: why.to_owned(), name: edit.name.clone() };
        if !edit.name.starts_with("refs/") || gix::validate::reference::name(edit.name.as_str().into()).is_err() {
            return Err(refused("not a name for a ref"));
        }
        let found = refs.get(&edit.name).map(|r| r.id);
        if found != edit.expected {
            return Err(Error::RefMoved { name: edit.name.clone(), expected: edit.expected, found });
        }
        if by_name.insert(edit.name.as_str(), edit).is_some() {
            return Err(refused("changed twice in one commit"));
        }
    }
    let stays = |name: &str| by_name.get(name).map_or_else(|| refs.get(name).is_some(), |e| e.new.is_some());
    for edit in edits.iter().filter(|e| e.new.is_some() && e.expected.is_none()) {
        let above = edit.name.match_indices('/').map(|(at, _)| &edit.name[..at]).find(|name| stays(name));
        let folder = format!("{}/", edit.name);
        let below = refs.prefix(&folder).map(|r| r.name).find(|name| stays(name));
        let new_below = by_name.range(folder.as_str()..).next().filter(|(n, e)| n.starts_with(&folder) && e.new.is_some());
        if let Some(other) = above.or(below).or(new_below.map(|(name, _)| *name)) {
            return Err(Error::RefName { why: format!("a ref {other} is there"), name: edit.name.clone() });
        }
    }
    Ok(by_name)
}

fn line(out: &mut fsio::Out, name: &str, new: Option<ObjectId>, peel: PeelNew<'_>) -> Result<()> {
    match new {
        Some(id) => put_line(out, name, &id, peel(&id)?.as_ref()),
        None => Ok(()),
    }
}

fn put_line(out: &mut fsio::Out, name: &str, id: &ObjectId, peeled: Option<&ObjectId>) -> Result<()> {
    let mut hex = gix::hash::Kind::hex_buf();
    out.put(id.hex_to_buf(&mut hex).as_bytes())?;
    out.put(b" ")?;
    out.put(name.as_bytes())?;
    if let Some(peeled) = peeled {
        out.put(b"\n^")?;
        out.put(peeled.hex_to_buf(&mut hex).as_bytes())?;
    }
    out.put(b"\n")?;
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::symlink_metadata(a), std::fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

/// Removes a folder of refs, and those above, that hold nothing; never `refs/heads` and its like.
fn remove_empty(folder: &Path, dir: &Path) {
    let mut at = folder;
    while at.strip_prefix(dir).is_ok_and(|inside| inside.components().count() > 2) {
        if fsio::remove_dir(at).is_err() {
            return;
        }
        let Some(above) = at.parent() else { return };
        at = above;
    }
}
