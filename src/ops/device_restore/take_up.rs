//! A restore that did not end, taken up again: on to the point, or back.
//!
//! The name of the device, its release and what stands on it may have changed since. Each is looked at before anything is done.

use std::time::{Duration, Instant};

use super::back;
use super::close;
use super::error::DeviceRestoreError;
use super::goal::Goal;
use super::item::{Form, Item, Towards};
use super::job::{Job, Keeper};
use super::record::{Facts, Mark, Record};
use super::run::{NEVER, Outcome, Report, check_signature, differing, patiently, proceed};
use super::site::{Now, Place, Site, Tools};
use crate::model::{DeviceName, Point, Where};
use crate::ops::Error;
use crate::ops::snapshot::{World, reason};

/// How a restore that did not end is taken up.
#[derive(Debug, Clone)]
pub struct Again {
    /// On to the point, or back.
    pub towards: Towards,
    /// Go on although the device runs another release by now.
    pub across_releases: bool,
    /// Go on although nobody has signed the point who may.
    pub unverified: bool,
    /// Go on although somebody changed the device since, and there can be no snapshot of it.
    pub incomplete: bool,
    /// The device is the one that is meant, although its source or its host key is another by now.
    pub moved: bool,
    /// How long to wait for a device that does not answer, and for its health.
    pub wait: Duration,
}

/// Finishes a restore that did not end, or takes it back; without a device the only one there is.
///
/// # Errors
/// There is none, another process is at it, its record cannot be used, or it may not be taken up so
/// ([`DeviceRestoreError::Moved`], [`RestoreError::Foreign`](crate::ops::restore::RestoreError::Foreign), [`DeviceRestoreError::OtherRelease`], [`DeviceRestoreError::NotKept`]). What fails on the
/// device is in the report.
pub fn take_up(tools: Tools<'_>, device: Option<&DeviceName>, how: &Again, tell: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let begun = Instant::now();
    let wait = how.wait;
    let mut record = Record::take_up(tools.vault.root(), device)?;
    let store = &tools.reader.store;
    let point = Point { device: record.facts.of.clone(), release: None, at: Where::Number(record.facts.generation) };
    let refs = store.refs()?;
    let generation = store.resolve(&refs, &point)?;
    if how.towards == Towards::Point {
        // Back is what was read from the device; on is what the store says by now.
        check_signature(tools, &refs, &generation, how.unverified || record.facts.unverified)?;
    }
    let site = Site::new(tools, &record.facts.device)?;
    check_place(&site, &mut record, how.moved)?;
    let goal = Goal::new(tools, &generation, &site)?;
    let keeper = Keeper::new(&site)?;
    if !record.has(&Mark::Kept) {
        // Nothing was done to the device: the way back is to forget it, the way on to begin anew.
        if how.towards == Towards::Before {
            let outcome = Outcome::WentBack { why: None, trouble: None };
            return Ok(close::end(&site, record, outcome, begun, wait, tell));
        }
        let now = patiently(wait, tools.world, || site.look().map_err(DeviceRestoreError::from))?;
        check_release(&record.facts, &now, how.across_releases)?;
        close::open(&site, &mut record)?;
        record.mark(Mark::Opened)?;
        let now = site.look()?;
        record.facts.sealed_to = keeper.sealer.epoch();
        let mut job = Job { site: &site, goal: &goal, record: &mut record, keeper: &keeper, secrets: Vec::new(), tell };
        // What stands there now is what there is to go back to.
        for (at, form) in job.found(&now)?.into_iter().enumerate() {
            job.record.facts.items[at].before = form;
        }
        job.record.write_facts()?;
        job.keep(&now)?;
        return proceed(&site, &goal, record, &keeper, &now, wait, tell, begun);
    }
    let now = match patiently(wait, tools.world, || site.look().map_err(DeviceRestoreError::from)) {
        Err(back) if how.towards == Towards::Before => {
            let outcome = Outcome::Stuck { why: None, back, standing: back::from_record(&record) };
            return Ok(close::end(&site, record, outcome, begun, wait, tell));
        }
        now => now?,
    };
    if how.towards == Towards::Point {
        check_release(&record.facts, &now, how.across_releases)?;
    }
    let mut job = Job { site: &site, goal: &goal, record: &mut record, keeper: &keeper, secrets: Vec::new(), tell };
    let kept = keep_changed(&mut job, &now, how.incomplete)?;
    let report = if how.towards == Towards::Before {
        let outcome = back::go(&mut job, None, wait);
        close::end(&site, record, outcome, begun, wait, tell)
    } else if is_done(&job, &now)? {
        close::end(&site, record, Outcome::Done, begun, wait, tell)
    } else {
        proceed(&site, &goal, record, &keeper, &now, wait, tell, begun)?
    };
    Ok(Report { kept, ..report })
}

