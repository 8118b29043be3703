//! What an administrator does: snapshot, restore, check.
