//! Cisco's Disaster Recovery System: a backup that is ordered, followed, and taken.

use std::path::Path;
use std::time::{Duration, Instant};

use super::reach::with_context;
use super::snapshot::{Options, World, snapshot};
use super::{Error, Vault};
use crate::collect::CollectError;
use crate::collect::drs::{Order, Progress, backup};
use crate::inventory::{Inventory, Seconds};
use crate::model::DeviceName;
use crate::profile::Profiles;
use crate::store;

/// DRS itself ends a backup after 20 hours, in seconds.
const LONGEST: u64 = 21 * 3600;
/// How long the list of the set may come after the end of the backup.
const LIST_TIME: Duration = Duration::from_secs(300);
/// The pause between two looks into the folder.
const PAUSE: Duration = Duration::from_secs(2);

/// A backup that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The end of the backup.
    pub progress: Progress,
    /// The generations that came of it, and of sets before it that had not been taken; none if the set is not in
    /// the folder.
    pub generations: Vec<u64>,
}

/// Has the call manager `node` make a backup, follows it to its end, and takes the set as a generation of `device`,
/// whose source is the folder.
///
/// # Errors
/// The node cannot be reached or refuses, a component fails, or the folder cannot be collected.
pub fn backup_and_take(
    root: &Path,
    device: &DeviceName,
    node: &DeviceName,
    order: &Order,
    world: &World<'_>,
    told: &mut dyn FnMut(&Progress),
) -> Result<Taken, Error> {
    let mut inventory = Inventory::load(root)?;
    inventory.device(device)?;
    inventory.policy.timeout = Seconds(LONGEST);
    let mut publisher = inventory.device(node)?.clone();
    publisher.keys.timeout = None;
    let profile = Profiles::load(Some(&inventory.profiles_dir()))?.get(publisher.profile.as_str())?;
    let progress = with_context(&inventory, world, None, |context| Ok(backup(&publisher, &profile, order, context, told)?))?;
    let generations = take(root, device, &progress, world)?;
    Ok(Taken { progress, generations })
}

/// Takes what is in the folder until the set of the backup is among it: its list is written last.
fn take(root: &Path, device: &DeviceName, progress: &Progress, world: &World<'_>) -> Result<Vec<u64>, Error> {
    let note = Some(format!("drs backup {}", progress.file));
    let options = Options { devices: vec![device.clone()], note, ..Options::default() };
    let mut generations = Vec::new();
    let begun = Instant::now();
    loop {
        // Opened anew: the backup took its time.
        let vault = Vault::open(root)?;
        for one in snapshot(&vault, &options, world, &mut |_| {})?.devices {
            match one.result {
                Ok(store::Outcome::Generation(generation)) => generations.push(generation.number),
                Ok(store::Outcome::Unchanged { .. }) => {}
                Err(Error::Collect(CollectError::NoBackupSet(_) | CollectError::BackupRunning(_))) => {}
                Err(error) => return Err(error),
            }
        }
        if has(&vault, device, progress)? {
            return Ok(generations);
        }
        if progress.stamp().is_none() || begun.elapsed() > LIST_TIME {
            return Ok(Vec::new());
        }
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            if world.cancel.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(CollectError::Cancelled.into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Is the set of the backup the newest generation?
fn has(vault: &Vault, device: &DeviceName, progress: &Progress) -> Result<bool, Error> {
    let newest = match vault.store.newest(&vault.store.refs()?, device) {
        Err(store::Error::NoDevice { .. }) => return Ok(false),
        newest => newest?,
    };
    let Some(stamp) = progress.stamp() else { return Ok(false) };
    Ok(vault.store.manifest(&newest)?.lines.iter().any(|line| line.path.as_bytes().starts_with(stamp.as_bytes())))
}
