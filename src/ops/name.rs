//! Names of generations: given and removed, with their records in the journal.

use super::{Error, Vault};
use crate::model::{DeviceName, NameTag, Point};
use crate::store::{Generation, Record};

/// Gives a generation a name.
///
/// # Errors
/// The point is not there, or the name is or was on another generation.
pub fn name(vault: &Vault, point: &Point, name: &NameTag, note: Option<&str>) -> Result<Generation, Error> {
    let transaction = vault.store.begin(vault.who(&Vault::new_run()))?;
    let generation = vault.store.resolve(transaction.refs(), point)?;
    transaction.name(&generation, name, note)?;
    let record = Record::new("name", "done").with("device", generation.device.as_str());
    transaction.record(record.with("generation", generation.number).with("name", name.as_str()));
    commit(transaction, &generation.device)?;
    Ok(generation)
}

/// Removes a name. It stays used: it is never given to another generation. Gives the number of the
/// generation that had it.
///
/// # Errors
/// The device has no such name.
pub fn unname(vault: &Vault, device: &DeviceName, name: &NameTag) -> Result<u64, Error> {
    let transaction = vault.store.begin(vault.who(&Vault::new_run()))?;
    let names = vault.store.names(transaction.refs(), device)?;
    let number = names.iter().find(|known| known.name == *name).map(|known| known.number);
    transaction.unname(device, name)?;
    let record = Record::new("unname", "done").with("device", device.as_str()).with("name", name.as_str());
    transaction.record(record.with("generation", number));
    commit(transaction, device)?;
    Ok(number.unwrap_or_default())
}

fn commit(transaction: crate::store::Transaction<'_>, device: &DeviceName) -> Result<(), Error> {
    let done = transaction.commit()?;
    if done.moved.contains(device) { Err(Error::Moved) } else { Ok(()) }
}
