//! Names, journals, logs and the refs that nobody knows.

use std::collections::HashSet;

use gix::ObjectId;

use super::super::history;
use super::super::journal;
use super::super::names;
use super::super::object::Commit;
use super::{Check, Fault, Use};
use crate::model::{CollectorName, DeviceName, Release};

/// Every ref is one that the format knows, and every name is on the generation that it says.
pub(super) fn refs(check: &Check<'_>) {
    for r in check.refs.iter() {
        let known = match r.name.split('/').collect::<Vec<_>>().as_slice() {
            ["refs", "heads", "_store"] => true,
            ["refs", "heads", "_logs" | "_journal", collector, month] => {
                collector.parse::<CollectorName>().is_ok() && month.len() == 7
            }
            ["refs", "heads", "_collector", collector] => collector.parse::<CollectorName>().is_ok(),
            ["refs", "heads", device, release] => {
                // The one written form: else two refs could be one release.
                let exact = |release: &Release| release.to_ref() == *release_part(r.name);
                device.parse::<DeviceName>().is_ok() && Release::from_ref(release).is_ok_and(|r| exact(&r))
            }
            ["refs", "large", device, number] => device.parse::<DeviceName>().is_ok() && number.parse::<u64>().is_ok(),
            ["refs", "tags", device, _] => {
                match device.parse::<DeviceName>() {
                    Ok(device) => name(check, &device, &r),
                    Err(_) => check.find(Fault::Name, "a name of no device", Some(r.id), Some(r.name), &[]),
                }
                true
            }
            _ => false,
        };
        if !known {
            check.find(Fault::Ref, "a ref that the format does not know", Some(r.id), Some(r.name), &[]);
        }
    }
}

fn release_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

fn name(check: &Check<'_>, device: &DeviceName, tag: &super::super::refs::Ref<'_>) {
    let repo = check.store.repo();
    let index = check.devices.iter().position(|d| d == device).and_then(|i| u32::try_from(i).ok());
    match names::read(repo, device, tag) {
        Err(e) => check.error(&e, Some(tag.name), &[]),
        Ok(name) => {
            let uses: Vec<Use> = index.map(|device| Use { device, first: name.number, last: name.number }).into_iter().collect();
            match history::read_generation(repo, device, name.commit) {
                Ok(g) if g.number == name.number && check.uses.contains_key(&g.id) => {}
                Ok(_) => {
                    check.find(Fault::Name, "a name is not on the generation that it says", Some(tag.id), Some(tag.name), &uses)
                }
                Err(e) => check.error(&e, Some(tag.name), &uses),
            }
            if let Ok(Some(used)) = journal::used_name(repo, check.refs, device, &name.name)
                && used != name.number
            {
                check.find(Fault::Name, "a name was given again to another generation", Some(tag.id), Some(tag.name), &uses);
            }
        }
    }
}

/// Journals, logs and the collectors' own branches: unbroken chains whose content reads.
pub(super) fn branches(check: &Check<'_>) {
    let mut reached: HashSet<ObjectId> = HashSet::new();
    let mut heads: Vec<_> = check.refs.prefix("refs/heads/_").collect();
    // The newest month of a journal leads down to all others.
    heads.sort_by(|a, b| b.name.cmp(a.name));
    let mut newest: Option<&str> = None;
    for head in heads {
        let folder = head.name.rsplit_once('/').map_or(head.name, |(folder, _)| folder);
        let journal = head.name.starts_with("refs/heads/_journal/");
        if journal && newest == Some(folder) {
            if !reached.contains(&head.id) {
                check.find(Fault::Journal, "a month of the journal is not behind the next", Some(head.id), Some(head.name), &[]);
            }
        } else {
            newest = Some(folder);
        }
        chain(check, head.name, head.id, journal, &mut reached);
    }
}

fn chain(check: &Check<'_>, name: &str, head: ObjectId, journal: bool, reached: &mut HashSet<ObjectId>) {
    let repo = check.store.repo();
    let mut next = Some(head);
    while let Some(id) = next.take() {
        if !reached.insert(id) {
            return;
        }
        let commit = repo
            .commit(&id)
            .and_then(|data| Commit::parse(&data).map_err(|e| super::Error::ObjectCorrupt { what: e.0.to_owned(), id }));
        let commit = match commit {
            Ok(commit) => commit,
            Err(e) => return check.error(&e, Some(name), &[]),
        };
        if commit.parents.len() > 1 {
            check.find(Fault::Journal, "a commit with more than one parent", Some(id), Some(name), &[]);
        }
        if journal && let Err(e) = journal::records(repo, commit.tree) {
            check.error(&e, Some(name), &[]);
        }
        next = commit.parents.first().copied();
    }
}
