//! Everything that a job needs, opened: inventory, store, profiles and keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::Error;
use super::keys::{KeyRing, Trusted, check_collector, remember, trusted};
use crate::inventory::{Inventory, ProfileName};
use crate::profile::{MaskOverrides, Profile, Profiles};
use crate::seal::{Sealer, SigningKey, StoreKeys};
use crate::store::{Done, Feature, ProfileRules, Record, RunId, Store, Transaction, Who};

/// An installation, opened.
#[derive(Debug)]
pub struct Vault {
    /// Devices and policies.
    pub inventory: Inventory,
    /// The store.
    pub store: Store,
    /// All profiles.
    pub profiles: Profiles,
    /// The private keys of this installation.
    pub ring: KeyRing,
    /// What `_store` says, followed back to a pinned key.
    pub trusted: Trusted,
    /// The store keys of all epochs.
    pub keys: StoreKeys,
    /// The key of the collector; nothing in a store whose generations are not signed.
    pub signing: Option<SigningKey>,
    /// Seals to the newest epoch; nothing in a store that keeps secrets in clear.
    pub sealer: Option<Sealer>,
    overrides: Arc<MaskOverrides>,
}

impl Vault {
    /// Opens the installation in the folder `root`.
    ///
    /// # Errors
    /// What is wrong with the inventory, a profile of the user, the store or a key.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let inventory = Inventory::load(root)?;
        KeyRing::at(inventory.root()).warn_of_loss();
        Self::of(inventory)
    }

    /// Opens the installation that an inventory belongs to, be it written or not.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub(super) fn of(inventory: Inventory) -> Result<Self, Error> {
        let store = Store::open(&inventory.store_dir())?;
        let profiles = Profiles::load(Some(&inventory.profiles_dir()))?;
        let overrides = Arc::new(MaskOverrides::new(&inventory.never_mask, &inventory.always_mask)?);
        let ring = KeyRing::at(inventory.root());
        let trusted = trusted(&store, &ring)?;
        let keys = trusted.trust.collector_keys(&inventory.collector, &ring.own()?)?;
        let signing = match store.facts().has(Feature::Signing) {
            true => Some(ring.signing()?),
            false => None,
        };
        let sealer = trusted.trust.sealer();
        Ok(Self { inventory, store, profiles, ring, trusted, keys, signing, sealer, overrides })
    }

    /// The folder of the installation.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.inventory.root()
    }

    /// Gives a profile, and what the store asks of it.
    ///
    /// # Errors
    /// There is no such profile, or it is not in the language.
    pub fn profile(&self, name: &ProfileName) -> Result<(Arc<Profile>, ProfileRules), Error> {
        let profile = self.profiles.get(name.as_str())?;
        let rules = ProfileRules::new(profile.clone(), self.overrides.clone());
        Ok((profile, rules))
    }

    /// The rules of the inventory about what is masked.
    #[must_use]
    pub fn overrides(&self) -> &MaskOverrides {
        &self.overrides
    }

    /// Begins a transaction of a run; its commit waits for other writers as long as the policy says.
    ///
    /// # Errors
    /// As [`Vault::begin_as`].
    pub fn begin(&self, run: &RunId) -> Result<Transaction<'_>, Error> {
        self.begin_as(self.who(run))
    }

    /// Begins a transaction in the name of somebody.
    ///
    /// # Errors
    /// The refs cannot be read, or the journal went back or is gone: nothing is written on top of a loss.
    pub fn begin_as(&self, who: Who) -> Result<Transaction<'_>, Error> {
        let wait = Duration::from_secs(self.inventory.policy.lock_timeout.0);
        let collector = who.collector.clone();
        // The heads that were seen first: what other processes write meanwhile moves the refs on, never back.
        let seen = self.ring.seen()?;
        let transaction = self.store.begin(who)?.lock_wait(wait);
        check_collector(&seen, &self.store, transaction.refs(), &collector)?;
        Ok(transaction)
    }

    /// Commits a transaction and remembers the heads.
    ///
    /// # Errors
    /// Those of [`Transaction::commit`]; the key folder cannot be written.
    pub fn commit(&self, transaction: Transaction<'_>) -> Result<Done, Error> {
        let done = transaction.commit()?;
        remember(&self.ring, &self.store, &self.store.refs()?, self.signing.as_ref(), &done.written)?;
        Ok(done)
    }

    /// Writes records into the journal, by a transaction of their own.
    ///
    /// # Errors
    /// As [`Vault::begin_as`] and [`Vault::commit`].
    pub fn record(&self, records: impl IntoIterator<Item = Record>) -> Result<(), Error> {
        let transaction = self.begin(&Self::new_run())?;
        records.into_iter().for_each(|record| transaction.record(record));
        self.commit(transaction)?;
        Ok(())
    }

    /// Says who writes a run that begins now.
    pub fn who(&self, run: &RunId) -> Who {
        Who { collector: self.inventory.collector.clone(), signing: self.signing.clone(), run: run.clone(), now: Utc::now() }
    }

    /// Makes the id of a run that begins now.
    #[must_use]
    pub fn new_run() -> RunId {
        RunId::new(Utc::now(), crate::seal::random())
    }
}
