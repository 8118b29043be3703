//! The `update` hook that makes a bare repository append-only.

/// The hook, a POSIX shell script for `hooks/update` of the mirror.
///
/// git's `receive.denyDeletes` and `receive.denyNonFastForwards` guard branches only. This guards
/// every ref: none is deleted, none moves back or aside, no tag moves at all. It looks past
/// `refs/replace`, by which a pusher could forge ancestry, and refuses refs that a store does not have.
#[must_use]
pub fn hook() -> &'static str {
    include_str!("update.sh")
}
