//! Taking snapshots: collect, compare, commit what differs.
//!
//! Devices are collected and encoded side by side; what they give goes into one transaction, which is
//! committed at the end, and in a long run every [`COMMIT_EVERY`], whether or not something new ended. So a
//! local run is one pack, and a slow one loses at most a minute. A device holds the transaction only while
//! it is encoded, never while it is collected: one that hangs delays nobody. Memory is bounded by the
//! devices that are in work, not by the fleet.

mod report;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, collections::BTreeSet, mem};

use chrono::Utc;

use super::change::{Announced, announced};
use super::keys::{Seen, check_device, remember};
use super::spool::spool;
use super::vouch::check_lines;
use super::waiting::AtWork;
use super::{Error, Vault};
use crate::collect::fleet::{self, Attempt, Event, MayPass};
use crate::collect::{Collected, Context, Network, Sizes, Skipped, check_shrink, collect, is_unchanged, look_rules};
use crate::fsio::{self, Scratch};
use crate::inventory::{Device, LabelSelector, Policy, ProfileName};
use crate::model::{ConfigPath, DeviceName, Digest};
use crate::profile::Profile;
use crate::seal::DeviceKeys;
use crate::store::{
    ChangeId, EncodeContext, GenerationKind, Meta, Outcome, ProfileRules, Record, Refs, Rules as _, RunId, Transaction,
};

use report::device_report;
pub use report::{DeviceReport, Report, Told, reason};

/// How long a finished device waits at most before it is committed.
const COMMIT_EVERY: Duration = Duration::from_secs(60);
/// How long a device is at work at most before it is told of.
const TELL_AFTER: Duration = Duration::from_secs(60);
/// How often devices are begun anew that another process wrote to meanwhile.
const ROUNDS: u32 = 3;

/// What is to be taken, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The devices; none for all of the inventory that are enabled.
    pub devices: Vec<DeviceName>,
    /// Only devices with all of these labels.
    pub labels: Vec<LabelSelector>,
    /// The note of new generations.
    pub note: Option<String>,
    /// Devices at the same time; nothing for the policy's number.
    pub jobs: Option<usize>,
    /// Take a set that shrank or that lacks an answer of a command, with these words as the reason.
    pub accept: Option<String>,
    /// With `accept`: also take answers that are not whole. Nothing but a user who names the device may ask for it: what
    /// a change, a restore or a replacement begins or ends with must be whole.
    pub partial: bool,
    /// Read everything, whatever the time stamps say.
    pub full: bool,
    /// A tar archive that is the set of the one device, in place of its source.
    pub from: Option<PathBuf>,
    /// What differs is expected: no difference is an unannounced change.
    pub announced: bool,
    /// The phase of a change that the snapshots belong to.
    pub change: Option<(GenerationKind, ChangeId)>,
    /// How long a finished device waits at most before it is committed; nothing for a minute.
    pub commit_every: Option<Duration>,
    /// After how long a device is told of that is still at work; nothing for a minute.
    pub tell_after: Option<Duration>,
}

/// What a run needs of the world around it.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Gives a variable of the environment.
    pub env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The home of the user, where there is one.
    pub home: Option<&'a std::path::Path>,
    /// Becomes true when the run is to end.
    pub cancel: &'a AtomicBool,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// Takes snapshots of devices. `progress` is told each device as it is done with, on the caller's thread.
