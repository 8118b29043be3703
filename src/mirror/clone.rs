//! Rebuilding a store from its mirror.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::git::{Call, text};
use super::listing::{self, RemoteRef};
use super::{Group, Limits, MirrorError, Remote, inspect, refname};
use crate::fsio::{self, Scratch};
use crate::model::{CollectorName, DeviceName};
use crate::store::facts::{Facts, STORE_REF};
use crate::store::object::{Commit, parse_tree};
use crate::store::{Batch, Error, ObjectId, RefEdit, Repo};

/// What was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloned {
    /// Refs of the new store.
    pub refs: usize,
    /// Objects that came.
    pub objects: u64,
    /// Devices of the new store.
    pub devices: Vec<DeviceName>,
    /// Collectors whose inventory the mirror has; see [`collector_files`].
    pub collectors: Vec<CollectorName>,
    /// Refs of the mirror that are none of a store, and were left out.
    pub left_out: Vec<String>,
}

/// Fetches a store from a mirror and makes it the repository `store`, which must not be there.
///
/// Everything comes into a folder beside it first. Only when every object was checked, every ref has a
/// name that a store can have, and version and features are known, does the folder get the name
/// `store`; else it is removed.
///
/// This proves that what came is whole and harmless, not that it is genuine: signatures and digests
/// are for the caller to check, before the store is trusted.
///
/// # Errors
/// [`MirrorError`]; `store` is then not there.
pub fn clone_store(remote: Remote<'_>, store: &Path) -> Result<Cloned, MirrorError> {
    if std::fs::symlink_metadata(store).is_ok() {
        return Err(MirrorError::Exists { path: store.to_owned() });
    }
    let (mut refs, left_out) = select(listing::list(remote)?);
    if !refs.contains_key(STORE_REF) {
        return Err(MirrorError::NotAStore { url: remote.url.to_string() });
    }
    let above = store.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fsio::create_dir_all(above, fsio::PRIVATE_DIR)?;
    let quarantine = Scratch::new(above, QUARANTINE)?;
    let came = quarantine.dir().join("came.git");
    fetch(remote, &came)?;
    let objects = inspect::objects(remote, &came)?;

    let repo = Repo::create(&quarantine.dir().join("store.git"))?;
    take_packs(&came, &repo)?;
    let edit = |name: &str, id| RefEdit { name: name.to_owned(), expected: None, new: Some(id) };
    Batch::begin(&repo)?.commit(|_, _| Ok::<_, Error>(vec![edit(STORE_REF, refs[STORE_REF].id)]))?;
    // What was erased on purpose does not come back. Whether it was said by those who may is checked by the caller.
    let facts = Facts::read(&repo, &repo.refs()?)?;
    let erased: HashSet<&str> = facts.tombstones().map(|(name, _)| name).collect();
    refs.retain(|name, _| !erased.contains(name.as_str()));
    let mut edits = Vec::with_capacity(refs.len());
    for (name, theirs) in refs.iter().filter(|(name, _)| *name != STORE_REF) {
        // What moved on the mirror since it was listed has both values; what never came is not whole.
        repo.header(&theirs.id)?;
        edits.push(edit(name, theirs.id));
    }
    Batch::begin(&repo)?.commit(|_, _| Ok::<_, Error>(edits))?;
    connected(remote, repo.dir())?;

    let mut devices = Vec::new();
    let mut known = HashSet::new();
    let mut collectors = Vec::new();
    for name in refs.keys() {
        match refname::parse(name) {
            Some((Group::Device(device), _)) if known.insert(device.clone()) => devices.push(device),
            Some((Group::Collector(collector), _)) => collectors.push(collector),
            _ => {}
        }
    }
    fsio::rename(repo.dir(), store)?;
    fsio::sync_dir(above)?;
    Ok(Cloned { refs: refs.len(), objects, devices, collectors, left_out })
}

/// The branch `_store` of a mirror, in a repository of its own that goes when this is dropped.
#[derive(Debug)]
pub struct FetchedFacts {
    /// The repository: checked objects, and nothing but this branch.
    pub repo: Repo,
    /// The head of the branch.
    pub head: ObjectId,
    _quarantine: Scratch,
}

/// Fetches what a mirror says of its store, and nothing else. `above` is a folder to work in.
///
/// This proves that what came is whole and harmless, not that an administrator said it.
///
/// # Errors
/// [`MirrorError`].
pub fn fetch_facts(remote: Remote<'_>, above: &Path) -> Result<FetchedFacts, MirrorError> {
    let quarantine = Scratch::new(above, QUARANTINE)?;
    let came = quarantine.dir().join("came.git");
    let limits = Limits { fetched_bytes: remote.limits.fetched_bytes.min(free_bytes(above)), ..remote.limits };
    let call = Call::networked(Remote { limits, ..remote }, "clone", None)
        .args(["--bare", "--no-local", "--no-hardlinks", "--reject-shallow", "--quiet", "--template="])
        .args(["--single-branch", "--branch", "_store", "--no-tags", "--"])
        .arg(remote.url.expose())
        .arg(&came)
        .guarded(Some(&came.join("objects/pack")));
    let (_, ended) = call.run(text)?;
    ended.good("clone")?;
    inspect::objects(remote, &came)?;
    let head = std::fs::read_to_string(came.join("packed-refs")).unwrap_or_default();
    let head = head.lines().find_map(|line| line.strip_suffix(STORE_REF)?.trim().parse().ok());
    let head: ObjectId = head.ok_or_else(|| MirrorError::NotAStore { url: remote.url.to_string() })?;
    let repo = Repo::create(&quarantine.dir().join("store.git"))?;
    take_packs(&came, &repo)?;
    repo.header(&head)?;
    let edit = RefEdit { name: STORE_REF.to_owned(), expected: None, new: Some(head) };
    Batch::begin(&repo)?.commit(|_, _| Ok::<_, Error>(vec![edit]))?;
    connected(remote, repo.dir())?;
    Facts::read(&repo, &repo.refs()?)?;
    Ok(FetchedFacts { repo, head, _quarantine: quarantine })
}

