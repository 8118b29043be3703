//! The branch `_store`: version and features, README, epochs, signers ("The branch `_store`" in `docs/format.md`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::batch::Batch;
use super::commit::put_commit;
use super::error::{Error, Result};
use super::generation::FORMAT;
use super::object::{Commit, Ident};
use super::refs::{RefEdit, Refs};
use super::repo::Repo;
use super::tree::{self, checked_blob};
use crate::model::DeviceName;
use crate::seal::{Sealer, SigningKey, StoreKey, StoreKeys};

/// The ref of the facts.
pub const STORE_REF: &str = "refs/heads/_store";
/// The text that a stranger finds in the branch.
const README: &str = include_str!("facts/README.md");
/// The largest file of the branch, in bytes.
const MAX_FILE: u64 = 4 << 20;

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

impl Feature {
    const ALL: [Feature; 2] = [Feature::Sealing, Feature::Signing];
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
    /// [`Error::UnknownFormat`], `UnknownFeature`, `NoStore`, `BranchGone`, `Corrupt`.
    pub fn read(repo: &Repo, refs: &Refs) -> Result<Self> {
        let head = refs.get(STORE_REF).ok_or_else(|| no_branch(repo))?.id;
        let corrupt = |what: &str, id| Error::Corrupt { whose: "_store".to_owned(), what: what.to_owned(), id };
        let commit = Commit::parse(&repo.commit(&head)?).map_err(|e| corrupt(e.0, head))?;
        let ids = tree::list_files(repo, "_store", commit.tree)?;
        // The version first: a later one may be free to change everything else.
        let format = ids.get("format").ok_or_else(|| corrupt("no file `format`", commit.tree))?;
        let features = parse_format(&checked_blob(repo, *format, MAX_FILE)?)?;
        let mut files = FactFiles::new();
        for (path, id) in ids {
            let content = checked_blob(repo, id, MAX_FILE)?;
            files.insert(path, content);
        }
        Ok(Self { commit: head, features, files })
    }

    /// Nothing, for a branch that does not read.
    pub(super) fn unread() -> Self {
        Self { commit: ObjectId::null(gix::hash::Kind::Sha1), features: Vec::new(), files: FactFiles::new() }
    }

    /// Tells whether the branch was read.
    pub(super) fn are_read(&self) -> bool {
        !self.commit.is_null()
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

    /// Gives the number of the newest epoch; 0 if there is none.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        let epochs = self.files.keys().filter_map(|p| p.strip_prefix("epochs/")?.split_once('/')?.0.parse().ok());
        epochs.max().unwrap_or(0)
    }

    /// Gives the store keys that lie in clear: those of a store without sealing.
    ///
    /// # Errors
    /// [`Error::Seal`] if one does not read.
    pub fn clear_keys(&self) -> Result<Option<StoreKeys>> {
        let mut keys = Vec::new();
        for epoch in 1..=self.epoch() {
            let Some(text) = self.file(&format!("epochs/{epoch}/store-key")) else { return Ok(None) };
            keys.push(StoreKey::from_hex(&String::from_utf8_lossy(text))?);
        }
        Ok((!keys.is_empty()).then(|| StoreKeys::new(keys)))
    }

    /// Gives what seals to the newest epoch; nothing in a store without sealing.
    ///
    /// # Errors
    /// [`Error::Seal`] if the epoch's recipient does not read, [`Error::Corrupt`] if it is missing.
    pub fn sealer(&self) -> Result<Option<Sealer>> {
        if !self.has(Feature::Sealing) {
            return Ok(None);
        }
        let epoch = self.epoch();
        let text = self.file(&format!("epochs/{epoch}/recipient")).ok_or_else(|| Error::Corrupt {
            whose: "_store".to_owned(),
            what: "the newest epoch has no recipient".to_owned(),
            id: self.commit,
        })?;
        Ok(Some(Sealer::new(epoch, String::from_utf8_lossy(text).trim().parse()?)))
    }

    /// Tells whether the device was erased on purpose.
    #[must_use]
    pub fn erased(&self, device: &DeviceName) -> bool {
        // A device may also have lost old large files only; then its lines are not listed.
        let line = format!("refs/heads/{device}/");
        self.file(&format!("tombstones/{device}"))
            .is_some_and(|text| String::from_utf8_lossy(text).lines().any(|l| l.starts_with(&line)))
    }
}

impl Facts {
    /// Tells whether a ref was erased on purpose.
    #[must_use]
    pub fn is_erased(&self, reference: &str) -> bool {
        self.tombstones().any(|(name, _)| name == reference)
    }

