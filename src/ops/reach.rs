//! What an administrator asks of one device without storing anything: whether it can be collected.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Error;
use super::snapshot::World;
use super::spool::spool;
use crate::collect::{Collected, Context, Network, Step, collect};
use crate::inventory::{Device, Inventory, SourceUrl};
use crate::model::DeviceName;
use crate::profile::Profiles;

/// What `device test` found.
#[derive(Debug)]
pub struct Tested {
    /// The steps that were done, in order.
    pub steps: Vec<Step>,
    /// Time in all.
    pub took: Duration,
    /// What would be collected, or why nothing would.
    pub result: Result<Collected, crate::collect::CollectError>,
}

/// Does something with what collecting needs, outside of a snapshot's run.
pub(super) fn with_context<T>(
    inventory: &Inventory,
    world: &World<'_>,
    trace: Option<&(dyn Fn(Step) + Sync)>,
    work: impl FnOnce(&Context<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let spool = spool(&inventory.store_dir().join("confvault"))?;
    let network = Network::new();
    let (root, policy) = (inventory.root(), &inventory.policy);
    let context = Context::new(root, spool.dir(), policy, world.env, world.home, world.cancel, &network);
    work(&Context { trace, ..context })
}

/// Tells whether the source of a device is reached over the network by SSH.
#[must_use]
pub fn has_host_key(device: &Device) -> bool {
    matches!(device.source, SourceUrl::Ssh(_) | SourceUrl::Sftp(_) | SourceUrl::DrsSftp(_))
}

/// Collects a device, step by step, and keeps nothing.
///
/// # Errors
/// There is no such device or profile.
pub fn test(root: &Path, name: &DeviceName, world: &World<'_>) -> Result<Tested, Error> {
    let inventory = Inventory::load(root)?;
    let device = inventory.device(name)?;
    let profile = Profiles::load(Some(&inventory.profiles_dir()))?.get(device.profile.as_str())?;
    let steps = Mutex::new(Vec::new());
    let trace = |step: Step| steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(step);
    let begun = Instant::now();
    let result = with_context(&inventory, world, Some(&trace), |context| Ok(collect(device, &profile, None, context)))?;
    Ok(Tested { took: begun.elapsed(), steps: steps.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), result })
}
