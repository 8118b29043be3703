//! Writing the journal: one commit for what is committed together.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::read::Heads;
use super::{Open, Record};
use crate::model::{DeviceName, NameTag};
use crate::store::batch::Batch;
use crate::store::commit::put_commit;
use crate::store::error::{Error, Result};
use crate::store::generation::FORMAT;
use crate::store::object::{Commit, FILE, Ident, TREE, TreeEntry};
use crate::store::refs::{RefEdit, Refs};
use crate::store::repo::Repo;
use crate::store::transaction::Who;
use crate::store::tree::{put_tree, read_tree};

/// What a commit of the journal adds.
#[derive(Debug, Default)]
pub(in crate::store) struct Addition {
    /// The records, in order.
    pub(in crate::store) records: Vec<Record>,
    /// What is opened, altered or (nothing) closed.
    pub(in crate::store) open: BTreeMap<Open, Option<Vec<u8>>>,
    /// Names that were removed, and the generations that had them.
    pub(in crate::store) removed: Vec<(DeviceName, NameTag, u64)>,
}

/// Writes the commit behind the newest of this collector's journal.
pub(in crate::store) fn write(repo: &Repo, batch: &Batch, refs: &Refs, who: &Who, add: &Addition) -> Result<RefEdit> {
    let heads = Heads::new(refs);
    let head = heads.of(&who.collector);
    let now = who.now.format("%Y-%m").to_string();
    // A clock that was set back must not begin an older month behind a newer one.
    let month = head.map(|h| h.0).filter(|m| *m > now.as_str()).unwrap_or(&now);
    let parent = head.map(|h| h.1);
    let old = match parent {
        Some(id) => {
            let bad = |what: &str| Error::Corrupt { whose: "journal".to_owned(), what: what.to_owned(), id };
            Some(Commit::parse(&repo.commit(&id)?).map_err(|e| bad(e.0))?.tree)
        }
        None => None,
    };
    let mut text = Vec::new();
    for record in &add.records {
        let line = serde_json::to_vec(record)
            .map_err(|_| Error::Refused { what: "a record that is no JSON", subject: record.action.clone() })?;
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    let blob = |content: &[u8]| batch.put(ObjectKind::Blob, content);
    let mut edits = BTreeMap::from([("records.jsonl".to_owned(), Some(blob(&text)?))]);
    for (open, content) in &add.open {
        edits.insert(open.place(), content.as_deref().map(blob).transpose()?);
    }
    for (device, name, number) in &add.removed {
        edits.insert(format!("names/{device}/{name}"), Some(blob(format!("generation {number}\n").as_bytes())?));
    }
    let edits: Vec<_> = edits.iter().map(|(path, id)| (path.as_str(), *id)).collect();
    let tree = match edit(repo, batch, old, &edits)? {
        Some(tree) => tree,
        None => put_tree(batch, Vec::new())?,
    };
    let author = Ident::of(&who.collector, who.now);
    let subject = match add.records.as_slice() {
        [one] => one.action.clone(),
        all => format!("{} records", all.len()),
    };
    let message = format!("{subject}\n\nConfvault-Format: {FORMAT}\nCollector: {}\nRun: {}\n", who.collector, who.run);
    let commit = Commit { tree, parents: parent.into_iter().collect(), author: author.clone(), committer: author, message };
    let new = put_commit(batch, &commit, who.signing.as_ref())?;
    let name = format!("refs/heads/_journal/{}/{month}", who.collector);
    let expected = refs.get(&name).map(|r| r.id);
    Ok(RefEdit { name, expected, new: Some(new) })
}

/// Sets and removes files below a tree; folders that become empty go. The edits are sorted by path.
fn edit(repo: &Repo, batch: &Batch, old: Option<ObjectId>, edits: &[(&str, Option<ObjectId>)]) -> Result<Option<ObjectId>> {
    let mut entries = old.map_or_else(|| Ok(Vec::new()), |id| read_tree(repo, id))?;
    let mut rest = edits;
    while let Some((path, id)) = rest.first() {
        let (name, to, count) = match path.split_once('/') {
            None => (*path, id.map(|id| (FILE, id)), 1),
            Some((folder, _)) => {
                let inside = |p: &str| p.strip_prefix(folder).is_some_and(|p| p.starts_with('/'));
                let count = rest.iter().take_while(|(p, _)| inside(p)).count();
                let below: Vec<_> = rest[..count].iter().map(|(p, id)| (&p[folder.len() + 1..], *id)).collect();
                let old = entries.iter().find(|e| e.name == folder.as_bytes() && e.mode == TREE).map(|e| e.id);
                (folder, edit(repo, batch, old, &below)?.map(|id| (TREE, id)), count)
            }
        };
        entries.retain(|e| e.name != name.as_bytes());
        entries.extend(to.map(|(mode, id)| TreeEntry { mode, name: name.into(), id }));
        rest = &rest[count..];
    }
    if entries.is_empty() { Ok(None) } else { put_tree(batch, entries).map(Some) }
}
