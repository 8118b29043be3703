//! Names of generations, given and removed.

use super::keys::{KeyError, check_names};
use super::vouch::signature_of;
use super::{Error, Vault};
use crate::model::{DeviceName, NameTag, Point};
use crate::store::Generation;

/// Gives a generation a name.
///
/// # Errors
/// The point is not there, or the name is or was on another generation.
pub fn name(vault: &Vault, point: &Point, name: &NameTag, note: Option<&str>) -> Result<Generation, Error> {
    let transaction = vault.begin(&Vault::new_run())?;
    check_names(&vault.ring.seen()?, &vault.store, transaction.refs(), &point.device)?;
    let generation = vault.store.resolve(transaction.refs(), point)?;
    if let Some(found) = signature_of(&vault.store, transaction.refs(), &vault.trusted.trust, &generation).wrong() {
        return Err(KeyError::Foreign(found).into());
    }
    transaction.name(&generation, name, note)?;
    commit(vault, transaction, &generation.device)?;
    Ok(generation)
}

/// Removes a name. It stays used: it is never given to another generation. Gives the number of the
/// generation that had it.
///
/// # Errors
/// The device has no such name.
pub fn unname(vault: &Vault, device: &DeviceName, name: &NameTag) -> Result<u64, Error> {
    let transaction = vault.begin(&Vault::new_run())?;
    check_names(&vault.ring.seen()?, &vault.store, transaction.refs(), device)?;
    let names = vault.store.names(transaction.refs(), device)?;
    let number = names.iter().find(|known| known.name == *name).map(|known| known.number);
    transaction.unname(device, name)?;
    commit(vault, transaction, device)?;
    Ok(number.unwrap_or_default())
}

fn commit(vault: &Vault, transaction: crate::store::Transaction<'_>, device: &DeviceName) -> Result<(), Error> {
    let done = vault.commit(transaction)?;
    if done.moved.contains(device) { Err(Error::Moved) } else { Ok(()) }
}
