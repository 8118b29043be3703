//! Putting back refs that are gone or went back, where the store still has what they stood on.

use std::path::Path;

use super::watch::reaches;
use super::{KeyError, KeyRing, Seen, WentBack, went_back};
use crate::fsio;
use crate::store::facts::{Facts, STORE_REF};
use crate::store::{Batch, Error as StoreError, ObjectId, ObjectKind, RefEdit, Refs, Repo};

/// How long another writer is waited for.
const WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// What was put back, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Refs that stand again where this installation saw them last.
    pub done: Vec<WentBack>,
    /// Refs whose commit or tag is not in the store any more, or that went aside.
    pub left: Vec<WentBack>,
}

impl PutBack {
    /// The names of the refs that were put back.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.done.iter().map(|back| back.reference.as_str()).collect()
    }

    /// The word for the journal.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        if self.left.is_empty() { "done" } else { "partly" }
    }
}

/// Puts the refs of the store in the folder `dir` back to the heads that this installation has seen, as far as
/// the store has them and nothing stands there that is not behind them. A `packed-refs` that does not read is
/// set aside as `packed-refs.damaged` first.
///
/// # Errors
/// The store does not open, a loose ref is corrupt, or the disk refused.
pub fn put_back(dir: &Path, ring: &KeyRing) -> Result<PutBack, KeyError> {
    let repo = Repo::open(dir)?;
    let seen = ring.seen()?;
    set_aside(&repo)?;
    let mut out = PutBack::default();
    // Without `_store` nobody can say what was erased on purpose.
    Batch::begin(&repo)?.commit(|refs, _| of_store(&repo, refs, &seen, &mut out))?;
    let facts = Facts::read(&repo, &repo.refs()?)?;
    Batch::begin(&repo)?.commit(|refs, _| {
        let mut edits = Vec::new();
        for back in went_back(&repo, &facts, refs, &seen, "refs/")? {
            edits.extend(edit(&repo, back, &mut out)?);
        }
        Ok::<_, KeyError>(edits)
    })?;
    Ok(out)
}

fn of_store(repo: &Repo, refs: &Refs, seen: &Seen, out: &mut PutBack) -> Result<Vec<RefEdit>, KeyError> {
    let Some(commit) = seen.get(STORE_REF) else { return Ok(Vec::new()) };
    let head = refs.get(STORE_REF).map(|r| r.id);
    if let (Some(head), Ok(commit)) = (head, ObjectId::from_hex(commit.as_bytes()))
        && reaches(repo, head, commit)?
    {
        return Ok(Vec::new());
    }
    let found = head.map(|id| id.to_string());
    let back = WentBack { reference: STORE_REF.to_owned(), seen: commit.clone(), found };
    Ok(edit(repo, back, out)?.into_iter().collect())
}

/// The change that puts one ref back, if that can be done.
fn edit(repo: &Repo, back: WentBack, out: &mut PutBack) -> Result<Option<RefEdit>, KeyError> {
    let wanted = if back.reference.starts_with("refs/tags/") { ObjectKind::Tag } else { ObjectKind::Commit };
    let new = ObjectId::from_hex(back.seen.as_bytes()).ok();
    let new = new.filter(|id| repo.header(id).is_ok_and(|(kind, _)| kind == wanted));
    let expected = back.found.as_ref().and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
    let forward = match (new, expected) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(new), Some(old)) => wanted == ObjectKind::Commit && reaches(repo, new, old)?,
    };
    if !forward {
        out.left.push(back);
        return Ok(None);
    }
    let edit = RefEdit { name: back.reference.clone(), expected, new };
    out.done.push(back);
    Ok(Some(edit))
}

fn set_aside(repo: &Repo) -> Result<(), KeyError> {
    let _writers = repo.lock(WAIT)?;
    let packed = repo.dir().join("packed-refs");
    match repo.refs() {
        Err(StoreError::CorruptFile { path, .. }) if path == packed => {
            fsio::rename(&packed, &repo.dir().join("packed-refs.damaged"))?;
            Ok(fsio::sync_dir(repo.dir())?)
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
