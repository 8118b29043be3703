//! What can go wrong in a store.

use std::io;
use std::path::PathBuf;

use gix::ObjectId;

use super::manifest::ManifestError;
use crate::fsio;
use crate::model::DeviceName;

/// Says what is wrong with a store, an object, a ref or a write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No store at the path.
    #[error("No store here: {}", path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A store whose branch `_store` is gone, and with it perhaps other refs.
    #[error("The store has lost its branch _store: {}", path.display())]
    BranchGone {
        /// The repository.
        path: PathBuf,
    },
    /// Something is already where a store was to be made.
    #[error("Already there: {}", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The repository belongs to another user, whose settings must not rule this process.
    #[error("Store belongs to user {owner}, not to user {user}: {}", path.display())]
    ForeignOwner {
        /// The directory or file.
        path: PathBuf,
        /// Its owner, as a number.
        owner: u32,
        /// The user of this process, as a number.
        user: u32,
    },
    /// The repository has a setting that confvault does not work under.
    #[error("Repository setting is refused: {setting}")]
    RefusedSetting {
        /// The setting, without its value where that could be a secret.
        setting: String,
    },
    /// A file of the repository is not what it must be.
    #[error("Repository file is corrupt ({what}): {}", path.display())]
    CorruptFile {
        /// What is wrong.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// No object of this id is there.
    #[error("Object is missing: {id}")]
    ObjectMissing {
        /// The id.
        id: ObjectId,
    },
    /// The object is there, but does not decode, or to other bytes than its id says.
    #[error("Object is corrupt ({what}): {id}")]
    ObjectCorrupt {
        /// What is wrong.
        what: String,
        /// The id.
        id: ObjectId,
    },
    /// The object is of another kind than needed.
    #[error("Object is a {found}, not a {wanted}: {id}")]
    ObjectKind {
        /// The kind needed.
        wanted: gix::objs::Kind,
        /// The kind found.
        found: gix::objs::Kind,
        /// The id.
        id: ObjectId,
    },
    /// The object is larger than the reader takes.
    #[error("Object has {size} bytes, more than the limit of {limit}: {id}")]
    ObjectTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
        /// The id.
        id: ObjectId,
    },
    /// The bytes are made to collide with another object's.
    #[error("Object bears the marks of a SHA-1 collision attack")]
    Collision,
    /// An earlier write of this batch failed, so nothing of it can be committed.
    #[error("An earlier write of this batch failed")]
    BatchBroken(#[source] Option<fsio::Error>),
    /// A pack cannot hold more objects.
    #[error("More than 4294967295 objects in one commit")]
    TooManyObjects,
    /// A ref does not have the value that a change to it was built on.
    #[error("Ref has moved from {} to {}: {name}", show(expected), show(found))]
    RefMoved {
        /// The full name.
        name: String,
        /// The value that was expected; none: it must not exist.
        expected: Option<ObjectId>,
        /// The value that it has.
        found: Option<ObjectId>,
    },
    /// A ref cannot have this name, or not beside another ref.
    #[error("Ref cannot be written ({why}): {}", name.escape_default())]
    RefName {
        /// What stands against it.
        why: String,
        /// The name.
        name: String,
    },
    /// Another process holds the lock.
    #[error("Locked by another process{}: {}", since(*waited_seconds), path.display())]
    Locked {
        /// How long this process waited, in seconds.
        waited_seconds: u64,
        /// The lock.
        path: PathBuf,
    },
    /// A `git` subprocess failed.
    #[error("`git {command}` failed: {message}")]
    Git {
        /// The subcommand.
        command: &'static str,
        /// Its last words.
        message: String,
    },
    /// A file cannot be read.
    #[error("Cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No device of this name has a generation.
    #[error("No such device: {device}")]
    NoDevice {
        /// The name that was asked for.
        device: DeviceName,
        /// Devices of the store whose names are near, nearest first.
        near: Vec<String>,
    },
    /// The device has no generation at this place.
    #[error("Device {device} has no generation {wanted}; it has {there}")]
    NoGeneration {
        /// The device.
        device: DeviceName,
        /// What was asked for, in words.
        wanted: String,
        /// What is there, in words.
        there: String,
    },
    /// A point means the device itself, which this room does not reach.
    #[error("The point `now` is not in the store: {device}")]
    NotStored {
        /// The device.
        device: DeviceName,
    },
    /// A commit, tag, tree or manifest of a device is not what it must be.
    #[error("Object of {whose} is corrupt ({what}): {id}")]
    Corrupt {
        /// The device, the journal or `_store`.
        whose: String,
        /// What is wrong.
        what: String,
        /// The object.
        id: ObjectId,
    },
    /// The manifest of a generation is not what it must be.
    #[error("Manifest of {device}, generation {number}, is corrupt")]
    Manifest {
        /// The device.
        device: DeviceName,
        /// The generation.
        number: u64,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A file of a generation is not what its manifest says.
    #[error("File is damaged ({what}): {device}@{number} {path}")]
    FileDamaged {
        /// Which digest or part is wrong.
        what: &'static str,
        /// The device.
        device: DeviceName,
        /// The generation.
        number: u64,
        /// Scope and path, in written form.
        path: String,
        /// Why the object cannot be read.
        #[source]
        source: Option<Box<Error>>,
    },
    /// A file of a generation is sealed, and no identity of its epoch is at hand.
    #[error("File is sealed in epoch {epoch}: {path}")]
    Sealed {
        /// The epoch.
        epoch: u32,
        /// Scope and path, in written form.
        path: String,
    },
    /// The store is of a version that this program does not know.
    #[error("Store has a format that this program does not know: {0}")]
    UnknownFormat(String),
    /// The store or a generation uses a feature that this program does not know.
    #[error("Store uses a feature that this program does not know: {0}")]
    UnknownFeature(String),
    /// The bytes of a file are needed and the set says only that they are as before.
    ///
    /// The device is to be collected again without a look.
    #[error("Content of {device} is needed and was not read: {path}")]
    ContentNeeded {
        /// The device.
        device: DeviceName,
        /// Scope and path, in written form.
        path: String,
    },
    /// The set has no release, so it belongs to no line.
    #[error("Release of the set is not known: {device}")]
    NoRelease {
        /// The device.
        device: DeviceName,
    },
    /// The store key of an epoch is not at hand.
    #[error("Store key is not at hand: epoch {0}")]
    NoStoreKey(u32),
    /// A tombstone stands where a ref was to be written.
    #[error("Device was erased on purpose (tombstone in `_store`): {0}")]
    Tombstone(DeviceName),
    /// The name is on a generation already.
    #[error("Name is taken by generation {number} of {device}: {name}")]
    NameTaken {
        /// The device.
        device: DeviceName,
        /// The generation that has the name.
        number: u64,
        /// The name.
        name: String,
    },
    /// The name was on another generation once, and was removed.
    #[error("Name was once on generation {number} of {device} and is never given to another: {name}")]
    NameUsed {
        /// The device.
        device: DeviceName,
        /// The generation that had the name.
        number: u64,
        /// The name.
        name: String,
    },
    /// No generation of the device has the name.
    #[error("Device {device} has no name {name}")]
    NoName {
        /// The device.
        device: DeviceName,
        /// The name.
        name: String,
        /// The names that it has.
        there: Vec<String>,
    },
    /// Sealing, opening, masking or signing failed.
    #[error("Keys do not do what was asked")]
    Seal(#[from] crate::seal::Error),
    /// What would be written breaks a limit or a rule of the format.
    #[error("Cannot be stored ({what}): {subject}")]
    Refused {
        /// The rule.
        what: &'static str,
        /// The device or path.
        subject: String,
    },
    /// What the caller gave to write to refused.
    #[error("Cannot write what was read from the store")]
    Output(#[source] io::Error),
    /// A ref that is needed is not there.
    #[error("Ref is missing: {name}")]
    NoRef {
        /// The full name.
        name: String,
    },
    /// The disk refused a write.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
}

impl Error {
    /// Tells whether what the store holds is damaged: something is missing, or not what it must be.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::ObjectMissing { .. }
                | Self::ObjectCorrupt { .. }
                | Self::ObjectKind { .. }
                | Self::ObjectTooLarge { .. }
                | Self::CorruptFile { .. }
                | Self::Corrupt { .. }
                | Self::Manifest { .. }
                | Self::FileDamaged { .. }
                | Self::Seal(crate::seal::Error::Damaged)
        )
    }
}

fn since(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { format!(" since more than {seconds} s") }
}

fn show(id: &Option<ObjectId>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

/// The result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;
