//! What sources of files have in common: a listing becomes a plan of what is fetched, then a set.

use std::collections::{BTreeSet, HashMap};

use crate::inventory::Device;
use crate::model::{ConfigPath, ConfigSet, Content, Digest, Entry, Kind, Look, LookEntry, Owner, Scope, Stamp};
use crate::profile::{Claim, Profile};

use super::{CollectError, Collected, Context, Skipped, act, finish};

/// Step of the time stamps of remote sources, which have whole seconds, with a margin.
const STEP_NS: i64 = 2_000_000_000;

/// Something that stands at a source.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) path: ConfigPath,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: Option<Owner>,
    pub(super) stamp: Stamp,
}

/// A file or link of the set, and whether it must be fetched.
pub(super) struct Planned {
    pub(super) scope: Scope,
    pub(super) node: Node,
    /// Its digest where the look proves that it is unchanged.
    pub(super) same: Option<Digest>,
}

/// What is to be done about a source.
pub(super) struct Plan<'a> {
    profile: &'a Profile,
    look: Option<&'a Look>,
    known: HashMap<&'a [u8], &'a LookEntry>,
    max_files: u32,
    max_bytes: u64,
    /// See [`Context::partial`].
    pub(super) partial: bool,
    files: u32,
    bytes: u64,
    folders: Vec<Node>,
    unclaimed: Vec<ConfigPath>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) planned: Vec<Planned>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(device: &Device, profile: &'a Profile, look: Option<&'a Look>, context: &Context<'_>) -> Self {
        let leaves = look.into_iter().flat_map(|look| &look.entries).filter(|entry| entry.kind != Kind::Directory);
        Self {
            profile,
            look,
            known: leaves.map(|entry| (entry.path.as_bytes(), entry)).collect(),
            max_files: context.policy.max_files,
            max_bytes: device.max_size.unwrap_or(context.policy.max_size).0,
            partial: context.partial,
            files: 0,
            bytes: 0,
            folders: Vec::new(),
            unclaimed: Vec::new(),
            skipped: Vec::new(),
            planned: Vec::new(),
        }
    }

    fn count(&mut self) -> Result<(), CollectError> {
        self.files += 1;
        if self.files > self.max_files { Err(CollectError::TooMany { limit: self.max_files }) } else { Ok(()) }
    }

    /// Takes up a folder; false if nothing below it is part of the set.
    ///
    /// # Errors
    /// [`CollectError::TooMany`].
    pub(super) fn folder(&mut self, node: Node) -> Result<bool, CollectError> {
        if act::is_leftover(&node.path) {
            self.skipped.push(Skipped { path: node.path, what: act::LEFTOVER_WORDS });
            return Ok(false);
        }
        if self.profile.claim(&node.path) == Claim::Skip {
            return Ok(false);
        }
        self.count()?;
        self.folders.push(node);
        Ok(true)
    }

    /// Tells whether a folder was taken up already.
    pub(super) fn has_folder(&self, path: &ConfigPath) -> bool {
        self.folders.iter().any(|folder| folder.path == *path)
    }

    /// Takes the attributes of a file that changed since it was listed.
    pub(super) fn restamp(&mut self, index: usize, now: Node) {
        if let Some(planned) = self.planned.get_mut(index) {
            planned.node = now;
        }
    }

    /// Tells whether the profile leaves a path out.
    pub(super) fn leaves_out(&self, path: &ConfigPath) -> bool {
        self.profile.claim(path) == Claim::Skip
    }

    /// Takes up a file or a link.
    ///
    /// # Errors
    /// [`CollectError::TooMany`], [`CollectError::TooLarge`].
    pub(super) fn leaf(&mut self, node: Node) -> Result<(), CollectError> {
        if act::is_leftover(&node.path) {
            self.skipped.push(Skipped { path: node.path, what: act::LEFTOVER_WORDS });
            return Ok(());
        }
        let before = self.known.get(node.path.as_bytes()).copied();
        let scope = match before {
            Some(entry) => entry.scope,
            None => match self.profile.claim(&node.path) {
                Claim::Skip => return Ok(()),
                Claim::Scope(scope) => scope,
                Claim::Unclaimed => {
                    self.unclaimed.push(node.path.clone());
                    Scope::System
                }
            },
        };
        self.count()?;
        self.bytes = self.bytes.saturating_add(node.stamp.size);
        if self.bytes > self.max_bytes {
            return Err(CollectError::TooLarge { limit: self.max_bytes });
        }
        let same = before.filter(|old| {
            old.kind == node.kind
                && old.stamp == node.stamp
                && node.stamp.mtime_ns > 0
                && self.look.is_some_and(|look| look.trusts(&node.stamp, STEP_NS))
        });
        self.planned.push(Planned { scope, same: same.map(|old| old.plain), node });
        Ok(())
    }

    /// Makes the set. `contents` has what was fetched of `planned`, in its order; nothing for what is gone.
    ///
    /// # Errors
    /// [`CollectError::NotWhole`], [`CollectError::NoRelease`], [`CollectError::Set`].
    pub(super) fn finish(
        mut self,
        contents: Vec<Option<Content>>,
        device: &Device,
        more: Vec<Entry>,
        reread: &mut dyn FnMut(&ConfigPath) -> Option<Vec<u8>>,
    ) -> Result<(ConfigSet, Vec<Skipped>), CollectError> {
        let mut entries = more;
        let mut all_same = entries.is_empty();
        for (planned, content) in self.planned.drain(..).zip(contents) {
            let Some(content) = content else {
                all_same = false;
                continue;
            };
            all_same &= matches!(content, Content::Same(_));
            entries.push(entry(planned.scope, planned.node, content));
        }
        let folders = std::mem::take(&mut self.folders);
        let folders = folders.into_iter().map(|node| entry(Scope::System, node, Content::Bytes(Vec::new()))).collect();
        place_folders(self.profile, folders, &mut entries);
        let same = self.look.filter(|look| all_same && look.entries.len() == entries.len());
        if same.is_none() && !self.partial {
            finish::check_required(self.profile, &entries)?;
        }
        let release = match (&device.release, same) {
            (Some(release), _) => Some(release.clone()),
            (None, Some(look)) => Some(look.release.clone()),
            (None, None) if self.partial => finish::release(device, self.profile, &entries, reread).ok(),
            (None, None) => Some(finish::release(device, self.profile, &entries, reread)?),
        };
        let set = ConfigSet::new(entries, release, self.unclaimed)?;
        Ok((set, self.skipped))
    }
}

