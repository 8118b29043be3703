//! The record of a running restore, by which a killed one is finished or taken back: `DIR/restores/<device>`.
//!
//! ```text
//! restores/<device>.lock      locked by the process that works on the device
//! restores/<device>/facts.json    what is put back, and how it stood before
//! restores/<device>/steps.jsonl   what was begun and done, one line a step, each synced before the step
//! restores/<device>/back/<n>.age  how the nth entry stood, sealed: nothing of it lies in clear on the disk
//! restores/<device>/root/         what commands of this machine look at
//! ```
//!
//! The folder goes when the restore has ended, one way or the other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::DeviceRestoreError;
use super::item::{Item, Towards};
use super::site::Place;
use crate::fsio;
use crate::model::{ConfigPath, DeviceName, Release, Ticket};
use crate::seal::{OpenReader, Opener, Sealer};
use crate::store::Reading;

/// What is put back, to what, and why. Holds no content of a configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Version of the form: 1.
    pub(super) v: u32,
    /// The id of the restore: what it makes on the device bears it.
    pub(super) run: String,
    pub(super) device: DeviceName,
    /// The device whose set it is.
    pub(super) of: DeviceName,
    pub(super) generation: u64,
    pub(super) release: Release,
    /// The release that ran when the restore began, if it could be told.
    #[serde(default)]
    pub(super) runs: Option<Release>,
    /// Where the device was when the restore began; nothing in a record of a program that did not note it.
    #[serde(default)]
    pub(super) place: Option<Place>,
    pub(super) begun: DateTime<Utc>,
    pub(super) why: String,
    #[serde(default)]
    pub(super) by: Option<String>,
    /// The change that the restore belongs to; nothing where no snapshot of what stood could be taken.
    #[serde(default)]
    pub(super) ticket: Option<Ticket>,
    /// The restore opened that change, and ends it.
    pub(super) own_change: bool,
    /// The number of the generation that stood before.
    #[serde(default)]
    pub(super) pre: Option<u64>,
    /// What stood before had come there without an announcement: that generation is marked.
    #[serde(default)]
    pub(super) unannounced: bool,
    /// The point is one that nobody has signed who may, and that was said to be well.
    #[serde(default)]
    pub(super) unverified: bool,
    /// It is taken back if the health of the device does not come back.
    pub(super) require_health: bool,
    /// The epoch that the way back is sealed to; 0 for the collector's own identity, where nothing is sealed.
    #[serde(default)]
    pub(super) sealed_to: u32,
    pub(super) items: Vec<Item>,
    #[serde(default)]
    pub(super) health: Vec<Reading>,
}

/// A step that was begun or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(super) enum Mark {
    /// The change is open.
    Opened,
    /// What is needed for the way back is kept.
    Kept,
    /// The device is taken one way; from here on something may stand on it.
    Towards { towards: Towards },
    /// An entry is about to change.
    Changing { path: ConfigPath },
    /// An entry has changed.
    Changed { path: ConfigPath },
    /// The commands that make it active are about to run.
    Applying,
    /// They ran.
    Applied,
    /// The device was found as it is to be.
    Met,
    /// What makes it last over a restart is about to run.
    Saving,
    /// The restore has ended.
    Ended,
}

#[derive(Serialize, Deserialize)]
struct MarkLine {
    time: DateTime<Utc>,
    #[serde(flatten)]
    mark: Mark,
}

/// The record of one restore, held by this process.
pub(super) struct Record {
    dir: PathBuf,
    _lock: File,
    pub(super) facts: Facts,
    pub(super) marks: Vec<Mark>,
}

fn restores(root: &Path) -> PathBuf {
    root.join("restores")
}

/// Takes the lock of a device.
fn lock(root: &Path, device: &DeviceName) -> Result<File, DeviceRestoreError> {
    fsio::create_dir_all(&restores(root), fsio::PRIVATE_DIR)?;
    let file = fsio::open_lock_file(&restores(root).join(format!("{device}.lock")))?;
    if fsio::try_lock(&file)? { Ok(file) } else { Err(DeviceRestoreError::Running(device.clone())) }
}

impl Record {
    /// Begins the record of a restore.
    pub(super) fn create(root: &Path, facts: Facts) -> Result<Self, DeviceRestoreError> {
        let lock = lock(root, &facts.device)?;
        let dir = restores(root).join(facts.device.as_str());
        if let Some((_, marks)) = read(&dir)?
            && !marks.contains(&Mark::Ended)
        {
            // Another process was faster.
            return Err(DeviceRestoreError::Unfinished(facts.device));
        }
        sweep(&dir)?;
        fsio::create_dir(&dir, fsio::PRIVATE_DIR)?;
        fsio::sync_dir(&restores(root))?;
        let record = Self { dir, _lock: lock, facts, marks: Vec::new() };
        record.write_facts()?;
        Ok(record)
    }

    /// Removes what a restore left that was killed at its very end, or before it had begun.
    pub(super) fn tidy(root: &Path, device: &DeviceName) -> Result<(), DeviceRestoreError> {
        let _lock = lock(root, device)?;
        let dir = restores(root).join(device.as_str());
        match read(&dir)? {
            Some((_, marks)) if !marks.contains(&Mark::Ended) => Err(DeviceRestoreError::Unfinished(device.clone())),
            _ => sweep(&dir),
        }
    }

