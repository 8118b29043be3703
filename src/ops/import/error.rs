//! Why a foreign history, or a device of it, cannot be taken over.

use crate::model::{DeviceName, NameError};
use crate::store::ForeignError;

/// Says why a foreign history, or a device of it, cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] ForeignError),
    /// No file of the whole history is one of a device.
    #[error("No file of the history is one of a device, of {files} in all")]
    NoDevices {
        /// How many files there are.
        files: usize,
    },
    /// A commit changes more files than the limit.
    #[error("A commit changes more than {limit} files: {commit}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// The commit.
        commit: String,
    },
    /// The expression that finds devices does not compile, or lacks its group.
    #[error("Not an expression with a group `device`: {0}")]
    Pattern(String),
    /// What stands for a device in the repository cannot be the name of one.
    #[error("Name cannot be that of a device")]
    Name(#[from] NameError),
    /// Two files are the same file of a device at the same time.
    #[error("Two files are one file of the device at the same time: {}, {}", .0[0], .0[1])]
    Twice([String; 2]),
    /// Nothing says which profile the device has.
    #[error("Profile is not known{}", .model.as_ref().map_or_else(String::new, |model| format!(", and none is for the model {model}")))]
    NoProfile {
        /// The model that the other program has for it.
        model: Option<String>,
    },
    /// Nothing says which release a state is of, and there is none before it.
    #[error("Release of its first state is not known, of commit {commit}")]
    NoRelease {
        /// The commit.
        commit: String,
    },
    /// The device has generations that confvault collected, and the other program went on.
    #[error("Device has generations of its own by now ({number} is the newest), and the repository has later states of it")]
    Collected {
        /// The newest generation.
        number: u64,
    },
    /// The device was imported from another history.
    #[error("Device was imported from another history, up to commit {commit}")]
    OtherHistory {
        /// The last commit that was imported.
        commit: String,
    },
    /// No device of this name stands in the history.
    #[error("History has no such device: {0}")]
    NoSuch(DeviceName),
}
