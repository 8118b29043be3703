//! The procedure: snapshot before, put, compare, health, snapshot after; and back on any failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::back::{self, Standing};
use super::error::DeviceRestoreError;
use super::goal::{Choice, Goal};
use super::item::Towards;
use super::job::{Job, Keeper};
use super::plan::{Plan, make};
use super::record::{Facts, Mark, Record};
use super::site::{Now, Place, Site, Tools};
use super::{close, commands, files};
use crate::collect::act::ActError;
use crate::inventory::SourceUrl;
use crate::model::{DeviceName, Point, Ticket, Where, count};
use crate::ops::health::{self, Compared, Verdict};
use crate::ops::restore::RestoreError;
use crate::ops::signatures::SignatureFinding;
use crate::ops::snapshot::World;
use crate::ops::{Error, Vault};
use crate::profile::RestoreMethod;
use crate::store::{ChangeId, Generation, Refs};

/// How a restore is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Put a set back that was taken under another release.
    pub across_releases: bool,
    /// Go on although what stands on the device is no whole set, of which there can be no snapshot.
    pub incomplete: bool,
    /// Take everything back if the health of the device does not come back.
    pub require_health: bool,
    /// How long to wait for a device that does not answer, and for its health.
    pub wait: Duration,
    /// The ticket of the change that is opened where none is open; nothing for one that is made up.
    pub ticket: Option<Ticket>,
    /// Why it is done.
    pub why: Option<String>,
    /// Who does it.
    pub by: Option<String>,
}

/// How a restore ended.
#[derive(Debug)]
pub struct Report {
    /// The device.
    pub device: DeviceName,
    /// The device whose set it was.
    pub of: DeviceName,
    /// The number of the generation.
    pub generation: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How many entries were to change.
    pub items: usize,
    /// The change that it belongs to.
    pub change: Option<ChangeId>,
    /// The number of the generation before.
    pub pre: Option<u64>,
    /// That generation is new, and an unannounced change.
    pub unannounced: bool,
    /// The number of the generation that stood when an unfinished restore was taken up, where somebody had changed it.
    pub kept: Option<u64>,
    /// The number of the generation after.
    pub post: Option<u64>,
    /// The health after, beside that before.
    pub health: Vec<Compared>,
    /// What went wrong behind the restore itself: the snapshot after it, or the end of its change.
    pub trouble: Option<Error>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// A report with what is known of a restore before it is looked at how it went.
    pub(super) fn new(device: &DeviceName, of: &DeviceName, generation: u64, items: usize, outcome: Outcome) -> Self {
        Self {
            device: device.clone(),
            of: of.clone(),
            generation,
            outcome,
            items,
            change: None,
            pre: None,
            unannounced: false,
            kept: None,
            post: None,
            health: Vec::new(),
            trouble: None,
            took: Duration::ZERO,
        }
    }
}

/// How a restore ended.
#[derive(Debug)]
pub enum Outcome {
    /// The device was as the point already, and nothing was done.
    Nothing,
    /// The device is as the point.
    Done,
    /// Something failed, and the device is as it was before.
    WentBack {
        /// What failed; nothing where it was asked for.
        why: Option<DeviceRestoreError>,
        /// The files are as they were, and a command that makes them active failed.
        trouble: Option<DeviceRestoreError>,
    },
    /// Something failed, and so did going back.
    Stuck {
        /// What failed; nothing where going back was asked for.
        why: Option<DeviceRestoreError>,
        /// Why the device could not be taken back.
        back: DeviceRestoreError,
        /// What stands where.
        standing: Vec<Standing>,
    },
}

/// A restore that is planned and not begun.
pub struct Prepared<'a> {
    site: Site<'a>,
    goal: Goal<'a>,
    choice: Choice,
    /// What it would do.
    pub plan: Plan,
}

