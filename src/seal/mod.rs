//! Keys, age, masking and signatures: what makes a store useful to read and useless to steal.
//!
//! This room turns plain bytes into what may lie in a store, and back: keyed digests and tokens
//! ([`DeviceKeys`]), masked text ([`mask`], [`unmask`], [`script`]), age files ([`Sealer`], [`Opener`],
//! [`Recipients`], [`Identities`]) and git's SSH signatures ([`SigningKey`], [`verify`]). It knows no git
//! repository, no network and no terminal: a passphrase comes through a callback.
//!
//! Invariants:
//! - No key, passphrase, secret or plain text is part of any `Debug`, `Display` or error of this room.
//! - [`unmask`] of what [`mask`] made is the plain text, byte for byte, whatever the text holds.
//! - A wrong, a missing and an expired key are one error with one text: [`Error::Key`].
//! - Nothing is executed: recipients and identities of age plugins are refused.
//!
//! "Digests and keys", "Masking", "Sealing" and "Signatures" in `docs/format.md` are the law of it.

mod age_file;
mod error;
mod header;
mod identity;
mod key_file;
mod keys;
mod list;
mod mask;
mod recipient;
pub mod script;
mod secret;
mod signing;
mod token;
mod trust;
#[cfg(test)]
mod vectors;

pub use age_file::{OpenReader, Opener, SealWriter, Sealer};
pub use error::Error;
pub use identity::{EpochIdentity, EpochRecipient, Identities, PassphraseFor, protect};
pub use key_file::{check_key_folder, read_private, read_public, write_private};
pub use keys::{DeviceKeys, DigestWriter, StoreKey, StoreKeys, random};
pub use list::SecretList;
pub use mask::{Masked, SecretMap, mask, mask_telling, tokens, unmask};
pub use recipient::{Recipient, Recipients};
pub use secret::{Redacted, Secret};
pub use signing::{AllowedSigner, Fingerprint, PublicKey, SigningKey, parse_signers, signer_of, verify, write_signers};
pub use token::{OPENING, Token};
pub use trust::{CollectorKeys, Cut, Epoch, StoreKeyAt, Trust, TrustFiles, principal};
