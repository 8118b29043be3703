//! The history of one device: which states it has, and a generation for each that differs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use super::history::{Event, History, Node};
use super::layout::InSet;
use super::state::{State, Whole};
use super::{ImportError, Imported, Options, SkippedState};
use crate::collect::CollectError;
use crate::model::{ConfigPath, DeviceName, Digest, Release};
use crate::ops::keys::{Seen, check_device};
use crate::ops::snapshot::reason;
use crate::ops::vouch::check_lines;
use crate::ops::{Error, Vault};
use crate::profile::Profile;
use crate::seal::DeviceKeys;
use crate::store::{
    Chain, EncodeContext, Foreign, ForeignCommit, GenerationKind, Meta, ObjectId, Outcome, ProfileRules, Record, Transaction,
};

/// A device whose history is to be taken.
pub(super) struct Job {
    pub(super) device: DeviceName,
    pub(super) profile: Arc<Profile>,
    pub(super) rules: ProfileRules,
    /// Where the profile has the configuration of the device.
    pub(super) config: ConfigPath,
    pub(super) history: History,
    /// The release of states that have none, where there is none before them.
    pub(super) release: Option<Release>,
}

impl crate::collect::fleet::Item for Job {}

/// What all devices share.
pub(super) struct Shared<'a> {
    pub(super) vault: &'a Vault,
    pub(super) foreign: &'a Foreign,
    pub(super) line: &'a [ForeignCommit],
    /// Place in the line by commit.
    pub(super) places: HashMap<ObjectId, u32>,
    pub(super) options: &'a Options,
    pub(super) seen: Seen,
    pub(super) cancel: &'a AtomicBool,
    pub(super) now: DateTime<Utc>,
}

/// Files of a state by their path in the set.
pub(super) type Files = BTreeMap<ConfigPath, Node>;

impl Shared<'_> {
    /// Takes the history of a device as far as the store does not have it.
    pub(super) fn take(&self, job: &Job, transaction: &Transaction<'_>) -> Result<Imported, Error> {
        let store = &self.vault.store;
        check_device(&self.seen, store, transaction.refs(), &job.device)?;
        check_lines(store, transaction.refs(), &self.vault.trusted.trust, &self.seen, &job.device)?;
        let placed = place(job)?;
        let known = self.known(job, transaction)?;
        let mut chain = transaction.chain(&job.device)?;
        let mut taker = Taker { shared: self, job, release: known.release, kept: HashMap::new(), out: Imported::default() };
        let mut files = Files::new();
        for states in job.history.events.chunk_by(|a, b| a.commit == b.commit) {
            apply(&mut files, &placed, states);
            let commit = &self.line[states[0].commit as usize];
            taker.out.gone = files.is_empty().then(|| self.clamp(commit.time));
            if states[0].commit < known.from || files.is_empty() {
                continue;
            }
            if self.cancel.load(Ordering::Relaxed) {
                return Err(CollectError::Cancelled.into());
            }
            taker.state(&mut chain, &files, commit)?;
        }
        let out = taker.out;
        if !self.options.plan && (out.made > 0 || known.from == 0 && !out.skipped.is_empty()) {
            let record = Record::new("import", "done").with("device", job.device.as_str());
            let record = record.with("generations", out.made).with("skipped", out.skipped.len() as u64);
            transaction.record(match out.last {
                Some(last) => record.with("generation", last),
                None => record,
            });
        }
        chain.finish();
        Ok(out)
    }

    /// A time as a generation can have it: not before 1970, and not in the future.
    fn clamp(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time.clamp(DateTime::UNIX_EPOCH, self.now)
    }

    /// Finds where the store's history of a device ends in the line.
    fn known(&self, job: &Job, transaction: &Transaction<'_>) -> Result<Known, Error> {
        let mut newest = None;
        let history = match self.vault.store.history(transaction.refs(), &job.device) {
            Ok(history) => history,
            Err(crate::store::Error::NoDevice { .. }) => return Ok(Known { from: 0, release: None }),
            Err(error) => return Err(error.into()),
        };
        let ends = |commit: u32| job.history.events.last().is_none_or(|event| event.commit <= commit);
        for generation in history {
            let generation = generation?;
            let number = *newest.get_or_insert(generation.number);
            let Some(commit) = generation.imported else { continue };
            let place = ObjectId::from_hex(commit.as_bytes()).ok().and_then(|id| self.places.get(&id)).copied();
            return match place {
                None => Err(ImportError::OtherHistory { commit }.into()),
                Some(place) if number == generation.number || ends(place) => {
                    Ok(Known { from: place + 1, release: Some(generation.release) })
                }
                Some(_) => Err(ImportError::Collected { number }.into()),
            };
        }
        Err(ImportError::Collected { number: newest.unwrap_or(0) }.into())
    }
}

