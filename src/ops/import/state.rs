//! One state of a device: its files at one commit, and whether it is whole.

use std::collections::{BTreeMap, HashMap};

use super::device::Files;
use crate::collect::CollectError;
use crate::collect::session::judge_file;
use crate::model::{ConfigPath, ConfigSet, Content, Digest, Entry, Kind, Release, Scope, Stamp};
use crate::profile::{Claim, Profile};
use crate::store::{Foreign, ForeignError, ObjectId};

/// The largest file of a state, in bytes.
const LARGEST: u64 = 64 << 20;

/// The files of a state, as far as they are part of the set.
pub(super) struct State {
    files: BTreeMap<ConfigPath, File>,
}

struct File {
    scope: Scope,
    kind: Kind,
    mode: u32,
    /// Nothing of a file that is what the newest generation has.
    bytes: Option<Vec<u8>>,
    same: Digest,
}

/// Whether a state can be one of a device.
pub(super) enum Whole {
    /// Nothing speaks against it.
    Yes,
    /// It has nothing but comments.
    Empty,
    /// It is cut off, or a refusal.
    No(String),
}

impl State {
    /// Reads the files that differ from those in `kept`.
    pub(super) fn read(
        foreign: &Foreign,
        profile: &Profile,
        files: &Files,
        kept: &HashMap<ConfigPath, (ObjectId, Digest)>,
    ) -> Result<Self, ForeignError> {
        let mut out = BTreeMap::new();
        for (path, node) in files {
            let scope = match profile.claim(path) {
                Claim::Skip | Claim::Scope(Scope::Logs) => continue,
                Claim::Scope(scope) => scope,
                Claim::Unclaimed => Scope::System,
            };
            let kind = if node.link { Kind::Link } else { Kind::File };
            let mode = if node.link { 0o777 } else { 0o644 | if node.executable { 0o111 } else { 0 } };
            let known = kept.get(path).filter(|(id, _)| *id == node.id);
            let bytes = if known.is_some() { None } else { Some(foreign.blob(&node.id, LARGEST)?) };
            out.insert(path.clone(), File { scope, kind, mode, bytes, same: known.map_or(Digest([0; 32]), |k| k.1) });
        }
        Ok(Self { files: out })
    }

    /// Reads what was not read; says whether there was any.
    pub(super) fn read_all(&mut self, foreign: &Foreign, files: &Files) -> Result<bool, ForeignError> {
        let mut any = false;
        for (path, file) in self.files.iter_mut().filter(|(_, file)| file.bytes.is_none()) {
            if let Some(node) = files.get(path) {
                file.bytes = Some(foreign.blob(&node.id, LARGEST)?);
                any = true;
            }
        }
        Ok(any)
    }

    /// The contents that were read.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&ConfigPath, &[u8])> {
        self.files.iter().filter_map(|(path, file)| Some((path, file.bytes.as_deref()?)))
    }

    /// Says whether the state can be one of a device.
    pub(super) fn judge(&self, profile: &Profile) -> Whole {
        if self.files.values().all(|file| file.bytes.as_deref().is_some_and(is_blank)) {
            return Whole::Empty;
        }
        let files = self.files.iter().filter(|(_, file)| file.kind == Kind::File);
        for (path, bytes) in files.filter_map(|(path, file)| Some((path, file.bytes.as_deref()?))) {
            if let Err(error) = judge_file(profile, path, bytes) {
                return Whole::No(error.to_string());
            }
        }
        Whole::Yes
    }

    /// Finds the release by the rules of the profile.
    pub(super) fn release(&self, foreign: &Foreign, profile: &Profile, files: &Files) -> Option<Release> {
        let paths: Vec<ConfigPath> = self.files.iter().filter(|(_, f)| f.kind == Kind::File).map(|(p, _)| p.clone()).collect();
        let mut read = |path: &ConfigPath| match self.files.get(path).and_then(|file| file.bytes.clone()) {
            Some(bytes) => Some(bytes),
            None => foreign.blob(&files.get(path)?.id, LARGEST).ok(),
        };
        profile.release(&paths, &mut read)
    }

    /// The paths that no rule of the profile claims.
    pub(super) fn unclaimed<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = ConfigPath> + 'a {
        self.files.keys().filter(|path| profile.claim(path) == Claim::Unclaimed).cloned()
    }

    /// Makes the set, with the folders above its files.
    pub(super) fn set(&self, profile: &Profile, release: Release) -> Result<ConfigSet, CollectError> {
        let mut entries = Vec::with_capacity(self.files.len());
        let mut folders = std::collections::BTreeSet::new();
        for (path, file) in &self.files {
            let mut above = path.parent();
            while let Some(folder) = above {
                above = folder.parent();
                folders.insert((file.scope, folder));
            }
            let content = file.bytes.clone().map_or(Content::Same(file.same), Content::Bytes);
            entries.push(entry(file.scope, path.clone(), file.kind, file.mode, content));
        }
        let empty = || Content::Bytes(Vec::new());
        entries.extend(folders.into_iter().map(|(scope, path)| entry(scope, path, Kind::Directory, 0o755, empty())));
        let unclaimed = self.unclaimed(profile).collect();
        Ok(ConfigSet::new(entries, Some(release), unclaimed)?)
    }
}

fn entry(scope: Scope, path: ConfigPath, kind: Kind, mode: u32, content: Content) -> Entry {
    Entry { scope, path, kind, mode, owner: None, stamp: Stamp::default(), content }
}

/// Tells whether a text has nothing but blank lines and comments of the tools.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == b'\n').all(|line| matches!(line.trim_ascii().first(), None | Some(b'!' | b'#')))
}
