//! What one release has that another has not: files and settings, gone, new, renamed, default changed.
//!
//! Samples say in comments what the defaults are; so a setting that stands in a comment counts as one that the
//! release knows. A setting that is shown is looked for in the whole file, as samples move examples from section to
//! section; one that is set is looked for in its section.

use std::collections::{BTreeMap, BTreeSet};

use super::pair::{self, Named};
use crate::diff::{Setting, settings};
use crate::model::{ConfigPath, DeviceName, Kind, Point, Release, Scope, Where};
use crate::ops::{Error, Reader};
use crate::store::{Generation, Refs};

/// Files of more bytes are compared by name only.
const LARGEST_BYTES: u64 = 4 << 20;

/// What differs between two releases of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseDiff {
    /// Number and release of the old generation: the newest of its line.
    pub old: (u64, Release),
    /// Number and release of the new generation: the newest of its line.
    pub new: (u64, Release),
    /// Files that came, went or have another name; sorted by path.
    pub files: Vec<FileChange>,
    /// Settings that differ, of files that both have, and of renamed ones; sorted by file and line.
    pub settings: Vec<SettingChange>,
    /// Files whose settings are not compared, as their syntax has none that are known; only those that differ.
    pub not_compared: Vec<String>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// `scope/path`; of a renamed one, the old.
    pub path: String,
    /// `Gone`, `New` or `Renamed`.
    pub fate: Fate,
    /// The settings that the old file sets, comments apart: what is lost with it.
    pub set: usize,
    /// The keys that a file which went knew, set or shown, each once; sorted.
    pub keys: Vec<String>,
}

/// What became of a file or a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Only the old release has it; its value.
    Gone(String),
    /// Only the new release has it; its value.
    New(String),
    /// It probably has another name now.
    Renamed {
        /// The new name.
        to: String,
        /// The values, old and new.
        values: (String, String),
    },
    /// The value that is shown as the default differs: old and new.
    Default(String, String),
    /// The value that is set differs: old and new; empty where it is not set.
    Changed(String, String),
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// `scope/path`, in the old release where it is there.
    pub file: String,
    /// The section.
    pub section: String,
    /// The key.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
    /// It is set, not only shown in a comment, on the side (or sides) that have it.
    pub set: bool,
    /// Its line in the old file, or in the new one if it is new.
    pub line: u32,
}

/// Compares the newest generations of two releases of a device. Secrets stay masked.
///
/// # Errors
/// The device or a release is not there; a generation cannot be read.
pub fn diff(reader: &Reader, device: &DeviceName, old: &Release, new: &Release) -> Result<ReleaseDiff, Error> {
    diff_across(reader, (device, old), (device, new))
}

/// The same of two devices, each with its release: one and its stand-in.
pub(crate) fn diff_across(
    reader: &Reader,
    old: (&DeviceName, &Release),
    new: (&DeviceName, &Release),
) -> Result<ReleaseDiff, Error> {
    let refs = reader.store.refs()?;
    let newest = |(device, release): (&DeviceName, &Release)| {
        reader.store.resolve(&refs, &Point { device: device.clone(), release: Some(release.clone()), at: Where::Newest })
    };
    between(reader, &refs, &newest(old)?, &newest(new)?)
}

/// One side: its files by place.
type Side = BTreeMap<String, File>;

struct File {
    /// The bytes; nothing for what is sealed or large.
    bytes: Option<Vec<u8>>,
    settings: Option<Vec<Setting>>,
}

/// Compares two generations.
pub(super) fn between(reader: &Reader, refs: &Refs, old: &Generation, new: &Generation) -> Result<ReleaseDiff, Error> {
    let (before, after) = (side(reader, refs, old)?, side(reader, refs, new)?);
    let mut out = ReleaseDiff {
        old: (old.number, old.release.clone()),
        new: (new.number, new.release.clone()),
        files: Vec::new(),
        settings: Vec::new(),
        not_compared: Vec::new(),
    };
    let gone: Vec<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let come: Vec<&String> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    let renamed = pair::files(&shapes(&before, &gone), &shapes(&after, &come));
    for path in &gone {
        let fate = match renamed.get(path.as_str()) {
            Some(to) => Fate::Renamed { to: (*to).to_owned(), values: Default::default() },
            None => Fate::Gone(String::new()),
        };
        out.files.push(FileChange { path: (*path).clone(), fate, set: set_count(&before[*path]), keys: keys(&before[*path]) });
    }
    for path in come.iter().filter(|path| !renamed.values().any(|to| *to == path.as_str())) {
        out.files.push(FileChange { path: (*path).clone(), fate: Fate::New(String::new()), set: 0, keys: Vec::new() });
    }
    out.files.sort_by(|a, b| a.path.cmp(&b.path));
    for (path, file) in &before {
        let Some(other) = after.get(renamed.get(path.as_str()).map_or(path.as_str(), |to| to)) else { continue };
        match (&file.settings, &other.settings) {
            (Some(old), Some(new)) => compare(path, old, new, &mut out.settings),
            _ if file.bytes.is_none() || file.bytes != other.bytes => out.not_compared.push(path.clone()),
            _ => {}
        }
    }
    Ok(out)
}

