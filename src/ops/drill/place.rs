//! The empty place into which a drill restores.

use std::path::{Path, PathBuf};

use super::{DrillError, Place};
use crate::fsio::{self, PRIVATE_DIR, Scratch};
use crate::ops::Error;

/// Folders of drills that go with them.
const PREFIX: &str = "confvault-drill-";

/// A private folder, empty at first: what is put back has its secrets in clear.
pub(super) enum Site {
    Passing(Scratch),
    Kept(PathBuf),
}

impl Site {
    /// Makes it, and removes what drills that were killed left.
    pub(super) fn new(place: &Place) -> Result<Self, Error> {
        let dir = match place {
            Place::Temporary(above) => return Ok(Self::Passing(Scratch::new(above, PREFIX)?)),
            Place::Keep(dir) => dir,
        };
        match std::fs::read_dir(dir) {
            Ok(mut list) => {
                if list.next().is_some() {
                    return Err(DrillError::NotEmpty(dir.clone()).into());
                }
                fsio::set_mode_and_sync(dir, PRIVATE_DIR)?;
            }
            Err(_) => fsio::create_dir_all(dir, PRIVATE_DIR)?,
        }
        Ok(Self::Kept(dir.clone()))
    }

    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::Passing(scratch) => scratch.dir(),
            Self::Kept(dir) => dir,
        }
    }

    /// Removes it, unless it is to stay.
    pub(super) fn end(self) -> Result<(), fsio::Error> {
        match self {
            Self::Passing(scratch) => scratch.remove(),
            Self::Kept(_) => Ok(()),
        }
    }
}
