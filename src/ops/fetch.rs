//! Taking back from a mirror what the store of an installation has lost.

use std::time::Duration;

use super::Error;
use super::keys::{KeyRing, PutBack, put_back, vouch};
use super::mirror::{Place, Surroundings};
use crate::fsio::Scratch;
use crate::inventory::{Inventory, STORE_DIR};
use crate::mirror::{clone_store, take_packs};
use crate::store::{Repo, Store};

/// Takes back from a mirror what the store of an inventory has lost: everything that the mirror has comes beside what
/// is damaged or missing, and refs are put back to where this installation has seen them. What the mirror says beyond
/// that is not believed.
///
/// The store need not open: its refs may be gone.
///
/// # Errors
/// The mirror cannot be talked to, or is another store's; what came is then taken away. The disk refused.
pub fn fetch(inventory: &Inventory, place: &Place, around: Surroundings<'_>) -> Result<PutBack, Error> {
    let (dir, ring) = (inventory.store_dir(), KeyRing::at(inventory.root()));
    let repo = Repo::open(&dir)?;
    let scratch = Scratch::new(repo.make_cache_dir()?, "fetched-")?;
    let came = scratch.dir().join(STORE_DIR);
    clone_store(place.remote(around), &came)?;
    vouch(&Store::open(&came)?, &ring)?;
    {
        let _writers = repo.lock(Duration::from_secs(inventory.policy.lock_timeout.0))?;
        take_packs(&came, &repo)?;
    }
    Ok(put_back(&dir, &ring)?)
}
