//! Reading the journal.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};
use gix::ObjectId;

use super::{Entry, JournalQuery, Open, Record};
use crate::model::{CollectorName, DeviceName, NameTag, Ticket};
use crate::store::change::ChangeItem;
use crate::store::error::{Error, Result};
use crate::store::object::{Commit, TREE};
use crate::store::refs::Refs;
use crate::store::repo::Repo;
use crate::store::tree::{Trees, checked_blob, read_tree};

const PREFIX: &str = "refs/heads/_journal/";
/// The largest group of records, and the largest open item, in bytes.
const MAX_BLOB: u64 = 256 << 20;

/// The newest commit of each collector's journal.
#[derive(Debug)]
pub(in crate::store) struct Heads(Vec<(CollectorName, String, ObjectId)>);

impl Heads {
    /// Finds them.
    pub(in crate::store) fn new(refs: &Refs) -> Self {
        let mut heads: Vec<(CollectorName, String, ObjectId)> = Vec::new();
        for r in refs.prefix(PREFIX) {
            let Some((collector, month)) = r.name[PREFIX.len()..].split_once('/') else { continue };
            let Ok(collector) = collector.parse::<CollectorName>() else { continue };
            // Sorted by name, a later month stands later.
            heads.retain(|h| h.0 != collector);
            heads.push((collector, month.to_owned(), r.id));
        }
        Self(heads)
    }

    /// Gives month and commit of one collector's.
    pub(in crate::store) fn of(&self, collector: &CollectorName) -> Option<(&str, ObjectId)> {
        self.0.iter().find(|h| h.0 == *collector).map(|h| (h.1.as_str(), h.2))
    }
}

fn corrupt(what: &str, id: ObjectId) -> Error {
    Error::Corrupt { whose: "journal".to_owned(), what: what.to_owned(), id }
}

/// Reads the commit, gives also its bytes' tree.
fn commit(repo: &Repo, id: ObjectId) -> Result<Commit> {
    Commit::parse(&repo.commit(&id)?).map_err(|e| corrupt(e.0, id))
}

/// Reads the records of one commit, in the order they were written.
pub(in crate::store) fn records(repo: &Repo, tree: ObjectId) -> Result<Vec<Record>> {
    let entries = read_tree(repo, tree)?;
    let Some(file) = entries.iter().find(|e| e.name == b"records.jsonl") else { return Ok(Vec::new()) };
    let text = checked_blob(repo, file.id, MAX_BLOB)?;
    let lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines.map(|l| serde_json::from_slice(l).map_err(|_| corrupt("a record that does not read", file.id))).collect()
}

