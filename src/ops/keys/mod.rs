//! Keys of an installation and of a store: founding, joining, recipients, epochs, signers.
//!
//! A store knows who reads and who signs ([`Trust`](crate::seal::Trust)); an installation has private
//! keys outside of the store ([`KeyRing`]), an administrator has others, apart ([`AdminFolder`]).
//!
//! Invariants: what `_store` says counts only after [`trusted`] has followed its line back to a pinned
//! key; a change of `_store` is one signed commit, so a crash leaves it as it was or as it would be.

mod admin;
mod change;
mod found;
mod join;
mod put_back;
mod refresh;
mod ring;
mod trusted;
mod watch;

pub use admin::{AdminFolder, Announce};
pub use change::{Change, Heads, KeyChange, apply, heads_elsewhere, revokes_another, word};
pub use found::{Founded, found};
pub use join::JoinRequest;
pub use put_back::{PutBack, put_back};
pub use refresh::refresh;
pub use ring::{KeyRing, Seen};
pub use trusted::{Trusted, trusted, trusted_to_read, vouch};
pub use watch::{
    WentBack, accept, check_all, check_collector, check_device, check_names, heads, remember, was_removed, went_back,
};

pub(super) use watch::reaches;

use std::path::PathBuf;

use super::signatures::SignatureFinding;
use crate::{fsio, seal, store};

/// Says why keys were not made, found or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The installation has no key folder, or a key in it is missing.
    #[error("A key of this installation is missing: {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is a key where a new one was to be made.
    #[error("A key is there already: {}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file of the key folder is damaged.
    #[error("A file of the key folder does not read ({what}): {}", path.display())]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// `_store` is not signed by those who may.
    #[error("`_store` is not signed by an administrator of this store ({why}): {commit}")]
    Untrusted {
        /// What was found.
        why: String,
        /// The commit.
        commit: String,
    },
    /// `_store` is older than, or beside, what this installation has seen.
    #[error("`_store` went back or aside: this installation has seen {seen}, the store has {found}")]
    RolledBack {
        /// The commit that was seen.
        seen: String,
        /// The commit that is there.
        found: String,
    },
    /// A ref is gone, or older than, or beside, what this installation has seen.
    #[error("The line went back, went aside or is gone: {reference}, seen before at {seen}")]
    LineWentBack {
        /// The ref.
        reference: String,
        /// The commit that was seen.
        seen: String,
    },
    /// A mirror is none of this store, or its `_store` is newer.
    #[error("The mirror is none of this store, or its `_store` is newer than the one here")]
    OtherStore,
    /// A head that nobody has signed who may, and that this installation has not accepted.
    #[error("Signed by nobody whom this store trusts: {0}")]
    Foreign(SignatureFinding),
    /// The key that signs is not an administrator's.
    #[error("Not an administrator of this store: {0}")]
    NotAdministrator(seal::Fingerprint),
    /// A change that would leave nobody who can read, or nobody who can decide.
    #[error("Nobody would be left: {0}")]
    Nobody(&'static str),
    /// What was named is not there.
    #[error("No such {what}: {name}")]
    NoSuch {
        /// What was looked for.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// What was to be added is there.
    #[error("There already: {0}")]
    Already(String),
    /// A device that is to be forgotten is collected still.
    #[error("Device is in the inventory, and only a retired one is forgotten: {0}")]
    InUse(crate::model::DeviceName),
    /// The store keeps its secrets in clear.
    #[error("The store keeps secrets in clear")]
    NotSealing,
    /// A key does not do what was asked.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
}