/// Refuses a device that is reached elsewhere than the one on which the restore began.
fn check_place(site: &Site<'_>, record: &mut Record, moved: bool) -> Result<(), DeviceRestoreError> {
    let now = Place::of(site)?;
    match record.facts.place.as_ref().and_then(|place| place.differs(&now)) {
        Some(what) if !moved => Err(DeviceRestoreError::Moved { device: record.facts.device.clone(), what }),
        Some(_) => {
            record.facts.place = Some(now);
            record.write_facts()
        }
        None => Ok(()),
    }
}

/// Refuses a release that is neither that of the point nor the one for which the restore was begun.
fn check_release(facts: &Facts, now: &Now, across: bool) -> Result<(), DeviceRestoreError> {
    if across || now.release.as_ref() == Some(&facts.release) || now.release == facts.runs {
        return Ok(());
    }
    Err(DeviceRestoreError::OtherRelease { runs: now.release.clone(), wanted: facts.release.clone() })
}

/// Takes a snapshot where somebody changed what the restore is about since it stopped: it is about to be written over.
fn keep_changed(job: &mut Job<'_, '_>, now: &Now, incomplete: bool) -> Result<Option<u64>, DeviceRestoreError> {
    let found = job.found(now)?;
    let mut changed = job.record.facts.items.iter().zip(&found).filter(|(item, found)| is_of_others(item, found.as_ref()));
    let Some(first) = changed.next().map(|(item, _)| item.path.clone()) else { return Ok(None) };
    let count = 1 + changed.count();
    (job.tell)(&format!("Taking a snapshot, as {first} was changed since the restore stopped"));
    let world = World { cancel: &NEVER, ..*job.site.tools.world };
    match close::keep_changed(job.site, &job.record.facts, &world) {
        Ok(number) => Ok(number),
        Err(_) if incomplete => Ok(None),
        Err(error) => Err(DeviceRestoreError::NotKept { count, first, why: reason(&error) }),
    }
}

/// Tells whether what stands there has a content that is neither that of before nor that of the point. Modes and owners
/// do not count: a step that was cut off leaves others for a moment.
fn is_of_others(item: &Item, found: Option<&Form>) -> bool {
    found.is_some_and(|found| ![&item.before, &item.after].into_iter().flatten().any(|form| form.same_content(found)))
}

/// Tells whether a restore that was killed behind its last step only has to be ended; what makes it last is run again.
fn is_done(job: &Job<'_, '_>, now: &Now) -> Result<bool, DeviceRestoreError> {
    let marks = &job.record.marks;
    let nothing_to_save = job.site.profile.restore().is_none_or(|restore| restore.save.is_empty());
    let last = marks.iter().rposition(|mark| matches!(mark, Mark::Towards { .. }));
    let met = last.is_some_and(|at| marks[at] == Mark::Towards { towards: Towards::Point } && marks[at..].contains(&Mark::Met));
    Ok(met && nothing_to_save && differing(job, Towards::Point, now)?.is_none())
}
