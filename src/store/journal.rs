//! The journal: what confvault did ("The journal" in `docs/format.md`).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
}
