//! Which devices were proven when, and whose drill is due.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;
use crate::model::{DeviceName, MirrorName};
use crate::store::{Error, Open, Refs, Store};

/// The last drill of a device, as the journal carries it in `open/drills/<device>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Version of the form: 1.
    pub v: u32,
    /// The device.
    pub device: DeviceName,
    /// The run of the drill.
    pub drill: String,
    /// When it was.
    pub time: DateTime<Utc>,
    /// The mirror.
    pub mirror: MirrorName,
    /// The generation that was put back.
    pub generation: Option<u64>,
    /// Whether it proved the device.
    pub passed: bool,
    /// When a drill last proved the device.
    pub proven: Option<DateTime<Utc>>,
}

/// A device, and when its next drill is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The device.
    pub device: DeviceName,
    /// Its last drill.
    pub last: Option<Last>,
    /// When the next is due; nothing where it was never proven, or no policy asks for drills.
    pub due: Option<DateTime<Utc>>,
    /// It is past that.
    pub overdue: bool,
}

/// The last drill of each device, whichever collector did it.
pub(super) fn last(store: &Store, refs: &Refs) -> Result<BTreeMap<DeviceName, Last>, Error> {
    let mut all: BTreeMap<DeviceName, Last> = BTreeMap::new();
    for (what, text) in store.open_items(refs)? {
        let Open::Drill(device) = what else { continue };
        // One that does not read, of a later version, counts as none: the drill is due then.
        let Ok(mut found) = serde_json::from_slice::<Last>(&text) else { continue };
        if let Some(other) = all.remove(&device) {
            let proven = found.proven.max(other.proven);
            found = if other.time > found.time { other } else { found };
            found.proven = proven;
        }
        all.insert(device, found);
    }
    Ok(all)
}

/// When the next drill is due after one that proved something.
pub(super) fn next(proven: DateTime<Utc>, every: crate::inventory::Months) -> DateTime<Utc> {
    proven.checked_add_months(Months::new(every.0)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Says of each device that is collected when its drill is due, the longest overdue first. Without a policy that
/// asks for drills none ever is.
///
/// # Errors
/// The journal cannot be read.
pub fn due(inventory: &Inventory, store: &Store, now: DateTime<Utc>) -> Result<Vec<Due>, Error> {
    let every = inventory.policy.drill_every;
    let refs = store.refs()?;
    let mut last = last(store, &refs)?;
    let there = store.devices(&refs);
    let wanted = inventory.devices().filter(|device| device.enabled && there.binary_search(&device.name).is_ok());
    let mut all: Vec<Due> = wanted
        .map(|device| {
            let last = last.remove(&device.name);
            let due = last.as_ref().and_then(|last| last.proven).zip(every).map(|(proven, every)| next(proven, every));
            Due { device: device.name.clone(), last, due, overdue: every.is_some() && due.is_none_or(|due| due <= now) }
        })
        .collect();
    all.sort_by(|a, b| a.due.cmp(&b.due).then_with(|| a.device.cmp(&b.device)));
    Ok(all)
}
