//! The first facts of a new store.

use super::{KeyError, KeyRing};
use crate::model::CollectorName;
use crate::seal::{AllowedSigner, Recipients, SigningKey, StoreKeys, Trust, TrustFiles};
use crate::store::facts::Feature;

/// The principal of an administrator's signatures.
pub(super) const ADMINISTRATOR: &str = "administrator@confvault";

/// A store that is about to be made.
#[derive(Debug)]
pub struct Founded {
    /// Its features.
    pub features: Vec<Feature>,
    /// The files of `_store`, beside those that every store has.
    pub files: TrustFiles,
    /// The collector's signing key.
    pub signing: SigningKey,
    /// The store keys.
    pub keys: StoreKeys,
}

/// Makes the keys of the first collector and the first epoch, and pins the administrator.
///
/// Without recipients the store keeps its secrets in clear.
///
/// # Errors
/// There are keys already, or the disk refused.
pub fn found(
    ring: &KeyRing,
    collector: &CollectorName,
    recipients: Recipients,
    administrator: &SigningKey,
) -> Result<Founded, KeyError> {
    let sealing = !recipients.is_empty();
    let (signing, own) = ring.create(collector)?;
    let administrator = AllowedSigner { principal: ADMINISTRATOR.to_owned(), key: administrator.public() };
    ring.pin(std::slice::from_ref(&administrator))?;
    let mut keys = StoreKeys::default();
    let mut trust = Trust { recipients, administrators: vec![administrator], ..Trust::default() };
    trust.admit(collector, own, signing.public(), &keys)?;
    trust.begin_epoch(&mut keys)?;
    let mut files = TrustFiles::new();
    trust.write(&mut files);
    let features = if sealing { vec![Feature::Sealing, Feature::Signing] } else { vec![Feature::Signing] };
    Ok(Founded { features, files, signing, keys })
}
