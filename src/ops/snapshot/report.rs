//! What a run of snapshots tells: each device, and the whole.

use std::time::Duration;

use super::{Encoded, Error};
use crate::collect::Skipped;
use crate::collect::fleet::{self, Finished};
use crate::model::{ConfigPath, DeviceName};
use crate::ops::keys::WentBack;
use crate::store::{GenerationKind, Outcome, RunId};

/// How one device ended.
#[derive(Debug)]
pub struct DeviceReport {
    /// The device.
    pub device: DeviceName,
    /// A new generation, the number of the one that it still is, or why there is none.
    pub result: Result<Outcome, Error>,
    /// What stands at the source and cannot be part of a set.
    pub skipped: Vec<Skipped>,
    /// Files that no rule of the profile claims and that were not seen before; kept in scope `system`.
    pub unclaimed: Vec<ConfigPath>,
    /// What the administrator should know.
    pub warnings: Vec<String>,
    /// Bytes that were read from the device.
    pub read_bytes: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Time from the start of its first try to the end of its last.
    pub took: Duration,
    /// The source has more sets to take.
    pub(super) more: bool,
}

impl DeviceReport {
    /// The number of the generation that stands now; nothing for a device that failed.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match &self.result {
            Ok(Outcome::Generation(generation)) => Some(generation.number),
            Ok(Outcome::Unchanged { number }) => Some(*number),
            Err(_) => None,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// The id of the run in the journal.
    pub run: RunId,
    /// The devices, sorted by name.
    pub devices: Vec<DeviceReport>,
    /// Devices of the store that the inventory does not have any more; looked for in a run of all devices only.
    pub gone: Vec<DeviceName>,
    /// Refs of the store that are gone or went back since this installation saw them.
    pub lost: Vec<WentBack>,
    /// Bytes that the store grew by.
    pub added_bytes: u64,
    /// Time of the whole run.
    pub took: Duration,
}

impl Report {
    /// Counts new generations, unchanged devices and failures.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |test: fn(&DeviceReport) -> bool| self.devices.iter().filter(|d| test(d)).count();
        (
            count(|d| matches!(d.result, Ok(Outcome::Generation(_)))),
            count(|d| matches!(d.result, Ok(Outcome::Unchanged { .. }))),
            count(|d| d.result.is_err()),
        )
    }

    /// The devices on which a difference was found that nobody had announced.
    pub fn unannounced(&self) -> impl Iterator<Item = &DeviceReport> {
        let kind = |d: &DeviceReport| match &d.result {
            Ok(Outcome::Generation(generation)) => Some(generation.kind),
            _ => None,
        };
        self.devices.iter().filter(move |d| kind(d) == Some(GenerationKind::Unannounced))
    }
}

/// What the caller of `snapshot_telling` is told in the middle of a run, on its own thread.
#[derive(Debug)]
pub enum Told<'a> {
    /// A device is done with.
    Done(&'a DeviceReport),
    /// Nothing ends, and these devices are at work for a minute and more; told once a minute.
    Waiting(&'a [DeviceName]),
}

/// An error and its causes in one line.
#[must_use]
pub fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

pub(super) fn device_report(name: &DeviceName, finished: Finished<Encoded, Error>) -> DeviceReport {
    let mut report = DeviceReport {
        device: name.clone(),
        result: Err(Error::NotBegun),
        skipped: Vec::new(),
        unclaimed: Vec::new(),
        warnings: Vec::new(),
        read_bytes: 0,
        tries: finished.tries,
        took: finished.took,
        more: false,
    };
    match finished.outcome {
        fleet::Outcome::Done(encoded) => {
            report.result = Ok(encoded.outcome);
            report.skipped = encoded.skipped;
            report.unclaimed = encoded.unclaimed;
            report.warnings = encoded.warnings;
            report.read_bytes = encoded.read_bytes;
            report.more = encoded.more;
        }
        fleet::Outcome::Failed(error) => report.result = Err(error),
        fleet::Outcome::Panicked(text) => report.result = Err(Error::Internal(text)),
        fleet::Outcome::NotBegun => {}
    }
    report
}
