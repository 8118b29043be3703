//! Logs, read back: which are filed, and the set of one device as one commit has it.

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::super::decode::{Access, SetReader};
use super::super::error::{Error, Result};
use super::super::generation::{Changed, Generation, GenerationKind, Message};
use super::super::manifest::{self, Manifest};
use super::super::object::Commit;
use super::super::refs::Refs;
use super::super::repo::Repo;
use super::super::store::Store;
use super::super::tree::{Trees, read_tree};
use crate::model::{CollectorName, DeviceName, Digest, Release, Scope};

/// The logs of one device that were committed with one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledLogs {
    /// The device.
    pub device: DeviceName,
    /// The collector that filed them.
    pub collector: CollectorName,
    /// The ref of the month, from `refs/` on.
    pub reference: String,
    /// The commit.
    pub commit: ObjectId,
    /// When they were filed.
    pub time: DateTime<Utc>,
    /// The run in the journal.
    pub run: Option<String>,
    /// The tree of the device.
    tree: ObjectId,
}

impl FiledLogs {
    /// The month, as `YYYY-MM`.
    #[must_use]
    pub fn month(&self) -> &str {
        self.reference.rsplit('/').next().unwrap_or_default()
    }
}

/// Lists what is filed, of one device or of all, newest first.
pub(in crate::store) fn list(repo: &Repo, refs: &Refs, device: Option<&DeviceName>) -> Result<Vec<FiledLogs>> {
    let mut all = Vec::new();
    for month in refs.prefix("refs/heads/_logs/") {
        let Some(collector) = month.name.split('/').nth(3).and_then(|name| name.parse::<CollectorName>().ok()) else { continue };
        let mut next = Some(month.id);
        while let Some(id) = next.take() {
            let corrupt = |what: &str| Error::Corrupt { whose: "logs".to_owned(), what: what.to_owned(), id };
            let commit = Commit::parse(&repo.commit(&id)?).map_err(|e| corrupt(e.0))?;
            let run = Message::parse(&commit.message).map_err(|e| corrupt(e.0))?.get("Run").map(str::to_owned);
            for entry in read_tree(repo, commit.tree)? {
                let name = std::str::from_utf8(&entry.name).ok().and_then(|name| name.parse::<DeviceName>().ok());
                let name = name.ok_or_else(|| corrupt("logs of no device"))?;
                if device.is_none_or(|device| *device == name) {
                    all.push(FiledLogs {
                        device: name,
                        collector: collector.clone(),
                        reference: month.name.to_owned(),
                        commit: id,
                        time: commit.committer.time,
                        run: run.clone(),
                        tree: entry.id,
                    });
                }
            }
            next = commit.parents.first().copied();
        }
    }
    // Commits of one month are as they were made, whatever the clock said.
    all.sort_by_key(|filed| std::cmp::Reverse(filed.time));
    Ok(all)
}

/// Begins to read logs. They have no generation; number 0 stands for it in messages.
pub(in crate::store) fn open<'a>(store: &'a Store, refs: &Refs, filed: &FiledLogs, access: Access<'a>) -> Result<SetReader<'a>> {
    let corrupt = |what: &str| Error::Corrupt { whose: filed.device.to_string(), what: what.to_owned(), id: filed.commit };
    let place = [b".confvault".as_slice(), b"manifest"];
    let found = Trees::new(store.repo()).find(filed.tree, place.into_iter())?;
    let (_, id) = found.ok_or_else(|| corrupt("logs without a manifest"))?;
    let text = store.repo().blob(&id, manifest::MAX_BYTES as u64)?;
    let wrong = |source| Error::Manifest { device: filed.device.clone(), number: 0, source };
    let manifest = Manifest::parse(&text).map_err(wrong)?;
    if manifest.lines.iter().any(|line| line.scope != Scope::Logs) {
        return Err(corrupt("logs with something that is none"));
    }
    let generation = Generation {
        device: filed.device.clone(),
        release: Release::from_ref("logs").map_err(|_| corrupt("logs without a release"))?,
        number: 0,
        id: filed.commit,
        tree: filed.tree,
        parents: Vec::new(),
        time: filed.time,
        author: (filed.collector.to_string(), String::new()),
        committed: filed.time,
        collector: filed.collector.clone(),
        kind: GenerationKind::Snapshot,
        note: None,
        changed: Changed::default(),
        set_digest: Digest(*blake3::hash(&text).as_bytes()),
        features: Vec::new(),
        change: None,
        run: filed.run.clone(),
        accepted: None,
        imported: None,
    };
    Ok(SetReader::of(store, refs, generation, manifest, access))
}
