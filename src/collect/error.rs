//! Why the set of a device could not be collected.

use std::path::PathBuf;

use super::session::SessionError;
use super::ssh::ConnectError;
use crate::inventory::{Percent, ProfileName, SourceUrl};
use crate::model::{ConfigPath, PathError, SetError};

/// Says why there is no set of a device. Holds neither text of a configuration nor a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The kind of source is not one that can be collected from.
    #[error("Source cannot be collected from: {0}")]
    NotSupported(SourceUrl),
    /// The folder of the source is not there.
    #[error("Source is missing: {}", .0.display())]
    Missing(PathBuf),
    /// The source is a file or something else, not a folder.
    #[error("Source is not a folder: {}", .0.display())]
    NotFolder(PathBuf),
    /// The source has no file that is part of the set.
    #[error("Source has no files of the set: {}", .0.display())]
    Empty(PathBuf),
    /// Something of the source cannot be read.
    #[error("Cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A name at the source cannot be a path of a set.
    #[error("Source has a name that cannot be kept: {}", .folder.display())]
    Path {
        /// The folder that has it.
        folder: PathBuf,
        /// Why.
        #[source]
        source: PathError,
    },
    /// A file changed each time that it was read.
    #[error("File changes while it is read: {0}")]
    Changing(ConfigPath),
    /// The source has more files than the limit.
    #[error("Source has more than {limit} files, folders and links (max_files)")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The source has more bytes than the limit.
    #[error("Source has more than {limit} bytes (max_size)")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing at the source says which release it is, and none is declared.
    #[error("Release not found by the rules of profile {profile}")]
    NoRelease {
        /// The profile.
        profile: ProfileName,
    },
    /// Files that the profile requires are not there.
    #[error("Set is not whole, nothing matches {}", .0.join(", "))]
    NotWhole(Vec<String>),
    /// The set, or an answer of it, lost more than it may.
    #[error("{what} shrank by {lost} %, from {before_bytes} to {now_bytes} bytes, and at most {allowed} is allowed (max_shrink)")]
    Shrank {
        /// `Set`, or the path of the answer.
        what: String,
        /// Size in the generation before, in bytes.
        before_bytes: u64,
        /// Size now, in bytes.
        now_bytes: u64,
        /// What was lost, in percent.
        lost: u64,
        /// The limit.
        allowed: Percent,
    },
    /// The entries are not a set.
    #[error("What the source gave is not a set")]
    Set(#[from] SetError),
    /// There is no connection to the device, its host key is not accepted, or the login failed.
    #[error("{}", .0.headline())]
    Connect(#[from] ConnectError),
    /// The device gave no whole answer.
    #[error("Device gave no whole answer")]
    Session(#[from] SessionError),
    /// What the last generation has an answer of is refused now.
    #[error("Answer of the last generation is refused now: {path}")]
    Lost {
        /// Path of the answer in the set.
        path: ConfigPath,
        /// The device's words.
        #[source]
        source: SessionError,
    },
    /// Neither the URL nor the profile names a folder.
    #[error("Neither the source nor profile {profile} names a folder to collect")]
    NoRoots {
        /// The profile.
        profile: String,
    },
    /// A backup set of DRS is not whole.
    #[error("Backup set {stamp} is not whole: {component}: {reason}")]
    BackupSet {
        /// The time stamp of the set.
        stamp: String,
        /// The component.
        component: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
        /// How many more faults there are.
        more: usize,
    },
    /// A call manager did not make the backup that it was told to make.
    #[error("Backup failed: {component}: {reason}")]
    Backup {
        /// The component, as `FEATURE/COMPONENT on SERVER`; `DRS` where it is none of them.
        component: String,
        /// What is wrong, in the words of DRS where there are some.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The source of the device is no backup folder.
    #[error("Source is no backup folder of DRS: {0}")]
    NotBackups(SourceUrl),
    /// A folder has no backup set of DRS.
    #[error("Folder has no backup set of DRS: {}", .0.display())]
    NoBackupSet(PathBuf),
    /// The only backup set that is not taken yet is still being written.
    #[error("Backup is in progress: {0}")]
    BackupRunning(String),
    /// An archive is hostile, or not whole.
    #[error("Archive is refused: {what}")]
    Archive {
        /// What is wrong with it.
        what: String,
    },
    /// An archive that the device made of itself is not whole.
    #[error("Archive is {what}{}: {path}", if *more > 0 { format!(", and {more} more") } else { String::new() })]
    Damaged {
        /// The first of them.
        path: ConfigPath,
        /// What is wrong with it.
        what: &'static str,
        /// How many more there are.
        more: usize,
    },
    /// The set is handed in and not collected.
    #[error("Set of this device is handed in, not collected")]
    NotPushed,
    /// The spool cannot be written.
    #[error("Spool cannot be written: {}", path.display())]
    Spool {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something must be text and is not.
    #[error("Not text: {what}")]
    NotText {
        /// What it is.
        what: &'static str,
    },
    /// The profile has no commands, so there is nothing to ask the device.
    #[error("Profile has no commands to run: {profile}")]
    NoCommands {
        /// The profile.
        profile: ProfileName,
    },
    /// The run was asked to end.
    #[error("Stopped before it was done")]
    Cancelled,
}

impl super::fleet::MayPass for CollectError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Changing(_) => true,
            Self::Connect(error) => error.may_pass(),
            Self::Session(error) => error.may_pass(),
            _ => false,
        }
    }
}
