//! A stand-in: another device that the set of the mirror is put back to, with all that a restore to a device does.

use std::time::Duration;

use super::exercise::Crew;
use super::protocol::StandIn;
use super::prove::millis;
use super::{DrillError, Finding, What};
use crate::model::{DeviceName, Point};
use crate::ops::device_restore::{self, Choice, Outcome, Report, Tools};
use crate::ops::snapshot::reason;
use crate::ops::{Error, Reader, Vault, health};

/// How long a device that does not answer is waited for, and its health.
const WAIT: Duration = Duration::from_secs(120);

/// Refuses a stand-in that is none.
pub(super) fn check(vault: &Vault, points: &[Point], onto: &DeviceName) -> Result<(), Error> {
    vault.inventory.device(onto)?;
    match points {
        [point] if point.device != *onto => Ok(()),
        [_] => Err(DrillError::Itself(onto.clone()).into()),
        _ => Err(DrillError::OneForOne(onto.clone()).into()),
    }
}

/// Puts a point of the mirror's copy back to the stand-in. What goes wrong is a finding.
pub(super) fn put_back(crew: &Crew<'_>, reader: &Reader, point: &Point, onto: &DeviceName) -> (Option<StandIn>, Option<Finding>) {
    let begun = std::time::Instant::now();
    let find = |text: String| Some(Finding::new(What::StandIn, Some(&point.device), text));
    let tools = Tools { vault: crew.vault, reader, world: crew.world };
    let options = device_restore::Options {
        across_releases: false,
        // A stand-in may be bare.
        incomplete: true,
        require_health: false,
        wait: WAIT,
        ticket: None,
        why: Some(format!("recovery exercise with {point}")),
        by: crew.options.by.clone(),
    };
    let done = device_restore::prepare(tools, point, Some(onto), Choice::default())
        .and_then(|prepared| device_restore::run(&prepared, &options, &mut |_| {}));
    let report = match done {
        Ok(report) => report,
        Err(error) => return (None, find(format!("Nothing was put back to stand-in {onto}: {}", reason(&error)))),
    };
    let (word, finding) = match &report.outcome {
        Outcome::Nothing => ("nothing", None),
        Outcome::Done => ("done", None),
        Outcome::WentBack { why, .. } => {
            let why = why.as_ref().map(|why| reason(why)).unwrap_or_default();
            ("went-back", find(format!("Stand-in {onto} was taken back, as a step failed: {why}")))
        }
        Outcome::Stuck { back, .. } => {
            let text = format!("Stand-in {onto} stands between (`confvault restore --undo {onto}`): {}", reason(back));
            ("stuck", find(text))
        }
    };
    let finding = finding.or_else(|| {
        let trouble = report.trouble.as_ref()?;
        find(format!("Stand-in {onto} is as the point, but what comes after failed: {}", reason(trouble)))
    });
    (Some(facts(onto, word, &report, millis(begun))), finding)
}

fn facts(onto: &DeviceName, outcome: &str, report: &Report, took_ms: u64) -> StandIn {
    let value = |value: &Option<crate::store::Measured>| value.as_ref().map(ToString::to_string);
    let well = |one: &health::Compared| {
        let (before, after) = (value(&one.before), value(&one.after));
        format!("{}: {} before, {} after", one.what, before.as_deref().unwrap_or("?"), after.as_deref().unwrap_or("?"))
    };
    StandIn {
        device: onto.clone(),
        outcome: outcome.to_owned(),
        entries: report.items as u64,
        change: report.change.as_ref().map(ToString::to_string),
        pre: report.pre,
        post: report.post,
        health: report.health.iter().map(well).collect(),
        took_ms,
    }
}
