//! Why a job could not be done.

use std::path::PathBuf;

/// Says why a job as a whole could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The inventory.
    #[error(transparent)]
    Inventory(#[from] crate::inventory::InventoryError),
    /// A profile.
    #[error(transparent)]
    Profile(#[from] crate::profile::ProfileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A key, or something sealed.
    #[error(transparent)]
    Seal(#[from] crate::seal::Error),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] crate::fsio::Error),
    /// A device could not be collected.
    #[error(transparent)]
    Collect(#[from] crate::collect::CollectError),
    /// Keys of the installation or of the store.
    #[error(transparent)]
    Key(#[from] super::keys::KeyError),
    /// A backup that a device makes of itself.
    #[error(transparent)]
    Backup(#[from] super::backup::BackupError),
    /// A change.
    #[error(transparent)]
    Change(#[from] super::change::ChangeError),
    /// The replacement of a device.
    #[error(transparent)]
    Replace(#[from] super::replace::ReplaceError),
    /// A foreign history.
    #[error(transparent)]
    Import(#[from] super::import::ImportError),
    /// A set that is put back into a folder or an archive.
    #[error(transparent)]
    Restore(#[from] super::restore::RestoreError),
    /// A set that is put back to a device.
    #[error(transparent)]
    DeviceRestore(Box<super::device_restore::DeviceRestoreError>),
    /// An upgrade.
    #[error(transparent)]
    Upgrade(#[from] super::release::UpgradeError),
    /// A drill.
    #[error(transparent)]
    Drill(#[from] super::drill::DrillError),
    /// A review of change notes.
    #[error(transparent)]
    Review(#[from] super::review::ReviewError),
    /// A mirror.
    #[error(transparent)]
    Mirror(#[from] crate::mirror::MirrorError),
    /// Two sets could not be compared.
    #[error(transparent)]
    Diff(#[from] crate::diff::Error),
    /// A text is no point.
    #[error(transparent)]
    Point(#[from] crate::model::PointError),
    /// A text could mean two things.
    #[error("Could be a point and a path: {0}")]
    Ambiguous(String),
    /// Nothing says that the administrators whom the mirror names are the right ones.
    #[error("Whose store this is was not confirmed; its administrators have the keys {}", .0.join(", "))]
    Unconfirmed(Vec<String>),
    /// The mirror names other administrators than the one that was expected.
    #[error("Store has other administrators than the one expected; theirs are {}", .0.join(", "))]
    OtherAdministrator(Vec<String>),
    /// Where a store is to be made, one is already.
    #[error("A store is there already: {}", .0.display())]
    Exists(PathBuf),
    /// The code that works on a device broke; the others were not touched by it.
    #[error("Internal error ({0})")]
    Internal(String),
    /// Another process kept writing to the device.
    #[error("Device was written to by another process each time")]
    Moved,
    /// The disk refused what was collected.
    #[error("Nothing could be kept of {}", listed(devices))]
    Unwritten {
        /// The devices that had ended.
        devices: Vec<crate::model::DeviceName>,
        /// Why.
        source: Box<Error>,
    },
    /// The run was asked to end before this device was begun.
    #[error("Not begun, as the run was stopped")]
    NotBegun,
    /// A job was stopped in its middle.
    #[error("Stopped before it was done")]
    Stopped,
}

impl From<super::device_restore::DeviceRestoreError> for Error {
    fn from(error: super::device_restore::DeviceRestoreError) -> Self {
        match error {
            super::device_restore::DeviceRestoreError::Job(error) => *error,
            other => Self::DeviceRestore(Box::new(other)),
        }
    }
}

/// The first five of several devices.
fn listed(devices: &[crate::model::DeviceName]) -> String {
    let shown = devices.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match devices.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
