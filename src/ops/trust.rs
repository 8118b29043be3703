//! Host keys of devices: which they show, and which are trusted from now on.

use std::path::Path;

use super::reach::{has_host_key, with_context};
use super::snapshot::{World, fleet_options};
use super::{Error, Vault};
use crate::collect::fleet::{self, Outcome};
use crate::collect::hostkeys::{HostKey, Pin, pin_all};
use crate::collect::{CollectError, ConnectError, Shown, show_host_key};
use crate::inventory::{Device, Inventory, SourceUrl};
use crate::model::DeviceName;
use crate::store::Record;

/// Gives the host keys that devices show, sorted as the inventory is; no names stand for all that are enabled and
/// reached by SSH. Nobody is logged in.
///
/// # Errors
/// There is no such device. That one cannot be reached is its own result.
#[allow(clippy::type_complexity, reason = "a list of results by name is what it is")]
pub fn host_keys(root: &Path, names: &[DeviceName], world: &World<'_>) -> Result<Vec<(DeviceName, Result<Shown, Error>)>, Error> {
    let inventory = Inventory::load(root)?;
    let devices: Vec<Device> = match names {
        [] => inventory.devices().filter(|device| device.enabled && has_host_key(device)).cloned().collect(),
        names => names.iter().map(|name| inventory.device(name).cloned()).collect::<Result<_, _>>()?,
    };
    let mut shown: Vec<Option<Result<Shown, Error>>> = devices.iter().map(|_| None).collect();
    with_context(&inventory, world, None, |context| {
        let work = |device: &Device, attempt: fleet::Attempt| {
            let context = crate::collect::Context { deadline: Some(attempt.deadline), ..*context };
            let (SourceUrl::Ssh(remote) | SourceUrl::Sftp(remote) | SourceUrl::DrsSftp(remote)) = &device.source else {
                return Err(CollectError::NotSupported(device.source.clone()));
            };
            show_host_key(device, remote, &context).map_err(CollectError::from)
        };
        // Whoever asks for keys waits for the answer: nothing is tried again.
        let options = fleet::Options { tries: 1, ..fleet_options(&inventory.policy, None, false) };
        fleet::run(&devices, &options, world.cancel, work, |finished| {
            shown[finished.index] = Some(match finished.outcome {
                Outcome::Done(shown) => Ok(shown),
                Outcome::Failed(error) => Err(error.into()),
                Outcome::Panicked(text) => Err(Error::Internal(text)),
                Outcome::NotBegun => Err(Error::NotBegun),
            });
        });
        Ok(())
    })?;
    Ok(devices.into_iter().zip(shown).filter_map(|(device, shown)| Some((device.name, shown?))).collect())
}

/// A host key that is trusted from now on.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The device.
    pub device: DeviceName,
    /// Its key.
    pub key: HostKey,
    /// How it came to be trusted, in words.
    pub how: &'static str,
}

/// Pins keys, and says so in the journal.
///
/// # Errors
/// The pins cannot be written, or the store refused.
pub fn trust(root: &Path, keys: &[Trusted]) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let today = chrono::Utc::now().format("%Y-%m-%d");
    let pin = |trusted: &Trusted| Pin {
        device: trusted.device.clone(),
        key: trusted.key.clone(),
        comment: format!("{} {today}", trusted.how),
    };
    pin_all(root, &keys.iter().map(pin).collect::<Vec<_>>()).map_err(|error| CollectError::from(ConnectError::from(error)))?;
    Vault::open(root)?.record(keys.iter().map(|Trusted { device, key, how }| {
        let reason = format!("{} {}, {how}", key.kind(), key.fingerprint());
        Record::new("trust", "done").with("device", device.as_str()).with("reason", reason)
    }))
}
