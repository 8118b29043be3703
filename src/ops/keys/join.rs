//! Asking to be let in: what a collector shows an administrator.

use std::fmt;
use std::str::FromStr;

use super::{KeyError, KeyRing};
use crate::model::CollectorName;
use crate::seal::{EpochRecipient, Error, PublicKey};

/// What an administrator needs to let a collector in; all of it is public. Written as one line:
/// `confvault-join 1 <name> <age recipient> <ssh-ed25519 key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The collector's name.
    pub name: CollectorName,
    /// The recipient of its own identity.
    pub recipient: EpochRecipient,
    /// Its signing key.
    pub signer: PublicKey,
}

impl JoinRequest {
    /// Makes the request of an installation.
    ///
    /// # Errors
    /// [`KeyError::Missing`], or the key files do not read.
    pub fn of(ring: &KeyRing, name: &CollectorName) -> Result<Self, KeyError> {
        let (recipient, signing) = ring.public()?;
        Ok(Self { name: name.clone(), recipient, signer: signing.public() })
    }
}

impl fmt::Display for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confvault-join 1 {} {} {}", self.name, self.recipient, self.signer)
    }
}

impl FromStr for JoinRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Malformed { what: "request to join (`confvault-join 1 NAME age1… ssh-ed25519 …`)" };
        let rest = text.trim().strip_prefix("confvault-join 1 ").ok_or_else(bad)?;
        let (name, rest) = rest.split_once(' ').ok_or_else(bad)?;
        let (recipient, signer) = rest.split_once(' ').ok_or_else(bad)?;
        Ok(Self { name: name.parse().map_err(|_| bad())?, recipient: recipient.parse()?, signer: signer.parse()? })
    }
}