/// Reads records with the commits that hold them, newest first, until `visit` breaks off.
pub(in crate::store) fn each(
    repo: &Repo,
    refs: &Refs,
    query: &JournalQuery,
    visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<()> {
    let fits =
        |r: &Record| query.since.is_none_or(|t| r.time >= t) && query.device.as_ref().is_none_or(|d| names_device(r, d.as_str()));
    let wanted = |c: &CollectorName| query.collector.as_ref().is_none_or(|w| w == c);
    let heads = Heads::new(refs).0.into_iter().filter(|h| wanted(&h.0));
    // One commit of every journal is at hand; the newest is taken, so that a limit is soon met.
    let mut open: Vec<(DateTime<Utc>, ObjectId, Commit)> = Vec::new();
    for (_, _, id) in heads {
        let next = commit(repo, id)?;
        open.push((next.committer.time, id, next));
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    while let Some(at) = (0..open.len()).max_by_key(|i| open[*i].0) {
        // A clock that was set back must not end the reading too early.
        if left == 0 || query.since.is_some_and(|t| open[at].0 < t - TimeDelta::days(1)) {
            break;
        }
        for record in records(repo, open[at].2.tree)?.into_iter().rev().filter(fits).take(left) {
            left -= 1;
            if visit(Entry { commit: open[at].1, record }).is_break() {
                return Ok(());
            }
        }
        match open[at].2.parents.first() {
            Some(id) => {
                let next = commit(repo, *id)?;
                // Order by history: what is before never counts as newer than what is after.
                open[at] = (next.committer.time.min(open[at].0), *id, next);
            }
            None => drop(open.swap_remove(at)),
        }
    }
    Ok(())
}

fn names_device(record: &Record, device: &str) -> bool {
    let in_list = || record.more.get("devices").and_then(|d| d.as_array()).is_some_and(|d| d.iter().any(|d| d == device));
    record.device() == Some(device) || in_list()
}

/// Reads what is open, of all collectors: what and content, sorted.
///
/// # Errors
/// An object of the journal is missing or corrupt.
pub fn open_items(repo: &Repo, refs: &Refs) -> Result<Vec<(Open, Vec<u8>)>> {
    let trees = Trees::new(repo);
    let mut out = Vec::new();
    for (_, _, id) in Heads::new(refs).0 {
        let root = commit(repo, id)?.tree;
        for folder in ["changes", "drills", "upgrades"] {
            let place = [b"open".as_slice(), folder.as_bytes()];
            let Some((TREE, tree)) = trees.find(root, place.into_iter())? else { continue };
            for entry in trees.entries(tree)?.iter() {
                let name = std::str::from_utf8(&entry.name).map_err(|_| corrupt("an open item without a name", tree))?;
                let bad = |_| corrupt("an open item without a name", tree);
                let open = match folder {
                    "changes" => Open::Change(name.parse().map_err(bad)?),
                    "drills" => Open::Drill(name.parse().map_err(bad)?),
                    _ => Open::Upgrade(name.parse().map_err(bad)?),
                };
                out.push((open, checked_blob(repo, entry.id, MAX_BLOB)?));
            }
        }
    }
    out.sort();
    Ok(out)
}

/// Reads one thing that a collector's journal carries along.
///
/// # Errors
/// An object of the journal is missing or corrupt.
pub(in crate::store) fn open_item(repo: &Repo, refs: &Refs, who: &CollectorName, what: &Open) -> Result<Option<Vec<u8>>> {
    let heads = Heads::new(refs);
    let Some((_, head)) = heads.of(who) else { return Ok(None) };
    let place = what.place();
    let found = Trees::new(repo).find(commit(repo, head)?.tree, place.split('/').map(str::as_bytes))?;
    found.map(|(_, blob)| checked_blob(repo, blob, MAX_BLOB)).transpose()
}

/// Reads changes, open ones and those that ended, of all collectors, or only those under one ticket; in the
/// order in which they were opened.
///
/// # Errors
/// An object of the journal is missing or corrupt.
pub fn changes(repo: &Repo, refs: &Refs, ticket: Option<&Ticket>) -> Result<Vec<ChangeItem>> {
    let trees = Trees::new(repo);
    let mut out: Vec<ChangeItem> = Vec::new();
    for (_, _, id) in Heads::new(refs).0 {
        let root = commit(repo, id)?.tree;
        for folder in [["open", "changes"].as_slice(), &["changes"]] {
            let Some((TREE, tree)) = trees.find(root, folder.iter().map(|f| f.as_bytes()))? else { continue };
            for entry in trees.entries(tree)?.iter().filter(|e| ticket.is_none_or(|t| e.name == t.as_str().as_bytes())) {
                let text = checked_blob(repo, entry.id, MAX_BLOB)?;
                for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                    let item = serde_json::from_slice(line).map_err(|_| corrupt("a change that does not read", entry.id))?;
                    out.push(item);
                }
            }
        }
    }
    out.sort_by_key(|c| (c.opened, c.change.nth));
    Ok(out)
}

/// Finds the generation that a removed name was on, in the journals of all collectors.
///
/// # Errors
/// An object of the journal is missing or corrupt.
pub fn used_name(repo: &Repo, refs: &Refs, device: &DeviceName, name: &NameTag) -> Result<Option<u64>> {
    let trees = Trees::new(repo);
    for (_, _, id) in Heads::new(refs).0 {
        let place = ["names", device.as_str(), name.as_str()].map(str::as_bytes);
        let Some((_, blob)) = trees.find(commit(repo, id)?.tree, place.into_iter())? else { continue };
        let text = checked_blob(repo, blob, MAX_BLOB)?;
        let text = String::from_utf8_lossy(&text);
        let number = text.strip_prefix("generation ").and_then(|t| t.trim_end().parse().ok());
        return number.map(Some).ok_or_else(|| corrupt("a removed name of no generation", blob));
    }
    Ok(None)
}
