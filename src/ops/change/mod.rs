//! Changes: a snapshot before, one after, who, why, ticket (`docs/changes.md`).
//!
//! The snapshot before is taken of every device, or the change is not open; the change is not closed before
//! the snapshot after is. What stood before and after is carried in the journal, in the same commit that opens
//! or closes, so that the points `pre/T` and `post/T` are there also where a snapshot found nothing new.

mod end;
mod error;
mod open;
mod run;
mod show;

use chrono::{DateTime, Utc};

use super::health::Compared;
use super::snapshot::Report;
use crate::diff::Stats;
use crate::model::{DeviceName, Release};
use crate::store::{ChangeId, ChangeItem, Open, Refs, Store};

pub(crate) use end::end_own;
pub use end::{abort, close};
pub use error::ChangeError;
pub use open::open;
pub(crate) use open::open_taking;
pub use run::{Ran, run};
pub use show::{list, show};

/// What is to be changed, by whom and why.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The devices; at least one.
    pub devices: Vec<DeviceName>,
    /// The ticket.
    pub ticket: crate::model::Ticket,
    /// Why, in words.
    pub why: String,
    /// Who does it.
    pub by: Option<String>,
}

/// A change that was begun.
#[derive(Debug)]
pub struct Opened {
    /// `T`, or `T/2` for the second under ticket `T`.
    pub id: ChangeId,
    /// The snapshots before it.
    pub report: Report,
    /// The change; nothing if a snapshot failed: it is not open then.
    pub item: Option<ChangeItem>,
}

/// A change that ended, or was to.
#[derive(Debug)]
pub struct Ended {
    /// The snapshots after it.
    pub report: Report,
    /// The change; open still, without an end, if a snapshot failed.
    pub item: ChangeItem,
    /// What differs, by device.
    pub summaries: Vec<Summary>,
}

/// A change, with what it did.
#[derive(Debug)]
pub struct Shown {
    /// The change.
    pub item: ChangeItem,
    /// What differs, by device.
    pub summaries: Vec<Summary>,
}

/// What a change did to one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The device.
    pub device: DeviceName,
    /// Number, release and time of the generation that stood before.
    pub pre: (u64, Release, DateTime<Utc>),
    /// The same of the generation that stood after; nothing if there is none.
    pub post: Option<(u64, Release, DateTime<Utc>)>,
    /// What differs between them, volatile lines apart.
    pub stats: Option<Stats>,
    /// How well the device is, beside how it was before; nothing for a device that cannot be asked.
    pub health: Vec<Compared>,
}

/// Finds the open change that a device is part of; also what opens an upgrade announces it.
pub(crate) fn announced(store: &Store, refs: &Refs) -> Result<Announced, crate::store::Error> {
    let changes = store.changes(refs, None)?.into_iter().filter(|item| item.end.is_none()).collect();
    let upgrades = store.open_items(refs)?.into_iter().filter_map(|(what, _)| match what {
        Open::Upgrade(device) => Some(device),
        _ => None,
    });
    Ok(Announced { changes, upgrades: upgrades.collect() })
}

/// What is known to be at work on devices.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    changes: Vec<ChangeItem>,
    upgrades: Vec<DeviceName>,
}

impl Announced {
    /// The open change of a device.
    pub(crate) fn change(&self, device: &DeviceName) -> Option<&ChangeItem> {
        self.changes.iter().find(|item| item.devices.contains_key(device))
    }

    /// Tells whether a difference of the device is expected.
    pub(crate) fn covers(&self, device: &DeviceName) -> bool {
        self.change(device).is_some() || self.upgrades.contains(device)
    }
}
