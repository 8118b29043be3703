//! What can go wrong with an inventory.

use std::path::PathBuf;

use crate::model::{DeviceName, MirrorName, NameError};

use super::UrlError;

/// Says why an inventory cannot be read or changed. No variant holds text of the file that could
/// be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// Neither the folder nor one above it holds a `confvault.toml`.
    #[error("No confvault.toml here or in a folder above: {}", .0.display())]
    NotFound(PathBuf),
    /// The file cannot be read.
    #[error("Cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] crate::fsio::Error),
    /// The file is not TOML, or a key or value is not one of the inventory.
    #[error("Line {line} of {}{}", .file.display(), .key.as_ref().map(|k| format!(", key {k}")).unwrap_or_default())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key with the table that it stands in.
        key: Option<String>,
        /// What is wrong.
        #[source]
        source: Detail,
    },
    /// Two files have one device.
    #[error("Device {name} stands in two files: {}, {}", .files[0].display(), .files[1].display())]
    Twice {
        /// The device.
        name: DeviceName,
        /// The files.
        files: Box<[PathBuf; 2]>,
    },
    /// A device has this name already.
    #[error("Device exists already: {0}")]
    Exists(DeviceName),
    /// No device has this name.
    #[error("No such device in the inventory: {0}")]
    NoDevice(DeviceName),
    /// A mirror has this name already.
    #[error("Mirror exists already: {0}")]
    MirrorExists(MirrorName),
    /// No mirror has this name.
    #[error("No such mirror in the inventory: {0}")]
    NoMirror(MirrorName),
    /// A folder holds no folder that could be a device.
    #[error("No folder of a device in {}", .0.display())]
    NoFolders(PathBuf),
    /// A folder's name cannot be the name of a device.
    #[error("A folder's name is not the name of a device")]
    Folder(#[source] NameError),
    /// A source or mirror has a URL that cannot be used.
    #[error("The URL cannot be used")]
    Url(#[from] UrlError),
}

/// What is wrong at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Detail(pub(super) String);
