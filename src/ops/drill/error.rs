//! Why there was no drill.

use std::path::PathBuf;

use crate::model::DeviceName;

/// Says why a drill was not begun, not ended or not found. What a drill finds is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// There is no mirror to restore from.
    #[error("There is no mirror to restore from")]
    NoMirror,
    /// There are several mirrors and none was named.
    #[error("Choose a mirror: {}", .0.join(", "))]
    WhichMirror(Vec<String>),
    /// No device has a generation.
    #[error("No device of the inventory has a generation")]
    NoDevice,
    /// A device was named more than once.
    #[error("Device was named more than once: {0}")]
    Twice(DeviceName),
    /// The stand-in is the device itself.
    #[error("Stand-in is the device itself: {0}")]
    Itself(DeviceName),
    /// One device is put back to a stand-in.
    #[error("One device is to be named for a stand-in: {0}")]
    OneForOne(DeviceName),
    /// The folder to keep is not empty.
    #[error("Folder is not empty: {}", .0.display())]
    NotEmpty(PathBuf),
    /// It was asked to end; nothing was recorded.
    #[error("The drill was stopped; nothing was recorded")]
    Stopped,
    /// No drill is recorded under this id.
    #[error("No drill is recorded as {0}")]
    Unknown(String),
    /// None is recorded at all.
    #[error("No drill is recorded")]
    Never,
    /// Several ids begin like this.
    #[error("More than one drill is recorded as {0}")]
    Ambiguous(String),
}