fn side(reader: &Reader, refs: &Refs, generation: &Generation) -> Result<Side, Error> {
    let profile = reader.profile_of(&generation.device)?;
    let set = reader.store.read_set(refs, generation, reader.masked())?;
    let mut out = Side::new();
    for line in set.manifest().lines.iter().filter(|line| line.kind == Kind::File) {
        let Some(body) = line.body else { continue };
        let mut file = File { bytes: None, settings: None };
        if !body.form.sealed() && body.size <= LARGEST_BYTES {
            let read = set.read(line)?;
            let bytes = read.bytes();
            let settings = settings(profile.syntax(&line.path, bytes), bytes).ok();
            file = File { bytes: Some(bytes.to_vec()), settings };
        }
        out.insert(place(line.scope, &line.path), file);
    }
    Ok(out)
}

/// The place of a file as it is shown.
pub(crate) fn place(scope: Scope, path: &ConfigPath) -> String {
    format!("{scope}/{path}")
}

fn set_count(file: &File) -> usize {
    file.settings.iter().flatten().filter(|s| !s.default && !s.key.is_empty()).count()
}

fn keys(file: &File) -> Vec<String> {
    let keys: BTreeSet<&str> = file.settings.iter().flatten().map(|s| s.key.as_str()).filter(|k| !k.is_empty()).collect();
    keys.into_iter().map(str::to_owned).collect()
}

/// What files are known by, for the search of renamed ones.
fn shapes<'a>(side: &'a Side, paths: &[&'a String]) -> Vec<Named<'a>> {
    let keys = |file: &'a File| file.settings.iter().flatten().map(|s| s.key.as_str()).filter(|k| !k.is_empty()).collect();
    let bytes = |file: &'a File| file.bytes.as_deref().unwrap_or_default();
    paths.iter().map(|path| Named { name: path, bytes: bytes(&side[*path]), words: keys(&side[*path]) }).collect()
}

/// What is known of a key: the settings of it, those that are set apart from those that are shown.
#[derive(Default)]
struct Known<'a> {
    set: BTreeMap<&'a str, Vec<&'a Setting>>,
    shown: Vec<&'a Setting>,
}

fn by_key(all: &[Setting]) -> BTreeMap<&str, Known<'_>> {
    let mut out: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for setting in all.iter().filter(|s| !s.key.is_empty()) {
        let known = out.entry(setting.key.as_str()).or_default();
        match setting.default {
            true => known.shown.push(setting),
            false => known.set.entry(setting.section.as_str()).or_default().push(setting),
        }
    }
    out
}

impl Known<'_> {
    /// The first place at which it is set, else shown.
    fn first(&self) -> Option<&Setting> {
        self.set.values().flatten().copied().min_by_key(|s| s.line).or_else(|| self.shown.first().copied())
    }
}

fn values(all: &[&Setting]) -> String {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&str> = all.iter().map(|s| s.value.as_str()).filter(|v| seen.insert(*v)).collect();
    distinct.join(" | ")
}

fn compare(path: &str, old: &[Setting], new: &[Setting], out: &mut Vec<SettingChange>) {
    let (before, after) = (by_key(old), by_key(new));
    let begin = out.len();
    let change = |setting: &Setting, fate: Fate| SettingChange {
        file: path.to_owned(),
        section: setting.section.clone(),
        key: setting.key.clone(),
        set: !setting.default,
        line: setting.line,
        fate,
    };
    let gone: Vec<&Setting> = before.iter().filter(|(k, _)| !after.contains_key(*k)).filter_map(|(_, v)| v.first()).collect();
    let come: Vec<&Setting> = after.iter().filter(|(k, _)| !before.contains_key(*k)).filter_map(|(_, v)| v.first()).collect();
    let renamed = pair::settings(&gone, &come);
    for (at, setting) in gone.iter().enumerate() {
        out.push(change(
            setting,
            match renamed.get(&at) {
                Some(to) => Fate::Renamed { to: come[*to].key.clone(), values: (setting.value.clone(), come[*to].value.clone()) },
                None => Fate::Gone(setting.value.clone()),
            },
        ));
    }
    for (_, setting) in come.iter().enumerate().filter(|(at, _)| !renamed.values().any(|to| to == at)) {
        out.push(change(setting, Fate::New(setting.value.clone())));
    }
    for (key, was) in &before {
        let Some(is) = after.get(key) else { continue };
        let (shown, shows) = (values(&was.shown), values(&is.shown));
        if let (Some(first), false) = (was.shown.first(), is.shown.is_empty() || shown == shows) {
            out.push(change(first, Fate::Default(shown, shows)));
        }
        let sections: BTreeSet<&&str> = was.set.keys().chain(is.set.keys()).collect();
        for section in sections {
            let (a, b) = (was.set.get(*section), is.set.get(*section));
            let (old, new) = (a.map(|a| values(a)).unwrap_or_default(), b.map(|b| values(b)).unwrap_or_default());
            let first = a.or(b).and_then(|all| all.first());
            if let (Some(first), true) = (first, old != new || a.is_some() != b.is_some()) {
                out.push(change(
                    first,
                    match (a, b) {
                        (Some(_), None) => Fate::Gone(old),
                        (None, _) => Fate::New(new),
                        _ => Fate::Changed(old, new),
                    },
                ));
            }
        }
    }
    out[begin..].sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
}
