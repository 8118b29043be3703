//! The note of a commit in progress: `confvault/pending`.
//!
//! Between the rename of a pack and the rewrite of the refs a writer that dies leaves a pack that no
//! ref reaches. The note, synced before the pack is renamed, tells the next writer which one. It is
//! removed only if the refs are still as they were before, so never when they could reach it.

use std::io;
use std::path::PathBuf;

use gix::ObjectId;

use super::error::{Error, Result};
use super::maintain;
use super::pack::{self, Finished};
use super::refs::RefEdit;
use super::reftx;
use super::repo::Repo;
use crate::fsio;

/// How many changes of refs a note names; all of a commit appear at once, so one would do.
const NAMED: usize = 8;

/// A note on disk.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    folder: PathBuf,
    /// The pack to remove, if it was not there before.
    stem: Option<String>,
}

fn path(repo: &Repo) -> PathBuf {
    repo.cache_dir().join("pending")
}

/// Notes a pack that is about to get its name, and syncs the note and its folder.
pub(super) fn note(repo: &Repo, pack: &Finished, edits: &[RefEdit]) -> Result<Note> {
    let folder = repo.pack_dir();
    let show = |id: Option<ObjectId>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let mut text = String::new();
    let stem = (!pack.is_there(&folder)).then(|| pack.stem.clone());
    // A pack of the same bytes that a finished run wrote must stay, whatever becomes of this one.
    if let Some(stem) = &stem {
        text = format!("{stem}\n");
        for edit in edits.iter().filter(|e| e.new != e.expected).take(NAMED) {
            text.push_str(&format!("{} {} {}\n", show(edit.expected), show(edit.new), edit.name));
        }
    }
    let note = Note { path: path(repo), folder, stem: None };
    match fsio::write_file(&note.path, text.as_bytes(), fsio::PRIVATE_FILE) {
        Ok(()) => Ok(Note { stem, ..note }),
        Err(e) => {
            drop(note.undo());
            Err(e.into())
        }
    }
}

impl Note {
    /// Removes the pack and the note: the commit failed.
    pub(super) fn undo(self) -> Result<()> {
        if let Some(stem) = &self.stem {
            pack::remove(&self.folder, stem)?;
        }
        fsio::unlink_if_there(&self.path)?;
        Ok(())
    }

    /// Removes the note: the commit is done. It needs no sync: the next change of refs is made after
    /// a sync of this folder, and until then the refs say that the commit is done.
    pub(super) fn done(self) -> Result<()> {
        fsio::unlink_if_there(&self.path)?;
        Ok(())
    }
}

/// Brings a store in order after a writer that died: its pack without refs, its temporary files, its
/// lock on `packed-refs`. The caller holds the writers' lock.
pub(super) fn recover(repo: &Repo) -> Result<()> {
    let paths = reftx::Paths::new(repo.dir(), repo.cache_dir());
    let path = path(repo);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if !paths.is_published()
                && let Some(stem) = orphan(repo, &text)?
            {
                pack::remove(&repo.pack_dir(), stem)?;
                fsio::sync_dir(&repo.pack_dir())?;
            }
            fsio::unlink_if_there(&path)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { path, source }),
    }
    paths.recover()?;
    maintain::recover(repo)?;
    pack::sweep(&repo.pack_dir())
}

/// Gives the pack of a note if the refs show that its commit was never done. Any doubt keeps the pack.
fn orphan<'a>(repo: &Repo, text: &'a str) -> Result<Option<&'a str>> {
    let mut lines = text.lines();
    let Some(stem) = lines.next().filter(|s| is_stem(s)) else { return Ok(None) };
    let refs = repo.refs()?;
    let mut named = 0;
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let (Some(old), Some(_new), Some(name)) = (words.next(), words.next(), words.next()) else { return Ok(None) };
        let now = refs.get(name).map_or_else(|| "-".to_owned(), |r| r.id.to_string());
        if now != old {
            return Ok(None);
        }
        named += 1;
    }
    Ok((named > 0).then_some(stem))
}

fn is_stem(text: &str) -> bool {
    text.strip_prefix("pack-").is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}
