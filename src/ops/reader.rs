//! A store opened to be read: with as much as is at hand beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::keys::KeyRing;
use super::signatures::SignatureFinding;
use super::vouch::{Signature, signature_of, trust_of};
use crate::inventory::{FILE_NAME, Inventory, PROFILES_DIR, STORE_DIR};
use crate::model::DeviceName;
use crate::profile::{MaskOverrides, Profile, Profiles};
use crate::seal::{Identities, Opener, StoreKeys, Trust};
use crate::store::{Access, Generation, Refs, Store};

/// A store opened to be read. A copy of a store without its inventory and keys opens too; what they
/// are needed for is then not done, or refused when it is asked for.
#[derive(Debug)]
pub struct Reader {
    /// The store.
    pub store: Store,
    /// The inventory; nothing if there is none that reads.
    pub inventory: Option<Inventory>,
    /// All profiles.
    pub profiles: Profiles,
    trust: Trust,
    keys: Option<StoreKeys>,
    opener: Option<Opener>,
}

impl Reader {
    /// Tells whether a word is the name of a generation of a device.
    #[must_use]
    pub fn is_name(&self, device: &DeviceName, word: &str) -> bool {
        let names = self.store.refs().and_then(|refs| self.store.names(&refs, device)).unwrap_or_default();
        names.iter().any(|name| name.name.as_str() == word)
    }

    /// Gives paths of the newest generation of a device that may be meant by texts that choose none, as `SCOPE/PATH`.
    #[must_use]
    pub fn near_paths(&self, device: &DeviceName, texts: &[String]) -> Vec<String> {
        let newest = self.store.refs().and_then(|refs| self.store.newest(&refs, device));
        let manifest = newest.and_then(|generation| self.store.manifest(&generation));
        let near =
            |manifest: crate::store::Manifest| super::near(texts, manifest.lines.iter().map(|line| (line.scope, &line.path)));
        manifest.map(near).unwrap_or_default()
    }

    /// Opens the store in the folder `root`. `identities` are the reader's own, if any were named.
    ///
    /// # Errors
    /// The store or a profile of the user cannot be read, or an identity opens nothing of the store.
    pub fn open(root: &Path, identities: Option<&Identities>) -> Result<Self, Error> {
        let store = Store::open(&root.join(STORE_DIR))?;
        let inventory = match Inventory::load(root) {
            Ok(inventory) => Some(inventory),
            Err(error) => {
                if root.join(FILE_NAME).exists() {
                    tracing::warn!("inventory left aside: {error}");
                }
                None
            }
        };
        let profiles = Profiles::load(Some(&root.join(PROFILES_DIR)))?;
        let ring = KeyRing::at(root);
        let trust = trust_of(&store, root)?;
        let (keys, opener) = match identities {
            Some(own) => (Some(trust.store_keys(own)?), Some(trust.unlock(own)?)),
            None => (Self::own_keys(&trust, &ring, inventory.as_ref()).or(store.facts().clear_keys()?), None),
        };
        Ok(Self { store, inventory, profiles, trust, keys, opener })
    }

    /// The store keys that this installation holds; it may hold none.
    fn own_keys(trust: &Trust, ring: &KeyRing, inventory: Option<&Inventory>) -> Option<StoreKeys> {
        let own = ring.is_there().then(|| ring.own().ok()).flatten()?;
        trust.collector_keys(&inventory?.collector, &own).ok()
    }

    /// Everything that can be opened.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        Access { keys: self.keys.as_ref(), opener: self.opener.as_ref() }
    }

    /// Everything but the values of secrets: what is masked stays masked.
    #[must_use]
    pub fn masked(&self) -> Access<'_> {
        Access { keys: self.keys.as_ref(), opener: None }
    }

    /// Says what the signature of a generation is worth.
    #[must_use]
    pub fn signature(&self, refs: &Refs, generation: &Generation) -> Signature {
        signature_of(&self.store, refs, &self.trust, generation)
    }

    /// Says what is wrong with the signature of a generation, if anything is.
    #[must_use]
    pub fn foreign(&self, refs: &Refs, generation: &Generation) -> Option<SignatureFinding> {
        self.signature(refs, generation).wrong()
    }

    /// The newest generations that nobody has signed who may, by device.
    #[must_use]
    pub fn foreign_devices(&self, refs: &Refs) -> BTreeMap<DeviceName, SignatureFinding> {
        let found = |device: &DeviceName| self.foreign(refs, &self.store.newest(refs, device).ok()?);
        self.store.devices(refs).into_iter().filter_map(|device| found(&device).map(|found| (device, found))).collect()
    }

    /// The store keys, where they are at hand.
    #[must_use]
    pub fn keys(&self) -> Option<&StoreKeys> {
        self.keys.as_ref()
    }

    /// Tells whether an identity was named that opens what is sealed.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.opener.is_some()
    }

    /// The profile of a device; `generic` for one that is not in the inventory any more.
    ///
    /// # Errors
    /// A profile is not in the language.
    pub fn profile_of(&self, device: &DeviceName) -> Result<Arc<Profile>, Error> {
        let known = self.inventory.as_ref().and_then(|inventory| inventory.device(device).ok());
        let named = known.and_then(|device| self.profiles.get(device.profile.as_str()).ok());
        named.map_or_else(|| Ok(self.profiles.get("generic")?), Ok)
    }

    /// The rules of the inventory about what is masked.
    ///
    /// # Errors
    /// A rule of the inventory does not read.
    pub fn overrides(&self) -> Result<MaskOverrides, Error> {
        match &self.inventory {
            Some(inventory) => Ok(MaskOverrides::new(&inventory.never_mask, &inventory.always_mask)?),
            None => Ok(MaskOverrides::default()),
        }
    }
}
