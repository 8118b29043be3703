//! Remotes: the store pushed to, compared with and rebuilt from another git repository.
//!
//! Transport is the installed `git`, started with a clean environment ([`GitEnv`]), without a
//! terminal, under limits of time ([`Limits`]); the store's own git settings and hooks are never read
//! by it. Objects and refs of the store are read by `store`.
//!
//! Invariants: nothing is ever forced or deleted on a mirror; a device's refs move together or not at
//! all; a device that is refused does not stop the others; what comes from a mirror is proven good in a
//! folder of its own before a ref names it; no message holds a password.
//!
//! `docs/mirror.md` describes what an administrator sees.

mod activity;
mod clone;
mod compare;
mod error;
mod forget;
mod git;
mod hook;
mod independence;
mod inspect;
mod listing;
mod outbox;
mod prove;
mod push;
mod refname;
mod status;

pub use clone::{Cloned, FetchedFacts, clone_store, collector_files, fetch_facts, take_packs};
pub use compare::{GroupStatus, Lost, RefState, RefStatus, lost};
pub use error::MirrorError;
pub use forget::{MirrorForgotten, forget};
pub use git::{GitEnv, Remote, git_version};
pub use hook::hook;
pub use independence::{Independence, independence};
pub use listing::heads;
pub use prove::{Attack, Attempt, Proof, prove};
pub use push::{GroupPush, PushOutcome, PushReport, push, push_own};
pub use refname::Group;
pub use status::{Status, status};
// What may be handed to `git` stands with the other checked values.
pub use crate::model::GitUrl;

use std::time::Duration;

/// Limits of one conversation with a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long `git` and its helpers may do nothing at all (no byte, no computing) before they are ended.
    pub idle: Duration,
    /// How long the conversation may last in all.
    pub total: Duration,
    /// How many bytes may be fetched.
    pub fetched_bytes: u64,
    /// How many bytes of memory a `git` process may take for objects from a mirror.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            total: Duration::from_secs(6 * 3600),
            fetched_bytes: 1 << 40,
            memory_bytes: 1 << 30,
        }
    }
}