impl std::fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Prepared<'_> {
    /// Refuses what [`run`] would refuse, before anybody is asked.
    ///
    /// # Errors
    /// [`DeviceRestoreError`]: it may not be put back so, or an identity is missing.
    pub fn check(&self, options: &Options) -> Result<(), Error> {
        guard(self, options)?;
        self.check_identity()
    }

    /// Refuses to go on without an identity where one is needed.
    ///
    /// # Errors
    /// [`DeviceRestoreError::NeedsIdentity`]; the keys cannot be read.
    pub fn check_identity(&self) -> Result<(), Error> {
        if self.plan.items.is_empty() {
            return Ok(());
        }
        Keeper::new(&self.site)?;
        if self.plan.locked > 0 { Err(DeviceRestoreError::NeedsIdentity.into()) } else { Ok(()) }
    }
}

/// Looks at a device and plans to put a point back to it; `onto` is another device than that of the point.
///
/// # Errors
/// The point or the device is not there, the device cannot be looked at, or a path chooses nothing.
pub fn prepare<'a>(tools: Tools<'a>, point: &Point, onto: Option<&DeviceName>, choice: Choice) -> Result<Prepared<'a>, Error> {
    let store = &tools.reader.store;
    let refs = store.refs()?;
    let generation = store.resolve(&refs, point)?;
    let foreign = check_signature(tools, &refs, &generation, choice.unverified)?;
    let site = Site::new(tools, onto.unwrap_or(&point.device))?;
    let goal = Goal::new(tools, &generation, &site)?;
    let now = site.look()?;
    let mut plan = make(&site, &goal, &now, &choice)?;
    let only_device = point.at == Where::Newest && plan.items.is_empty() && plan.blocked.is_empty();
    plan.foreign = foreign.map(|found| found.to_string());
    plan.accepted.clone_from(&generation.accepted);
    plan.before = Some(plan.generation - 1).filter(|before| only_device && *before > 0);
    Ok(Prepared { site, goal, choice, plan })
}

/// Refuses a point that nobody has signed who may; gives what is wrong where that is taken.
pub(super) fn check_signature(
    tools: Tools<'_>,
    refs: &Refs,
    point: &Generation,
    unverified: bool,
) -> Result<Option<SignatureFinding>, RestoreError> {
    match tools.reader.foreign(refs, point) {
        Some(found) if !unverified => Err(RestoreError::Foreign(found)),
        found => Ok(found),
    }
}

/// Refuses what must not be begun.
fn guard(prepared: &Prepared<'_>, options: &Options) -> Result<(), DeviceRestoreError> {
    let plan = &prepared.plan;
    match (plan.method, &prepared.site.device.source) {
        (RestoreMethod::Files, SourceUrl::Sftp(_) | SourceUrl::Dir(_)) | (RestoreMethod::Commands, SourceUrl::Ssh(_)) => {}
        (RestoreMethod::Files | RestoreMethod::Commands, source) => return Err(ActError::NotSupported(source.clone()).into()),
        (RestoreMethod::None, _) => return Err(DeviceRestoreError::NoMethod(prepared.site.profile.name().to_owned())),
    }
    if let Some(first) = plan.blocked.first() {
        let (what, path) = (first.what.clone(), first.path.clone());
        return Err(DeviceRestoreError::Blocked { what, path, count: plan.blocked.len() });
    }
    if !plan.same_release() && !options.across_releases {
        return Err(DeviceRestoreError::OtherRelease { runs: plan.release_now.clone(), wanted: plan.release.clone() });
    }
    if options.require_health && !health::can_measure(prepared.site.device, &prepared.site.profile) {
        return Err(DeviceRestoreError::NoHealth(plan.device.clone()));
    }
    if let Some((program, command)) =
        plan.commands.iter().find_map(|one| Some((prepared.site.lacks_program(&one.run)?, &one.run)))
    {
        return Err(DeviceRestoreError::NoProgram { program, command: command.clone() });
    }
    match &plan.lacks {
        Some(why) if !options.incomplete => Err(DeviceRestoreError::NotWhole { why: why.clone() }),
        _ if plan.locked > 0 => Err(DeviceRestoreError::NeedsIdentity),
        _ => Ok(()),
    }
}

