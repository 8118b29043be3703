//! The exercise itself: fetch, check who signed, open, put back, compare, check, record.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::beside::Here;
use super::check::{self, checks};
use super::place::Site;
use super::protocol::{MirrorFacts, Opened, Outcome, Phase, Proof, Protocol};
use super::prove::{Bench, make, millis};
use super::record::{finish, record};
use super::{DrillError, Finding, Options, What, choose, standin};
use crate::inventory::STORE_DIR;
use crate::mirror::{MirrorError, clone_store, git_version, independence};
use crate::model::{DeviceName, Point};
use crate::ops::keys::{KeyRing, Seen, trusted};
use crate::ops::mirror::{Place, Surroundings, runs_since_push};
use crate::ops::signatures::survey;
use crate::ops::snapshot::{World, reason};
use crate::ops::{Error, Reader, Vault};
use crate::store::{Feature, Refs, RunId, Store};

/// The most findings of signatures that are written down.
const MOST: usize = 50;

/// A drill that ended.
#[derive(Debug)]
pub struct Drilled {
    /// Its id: that of the run in the journal.
    pub run: RunId,
    /// What was done and found.
    pub protocol: Protocol,
    /// Whether the record is in the journal, or why not.
    pub recorded: Result<(), Error>,
}

/// What a drill is told about: the phase, how many devices of how many are done.
pub type Progress<'a> = &'a (dyn Fn(&'static str, u64, u64) + Sync);

/// Exercises the recovery of devices from a mirror, and records it.
///
/// # Errors
/// What stops a drill before it begins: no mirror, no such device, no place; or that it was stopped. What it finds
/// is in the protocol, also if the mirror is not there.
pub fn drill(
    vault: &Vault,
    options: &Options,
    around: Surroundings<'_>,
    world: &World<'_>,
    progress: Progress<'_>,
) -> Result<Drilled, Error> {
    let refs = vault.store.refs()?;
    let mirror = choose::mirror(vault, options.from.as_ref())?;
    let (points, choice) = choose::points(vault, &refs, options)?;
    if let Some(onto) = &options.into {
        standin::check(vault, &points, onto)?;
    }
    let site = Site::new(&options.place)?;
    let (began, clock) = (Utc::now(), Instant::now());
    let target = options.target.or(vault.inventory.policy.recovery_target);
    let here = Here { vault, refs: &refs, since_push: runs_since_push(vault, &refs, &mirror.name).unwrap_or_default() };
    let protocol = Protocol {
        by: options.by.clone(),
        note: options.note.clone(),
        host: options.host.clone(),
        began,
        took_ms: 0,
        target_s: target.map(|target| target.0),
        choice,
        mirror: MirrorFacts {
            name: mirror.name.clone(),
            url: mirror.url.to_string(),
            independence: independence(&mirror.url, vault.store.repo().dir()).as_str().to_owned(),
            refs: 0,
            objects: 0,
            store: None,
            administrators: vault.ring.pinned()?.iter().map(|signer| signer.key.fingerprint().to_string()).collect(),
            signatures: 0,
        },
        git: git_version(mirror.remote(around)).ok(),
        opened: Opened::Nothing,
        phases: Vec::new(),
        devices: Vec::new(),
        stand_in: None,
        findings: Vec::new(),
        next_due: None,
    };
    let crew = Crew { vault, options, around, world, progress };
    let mut run = Run { crew, here, mirror, site: &site, protocol, begun: Instant::now() };
    run.exercise(&points)?;
    let Run { mut protocol, .. } = run;
    protocol.took_ms = millis(clock);
    finish(vault, &mut protocol, target);
    if let Err(error) = site.end() {
        let text = format!("What was put back, secrets in clear, could not be removed: {}", reason(&error));
        protocol.findings.push(Finding::new(What::Left, None, text));
    }
    let id = Vault::new_run();
    let recorded = record(vault, &id, &protocol);
    Ok(Drilled { run: id, protocol, recorded })
}

/// Who drills, for what, with what.
#[derive(Clone, Copy)]
pub(super) struct Crew<'a> {
    pub(super) vault: &'a Vault,
    pub(super) options: &'a Options,
    pub(super) around: Surroundings<'a>,
    pub(super) world: &'a World<'a>,
    pub(super) progress: Progress<'a>,
}

/// A drill in the making.
struct Run<'a> {
    crew: Crew<'a>,
    here: Here<'a>,
    mirror: Place,
    site: &'a Site,
    protocol: Protocol,
    begun: Instant,
}

