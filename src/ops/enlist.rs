//! Devices of a list, taken into the inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Error;
use crate::collect::inventories::{Listed, profile_for};
use crate::inventory::{Credential, DeviceChange, Editor, ProfileName};
use crate::model::DeviceName;
use crate::profile::Profiles;

/// What holds for devices of which the list does not say it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Profiles by the other program's word for a model, before those that confvault knows.
    pub map: BTreeMap<String, ProfileName>,
    /// The profile of devices of which no model is known.
    pub profile: Option<ProfileName>,
    /// Where the credential is.
    pub credential: Option<Credential>,
}

/// What became of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enlisted {
    /// Devices that were added, in the order of the list.
    pub added: Vec<DeviceName>,
    /// Devices that were there already, and stay as they are.
    pub known: Vec<DeviceName>,
    /// Those of them that have another source in the list.
    pub differing: Vec<DeviceName>,
    /// Names that stand in the list more than once: the first counts.
    pub twice: Vec<DeviceName>,
    /// Devices of the inventory that the list does not have.
    pub unlisted: Vec<DeviceName>,
    /// Models of added devices for which there is no profile: these have the generic one.
    pub unknown_models: BTreeSet<String>,
}

/// Takes the devices of a list into the inventory that are not there. Run again, it adds nothing.
///
/// # Errors
/// The inventory cannot be read or written, or a profile that the list or an option names is not there.
pub fn enlist(root: &Path, profiles: &Profiles, listed: &[Listed], options: &Options) -> Result<Enlisted, Error> {
    let mut editor = Editor::open(root)?;
    let (mut out, mut seen) = (Enlisted::default(), BTreeSet::new());
    for device in listed {
        if !seen.insert(&device.name) {
            out.twice.push(device.name.clone());
            continue;
        }
        if let Ok(known) = editor.inventory().device(&device.name) {
            if known.source != device.source {
                out.differing.push(device.name.clone());
            }
            out.known.push(device.name.clone());
            continue;
        }
        let profile = profile_of(device, &options.map, options.profile.as_ref());
        match &profile {
            Some(profile) => drop(profiles.get(profile.as_str())?),
            None => out.unknown_models.extend(device.model.clone()),
        }
        let changes = changes(device, profile.as_ref(), options.credential.as_ref());
        editor.add_device(&device.name, &device.source, &changes)?;
        out.added.push(device.name.clone());
    }
    let gone = editor.inventory().devices().filter(|device| !seen.contains(&device.name));
    out.unlisted = gone.map(|device| device.name.clone()).collect();
    if !out.added.is_empty() {
        editor.save()?;
    }
    Ok(out)
}

/// The profile of a device of a list: that of its model by `map`, that of the list, that of its model, or `other`.
pub(super) fn profile_of(
    device: &Listed,
    map: &BTreeMap<String, ProfileName>,
    other: Option<&ProfileName>,
) -> Option<ProfileName> {
    let model = device.model.as_deref();
    let mapped = model.and_then(|model| map.get(&model.to_ascii_lowercase()));
    mapped.or(device.profile.as_ref()).cloned().or_else(|| model.and_then(profile_for)).or_else(|| other.cloned())
}

/// What the inventory is to say of a device beside its source.
pub(super) fn changes(device: &Listed, profile: Option<&ProfileName>, credential: Option<&Credential>) -> Vec<DeviceChange> {
    let mut changes = Vec::new();
    let mut set = |key, value: Option<String>| changes.extend(value.map(|value| DeviceChange::Set(key, value)));
    set("profile", profile.map(ToString::to_string));
    set("release", device.release.as_ref().map(ToString::to_string));
    set("site", device.site.as_ref().map(ToString::to_string));
    set("credential", device.credential.as_ref().or(credential).cloned().map(String::from));
    changes.extend((!device.enabled).then_some(DeviceChange::Flag("enabled", false)));
    changes.extend(device.labels.iter().map(|(key, value)| DeviceChange::Label(key.clone(), value.clone())));
    changes
}
