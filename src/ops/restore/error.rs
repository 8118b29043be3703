//! Why a set was not put back.

use std::io;
use std::path::PathBuf;

use crate::fsio;
use crate::fsio::tree::TreeError;
use crate::ops::signatures::SignatureFinding;
use crate::store;

/// Says why a set was not put back. Nothing is in place then, but where it says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The generation has no such path.
    #[error("No such path in this generation: {}", paths.join(", "))]
    NoSuchPath {
        /// What was asked for.
        paths: Vec<String>,
        /// What may be meant, as `SCOPE/PATH`.
        near: Vec<String>,
    },
    /// Secrets or sealed files are wanted, and no identity opens them.
    #[error("An identity that opens epoch {epoch} is needed for {}, the first: {first}", crate::model::count(*count, "file"))]
    NeedsIdentity {
        /// The epoch.
        epoch: u32,
        /// How many files.
        count: u64,
        /// One of them.
        first: String,
    },
    /// Nobody has signed the generation who may.
    #[error("Signed by nobody whom this store trusts: {0}")]
    Foreign(SignatureFinding),
    /// Something stands there and is not to be overwritten.
    #[error("Already there, {count} in all, the first: {}", first.display())]
    Existing {
        /// How many entries stand there.
        count: u64,
        /// One of them.
        first: PathBuf,
    },
    /// Entries of two scopes have one place.
    #[error("Two entries of the set have one place: {path}")]
    Conflict {
        /// The place.
        path: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The directory.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
    /// A directory cannot be read.
    #[error("Cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Whoever takes the archive refused it.
    #[error("Cannot write the archive")]
    Output(#[source] io::Error),
}
