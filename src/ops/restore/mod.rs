//! Putting sets back: into a directory, as a tar archive, and proving that a directory holds one.
//!
//! What a set is put back *as* is decided in [`layout`] alone, so that a plan, a directory and an archive
//! never differ. Every digest of a generation is checked before its first byte gets a name that counts.

mod compare;
mod error;
mod fleet;
mod layout;
mod tar;
mod tree;

use std::collections::BTreeMap;

use crate::fsio::tree::Noted;
use crate::model::{ConfigPath, DeviceName, Scope};
use crate::ops::PathFilter;
use crate::ops::signatures::SignatureFinding;
use crate::store::Record;

pub use compare::{Act, Comparison, Difference, Planned, compare, plan};
pub use error::RestoreError;
pub use fleet::{FleetRestored, restore_all};
pub(super) use layout::one_a_path;
pub use tar::{tar_all_to_file, tar_all_to_writer, tar_to_file, tar_to_writer};
pub use tree::restore;

/// What of a set is put back, and how.
#[derive(Debug, Default)]
pub struct RestoreOptions {
    /// Only these scopes; none means all.
    pub scopes: Vec<Scope>,
    /// Only these paths.
    pub paths: PathFilter,
    /// Put each scope into a folder of its own, `voip/…`, in place of the paths as on the device.
    pub by_scope: bool,
    /// Put texts back with tokens in place of their secrets, and leave out what is sealed.
    pub masked: bool,
    /// Leave out what is damaged, and put the rest back.
    pub skip_damaged: bool,
    /// Newest generations that nobody has signed who may: they are not put back with a whole fleet.
    pub foreign: BTreeMap<DeviceName, SignatureFinding>,
    /// Replace what stands there; directories are never replaced.
    pub overwrite: bool,
    /// Set setuid and setgid where the set has them.
    pub special_bits: bool,
    /// Leave owners as they come.
    pub no_owners: bool,
    /// It does not stay: nothing waits for the disk.
    pub passing: bool,
}

/// Why an entry was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// It is sealed, and no identity is at hand.
    Sealed,
    /// It is damaged in the store.
    Damaged,
    /// Something stands where it belongs.
    InTheWay,
}

impl Skip {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Skip::Sealed => "sealed",
            Skip::Damaged => "damaged",
            Skip::InTheWay => "in-the-way",
        }
    }
}

/// An entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path below the directory, or in the archive.
    pub path: ConfigPath,
    /// Why.
    pub why: Skip,
    /// More about it, if there is more to say.
    pub detail: Option<String>,
}

/// What was put back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files.
    pub files: u64,
    /// Directories, those of the set.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files that have tokens in place of secrets.
    pub masked: Noted,
    /// Entries whose owner the system did not let this process set.
    pub owners_not_set: Noted,
    /// Entries whose setuid or setgid bit was left out.
    pub special_bits_dropped: Noted,
    /// Entries that were left out.
    pub skipped: Vec<Skipped>,
}

impl RestoreOptions {
    /// Refuses a device whose newest generation nobody has signed who may.
    fn check(&self, device: &DeviceName) -> Result<(), RestoreError> {
        self.foreign.get(device).map_or(Ok(()), |found| Err(RestoreError::Foreign(found.clone())))
    }
}

impl Restored {
    /// Says whether everything that was chosen is in place.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.skipped.is_empty()
    }

    /// Makes the journal's record of it.
    #[must_use]
    pub fn record(&self, device: &str, generation: u64) -> Record {
        let outcome = if self.is_complete() { "done" } else { "partly" };
        let record = Record::new("restore", outcome).with("device", device).with("generation", generation);
        record.with("files", self.files).with("bytes", self.bytes).with("skipped", self.skipped.len())
    }
}

impl Restored {
    /// Adds what another thread put back.
    fn add(&mut self, other: Restored) {
        self.files += other.files;
        self.directories += other.directories;
        self.links += other.links;
        self.bytes += other.bytes;
        self.masked.extend(other.masked);
        self.owners_not_set.extend(other.owners_not_set);
        self.special_bits_dropped.extend(other.special_bits_dropped);
        self.skipped.extend(other.skipped);
    }
}