impl Run<'_> {
    fn exercise(&mut self, points: &[Point]) -> Result<(), Error> {
        self.of_mirror();
        self.phase("fetch", points.len());
        let root = self.site.dir();
        let cloned = match clone_store(self.mirror.remote(self.crew.around), &root.join(STORE_DIR)) {
            Ok(cloned) => cloned,
            Err(MirrorError::Cancelled) => return Err(DrillError::Stopped.into()),
            Err(error) => {
                let what = if is_hostile(&error) { What::Damaged } else { What::Unreachable };
                return self
                    .nothing(points, Finding::new(what, None, format!("Nothing came from the mirror: {}", reason(&error))));
            }
        };
        (self.protocol.mirror.refs, self.protocol.mirror.objects) = (cloned.refs as u64, cloned.objects);

        self.phase("signatures", points.len());
        let store = Store::open(&root.join(STORE_DIR))?;
        let refs = store.refs()?;
        self.protocol.mirror.store = Some(store.facts().commit.to_string());
        let ring = KeyRing::at(root);
        ring.pin(&self.crew.vault.ring.pinned()?)?;
        let trust = match trusted(&store, &ring) {
            Ok(trusted) => trusted.trust,
            Err(error) => return self.nothing(points, Finding::new(What::Untrusted, None, reason(&error))),
        };
        if store.facts().has(Feature::Signing) {
            let (found, looked_at) = survey(store.repo(), &refs, &trust, &Seen::new());
            self.protocol.mirror.signatures = looked_at;
            for one in found.iter().take(MOST) {
                let device = of_ref(&one.reference);
                self.find(Finding::new(What::Signature, device.as_ref(), one.to_string()));
            }
            if found.len() > MOST {
                self.find(Finding::new(What::Signature, None, format!("In all, {} signatures or lines are wrong", found.len())));
            }
        }
        let of_facts = self.here.compare_facts(&store, &refs);
        self.protocol.findings.extend(of_facts);

        self.phase("open", points.len());
        let (reader, opened) = self.open(&store)?;
        self.protocol.opened = opened;
        self.phase("restore", points.len());
        let to = root.join("restored");
        make(&to)?;
        let bench = Bench { clone: &reader, refs: &refs, here: &self.here, to: to.clone(), opened };
        let (proofs, findings) = self.prove(&bench, points)?;
        self.protocol.devices = proofs;
        self.phase("check", points.len());
        let of_checks = if self.crew.options.check { self.check(&reader, &refs, &to, points)? } else { Vec::new() };
        self.protocol.findings.extend(findings.into_iter().chain(of_checks));
        if let (Some(onto), [point]) = (&self.crew.options.into, points) {
            self.stand_in(&reader, point, onto);
        }
        self.end_phase();
        Ok(())
    }

    /// What is known of the mirror before a word is said to it.
    fn of_mirror(&mut self) {
        let (name, word) = (self.mirror.name.clone(), self.protocol.mirror.independence.clone());
        if matches!(word.as_str(), "same-file-system" | "same-host") {
            let text = format!("Mirror {name} would be lost together with the store ({word})");
            self.find(Finding::new(What::NotIndependent, None, text));
        }
        if self.mirror.url.is_unprotected() {
            self.find(Finding::new(What::Unprotected, None, format!("What comes from mirror {name} can be altered on the way")));
        }
    }

    fn find(&mut self, finding: Finding) {
        self.protocol.findings.push(finding);
    }

    fn phase(&mut self, name: &str, devices: usize) {
        self.end_phase();
        let known = ["fetch", "signatures", "open", "restore", "check", "stand-in"];
        (self.crew.progress)(known.into_iter().find(|known| *known == name).unwrap_or("drill"), 0, devices as u64);
        self.protocol.phases.push(Phase { phase: name.to_owned(), took_ms: 0 });
        self.begun = Instant::now();
    }

    fn end_phase(&mut self) {
        if let Some(last) = self.protocol.phases.last_mut() {
            last.took_ms = millis(self.begun);
        }
    }

    /// Ends a drill from which nothing came that may be put back.
    fn nothing(&mut self, points: &[Point], finding: Finding) -> Result<(), Error> {
        self.end_phase();
        self.find(finding);
        self.protocol.devices = points.iter().map(Proof::none).collect();
        Ok(())
    }

    /// Opens the copy with what the administrator has; without, what is in clear can still be read.
    fn open(&self, store: &Store) -> Result<(Reader, Opened), Error> {
        let root = self.site.dir();
        let closed = |opened| Ok((Reader::open(root, None)?, opened));
        match &self.crew.options.identities {
            _ if !store.facts().has(Feature::Sealing) => closed(Opened::Clear),
            None => closed(Opened::Nothing),
            Some(own) => match Reader::open(root, Some(own)) {
                Ok(reader) => Ok((reader, Opened::Identity)),
                Err(Error::Seal(_)) => closed(Opened::Refused),
                Err(error) => Err(error),
            },
        }
    }

    /// Puts all devices back, several at a time.
    fn prove(&self, bench: &Bench<'_>, points: &[Point]) -> Result<(Vec<Proof>, Vec<Finding>), Error> {
        let (proofs, mut findings) = (Mutex::new(Vec::new()), Vec::new());
        self.each("restore", points, &|point| {
            let proven = bench.prove(point);
            proofs.lock().unwrap_or_else(PoisonError::into_inner).push(proven);
        })?;
        let mut all = proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.sort_by(|a, b| a.0.device.cmp(&b.0.device));
        let proofs = all.into_iter().map(|(proof, found)| {
            findings.extend(found);
            proof
        });
        Ok((proofs.collect(), findings))
    }

    /// Runs the checks of the devices that are back whole.
    fn check(&mut self, reader: &Reader, refs: &Refs, to: &std::path::Path, points: &[Point]) -> Result<Vec<Finding>, Error> {
        let dir = self.site.dir().join("checks");
        let limit = Duration::from_secs(self.crew.vault.inventory.policy.timeout.0);
        let around = check::Surroundings {
            path: check::Surroundings::search((self.crew.world.env)("PATH")),
            dir: &dir,
            limit,
            cancel: self.crew.around.cancel,
        };
        let whole: Vec<Point> =
            points.iter().filter(|p| self.proof(&p.device).is_some_and(|p| p.outcome == Outcome::Proven)).cloned().collect();
        let done = Mutex::new(Vec::new());
        self.each("check", &whole, &|point| {
            let checked = self.of_profile(reader, refs, point).map(|(profile, manifest)| {
                let restore = profile.restore().cloned().unwrap_or_default();
                checks(&around, &restore, &manifest, &to.join(point.device.as_str()), point.device.as_str())
            });
            done.lock().unwrap_or_else(PoisonError::into_inner).push((point.device.clone(), checked.unwrap_or_default()));
        })?;
        let mut findings = Vec::new();
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by(|a, b| a.0.cmp(&b.0));
        for (device, checked) in done {
            for one in &checked {
                let why = one.why.as_deref().unwrap_or_default();
                match one.passed {
                    Some(true) => {}
                    Some(false) => findings.push(Finding::new(
                        What::CheckFailed,
                        Some(&device),
                        format!("Check failed ({why}): {}", one.run),
                    )),
                    None => {
                        findings.push(Finding::new(What::NotChecked, Some(&device), format!("Not checked ({why}): {}", one.run)))
                    }
                }
            }
            if let Some(proof) = self.protocol.devices.iter_mut().find(|proof| proof.device == device) {
                if checked.iter().any(|one| one.passed == Some(false)) {
                    proof.outcome = Outcome::Failed;
                }
                proof.checks = checked;
            }
        }
        Ok(findings)
    }

    /// Puts a device that is back whole to its stand-in, too.
    fn stand_in(&mut self, reader: &Reader, point: &Point, onto: &DeviceName) {
        if self.proof(&point.device).is_none_or(|proof| proof.outcome != Outcome::Proven) {
            let text = format!("Nothing was put back to stand-in {onto}, as the device was not proven");
            return self.find(Finding::new(What::StandIn, Some(&point.device), text));
        }
        self.phase("stand-in", 1);
        let (done, finding) = standin::put_back(&self.crew, reader, point, onto);
        self.protocol.stand_in = done;
        if let Some(finding) = finding {
            self.find(finding);
            if let Some(proof) = self.protocol.devices.first_mut() {
                proof.outcome = Outcome::Failed;
            }
        }
    }

    fn proof(&self, device: &DeviceName) -> Option<&Proof> {
        self.protocol.devices.iter().find(|proof| proof.device == *device)
    }

    /// The profile of a device, from this installation, and the manifest of what was put back.
    fn of_profile(
        &self,
        reader: &Reader,
        refs: &Refs,
        point: &Point,
    ) -> Result<(std::sync::Arc<crate::profile::Profile>, crate::store::Manifest), Error> {
        let device = self.crew.vault.inventory.device(&point.device)?;
        let (profile, _) = self.crew.vault.profile(&device.profile)?;
        let generation = reader.store.resolve(refs, point)?;
        Ok((profile, reader.store.manifest(&generation)?))
    }

    /// Does something with each point, several at a time.
    fn each(&self, phase: &'static str, points: &[Point], work: &(dyn Fn(&Point) + Sync)) -> Result<(), Error> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = || {
            while !self.crew.around.cancel.load(Ordering::Relaxed) {
                let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                work(point);
                (self.crew.progress)(phase, done.fetch_add(1, Ordering::Relaxed) as u64 + 1, points.len() as u64);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.crew.options.jobs.clamp(1, 64) {
                scope.spawn(one);
            }
            one();
        });
        if self.crew.around.cancel.load(Ordering::Relaxed) { Err(DrillError::Stopped.into()) } else { Ok(()) }
    }
}

/// The device of a ref.
fn of_ref(name: &str) -> Option<DeviceName> {
    name.split('/').nth(2)?.parse().ok()
}

/// Tells whether what came was not fit to be used, and not only not there.
fn is_hostile(error: &MirrorError) -> bool {
    // What git says where an object on the other side is missing or does not inflate.
    const WORDS: [&str; 8] = [
        "corrupt",
        "bad object",
        "missing",
        "inflate",
        "all necessary objects",
        "not found in pack",
        "unable to read",
        "fsck error",
    ];
    match error {
        MirrorError::Hostile { .. } | MirrorError::NotAStore { .. } => true,
        MirrorError::Store(error) => error.is_damage() || matches!(error, crate::store::Error::Seal(_)),
        MirrorError::Git { message, .. } => WORDS.iter().any(|word| message.contains(word)),
        _ => false,
    }
}
