//! Maintenance of the store, with its record in the journal.

use std::path::Path;

use super::keys::check_all;
use super::{Error, Vault};
use crate::inventory::STORE_DIR;
use crate::store::maintain::{self, Effort, Maintained};
use crate::store::remake::Remade;
use crate::store::{self, Record};

/// Makes anew what packs of the installation in the folder `root` have lost and what can be told from the rest. The store
/// need not open.
///
/// # Errors
/// Another maintenance runs, or the disk refused.
pub fn remake(root: &Path) -> Result<Remade, Error> {
    Ok(store::remake::remake(&root.join(STORE_DIR))?)
}

/// Folds packs beside running snapshots.
///
/// # Errors
/// A ref is gone that this installation has seen: what it stood on would be taken for litter. The store refused,
/// or `git` failed; the store is then as it was.
pub fn maintain(vault: &Vault, effort: Effort) -> Result<Maintained, Error> {
    check_all(&vault.ring, &vault.store)?;
    let done = maintain::maintain(vault.store.repo(), effort)?;
    let record = Record::new("maintain", "done").with("packs_before", done.packs_before).with("packs_after", done.packs_after);
    vault.record([record.with("before_bytes", done.before_bytes).with("after_bytes", done.after_bytes)])?;
    Ok(done)
}
