//! Going back: to how the device stood before the restore began.

use std::collections::HashMap;
use std::time::Duration;

use super::error::DeviceRestoreError;
use super::item::{Form, Towards};
use super::job::Job;
use super::record::{Mark, Record};
use super::run::{NEVER, Outcome, compare, patiently, put, save};
use super::site::{Site, Tools};
use crate::model::ConfigPath;
use crate::ops::snapshot::World;

/// How an entry of a restore stands on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// As it stood before.
    Before,
    /// As at the point.
    Point,
    /// As neither: somebody or something else changed it.
    Neither,
    /// As at the point, as far as is known: the device does not answer.
    ProbablyPoint,
    /// As before, as far as is known: the device does not answer.
    ProbablyBefore,
    /// It was about to change when the device stopped answering.
    Unknown,
}

impl Stands {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Point => "point",
            Self::Neither => "neither",
            Self::ProbablyPoint => "probably-point",
            Self::ProbablyBefore => "probably-before",
            Self::Unknown => "unknown",
        }
    }
}

/// What stands where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The entry.
    pub path: ConfigPath,
    /// How it stands.
    pub stands: Stands,
}

/// Takes the device back to how it stood before, and says how that ended. A device that does not answer is waited for.
/// A restore that was stopped goes back all the same.
pub(super) fn go(job: &mut Job<'_, '_>, why: Option<DeviceRestoreError>, wait: Duration) -> Outcome {
    let tools = job.site.tools;
    let world = World { cancel: &NEVER, ..*tools.world };
    let site = match Site::new(Tools { world: &world, ..tools }, &job.site.device.name) {
        Ok(site) => site,
        Err(error) => return Outcome::Stuck { why, back: error.into(), standing: from_record(job.record) },
    };
    let mut job = Job {
        site: &site,
        goal: job.goal,
        record: &mut *job.record,
        keeper: job.keeper,
        secrets: job.secrets.clone(),
        tell: &mut *job.tell,
    };
    let put = patiently(wait, &world, || {
        let now = site.look()?;
        put(&mut job, Towards::Before, &now)
    });
    let put = put.map_err(|error| job.explain(error));
    match (compare(&job, Towards::Before, wait), put) {
        (Ok(()), put) => {
            let noted = job.mark(Mark::Met);
            // What was saved may be the point, in part or whole.
            let saved = if job.record.has(&Mark::Saving) { save(&mut job, Towards::Before, wait) } else { Ok(()) };
            let saved = saved.map_err(|error| job.explain(error));
            Outcome::WentBack { why, trouble: put.and(saved).and(noted).err() }
        }
        (Err(_), Err(back)) | (Err(back), Ok(())) => {
            let standing = standing(&job);
            Outcome::Stuck { why, back, standing }
        }
    }
}

/// Says what stands where: as the device shows it, else as the record has it.
fn standing(job: &Job<'_, '_>) -> Vec<Standing> {
    let found = job.site.look().map_err(DeviceRestoreError::from).and_then(|now| job.found(&now));
    let Ok(found) = found else { return from_record(job.record) };
    let items = job.record.facts.items.iter().zip(found);
    let one = |found: Option<Form>, meets: &dyn Fn(Towards, Option<&Form>) -> bool| match found.as_ref() {
        found if meets(Towards::Before, found) => Stands::Before,
        found if meets(Towards::Point, found) => Stands::Point,
        _ => Stands::Neither,
    };
    items
        .map(|(item, found)| Standing {
            path: item.path.clone(),
            stands: one(found, &|towards, found| item.is_met_by(towards, found)),
        })
        .collect()
}

/// Says what stands where by what was done, of a device that does not answer.
pub(super) fn from_record(record: &Record) -> Vec<Standing> {
    let mut towards = Towards::Point;
    let items = &record.facts.items;
    let mut standing: Vec<Standing> =
        items.iter().map(|item| Standing { path: item.path.clone(), stands: Stands::ProbablyBefore }).collect();
    let places: HashMap<&ConfigPath, usize> = items.iter().enumerate().map(|(index, item)| (&item.path, index)).collect();
    for mark in &record.marks {
        let (path, stands) = match mark {
            Mark::Towards { towards: now } => {
                towards = *now;
                continue;
            }
            Mark::Changing { path } => (path, Stands::Unknown),
            Mark::Changed { path } if towards == Towards::Point => (path, Stands::ProbablyPoint),
            Mark::Changed { path } => (path, Stands::ProbablyBefore),
            _ => continue,
        };
        if let Some(index) = places.get(path) {
            standing[*index].stands = stands;
        }
    }
    standing
}
