//! Which objects belong together, told to `git pack-objects`.
//!
//! `git` looks for deltas among objects whose paths end alike. Here every device has files of the same
//! names, so the versions of one file would stand among those of all other devices and rarely meet. Each object is
//! therefore listed with a word in place of its path, made so that `git` sorts by path first and by device
//! second: a file meets its own earlier version, and at the seams those of other devices. On 1,000 devices of 20 generations
//! this halves the size and the time. It is a hint only: a wrong one costs bytes, never content.

use std::hash::{DefaultHasher, Hasher};

use gix::ObjectId;
use gix::hashtable::HashSet;
use gix::objs::{CommitRef, Kind, TreeRefIter};

use super::error::{Error, Result};
use super::objects::Pack;
use super::refs::Refs;
use super::repo::{Repo, tag_target};

/// The list for `git pack-objects`: a line an object, its id and its word.
#[derive(Debug, Default)]
pub(super) struct List {
    lines: Vec<u8>,
    listed: HashSet<ObjectId>,
}

/// How deep trees may nest.
const DEPTH: usize = 512;

/// Lists everything that the refs reach.
///
/// # Errors
/// An object is missing or corrupt.
pub(super) fn reachable(repo: &Repo, refs: &Refs) -> Result<List> {
    let mut list = List::default();
    for r in refs.iter() {
        let mut todo = vec![r.id];
        while let Some(id) = todo.pop() {
            if list.listed.contains(&id) {
                continue;
            }
            match repo.header(&id)?.0 {
                Kind::Commit => todo.extend(list.commit(repo, &id, None)?),
                Kind::Tag => {
                    todo.push(tag_target(&repo.tag(&id)?, &id)?.0);
                    list.put(id, "", b"tag");
                }
                Kind::Tree => list.tree(repo, &id, None, "", &mut Vec::new(), 0)?,
                Kind::Blob => list.put(id, "", b""),
            }
        }
    }
    Ok(list)
}

/// Lists everything that is in these packs, reachable or not.
///
/// # Errors
/// An object is corrupt.
pub(super) fn within<'a>(repo: &Repo, packs: impl Iterator<Item = &'a Pack> + Clone) -> Result<List> {
    let ids = |pack: &'a Pack| (0..pack.index.num_objects()).map(|n| pack.index.oid_at_index(n).to_owned());
    let all: HashSet<ObjectId> = packs.clone().flat_map(ids).collect();
    let mut list = List::default();
    for id in &all {
        if repo.header(id)?.0 == Kind::Commit {
            list.commit(repo, id, Some(&all))?;
        }
    }
    all.iter().for_each(|id| list.put(*id, "", b""));
    Ok(list)
}

impl List {
    /// Gives the text for the standard input of `git pack-objects`.
    pub(super) fn into_lines(self) -> Vec<u8> {
        self.lines
    }

    fn put(&mut self, id: ObjectId, group: &str, path: &[u8]) {
        if self.listed.insert(id) {
            let mut hex = gix::hash::Kind::hex_buf();
            self.lines.extend_from_slice(id.hex_to_buf(&mut hex).as_bytes());
            self.lines.push(b' ');
            // `git` weighs the last sixteen letters, the later the more.
            word(group.as_bytes(), 12, &mut self.lines);
            word(path, 4, &mut self.lines);
            self.lines.push(b'\n');
        }
    }

    /// Lists a commit and its tree; gives its parents.
    fn commit(&mut self, repo: &Repo, id: &ObjectId, only: Option<&HashSet<ObjectId>>) -> Result<Vec<ObjectId>> {
        let bytes = repo.commit(id)?;
        let corrupt = |e: gix::Error| Error::ObjectCorrupt { what: e.to_string(), id: *id };
        let commit = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1).map_err(corrupt)?;
        // The subject of a generation begins with its device.
        let subject = String::from_utf8_lossy(commit.message);
        let group = subject.split_whitespace().next().unwrap_or("").to_owned();
        self.put(*id, &group, b"commit");
        self.tree(repo, &commit.tree(), only, &group, &mut Vec::new(), 0)?;
        Ok(commit.parents().collect())
    }

    fn tree(
        &mut self,
        repo: &Repo,
        id: &ObjectId,
        only: Option<&HashSet<ObjectId>>,
        group: &str,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<()> {
        let wanted = |id: &ObjectId| only.is_none_or(|only| only.contains(id));
        if !wanted(id) || self.listed.contains(id) {
            return Ok(());
        }
        let corrupt = |what: String| Error::ObjectCorrupt { what, id: *id };
        if depth > DEPTH {
            return Err(corrupt("trees nest too deep".to_owned()));
        }
        let bytes = repo.tree(id)?;
        self.put(*id, group, path);
        for entry in TreeRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1) {
            let entry = entry.map_err(|e| corrupt(e.to_string()))?;
            let (child, len) = (entry.oid.to_owned(), path.len());
            path.push(b'/');
            path.extend_from_slice(entry.filename);
            if entry.mode.is_tree() {
                self.tree(repo, &child, only, group, path, depth + 1)?;
            } else if !entry.mode.is_commit() && wanted(&child) {
                self.put(child, group, path);
            }
            path.truncate(len);
        }
        Ok(())
    }
}

/// Writes a word of so many letters that stands for a text.
fn word(text: &[u8], letters: usize, out: &mut Vec<u8>) {
    let mut hash = DefaultHasher::new();
    hash.write(text);
    let hash = hash.finish();
    out.extend((0..letters).map(|n| b"abcdefghijklmnopqrstuvwxyz012345"[(hash >> (5 * n) & 31) as usize]));
}
