//! Why a change cannot be opened or closed.

use crate::model::{CollectorName, DeviceName, Ticket};
use crate::store::ChangeId;

/// Says why a change cannot be opened, ended or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No device was named.
    #[error("A change needs a device")]
    NoDevice,
    /// Nothing says why.
    #[error("A change needs a reason")]
    NoReason,
    /// A change under the ticket is open.
    #[error("A change is open already under ticket {0}")]
    IsOpen(Ticket),
    /// Another change of the device is open: what it does would count for both.
    #[error("Device {device} is part of an open change: {change}")]
    Busy {
        /// The device.
        device: DeviceName,
        /// The other change.
        change: ChangeId,
    },
    /// A restore of a device of the change runs, or did not end.
    #[error("Change {change} cannot end before the restore of its device {device}")]
    Restoring {
        /// The device.
        device: DeviceName,
        /// The change.
        change: ChangeId,
    },
    /// No change has the ticket, open or not.
    #[error("No change has the ticket {0}")]
    NoTicket(Ticket),
    /// No change under the ticket is open.
    #[error("No change is open under ticket {0}")]
    NotOpen(Ticket),
    /// Another collector opened it.
    #[error("Change {change} was opened by collector {collector}, which must end it")]
    Elsewhere {
        /// The change.
        change: ChangeId,
        /// The collector.
        collector: CollectorName,
    },
    /// There is no such change.
    #[error("No change is known: {0}")]
    Unknown(ChangeId),
}
