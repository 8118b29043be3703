//! Why a tree could not be written.

use std::path::PathBuf;

use crate::fsio;
use crate::model::ConfigPath;

/// Says why a tree could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The directory to write to is itself a link, which could lead anywhere.
    #[error("Directory to write to is a symbolic link: {}", path.display())]
    RootIsLink {
        /// The link.
        path: PathBuf,
    },
    /// Two entries have one path.
    #[error("Two entries have one path: {path}")]
    Twice {
        /// The path below the directory.
        path: ConfigPath,
    },
    /// What stands there cannot be replaced.
    #[error("In the way stands {found}: {}", path.display())]
    Blocked {
        /// What stands there: `a directory`, `a symbolic link` …
        found: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A directory is not the one that it was a moment ago.
    #[error("Directory was exchanged while it was written to: {}", path.display())]
    Moved {
        /// The directory.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
}
