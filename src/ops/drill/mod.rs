//! Recovery exercises: what a mirror holds is put back into an empty place, proven, timed and recorded
//! (`docs/drills.md`).
//!
//! Everything that is put back comes from the mirror and is opened with what the administrator has, as if
//! the store and its machine were lost. The store here is only compared with, and takes the record (and what any
//! restore records of a stand-in); the mirror takes nothing. A drill that finds something wrong is no error of the job: the protocol says so.

mod beside;
mod check;
mod choose;
mod due;
mod error;
mod exercise;
mod history;
mod place;
mod protocol;
mod prove;
mod record;
mod standin;

use std::path::PathBuf;

use crate::inventory::Seconds;
use crate::model::{DeviceName, MirrorName, Point};
use crate::seal::Identities;

pub use due::{Due, Last, due};
pub use error::DrillError;
pub use exercise::{Drilled, Progress, drill};
pub use history::{Held, RecordSignature, Signed, find, list, signed};
pub use protocol::{Checked, Choice, Failure, Finding, MirrorFacts, Opened, Outcome, Phase, Proof, Protocol, StandIn, What};

/// What is exercised, and how.
pub struct Options {
    /// The devices, each with the point that is put back; none for all of the inventory.
    pub points: Vec<Point>,
    /// Choose this many in place of all.
    pub sample: Option<Sample>,
    /// The mirror; nothing for the only one of the inventory.
    pub from: Option<MirrorName>,
    /// Where it is put back.
    pub place: Place,
    /// What the administrator opens the mirror with.
    pub identities: Option<Identities>,
    /// Another device that the set is put back to, beside the empty place; for one point only.
    pub into: Option<DeviceName>,
    /// Who exercises.
    pub by: Option<String>,
    /// What is to be said of it.
    pub note: Option<String>,
    /// The name of this machine.
    pub host: String,
    /// How long it may take; nothing for what the policy says.
    pub target: Option<Seconds>,
    /// Run the syntax checks of the profiles on what was put back.
    pub check: bool,
    /// Devices at the same time.
    pub jobs: usize,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("points", &self.points).field("from", &self.from).finish_non_exhaustive()
    }
}

/// A choice by chance that can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How many devices.
    pub count: usize,
    /// What chance begins with.
    pub seed: u32,
}

/// Where a drill puts things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into a private folder below this one, removed at the end.
    Temporary(PathBuf),
    /// Into this folder, which stays.
    Keep(PathBuf),
}

/// Gives something for chance to begin with.
#[must_use]
pub fn seed() -> u32 {
    u32::from_be_bytes(crate::seal::random())
}
