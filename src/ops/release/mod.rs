//! Releases: which ones a device had, what one has that another has not, and upgrades (`docs/releases.md`).
//!
//! A device that gets another release begins another line of history, and the sets of both stay. What an
//! upgrade needs stands here: the differences by file and by setting, the name of the last generation under
//! the old release, and the way back.

mod diff;
mod pair;
mod upgrade;

use chrono::{DateTime, Utc};

use super::Error;
use crate::model::{DeviceName, Release};
use crate::store::{Refs, Store};

pub(crate) use diff::diff_across;
pub(crate) use diff::place;
pub use diff::{Fate, FileChange, ReleaseDiff, SettingChange, diff};
pub use upgrade::{Begun, Finished, Plan, UpgradeError, Upgrading, Way, begin, finish, rollback, rolled_back};

/// One release of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The release.
    pub release: Release,
    /// The first generation under it.
    pub first: u64,
    /// When that was collected.
    pub since: DateTime<Utc>,
    /// The newest generation under it.
    pub newest: u64,
    /// When that was collected.
    pub until: DateTime<Utc>,
    /// How many generations it has.
    pub count: u64,
    /// The device has it now: its newest generation is of it.
    pub current: bool,
}

/// Lists the releases of a device, the one with the newest generation first.
///
/// # Errors
/// There is no such device; a generation cannot be read.
pub fn list(store: &Store, refs: &Refs, device: &DeviceName) -> Result<Vec<Line>, Error> {
    let mut lines: Vec<Line> = Vec::new();
    for generation in store.history(refs, device)? {
        let generation = generation?;
        match lines.iter_mut().find(|line| line.release == generation.release) {
            Some(line) => {
                (line.first, line.since) = (generation.number, generation.time);
                line.count += 1;
            }
            None => lines.push(Line {
                first: generation.number,
                since: generation.time,
                newest: generation.number,
                until: generation.time,
                count: 1,
                current: lines.is_empty(),
                release: generation.release,
            }),
        }
    }
    Ok(lines)
}