/// What the store has of a device.
struct Known {
    /// The first place in the line that it does not have.
    from: u32,
    /// The release of the last state that it has.
    release: Option<Release>,
}

/// Where a file of a device stands in its set, and up to which commit what happens to it counts.
struct Placed {
    path: ConfigPath,
    until: u32,
}

/// Finds where each file of a device stands in its set. Files that were never written at the same time may be
/// one: a device that moved from one group to another. Then the old one counts until the new one begins.
fn place(job: &Job) -> Result<Vec<Placed>, ImportError> {
    let history = &job.history;
    let path = |place: &InSet| match place {
        InSet::Config => job.config.clone(),
        InSet::Path(path) => path.clone(),
    };
    let mut placed: Vec<Placed> = history.files.iter().map(|file| Placed { path: path(&file.place), until: u32::MAX }).collect();
    // First and last commit that wrote each file; the events are in order.
    let mut spans: Vec<Option<(u32, u32)>> = vec![None; placed.len()];
    for event in history.events.iter().filter(|event| event.node.is_some()) {
        let span = &mut spans[event.file as usize];
        *span = Some((span.map_or(event.commit, |s| s.0), event.commit));
    }
    let mut by_path: HashMap<&ConfigPath, Vec<usize>> = HashMap::new();
    for (file, placed) in placed.iter().enumerate() {
        by_path.entry(&placed.path).or_default().push(file);
    }
    let mut ends = Vec::new();
    for mut files in by_path.into_values().filter(|files| files.len() > 1) {
        files.sort_by_key(|file| spans[*file]);
        for pair in files.windows(2) {
            let (last, first) = (spans[pair[0]].map(|s| s.1), spans[pair[1]].map(|s| s.0));
            if last > first {
                let shown = |file: usize| history.files[file].path.escape_ascii().to_string();
                return Err(ImportError::Twice([shown(pair[0]), shown(pair[1])]));
            }
            ends.push((pair[0], first.unwrap_or(u32::MAX)));
        }
    }
    ends.into_iter().for_each(|(file, until)| placed[file].until = until);
    Ok(placed)
}

/// Goes from one state to the next.
fn apply(files: &mut Files, placed: &[Placed], events: &[Event]) {
    let counts = |event: &&Event| event.commit <= placed[event.file as usize].until;
    // A file that moved goes at its old place and comes at its new one, which may be the same in the set.
    for event in events.iter().filter(counts).filter(|event| event.node.is_none()) {
        files.remove(&placed[event.file as usize].path);
    }
    for event in events.iter().filter(counts) {
        if let Some(node) = event.node {
            files.insert(placed[event.file as usize].path.clone(), node);
        }
    }
}

/// Takes the states of one device.
struct Taker<'a> {
    shared: &'a Shared<'a>,
    job: &'a Job,
    /// The release of the state before.
    release: Option<Release>,
    /// The files of the newest generation: blob and keyed digest.
    kept: HashMap<ConfigPath, (ObjectId, Digest)>,
    out: Imported,
}

