//! Ours beside theirs: what each ref of the store is on a mirror.

use std::collections::{BTreeMap, HashSet};

use super::MirrorError;
use super::listing::RemoteRef;
use super::refname::{self, Group, RefKind};
use crate::store::generation::Generation;
use crate::store::object::Commit;
use crate::store::{Error, ObjectId, ObjectKind, Refs, Repo};

/// What a ref of the store is on a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefState {
    /// The mirror has it as it is here.
    Has,
    /// The mirror has an older value; it lacks this many commits.
    Behind(u64),
    /// The mirror does not have the ref.
    Missing,
    /// The mirror has a newer value: somebody else wrote, or this store was put back.
    Ahead,
    /// The mirror has another history.
    Diverged,
    /// The mirror has a commit that this store does not have: it is ahead or diverged.
    Elsewhere,
    /// Only the mirror has the ref.
    RemoteOnly,
}

impl RefState {
    /// Says whether a push may move the ref.
    #[must_use]
    pub fn moves(self) -> bool {
        matches!(self, RefState::Behind(_) | RefState::Missing)
    }

    /// Says whether the ref stands against a push of its device.
    #[must_use]
    pub fn refused(self) -> bool {
        matches!(self, RefState::Ahead | RefState::Diverged | RefState::Elsewhere)
    }

    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefState::Has => "has",
            RefState::Behind(_) => "behind",
            RefState::Missing => "missing",
            RefState::Ahead => "ahead",
            RefState::Diverged => "diverged",
            RefState::Elsewhere => "elsewhere",
            RefState::RemoteOnly => "remote-only",
        }
    }
}

/// One ref, here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefStatus {
    /// The full name.
    pub name: String,
    /// Its value here.
    pub local: Option<ObjectId>,
    /// Its value on the mirror.
    pub remote: Option<ObjectId>,
    /// How they compare.
    pub state: RefState,
}

/// The refs of a device, or of a part of the store, here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// What they are about.
    pub group: Group,
    /// The refs, sorted by name.
    pub refs: Vec<RefStatus>,
    /// By how many generations the mirror's newest is older than ours; of a device only.
    pub behind: Option<u64>,
}

impl GroupStatus {
    /// Says whether the mirror has everything.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.refs.iter().all(|r| matches!(r.state, RefState::Has | RefState::RemoteOnly)) && self.refused().is_none()
    }

    /// Gives the ref that stands against a push of this group, if any.
    ///
    /// A line that only the mirror has counts: its generations have numbers that this store would give
    /// again. A name or large files that only the mirror has were removed here, and stay there.
    #[must_use]
    pub fn refused(&self) -> Option<&RefStatus> {
        let ours = self.refs.iter().any(|r| r.local.is_some());
        let foreign = |r: &RefStatus| {
            ours && r.state == RefState::RemoteOnly
                && matches!(self.group, Group::Device(_))
                && refname::parse(&r.name).is_some_and(|(_, kind)| kind == RefKind::Line)
        };
        self.refs.iter().find(|r| r.state.refused() || foreign(r))
    }

    /// Says whether a push would change something.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.refs.iter().any(|r| r.state.moves())
    }
}

/// A ref that a mirror has had further on, or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The full name.
    pub reference: String,
    /// What the mirror took, as hexadecimal digits.
    pub sent: String,
    /// What it has now; nothing if the ref is gone there.
    pub found: Option<ObjectId>,
}

/// Finds refs of which the mirror has lost what it once took: `sent` names the last such value of each. What is gone
/// from this store, too, was taken away on purpose.
///
/// # Errors
/// A commit is missing or damaged.
pub fn lost(repo: &Repo, groups: &[GroupStatus], sent: &BTreeMap<String, String>) -> Result<Vec<Lost>, MirrorError> {
    let mut all = Vec::new();
    for status in groups.iter().flat_map(|g| &g.refs).filter(|r| r.state.moves()) {
        let Some(sent) = sent.get(&status.name) else { continue };
        let reached = match (status.remote, ObjectId::from_hex(sent.as_bytes())) {
            (Some(remote), Ok(sent)) => distance(repo, remote, sent)?.is_some(),
            _ => false,
        };
        if !reached {
            all.push(Lost { reference: status.name.clone(), sent: sent.clone(), found: status.remote });
        }
    }
    Ok(all)
}

