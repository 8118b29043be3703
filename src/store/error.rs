//! What can go wrong in a store.

use std::io;
use std::path::PathBuf;

use gix::ObjectId;

use crate::fsio;

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
    #[error("Locked by another process since more than {waited_seconds} s: {}", path.display())]
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
    /// The disk refused a write.
    #[error(transparent)]
    Disk(#[from] fsio::Error),
}

fn show(id: &Option<ObjectId>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

/// The result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;
