//! A change as the journal carries it ("The journal" in `docs/format.md`).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::generation::ChangeId;
use crate::model::{CollectorName, DeviceName, NameError, Phase};

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeEnd {
    /// As it was meant.
    Closed,
    /// Given up.
    Aborted,
}

/// What a device said of its health: a number, or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measured {
    /// How many there are.
    Number(u64),
    /// A state, in the device's words.
    Text(String),
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One count or state by which a device tells whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What is counted, in the words of the profile.
    pub what: String,
    /// What the device said; nothing where it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Measured>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Share of the number before that must come back, in percent; 0: it is only shown.
    #[serde(default)]
    pub at_least: u8,
}

/// The generations that stood before and after a change, by number, and how the device was then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pair {
    /// Before.
    pub pre: u64,
    /// After; nothing while the change is open, and for a device that could not be collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<u64>,
    /// Its health before; nothing for a device that cannot be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_pre: Vec<Reading>,
    /// Its health after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_post: Vec<Reading>,
}

/// One change: who, why, and what stood before and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeItem {
    /// Version of the form: 1.
    pub v: u32,
    /// `T`, or `T/2` for the second under ticket `T`.
    #[serde(with = "id")]
    pub change: ChangeId,
    /// Why it is done, in the words of who does it.
    pub why: String,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The collector that opened it; only it can close it.
    pub collector: CollectorName,
    /// When the snapshots before it were done.
    pub opened: DateTime<Utc>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime<Utc>>,
    /// How it ended; nothing while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ChangeEnd>,
    /// What was said at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The devices.
    pub devices: BTreeMap<DeviceName, Pair>,
}

impl ChangeItem {
    /// Gives the number of the generation that stood before or after it on a device.
    #[must_use]
    pub fn number(&self, device: &DeviceName, phase: Phase) -> Option<u64> {
        let pair = self.devices.get(device)?;
        if phase == Phase::Pre { Some(pair.pre) } else { pair.post }
    }

    /// Writes it as one line of JSON, with LF.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("names, numbers, times and texts are JSON");
        line.push(b'\n');
        line
    }
}

mod id {
    use super::{ChangeId, NameError};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(id: &ChangeId, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ChangeId, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: NameError| D::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_line_and_reads_back() {
        let reading = |value| Reading { what: "trunks".to_owned(), value, failed: None, at_least: 90 };
        let health_pre =
            vec![reading(Some(Measured::Number(7))), reading(Some(Measured::Text("up\n".to_owned()))), reading(None)];
        let one = Pair { pre: 3, post: Some(4), health_pre, health_post: Vec::new() };
        let devices = [("gw-1", one), ("gw-2", Pair { pre: 1, ..Pair::default() })];
        let item = ChangeItem {
            v: 1,
            change: "T-9/2".parse().unwrap(),
            why: "new\ntrunk".to_owned(),
            by: None,
            collector: "central".parse().unwrap(),
            opened: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            ended: None,
            end: None,
            note: None,
            devices: devices.map(|(name, pair)| (name.parse().unwrap(), pair)).into(),
        };
        let line = item.line();
        assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<ChangeItem>(&line).unwrap(), item);
        let number = |name: &str, phase| item.number(&name.parse().unwrap(), phase);
        assert_eq!(number("gw-1", Phase::Post), Some(4));
        assert_eq!(number("gw-2", Phase::Post), None);
        assert_eq!(number("gw-3", Phase::Pre), None);
    }
}
