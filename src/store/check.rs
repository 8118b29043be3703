//! Is everything there, whole, and what it says it is?
//!
//! The structure is read from refs, commits, trees and manifests; with `read_data` every object of every
//! pack is read once and compared with its id, with its digest as stored and, where keys are at hand, with
//! its digest when decoded. Damage never ends a check: it becomes a finding. Signatures are not looked
//! at here: whose they may be is decided above this room.

mod data;
mod lines;
mod others;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use serde::Serialize;

use super::damage::Damage;
use super::decode::Access;
use super::error::{Error, Result};
use super::history;
use super::manifest::Form;
use super::refs::Refs;
use super::store::Store;
use crate::model::{DeviceName, Digest};

/// What to check, and with what.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions<'a> {
    /// Whether every object is read.
    pub read_data: bool,
    /// Keys for the digests of decoded bytes.
    pub access: Access<'a>,
    /// Only these devices, and nothing but them.
    pub devices: Option<&'a [DeviceName]>,
    /// How many threads read; 0: one.
    pub threads: usize,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// An object is not there.
    Missing,
    /// An object or a file of the repository is damaged.
    Damaged,
    /// A damaged copy of an object of which another copy is whole; maintenance takes it away.
    Copy,
    /// Bytes are not those of their digest.
    Digest,
    /// A manifest and its tree, or its commit, do not go together.
    Manifest,
    /// Numbers, parents or lines of a device are not what they must be.
    Line,
    /// A name, or the tag of it, is not what it must be.
    Name,
    /// Chunks of a generation are not what they must be.
    Large,
    /// The journal, the logs or another branch of a collector is not what it must be.
    Journal,
    /// A ref that the format does not know.
    Ref,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Fault::Missing => "missing",
            Fault::Damaged => "damaged",
            Fault::Copy => "copy",
            Fault::Digest => "digest",
            Fault::Manifest => "manifest",
            Fault::Line => "line",
            Fault::Name => "name",
            Fault::Large => "large",
            Fault::Journal => "journal",
            Fault::Ref => "ref",
        };
        f.pad(word)
    }
}

/// Generations of a device, first and last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The device.
    pub device: DeviceName,
    /// The first generation.
    pub first: u64,
    /// The last generation, or [`Span::OPEN`]; in JSON that is `null`.
    #[serde(serialize_with = "last_or_null")]
    pub last: u64,
}

impl Span {
    /// The last one where nobody can say how many there were: the newest commit of a line is lost.
    pub const OPEN: u64 = u64::MAX;
}

fn last_or_null<S: serde::Serializer>(last: &u64, to: S) -> Result<S::Ok, S::Error> {
    (*last != Span::OPEN).then_some(*last).serialize(to)
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub fault: Fault,
    /// What is wrong, in words.
    pub what: String,
    /// The object, as hexadecimal digits.
    #[serde(serialize_with = "show_id")]
    pub object: Option<ObjectId>,
    /// The ref, or scope and path in written form.
    pub place: Option<String>,
    /// The file of the repository.
    pub file: Option<PathBuf>,
    /// The generations that need it.
    pub touches: Vec<Span>,
}

fn show_id<S: serde::Serializer>(id: &Option<ObjectId>, to: S) -> std::result::Result<S::Ok, S::Error> {
    match id {
        Some(id) => to.serialize_some(&id.to_string()),
        None => to.serialize_none(),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.place {
            write!(f, ": {place}")?;
        }
        if let Some(file) = &self.file {
            write!(f, ": {}", file.display())?;
        }
        if let Some(id) = &self.object {
            write!(f, ": {id}")?;
        }
        Ok(())
    }
}

/// What a check read and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Devices whose lines were followed.
    pub devices: u64,
    /// Generations whose manifest was compared with its tree.
    pub generations: u64,
    /// Objects that were read whole.
    pub objects: u64,
    /// Their size in bytes.
    pub read_bytes: u64,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Tells whether nothing is wrong; a damaged copy of which another is whole counts as wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What the bytes of a blob must be.
#[derive(Debug, Clone, Copy)]
struct Expected {
    device: u32,
    stored: Digest,
    /// Epoch, form, size and digest of the plain bytes, where it can be decoded alone.
    plain: Option<(u32, Form, u64, Digest)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    device: u32,
    first: u64,
    last: u64,
}

type Key = (Fault, String, Option<ObjectId>, Option<String>, Option<PathBuf>);

struct Check<'a> {
    store: &'a Store,
    refs: &'a Refs,
    options: &'a CheckOptions<'a>,
    devices: Vec<DeviceName>,
    generations: u64,
    /// Which generations need an object.
    uses: HashMap<ObjectId, Vec<Use>>,
    expected: HashMap<ObjectId, Vec<Expected>>,
    found: Mutex<BTreeMap<Key, Vec<Use>>>,
}

