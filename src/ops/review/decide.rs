//! What the reviewer decided, kept in the journal.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::{Review, ReviewError};
use crate::model::{DeviceName, Release};
use crate::ops::{Error, Vault};
use crate::store::{JournalQuery, Record, Refs, Store};

/// What is to be done about a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is as it says: nothing is to be done.
    Accept,
    /// The configuration must be adapted.
    Adapt,
    /// It does not matter here.
    Ignore,
}

impl Choice {
    const ALL: [(Choice, &'static str); 3] = [(Choice::Accept, "accept"), (Choice::Adapt, "adapt"), (Choice::Ignore, "ignore")];
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Choice::ALL.iter().find(|(choice, _)| choice == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for Choice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Choice::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(choice, _)| *choice).ok_or_else(|| "`accept`, `adapt` or `ignore` is wanted".to_owned())
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub choice: Choice,
    /// Why.
    pub why: String,
    /// Who said so.
    pub by: Option<String>,
    /// When.
    pub time: DateTime<Utc>,
}

/// Reads the decisions on the notes of a release for a device, by the id of the passage; the newest counts.
pub(super) fn decisions(
    store: &Store,
    refs: &Refs,
    device: &DeviceName,
    new: &Release,
) -> Result<HashMap<String, Decision>, Error> {
    let mut out = HashMap::new();
    for record in of(store, refs, device, new)? {
        let text = |key: &str| record.more.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        if let (Some(item), Ok(choice)) = (text("item"), record.outcome.parse()) {
            let decision = Decision { choice, why: text("why").unwrap_or_default(), by: text("by"), time: record.time };
            out.entry(item).or_insert(decision);
        }
    }
    Ok(out)
}

/// How many items are not decided, as the last review left it; nothing if there was none.
///
/// # Errors
/// The journal cannot be read.
pub fn state(store: &Store, refs: &Refs, device: &DeviceName, new: &Release) -> Result<Option<u64>, Error> {
    let records = of(store, refs, device, new)?;
    Ok(records.iter().find_map(|record| record.more.get("undecided")?.as_u64()))
}

/// The records of a review, newest first.
fn of(store: &Store, refs: &Refs, device: &DeviceName, new: &Release) -> Result<Vec<Record>, Error> {
    let query = JournalQuery { device: Some(device.clone()), ..JournalQuery::default() };
    let mut records = store.journal(refs, &query)?;
    let release = |record: &Record| record.more.get("release").and_then(|r| r.as_str()) == Some(new.as_str());
    records.retain(|record| record.action == "review" && release(record));
    Ok(records)
}

/// Records decisions, and how the review stands with them. Each is of an item by its number in the list (from 1),
/// by its id, or of all that are not decided (`rest`). Without decisions only the state is recorded, if it is
/// not what was recorded last.
///
/// # Errors
/// [`ReviewError::NoItem`], `NoReason`; the store refused.
pub fn decide(
    vault: &Vault,
    review: &mut Review,
    choices: &[(String, Choice)],
    why: Option<&str>,
    by: Option<&str>,
) -> Result<(), Error> {
    let mut records = Vec::new();
    let (release, device) = (review.new.to_string(), review.device.to_string());
    let base = |outcome: &str| {
        let record = Record::new("review", outcome).with("device", device.as_str()).with("release", release.as_str());
        match by {
            Some(by) => record.with("by", by),
            None => record,
        }
    };
    for (which, choice) in choices {
        let why = why.filter(|why| !why.trim().is_empty()).ok_or(ReviewError::NoReason)?;
        let number = which.parse::<usize>().ok().filter(|_| which.len() < 8);
        let mut any = false;
        for (at, item) in review.items.iter_mut().enumerate() {
            let meant = match (which.as_str(), number) {
                ("rest", _) => item.decision.is_none(),
                (_, Some(number)) => at + 1 == number,
                (id, None) => item.id == id,
            };
            if !meant {
                continue;
            }
            any = true;
            let (file, line) = item.places.first().cloned().unwrap_or_default();
            let record = base(&choice.to_string()).with("item", item.id.as_str()).with("notes", file).with("line", line);
            records.push(record.with("topic", item.passage.topic.as_str()).with("why", why));
            let (why, by) = (why.to_owned(), by.map(str::to_owned));
            item.decision = Some(Decision { choice: *choice, why, by, time: Utc::now() });
        }
        if !any && which != "rest" {
            return Err(ReviewError::NoItem(which.clone()).into());
        }
    }
    let refs = vault.store.refs()?;
    let undecided = review.undecided() as u64;
    if records.is_empty() && state(&vault.store, &refs, &review.device, &review.new)? == Some(undecided) {
        return Ok(());
    }
    let state = base(if undecided == 0 { "done" } else { "open" });
    records.push(state.with("items", review.items.len()).with("undecided", undecided).with("generation", review.generation));
    let transaction = vault.store.begin(vault.who(&Vault::new_run()))?;
    records.into_iter().for_each(|record| transaction.record(record));
    vault.commit(transaction)?;
    Ok(())
}
