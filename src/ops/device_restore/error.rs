//! Why a set was not put back to a device.

use std::fmt;

use crate::collect::act::ActError;
use crate::model::{ConfigPath, DeviceName, Release};
use crate::ops::restore::RestoreError;
use crate::store::ChangeId;

/// A step on the device that failed, with what the device said where that may be shown.
#[derive(Debug)]
pub struct Failed {
    /// The step.
    pub source: ActError,
    /// A line of what a command said, secrets taken out.
    pub said: Option<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        match &self.said {
            Some(said) => write!(f, ", which said: {said}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Says why a set was not put back to a device. Nothing was done to the device where it does not say so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceRestoreError {
    /// The profile does not say how a set of the device is put back.
    #[error("Profile does not say how a set is put back: {0}")]
    NoMethod(String),
    /// The way back is kept sealed, and could not be opened.
    #[error("An identity is needed to put a set back to a device: what stands there is kept sealed for the way back")]
    NeedsIdentity,
    /// A command of this machine has no program, which would be found out when files were moved already.
    #[error("Program is not on the PATH of this machine: {program}, where `{command}` runs")]
    NoProgram {
        /// The program.
        program: String,
        /// The command that begins with it.
        command: String,
    },
    /// The device runs another release than the point.
    #[error("Device runs another release: {} in place of {wanted}", .runs.as_ref().map_or("one that cannot be told", Release::as_str))]
    OtherRelease {
        /// The release of the device, if it can be told.
        runs: Option<Release>,
        /// The release of the point.
        wanted: Release,
    },
    /// Something stands in the way.
    #[error("In the way stands {what}, {count} in all: {path}")]
    Blocked {
        /// What it is.
        what: String,
        /// Where the first is.
        path: ConfigPath,
        /// How many there are.
        count: usize,
    },
    /// What stands on the device is no whole set, so that there can be no snapshot of it.
    #[error("Device has no whole set, so that no snapshot of it can be taken ({why})")]
    NotWhole {
        /// Why.
        why: String,
    },
    /// The name of the device means another place than when the restore began.
    #[error("Restore of {device} began on another device: {what}")]
    Moved {
        /// The name.
        device: DeviceName,
        /// What is another one, in words.
        what: String,
    },
    /// Somebody changed the device since a restore stopped, and there can be no snapshot of it.
    #[error(
        "Device was changed since the restore stopped, {count} in all, and no snapshot of it can be taken ({why}), the first: {first}"
    )]
    NotKept {
        /// How many entries stand neither as before nor as at the point.
        count: usize,
        /// One of them.
        first: ConfigPath,
        /// Why there is no snapshot.
        why: String,
    },
    /// A restore of the device did not end.
    #[error("A restore of the device did not end: {0}")]
    Unfinished(DeviceName),
    /// Another process puts a set back to the device.
    #[error("Another process puts a set back to the device: {0}")]
    Running(DeviceName),
    /// There is no restore that did not end.
    #[error("No restore is unfinished{}", .0.as_ref().map(|name| format!(" for device {name}")).unwrap_or_default())]
    NothingUnfinished(Option<DeviceName>),
    /// There are several, and none was named.
    #[error("More than one restore is unfinished: {}", .0.iter().map(DeviceName::as_str).collect::<Vec<_>>().join(", "))]
    SeveralUnfinished(Vec<DeviceName>),
    /// The record of an unfinished restore cannot be used.
    #[error("Record of the restore cannot be used ({what}): {}", path.display())]
    Record {
        /// What is wrong with it.
        what: &'static str,
        /// The file.
        path: std::path::PathBuf,
    },
    /// The device is part of a change that another collector opened.
    #[error("Device is part of a change that collector {collector} opened: {change}")]
    Elsewhere {
        /// The change.
        change: ChangeId,
        /// The collector.
        collector: String,
    },
    /// The device is not what it was when the plan was made.
    #[error("Device changed since the plan was shown")]
    Changed,
    /// A step on the device failed.
    #[error(transparent)]
    Step(Failed),
    /// After everything was done, the device is not as the point.
    #[error("Device is not as it should be after the restore, {count} differ, the first: {first}")]
    Differs {
        /// How many entries differ.
        count: usize,
        /// One of them.
        first: ConfigPath,
    },
    /// No health of the device is known before, which could be required.
    #[error("Nothing is known of the health of the device, so that none can be required: {0}")]
    NoHealth(DeviceName),
    /// The health of the device did not come back in time.
    #[error("Health of the device did not come back within {seconds} s: {}", .what.join(", "))]
    Health {
        /// How long it was waited for.
        seconds: u64,
        /// What is worse than before.
        what: Vec<String>,
    },
    /// What is to be put back cannot be had.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// What the job as a whole failed with.
    #[error(transparent)]
    Job(#[from] Box<crate::ops::Error>),
}

impl From<crate::ops::Error> for DeviceRestoreError {
    fn from(error: crate::ops::Error) -> Self {
        match error {
            crate::ops::Error::DeviceRestore(error) => *error,
            crate::ops::Error::Restore(error) => Self::Restore(error),
            other => Self::Job(Box::new(other)),
        }
    }
}

impl From<crate::fsio::Error> for DeviceRestoreError {
    fn from(error: crate::fsio::Error) -> Self {
        crate::ops::Error::from(error).into()
    }
}

impl From<crate::store::Error> for DeviceRestoreError {
    fn from(error: crate::store::Error) -> Self {
        crate::ops::Error::from(error).into()
    }
}

impl From<crate::seal::Error> for DeviceRestoreError {
    fn from(error: crate::seal::Error) -> Self {
        crate::ops::Error::from(error).into()
    }
}
