//! An upgrade: the last generation under the old release gets a name, the first under the new one is checked
//! for what the old set had.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::diff::{Fate, ReleaseDiff, between};
use crate::model::{CollectorName, DeviceName, NameTag, Point, Release, Where};
use crate::ops::review;
use crate::ops::snapshot::{self, DeviceReport, Report, World, snapshot};
use crate::ops::{Error, Reader, Vault};
use crate::store::{Generation, Open, Record, Refs, Store};

/// Says why an upgrade cannot be begun, finished or undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The device has that release.
    #[error("Device {device} has that release already: {release}")]
    Same {
        /// The device.
        device: DeviceName,
        /// The release.
        release: Release,
    },
    /// An upgrade of the device was begun.
    #[error("An upgrade of device {device} was begun already, to release {to}")]
    IsOpen {
        /// The device.
        device: DeviceName,
        /// The new release.
        to: Release,
    },
    /// No upgrade of the device was begun here.
    #[error("No upgrade was begun of device {0}")]
    NotOpen(DeviceName),
    /// What the vendor says of the new release was not read, or not decided.
    #[error("{open} of the vendor's notes are not decided for device {device} and release {release}")]
    NotReviewed {
        /// The device.
        device: DeviceName,
        /// The new release.
        release: Release,
        /// How many: `All`, or a number.
        open: String,
    },
    /// The device still has the old release.
    #[error("Device {device} still has the old release: {release}")]
    NotYet {
        /// The device.
        device: DeviceName,
        /// The old release.
        release: Release,
    },
    /// The device does not have the old release.
    #[error("Device {device} does not have the old release {from}, but {found}")]
    NotBack {
        /// The device.
        device: DeviceName,
        /// The old release.
        from: Release,
        /// The release that it has.
        found: Release,
    },
    /// There is no release to go back to.
    #[error("No other release is known of device {0}")]
    OneRelease(DeviceName),
}

/// An upgrade as the journal carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrading {
    /// Version of the form: 1.
    pub v: u32,
    /// The device.
    pub device: DeviceName,
    /// The old release.
    pub from: Release,
    /// The new release.
    pub to: Release,
    /// The name of the last generation under the old release.
    pub name: NameTag,
    /// Its number.
    pub generation: u64,
    /// Why.
    pub why: String,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The collector.
    pub collector: CollectorName,
    /// When it was begun.
    pub begun: DateTime<Utc>,
}

/// What is to be upgraded.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The device.
    pub device: DeviceName,
    /// The new release.
    pub to: Release,
    /// Why.
    pub why: String,
    /// Who does it.
    pub by: Option<String>,
    /// Begin without a finished review, with these words as the reason.
    pub unreviewed: Option<String>,
}

/// An upgrade that was begun.
#[derive(Debug)]
pub struct Begun {
    /// The snapshot before it.
    pub report: Report,
    /// The upgrade; nothing if the device could not be collected.
    pub upgrade: Option<Upgrading>,
}

/// An upgrade that was finished, or was to.
#[derive(Debug)]
pub struct Finished {
    /// The snapshot after it.
    pub report: Report,
    /// The upgrade.
    pub upgrade: Upgrading,
    /// The number and release of the generation under the new release; nothing if the device could not be
    /// collected.
    pub now: Option<(u64, Release)>,
    /// What differs.
    pub diff: Option<ReleaseDiff>,
    /// What the old set had and the new one lacks: files and settings.
    pub lacks: (usize, usize),
    /// It is over; else it is open still.
    pub closed: bool,
}

/// The way back to the release before.
#[derive(Debug)]
pub struct Way {
    /// The device.
    pub device: DeviceName,
    /// What is there: number and release of the newest generation.
    pub now: (u64, Release),
    /// Where it goes back to.
    pub back: (u64, Release),
    /// The name of that generation, where the upgrade gave it one.
    pub name: Option<NameTag>,
    /// Generations under the new release: what was changed there is lost.
    pub lost: u64,
    /// What differs, from now to then.
    pub diff: ReleaseDiff,
    /// An upgrade is open.
    pub open: bool,
}

