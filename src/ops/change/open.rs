//! Opening a change.

use std::collections::BTreeMap;

use chrono::Utc;

use super::{ChangeError, Intent, Opened, announced};
use crate::model::DeviceName;
use crate::ops::health::measure_all;
use crate::ops::snapshot::{self, DeviceReport, Report, World, snapshot};
use crate::ops::{Error, Vault};
use crate::store::{ChangeId, ChangeItem, GenerationKind, Open, Pair, Record};

/// Takes the snapshots before a change, and opens it if all were taken.
///
/// # Errors
/// [`ChangeError`] where the change may not be opened; what stops a run of snapshots as a whole. A device that
/// could not be collected is in the report, and the change is not open.
pub fn open(vault: &Vault, intent: &Intent, world: &World<'_>, progress: &mut dyn FnMut(&DeviceReport)) -> Result<Opened, Error> {
    open_taking(vault, intent, None, world, progress)
}

/// As [`open`]; with `accept` the snapshots before take a set that shrank, for this reason.
pub(crate) fn open_taking(
    vault: &Vault,
    intent: &Intent,
    accept: Option<&str>,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Opened, Error> {
    if intent.devices.is_empty() {
        return Err(ChangeError::NoDevice.into());
    }
    if intent.why.trim().is_empty() {
        return Err(ChangeError::NoReason.into());
    }
    let chosen = vault.inventory.select(&intent.devices, &[])?;
    let names: Vec<DeviceName> = chosen.iter().map(|device| device.name.clone()).collect();
    let refs = vault.store.refs()?;
    let before = vault.store.changes(&refs, Some(&intent.ticket))?;
    if before.iter().any(|item| item.end.is_none()) {
        return Err(ChangeError::IsOpen(intent.ticket.clone()).into());
    }
    let nth = before.iter().map(|item| item.change.nth).max().unwrap_or(0) + 1;
    let id = ChangeId { ticket: intent.ticket.clone(), nth };
    let others = announced(&vault.store, &refs)?;
    if let Some((device, other)) = names.iter().find_map(|name| Some((name, others.change(name)?))) {
        return Err(ChangeError::Busy { device: device.clone(), change: other.change.clone() }.into());
    }

    let options = snapshot::Options {
        devices: names,
        note: Some(intent.why.clone()),
        accept: accept.map(str::to_owned),
        change: Some((GenerationKind::Pre, id.clone())),
        ..snapshot::Options::default()
    };
    let report = snapshot(vault, &options, world, progress)?;
    let numbers = numbers(&report);
    let whole = numbers.len() == report.devices.len();
    let names: Vec<DeviceName> = if whole { numbers.keys().cloned().collect() } else { Vec::new() };
    let mut health = if names.is_empty() { BTreeMap::new() } else { measure_all(vault, &names, world)? };
    let mut pair = |name: &DeviceName, pre| Pair { pre, health_pre: health.remove(name).unwrap_or_default(), ..Pair::default() };
    let mut who = vault.who(&report.run);
    who.now = Utc::now();
    let transaction = vault.begin_as(who)?;
    let item = ChangeItem {
        v: 1,
        change: id.clone(),
        why: intent.why.clone(),
        by: intent.by.clone(),
        collector: vault.inventory.collector.clone(),
        opened: Utc::now(),
        ended: None,
        end: None,
        note: None,
        devices: numbers.into_iter().map(|(name, pre)| (name.clone(), pair(&name, pre))).collect(),
    };
    transaction.record(record(if whole { "opened" } else { "failed" }, &item));
    if whole {
        transaction.expect_open(Open::Change(intent.ticket.clone()), None);
        transaction.set_open(Open::Change(intent.ticket.clone()), Some(item.line()));
    }
    vault.commit(transaction)?;
    Ok(Opened { id, report, item: whole.then_some(item) })
}

/// The numbers of the generations that stand now, of the devices that could be collected.
pub(super) fn numbers(report: &Report) -> BTreeMap<DeviceName, u64> {
    report.devices.iter().filter_map(|device| Some((device.device.clone(), device.number()?))).collect()
}

/// What the journal says of a change.
pub(super) fn record(outcome: &str, item: &ChangeItem) -> Record {
    let devices: Vec<String> = item.devices.keys().map(ToString::to_string).collect();
    let record = Record::new("change", outcome).with("change", item.change.to_string()).with("devices", devices);
    let record = record.with("why", item.why.as_str());
    match &item.by {
        Some(by) => record.with("by", by.as_str()),
        None => record,
    }
}
