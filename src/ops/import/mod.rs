//! Taking over the history of another program: each state of a device in a git repository becomes a generation,
//! with its time and its author, masked, sealed and signed like any other ("The commit" in `docs/format.md`).
//!
//! The repository is read as hostile ([`Foreign`]): nothing of it is run, and only the line of first parents of
//! one branch counts. What is not whole, or of which the release cannot be told, is left out and named. Run
//! again, only what came since is taken: the newest imported generation says how far the store is.
//!
//! Devices are taken side by side into one transaction; memory is bounded by the devices in work, and by
//! what changed in the whole history, in numbers.

mod adopt;
mod device;
mod error;
mod history;
mod layout;
mod models;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use adopt::adopt;
pub use error::ImportError;
pub use layout::{Layout, Pattern};

use super::keys::remember;
use super::{Error, Vault};
use crate::collect::fleet::{self, MayPass};
use crate::collect::inventories::Listed;
use crate::inventory::ProfileName;
use crate::model::{ConfigPath, DeviceName, Release};
use crate::ops::snapshot::reason;
use crate::store::{Foreign, Record, RunId, Transaction};
use device::{Job, Shared};
use models::Models;

/// How many generations are committed at once: a run that is killed loses no more, and memory holds a number for
/// each of their objects.
pub const COMMIT_EVERY: u64 = 100_000;

/// What is taken over, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The repository, bare or with a working tree.
    pub repo: PathBuf,
    /// Where in it devices stand.
    pub layout: Layout,
    /// The branch; nothing for that of `HEAD`.
    pub branch: Option<String>,
    /// Only what lies in this folder of the repository; paths count from it.
    pub below: Option<ConfigPath>,
    /// Only these devices; none for all.
    pub only: Vec<DeviceName>,
    /// Devices as the other program lists them: their models are found here.
    pub listed: Vec<Listed>,
    /// The user of devices in lists of the repository itself.
    pub user: Option<String>,
    /// Profiles by the other program's word for a model, before those that confvault knows.
    pub map: BTreeMap<String, ProfileName>,
    /// The profile of devices of which no model is known.
    pub profile: Option<ProfileName>,
    /// The release of a first state in which none is found.
    pub release: Option<Release>,
    /// Take states that are not whole, with these words as the reason.
    pub accept: Option<String>,
    /// Keep the messages of the commits as notes, in clear.
    pub messages: bool,
    /// Commit nothing.
    pub plan: bool,
    /// Commit when so many generations wait; as a rule [`COMMIT_EVERY`].
    pub commit_every: u64,
}

/// A state that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedState {
    /// The commit that has it.
    pub commit: String,
    /// When it was written.
    pub time: DateTime<Utc>,
    /// Why.
    pub why: String,
}

/// What became of the history of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// New generations.
    pub made: u64,
    /// The number of the first new one.
    pub first: Option<u64>,
    /// The number of the last new one.
    pub last: Option<u64>,
    /// States that do not differ from the one before but in what is volatile.
    pub unchanged: u64,
    /// States with nothing in them; tools write such when they begin with a device.
    pub empty: u64,
    /// States that are not whole, or cannot be stored.
    pub skipped: Vec<SkippedState>,
    /// Generations that are not whole and were taken on purpose.
    pub accepted: u64,
    /// When its files were deleted, if they are gone now.
    pub gone: Option<DateTime<Utc>>,
    /// Files that no rule of the profile claims; kept in scope `system`.
    pub unclaimed: BTreeSet<ConfigPath>,
}

/// One device of the history.
#[derive(Debug)]
pub struct DeviceReport {
    /// Its name; for what cannot be a device, as it stands in the repository.
    pub name: String,
    /// Its profile, where one is known.
    pub profile: Option<ProfileName>,
    /// What became of it.
    pub result: Result<Imported, Error>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// The id of the run in the journal.
    pub run: RunId,
    /// Commits of the line.
    pub commits: u64,
    /// The beginning of the history was never fetched into the repository.
    pub shallow: bool,
    /// The devices, sorted by name.
    pub devices: Vec<DeviceReport>,
    /// How many files belong to no device, and a few of them.
    pub ignored: (usize, Vec<String>),
    /// Devices as the other program lists them, in the repository too.
    pub listed: Vec<Listed>,
    /// Bytes that the store grew by.
    pub added_bytes: u64,
    /// Time of the whole run.
    pub took: Duration,
}

