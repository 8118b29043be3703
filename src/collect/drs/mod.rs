//! The source `drs:`: a folder of Cisco's Disaster Recovery System, on this machine or over SFTP.
//!
//! One backup set is one state of the device. Its list, `drfComponent.xml`, is written last and says
//! whether it is whole: every feature, server and component must be a success, every archive there and
//! not empty. Sets that came since the last one taken are taken one by one, oldest first, before DRS
//! removes them; what is not whole is never taken.

mod backup;
mod component;
mod local;
mod remedy;
mod remote;
mod set;

use std::path::Path;

use crate::inventory::{Device, SourceUrl};
use crate::model::{ConfigPath, Digest, Kind, Look, Stamp};
use crate::profile::Profile;

use super::tree::{Node, Plan, collected};
use super::{CollectError, Collected, Context};

pub use backup::{Order, Progress, Row, backup};
pub use component::{Component, Contents, NotComponents, Part, parse};
pub use set::Fault;

use set::{BackupSet, Item, judge, sets, stamp_of};

/// The largest list of a set, in bytes.
const LIST_LIMIT: u64 = 16 << 20;
/// DRS ends a backup after this time, in nanoseconds.
const LONGEST_RUN_NS: i64 = 20 * 3600 * 1_000_000_000;
/// A list that is cut off and younger than this is still being written, in nanoseconds.
const WRITING_NS: i64 = 600 * 1_000_000_000;
/// A newest set older than this is told of, in nanoseconds.
const OLD_NS: i64 = 8 * 24 * 3600 * 1_000_000_000;

