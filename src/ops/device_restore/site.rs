//! A device that a set is put back to, with all that is needed to look at it and to work on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{DeviceRestoreError, Failed};
use crate::collect::act::{self, ActError, Scene, Target};
use crate::collect::hostkeys::{KnownHosts, PINS_FILE};
use crate::collect::{CollectError, ConnectError, Context, Network, Skipped, collect};
use crate::fsio::Scratch;
use crate::inventory::{Device, SourceUrl};
use crate::model::{ConfigSet, DeviceName, Release};
use crate::ops::snapshot::World;
use crate::ops::spool::spool;
use crate::ops::{Error, Reader, Vault, health};
use crate::profile::Profile;
use crate::store::Reading;

/// What a restore does its work with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The installation.
    pub vault: &'a Vault,
    /// Its store, opened with the identities of who restores.
    pub reader: &'a Reader,
    /// The world around.
    pub world: &'a World<'a>,
}

impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").finish_non_exhaustive()
    }
}

/// A device, and what is needed to reach it.
pub(super) struct Site<'a> {
    pub(super) tools: Tools<'a>,
    pub(super) device: &'a Device,
    pub(super) profile: Arc<Profile>,
    network: Network,
    /// For what is too large for memory.
    spool: Scratch,
}

/// Where a device is: what its name means. A restore that is taken up must find the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    source: SourceUrl,
    /// The host keys that are pinned for it, as fingerprints; none for a folder, or where the user's own list has them.
    #[serde(default)]
    keys: Vec<String>,
}

impl Place {
    /// The place of a device by the inventory and the pins.
    pub(super) fn of(site: &Site<'_>) -> Result<Self, Error> {
        let unread = |error| CollectError::from(ConnectError::from(error));
        let pins = KnownHosts::read(&site.tools.vault.root().join(PINS_FILE), true).map_err(unread)?;
        let pinned = pins.keys(site.device.name.as_str());
        let mut keys: Vec<String> = pinned.iter().map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string()).collect();
        keys.sort();
        Ok(Self { source: site.device.source.clone(), keys })
    }

    /// Says what is another one by now. A key that was pinned beside the others is no other device.
    pub(super) fn differs(&self, now: &Self) -> Option<String> {
        if self.source != now.source {
            return Some(format!("its source was {}, and is {}", self.source, now.source));
        }
        let known = self.keys.is_empty() || self.keys.iter().any(|key| now.keys.contains(key));
        (!known).then(|| format!("its host key was {}, and is not pinned any more", self.keys.join(", ")))
    }
}

/// A device as it stands now.
pub(super) struct Now {
    /// What is there, whole or not.
    pub(super) set: ConfigSet,
    /// What stands among it that no set can have.
    pub(super) skipped: Vec<Skipped>,
    /// The release, if it can be told.
    pub(super) release: Option<Release>,
    /// Why it is no whole set.
    pub(super) lacks: Option<CollectError>,
}

impl<'a> Site<'a> {
    pub(super) fn new(tools: Tools<'a>, name: &DeviceName) -> Result<Self, Error> {
        let device = tools.vault.inventory.device(name)?;
        let (profile, _) = tools.vault.profile(&device.profile)?;
        let spool = spool(tools.vault.store.repo().cache_dir())?;
        Ok(Self { tools, device, profile, network: Network::new(), spool })
    }

    fn with_context<T>(&self, partial: bool, job: impl FnOnce(&Context<'_>) -> T) -> T {
        let Tools { vault, world, .. } = self.tools;
        job(&Context {
            partial,
            ..Context::new(
                vault.root(),
                self.spool.dir(),
                &vault.inventory.policy,
                world.env,
                world.home,
                world.cancel,
                &self.network,
            )
        })
    }

    /// Looks at the device. Everything is read, whatever the time stamps say.
    pub(super) fn look(&self) -> Result<Now, Error> {
        let (collected, lacks) = match self.with_context(false, |context| collect(self.device, &self.profile, None, context)) {
            Ok(collected) => (collected, None),
            Err(lacks) if is_there(&lacks) => {
                let there = self.with_context(true, |context| collect(self.device, &self.profile, None, context));
                (there?, Some(lacks))
            }
            Err(error) => return Err(error.into()),
        };
        let mut collected = collected;
        let set = collected.take_set();
        Ok(Now { release: set.release.clone(), set, skipped: collected.skipped, lacks })
    }

    /// Works on the device; `run` names what is made on it.
    pub(super) fn work<T>(
        &self,
        run: &str,
        folder: &std::path::Path,
        job: impl FnOnce(&mut dyn Target) -> Result<T, DeviceRestoreError>,
    ) -> Result<T, DeviceRestoreError> {
        let scene = Scene { run, folder };
        self.with_context(false, |context| act::work(self.device, &self.profile, scene, context, job))
    }

    /// The program with which a command of this machine begins, if it is not there. What is more than a plain word, and
    /// all that runs elsewhere, is not judged.
    pub(super) fn lacks_program(&self, command: &str) -> Option<String> {
        let word = command.split_ascii_whitespace().next().filter(|_| matches!(self.device.source, SourceUrl::Dir(_)))?;
        let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./+-".contains(&byte));
        let lacks = plain && self.with_context(false, |context| act::has_program(word, context)).is_ok_and(|there| !there);
        lacks.then(|| word.to_owned())
    }

    /// Takes the readings of the profile.
    pub(super) fn health(&self) -> Vec<Reading> {
        self.with_context(false, |context| health::measure(self.device, &self.profile, context))
    }
}

impl From<ActError> for DeviceRestoreError {
    fn from(source: ActError) -> Self {
        Self::Step(Failed { source, said: None })
    }
}

/// Tells whether the device answered, and what it has is no whole set.
fn is_there(error: &CollectError) -> bool {
    matches!(
        error,
        CollectError::NotWhole(_)
            | CollectError::Damaged { .. }
            | CollectError::NoRelease { .. }
            | CollectError::Empty(_)
            | CollectError::Missing(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(source: &str, keys: &[&str]) -> Place {
        Place { source: source.parse().unwrap(), keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }

    #[test]
    fn another_source_or_only_other_keys_are_another_device() {
        let began = place("sftp://pbx/", &["SHA256:a", "SHA256:b"]);
        let differs = |now: Place| began.differs(&now);
        assert_eq!(differs(began.clone()), None);
        assert_eq!(differs(place("sftp://pbx/", &["SHA256:b", "SHA256:c"])), None);
        assert_eq!(differs(place("sftp://new/", &["SHA256:a"])).unwrap(), "its source was sftp://pbx, and is sftp://new");
        for keys in [&["SHA256:c"][..], &[]] {
            let says = differs(place("sftp://pbx/", keys)).unwrap();
            assert_eq!(says, "its host key was SHA256:a, SHA256:b, and is not pinned any more");
        }
        assert_eq!(place("dir:a", &[]).differs(&place("dir:a", &[])), None);
    }
}
