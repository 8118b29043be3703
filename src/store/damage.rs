//! The list of damaged objects that a check left, so that the next snapshot writes them again.
//!
//! It lies beside the caches and is no part of the format: without it nothing is lost but the hint. One
//! line an object: its id, the device, and the newest generation of it that needs the object.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;

use super::repo::Repo;
use crate::fsio;
use crate::model::DeviceName;

/// Damaged objects by device, with the newest generation that needs each.
#[derive(Debug, Default)]
pub(super) struct Damage {
    devices: BTreeMap<DeviceName, Vec<(ObjectId, u64)>>,
    healed: Mutex<HashSet<DeviceName>>,
}

impl Damage {
    /// Reads the list; one that does not read counts as none.
    pub(super) fn load(repo: &Repo) -> Self {
        let text = fs::read_to_string(repo.cache_dir().join("damaged")).unwrap_or_default();
        let mut out = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let id = words.next().and_then(|w| ObjectId::from_hex(w.as_bytes()).ok());
            let device = words.next().and_then(|w| w.parse().ok());
            let number = words.next().and_then(|w| w.parse().ok());
            if let (Some(id), Some(device), Some(number)) = (id, device, number) {
                out.add(device, id, number);
            }
        }
        out
    }

    /// Adds an object that a generation needs.
    pub(super) fn add(&mut self, device: DeviceName, id: ObjectId, number: u64) {
        let objects = self.devices.entry(device).or_default();
        match objects.iter_mut().find(|o| o.0 == id) {
            Some(known) => known.1 = known.1.max(number),
            None => objects.push((id, number)),
        }
    }

    /// Tells whether something of a device is damaged.
    pub(super) fn concerns(&self, device: &DeviceName) -> bool {
        !self.devices.is_empty()
            && self.devices.contains_key(device)
            && !self.healed.lock().unwrap_or_else(PoisonError::into_inner).contains(device)
    }

    /// Gives the damaged objects that a generation of a device needs, as far as it is the newest one.
    pub(super) fn of(&self, device: &DeviceName, number: u64) -> impl Iterator<Item = &ObjectId> {
        self.devices.get(device).into_iter().flatten().filter(move |o| o.1 >= number).map(|o| &o.0)
    }

    /// Takes devices off the list whose newest generation was written again.
    pub(super) fn forget<'a>(&self, repo: &Repo, devices: impl Iterator<Item = &'a DeviceName>) {
        let mut healed = self.healed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = healed.len();
        healed.extend(devices.filter(|d| self.devices.contains_key(d)).cloned());
        if healed.len() > before {
            let left = self.devices.iter().filter(|(d, _)| !healed.contains(d));
            save(repo, left);
        }
    }

    /// Writes the list in the place of the old one.
    pub(super) fn save(&self, repo: &Repo) {
        save(repo, self.devices.iter());
    }
}

/// A list that cannot be written costs the hint, nothing else: the check has reported it all.
fn save<'a>(repo: &Repo, devices: impl Iterator<Item = (&'a DeviceName, &'a Vec<(ObjectId, u64)>)>) {
    let lines = devices.flat_map(|(device, objects)| objects.iter().map(move |(id, n)| format!("{id} {device} {n}\n")));
    let text: String = lines.collect();
    let path = repo.cache_dir().join("damaged");
    if text.is_empty() {
        drop(fsio::unlink_if_there(&path));
    } else if repo.make_cache_dir().is_ok() {
        drop(fsio::write_file(&path, text.as_bytes(), fsio::PRIVATE_FILE));
    }
}
