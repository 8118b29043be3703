//! The journal: what confvault did ("The journal" in `docs/format.md`).

mod read;
mod write;

use std::fmt;

use chrono::{DateTime, Utc};
use gix::ObjectId;
use serde::{Deserialize, Serialize};

pub(super) use read::open_item;
pub use read::{changes, open_items, used_name};
pub(super) use read::{each, records};
pub(super) use write::{Addition, write};

use crate::model::{CollectorName, DeviceName, Ticket};

/// The id of a run: 26 characters that sort by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Makes an id of a time and 10 random bytes.
    #[must_use]
    pub fn new(time: DateTime<Utc>, random: [u8; 10]) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        let number = u128::from_be_bytes(bytes);
        let digit = |i: u32| char::from(DIGITS[usize::try_from((number >> (5 * (25 - i))) & 31).unwrap_or(0)]);
        Self((0..26).map(digit).collect())
    }

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record of the journal.
///
/// The transaction sets time, run, collector and version where they are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the record's form: 1.
    pub v: u32,
    /// When, in UTC.
    pub time: DateTime<Utc>,
    /// The run.
    pub run: String,
    /// `snapshot`, `name`, `unname`, `restore`, `mirror-push`, `init`, `check`, `maintain`, `change`, `drill` …
    pub action: String,
    /// Who.
    pub collector: String,
    /// The version of confvault.
    pub version: String,
    /// `generation`, `unchanged`, `done`, `failed` …
    pub outcome: String,
    /// What the action adds: `device`, `generation`, `release`, `reason`, `devices` …
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Record {
    /// Begins a record.
    #[must_use]
    pub fn new(action: &str, outcome: &str) -> Self {
        Self {
            v: 1,
            time: DateTime::UNIX_EPOCH,
            run: String::new(),
            action: action.to_owned(),
            collector: String::new(),
            version: String::new(),
            outcome: outcome.to_owned(),
            more: serde_json::Map::new(),
        }
    }

    /// Adds what the action adds.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Gives the device, if it is of one.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.more.get("device").and_then(serde_json::Value::as_str)
    }
}

/// A record, and the commit of the journal that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The commit.
    pub commit: ObjectId,
    /// The record.
    pub record: Record,
}

/// Which records to read.
#[derive(Debug, Clone, Default)]
pub struct JournalQuery {
    /// Only those of this time or later; older commits are not read.
    pub since: Option<DateTime<Utc>>,
    /// Only those of one device.
    pub device: Option<DeviceName>,
    /// Only those of one collector.
    pub collector: Option<CollectorName>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// What the journal carries from commit to commit until it is closed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Open {
    /// `open/changes/<ticket>`
    Change(Ticket),
    /// `open/drills/<name>`
    Drill(DeviceName),
    /// `open/upgrades/<device>`
    Upgrade(DeviceName),
    /// `changes/<ticket>`: the changes under a ticket that ended, carried along for good.
    Ended(Ticket),
}

impl Open {
    /// Gives the place in the journal's tree.
    pub(super) fn place(&self) -> String {
        match self {
            Open::Change(ticket) => format!("open/changes/{ticket}"),
            Open::Drill(name) => format!("open/drills/{name}"),
            Open::Upgrade(device) => format!("open/upgrades/{device}"),
            Open::Ended(ticket) => format!("changes/{ticket}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_runs_sort_by_time() {
        let at = |s| DateTime::from_timestamp(s, 0).unwrap();
        let (a, b) = (RunId::new(at(1_700_000_000), [255; 10]), RunId::new(at(1_700_000_001), [0; 10]));
        assert_eq!((a.as_str().len(), b.as_str().len()), (26, 26));
        assert!(a < b, "{a} {b}");
    }

    #[test]
    fn a_record_is_one_line_and_keeps_what_it_does_not_know() {
        let record = Record::new("snapshot", "failed").with("device", "gw-1").with("reason", "a\nb");
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains('\n'), "{text}");
        assert!(text.starts_with("{\"v\":1,\"time\":\"1970-01-01T00:00:00Z\""), "{text}");
        let back: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(back, record);
        assert_eq!(back.device(), Some("gw-1"));
    }
}
