//! Cisco's Disaster Recovery System: a backup that is ordered, followed, and taken.

use std::path::Path;
use std::time::{Duration, Instant};

use super::reach::with_context;
use super::snapshot::{Options, World, snapshot};
use super::{Error, Vault};
use crate::collect::CollectError;
use crate::collect::drs::{self, Order, Progress, backup};
use crate::collect::fleet::MayPass as _;
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
    /// The generations that came of it, and of sets before it that had not been taken; none if the set did not come
    /// into the folder.
    pub generations: Vec<u64>,
}

/// Has the call manager `node` make a backup, follows it to its end, and takes the set as a generation of `device`,
/// whose source is the folder.
///
/// # Errors
/// The node cannot be reached or refuses, a component fails, or the folder cannot be listed, before the backup is
/// begun, or collected after it.
pub fn backup_and_take(
    root: &Path,
    device: &DeviceName,
    node: &DeviceName,
    order: &Order,
    world: &World<'_>,
    told: &mut dyn FnMut(&Progress),
) -> Result<Taken, Error> {
    let mut inventory = Inventory::load(root)?;
    let folder = inventory.device(device)?.clone();
    let newest = with_context(&inventory, world, None, |context| Ok(drs::newest(&folder, context)?))?;
    inventory.policy.timeout = Seconds(LONGEST);
    let mut publisher = inventory.device(node)?.clone();
    publisher.keys.timeout = None;
    let profile = Profiles::load(Some(&inventory.profiles_dir()))?.get(publisher.profile.as_str())?;
    let progress = with_context(&inventory, world, None, |context| Ok(backup(&publisher, &profile, order, context, told)?))?;
    let patience = order.patience.unwrap_or(LIST_TIME);
    let generations = match arrives(root, device, newest.as_deref(), &progress, patience, world)? {
        true => take(root, device, &progress, world)?,
        false => Vec::new(),
    };
    Ok(Taken { progress, generations })
}

/// Waits until the set of the backup is in the folder, as its list is written last. Looks at nothing but the
/// sets that are newer than `newest`, which was there before, and leaves no trace in the store.
fn arrives(
    root: &Path,
    device: &DeviceName,
    newest: Option<&str>,
    progress: &Progress,
    patience: Duration,
    world: &World<'_>,
) -> Result<bool, Error> {
    let begun = Instant::now();
    // Read anew: the backup took its time.
    let inventory = Inventory::load(root)?;
    let folder = inventory.device(device)?;
    loop {
        match with_context(&inventory, world, None, |context| Ok(drs::ended(folder, newest, progress.stamp(), context))) {
            Ok(Ok(Some(_))) => return Ok(true),
            Ok(Err(error)) if !error.may_pass() || begun.elapsed() > patience => return Err(error.into()),
            Ok(Ok(None)) if begun.elapsed() > patience => return Ok(false),
            Ok(Ok(None) | Err(_)) => {}
            Err(error) => return Err(error),
        }
        let until = Instant::now() + PAUSE.min(patience);
        while Instant::now() < until {
            if world.cancel.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(CollectError::Cancelled.into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Takes what is new in the folder. Where another run took the set meanwhile, its generation counts.
fn take(root: &Path, device: &DeviceName, progress: &Progress, world: &World<'_>) -> Result<Vec<u64>, Error> {
    let note = Some(format!("drs backup {}", progress.file));
    let options = Options { devices: vec![device.clone()], note, ..Options::default() };
    let (mut generations, mut stands) = (Vec::new(), None);
    for one in snapshot(&Vault::open(root)?, &options, world, &mut |_| {})?.devices {
        match one.result? {
            store::Outcome::Generation(generation) => generations.push(generation.number),
            store::Outcome::Unchanged { number } => stands = Some(number),
        }
    }
    if generations.is_empty() {
        generations.extend(stands);
    }
    Ok(generations)
}
