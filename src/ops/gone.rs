//! Devices that have a history and stand in no inventory any more: nobody collects them.

use super::Error;
use crate::inventory::Inventory;
use crate::model::DeviceName;
use crate::store::{Refs, Store};

/// Gives the devices whose newest generation is of the inventory's collector and that the inventory does not have,
/// sorted. One that is disabled is in the inventory.
#[must_use]
pub fn gone(inventory: &Inventory, store: &Store, refs: &Refs) -> Vec<DeviceName> {
    let unknown = |device: &DeviceName| inventory.device(device).is_err();
    // What another collector takes stands in the inventory of that one.
    let ours = |device: &DeviceName| store.newest(refs, device).is_ok_and(|newest| newest.collector == inventory.collector);
    store.devices(refs).into_iter().filter(|device| unknown(device) && ours(device)).collect()
}

/// As [`gone`], of the inventory's own store; none where there is no store yet.
///
/// # Errors
/// The store cannot be read.
pub fn gone_at(inventory: &Inventory) -> Result<Vec<DeviceName>, Error> {
    let folder = inventory.store_dir();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open(&folder)?;
    Ok(gone(inventory, &store, &store.refs()?))
}
