//! Devices of a foreign history, taken into the inventory.

use std::path::Path;

use super::Report;
use crate::inventory::{Credential, DeviceChange, Editor, SourceUrl};
use crate::model::DeviceName;
use crate::ops::{Error, enlist};

/// Takes the devices of a report into the inventory that are not there and not gone: with the source that a
/// list has for them, else handed in (`push:`) and disabled until they get one. `credential` says where the
/// credential of those is whose list does not say.
///
/// # Errors
/// The inventory cannot be read or written.
pub fn adopt(root: &Path, report: &Report, credential: Option<&Credential>) -> Result<Vec<DeviceName>, Error> {
    let mut editor = Editor::open(root)?;
    let mut added = Vec::new();
    for device in &report.devices {
        let Ok(name) = device.name.parse::<DeviceName>() else { continue };
        let here = device.result.as_ref().is_ok_and(|imported| imported.gone.is_none());
        if !here || editor.inventory().device(&name).is_ok() {
            continue;
        }
        match report.listed.iter().find(|listed| listed.name == name) {
            Some(listed) => {
                let changes = enlist::changes(listed, device.profile.as_ref(), credential);
                editor.add_device(&name, &listed.source, &changes)?;
            }
            None => {
                let profile = device.profile.iter().map(|profile| DeviceChange::Set("profile", profile.to_string()));
                let changes: Vec<_> = profile.chain([DeviceChange::Flag("enabled", false)]).collect();
                editor.add_device(&name, &SourceUrl::Push, &changes)?;
            }
        }
        added.push(name);
    }
    if !added.is_empty() {
        editor.save()?;
    }
    Ok(added)
}
