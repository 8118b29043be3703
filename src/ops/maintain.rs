//! Maintenance of the store, with its record in the journal.

use super::{Error, Vault};
use crate::store::Record;
use crate::store::maintain::{self, Effort, Maintained};

/// Folds packs beside running snapshots.
///
/// # Errors
/// The store refused, or `git` failed; the store is then as it was.
pub fn maintain(vault: &Vault, effort: Effort) -> Result<Maintained, Error> {
    let done = maintain::maintain(vault.store.repo(), effort)?;
    let transaction = vault.begin(&Vault::new_run())?;
    let record = Record::new("maintain", "done").with("packs_before", done.packs_before).with("packs_after", done.packs_after);
    transaction.record(record.with("before_bytes", done.before_bytes).with("after_bytes", done.after_bytes));
    transaction.commit()?;
    Ok(done)
}