///
/// # Errors
/// As [`snapshot_telling`].
pub fn snapshot(
    vault: &Vault,
    options: &Options,
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Report, Error> {
    snapshot_telling(vault, options, world, &mut |told| match told {
        Told::Done(device) => progress(device),
        Told::Waiting(_) => {}
    })
}

/// As [`snapshot`], and tells also what it waits for.
///
/// # Errors
/// What stops the run as a whole: an unknown device or profile, the store refused. A failure of a device is in
/// the report.
pub fn snapshot_telling(
    vault: &Vault,
    options: &Options,
    world: &World<'_>,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Report, Error> {
    vault.overrides().fit_to_be_sent()?;
    let begun = Instant::now();
    let chosen = vault.inventory.select(&options.devices, &options.labels)?;
    let mut profiles = BTreeMap::new();
    for device in &chosen {
        if !profiles.contains_key(&device.profile) {
            profiles.insert(device.profile.clone(), vault.profile(&device.profile)?);
        }
    }
    let spool = spool(vault.store.repo().cache_dir())?;
    let options = &Options { full: options.full || full_is_due(vault)?, ..options.clone() };
    let run = Run {
        vault,
        options,
        world,
        profiles,
        spool: &spool,
        network: Network::new(),
        id: Vault::new_run(),
        seen: vault.ring.seen()?,
        announced: announced(&vault.store, &vault.store.refs()?)?,
    };

    let (run_id, took) = (run.id.clone(), Duration::ZERO);
    let mut report = Report { run: run_id, devices: Vec::new(), gone: Vec::new(), lost: Vec::new(), added_bytes: 0, took };
    let mut devices: Vec<Device> = chosen.into_iter().cloned().collect();
    let mut round = 1;
    while !devices.is_empty() {
        let again = run.round(&devices, round == ROUNDS, &mut report, tell)?;
        // A source with more sets gives one a round; that costs no round of a device that moved.
        round += u32::from(!again.moved.is_empty());
        devices.retain(|device| again.moved.contains(&device.name) || again.more.contains(&device.name));
    }
    report.devices.sort_by(|a, b| a.device.cmp(&b.device));
    let refs = vault.store.refs()?;
    if options.devices.is_empty() && options.labels.is_empty() {
        report.gone = super::gone(&vault.inventory, &vault.store, &refs);
    }
    report.lost = remember(&vault.ring, &vault.store, &refs, vault.signing.as_ref(), &[])?;
    report.took = begun.elapsed();
    Ok(report)
}

/// Counts the runs, where the policy asks for everything every so many of them, and says if this is one.
fn full_is_due(vault: &Vault) -> Result<bool, Error> {
    let every = u64::from(vault.inventory.policy.full_every);
    if every == 0 {
        return Ok(false);
    }
    // A cache: if it is lost, the count begins anew.
    let file = vault.store.repo().cache_dir().join("runs");
    let done = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    fsio::write_file(&file, format!("{}\n", done.wrapping_add(1)).as_bytes(), 0o600)?;
    Ok(done % every == every - 1)
}

/// A device that was encoded; it counts once its transaction is committed.
struct Encoded {
    outcome: Outcome,
    skipped: Vec<Skipped>,
    unclaimed: Vec<ConfigPath>,
    warnings: Vec<String>,
    read_bytes: u64,
    more: bool,
}

impl Encoded {
    /// An outcome without anything to be told beside it.
    fn of(outcome: Outcome) -> Self {
        let (skipped, unclaimed, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { outcome, skipped, unclaimed, warnings, read_bytes: 0, more: false }
    }
}

/// Devices that have to be begun anew.
#[derive(Default)]
struct Again {
    /// Another writer came between.
    moved: BTreeSet<DeviceName>,
    /// The source has more sets to take.
    more: BTreeSet<DeviceName>,
}

impl MayPass for Error {
    fn may_pass(&self) -> bool {
        matches!(self, Error::Collect(error) if error.may_pass())
    }
}

/// How many devices are worked on at a time, and how long each may take; `jobs` goes before the policy. `local`
/// says that none of them is reached over the network.
pub(super) fn fleet_options(policy: &Policy, jobs: Option<usize>, local: bool) -> fleet::Options {
    let default = || if local { fleet::default_local_jobs() } else { fleet::default_jobs() };
    fleet::Options {
        jobs: fleet::jobs_within_limits(jobs.or(policy.jobs.map(usize::from)).unwrap_or_else(default)),
        jobs_per_site: policy.jobs_per_site.map(usize::from),
        timeout: Duration::from_secs(policy.timeout.0),
        ..fleet::Options::default()
    }
}

struct Run<'a> {
    vault: &'a Vault,
    options: &'a Options,
    world: &'a World<'a>,
    profiles: BTreeMap<ProfileName, (Arc<Profile>, ProfileRules)>,
    spool: &'a Scratch,
    network: Network,
    id: RunId,
    /// The heads that this installation has seen: a line that went back is not written to.
    seen: Seen,
    /// What is being changed.
    announced: Announced,
}

/// What waits for the next commit.
#[derive(Default)]
struct Pending {
    reports: Vec<DeviceReport>,
    /// When the first of them ended.
    since: Option<Instant>,
    /// Devices that another process wrote to, and whose reports are still to come.
    moved: BTreeSet<DeviceName>,
}

fn read<'l, 's>(open: &'l RwLock<Transaction<'s>>) -> RwLockReadGuard<'l, Transaction<'s>> {
    open.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<'l, 's>(open: &'l RwLock<Transaction<'s>>) -> RwLockWriteGuard<'l, Transaction<'s>> {
    open.write().unwrap_or_else(PoisonError::into_inner)
}

/// Names the devices of which nothing could be kept because the disk refused.
fn unwritten(reports: &[DeviceReport], error: Error) -> Error {
    use crate::store::Error as E;
    match error {
        Error::Disk(_) | Error::Store(E::Disk(_) | E::BatchBroken(_)) if !reports.is_empty() => {
            let devices = reports.iter().map(|report| report.device.clone()).collect();
            Error::Unwritten { devices, source: Box::new(error) }
        }
        other => other,
    }
}

/// Are the lines of a device the same?
fn same_lines(a: &Refs, b: &Refs, device: &DeviceName) -> bool {
    a.same_below(b, &format!("refs/heads/{device}/"))
}

impl Run<'_> {
    /// Takes the devices once; gives those that have to be begun anew.
    fn round(&self, devices: &[Device], last: bool, report: &mut Report, tell: &mut dyn FnMut(Told<'_>)) -> Result<Again, Error> {
        let begin = || self.vault.begin(&self.id);
        let every = self.options.commit_every.unwrap_or(COMMIT_EVERY);
        let open = RwLock::new(begin()?);
        let mut pending = Pending::default();
        let mut again = Again::default();
        let mut trouble = None;
        let at_work = AtWork::new(self.options.tell_after.unwrap_or(TELL_AFTER));
        let mut told = Instant::now();
        let work = |device: &Device, attempt: Attempt| at_work.during(&device.name, || self.device(device, attempt, &open));
        let local = devices.iter().all(|device| device.source.is_local());
        let fleet = fleet_options(&self.vault.inventory.policy, self.options.jobs, local);
        fleet::run_telling(devices, &fleet, self.world.cancel, work, |event| {
            match event {
                Event::Finished(finished) => {
                    pending.since.get_or_insert_with(Instant::now);
                    pending.reports.push(device_report(&devices[finished.index].name, finished));
                }
                Event::Waiting => match at_work.due(&mut told).as_slice() {
                    [] => {}
                    long => tell(Told::Waiting(long)),
                },
            }
            if trouble.is_some() || pending.since.is_none_or(|since| since.elapsed() < every) {
                return;
            }
            let done = begin().and_then(|fresh| {
                // Waits for those who encode, which is short.
                let full = mem::replace(&mut *write(&open), fresh);
                self.commit(full, &mut pending, last, report, &mut again, tell)
            });
            if let Err(error) = done {
                self.world.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
                trouble = Some(error);
            }
        });
        if let Some(error) = trouble {
            return Err(error);
        }
        let transaction = open.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.commit(transaction, &mut pending, last, report, &mut again, tell)?;
        Ok(again)
    }

    /// Collects and encodes one device.
    fn device(&self, device: &Device, attempt: Attempt, open: &RwLock<Transaction<'_>>) -> Result<Encoded, Error> {
        let vault = self.vault;
        let (profile, rules) = &self.profiles[&device.profile];
        // A look must not hide from other rules of masking, or from sealing that began since, what they would
        // store otherwise.
        let masks = if vault.sealer.is_some() { rules.masks_id().to_string() } else { "-".to_owned() };
        let stored_as = format!("{masks} {}", vault.keys.newest());
        let wanted = look_rules(device, profile, &stored_as);
        let encode = EncodeContext {
            device: &device.name,
            keys: &vault.keys,
            rules,
            sealer: vault.sealer.as_ref(),
            large_over: vault.inventory.policy.large_over.0,
        };
        let newest = || vault.keys.epoch(vault.keys.newest()).map(|key| DeviceKeys::derive(key, &device.name));
        let keys = LazyLock::new(newest);
        let mut with_look = !self.options.full && self.options.from.is_none();
        let mut moved = 0;
        loop {
            let (refs, look) = {
                let transaction = read(open);
                let look = with_look.then(|| transaction.look(&device.name, &wanted)).flatten();
                (transaction.refs().clone(), look)
            };
            check_device(&self.seen, &vault.store, &refs, &device.name)?;
            check_lines(&vault.store, &refs, &vault.trusted.trust, &self.seen, &device.name)?;
            let previous = || {
                let newest = vault.store.newest(&refs, &device.name).and_then(|newest| vault.store.manifest(&newest));
                newest.map(|manifest| manifest.lines.into_iter().map(|line| line.path).collect()).unwrap_or_default()
            };
            let context = Context {
                root: vault.root(),
                spool: self.spool.dir(),
                policy: &vault.inventory.policy,
                env: self.world.env,
                home: self.world.home,
                cancel: self.world.cancel,
                deadline: Some(attempt.deadline),
                network: &self.network,
                stored_as: &stored_as,
                digest: &|bytes| Some(keys.as_ref()?.digest(bytes)),
                previous: Some(&previous),
                accept: self.options.accept.is_some(),
                accept_partial: self.options.accept.is_some() && self.options.partial,
                pushed: self.options.from.as_deref(),
                partial: false,
                trace: None,
            };
            if let Some(look) = look.as_deref()
                && is_unchanged(device, look, &context)
            {
                let transaction = read(open);
                let meta = self.meta(device, wanted, look.taken_ns);
                if same_lines(&refs, transaction.refs(), &device.name)
                    && let Some(outcome) = transaction.unchanged(&device.name, &meta)?
                {
                    return Ok(Encoded::of(outcome));
                }
            }
            let mut collected = collect(device, profile, look.as_deref(), &context)?;
            // The transaction may be another one by now.
            let transaction = read(open);
            if self.options.from.is_none() && !same_lines(&refs, transaction.refs(), &device.name) {
                // A set must not be older than the generation that it is put upon.
                moved += 1;
                if moved == ROUNDS {
                    return Err(Error::Moved);
                }
                continue;
            }
            let accepted = self.shrink(device, &collected, look.as_deref(), &transaction)?;
            let mut meta = self.meta(device, wanted, collected.taken_ns);
            (meta.accepted, meta.root) = (accepted, collected.root);
            let unclaimed = collected.set.unclaimed.clone();
            let set = collected.take_set();
            match transaction.snapshot(&encode, set, meta) {
                // The look was true of the source and not of the store: a store that was put back, say.
                Err(crate::store::Error::ContentNeeded { .. }) if look.is_some() => with_look = false,
                other => {
                    let outcome = other?;
                    if let Err(error) = collected.recheck() {
                        transaction.withdraw(&device.name);
                        return Err(error.into());
                    }
                    let Collected { skipped, warnings, read_bytes, more, .. } = collected;
                    return Ok(Encoded { outcome, skipped, unclaimed, warnings, read_bytes, more });
                }
            }
        }
    }

    /// What is said of a snapshot that is taken now.
    fn meta(&self, device: &Device, look_rules: Digest, taken_ns: i64) -> Meta {
        let mut meta = Meta::new(Utc::now(), look_rules, taken_ns);
        meta.note.clone_from(&self.options.note);
        // What the snapshot before a change finds came before the change.
        meta.unannounced = self.vault.inventory.policy.announced_changes
            && !self.options.announced
            && !self.announced.covers(&device.name)
            && self.options.change.as_ref().is_none_or(|(kind, _)| *kind == GenerationKind::Pre);
        if let Some((kind, change)) = &self.options.change {
            meta.kind = Some(*kind);
            meta.change = Some(change.clone());
        } else if let Some(item) = self.announced.change(&device.name) {
            meta.change = Some(item.change.clone());
        }
        meta
    }

    /// Refuses a set that lost too much; gives what is missing and the reason where it was taken on purpose.
    fn shrink(
        &self,
        device: &Device,
        collected: &Collected,
        look: Option<&crate::model::Look>,
        transaction: &Transaction<'_>,
    ) -> Result<Option<String>, Error> {
        let store = &self.vault.store;
        let (profile, _) = &self.profiles[&device.profile];
        let before = match look {
            Some(look) => {
                let files = look.entries.iter().filter(|e| e.kind == crate::model::Kind::File);
                Some(Sizes::count(profile, files.map(|entry| (entry.scope, &entry.path, entry.stamp.size))))
            }
            None => match store.newest(transaction.refs(), &device.name) {
                Err(crate::store::Error::NoDevice { .. }) => None,
                newest => {
                    let lines = store.manifest(&newest?)?.lines;
                    let files = lines.iter().filter(|l| l.kind == crate::model::Kind::File);
                    Some(Sizes::count(profile, files.filter_map(|line| Some((line.scope, &line.path, line.body?.size)))))
                }
            },
        };
        let allowed = device.max_shrink.unwrap_or(self.vault.inventory.policy.max_shrink);
        let mut lost = collected.without.clone();
        let now = Sizes::of(profile, &collected.set);
        if let Some(Err(error)) = before.map(|before| check_shrink(&before, &now, profile, allowed)) {
            if self.options.accept.is_none() {
                return Err(error.into());
            }
            lost.push(error.to_string());
        }
        let why = self.options.accept.as_ref().filter(|_| !lost.is_empty());
        Ok(why.map(|why| format!("{}: {why}", lost.join("; "))))
    }

    /// Commits a transaction with the journal's records of what is in it.
    fn commit(
        &self,
        transaction: Transaction<'_>,
        pending: &mut Pending,
        last: bool,
        report: &mut Report,
        again: &mut Again,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<(), Error> {
        // The transaction itself records generations and what is unchanged.
        for device in &pending.reports {
            if let Err(error) = &device.result {
                let record = Record::new("snapshot", "failed").with("device", device.device.as_str());
                transaction.record(record.with("reason", reason(error)));
            }
        }
        let done = self.vault.commit(transaction).map_err(|error| unwritten(&pending.reports, error))?;
        report.added_bytes += done.committed.added_bytes;
        pending.since = None;
        // A device that ended a moment ago can be in the transaction and not yet among the reports.
        pending.moved.extend(done.moved);
        for mut device in mem::take(&mut pending.reports) {
            if pending.moved.remove(&device.device) {
                if !last {
                    again.moved.insert(device.device);
                    continue;
                }
                device.result = Err(Error::Moved);
            }
            if device.more && matches!(device.result, Ok(Outcome::Generation(_))) {
                again.more.insert(device.device.clone());
            }
            tell(Told::Done(&device));
            report.devices.push(device);
        }
        Ok(())
    }
}
