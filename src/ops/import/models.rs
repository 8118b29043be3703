//! Which profile has a device of a foreign history?

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::device::Job;
use super::history::History;
use super::layout::Layout;
use super::{ImportError, Options};
use crate::collect::inventories::{Listed, profile_for, router_db};
use crate::inventory::ProfileName;
use crate::model::{ConfigPath, DeviceName, Scope};
use crate::ops::enlist::profile_of;
use crate::ops::{Error, Vault};
use crate::profile::Profile;
use crate::store::object::TREE;
use crate::store::{Foreign, ForeignCommit, ProfileRules};

/// The largest list of devices in a repository, in bytes.
const LIST_LIMIT: u64 = 16 << 20;
/// How much of a file is looked at for the model that RANCID notes in its first line, in bytes.
const FILE_LIMIT: u64 = 64 << 20;

/// Finds profiles.
pub(super) struct Models<'a> {
    vault: &'a Vault,
    options: &'a Options,
    foreign: &'a Foreign,
    listed: HashMap<DeviceName, Listed>,
    ready: std::cell::RefCell<BTreeMap<ProfileName, (Arc<Profile>, ProfileRules)>>,
}

impl<'a> Models<'a> {
    pub(super) fn new(
        vault: &'a Vault,
        options: &'a Options,
        foreign: &'a Foreign,
        line: &[ForeignCommit],
    ) -> Result<Self, Error> {
        let mut listed: HashMap<DeviceName, Listed> = HashMap::new();
        // RANCID keeps its list beside the configurations; what is given by hand goes before.
        let own = match (&options.layout, line.last()) {
            (Layout::Rancid, Some(newest)) => lists(foreign, newest, options.below.as_ref(), options.user.as_deref())?,
            _ => Vec::new(),
        };
        for device in options.listed.iter().cloned().chain(own) {
            listed.entry(device.name.clone()).or_insert(device);
        }
        Ok(Self { vault, options, foreign, listed, ready: Default::default() })
    }

    /// Makes the job of a device, or says why its profile is not known.
    pub(super) fn job(&self, device: &DeviceName, history: History) -> Result<Result<Job, ImportError>, Error> {
        let declared = self.vault.inventory.device(device).ok();
        let listed = self.listed.get(device);
        let noted = match self.options.layout {
            Layout::Rancid => noted(self.foreign, &history),
            _ => None,
        };
        let model = listed.and_then(|l| l.model.clone()).or(noted);
        let mapped = |word: &String| self.options.map.get(&word.to_ascii_lowercase()).cloned().or_else(|| profile_for(word));
        let name = declared.map(|d| d.profile.clone());
        let name = name.or_else(|| listed.and_then(|listed| profile_of(listed, &self.options.map, None)));
        let name = name.or_else(|| model.as_ref().and_then(mapped)).or_else(|| self.options.profile.clone());
        let Some(name) = name else { return Ok(Err(ImportError::NoProfile { model })) };
        let (profile, rules) = self.profile(&name)?;
        let release = self.options.release.clone().or_else(|| declared.and_then(|d| d.release.clone()));
        let config = config_file(&profile, model.as_deref());
        Ok(Ok(Job { device: device.clone(), profile, rules, config, history, release }))
    }

    /// Gives the devices as they are listed, sorted.
    pub(super) fn into_listed(self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self.listed.into_values().collect();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    fn profile(&self, name: &ProfileName) -> Result<(Arc<Profile>, ProfileRules), Error> {
        if let Some(ready) = self.ready.borrow().get(name) {
            return Ok(ready.clone());
        }
        let ready = self.vault.profile(name)?;
        self.ready.borrow_mut().insert(name.clone(), ready.clone());
        Ok(ready)
    }
}

/// Says where the set of a device has the one file that a tool keeps of it: where a snapshot by the profile
/// puts the configuration, so that both compare.
fn config_file(profile: &Profile, model: Option<&str>) -> ConfigPath {
    let running = || "running-config".parse().expect("one plain component is a path");
    // Oxidized asks such a device for its running configuration, and it is put back by an ini file.
    if model.is_some_and(|model| model.eq_ignore_ascii_case("audiocodes")) {
        return running();
    }
    let sent = profile.restore().and_then(|restore| restore.config.clone());
    let asked = || {
        let mut commands = profile.commands().iter();
        commands.find(|command| command.required && command.scope == Scope::Voip).map(|command| command.path.clone())
    };
    sent.or_else(asked).unwrap_or_else(running)
}

/// Finds the model that RANCID notes in the first line: `!RANCID-CONTENT-TYPE: cisco`.
fn noted(foreign: &Foreign, history: &History) -> Option<String> {
    for node in history.events.iter().rev().filter_map(|event| event.node) {
        let text = foreign.blob(&node.id, FILE_LIMIT).ok()?;
        let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
        let at = memchr::memmem::find(first, b"RANCID-CONTENT-TYPE:");
        if let Some(at) = at {
            let word = String::from_utf8_lossy(&first[at + 20..]).trim().to_owned();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            return Some(word).filter(|word| !word.is_empty() && word.len() <= 64 && word.chars().all(plain));
        }
    }
    None
}

/// Reads every `router.db` of a commit. One that does not read says nothing.
fn lists(
    foreign: &Foreign,
    newest: &ForeignCommit,
    below: Option<&ConfigPath>,
    user: Option<&str>,
) -> Result<Vec<Listed>, ImportError> {
    let mut folders = vec![newest.tree];
    for name in below.into_iter().flat_map(ConfigPath::components) {
        let entries = foreign.tree(&folders[0])?;
        match entries.iter().find(|e| e.name == name && e.mode == TREE) {
            Some(found) => folders = vec![found.id],
            None => return Ok(Vec::new()),
        }
    }
    // At the top, and in the folders of groups.
    let top = foreign.tree(&folders[0])?;
    folders.extend(top.iter().filter(|e| e.mode == TREE && e.name != b"configs").map(|e| e.id));
    let mut listed = Vec::new();
    for folder in folders {
        let entries = foreign.tree(&folder)?;
        let Some(list) = entries.iter().find(|e| e.name == b"router.db" && e.mode != TREE) else { continue };
        if let Ok(text) = foreign.blob(&list.id, LIST_LIMIT) {
            listed.extend(router_db(&String::from_utf8_lossy(&text), user).unwrap_or_default());
        }
    }
    Ok(listed)
}
