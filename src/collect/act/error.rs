//! Why a step on a device failed.

use std::fmt;

use crate::collect::ssh::UploadError;
use crate::collect::{CollectError, ConnectError};
use crate::inventory::SourceUrl;

/// What a command said. It can hold text of a configuration, so no `Debug` or `Display` shows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Said(Vec<u8>);

impl Said {
    /// How much is kept, in bytes.
    pub const LIMIT: usize = 16 << 10;

    /// Takes over what was said; only the last [`Said::LIMIT`] bytes are kept.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let far = bytes.len().saturating_sub(Self::LIMIT);
        bytes.drain(..far);
        Self(bytes)
    }

    /// Gives the bytes. Whoever shows them takes the secrets out first.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Said({} bytes)", self.0.len())
    }
}

/// Says why a step on a device failed. Holds no text of a configuration but in [`Said`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// The device cannot be reached, or the connection broke.
    #[error("Device cannot be worked on")]
    Open(#[from] CollectError),
    /// Nothing can be done on such a device from here.
    #[error("Nothing can be put back to a device with this source: {0}")]
    NotSupported(SourceUrl),
    /// The source is not of files.
    #[error("Source of the device is not of files")]
    NoFiles,
    /// A command ended badly.
    #[error("Command failed with {}: {command}", words(*status))]
    Status {
        /// The command.
        command: String,
        /// Its exit status; nothing where a signal or the device ended it.
        status: Option<i32>,
        /// What it said.
        said: Said,
    },
    /// What the profile calls success is not in the answer of a command.
    #[error("Answer has not what means success ({wanted}): {command}")]
    NotOk {
        /// The command.
        command: String,
        /// The expression of the profile.
        wanted: String,
        /// What it said.
        said: Said,
    },
    /// What the profile calls failure is in the answer of a command.
    #[error("Answer has what means failure ({found}): {command}")]
    Fails {
        /// The command.
        command: String,
        /// The expression of the profile.
        found: String,
        /// What it said.
        said: Said,
    },
    /// The device is at work on something else.
    #[error("Device is busy: {command}")]
    Busy {
        /// The command.
        command: String,
        /// What it said.
        said: Said,
    },
    /// A command was silent for too long.
    #[error("Command was silent for {seconds} s: {command}")]
    Silent {
        /// The command.
        command: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// A command said more than it may.
    #[error("Command said more than {limit} bytes: {command}")]
    Flood {
        /// The command.
        command: String,
        /// The limit.
        limit: u64,
    },
    /// A command could not be started.
    #[error("Command cannot be started: {command}")]
    Start {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder above a file is a link, is reached through one, or is not there.
    #[error("Folder above is a link, or is not there: {path}")]
    LinkAbove {
        /// The path, in its written form.
        path: String,
    },
    /// The device refused a step.
    #[error("Device refused to {doing} ({reason}): {path}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// The path, in its written form.
        path: String,
        /// The words of the system, without any content.
        reason: String,
    },
    /// What is to be put there cannot be read.
    #[error("Content cannot be read: {path}")]
    Content {
        /// The path, in its written form.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The disk of this machine.
    #[error(transparent)]
    Disk(#[from] crate::fsio::Error),
}

impl From<ConnectError> for ActError {
    fn from(error: ConnectError) -> Self {
        Self::Open(error.into())
    }
}

impl ActError {
    pub(super) fn not_taken(path: &str, error: UploadError) -> Self {
        match error {
            UploadError::Connect(error) => error.into(),
            UploadError::Refused(reason) => Self::Refused { doing: "take a file", path: path.to_owned(), reason },
        }
    }

    /// What the command said that failed.
    #[must_use]
    pub fn said(&self) -> Option<&Said> {
        match self {
            Self::Status { said, .. } | Self::NotOk { said, .. } | Self::Fails { said, .. } | Self::Busy { said, .. } => {
                Some(said)
            }
            _ => None,
        }
    }

    /// Tells whether the connection broke, so that it is not known whether the step was done.
    #[must_use]
    pub fn broke(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Silent { .. })
    }
}

fn words(status: Option<i32>) -> String {
    status.map_or_else(|| "no exit status".to_owned(), |status| format!("exit status {status}"))
}
