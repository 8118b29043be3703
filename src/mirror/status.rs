//! What a mirror has of the store.

use std::path::Path;

use super::compare::{self, GroupStatus, RefState};
use super::git::{Call, text};
use super::independence::{Independence, independence};
use super::outbox::Outbox;
use super::{MirrorError, Remote, listing};
use crate::store::Repo;

/// Up to this many refs of which the mirror has something unknown are fetched to learn more.
const MOST_FETCHED: usize = 64;

/// What a mirror has of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// All groups, sorted; also those that only the mirror has.
    pub groups: Vec<GroupStatus>,
    /// Refs of the mirror that are none of a store.
    pub strange: Vec<String>,
    /// How far the mirror is from the store.
    pub independence: Independence,
    /// Whether what is sent could be read and altered on the way.
    pub unprotected: bool,
}

impl Status {
    /// Says whether the mirror has everything that the store has.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.groups.iter().all(GroupStatus::complete)
    }
}

/// Compares a mirror with the store. Writes nothing, here or there.
///
/// # Errors
/// [`MirrorError`] if the mirror cannot be talked to, or the store cannot be read.
pub fn status(remote: Remote<'_>, repo: &Repo) -> Result<Status, MirrorError> {
    let ours = repo.refs()?;
    let theirs = listing::list(remote)?;
    let mut strange = Vec::new();
    let mut groups = compare::compare(repo, &ours, &theirs, &mut strange)?;
    learn(remote, repo, &mut groups)?;
    let independence = independence(remote.url, repo.dir());
    Ok(Status { groups, strange, independence, unprotected: remote.url.is_unprotected() })
}

/// Finds out by a look at the mirror's commits whether it is ahead or has diverged. They come into a
/// repository of their own, which is thrown away.
fn learn(remote: Remote<'_>, repo: &Repo, groups: &mut [GroupStatus]) -> Result<(), MirrorError> {
    let mut unknown: Vec<_> = groups.iter_mut().flat_map(|g| &mut g.refs).filter(|r| r.state == RefState::Elsewhere).collect();
    if unknown.is_empty() || unknown.len() > MOST_FETCHED {
        return Ok(());
    }
    let outbox = Outbox::new(Some(repo))?;
    let names: Vec<String> = unknown.iter().map(|r| r.name.clone()).collect();
    let fetch = Call::networked(remote, "fetch", Some(outbox.path()))
        .arg("--no-tags")
        .arg("--no-write-fetch-head")
        .arg("--quiet")
        .arg("--stdin")
        .arg("--")
        .arg(remote.url.expose())
        .guarded(Some(&outbox.packs()))
        .feed(move |input| names.iter().try_for_each(|name| writeln!(input, "{name}")));
    // A mirror that shows its refs but not its objects is still one whose state is known well enough.
    match fetch.run(text) {
        Ok((_, ended)) if ended.status.success() => {}
        Ok(_) => return Ok(()),
        Err(e) => return Err(e),
    }
    for status in &mut unknown {
        if let (Some(local), Some(theirs)) = (status.local, status.remote) {
            status.state = judge(remote, outbox.path(), &local.to_string(), &theirs.to_string())?;
        }
    }
    Ok(())
}

fn judge(remote: Remote<'_>, dir: &Path, ours: &str, theirs: &str) -> Result<RefState, MirrorError> {
    let call = Call::local(remote, "merge-base", dir).arg("--is-ancestor").arg(ours).arg(theirs);
    let (_, ended) = call.run(text)?;
    Ok(match ended.status.code() {
        Some(0) => RefState::Ahead,
        Some(1) => RefState::Diverged,
        _ => RefState::Elsewhere,
    })
}
