//! The commit of a transaction, under the writers' lock.

use std::collections::BTreeMap;

use gix::ObjectId;

use super::super::batch::Batch;
use super::super::commit::put_commit;
use super::super::error::{Error, Result};
use super::super::facts::{FactFiles, STORE_REF};
use super::super::generation::FORMAT;
use super::super::journal::{self, Addition, Record};
use super::super::logs;
use super::super::look;
use super::super::object::{Commit, Ident};
use super::super::refs::{RefEdit, Refs};
use super::super::tree::put_files;
use super::{Done, Plan, Planned, Transaction};
use crate::model::DeviceName;

impl Transaction<'_> {
    /// Commits.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::RefMoved`] if `_store` was changed meanwhile; or the disk refused. The store is then
    /// as it was.
    pub fn commit(self) -> Result<Done> {
        let Self { store, batch, refs: read, who, planned, .. } = self;
        let Planned { devices, records, open, expected, files, gone } =
            planned.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut moved: Vec<DeviceName> = Vec::new();
        let mut written = Vec::new();
        let committed = batch.commit(|refs, batch| {
            check_facts(refs, store.facts().commit)?;
            for (what, content) in &expected {
                if journal::open_item(store.repo(), refs, &who.collector, what)? != *content {
                    let subject = what.place();
                    return Err(Error::Refused { what: "another process changed what is open", subject });
                }
            }
            let mut edits: Vec<RefEdit> = gone.iter().filter(|edit| refs.get(&edit.name).is_some()).cloned().collect();
            let mut add = Addition { open, ..Addition::default() };
            let mut unchanged = Vec::new();
            let mut filed = BTreeMap::new();
            for (device, plan) in &devices {
                if !stands(&read, refs, device, plan) || used_meanwhile(store.repo(), refs, device, plan)? {
                    moved.push(device.clone());
                    continue;
                }
                edits.extend(plan.edits.iter().cloned());
                add.records.extend(plan.records.iter().cloned());
                add.removed.extend(plan.removed.iter().map(|(name, number)| (device.clone(), name.clone(), *number)));
                unchanged.extend(plan.unchanged.then(|| device.to_string()));
                filed.extend(plan.logs.map(|tree| (device.clone(), tree)));
            }
            let of_moved = |r: &Record| r.device().is_some_and(|d| moved.iter().any(|m| m.as_str() == d));
            add.records.extend(records.into_iter().filter(|r| !of_moved(r)));
            if !unchanged.is_empty() {
                add.records.push(Record::new("snapshot", "unchanged").with("devices", unchanged));
            }
            edits.extend(logs::commit(batch, refs, &who, &filed)?);
            if let Some(files) = &files {
                edits.extend(keep_files(store.repo(), batch, refs, &who, files)?);
            }
            if !edits.is_empty() || !add.records.is_empty() || !add.open.is_empty() {
                for record in &mut add.records {
                    fill(record, &who);
                }
                edits.push(journal::write(store.repo(), batch, refs, &who, &add)?);
            }
            written.clone_from(&edits);
            Ok::<_, Error>(edits)
        })?;
        store.damage().forget(store.repo(), devices.iter().filter(|(d, p)| p.snapshot && !moved.contains(d)).map(|(d, _)| d));
        // Devices that stood were the same under the lock as when their looks were made.
        let looks = devices.into_iter().filter(|(device, _)| !moved.contains(device));
        let looks: look::Records = looks.filter_map(|(device, plan)| Some((device, Some(plan.look?)))).collect();
        look::save(store.repo(), &looks);
        Ok(Done { committed, moved, written })
    }
}

/// The features, signers and tombstones must be those that everything was decided by.
fn check_facts(refs: &Refs, read: ObjectId) -> Result<()> {
    let found = refs.get(STORE_REF).map(|r| r.id);
    if found == Some(read) {
        return Ok(());
    }
    Err(Error::RefMoved { name: STORE_REF.to_owned(), expected: Some(read), found })
}

/// Are the refs of a device as they were when its generation was built?
fn stands(read: &Refs, now: &Refs, device: &DeviceName, plan: &Plan) -> bool {
    read.same_below(now, &format!("refs/heads/{device}/"))
        && plan.edits.iter().all(|e| now.get(&e.name).map(|r| r.id) == e.expected)
}

/// Was a name that is given here given and removed by another process meanwhile?
fn used_meanwhile(repo: &super::super::repo::Repo, refs: &Refs, device: &DeviceName, plan: &Plan) -> Result<bool> {
    for (name, number) in &plan.given {
        if journal::used_name(repo, refs, device, name)?.is_some_and(|used| used != *number) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn fill(record: &mut Record, who: &super::Who) {
    if record.run.is_empty() {
        record.run = who.run.to_string();
    }
    if record.collector.is_empty() {
        record.collector = who.collector.to_string();
    }
    if record.version.is_empty() {
        record.version = env!("CARGO_PKG_VERSION").to_owned();
    }
    if record.time == chrono::DateTime::UNIX_EPOCH {
        record.time = who.now;
    }
}

/// Commits the files of the collector's own branch, if they differ.
fn keep_files(
    repo: &super::super::repo::Repo,
    batch: &Batch,
    refs: &Refs,
    who: &super::Who,
    files: &FactFiles,
) -> Result<Option<RefEdit>> {
    let name = format!("refs/heads/_collector/{}", who.collector);
    let head = refs.get(&name).map(|r| r.id);
    let tree = put_files(batch, files)?;
    if let Some(head) = head {
        let before = Commit::parse(&repo.commit(&head)?);
        if before.is_ok_and(|c| c.tree == tree) {
            return Ok(None);
        }
    }
    let by = Ident::of(&who.collector, who.now);
    let message =
        format!("Files of collector {0}\n\nConfvault-Format: {FORMAT}\nCollector: {0}\nRun: {1}\n", who.collector, who.run);
    let commit = Commit { tree, parents: head.into_iter().collect(), author: by.clone(), committer: by, message };
    let new = put_commit(batch, &commit, who.signing.as_ref())?;
    Ok(Some(RefEdit { name, expected: head, new: Some(new) }))
}