/// Takes a snapshot under the old release, names it and opens the upgrade.
///
/// # Errors
/// [`UpgradeError`] where it may not be begun; what stops the snapshot as a whole.
pub fn begin(vault: &Vault, plan: &Plan, world: &World<'_>, progress: &mut dyn FnMut(&DeviceReport)) -> Result<Begun, Error> {
    let device = &plan.device;
    vault.inventory.device(device)?;
    let refs = vault.store.refs()?;
    if let Some(open) = upgrading(&vault.store, &refs, device)? {
        return Err(UpgradeError::IsOpen { device: device.clone(), to: open.to }.into());
    }
    if plan.unreviewed.is_none() {
        let state = review::state(&vault.store, &refs, device, &plan.to)?;
        if state != Some(0) {
            let open = state.map_or_else(|| "All".to_owned(), |open| open.to_string());
            return Err(UpgradeError::NotReviewed { device: device.clone(), release: plan.to.clone(), open }.into());
        }
    }
    let options =
        snapshot::Options { devices: vec![device.clone()], note: Some(plan.why.clone()), ..snapshot::Options::default() };
    let report = snapshot(vault, &options, world, progress)?;
    let Some(number) = report.devices.first().and_then(DeviceReport::number) else {
        return Ok(Begun { report, upgrade: None });
    };
    let transaction = vault.store.begin(vault.who(&report.run))?;
    let last = vault.store.resolve(transaction.refs(), &at(device, number))?;
    if last.release == plan.to {
        return Err(UpgradeError::Same { device: device.clone(), release: plan.to.clone() }.into());
    }
    let name = name_for(vault, transaction.refs(), device, &plan.to, number)?;
    if let Some(name) = &name.1 {
        transaction.name(&last, name, Some(&format!("Last under {} before {}", last.release, plan.to)))?;
    }
    let upgrade = Upgrading {
        v: 1,
        device: device.clone(),
        from: last.release.clone(),
        to: plan.to.clone(),
        name: name.0,
        generation: number,
        why: plan.why.clone(),
        by: plan.by.clone(),
        collector: vault.inventory.collector.clone(),
        begun: Utc::now(),
    };
    let text = serde_json::to_vec(&upgrade).expect("names, numbers, times and texts are JSON");
    transaction.expect_open(Open::Upgrade(device.clone()), None);
    transaction.set_open(Open::Upgrade(device.clone()), Some(text));
    let record = record("begun", &upgrade);
    transaction.record(match &plan.unreviewed {
        Some(why) => record.with("unreviewed", why.as_str()),
        None => record,
    });
    vault.commit(transaction)?;
    Ok(Begun { report, upgrade: Some(upgrade) })
}

