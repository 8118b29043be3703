//! What an administrator does: snapshot, restore, check.

pub mod keys;
