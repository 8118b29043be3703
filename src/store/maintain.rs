//! Folding packs by `git`, beside running writers and readers.

use super::error::Result;
use super::repo::Repo;

/// How much work maintenance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Folds small packs together so that few are left; all objects stay.
    Fold,
    /// Packs everything that a ref reaches into one pack with good deltas; the rest goes.
    Thorough,
}

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Packs before.
    pub packs_before: usize,
    /// Packs after.
    pub packs_after: usize,
    /// Size of all packs and indices before, in bytes.
    pub before_bytes: u64,
    /// Size of all packs and indices after, in bytes.
    pub after_bytes: u64,
}

/// Folds packs.
///
/// # Errors
/// Another maintenance runs, `git` failed, or the disk refused; the store is then as it was.
pub fn maintain(_repo: &Repo, _effort: Effort) -> Result<Maintained> {
    todo!()
}