/// Takes a snapshot under the new release and checks it for what the old set had. The upgrade is over if nothing
/// lacks, or with `accept` as the reason.
///
/// # Errors
/// [`UpgradeError::NotOpen`], `NotYet`; what stops the snapshot as a whole.
pub fn finish(
    vault: &Vault,
    device: &DeviceName,
    accept: Option<&str>,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Finished, Error> {
    let upgrade = own(vault, device)?;
    let options = snapshot::Options {
        devices: vec![device.clone()],
        note: Some(upgrade.why.clone()),
        // What a release drops may be much; `lacks` says what.
        accept: Some(accept.unwrap_or("release upgrade").to_owned()),
        ..snapshot::Options::default()
    };
    let report = snapshot(vault, &options, world, progress)?;
    let Some(number) = report.devices.first().and_then(DeviceReport::number) else {
        return Ok(Finished { report, upgrade, now: None, diff: None, lacks: (0, 0), closed: false });
    };
    let reader = Reader::open(vault.root(), None)?;
    let refs = reader.store.refs()?;
    let now = reader.store.resolve(&refs, &at(device, number))?;
    if now.release == upgrade.from {
        return Err(UpgradeError::NotYet { device: device.clone(), release: now.release }.into());
    }
    let old = reader.store.resolve(&refs, &at(device, upgrade.generation))?;
    let diff = between(&reader, &refs, &old, &now)?;
    let files = diff.files.iter().filter(|file| matches!(file.fate, Fate::Gone(_))).count();
    let settings = diff.settings.iter().filter(|s| s.set && matches!(s.fate, Fate::Gone(_) | Fate::Renamed { .. })).count();
    let closed = accept.is_some() || files + settings == 0;
    let record = record(if closed { "finished" } else { "lacking" }, &upgrade)
        .with("generation", number)
        .with("found", now.release.as_str())
        .with("lacking_files", files)
        .with("lacking_settings", settings);
    let record = match accept {
        Some(why) => record.with("accepted", why),
        None => record,
    };
    end(vault, &report, device, closed, record)?;
    let now = Some((now.number, now.release));
    Ok(Finished { report, upgrade, now, diff: Some(diff), lacks: (files, settings), closed })
}

/// Plans the way back: to the generation that the upgrade named, else to the newest of the release before.
///
/// # Errors
/// [`UpgradeError::OneRelease`]; a generation cannot be read.
pub fn rollback(reader: &Reader, device: &DeviceName) -> Result<Way, Error> {
    let refs = reader.store.refs()?;
    let now = reader.store.newest(&refs, device)?;
    let open = upgrading(&reader.store, &refs, device)?;
    let is_open = open.is_some();
    let back = match &open {
        Some(open) => reader.store.resolve(&refs, &at(device, open.generation))?,
        None => before(reader, &refs, device, &now)?.ok_or_else(|| UpgradeError::OneRelease(device.clone()))?,
    };
    let names = reader.store.names(&refs, device)?;
    let name = open.map(|open| open.name).or_else(|| names.into_iter().find(|n| n.number == back.number).map(|n| n.name));
    let diff = between(reader, &refs, &now, &back)?;
    let lost = now.number - back.number;
    Ok(Way {
        device: device.clone(),
        now: (now.number, now.release),
        back: (back.number, back.release),
        name,
        lost,
        diff,
        open: is_open,
    })
}

/// Takes a snapshot of a device that went back, and ends its upgrade.
///
/// # Errors
/// [`UpgradeError::NotOpen`], `NotBack`; what stops the snapshot as a whole.
pub fn rolled_back(
    vault: &Vault,
    device: &DeviceName,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Report, Error> {
    let upgrade = own(vault, device)?;
    let note = Some(format!("Back from {}", upgrade.to));
    let options = snapshot::Options { devices: vec![device.clone()], note, ..snapshot::Options::default() };
    let report = snapshot(vault, &options, world, progress)?;
    let Some(number) = report.devices.first().and_then(DeviceReport::number) else { return Ok(report) };
    let now = vault.store.resolve(&vault.store.refs()?, &at(device, number))?;
    if now.release != upgrade.from {
        let (from, found) = (upgrade.from, now.release);
        return Err(UpgradeError::NotBack { device: device.clone(), from, found }.into());
    }
    let same = number == upgrade.generation || {
        let old = vault.store.resolve(&vault.store.refs()?, &at(device, upgrade.generation))?;
        old.set_digest == now.set_digest
    };
    let record = record("rolled-back", &upgrade).with("generation", number).with("as_before", same);
    end(vault, &report, device, true, record)?;
    Ok(report)
}

fn end(vault: &Vault, report: &Report, device: &DeviceName, close: bool, record: Record) -> Result<(), Error> {
    let transaction = vault.store.begin(vault.who(&report.run))?;
    if close {
        transaction.set_open(Open::Upgrade(device.clone()), None);
    }
    transaction.record(record);
    vault.commit(transaction)?;
    Ok(())
}

fn at(device: &DeviceName, number: u64) -> Point {
    Point { device: device.clone(), release: None, at: Where::Number(number) }
}

fn record(outcome: &str, upgrade: &Upgrading) -> Record {
    let record = Record::new("release", outcome)
        .with("device", upgrade.device.as_str())
        .with("from", upgrade.from.as_str())
        .with("to", upgrade.to.as_str())
        .with("name", upgrade.name.as_str())
        .with("why", upgrade.why.as_str());
    match &upgrade.by {
        Some(by) => record.with("by", by.as_str()),
        None => record,
    }
}

/// The open upgrade of a device, whoever opened it.
pub(crate) fn upgrading(store: &Store, refs: &Refs, device: &DeviceName) -> Result<Option<Upgrading>, Error> {
    let open = store.open_items(refs)?.into_iter().find(|(what, _)| *what == Open::Upgrade(device.clone()));
    Ok(open.and_then(|(_, text)| serde_json::from_slice(&text).ok()))
}

fn own(vault: &Vault, device: &DeviceName) -> Result<Upgrading, Error> {
    vault.inventory.device(device)?;
    let open = upgrading(&vault.store, &vault.store.refs()?, device)?;
    let own = open.filter(|open| open.collector == vault.inventory.collector);
    own.ok_or_else(|| UpgradeError::NotOpen(device.clone()).into())
}

/// The newest generation under another release.
fn before(reader: &Reader, refs: &Refs, device: &DeviceName, now: &Generation) -> Result<Option<Generation>, Error> {
    for generation in reader.store.history(refs, device)? {
        let generation = generation?;
        if generation.release != now.release {
            return Ok(Some(generation));
        }
    }
    Ok(None)
}

/// Gives the name of the last generation before a release, and again if it is to be given yet.
fn name_for(
    vault: &Vault,
    refs: &Refs,
    device: &DeviceName,
    to: &Release,
    number: u64,
) -> Result<(NameTag, Option<NameTag>), Error> {
    let clean: String = to.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '.' }).collect();
    let mut clean: String = clean.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    clean.truncate(80);
    let there = vault.store.names(refs, device)?;
    for nth in 1..1000 {
        let text = if nth == 1 { format!("before-{clean}") } else { format!("before-{clean}-{nth}") };
        let Ok(name) = text.trim_end_matches('.').parse::<NameTag>() else { continue };
        match there.iter().find(|known| known.name == name) {
            Some(known) if known.number == number => return Ok((name, None)),
            Some(_) => continue,
            None if vault.store.name_was_used(refs, device, &name)?.is_some_and(|used| used != number) => continue,
            None => return Ok((name.clone(), Some(name))),
        }
    }
    Err(Error::Internal(format!("no name is left for device {device}")))
}