/// Parts the refs of a store from others, such as a forge's pull requests.
fn select(theirs: BTreeMap<String, RemoteRef>) -> (BTreeMap<String, RemoteRef>, Vec<String>) {
    let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        theirs.into_iter().partition(|(name, _)| refname::parse(name).is_some());
    let strange = others.into_keys().filter(|name| name != "HEAD" && !name.ends_with(refname::PROBE));
    (ours, strange.collect())
}

/// Fetches branches, tags and large files, and nothing else, into a new bare repository.
fn fetch(remote: Remote<'_>, to: &Path) -> Result<(), MirrorError> {
    let above = to.parent().unwrap_or(to);
    let free = free_bytes(above);
    let limits = Limits { fetched_bytes: remote.limits.fetched_bytes.min(free), ..remote.limits };
    let call = Call::networked(Remote { limits, ..remote }, "clone", None)
        .args(["--bare", "--no-local", "--no-hardlinks", "--reject-shallow", "--quiet", "--template="])
        .args(["--config", "remote.origin.fetch=+refs/large/*:refs/large/*", "--"])
        .arg(remote.url.expose())
        .arg(to)
        .guarded(Some(&to.join("objects/pack")));
    let (_, ended) = call.run(text)?;
    ended.good("clone")
}

/// Leaves a tenth of the free space to the machine.
fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize) / 10 * 9)
}

/// Takes packs and indices, and nothing else that lies in a repository: no settings, no hooks. A pack that is there
/// under the same name has the same bytes, or is damaged: it is replaced.
///
/// # Errors
/// The disk refused.
pub fn take_packs(came: &Path, repo: &Repo) -> Result<(), MirrorError> {
    let from = came.join("objects/pack");
    let to = repo.dir().join("objects/pack");
    let unread = |source| MirrorError::Store(Error::Read { path: from.clone(), source });
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&from).map_err(unread)? {
        let name = PathBuf::from(entry.map_err(unread)?.file_name());
        if name.extension().is_some_and(|e| e == "pack" || e == "idx" || e == "rev") {
            names.push(name);
        }
    }
    // The index comes last: a pack is there for readers when its index is.
    names.sort_by_key(|name| name.extension().is_some_and(|e| e == "idx"));
    for name in names {
        let file = from.join(&name);
        let synced = std::fs::File::open(&file).and_then(|f| f.sync_all());
        synced.map_err(|e| fsio::Error::new("sync", &file, e))?;
        fsio::rename(&file, &to.join(&name))?;
    }
    Ok(fsio::sync_dir(&to)?)
}

/// Makes sure that everything that a ref reaches is there.
fn connected(remote: Remote<'_>, dir: &Path) -> Result<(), MirrorError> {
    let call = Call::local(remote, "rev-list", dir).args(["--objects", "--all", "--quiet"]).guarded(None);
    let (_, ended) = call.run(text)?;
    ended.good("rev-list")
}

/// The folder that everything comes into.
const QUARANTINE: &str = ".confvault-incoming-";

/// Reads the files of a collector's branch: its inventory, profiles and host-key pins, by path.
///
/// They are as trustworthy as the mirror until the branch's signature was checked.
///
/// # Errors
/// [`MirrorError::Store`] if the branch is missing or corrupt; [`MirrorError::Hostile`] if it is too large.
pub fn collector_files(repo: &Repo, collector: &CollectorName) -> Result<BTreeMap<String, Vec<u8>>, MirrorError> {
    let name = format!("refs/heads/_collector/{collector}");
    let refs = repo.refs()?;
    let head = refs.get(&name).ok_or_else(|| MirrorError::Collector { names: collectors(&refs) })?;
    let corrupt = |what: &str, id| Error::ObjectCorrupt { what: what.to_owned(), id };
    let commit = Commit::parse(&repo.commit(&head.id)?).map_err(|e| corrupt(e.0, head.id))?;
    let mut files = BTreeMap::new();
    let mut left: u64 = 64 << 20;
    let mut trees: Vec<(String, ObjectId, u8)> = vec![(String::new(), commit.tree, 0)];
    while let Some((prefix, id, depth)) = trees.pop() {
        for entry in parse_tree(&repo.tree(&id)?).map_err(|e| corrupt(e.0, id))? {
            let hostile = |what: &str| MirrorError::Hostile { what: what.to_owned(), id: entry.id.to_string() };
            let part = String::from_utf8(entry.name.clone()).map_err(|_| hostile("a name that is not UTF-8"))?;
            let path = if prefix.is_empty() { part } else { format!("{prefix}/{part}") };
            match entry.mode {
                0o040_000 if depth < 8 => trees.push((path, entry.id, depth + 1)),
                0o100_644 | 0o100_755 => {
                    let bytes = repo.blob(&entry.id, left)?;
                    left = left.saturating_sub(bytes.len() as u64);
                    files.insert(path, bytes);
                }
                _ => return Err(hostile("what is no file in a collector's branch")),
            }
        }
    }
    Ok(files)
}

fn collectors(refs: &crate::store::Refs) -> Vec<String> {
    let prefix = "refs/heads/_collector/";
    refs.prefix(prefix).map(|r| r.name[prefix.len()..].to_owned()).collect()
}