    /// Takes up the record of a restore that did not end: of the device, or the only one there is.
    pub(super) fn take_up(root: &Path, device: Option<&DeviceName>) -> Result<Self, DeviceRestoreError> {
        let device = match device {
            Some(device) => device.clone(),
            None => {
                let mut all = unfinished(root)?;
                match all.len() {
                    0 => return Err(DeviceRestoreError::NothingUnfinished(None)),
                    1 => all.remove(0),
                    _ => return Err(DeviceRestoreError::SeveralUnfinished(all)),
                }
            }
        };
        let lock = lock(root, &device)?;
        let dir = restores(root).join(device.as_str());
        match read(&dir)? {
            Some((facts, marks)) if !marks.contains(&Mark::Ended) => Ok(Self { dir, _lock: lock, facts, marks }),
            // What one that was killed at its very end, or before it had begun, left behind goes.
            _ => sweep(&dir).and(Err(DeviceRestoreError::NothingUnfinished(Some(device)))),
        }
    }

    /// The folder, for what commands of this machine are to see.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn write_facts(&self) -> Result<(), DeviceRestoreError> {
        let mut text = serde_json::to_vec_pretty(&self.facts).expect("names, numbers, times and texts are JSON");
        text.push(b'\n');
        Ok(fsio::write_file(&self.dir.join("facts.json"), &text, fsio::PRIVATE_FILE)?)
    }

    /// Notes a step; it is on the disk when this returns.
    pub(super) fn mark(&mut self, mark: Mark) -> Result<(), DeviceRestoreError> {
        let line = MarkLine { time: Utc::now(), mark };
        let json = serde_json::to_string(&line).expect("names, numbers, times and texts are JSON");
        // The line before may be a part of one, where the disk was full.
        let text = format!("\n{json}\n");
        fsio::append(&self.dir.join("steps.jsonl"), text.as_bytes())?;
        self.marks.push(line.mark);
        Ok(())
    }

    pub(super) fn has(&self, mark: &Mark) -> bool {
        self.marks.contains(mark)
    }

    /// Forgets what a killed process kept before it had kept all.
    pub(super) fn begin_keeping(&self) -> Result<(), DeviceRestoreError> {
        let back = self.dir.join("back");
        fsio::remove_all(&back)?;
        Ok(fsio::create_dir(&back, fsio::PRIVATE_DIR)?)
    }

    fn kept_file(&self, index: usize) -> PathBuf {
        self.dir.join("back").join(format!("{index}.age"))
    }

    /// Keeps how an entry stood, sealed.
    pub(super) fn keep(&self, index: usize, content: &mut dyn Read, sealer: &Sealer) -> Result<(), DeviceRestoreError> {
        let path = self.kept_file(index);
        let failed = |source: io::Error| fsio::Error::new("write", &path, source);
        let out = fsio::Out::create_new(&path, fsio::PRIVATE_FILE)?;
        let mut writer = sealer.writer(out)?;
        io::copy(content, &mut writer).map_err(failed)?;
        writer.finish()?.finish_sync()?;
        Ok(())
    }

    /// Opens what was kept of an entry.
    pub(super) fn kept(&self, index: usize, epoch: u32, opener: &Opener) -> Result<OpenReader<File>, DeviceRestoreError> {
        let path = self.kept_file(index);
        let file = File::open(&path).map_err(|_| DeviceRestoreError::Record { what: "a kept file is missing", path })?;
        Ok(opener.reader(epoch, file)?)
    }

    /// Syncs the names of what was kept.
    pub(super) fn finish_keeping(&self) -> Result<(), DeviceRestoreError> {
        fsio::sync_dir(&self.dir.join("back"))?;
        Ok(fsio::sync_dir(&self.dir)?)
    }

    /// Ends the record: what was kept goes.
    pub(super) fn end(mut self) -> Result<(), DeviceRestoreError> {
        self.mark(Mark::Ended)?;
        sweep(&self.dir)
    }
}

/// Names the devices with a restore that did not end.
///
/// # Errors
/// A record cannot be read.
pub fn unfinished(root: &Path) -> Result<Vec<DeviceName>, DeviceRestoreError> {
    let Ok(entries) = std::fs::read_dir(restores(root)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let Some(device) = entry.file_name().to_str().and_then(|name| name.parse::<DeviceName>().ok()) else { continue };
        if read(&entry.path())?.is_some_and(|(_, marks)| !marks.contains(&Mark::Ended)) {
            found.push(device);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a record; nothing where there is none, or where one was killed before it had begun.
fn read(dir: &Path) -> Result<Option<(Facts, Vec<Mark>)>, DeviceRestoreError> {
    let path = dir.join("facts.json");
    let bad = |what| DeviceRestoreError::Record { what, path: path.clone() };
    let facts: Facts = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(bad("unreadable")),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| bad("damaged"))?,
    };
    if facts.v != 1 {
        return Err(bad("written by another version"));
    }
    let steps = dir.join("steps.jsonl");
    let text = match std::fs::read(&steps) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|_| bad("unreadable"))?,
    };
    // A part of a line is of a step that was not begun.
    let lines = text.split(|b| *b == b'\n').filter(|line| line.ends_with(b"}"));
    let marks = lines.map(|line| serde_json::from_slice::<MarkLine>(line).map(|line| line.mark));
    let marks = marks.collect::<Result<_, _>>().map_err(|_| DeviceRestoreError::Record { what: "damaged", path: steps })?;
    Ok(Some((facts, marks)))
}

/// Removes a record. A sweep that is killed leaves nothing that counts.
fn sweep(dir: &Path) -> Result<(), DeviceRestoreError> {
    if !dir.exists() {
        return Ok(());
    }
    for name in ["back", "root"] {
        fsio::remove_all(&dir.join(name))?;
    }
    for name in ["facts.json", ".facts.json.tmp", "steps.jsonl"] {
        fsio::unlink_if_there(&dir.join(name))?;
    }
    match fsio::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
