//! The change around a restore, its record in the journal, and its end.

use std::time::{Duration, Instant};

use super::commands;
use super::error::DeviceRestoreError;
use super::record::{Facts, Mark, Record};
use super::run::{NEVER, Outcome, Report, patiently, settle};
use super::site::{Site, Tools};
use crate::model::{DeviceName, Ticket};
use crate::ops::change::{self, Intent, announced};
use crate::ops::snapshot::{self, World, reason, snapshot};
use crate::ops::{Error, Vault};
use crate::store::{ChangeEnd, ChangeId, ChangeItem, Record as JournalRecord};

/// Why a set that shrank is taken before a restore.
const ACCEPTED: &str = "it is about to be put back";

/// The change that a restore belongs to.
pub(super) struct Change {
    pub(super) ticket: Option<Ticket>,
    pub(super) own: bool,
}

fn open_item(vault: &Vault, device: &DeviceName) -> Result<Option<ChangeItem>, Error> {
    Ok(announced(&vault.store, &vault.store.refs()?)?.change(device).cloned())
}

/// Finds the open change of a device, or the ticket for one that is to be opened. Of what is no whole set there is no
/// snapshot, and so no change.
pub(super) fn find(
    vault: &Vault,
    device: &DeviceName,
    ticket: Option<&Ticket>,
    whole: bool,
) -> Result<Change, DeviceRestoreError> {
    if let Some(item) = open_item(vault, device)? {
        if item.collector != vault.inventory.collector {
            let collector = item.collector.to_string();
            return Err(DeviceRestoreError::Elsewhere { change: item.change, collector });
        }
        return Ok(Change { ticket: Some(item.change.ticket), own: false });
    }
    if !whole {
        return Ok(Change { ticket: None, own: false });
    }
    let made_up = || {
        let text = format!("restore-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S"));
        text.parse().expect("letters, digits and a dash are a ticket")
    };
    Ok(Change { ticket: Some(ticket.cloned().unwrap_or_else(made_up)), own: true })
}

/// Takes the snapshot before: by opening the change, or within the one that is open. One that is open already is
/// of a process that was killed.
pub(super) fn open(site: &Site<'_>, record: &mut Record) -> Result<(), DeviceRestoreError> {
    let vault = site.tools.vault;
    let facts = &record.facts;
    let Some(ticket) = &facts.ticket else {
        record.facts.health = site.health();
        return Ok(vault.record([record_of(&record.facts, "begun")])?);
    };
    let is_open = open_item(vault, &facts.device)?.is_some_and(|item| item.change.ticket == *ticket);
    let report = if facts.own_change && !is_open {
        let intent =
            Intent { devices: vec![facts.device.clone()], ticket: ticket.clone(), why: facts.why.clone(), by: facts.by.clone() };
        change::open_taking(vault, &intent, Some(ACCEPTED), site.tools.world, &mut |_| {})?.report
    } else {
        let options = snapshot::Options {
            devices: vec![facts.device.clone()],
            note: Some(facts.why.clone()),
            accept: Some(ACCEPTED.to_owned()),
            ..snapshot::Options::default()
        };
        snapshot(vault, &options, site.tools.world, &mut |_| {})?
    };
    let unannounced = report.unannounced().next().is_some();
    let mut pre = None;
    for device in report.devices {
        pre = device.number();
        device.result?;
    }
    let before = open_item(vault, &facts.device)?.filter(|_| facts.own_change);
    let before = before.and_then(|item| item.devices.get(&facts.device).map(|pair| pair.health_pre.clone()));
    // A change does not ask a folder.
    let before = before.filter(|health| !health.is_empty());
    record.facts.health = before.unwrap_or_else(|| site.health());
    record.facts.pre = pre;
    record.facts.unannounced |= unannounced;
    Ok(vault.record([record_of(&record.facts, "begun")])?)
}

/// Takes a snapshot of what stands when a restore is taken up, which somebody changed since; gives its number.
pub(super) fn keep_changed(site: &Site<'_>, facts: &Facts, world: &World<'_>) -> Result<Option<u64>, Error> {
    let options = snapshot::Options {
        devices: vec![facts.device.clone()],
        note: Some(format!("as it stood when the restore was taken up ({})", facts.why)),
        accept: Some(ACCEPTED.to_owned()),
        ..snapshot::Options::default()
    };
    let mut number = None;
    for device in snapshot(site.tools.vault, &options, world, &mut |_| {})?.devices {
        number = device.number();
        device.result?;
    }
    Ok(number)
}

