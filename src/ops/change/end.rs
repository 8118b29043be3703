//! Ending a change.

use chrono::Utc;

use super::open::{numbers, record};
use super::show::summaries;
use super::{ChangeError, Ended};
use crate::model::{DeviceName, Ticket};
use crate::ops::device_restore::unfinished;
use crate::ops::health::measure_all;
use crate::ops::snapshot::{self, DeviceReport, World, snapshot};
use crate::ops::{Error, Reader, Vault};
use crate::store::{ChangeEnd, ChangeItem, GenerationKind, Open};

/// Takes the snapshots after a change, and closes it if all were taken.
///
/// # Errors
/// [`ChangeError::NotOpen`], `NoTicket`, `Elsewhere`, `Restoring`; what stops a run of snapshots as a whole. A device that could not be
/// collected is in the report, and the change stays open.
pub fn close(
    vault: &Vault,
    ticket: &Ticket,
    note: Option<&str>,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Ended, Error> {
    check_restores(vault, ticket)?;
    end(vault, ticket, (ChangeEnd::Closed, note), &[], world, progress)
}

/// Gives a change up. The snapshots after it are taken where they can be; it ends whether or not.
///
/// # Errors
/// As [`close`].
pub fn abort(
    vault: &Vault,
    ticket: &Ticket,
    note: Option<&str>,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Ended, Error> {
    check_restores(vault, ticket)?;
    end(vault, ticket, (ChangeEnd::Aborted, note), &[], world, progress)
}

/// Ends a change that a restore opened for itself, as the last of what it does.
pub(crate) fn end_own(
    vault: &Vault,
    ticket: &Ticket,
    end_as: ChangeEnd,
    note: Option<&str>,
    world: &World<'_>,
) -> Result<Ended, Error> {
    end(vault, ticket, (end_as, note), &[], world, &mut |_| {})
}

/// What a restore does when it is taken up belongs to the change: it must not end before.
fn check_restores(vault: &Vault, ticket: &Ticket) -> Result<(), Error> {
    let item = opened(vault, ticket)?;
    let unfinished = unfinished(vault.root())?;
    match unfinished.into_iter().find(|device| item.devices.contains_key(device)) {
        Some(device) => Err(ChangeError::Restoring { device, change: item.change }.into()),
        None => Ok(()),
    }
}

/// Ends a change; `more` goes into the journal's record.
pub(super) fn end(
    vault: &Vault,
    ticket: &Ticket,
    (end, note): (ChangeEnd, Option<&str>),
    more: &[(&str, serde_json::Value)],
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Ended, Error> {
    let mut item = opened(vault, ticket)?;
    let before = item.line();
    let options = snapshot::Options {
        devices: item.devices.keys().cloned().collect(),
        note: note.map(str::to_owned).or_else(|| Some(item.why.clone())),
        change: Some((GenerationKind::Post, item.change.clone())),
        ..snapshot::Options::default()
    };
    let report = snapshot(vault, &options, world, progress)?;
    let found = numbers(&report);
    let whole = found.len() == item.devices.len();
    for (device, pair) in &mut item.devices {
        pair.post = found.get(device).copied();
    }
    let ends = whole || end == ChangeEnd::Aborted;
    if ends && !found.is_empty() {
        let names: Vec<DeviceName> = found.keys().cloned().collect();
        for (device, readings) in measure_all(vault, &names, world)? {
            item.devices.entry(device).and_modify(|pair| pair.health_post = readings);
        }
    }
    let what = Open::Change(ticket.clone());
    let transaction = vault.begin(&report.run)?;
    let mut outcome = "failed";
    if ends {
        item.end = Some(end);
        item.ended = Some(Utc::now());
        item.note = note.map(str::to_owned);
        outcome = if end == ChangeEnd::Closed { "closed" } else { "aborted" };
        let mut ended = Vec::new();
        let own = |other: &ChangeItem| other.collector == item.collector && other.end.is_some();
        for other in vault.store.changes(transaction.refs(), Some(ticket))?.iter().filter(|other| own(other)) {
            ended.extend_from_slice(&other.line());
        }
        ended.extend_from_slice(&item.line());
        transaction.expect_open(what.clone(), Some(before));
        transaction.set_open(what, None);
        transaction.set_open(Open::Ended(ticket.clone()), Some(ended));
    }
    let record = more.iter().fold(record(outcome, &item), |record, (key, value)| record.with(key, value.clone()));
    transaction.record(match note {
        Some(note) => record.with("note", note),
        None => record,
    });
    vault.commit(transaction)?;
    let reader = Reader::open(vault.root(), None)?;
    let summaries = summaries(&reader, &item, world)?;
    Ok(Ended { report, item, summaries })
}

/// Finds the change that is open under a ticket and may be ended here. The journal of this collector has what
/// it holds word for word, which is compared again when it is committed.
pub(super) fn opened(vault: &Vault, ticket: &Ticket) -> Result<ChangeItem, Error> {
    let refs = vault.store.refs()?;
    let mut open: Vec<ChangeItem> = vault.store.changes(&refs, Some(ticket))?;
    if open.is_empty() {
        return Err(ChangeError::NoTicket(ticket.clone()).into());
    }
    open.retain(|item| item.end.is_none());
    match open.iter().position(|item| item.collector == vault.inventory.collector) {
        Some(at) => Ok(open.swap_remove(at)),
        None => Err(match open.pop() {
            Some(item) => ChangeError::Elsewhere { change: item.change, collector: item.collector }.into(),
            None => ChangeError::NotOpen(ticket.clone()).into(),
        }),
    }
}
