//! Taking over from a mirror what administrators have changed.

use std::collections::{BTreeSet, VecDeque};

use super::trusted::follow;
use super::{KeyError, KeyRing};
use crate::mirror::FetchedFacts;
use crate::store::facts::STORE_REF;
use crate::store::object::{Commit, TREE, parse_tree};
use crate::store::{Batch, Error as StoreError, ObjectId, ObjectKind, RefEdit, Repo, Store};

/// Moves `_store` forward to what came from a mirror, if administrators signed it and it goes on from what
/// is here. Tells whether there was anything new.
///
/// # Errors
/// [`KeyError::Untrusted`], [`KeyError::RolledBack`]: nothing is changed then; or the store refused.
pub fn refresh(store: &Store, ring: &KeyRing, came: &FetchedFacts) -> Result<bool, KeyError> {
    let here = store.facts().commit;
    if came.head == here {
        return Ok(false);
    }
    follow(&came.repo, came.head, &ring.pinned()?, Some(&here.to_string()))?;
    let batch = Batch::begin(store.repo())?;
    let mut copied = BTreeSet::new();
    let mut todo = VecDeque::from([came.head]);
    while let Some(id) = todo.pop_front().filter(|id| *id != here) {
        let data = came.repo.commit(&id)?;
        let commit = Commit::parse(&data).map_err(|_| broken(id))?;
        copy_tree(&came.repo, &batch, commit.tree, &mut copied)?;
        batch.put(ObjectKind::Commit, &data)?;
        todo.extend(commit.parents.first());
    }
    let edit = RefEdit { name: STORE_REF.to_owned(), expected: Some(here), new: Some(came.head) };
    batch.commit(|_, _| Ok::<_, StoreError>(vec![edit]))?;
    ring.change_seen(|seen| Ok(seen.insert(STORE_REF.to_owned(), came.head.to_string())))?;
    Ok(true)
}

fn broken(id: ObjectId) -> KeyError {
    KeyError::Untrusted { why: "it does not read".to_owned(), commit: id.to_string() }
}

fn copy_tree(from: &Repo, to: &Batch, tree: ObjectId, copied: &mut BTreeSet<ObjectId>) -> Result<(), KeyError> {
    if !copied.insert(tree) {
        return Ok(());
    }
    let data = from.tree(&tree)?;
    for entry in parse_tree(&data).map_err(|_| broken(tree))? {
        if entry.mode == TREE {
            copy_tree(from, to, entry.id, copied)?;
        } else if copied.insert(entry.id) {
            to.put(ObjectKind::Blob, &from.blob(&entry.id, 4 << 20)?)?;
        }
    }
    to.put(ObjectKind::Tree, &data)?;
    Ok(())
}
