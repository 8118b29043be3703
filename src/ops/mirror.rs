//! Mirrors of an installation: pushed with a record in the journal, compared, proven append-only.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::take_over::collector_files;
use super::vouch::strange_heads;
use super::{Error, Vault};
use crate::inventory::Inventory;
use crate::mirror::{self, GitEnv, GitUrl, Group, Limits, Lost, MirrorError, MirrorForgotten, Proof, PushReport, Remote, Status};
use crate::model::{CollectorName, DeviceName, MirrorName};
use crate::store::generation::Message;
use crate::store::object::Commit;
use crate::store::{Entry, Error as StoreError, JournalQuery, ObjectId, Record, Refs};

/// What talking to mirrors needs of the world around it.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment for `git`.
    pub env: &'a GitEnv,
    /// Becomes true when the conversation is to end.
    pub cancel: &'a AtomicBool,
}

/// One mirror of an inventory, ready to be talked to.
#[derive(Debug)]
pub struct Place {
    /// Its name.
    pub name: MirrorName,
    /// Where it is.
    pub url: GitUrl,
    limits: Limits,
}

impl Place {
    /// How it is reached.
    pub(super) fn remote<'a>(&'a self, around: Surroundings<'a>) -> Remote<'a> {
        Remote { url: &self.url, env: around.env, limits: self.limits, cancel: Some(around.cancel) }
    }
}

/// The mirrors that are meant: those named, or all of the inventory.
///
/// # Errors
/// A mirror is not in the inventory, or its URL is refused.
pub fn places(vault: &Vault, names: &[MirrorName]) -> Result<Vec<Place>, Error> {
    let inventory = &vault.inventory;
    let names: Vec<&MirrorName> = if names.is_empty() { inventory.mirrors.keys().collect() } else { names.iter().collect() };
    names.into_iter().map(|name| place(inventory, name)).collect()
}

/// One mirror of an inventory.
///
/// # Errors
/// The mirror is not in the inventory, or its URL is refused.
pub fn place(inventory: &Inventory, name: &MirrorName) -> Result<Place, Error> {
    let url = inventory.mirror(name)?.url.at(inventory.root()).map_err(MirrorError::from)?;
    let idle = Duration::from_secs(inventory.policy.mirror_timeout.0);
    Ok(Place { name: name.clone(), url, limits: Limits { idle, ..Limits::default() } })
}

/// What a push did, and what it found.
#[derive(Debug)]
pub struct Pushed {
    /// What became of what.
    pub report: PushReport,
    /// What the mirror had lost before it.
    pub lost: Vec<Lost>,
}

/// Pushes to a mirror what it lacks, with what a lost collector is rebuilt from, and records it.
///
/// # Errors
/// The mirror cannot be talked to, or the store refused the record.
pub fn push(vault: &Vault, place: &Place, only: Option<&DeviceName>, around: Surroundings<'_>) -> Result<Pushed, Error> {
    keep_collector(vault)?;
    let repo = vault.store.repo();
    // Whatever the journal tells of now is sent, as a record is committed together with what it records.
    let through = journal_head(&vault.store.refs()?, &vault.inventory.collector);
    let device = only;
    let only = only.cloned().map(Group::Device);
    let refs = vault.store.refs()?;
    let strange = strange_heads(&vault.store, &refs, &vault.trusted.trust, &vault.ring.seen()?, "refs/");
    let held = |name: &str| strange.iter().find(|f| f.reference == name).map(|f| format!("not sent on: {}", f.wrong));
    let pushed = mirror::push_own(place.remote(around), repo, only.as_ref(), &|group| is_own(vault, group), &held);
    let url = place.url.to_string();
    let mut sent = vault.ring.sent(&url)?;
    let lost = match &pushed {
        Ok(report) => mirror::lost(repo, &report.before, &sent)?,
        Err(_) => Vec::new(),
    };
    if let Ok(report) = &pushed {
        // What was taken away here on purpose is not missed there.
        sent.retain(|name, _| refs.get(name).is_some());
        report.acknowledge(&mut sent);
        vault.ring.set_sent(&url, &sent)?;
    }
    let names: Vec<_> = lost.iter().map(|lost| serde_json::Value::from(lost.reference.as_str())).collect();
    let record = |outcome| {
        let record = Record::new("mirror-push", outcome).with("mirror", place.name.as_str());
        if names.is_empty() { record } else { record.with("lost", names.clone()) }
    };
    let record = match &pushed {
        Err(error) => record("failed").with("reason", super::snapshot::reason(error)),
        Ok(report) => {
            let refused: Vec<_> = report.refused().map(|group| serde_json::Value::from(group.group.to_string())).collect();
            match (report.moved(), refused.is_empty()) {
                // Nothing was done, so there is nothing to record.
                (0, true) => return Ok(Pushed { report: pushed?, lost }),
                (moved, true) => record("done").with("refs", moved),
                (moved, false) => record("partly").with("refs", moved).with("refused", refused),
            }
        }
    };
    let record = match (device, through) {
        (Some(device), _) => record.with("device", device.as_str()),
        (None, Some(through)) if record.outcome == "done" => record.with("through", through.to_string()),
        (None, _) => record,
    };
    vault.record([record])?;
    let report = pushed?;
    // The record follows what it records, so that the mirror is not behind by it.
    let journal = Group::Journal(vault.inventory.collector.clone());
    mirror::push(place.remote(around), repo, Some(&journal))?.acknowledge(&mut sent);
    vault.ring.set_sent(&url, &sent)?;
    Ok(Pushed { report, lost })
}