/// Compares all refs, by group. `strange` gets the names of the mirror's refs that are none of a store.
pub(super) fn compare(
    repo: &Repo,
    ours: &Refs,
    theirs: &BTreeMap<String, RemoteRef>,
    strange: &mut Vec<String>,
) -> Result<Vec<GroupStatus>, MirrorError> {
    let mut groups: BTreeMap<Group, Vec<RefStatus>> = BTreeMap::new();
    for local in ours.iter() {
        // What is none of a store's stays here: a mirror takes nothing by accident.
        let Some((group, _)) = refname::parse(local.name) else { continue };
        let remote = theirs.get(local.name);
        let state = match remote {
            None => RefState::Missing,
            Some(remote) if remote.id == local.id => RefState::Has,
            // A name that was given anew to the same generation: the mirror keeps the tag it has.
            Some(remote) if remote.peeled.is_some() && remote.peeled == local.peeled => RefState::Has,
            Some(remote) => relation(repo, local.id, remote.id)?,
        };
        let status = RefStatus { name: local.name.to_owned(), local: Some(local.id), remote: remote.map(|r| r.id), state };
        groups.entry(group).or_default().push(status);
    }
    for (name, remote) in theirs {
        match refname::parse(name) {
            _ if ours.get(name).is_some() => {}
            Some((group, _)) => {
                let state = RefState::RemoteOnly;
                let status = RefStatus { name: name.clone(), local: None, remote: Some(remote.id), state };
                groups.entry(group).or_default().push(status);
            }
            None if name == "HEAD" || name.ends_with(refname::PROBE) => {}
            None => strange.push(name.clone()),
        }
    }
    let status = |(group, mut refs): (Group, Vec<RefStatus>)| {
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        let behind = match group {
            Group::Device(_) if refs.iter().any(|r| r.state.moves()) => Some(distance_of_device(repo, &refs)),
            _ => None,
        };
        GroupStatus { group, refs, behind }
    };
    Ok(groups.into_iter().map(status).collect())
}

/// By how many generations the mirror's newest line is older than ours.
fn distance_of_device(repo: &Repo, refs: &[RefStatus]) -> u64 {
    let number = |id: &ObjectId| Some(Generation::parse(*id, &repo.commit(id).ok()?).ok()?.number);
    let lines = || refs.iter().filter(|r| r.name.starts_with("refs/heads/"));
    let ours = lines().filter_map(|r| number(r.local.as_ref()?)).max().unwrap_or(0);
    let theirs = lines().filter_map(|r| number(r.remote.as_ref()?)).max().unwrap_or(0);
    ours.saturating_sub(theirs)
}

fn relation(repo: &Repo, ours: ObjectId, theirs: ObjectId) -> Result<RefState, MirrorError> {
    match repo.header(&theirs) {
        Ok((ObjectKind::Commit, _)) => {}
        Ok(_) => return Ok(RefState::Diverged),
        Err(Error::ObjectMissing { .. }) => return Ok(RefState::Elsewhere),
        Err(e) => return Err(e.into()),
    }
    if !matches!(repo.header(&ours), Ok((ObjectKind::Commit, _))) {
        return Ok(RefState::Diverged);
    }
    if let Some(count) = distance(repo, ours, theirs)? {
        return Ok(RefState::Behind(count));
    }
    Ok(if distance(repo, theirs, ours)?.is_some() { RefState::Ahead } else { RefState::Diverged })
}

/// Counts the commits from `tip` down to its ancestor `old`; nothing if it is none.
fn distance(repo: &Repo, tip: ObjectId, old: ObjectId) -> Result<Option<u64>, MirrorError> {
    // The line itself first: that is where the answer is in a store that was only added to.
    let mut others = Vec::new();
    let mut seen = HashSet::new();
    let mut at = Some(tip);
    while let Some(id) = at.filter(|id| seen.insert(*id)) {
        if id == old {
            return Ok(Some(seen.len() as u64 - 1));
        }
        let mut parents = parents(repo, id)?.into_iter();
        at = parents.next();
        others.extend(parents);
    }
    while let Some(id) = others.pop() {
        if id == old {
            return Ok(Some(seen.len() as u64));
        }
        if seen.insert(id) {
            others.extend(parents(repo, id)?);
        }
    }
    Ok(None)
}

fn parents(repo: &Repo, id: ObjectId) -> Result<Vec<ObjectId>, MirrorError> {
    let corrupt = |e: crate::store::object::Malformed| Error::ObjectCorrupt { what: e.0.to_owned(), id };
    Ok(Commit::parse(&repo.commit(&id)?).map_err(corrupt)?.parents)
}
