//! The branch `_store`: version and features, README, epochs, signers ("The branch `_store`" in `docs/format.md`).

use std::collections::BTreeMap;
use std::fmt;

use gix::ObjectId;

use super::error::Result;
use super::refs::Refs;
use super::repo::Repo;
use crate::seal::StoreKeys;

/// The ref of the facts.
pub const STORE_REF: &str = "refs/heads/_store";

/// The files of `_store`: path and content.
pub type FactFiles = BTreeMap<String, Vec<u8>>;

/// What a store uses beyond the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// There are epochs with recipients.
    Sealing,
    /// Generations and names must be signed.
    Signing,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feature::Sealing => "sealing",
            Feature::Signing => "signing",
        })
    }
}

/// What `_store` holds.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The commit that was read.
    pub commit: ObjectId,
    /// The features.
    pub features: Vec<Feature>,
    files: FactFiles,
}

impl Facts {
    /// Reads the branch.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`](super::Error::UnknownFormat), `UnknownFeature`, `NoStore`, `Corrupt`.
    pub fn read(_repo: &Repo, _refs: &Refs) -> Result<Self> {
        Err(super::Error::UnknownFeature(String::new()))
    }

    /// Tells whether a feature is on.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Gives a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All files.
    #[must_use]
    pub fn files(&self) -> &FactFiles {
        &self.files
    }

    /// Gives the number of the newest epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        0
    }

    /// Gives the store keys that lie in clear, in a store without sealing.
    ///
    /// # Errors
    /// [`Error::Seal`](super::Error::Seal) if one does not read.
    pub fn clear_keys(&self) -> Result<Option<StoreKeys>> {
        Ok(None)
    }
}