/// Gives the newest commit of a collector's journal.
fn journal_head(refs: &Refs, collector: &CollectorName) -> Option<ObjectId> {
    refs.prefix(&format!("refs/heads/_journal/{collector}/")).last().map(|month| month.id)
}

/// What a mirror is known to have had: everything that the journal of this collector tells of, but for these runs.
///
/// # Errors
/// The journal cannot be read.
pub fn runs_since_push(vault: &Vault, refs: &Refs, mirror: &MirrorName) -> Result<Option<HashSet<String>>, Error> {
    let collector = &vault.inventory.collector;
    let query = JournalQuery { collector: Some(collector.clone()), ..JournalQuery::default() };
    let mut through = None;
    vault.store.each_record(refs, &query, &mut |Entry { record, .. }| {
        let text = |key| record.more.get(key).and_then(serde_json::Value::as_str);
        if record.action != "mirror-push" || text("mirror") != Some(mirror.as_str()) {
            return ControlFlow::Continue(());
        }
        match text("through").and_then(|id| ObjectId::from_hex(id.as_bytes()).ok()) {
            Some(id) => through = Some(id),
            None => return ControlFlow::Continue(()),
        }
        ControlFlow::Break(())
    })?;
    let (Some(through), Some(head)) = (through, journal_head(refs, collector)) else { return Ok(None) };
    let (mut runs, mut at) = (HashSet::new(), head);
    while at != through {
        let corrupt = |what: &str| StoreError::Corrupt { whose: "journal".to_owned(), what: what.to_owned(), id: at };
        let commit = Commit::parse(&vault.store.repo().commit(&at)?).map_err(|e| corrupt(e.0))?;
        let message = Message::parse(&commit.message).map_err(|e| corrupt(e.0))?;
        runs.extend(message.get("Run").map(str::to_owned));
        match commit.parents.first() {
            Some(parent) => at = *parent,
            None => return Ok(None),
        }
    }
    Ok(Some(runs))
}

/// Takes from a mirror what tombstones name; only says what it would be unless `act`.
///
/// # Errors
/// The mirror cannot be talked to.
pub fn forget(vault: &Vault, place: &Place, act: bool, around: Surroundings<'_>) -> Result<MirrorForgotten, Error> {
    let refs: Vec<String> = vault.store.facts().tombstones().map(|(name, _)| name.to_owned()).collect();
    let done = mirror::forget(place.remote(around), &refs, act)?;
    if act && !done.gone.is_empty() {
        let record = Record::new("mirror-forget", if done.refused.is_empty() { "done" } else { "partly" });
        vault.record([record.with("mirror", place.name.as_str()).with("refs", done.gone.clone())])?;
    }
    Ok(done)
}

/// Tells whether this collector writes a group: its own journal, logs and inventory, and the devices of its inventory.
/// Many collectors may share one mirror.
fn is_own(vault: &Vault, group: &Group) -> bool {
    match group {
        Group::Store => true,
        Group::Collector(name) | Group::Journal(name) | Group::Logs(name) => *name == vault.inventory.collector,
        Group::Device(name) => vault.inventory.device(name).is_ok(),
    }
}

/// Compares a mirror with the store; gives also what the mirror has lost of what it once took.
///
/// # Errors
/// The mirror cannot be talked to, or the store cannot be read.
pub fn status(vault: &Vault, place: &Place, around: Surroundings<'_>) -> Result<(Status, Vec<Lost>), Error> {
    let status = mirror::status(place.remote(around), vault.store.repo())?;
    let lost = mirror::lost(vault.store.repo(), &status.groups, &vault.ring.sent(&place.url.to_string())?)?;
    Ok((status, lost))
}

/// Proves by trying that a mirror is append-only.
///
/// # Errors
/// The mirror cannot be talked to.
pub fn prove(place: &Place, around: Surroundings<'_>) -> Result<Proof, MirrorError> {
    mirror::prove(place.remote(around))
}

/// Puts inventory, own profiles and host-key pins into the store, so that a mirror is enough to rebuild the collector.
fn keep_collector(vault: &Vault) -> Result<(), Error> {
    vault.overrides().fit_to_be_sent()?;
    let transaction = vault.begin(&Vault::new_run())?;
    transaction.collector_files(collector_files(vault.root())?);
    vault.commit(transaction)?;
    Ok(())
}
