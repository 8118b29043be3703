//! Searching the text of generations.
//!
//! What is masked stays masked: a search finds that there is a secret, never its value. Equal contents
//! of one device are read once, however many generations hold them.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use regex::bytes::Regex;

use super::signatures::SignatureFinding;
use super::{Error, PathFilter, Reader};
use crate::model::{ConfigPath, DeviceName, Digest, Kind, Scope};
use crate::store::{self, Generation, Refs, Store};

/// Files of more bytes are not searched.
const LARGEST_BYTES: u64 = 64 << 20;

/// What is searched for, and where.
#[derive(Debug)]
pub struct Options {
    /// The expression, matched against each line.
    pub pattern: Regex,
    /// The devices; none for all.
    pub devices: Vec<DeviceName>,
    /// Only these paths.
    pub paths: PathFilter,
    /// Not only the newest generation.
    pub all_generations: bool,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The device.
    pub device: DeviceName,
    /// The oldest generation, of those next to each other, that holds the line here.
    pub first: u64,
    /// The newest of them.
    pub last: u64,
    /// Scope of the file.
    pub scope: Scope,
    /// Path of the file.
    pub path: ConfigPath,
    /// Number of the line, from 1.
    pub line: usize,
    /// The line without its end, as bytes of the device.
    pub text: Vec<u8>,
}

/// What could not be searched, as it does not read.
#[derive(Debug)]
pub struct Lost {
    /// The device.
    pub device: DeviceName,
    /// The generation; nothing if it is not known which one is the next.
    pub generation: Option<u64>,
    /// The file; nothing if it is all that the generation holds.
    pub file: Option<(Scope, ConfigPath)>,
    /// Why.
    pub error: store::Error,
}

/// What was searched.
#[derive(Debug, Default)]
pub struct Searched {
    /// Devices.
    pub devices: usize,
    /// Generations.
    pub generations: usize,
    /// Distinct contents that were read.
    pub files: usize,
    /// Files that could not be searched: sealed, or too large.
    pub unread: usize,
    /// Lines found.
    pub hits: usize,
    /// Of the generations that lines are shown of, each line's newest: those that nobody has signed who may.
    pub foreign: Vec<SignatureFinding>,
    /// What is damaged or could not be read.
    pub lost: Vec<Lost>,
}

/// Searches, and gives each line found to `found`, which may end the search with an error. What does not read is told in
/// the end, and hides nothing else.
///
/// # Errors
/// Those of `found`; a device is not there, or the refs cannot be read.
pub fn search<E: From<Error>>(
    reader: &Reader,
    options: &Options,
    cancel: &AtomicBool,
    found: &mut dyn FnMut(Hit) -> Result<(), E>,
) -> Result<Searched, E> {
    let store = &reader.store;
    let refs = store.refs().map_err(Error::from)?;
    let devices = if options.devices.is_empty() { store.devices(&refs) } else { options.devices.clone() };
    let mut searched = Searched { devices: devices.len(), ..Searched::default() };
    for device in &devices {
        let generations = generations(store, &refs, device, options.all_generations, &mut searched.lost).map_err(Error::from)?;
        // Newest first: what a generation shares with the one before it in the list is one hit.
        let mut runs: HashMap<(Scope, ConfigPath), Run> = HashMap::new();
        let mut shown = BTreeSet::new();
        let mut tell = |run: Run, key: &(Scope, ConfigPath)| {
            if !run.lines.is_empty() {
                shown.insert(run.last);
            }
            run.tell(device, key, found)
        };
        for generation in &generations {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Stopped.into());
            }
            searched.generations += 1;
            let lost = |file, error| Lost { device: device.clone(), generation: Some(generation.number), file, error };
            let set = match store.read_set(&refs, generation, reader.masked()) {
                Ok(set) => set,
                Err(error) => {
                    searched.lost.push(lost(None, error));
                    continue;
                }
            };
            let mut still = HashMap::with_capacity(runs.len());
            for line in &set.manifest().lines {
                let Some(body) = line.body.filter(|_| line.kind == Kind::File) else { continue };
                if !options.paths.matches(line.scope, &line.path) {
                    continue;
                }
                let key = (line.scope, line.path.clone());
                if let Some(mut run) = runs.remove(&key) {
                    if run.stored == body.stored {
                        run.first = generation.number;
                        still.insert(key, run);
                        continue;
                    }
                    searched.hits += tell(run, &key)?;
                }
                if body.form.sealed() || body.size > LARGEST_BYTES {
                    searched.unread += 1;
                    continue;
                }
                searched.files += 1;
                let lines = match set.read(line) {
                    Ok(bytes) => lines(bytes.bytes(), &options.pattern),
                    Err(error) => {
                        searched.lost.push(lost(Some(key.clone()), error));
                        Vec::new()
                    }
                };
                still.insert(key, Run { stored: body.stored, first: generation.number, last: generation.number, lines });
            }
            for (key, run) in sorted(runs) {
                searched.hits += tell(run, &key)?;
            }
            runs = still;
        }
        for (key, run) in sorted(runs) {
            searched.hits += tell(run, &key)?;
        }
        let shown = generations.iter().filter(|generation| shown.contains(&generation.number));
        searched.foreign.extend(shown.filter_map(|generation| reader.foreign(&refs, generation)));
    }
    Ok(searched)
}

/// The generations to search, newest first, as far as they read.
fn generations(
    store: &Store,
    refs: &Refs,
    device: &DeviceName,
    all: bool,
    lost: &mut Vec<Lost>,
) -> Result<Vec<Generation>, store::Error> {
    let mut found = Vec::new();
    let read = if all {
        store.history(refs, device).and_then(|mut history| {
            history.try_for_each(|generation| {
                found.push(generation?);
                Ok(())
            })
        })
    } else {
        store.newest(refs, device).map(|newest| found.push(newest))
    };
    match read {
        Err(error @ store::Error::NoDevice { .. }) => return Err(error),
        Err(error) => lost.push(Lost { device: device.clone(), generation: None, file: None, error }),
        Ok(()) => {}
    }
    Ok(found)
}

/// One content of a file, in generations next to each other.
struct Run {
    stored: Digest,
    first: u64,
    last: u64,
    lines: Vec<(usize, Vec<u8>)>,
}

impl Run {
    fn tell<E>(
        self,
        device: &DeviceName,
        (scope, path): &(Scope, ConfigPath),
        found: &mut dyn FnMut(Hit) -> Result<(), E>,
    ) -> Result<usize, E> {
        let count = self.lines.len();
        for (line, text) in self.lines {
            let (device, path) = (device.clone(), path.clone());
            found(Hit { device, first: self.first, last: self.last, scope: *scope, path, line, text })?;
        }
        Ok(count)
    }
}

fn sorted(runs: HashMap<(Scope, ConfigPath), Run>) -> Vec<((Scope, ConfigPath), Run)> {
    let mut runs: Vec<_> = runs.into_iter().collect();
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    runs
}

/// The lines that match, with their numbers; none in what is no text.
fn lines(bytes: &[u8], pattern: &Regex) -> Vec<(usize, Vec<u8>)> {
    if bytes.contains(&0) || !pattern.is_match(bytes) {
        return Vec::new();
    }
    let lines = bytes.split(|b| *b == b'\n').enumerate();
    let hits = lines.filter(|(_, line)| pattern.is_match(line));
    hits.map(|(at, line)| (at + 1, line.strip_suffix(b"\r").unwrap_or(line).to_vec())).collect()
}