impl Report {
    /// Counts new generations, devices, and devices that were left out.
    #[must_use]
    pub fn counts(&self) -> (u64, usize, usize) {
        let made = self.devices.iter().filter_map(|d| d.result.as_ref().ok()).map(|i| i.made).sum();
        let failed = self.devices.iter().filter(|d| d.result.is_err()).count();
        (made, self.devices.len() - failed, failed)
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The history was read; so many devices are to be taken.
    Read(usize),
    /// A device is done with.
    Device(&'a str),
}

/// Takes a history over. `progress` is told on the caller's thread.
///
/// # Errors
/// What stops the run as a whole: the repository cannot be read, the store refused. What stops a device is in
/// the report.
pub fn import(
    vault: &Vault,
    options: &Options,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Report, Error> {
    let begun = Instant::now();
    let foreign = Foreign::open(&options.repo).map_err(ImportError::from)?;
    let line = foreign.head(options.branch.as_deref()).and_then(|head| foreign.line(head)).map_err(ImportError::from)?;
    let walked = history::walk(&foreign, &line, &options.layout, options.below.as_ref(), cancel)?;
    let mut report = Report {
        run: Vault::new_run(),
        commits: line.len() as u64,
        shallow: foreign.is_shallow(),
        devices: Vec::new(),
        ignored: walked.ignored,
        listed: Vec::new(),
        added_bytes: 0,
        took: Duration::ZERO,
    };
    let wanted = |name: &DeviceName| options.only.is_empty() || options.only.contains(name);
    if let Some(missing) = options.only.iter().find(|name| !walked.devices.contains_key(name)) {
        return Err(ImportError::NoSuch(missing.clone()).into());
    }
    let models = Models::new(vault, options, &foreign, &line)?;
    let mut jobs = Vec::new();
    for (device, history) in walked.devices.into_iter().filter(|(name, _)| wanted(name)) {
        match models.job(&device, history)? {
            Ok(job) => jobs.push(job),
            Err(error) => {
                report.devices.push(DeviceReport { name: device.to_string(), profile: None, result: Err(error.into()) });
            }
        }
    }
    if options.only.is_empty() {
        report.devices.extend(walked.bad_names.into_iter().map(|(name, error)| {
            let result = Err(ImportError::Name(error).into());
            DeviceReport { name, profile: None, result }
        }));
    }
    report.listed = models.into_listed();
    progress(Step::Read(jobs.len()));
    let shared = Shared {
        vault,
        foreign: &foreign,
        places: line.iter().zip(0..).map(|(commit, place)| (commit.id, place)).collect(),
        line: &line,
        options,
        seen: vault.ring.seen()?,
        cancel,
        now: Utc::now(),
    };
    run(&shared, &jobs, &mut report, progress)?;
    report.devices.sort_by(|a, b| a.name.cmp(&b.name));
    if !options.plan {
        remember(&vault.ring, &vault.store, &vault.store.refs()?, vault.signing.as_ref(), &[])?;
    }
    report.took = begun.elapsed();
    Ok(report)
}

/// Takes the devices side by side.
fn run(shared: &Shared<'_>, jobs: &[Job], report: &mut Report, progress: &mut dyn FnMut(Step<'_>)) -> Result<(), Error> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    // A long history has no limit of time of its own, and nothing in it can pass.
    let fleet = fleet::Options { jobs: threads, tries: 1, timeout: Duration::MAX / 4, ..fleet::Options::default() };
    let begin = || shared.vault.begin(&report.run);
    let open = RwLock::new(begin()?);
    let (mut waiting, mut done, mut trouble) = (0, Vec::new(), None);
    let mut commits = Vec::new();
    let work = |job: &Job, _| shared.take(job, &open.read().unwrap_or_else(PoisonError::into_inner));
    fleet::run(jobs, &fleet, shared.cancel, work, |finished| {
        let job = &jobs[finished.index];
        let result = match finished.outcome {
            fleet::Outcome::Done(imported) => Ok(imported),
            fleet::Outcome::Failed(error) => Err(error),
            fleet::Outcome::Panicked(text) => Err(Error::Internal(text)),
            fleet::Outcome::NotBegun => Err(Error::NotBegun),
        };
        waiting += result.as_ref().map_or(0, |imported: &Imported| imported.made);
        progress(Step::Device(job.device.as_str()));
        done.push(DeviceReport { name: job.device.to_string(), profile: job.profile.name().parse().ok(), result });
        if waiting >= shared.options.commit_every && trouble.is_none() {
            waiting = 0;
            let full = begin().map(|fresh| {
                // Waits for the devices that are in work.
                std::mem::replace(&mut *open.write().unwrap_or_else(PoisonError::into_inner), fresh)
            });
            match full.and_then(|full| commit(shared, full, &mut done)) {
                Ok(added) => commits.push(added),
                Err(error) => {
                    shared.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
                    trouble = Some(error);
                }
            }
            report.devices.append(&mut done);
        }
    });
    if let Some(error) = trouble {
        return Err(error);
    }
    let last = open.into_inner().unwrap_or_else(PoisonError::into_inner);
    commits.push(commit(shared, last, &mut done)?);
    report.devices.append(&mut done);
    report.added_bytes = commits.into_iter().sum();
    Ok(())
}

/// Commits what waits, with the records of the devices that were left out; gives the bytes that were added.
fn commit(shared: &Shared<'_>, transaction: Transaction<'_>, done: &mut [DeviceReport]) -> Result<u64, Error> {
    if shared.options.plan {
        return Ok(0);
    }
    for device in done.iter() {
        if let Err(error) = &device.result {
            transaction
                .record(Record::new("import", "failed").with("device", device.name.as_str()).with("reason", reason(error)));
        }
    }
    let committed = shared.vault.commit(transaction)?;
    for device in done.iter_mut() {
        if committed.moved.iter().any(|moved| moved.as_str() == device.name) {
            device.result = Err(Error::Moved);
        }
    }
    Ok(committed.committed.added_bytes)
}

impl MayPass for ImportError {
    fn may_pass(&self) -> bool {
        false
    }
}
