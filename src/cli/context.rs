//! What commands share: where the store is, and what opens it.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::error::CommandError;
use super::exit::Exit;
use super::hints;
use crate::inventory::{Inventory, InventoryError, locate};
use crate::ops::keys::{AdminFolder, KeyRing};
use crate::profile::Profiles;
use crate::store::Store;

/// The surroundings of a command.
pub(crate) struct Context {
    pub(crate) env: Env,
    dir: Option<PathBuf>,
}

impl Context {
    /// `dir` is that of `-C`.
    pub(crate) fn new(env: Env, dir: Option<PathBuf>) -> Self {
        let dir = dir.or_else(|| env.dir.clone());
        Self { env, dir }
    }

    /// The current folder.
    pub(crate) fn here(&self) -> Result<&Path, CommandError> {
        self.env.here.as_deref().ok_or_else(|| CommandError::failed("The current folder is not there any more"))
    }

    /// A path that the user typed, from the current folder.
    pub(crate) fn absolute(&self, path: &Path) -> Result<PathBuf, CommandError> {
        if path.is_absolute() { Ok(path.to_path_buf()) } else { Ok(self.here()?.join(path)) }
    }

    /// The folder of the store: `-C`, `CONFVAULT_DIR`, or the nearest one from here upwards.
    pub(crate) fn root(&self) -> Result<PathBuf, CommandError> {
        let found = match &self.dir {
            Some(dir) => locate(&self.absolute(dir)?, false),
            None => locate(self.here()?, true),
        };
        Ok(found?)
    }

    /// The folder where a store is to be made.
    pub(crate) fn new_root(&self, given: Option<&Path>) -> Result<PathBuf, CommandError> {
        self.absolute(given.or(self.dir.as_deref()).unwrap_or(Path::new("")))
    }

    /// The identity that `init` made, where it put it: in the administrator's folder.
    pub(crate) fn made_identity(&self) -> Option<PathBuf> {
        let folder = match &self.env.admin {
            Some(dir) => AdminFolder::at(&self.absolute(dir).ok()?),
            None => AdminFolder::beside(&self.root().ok()?.canonicalize().ok()?),
        };
        folder.identity_file()
    }

    /// The inventory.
    pub(crate) fn inventory(&self) -> Result<Inventory, CommandError> {
        Ok(Inventory::load(&self.root()?)?)
    }

    /// The profiles: the user's over those that are built in. Without a store, the latter only.
    pub(crate) fn profiles(&self) -> Result<Profiles, CommandError> {
        let own = match self.root() {
            Ok(root) => Some(root.join(crate::inventory::PROFILES_DIR)).filter(|dir| dir.is_dir()),
            Err(_) if self.dir.is_none() => None,
            Err(error) => return Err(error),
        };
        Ok(Profiles::load(own.as_deref())?)
    }

    /// The store and the keys of the installation, for what is about keys alone.
    pub(crate) fn keys(&self) -> Result<(Store, KeyRing), CommandError> {
        let root = self.root()?;
        Ok((Store::open(&root.join(crate::inventory::STORE_DIR))?, KeyRing::at(&root)))
    }

    /// The folder of a store, without need of an inventory: a copy of a store can be read alone.
    pub(crate) fn store_root(&self) -> Result<PathBuf, CommandError> {
        match &self.dir {
            Some(dir) => {
                let dir = self.absolute(dir)?;
                let is_repository = dir.join("HEAD").is_file() && dir.join("objects").is_dir();
                if is_repository && !dir.join(crate::inventory::STORE_DIR).exists() {
                    let text = format!("This is a repository, and not the folder that holds one: {}", dir.display());
                    return Err(CommandError::new(Exit::NoStore, text, hints::bare_repository()));
                }
                Ok(dir)
            }
            None => Ok(locate(self.here()?, true).or_else(|error| match error {
                InventoryError::NotFound(at) if at.join(crate::inventory::STORE_DIR).is_dir() => Ok(at),
                error => Err(error),
            })?),
        }
    }

    /// The store, without need of an inventory.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Ok(Store::open(&self.store_root()?.join(crate::inventory::STORE_DIR))?)
    }
}
