//! Devices of a foreign history, taken into the inventory.

use std::path::Path;

use super::Report;
use crate::inventory::{Credential, DeviceChange, Editor, SourceUrl};
use crate::model::DeviceName;
use crate::ops::Error;

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
        let listed = report.listed.iter().find(|listed| listed.name == name);
        let source = listed.map_or(SourceUrl::Push, |listed| listed.source.clone());
        let mut changes = Vec::new();
        let mut set = |key, value: Option<String>| changes.extend(value.map(|value| DeviceChange::Set(key, value)));
        set("profile", device.profile.as_ref().map(ToString::to_string));
        set("site", listed.and_then(|l| l.site.as_ref()).map(ToString::to_string));
        let own = listed.and_then(|l| l.credential.as_ref()).or(credential);
        set("credential", own.filter(|_| listed.is_some()).cloned().map(String::from));
        let off = listed.is_none_or(|listed| !listed.enabled);
        changes.extend(off.then_some(DeviceChange::Flag("enabled", false)));
        let labels = listed.into_iter().flat_map(|listed| &listed.labels);
        changes.extend(labels.map(|(key, value)| DeviceChange::Label(key.clone(), value.clone())));
        editor.add_device(&name, &source, &changes)?;
        added.push(name);
    }
    if !added.is_empty() {
        editor.save()?;
    }
    Ok(added)
}
