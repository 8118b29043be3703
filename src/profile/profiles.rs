//! The profiles that there are: the built-in ones, and those of the user's folder over them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::builtin::{BUILTIN, GENERAL};
use super::error::ProfileError;
use super::language::ProfileFile;
use super::rules::Profile;

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

/// A file before it is parsed.
#[derive(Debug, Clone)]
struct Source {
    origin: Origin,
    text: Arc<str>,
}

impl Source {
    fn shown(&self, name: &str) -> String {
        match &self.origin {
            Origin::Builtin => format!("built-in {name}"),
            Origin::File(path) => path.display().to_string(),
        }
    }
}

/// All profiles by name. A built-in profile is parsed when it is first asked for.
#[derive(Debug)]
pub struct Profiles {
    sources: BTreeMap<String, Source>,
    ready: Mutex<BTreeMap<String, Arc<Profile>>>,
}

/// The name of the rules that hold for every profile; no profile can have it.
const GENERAL_NAME: &str = "general";

/// Gives the rules that hold for every profile.
fn general() -> Result<Arc<ProfileFile>, ProfileError> {
    static READY: OnceLock<Arc<ProfileFile>> = OnceLock::new();
    if let Some(ready) = READY.get() {
        return Ok(ready.clone());
    }
    let file = ProfileFile::parse("built-in general", GENERAL)?;
    Ok(READY.get_or_init(|| Arc::new(file)).clone())
}

impl Profiles {
    /// Takes the built-in profiles and, over them, the `*.toml` files of a folder. A folder that does
    /// not exist has no files. The files of the folder are parsed and checked at once.
    ///
    /// # Errors
    /// [`ProfileError`] where a file of the folder cannot be read or is not in the language.
    pub fn load(user_dir: Option<&Path>) -> Result<Self, ProfileError> {
        let builtin = |text: &str| Source { origin: Origin::Builtin, text: text.into() };
        let mut profiles = Self {
            sources: BUILTIN.iter().map(|(name, text)| ((*name).to_owned(), builtin(text))).collect(),
            ready: Mutex::default(),
        };
        let mut own = Vec::new();
        if let Some(dir) = user_dir {
            for path in files(dir)? {
                let text = fs::read_to_string(&path).map_err(|source| ProfileError::Read { path: path.clone(), source })?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if name == GENERAL_NAME {
                    let reason = "`general` is the name of the rules that every profile has".to_owned();
                    return Err(ProfileError::Value { file: path.display().to_string(), line: 1, key: "name".into(), reason });
                }
                own.push(name.clone());
                profiles.sources.insert(name, Source { origin: Origin::File(path), text: text.into() });
            }
        }
        for name in own {
            profiles.get(&name)?;
        }
        Ok(profiles)
    }

    /// Gives the names of all profiles, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// Gives a profile by its name.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`], or what is wrong with its file or one that it extends.
    pub fn get(&self, name: &str) -> Result<Arc<Profile>, ProfileError> {
        if let Some(profile) = self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(profile.clone());
        }
        let file = self.file(name, &mut Vec::new())?;
        let profile = Arc::new(Profile::new(file, general()?));
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), profile.clone());
        Ok(profile)
    }

    /// Gives the text of a profile's file, as written; under the name `general` that of the rules
    /// for secrets that every profile has.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`].
    pub fn text(&self, name: &str) -> Result<Arc<str>, ProfileError> {
        if name == GENERAL_NAME {
            return Ok(GENERAL.into());
        }
        self.sources.get(name).map(|source| source.text.clone()).ok_or_else(|| ProfileError::Unknown(name.to_owned()))
    }

    /// Parses a file with all that it extends. A file of the user may extend the built-in profile
    /// of its own name.
    fn file(&self, name: &str, above: &mut Vec<String>) -> Result<ProfileFile, ProfileError> {
        let unknown = || ProfileError::Unknown(name.to_owned());
        let again = above.iter().any(|known| known == name);
        let source = match self.sources.get(name) {
            Some(source) if !again => source.clone(),
            Some(Source { origin: Origin::File(_), .. }) if above.last().is_some_and(|last| last == name) => {
                let (_, text) = BUILTIN.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
                Source { origin: Origin::Builtin, text: (*text).into() }
            }
            Some(_) => return Err(ProfileError::Circle(above.join(", "))),
            None => return Err(unknown()),
        };
        let shown = source.shown(name);
        let file = ProfileFile::parse(&shown, &source.text)?;
        file.check_name(&shown, name)?;
        // What is built in was checked when confvault was built, by its tests.
        if source.origin != Origin::Builtin {
            file.check(&shown, &source.text)?;
        }
        let Some(base) = file.extends.clone() else { return Ok(file) };
        above.push(name.to_owned());
        if above.len() > 16 {
            return Err(ProfileError::Circle(above.join(", ")));
        }
        let base = self.file(&base, above)?;
        Ok(file.over(base))
    }

    /// Lists all profiles by name.
    ///
    /// # Errors
    /// What is wrong with one of the files.
    pub fn list(&self) -> Result<Vec<Summary>, ProfileError> {
        self.sources
            .iter()
            .map(|(name, source)| {
                let profile = self.get(name)?;
                Ok(Summary {
                    name: name.clone(),
                    title: profile.title().to_owned(),
                    origin: source.origin.clone(),
                    unverified: profile.unverified(),
                })
            })
            .collect()
    }

    /// Checks the built-in profiles and the general rules as those of users are checked.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn check_builtin() -> Result<(), ProfileError> {
        for (name, text) in BUILTIN.iter().chain([&(GENERAL_NAME, GENERAL)]) {
            let shown = format!("built-in {name}");
            let file = ProfileFile::parse(&shown, text)?;
            file.check_name(&shown, name)?;
            file.check(&shown, text)?;
        }
        Ok(())
    }
}

/// Gives the `*.toml` files of a folder, sorted.
fn files(dir: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let read = |source| ProfileError::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