    /// Gives the refs that were erased on purpose, with the last commit of each.
    pub fn tombstones(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().filter(|(path, _)| path.starts_with("tombstones/"));
        let lines = files.flat_map(|(_, text)| std::str::from_utf8(text).unwrap_or_default().lines());
        lines.filter(|line| line.starts_with("refs/")).filter_map(|line| line.split_once(' '))
    }
}

/// Says what a repository without `_store` is: another program's, or a store that lost its refs.
fn no_branch(repo: &Repo) -> Error {
    let path = repo.dir().to_owned();
    let written = std::fs::read_dir(repo.pack_dir()).is_ok_and(|mut packs| packs.next().is_some());
    if written && repo.cache_dir().is_dir() { Error::BranchGone { path } } else { Error::NoStore { path } }
}

/// Reads the file `format`.
fn parse_format(text: &[u8]) -> Result<Vec<Feature>> {
    let shown = || String::from_utf8_lossy(&text[..text.len().min(80)]).escape_default().to_string();
    let mut lines = std::str::from_utf8(text).map_err(|_| Error::UnknownFormat(shown()))?.lines();
    match lines.next().and_then(|l| l.strip_prefix("confvault-store ")) {
        Some(version) if version == FORMAT.to_string() => {}
        Some(version) => return Err(Error::UnknownFormat(version.escape_default().to_string())),
        None => return Err(Error::UnknownFormat(shown())),
    }
    let mut features = Vec::new();
    for line in lines {
        let words = line.strip_prefix("features").ok_or_else(|| Error::UnknownFeature(line.escape_default().to_string()))?;
        for word in words.split_whitespace() {
            let known = Feature::ALL.into_iter().find(|f| f.to_string() == word);
            features.push(known.ok_or_else(|| Error::UnknownFeature(word.escape_default().to_string()))?);
        }
    }
    Ok(features)
}

fn write_format(features: &[Feature]) -> Vec<u8> {
    let words: String = features.iter().map(|f| format!(" {f}")).collect();
    format!("confvault-store {FORMAT}\nfeatures{words}\n").into_bytes()
}

/// Makes the repository and the first commit of `_store`.
pub(super) fn create(
    dir: &Path,
    features: &[Feature],
    mut files: FactFiles,
    key: Option<&SigningKey>,
    now: DateTime<Utc>,
) -> Result<Repo> {
    let repo = Repo::create(dir)?;
    files.insert("README.md".to_owned(), README.as_bytes().to_vec());
    files.insert("format".to_owned(), write_format(features));
    commit(&repo, &files, None, "Make the store", key, now)?;
    Ok(repo)
}

/// Commits new content of the branch on top of what was read.
pub(super) fn amend(
    repo: &Repo,
    facts: &Facts,
    features: &[Feature],
    mut files: FactFiles,
    why: &str,
    key: Option<&SigningKey>,
    now: DateTime<Utc>,
) -> Result<()> {
    files.insert("format".to_owned(), write_format(features));
    commit(repo, &files, Some(facts.commit), why, key, now)
}

fn commit(
    repo: &Repo,
    files: &FactFiles,
    parent: Option<ObjectId>,
    why: &str,
    key: Option<&SigningKey>,
    now: DateTime<Utc>,
) -> Result<()> {
    let batch = Batch::begin(repo)?;
    let who = Ident::new("administrator", "administrator@confvault", now);
    let message = format!("{}\n\nConfvault-Format: {FORMAT}\n", super::generation::one_line(why));
    let tree = tree::put_files(&batch, files)?;
    let commit = Commit { tree, parents: parent.into_iter().collect(), author: who.clone(), committer: who, message };
    let new = put_commit(&batch, &commit, key)?;
    let edit = RefEdit { name: STORE_REF.to_owned(), expected: parent, new: Some(new) };
    batch.commit(|_, _| Ok::<_, Error>(vec![edit]))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert_eq!(parse_format(b"confvault-store 1\nfeatures signing sealing\n").unwrap(), [Feature::Signing, Feature::Sealing]);
        assert_eq!(parse_format(&write_format(&[])).unwrap(), []);
        let name = |text: &[u8]| parse_format(text).unwrap_err().to_string();
        assert!(name(b"confvault-store 2\nfeatures\n").ends_with(": 2"));
        assert!(name(b"confvault-store 1\nfeatures sealing sparkle\n").ends_with(": sparkle"));
        assert!(name(b"confvault-store 1\nquorum 3\n").ends_with(": quorum 3"));
        assert!(name(b"\xff").contains("format"));
    }
}