/// Ends a restore before anything was done to the device. What fails here is behind an error that is reported.
pub(super) fn give_up(site: &Site<'_>, record: Record, why: &DeviceRestoreError) {
    let vault = site.tools.vault;
    let facts = record.facts.clone();
    let note = format!("the restore was not begun: {}", reason(why));
    if facts.own_change {
        let world = World { cancel: &NEVER, ..*site.tools.world };
        drop(facts.ticket.as_ref().map(|ticket| change::end_own(vault, ticket, ChangeEnd::Aborted, Some(&note), &world)));
    }
    if record.has(&Mark::Opened) {
        drop(vault.record([record_of(&facts, "failed").with("reason", reason(why))]));
    }
    drop(record.end());
}

/// Ends a restore: the snapshot after, the change, the journal. A restore that is stuck stays to be taken up.
pub(super) fn end(
    site: &Site<'_>,
    record: Record,
    outcome: Outcome,
    begun: Instant,
    wait: Duration,
    tell: &mut dyn FnMut(&str),
) -> Report {
    let facts = record.facts.clone();
    let mut report = Report::new(&facts.device, &facts.of, facts.generation, facts.items.len(), outcome);
    let ended = finish(site, record, &facts, &mut report, wait, tell);
    report.trouble = ended.err();
    report.took = begun.elapsed();
    report
}

fn finish(
    site: &Site<'_>,
    record: Record,
    facts: &Facts,
    report: &mut Report,
    wait: Duration,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let tools = site.tools;
    let vault = tools.vault;
    let world = World { cancel: &NEVER, ..*tools.world };
    let item = open_item(vault, &facts.device)?.filter(|item| Some(&item.change.ticket) == facts.ticket.as_ref());
    report.change = item.as_ref().map(|item| item.change.clone());
    report.pre = facts.pre;
    report.unannounced = facts.unannounced;
    let (word, why) = match &report.outcome {
        Outcome::Nothing | Outcome::Done => ("done", None),
        Outcome::WentBack { why, .. } => ("went-back", why.as_ref().map(|error| reason(error))),
        Outcome::Stuck { why, back, .. } => ("stuck", Some(reason(why.as_ref().unwrap_or(back)))),
    };
    let mut entry = record_of(facts, word);
    if let Some(why) = &why {
        entry = entry.with("reason", why.as_str());
    }
    if matches!(report.outcome, Outcome::Stuck { .. }) {
        // The record stays, and so does the change: the restore is taken up again.
        return vault.record([entry]);
    }
    let site = Site::new(Tools { world: &world, ..tools }, &facts.device)?;
    if record.has(&Mark::Kept) {
        report.health = settle(&site, &facts.health, if word == "done" { Duration::ZERO } else { wait }, tell);
    }
    let cleaned = patiently(wait, &world, || commands::clean(&site, &record));
    tell("Taking the snapshot after");
    let ended = after(&site, facts, item.as_ref().map(|item| &item.change), word == "done", why.as_deref(), &world);
    let ended = ended.map(|post| report.post = post);
    vault.record([entry])?;
    record.end()?;
    ended.and(Ok(cleaned?))
}

/// Takes the snapshot after, and ends the change if the restore opened it.
fn after(
    site: &Site<'_>,
    facts: &Facts,
    open: Option<&ChangeId>,
    done: bool,
    why: Option<&str>,
    world: &World<'_>,
) -> Result<Option<u64>, Error> {
    let vault = site.tools.vault;
    let report = match open.filter(|_| facts.own_change) {
        Some(change) => {
            let note = match (done, why) {
                (true, _) => None,
                (false, Some(why)) => Some(format!("went back: {why}")),
                (false, None) => Some("went back, as it was asked for".to_owned()),
            };
            let end_as = if done { ChangeEnd::Closed } else { ChangeEnd::Aborted };
            change::end_own(vault, &change.ticket, end_as, note.as_deref(), world)?.report
        }
        None => {
            let options = snapshot::Options {
                devices: vec![facts.device.clone()],
                note: Some(facts.why.clone()),
                // It is what this restore did.
                announced: true,
                ..snapshot::Options::default()
            };
            snapshot(vault, &options, world, &mut |_| {})?
        }
    };
    let mut post = None;
    for device in report.devices {
        post = device.number();
        device.result?;
    }
    Ok(post)
}

/// What the journal says of a restore to a device.
fn record_of(facts: &Facts, outcome: &str) -> JournalRecord {
    let record = JournalRecord::new("restore", outcome).with("device", facts.device.as_str());
    let record = record.with("of", facts.of.as_str()).with("generation", facts.generation).with("restore", facts.run.as_str());
    let record = record.with("why", facts.why.as_str()).with("entries", facts.items.len());
    let record = match &facts.by {
        Some(by) => record.with("by", by.as_str()),
        None => record,
    };
    match &facts.ticket {
        Some(ticket) => record.with("ticket", ticket.as_str()),
        None => record,
    }
}
