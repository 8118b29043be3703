//! What can go wrong with a mirror.

use std::io;
use std::path::PathBuf;

use crate::fsio;
use crate::store;

/// Says what went wrong with a mirror. No text holds a password of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The URL is refused.
    #[error(transparent)]
    Url(#[from] crate::model::UrlError),
    /// `git` could not be started.
    #[error("Cannot start `git`")]
    NoGit {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Talking to `git` failed.
    #[error("Cannot talk to `git {command}`")]
    Pipe {
        /// The subcommand.
        command: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `git` failed; its last words, escape codes and URL passwords removed.
    #[error("`git {command}` failed: {message}")]
    Git {
        /// The subcommand.
        command: &'static str,
        /// Its last words.
        message: String,
    },
    /// The remote said nothing for too long.
    #[error("Mirror was silent for {seconds} s: {url}")]
    Silent {
        /// The limit in seconds.
        seconds: u64,
        /// The URL, without what could be secret.
        url: String,
    },
    /// The remote took too long in all.
    #[error("Mirror took longer than {seconds} s: {url}")]
    TooLong {
        /// The limit in seconds.
        seconds: u64,
        /// The URL, without what could be secret.
        url: String,
    },
    /// The remote sent more than the limit.
    #[error("Mirror sent more than {limit} bytes: {url}")]
    TooMuch {
        /// The limit in bytes.
        limit: u64,
        /// The URL, without what could be secret.
        url: String,
    },
    /// The run was cancelled.
    #[error("Cancelled")]
    Cancelled,
    /// The remote holds no store.
    #[error("Mirror holds no store (no branch `_store`): {url}")]
    NotAStore {
        /// The URL, without what could be secret.
        url: String,
    },
    /// What the remote holds must not be taken over.
    #[error("Mirror holds what must not be taken over ({what}): {id}")]
    Hostile {
        /// What is wrong.
        what: String,
        /// The object or ref.
        id: String,
    },
    /// The remote names its store's version or a feature that this program does not know.
    #[error("Store of the mirror is of a kind that this version does not know: {what}")]
    Unknown {
        /// The version line or the feature.
        what: String,
    },
    /// No collector of this name, or none was named and there are several.
    #[error("Choose a collector; the mirror has: {}", names.join(", "))]
    Collector {
        /// The collectors of the mirror.
        names: Vec<String>,
    },
    /// Something is already where the store is to be.
    #[error("Already there: {}", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
}
