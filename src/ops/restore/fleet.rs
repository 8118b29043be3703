//! The newest generation of every device, each into a folder of its own.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::layout::layout;
use super::tree::{finish, stage, tree_options};
use super::{RestoreError, RestoreOptions, Restored};
use crate::fsio::tree::{Durability, TreeWriter};
use crate::model::DeviceName;
use crate::store::{Access, Refs, Store};

/// So many files wait at most before they are put into place.
const WAITING: u64 = 4096;

/// What became of a fleet.
#[derive(Debug)]
pub struct FleetRestored {
    /// Devices that are back, with the number of the generation, sorted.
    pub devices: Vec<(DeviceName, u64)>,
    /// Devices that are not, and why, sorted. Nothing of them is in place.
    pub failed: Vec<(DeviceName, RestoreError)>,
    /// All devices together.
    pub restored: Restored,
}

/// Puts the newest generation of every device back, below `to` in a folder named as the device, on `jobs`
/// threads.
///
/// A device that fails does not stop the others. The disk is waited for once, at the end.
///
/// # Errors
/// [`RestoreError::Tree`] if the directory or the disk fails as a whole.
pub fn restore_all(
    store: &Store,
    refs: &Refs,
    access: Access<'_>,
    to: &Path,
    options: &RestoreOptions,
    jobs: usize,
) -> Result<FleetRestored, RestoreError> {
    let devices = store.devices(refs);
    let next = AtomicUsize::new(0);
    let whole = Mutex::new(FleetRestored { devices: Vec::new(), failed: Vec::new(), restored: Restored::default() });
    let work = || -> Result<(), RestoreError> {
        let mut out = TreeWriter::open(to, tree_options(options, Durability::AtEnd))?;
        let mut own = Restored::default();
        let mut back = Vec::new();
        while let Some(device) = devices.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut of_device = Restored::default();
            match one(store, refs, access, device, options, &mut out, &mut of_device) {
                Ok(number) => {
                    // A device is committed by itself, so that another one's damage takes nothing of it away.
                    out.mark();
                    own.masked.extend(of_device.masked);
                    own.skipped.append(&mut of_device.skipped);
                    back.push((device.clone(), number));
                    if out.staged().0 > WAITING {
                        out.commit()?;
                    }
                }
                // The path that was asked for is another device's.
                Err(RestoreError::NoSuchPath { .. }) => {}
                Err(e) => {
                    out.abandon()?;
                    whole.lock().unwrap_or_else(std::sync::PoisonError::into_inner).failed.push((device.clone(), e));
                }
            }
        }
        finish(out.finish()?, &mut own);
        let mut whole = whole.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        whole.devices.append(&mut back);
        whole.restored.add(own);
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.clamp(1, 64)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut whole = whole.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    whole.devices.sort();
    whole.failed.sort_by(|a, b| a.0.cmp(&b.0));
    whole.restored.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(whole)
}

fn one(
    store: &Store,
    refs: &Refs,
    access: Access<'_>,
    device: &DeviceName,
    options: &RestoreOptions,
    out: &mut TreeWriter,
    restored: &mut Restored,
) -> Result<u64, RestoreError> {
    options.check(device)?;
    let generation = store.newest(refs, device)?;
    let set = store.read_set(refs, &generation, access)?;
    let places = layout(set.manifest(), access, options, options.masked)?;
    stage(&set, &places, Some(device), options, out, restored)?;
    Ok(generation.number)
}
