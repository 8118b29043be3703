//! A device whose hardware was replaced: another host key, perhaps another address and release.
//!
//! The history goes on under the same name. What a replacement may do that a device may not is done here once,
//! by an administrator who compared the new key: a new pin, a first set that may be far smaller than the last,
//! on another line where the release is another. Done again, it does what is left to do.

use std::path::Path;

use super::reach::with_context;
use super::snapshot::{self, DeviceReport, Report, World, snapshot};
use super::{Error, Vault};
use crate::collect::hostkeys::{Verdict, pin};
use crate::collect::{CollectError, ConnectError, Shown, show_host_key};
use crate::inventory::{Device, DeviceChange, Editor, Inventory, SourceUrl};
use crate::model::DeviceName;
use crate::profile::Cannot;
use crate::store::{Generation, Outcome, Record};

/// Says why a device cannot be replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The replacement shows another key than the one that was named.
    #[error("Replacement shows another host key: {kind} {fingerprint}")]
    OtherKey {
        /// The kind of the key.
        kind: String,
        /// Its fingerprint.
        fingerprint: String,
    },
    /// The key is marked as revoked.
    #[error("Host key is revoked: {0}")]
    Revoked(String),
    /// What the device is reached by has no host keys.
    #[error("Device {device} is reached by something without host keys: {url}")]
    NoHostKey {
        /// The device.
        device: DeviceName,
        /// Its source.
        url: SourceUrl,
    },
    /// No set of the device was ever kept: there is nothing that it replaces.
    #[error("Device has no generation that a replacement could go on from: {0}")]
    Nothing(DeviceName),
}

/// Why the host key of the replacement may be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It was compared: it has this fingerprint.
    Compared(String),
    /// It is accepted as it is shown, and whoever says so takes the responsibility.
    Accepted,
}

/// What is known of a replacement.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What is to be changed in the inventory: the source, the release where it is declared, the credential.
    pub changes: Vec<DeviceChange>,
    /// Why the host key may be trusted; nothing to look only.
    pub trust: Option<Trust>,
    /// Why the device was replaced.
    pub why: Option<String>,
    /// Who says so.
    pub by: Option<String>,
}

/// A device and what is to stand in its place.
#[derive(Debug)]
pub struct Replacement {
    /// The source up to now.
    pub old_source: SourceUrl,
    /// The fingerprints of the keys that were known up to now.
    pub old_keys: Vec<String>,
    /// The last generation of the device that was replaced.
    pub last: Generation,
    /// The entry in the inventory, with what is to be changed in it.
    pub device: Device,
    /// The key that the replacement shows.
    pub shown: Shown,
    /// The first snapshot of the replacement; nothing if it was only looked at.
    pub report: Option<Report>,
    /// What cannot be put back to it, by its profile.
    pub cannot: Vec<Cannot>,
}

impl Replacement {
    /// The first generation of the replacement, if it was collected and differs from the last of the old device.
    #[must_use]
    pub fn first(&self) -> Option<&Generation> {
        match &self.report.as_ref()?.devices.first()?.result {
            Ok(Outcome::Generation(generation)) => Some(generation),
            _ => None,
        }
    }
}

