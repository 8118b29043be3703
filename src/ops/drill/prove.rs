//! One device: put back from the mirror's copy, and proven on disk.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::beside::Here;
use super::protocol::{Opened, Outcome, Proof};
use super::{Finding, What};
use crate::model::{Point, count};
use crate::ops::Reader;
use crate::ops::restore::{Comparison, Difference, RestoreError, RestoreOptions, Skip, compare, restore};
use crate::ops::snapshot::reason;
use crate::store::{Error, Refs};

/// The most words of one kind about one device.
const MOST: usize = 10;

/// The mirror's copy, and where it is put back.
pub(super) struct Bench<'a> {
    pub(super) clone: &'a Reader,
    pub(super) refs: &'a Refs,
    pub(super) here: &'a Here<'a>,
    /// The folder below which each device gets one of its name.
    pub(super) to: PathBuf,
    pub(super) opened: Opened,
}

impl Bench<'_> {
    /// The folder of a device.
    pub(super) fn folder(&self, point: &Point) -> PathBuf {
        self.to.join(point.device.as_str())
    }

    /// Puts a device back and proves it.
    pub(super) fn prove(&self, point: &Point) -> (Proof, Vec<Finding>) {
        let begun = Instant::now();
        let mut proof = Proof::none(point);
        let mut findings = Vec::new();
        self.work(point, &mut proof, &mut findings);
        let failed = findings.iter().any(|f| f.fails && !matches!(f.what, What::NoIdentity | What::IdentityRefused));
        proof.outcome = match (failed, findings.iter().any(|f| f.fails)) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Unproven,
            (false, false) => Outcome::Proven,
        };
        proof.took_ms = millis(begun);
        (proof, findings)
    }

    fn work(&self, point: &Point, proof: &mut Proof, findings: &mut Vec<Finding>) {
        let device = &point.device;
        let (store, access) = (&self.clone.store, self.clone.access());
        let generation = match store.resolve(self.refs, point) {
            Ok(generation) => generation,
            Err(Error::NoDevice { .. }) => return findings.push(self.here.absent(device)),
            Err(error) => return findings.push(failed(device, &RestoreError::Store(error))),
        };
        proof.generation = Some(generation.number);
        proof.release = Some(generation.release.to_string());
        proof.commit = Some(generation.id.to_string());
        proof.set_digest = Some(generation.set_digest.to_string());
        proof.collected = Some(generation.time);
        let (newest_here, finding) = self.here.compare(store, self.refs, point, &generation);
        proof.newest_here = newest_here;
        findings.extend(finding);
        if let Some(found) = self.clone.foreign(self.refs, &generation) {
            // As a restore refuses it.
            return findings.push(Finding::new(What::NotRestored, Some(device), format!("Not put back: {found}")));
        }

        let set = match store.read_set(self.refs, &generation, access) {
            Ok(set) => set,
            Err(error) => return findings.push(failed(device, &RestoreError::Store(error))),
        };
        // Owners are those of another machine's users, and nothing of a device is to run with rights here.
        let options =
            RestoreOptions { masked: true, skip_damaged: true, no_owners: true, passing: true, ..RestoreOptions::default() };
        let to = self.folder(point);
        let restored = match restore(&set, access, &to, &options) {
            Ok(restored) => restored,
            Err(error) => return findings.push(failed(device, &error)),
        };
        (proof.files, proof.bytes) = (restored.files, restored.bytes);
        let skipped = |why: Skip| restored.skipped.iter().filter(move |s| s.why == why);
        for one in skipped(Skip::Damaged).take(MOST) {
            let text = format!("Damaged on the mirror: {}: {}", one.path, one.detail.clone().unwrap_or_default());
            findings.push(Finding::new(What::Damaged, Some(device), text));
        }
        more(findings, What::Damaged, device, skipped(Skip::Damaged).count(), "files are damaged on the mirror");
        for one in skipped(Skip::InTheWay).take(MOST) {
            let text = format!("Could not be put back: {}: {}", one.path, one.detail.clone().unwrap_or_default());
            findings.push(Finding::new(What::NotRestored, Some(device), text));
        }
        let closed = restored.masked.count as usize + skipped(Skip::Sealed).count();
        if closed > 0 {
            let (what, why) = match self.opened {
                Opened::Identity => (What::IdentityRefused, "the identity does not open their epoch"),
                Opened::Refused => (What::IdentityRefused, "the identity opens nothing of this mirror"),
                Opened::Nothing | Opened::Clear => (What::NoIdentity, "no identity was named"),
            };
            let have = if closed == 1 { "has secrets or is sealed" } else { "have secrets or are sealed" };
            let text = format!("{} {have}, and {why}", count(closed, "file"));
            findings.push(Finding::new(what, Some(device), text));
        }
        match compare(&set, access, &to, &options) {
            Ok(found) => {
                proof.equal = found.same;
                differing(&found, point, closed > 0, findings);
            }
            Err(error) => findings.push(failed(device, &error)),
        }
    }
}

/// What on disk is not as the manifest says. What is damaged or closed was said already.
fn differing(found: &Comparison, point: &Point, closed: bool, findings: &mut Vec<Finding>) {
    let told = |what| findings.iter().any(|f: &Finding| f.what == what);
    let (damaged, in_the_way) = (told(What::Damaged), told(What::NotRestored));
    let counts = |difference: &Difference| match difference {
        Difference::Unproven => !closed,
        Difference::Content => !closed,
        Difference::Missing => !(closed || damaged || in_the_way),
        _ => true,
    };
    let differences: Vec<_> = found.differences.iter().filter(|(_, d)| counts(d)).collect();
    for (path, difference) in differences.iter().take(MOST) {
        let text = format!("On disk it is not as in the manifest ({}): {path}", difference.as_str());
        findings.push(Finding::new(What::Differs, Some(&point.device), text));
    }
    more(findings, What::Differs, &point.device, differences.len(), "entries on disk are not as in the manifest");
}

/// Says how many there are, where not all were named.
fn more(findings: &mut Vec<Finding>, what: What, device: &crate::model::DeviceName, count: usize, words: &str) {
    if count > MOST {
        findings.push(Finding::new(what, Some(device), format!("In all, {count} {words}")));
    }
}

fn failed(device: &crate::model::DeviceName, error: &RestoreError) -> Finding {
    let what = match error {
        RestoreError::Store(error) if error.is_damage() || matches!(error, Error::Seal(_)) => What::Damaged,
        RestoreError::Store(Error::NoGeneration { .. } | Error::NoName { .. }) => What::Missing,
        _ => What::NotRestored,
    };
    Finding::new(what, Some(device), reason(error))
}

/// Milliseconds since a moment.
pub(super) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Makes the folder below which devices go.
pub(super) fn make(to: &Path) -> Result<(), crate::fsio::Error> {
    crate::fsio::create_dir_all(to, crate::fsio::PRIVATE_DIR)
}
