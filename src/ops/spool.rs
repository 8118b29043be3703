//! A folder for what is too large for memory while it is collected.

use std::path::Path;

use super::Error;
use crate::fsio::{self, Scratch};

/// Makes one among the caches of a store; it goes with what is returned. What stands in it came from a device as it
/// is, secrets too, so what a killed process left goes first.
///
/// # Errors
/// The disk refused.
pub(super) fn spool(cache: &Path) -> Result<Scratch, Error> {
    fsio::create_dir_all(cache, fsio::PRIVATE_DIR)?;
    Ok(Scratch::new(cache, "spool-")?)
}