/// Where the sets are.
trait Folder {
    /// Lists the files.
    fn items(&mut self) -> Result<Vec<Item>, CollectError>;
    /// Reads the list of a set.
    fn list(&mut self, item: &Item) -> Result<Vec<u8>, CollectError>;
    /// Fetches what is planned.
    fn fetch(&mut self, plan: &mut Plan<'_>, device: &Device, context: &Context<'_>) -> Result<Fetched, CollectError>;
    /// The time of the folder's files, in nanoseconds since 1970.
    fn now_ns(&self) -> i64;
    /// What the administrator should know of the way to it.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What came of a set.
struct Fetched {
    contents: Vec<Option<crate::model::Content>>,
    referenced: Vec<super::Referenced>,
    read_bytes: u64,
}

/// Collects from the backup folder of a device.
pub(super) fn collect(
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    with_folder(device, context, |folder, place| collect_from(folder, place, device, profile, look, rules, context))
}

/// Names the newest set in the folder of a device, whole or not, by its time stamp.
///
/// # Errors
/// The source is no backup folder, or it cannot be listed.
pub fn newest(device: &Device, context: &Context<'_>) -> Result<Option<String>, CollectError> {
    with_folder(device, context, |folder, _| Ok(sets(folder.items()?).pop().map(|set| set.stamp)))
}

/// Names the oldest set in the folder of a device that is newer than `than` and is not being written any more;
/// with `stamp` only the set of that time stamp. It may be whole or not: collecting judges it.
///
/// # Errors
/// As for [`newest`]; or the list of a set cannot be read.
pub fn ended(
    device: &Device,
    than: Option<&str>,
    stamp: Option<&str>,
    context: &Context<'_>,
) -> Result<Option<String>, CollectError> {
    with_folder(device, context, |folder, _| {
        for set in sets(folder.items()?) {
            let looked_for = than.is_none_or(|than| *set.stamp > *than) && stamp.is_none_or(|stamp| set.stamp == stamp);
            if looked_for && !matches!(whole_or_fault(folder, &set)?, Judged::Running) {
                return Ok(Some(set.stamp));
            }
        }
        Ok(None)
    })
}

/// Opens the backup folder of a device and does something with it; the path is for messages.
fn with_folder<T>(
    device: &Device,
    context: &Context<'_>,
    job: impl FnOnce(&mut dyn Folder, &Path) -> Result<T, CollectError>,
) -> Result<T, CollectError> {
    match &device.source {
        SourceUrl::DrsDir(folder) => {
            let folder = context.root.join(folder);
            job(&mut local::Local::open(&folder)?, &folder)
        }
        SourceUrl::DrsSftp(remote) => {
            let link = super::ssh::connect(device, remote, context)?;
            job(&mut remote::Far::open(&link, remote)?, remote.path.as_ref())
        }
        SourceUrl::Dir(_) | SourceUrl::Sftp(_) | SourceUrl::Ssh(_) | SourceUrl::Push => {
            Err(CollectError::NotBackups(device.source.clone()))
        }
    }
}

fn collect_from(
    folder: &mut dyn Folder,
    place: &Path,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let taken_ns = folder.now_ns();
    let all = sets(folder.items()?);
    let Some(newest) = all.iter().map(|set| set.stamp.clone()).next_back() else {
        return Err(CollectError::NoBackupSet(place.to_owned()));
    };
    let taken = taken(look, context);
    let mut warnings = folder.warnings();
    let (mut failure, mut running) = (None, None);
    let mut whole = Vec::new();
    for set in all {
        // What was taken already is only looked at again if nothing newer is there.
        if taken.as_ref().is_some_and(|taken| set.stamp < *taken) {
            continue;
        }
        match whole_or_fault(folder, &set)? {
            Judged::Whole(version) => {
                warnings.extend(failure.take().map(|error: CollectError| error.to_string()));
                whole.push((set, version));
            }
            Judged::Running => {
                warnings.push(format!("A backup is in progress: {}", set.stamp));
                running = Some(set.stamp);
            }
            Judged::Faulty(error) => failure = Some(error),
        }
    }
    let new = |set: &BackupSet| taken.as_ref().is_none_or(|taken| set.stamp > *taken);
    let first_new = whole.iter().position(|(set, _)| new(set));
    let (index, more) = match (first_new, failure) {
        (Some(index), failure) => (index, index + 1 < whole.len() || failure.is_some()),
        (None, Some(failure)) => return Err(failure),
        (None, None) if whole.is_empty() => {
            let none = || CollectError::NoBackupSet(place.to_owned());
            return Err(running.map_or_else(none, CollectError::BackupRunning));
        }
        (None, None) => (whole.len() - 1, false),
    };
    let (set, version) = whole.swap_remove(index);
    let age_days = (taken_ns - set.newest_ns()) / (OLD_NS / 8);
    if set.stamp == newest && taken_ns - set.newest_ns() > OLD_NS {
        warnings.push(format!("The newest backup set is {age_days} days old: {newest}"));
    }
    let mut device = device.clone();
    device.keys.release = Some(version);
    let mut plan = Plan::new(&device, profile, look, context);
    for item in set.archives.into_iter().chain(set.list) {
        let wrong = |source| CollectError::Path { folder: place.to_owned(), source };
        let path = ConfigPath::new(item.name).map_err(wrong)?;
        let stamp = Stamp { mtime_ns: item.mtime_ns, ctime_ns: 0, inode: 0, size: item.size };
        plan.leaf(Node { path, kind: Kind::File, mode: item.mode, owner: item.owner, stamp })?;
    }
    let fetched = folder.fetch(&mut plan, &device, context)?;
    // DRS may have removed the set meanwhile: a set that lacks a file is no set.
    if let Some(gone) = plan.planned.iter().zip(&fetched.contents).find(|(_, content)| content.is_none()) {
        return Err(CollectError::Changing(gone.0.node.path.clone()));
    }
    let (set, skipped) = plan.finish(fetched.contents, &device, Vec::new(), &mut |_| None)?;
    let all = collected(set, skipped, taken_ns, rules, fetched.read_bytes);
    Ok(Collected { warnings, more, referenced: fetched.referenced, ..all })
}

/// The time stamp of the set that was taken last.
fn taken(look: Option<&Look>, context: &Context<'_>) -> Option<String> {
    let newest = |paths: &mut dyn Iterator<Item = &ConfigPath>| {
        paths.filter_map(|path| stamp_of(path.as_bytes())).max().map(str::to_owned)
    };
    match (look, context.previous) {
        (Some(look), _) => newest(&mut look.entries.iter().map(|entry| &entry.path)),
        (None, Some(previous)) => newest(&mut previous().iter()),
        (None, None) => None,
    }
}

enum Judged {
    Whole(crate::model::Release),
    Running,
    Faulty(CollectError),
}

fn whole_or_fault(folder: &mut dyn Folder, set: &BackupSet) -> Result<Judged, CollectError> {
    let fault = |component: &str, reason: String, remedy, more| {
        let (stamp, component) = (set.stamp.clone(), component.to_owned());
        Judged::Faulty(CollectError::BackupSet { stamp, component, reason, remedy, more })
    };
    let Some(list) = &set.list else {
        if folder.now_ns() - set.newest_ns() < LONGEST_RUN_NS {
            return Ok(Judged::Running);
        }
        return Ok(fault("the set", "it has no drfComponent.xml".into(), set::REMEDY_ABORTED, 0));
    };
    if set.lists > 1 {
        return Ok(fault("the set", format!("it has {} lists", set.lists), set::REMEDY_MIXED, 0));
    }
    let contents = match parse(&folder.list(list)?) {
        Ok(contents) => contents,
        Err(_) if folder.now_ns() - list.mtime_ns < WRITING_NS => return Ok(Judged::Running),
        Err(error) => return Ok(fault("the set", error.to_string(), set::REMEDY_ABORTED, 0)),
    };
    let faults = judge(set, &contents);
    if let Some(first) = faults.first() {
        return Ok(fault(&first.component, first.reason.clone(), first.remedy, faults.len() - 1));
    }
    match contents.versions[0].parse() {
        Ok(release) => Ok(Judged::Whole(release)),
        Err(_) => Ok(fault("all features", "the version is no release".into(), set::REMEDY_ABORTED, 0)),
    }
}