impl Check<'_> {
    fn find(&self, fault: Fault, what: &str, object: Option<ObjectId>, place: Option<&str>, uses: &[Use]) {
        self.add((fault, what.to_owned(), object, place.map(str::to_owned), None), uses);
    }

    fn add(&self, key: Key, uses: &[Use]) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = found.entry(key).or_default();
        uses.iter().for_each(|u| join(touched, *u));
    }

    /// Makes a finding of an error of reading.
    fn error(&self, error: &Error, place: Option<&str>, uses: &[Use]) {
        let (fault, object) = match error {
            Error::ObjectMissing { id } => (Fault::Missing, Some(*id)),
            Error::ObjectCorrupt { id, .. } | Error::ObjectTooLarge { id, .. } | Error::Corrupt { id, .. } => {
                (Fault::Damaged, Some(*id))
            }
            Error::ObjectKind { id, .. } => (Fault::Damaged, Some(*id)),
            _ => (Fault::Damaged, None),
        };
        let what = match error {
            Error::ObjectMissing { .. } => "an object is missing".to_owned(),
            Error::ObjectCorrupt { what, .. } | Error::Corrupt { what, .. } => format!("an object is corrupt ({what})"),
            Error::ObjectKind { wanted, found, .. } => format!("an object is a {found}, not a {wanted}"),
            other => other.to_string(),
        };
        self.add((fault, what, object, place.map(str::to_owned), None), uses);
    }

    fn note_use(&mut self, id: ObjectId, r#use: Use) {
        join(self.uses.entry(id).or_insert_with(|| Vec::with_capacity(1)), r#use);
    }

    fn spans(&self, mut uses: Vec<Use>) -> Vec<Span> {
        uses.sort_by_key(|u| (u.device, u.first));
        let name = |device: u32| self.devices.get(usize::try_from(device).ok()?).cloned();
        uses.iter().filter_map(|u| Some(Span { device: name(u.device)?, first: u.first, last: u.last })).collect()
    }
}

/// Adds a use to others; neighbours become one. They stand by device and generation, so that an object of many devices
/// is not looked through for each.
fn join(uses: &mut Vec<Use>, new: Use) {
    let device = uses.partition_point(|u| u.device < new.device);
    let own = uses[device..].partition_point(|u| u.device == new.device);
    let own = &uses[device..device + own];
    let from = own.partition_point(|u| u.last.saturating_add(1) < new.first);
    let to = from + own[from..].partition_point(|u| u.first <= new.last.saturating_add(1));
    let near = &own[from..to];
    let first = near.first().map_or(new.first, |u| u.first.min(new.first));
    let last = near.last().map_or(new.last, |u| u.last.max(new.last));
    uses.splice(device + from..device + to, [Use { device: new.device, first, last }]);
}

impl Store {
    /// Checks the store. `progress` is told, from any thread, how many of how many objects were read.
    ///
    /// Leaves beside the caches which objects are damaged: the next snapshot of their devices writes what
    /// it can of them again.
    ///
    /// # Errors
    /// The refs or the folder of packs cannot be read; everything else is a finding.
    pub fn check(&self, refs: &Refs, options: &CheckOptions<'_>, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<CheckReport> {
        let mut check = Check {
            store: self,
            refs,
            options,
            devices: options.devices.map_or_else(|| history::devices(refs), <[DeviceName]>::to_vec),
            generations: 0,
            uses: HashMap::new(),
            expected: HashMap::new(),
            found: Mutex::default(),
        };
        for index in 0..check.devices.len() {
            lines::device(&mut check, u32::try_from(index).unwrap_or(u32::MAX));
        }
        if options.devices.is_none() {
            others::refs(&check);
            others::branches(&check);
        }
        data::exists(&check);
        let (mut objects, mut read_bytes) = (0, 0);
        if options.read_data {
            (objects, read_bytes) = data::read(&check, progress)?;
            data::read_masked(&check);
        }
        let found = std::mem::take(&mut *check.found.lock().unwrap_or_else(PoisonError::into_inner));
        let mut findings = Vec::new();
        for ((fault, what, object, place, file), mut uses) in found {
            for known in object.iter().filter_map(|id| check.uses.get(id)).flatten() {
                join(&mut uses, *known);
            }
            findings.push(Finding { fault, what, object, place, file, touches: check.spans(uses) });
        }
        if options.devices.is_none() {
            self.remember_damage(&findings);
        }
        let devices = check.devices.len() as u64;
        Ok(CheckReport { devices, generations: check.generations, objects, read_bytes, findings })
    }

    /// Leaves word for the next snapshot.
    fn remember_damage(&self, findings: &[Finding]) {
        let mut damage = Damage::default();
        let worse = |f: &&Finding| matches!(f.fault, Fault::Missing | Fault::Damaged | Fault::Digest);
        for finding in findings.iter().filter(worse) {
            let Some(id) = finding.object else { continue };
            finding.touches.iter().for_each(|t| damage.add(t.device.clone(), id, t.last));
        }
        damage.save(self.repo());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_and_all_stand_in_order() {
        let mut uses = Vec::new();
        for (device, first, last) in
            [(1, 5, 5), (0, 1, 1), (1, 1, 2), (1, 8, 9), (0, 3, 3), (1, 6, 7), (0, 2, 2), (2, 1, 1), (1, 8, 8)]
        {
            join(&mut uses, Use { device, first, last });
        }
        let spans: Vec<_> = uses.iter().map(|u| (u.device, u.first, u.last)).collect();
        assert_eq!(spans, [(0, 1, 3), (1, 1, 2), (1, 5, 9), (2, 1, 1)]);
    }
}