impl Taker<'_> {
    fn skip(&mut self, commit: &ForeignCommit, why: String) {
        let time = self.shared.clamp(commit.time);
        self.out.skipped.push(SkippedState { commit: commit.id.to_string(), time, why });
    }

    fn state(&mut self, chain: &mut Chain<'_, '_>, files: &Files, commit: &ForeignCommit) -> Result<(), Error> {
        let Shared { vault, foreign, options, .. } = self.shared;
        let job = self.job;
        let mut state = match State::read(foreign, &job.profile, files, &self.kept) {
            Ok(state) => state,
            // What is lost in the repository is lost; the other states are not.
            Err(error) => {
                self.skip(commit, reason(&error));
                return Ok(());
            }
        };
        let mut accepted = None;
        match (state.judge(&job.profile), &options.accept) {
            (Whole::Yes, _) => {}
            // Accepted or not, nothing is no state of a device.
            (Whole::Empty, _) => {
                self.out.empty += 1;
                return Ok(());
            }
            (Whole::No(why), Some(words)) => accepted = Some(format!("{why}: {words}")),
            (Whole::No(why), None) => {
                self.skip(commit, why);
                return Ok(());
            }
        }
        let release = self.release_of(&state, files, commit)?;
        let mut meta = Meta::new(self.shared.clamp(commit.time), Digest([0; 32]), 0);
        meta.kind = Some(GenerationKind::Imported);
        meta.imported = Some(commit.id.to_string());
        meta.author = Some((*commit.author).clone());
        meta.accepted.clone_from(&accepted);
        meta.note = options.messages.then(|| self.note(commit)).flatten();
        let encode = EncodeContext {
            device: &job.device,
            keys: &vault.keys,
            rules: &job.rules,
            sealer: vault.sealer.as_ref(),
            large_over: vault.inventory.policy.large_over.0,
        };
        let outcome = loop {
            let set = state.set(&job.profile, release.clone())?;
            match chain.add(&encode, set, &meta) {
                // What did not change is needed after all.
                Err(crate::store::Error::ContentNeeded { .. }) if state.read_all(foreign, files).is_ok_and(|more| more) => {}
                Err(error @ crate::store::Error::Refused { .. }) => {
                    self.skip(commit, reason(&error));
                    return Ok(());
                }
                outcome => break outcome?,
            }
        };
        self.release = Some(release);
        match outcome {
            Outcome::Unchanged { .. } => self.out.unchanged += 1,
            Outcome::Generation(generation) => {
                self.out.made += 1;
                self.out.first.get_or_insert(generation.number);
                self.out.last = Some(generation.number);
                self.out.accepted += u64::from(accepted.is_some());
                self.out.unclaimed.extend(state.unclaimed(&job.profile));
                self.keep(&state, files);
            }
        }
        Ok(())
    }

    /// Remembers what the newest generation has, so that what does not change is not read again.
    fn keep(&mut self, state: &State, files: &Files) {
        let keys = &self.shared.vault.keys;
        let Some(key) = keys.epoch(keys.newest()).filter(|_| files.len() > 1) else { return };
        let keys = DeviceKeys::derive(key, &self.job.device);
        self.kept.retain(|path, _| files.contains_key(path));
        for (path, bytes) in state.contents() {
            if let Some(node) = files.get(path) {
                self.kept.insert(path.clone(), (node.id, keys.digest(bytes)));
            }
        }
    }

    /// The release: as the profile finds it, else that of the state before, else as it is declared.
    fn release_of(&self, state: &State, files: &Files, commit: &ForeignCommit) -> Result<Release, ImportError> {
        let found = state.release(self.shared.foreign, &self.job.profile, files);
        // Where a tool did not get the version that it notes above a configuration, the configuration tells
        // less: 15.7 of 15.7(3)M6. That is no other release.
        let less = |found: &Release, before: &Release| {
            let rest = before.as_str().strip_prefix(found.as_str());
            rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_alphanumeric()))
        };
        let release = match (found, &self.release) {
            (Some(found), Some(before)) if less(&found, before) => Some(before.clone()),
            (Some(found), _) => Some(found),
            (None, Some(before)) => Some(before.clone()),
            (None, None) => self.job.release.clone(),
        };
        release.ok_or_else(|| ImportError::NoRelease { commit: commit.id.to_string() })
    }

    /// The message of a commit, without what the rules take for a secret.
    fn note(&self, commit: &ForeignCommit) -> Option<String> {
        let message = self.shared.foreign.message(&commit.id).ok()?;
        let spans = self.job.profile.secrets(&self.job.config, message.as_bytes(), self.shared.vault.overrides());
        let (mut note, mut at) = (Vec::new(), 0);
        for span in spans {
            note.extend_from_slice(&message.as_bytes()[at..span.range.start]);
            note.extend_from_slice(b"(secret)");
            at = span.range.end;
        }
        note.extend_from_slice(&message.as_bytes()[at..]);
        Some(String::from_utf8_lossy(&note).trim().to_owned()).filter(|note| !note.is_empty())
    }
}
