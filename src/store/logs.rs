//! Logs: filed with the run that took them, apart from the generations ("Logs").

mod read;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::batch::Batch;
use super::commit::put_commit;
use super::encode::{self, EncodeContext, Reuse};
use super::error::{Error, Result};
use super::generation::FORMAT;
use super::look::Kept;
use super::object::{Commit, Ident, TREE, TreeEntry};
use super::refs::{RefEdit, Refs};
use super::transaction::Who;
use super::tree::put_tree;
use crate::model::{DeviceName, Digest, Entry, Kind};
use crate::seal::DeviceKeys;

pub use read::FiledLogs;
pub(super) use read::{list, open};

/// What became of the logs of one device.
#[derive(Debug, Default)]
pub(super) struct Filed {
    /// The tree of the device, to be filed; nothing: there are none, or the month has them already.
    pub(super) tree: Option<ObjectId>,
    /// What the look remembers: which logs the month has.
    pub(super) remembered: Option<(Digest, String)>,
}

/// Encodes the logs of a device, unless the month has them as they are.
pub(super) fn file(
    context: &EncodeContext<'_>,
    batch: &Batch,
    logs: &[Entry],
    kept: Option<&Kept>,
    now: DateTime<Utc>,
) -> Result<Filed> {
    if logs.is_empty() {
        return Ok(Filed { tree: None, remembered: kept.and_then(|k| k.logs.clone()) });
    }
    let epoch = context.keys.newest();
    let keys = DeviceKeys::derive(context.keys.epoch(epoch).ok_or(Error::NoStoreKey(epoch))?, context.device);
    let mut print = blake3::Hasher::new();
    for entry in logs {
        let plain = match entry.kind {
            Kind::Directory => Digest([0; 32]),
            _ => encode::digest(&keys, &entry.content)?,
        };
        print.update(entry.path.as_bytes()).update(&[0]).update(&entry.mode.to_le_bytes()).update(&plain.0);
    }
    let remembered = Some((Digest(*print.finalize().as_bytes()), month(now)));
    if kept.is_some_and(|k| k.logs == remembered) {
        return Ok(Filed { tree: None, remembered });
    }
    let encoded = encode::encode(context, batch, logs, None, &[], Reuse::Yes)?;
    Ok(Filed { tree: Some(encoded.tree), remembered })
}

fn month(now: DateTime<Utc>) -> String {
    now.format("%Y-%m").to_string()
}

/// Commits the logs of a run. Each month begins a history of its own, so that it can be dropped whole.
pub(super) fn commit(batch: &Batch, refs: &Refs, who: &Who, devices: &BTreeMap<DeviceName, ObjectId>) -> Result<Option<RefEdit>> {
    if devices.is_empty() {
        return Ok(None);
    }
    let name = format!("refs/heads/_logs/{}/{}", who.collector, month(who.now));
    let head = refs.get(&name).map(|r| r.id);
    let entries = devices.iter().map(|(d, id)| TreeEntry { mode: TREE, name: d.as_str().into(), id: *id });
    let tree = put_tree(batch, entries.collect())?;
    let by = Ident::of(&who.collector, who.now);
    let message = format!(
        "Logs of {} devices\n\nConfvault-Format: {FORMAT}\nCollector: {}\nRun: {}\n",
        devices.len(),
        who.collector,
        who.run
    );
    let commit = Commit { tree, parents: head.into_iter().collect(), author: by.clone(), committer: by, message };
    let new = put_commit(batch, &commit, who.signing.as_ref())?;
    Ok(Some(RefEdit { name, expected: head, new: Some(new) }))
}