/// Looks at the replacement of a device and, where its key is trusted, takes it in: pin, inventory, journal, first
/// snapshot. No credential is sent before the key is pinned.
///
/// # Errors
/// [`ReplaceError`]; the replacement cannot be reached, or is reached by something without host keys. A snapshot that failed is
/// in the report.
pub fn replace(root: &Path, name: &DeviceName, wanted: &Wanted, world: &World<'_>) -> Result<Replacement, Error> {
    let vault = Vault::open(root)?;
    vault.inventory.device(name)?;
    let last = match vault.store.newest(&vault.store.refs()?, name) {
        Err(crate::store::Error::NoDevice { .. }) => return Err(ReplaceError::Nothing(name.clone()).into()),
        last => last?,
    };
    let mut editor = Editor::open(root)?;
    let old_source = editor.inventory().device(name)?.source.clone();
    editor.change_device(name, &wanted.changes)?;
    let inventory = editor.check()?;
    let device = inventory.device(name)?.clone();
    let shown = host_key(&inventory, &device, world)?;
    let (profile, _) = vault.profile(&device.profile)?;
    let mut replacement = Replacement {
        old_source,
        old_keys: match &shown.verdict {
            Verdict::Changed(keys) => keys.clone(),
            Verdict::Known => vec![shown.key.fingerprint()],
            Verdict::Unknown | Verdict::Revoked => Vec::new(),
        },
        last,
        device,
        shown,
        report: None,
        cannot: profile.restore().map(|restore| restore.cannot.clone()).unwrap_or_default(),
    };
    let fingerprint = replacement.shown.key.fingerprint();
    let how = match &wanted.trust {
        _ if replacement.shown.verdict == Verdict::Revoked => return Err(ReplaceError::Revoked(fingerprint).into()),
        None => return Ok(replacement),
        Some(Trust::Compared(named)) if *named != fingerprint => {
            return Err(ReplaceError::OtherKey { kind: replacement.shown.key.kind(), fingerprint }.into());
        }
        Some(Trust::Compared(_)) => "compared",
        Some(Trust::Accepted) => "accepted without comparison",
    };
    editor.save()?;
    let comment = format!("{how} {}", chrono::Utc::now().format("%Y-%m-%d"));
    pin(root, name, &replacement.shown.key, &comment).map_err(|error| CollectError::from(ConnectError::from(error)))?;
    super::record(root, record(&replacement, how, wanted))?;
    // Files of another device may have the size and the times of those that stood here.
    vault.store.forget_look(name)?;
    replacement.report = Some(first_snapshot(root, name, wanted, world)?);
    Ok(replacement)
}

fn host_key(inventory: &Inventory, device: &Device, world: &World<'_>) -> Result<Shown, Error> {
    let (SourceUrl::Ssh(remote) | SourceUrl::Sftp(remote) | SourceUrl::DrsSftp(remote)) = &device.source else {
        return Err(ReplaceError::NoHostKey { device: device.name.clone(), url: device.source.clone() }.into());
    };
    with_context(inventory, world, None, |context| Ok(show_host_key(device, remote, context).map_err(CollectError::from)?))
}

/// What the journal keeps.
fn record(replacement: &Replacement, how: &str, wanted: &Wanted) -> Record {
    let Replacement { old_source, old_keys, last, device, shown, .. } = replacement;
    let mut record = Record::new("replace", "done")
        .with("device", device.name.as_str())
        .with("generation", last.number)
        .with("release", last.release.as_str())
        .with("old_keys", old_keys.clone())
        .with("new_key", format!("{} {}", shown.key.kind(), shown.key.fingerprint()))
        .with("reason", format!("host key {how}"));
    if *old_source != device.source {
        record = record.with("old_source", old_source.to_string()).with("new_source", device.source.to_string());
    }
    for (key, text) in [("why", &wanted.why), ("by", &wanted.by)] {
        record = text.iter().fold(record, |record, text| record.with(key, text.as_str()));
    }
    record
}

/// Collects the replacement: all of it, however little that is, and announced.
fn first_snapshot(root: &Path, name: &DeviceName, wanted: &Wanted, world: &World<'_>) -> Result<Report, Error> {
    let why = wanted.why.as_ref().map_or_else(|| "replacement".to_owned(), |why| format!("replacement: {why}"));
    let options = snapshot::Options {
        devices: vec![name.clone()],
        note: Some(why),
        accept: Some("replacement".to_owned()),
        full: true,
        announced: true,
        ..snapshot::Options::default()
    };
    snapshot(&Vault::open(root)?, &options, world, &mut |_: &DeviceReport| {})
}