/// Puts back what was planned. `tell` is told what is done, in words.
///
/// # Errors
/// Nothing was done to the device: it may not be put back so, or what comes before the first step failed. Whatever
/// fails after it is in the report.
pub fn run(prepared: &Prepared<'_>, options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let begun = Instant::now();
    guard(prepared, options)?;
    let (site, plan) = (&prepared.site, &prepared.plan);
    Record::tidy(site.tools.vault.root(), &site.device.name)?;
    if plan.items.is_empty() {
        return Ok(Report {
            took: begun.elapsed(),
            ..Report::new(&plan.device, &plan.of, plan.generation, plan.items.len(), Outcome::Nothing)
        });
    }
    let keeper = Keeper::new(site)?;
    if plan.method == RestoreMethod::Files {
        // A login that may only look is found out before anything is begun.
        let run = Vault::new_run();
        site.work(run.as_str(), site.tools.vault.root(), |target| Ok(target.files()?.probe()?))?;
    }
    let vault = site.tools.vault;
    let change = close::find(vault, &site.device.name, options.ticket.as_ref(), plan.lacks.is_none())?;
    let facts = Facts {
        v: 1,
        run: Vault::new_run().as_str().to_owned(),
        device: site.device.name.clone(),
        of: plan.of.clone(),
        generation: plan.generation,
        release: plan.release.clone(),
        runs: plan.release_now.clone(),
        place: Some(Place::of(site)?),
        begun: Utc::now(),
        why: options.why.clone().unwrap_or_else(|| format!("restore of {}@{}", plan.of, plan.generation)),
        by: options.by.clone(),
        ticket: change.ticket,
        own_change: change.own,
        pre: None,
        unannounced: false,
        unverified: plan.foreign.is_some(),
        require_health: options.require_health,
        sealed_to: keeper.sealer.epoch(),
        items: plan.items.clone(),
        health: Vec::new(),
    };
    let mut record = Record::create(vault.root(), facts)?;
    let now = match begin(prepared, &mut record, &keeper, tell) {
        Ok(now) => now,
        Err(error) => {
            close::give_up(site, record, &error);
            return Err(error.into());
        }
    };
    proceed(site, &prepared.goal, record, &keeper, &now, options.wait, tell, begun)
}

/// Opens the change, looks again, and keeps what is needed for the way back.
fn begin(
    prepared: &Prepared<'_>,
    record: &mut Record,
    keeper: &Keeper,
    tell: &mut dyn FnMut(&str),
) -> Result<Now, DeviceRestoreError> {
    let (site, goal) = (&prepared.site, &prepared.goal);
    tell("Taking the snapshot before");
    close::open(site, record)?;
    record.mark(Mark::Opened)?;
    if record.facts.require_health && record.facts.health.iter().all(|reading| reading.value.is_none()) {
        return Err(DeviceRestoreError::NoHealth(site.device.name.clone()));
    }
    let now = site.look()?;
    let plan = make(site, goal, &now, &prepared.choice)?;
    if !plan.is_that_of(&prepared.plan) {
        return Err(DeviceRestoreError::Changed);
    }
    record.facts.items = plan.items;
    record.write_facts()?;
    let mut job = Job { site, goal, record, keeper, secrets: Vec::new(), tell };
    job.keep(&now)?;
    Ok(now)
}

/// Takes the device to the point, or back if that fails, and ends the restore.
#[allow(clippy::too_many_arguments, reason = "what two callers have at hand")]
pub(super) fn proceed(
    site: &Site<'_>,
    goal: &Goal<'_>,
    mut record: Record,
    keeper: &Keeper,
    now: &Now,
    wait: Duration,
    tell: &mut dyn FnMut(&str),
    begun: Instant,
) -> Result<Report, Error> {
    let mut job = Job { site, goal, record: &mut record, keeper, secrets: Vec::new(), tell };
    let outcome = match forward(&mut job, now, wait) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let error = job.explain(error);
            (job.tell)("Going back, as a step failed");
            back::go(&mut job, Some(error), wait)
        }
    };
    Ok(close::end(site, record, outcome, begun, wait, tell))
}

