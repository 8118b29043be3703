//! A record of what changed nothing in the store itself.

use std::path::Path;

use super::{Error, Vault};
use crate::store::Record;

/// Writes one record into the journal of the installation in the folder `root`.
///
/// # Errors
/// The installation cannot be opened, or the store refused.
pub fn record(root: &Path, record: Record) -> Result<(), Error> {
    Vault::open(root)?.record([record])
}