/// Gives each folder to every scope that has something below it; one that has nothing goes where the profile puts it.
/// The scopes that the folders come with count for nothing; `entries` has none of them.
pub(super) fn place_folders(profile: &Profile, mut folders: Vec<Entry>, entries: &mut Vec<Entry>) {
    let mut scopes: HashMap<Vec<u8>, BTreeSet<Scope>> = HashMap::new();
    for entry in entries.iter() {
        let bytes = entry.path.as_bytes();
        for at in memchr::memrchr_iter(b'/', bytes) {
            let known = match scopes.get_mut(&bytes[..at]) {
                Some(known) => known,
                None => scopes.entry(bytes[..at].to_vec()).or_default(),
            };
            // Whoever put the scope here put it above, too.
            if !known.insert(entry.scope) {
                break;
            }
        }
    }
    // Deepest first, so that an empty folder tells its scope to those above.
    folders.sort_by(|a, b| b.path.cmp(&a.path));
    for folder in folders {
        let own = scopes.remove(folder.path.as_bytes()).unwrap_or_else(|| {
            BTreeSet::from([match profile.claim(&folder.path) {
                Claim::Scope(scope) => scope,
                _ => Scope::System,
            }])
        });
        if let Some(parent) = folder.path.parent() {
            scopes.entry(parent.as_bytes().to_vec()).or_default().extend(&own);
        }
        entries.extend(own.into_iter().map(|scope| Entry { scope, ..folder.clone() }));
    }
}

fn entry(scope: Scope, node: Node, content: Content) -> Entry {
    let mode = if node.kind == Kind::Link { 0o777 } else { node.mode & 0o7777 };
    Entry { scope, path: node.path, kind: node.kind, mode, owner: node.owner, stamp: node.stamp, content }
}

/// Puts the parts of a result together.
pub(super) fn collected(set: ConfigSet, skipped: Vec<Skipped>, taken_ns: i64, rules: Digest, read_bytes: u64) -> Collected {
    Collected {
        set,
        taken_ns,
        rules,
        root: None,
        skipped,
        warnings: Vec::new(),
        without: Vec::new(),
        more: false,
        read_bytes,
        referenced: Vec::new(),
    }
}