/// Takes the device to the point.
fn forward(job: &mut Job<'_, '_>, now: &Now, wait: Duration) -> Result<(), DeviceRestoreError> {
    (job.tell)(&format!("Putting back {}", count(job.record.facts.items.len(), "entry")));
    put(job, Towards::Point, now)?;
    (job.tell)("Comparing");
    compare(job, Towards::Point, wait)?;
    job.mark(Mark::Met)?;
    let compared = settle(job.site, &job.record.facts.health, wait, job.tell);
    // An interrupt ended the wait.
    job.site.tools.world.check()?;
    if job.record.facts.require_health && !health::is_back(&compared) {
        let worse = compared.into_iter().filter(|one| one.verdict == Verdict::Worse);
        return Err(DeviceRestoreError::Health { seconds: wait.as_secs(), what: worse.map(|one| one.what).collect() });
    }
    save(job, Towards::Point, wait)
}

/// Takes the device one way, as its profile says how.
pub(super) fn put(job: &mut Job<'_, '_>, towards: Towards, now: &Now) -> Result<(), DeviceRestoreError> {
    match job.site.profile.restore().map(|restore| restore.method) {
        Some(RestoreMethod::Commands) => commands::put(job, towards, now),
        _ => files::put(job, towards, now),
    }
}

/// Makes what stands on the device last over a restart. Then it is looked at again: a device that restarted
/// meanwhile, or went back by itself, is not as it was when it was compared.
pub(super) fn save(job: &mut Job<'_, '_>, towards: Towards, wait: Duration) -> Result<(), DeviceRestoreError> {
    if job.site.profile.restore().is_none_or(|restore| restore.save.is_empty()) {
        return Ok(());
    }
    patiently(wait, job.site.tools.world, || commands::save(job))?;
    compare(job, towards, wait)
}

/// Looks whether the device stands as it is to stand; one that does not answer is waited for.
pub(super) fn compare(job: &Job<'_, '_>, towards: Towards, wait: Duration) -> Result<(), DeviceRestoreError> {
    let now = patiently(wait, job.site.tools.world, || job.site.look().map_err(DeviceRestoreError::from))?;
    differing(job, towards, &now)?.map_or(Ok(()), Err)
}

/// Says what does not stand as it is to stand.
pub(super) fn differing(
    job: &Job<'_, '_>,
    towards: Towards,
    now: &Now,
) -> Result<Option<DeviceRestoreError>, DeviceRestoreError> {
    let found = job.found(now)?;
    let mut wrong = job.record.facts.items.iter().zip(&found).filter(|(item, found)| !item.is_met_by(towards, found.as_ref()));
    let first = wrong.next().map(|(item, _)| item.path.clone());
    Ok(first.map(|first| DeviceRestoreError::Differs { count: 1 + wrong.count(), first }))
}

/// Waits for the health of the device to come back, and gives how it compares.
pub(super) fn settle(
    site: &Site<'_>,
    before: &[crate::store::Reading],
    wait: Duration,
    tell: &mut dyn FnMut(&str),
) -> Vec<Compared> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let compared = health::compare(before, &site.health());
        let over = begun.elapsed() >= wait || site.tools.world.cancel.load(Ordering::Relaxed);
        if health::is_back(&compared) || over {
            return compared;
        }
        if !std::mem::replace(&mut told, true) {
            tell("Waiting for the health to come back");
        }
        std::thread::sleep(Duration::from_secs(2).min(wait));
    }
}

/// Tries again, for as long as is given, what fails because the device does not answer.
pub(super) fn patiently<T>(
    wait: Duration,
    world: &World<'_>,
    mut work: impl FnMut() -> Result<T, DeviceRestoreError>,
) -> Result<T, DeviceRestoreError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(500);
    loop {
        match work() {
            Err(error) if error.may_pass() && begun.elapsed() + pause < wait && !world.cancel.load(Ordering::Relaxed) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            other => return other,
        }
    }
}

/// A flag that never becomes true: what ends a restore is done also where the restore was stopped.
pub(super) static NEVER: AtomicBool = AtomicBool::new(false);
