//! Identities: what opens.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use age::secrecy::{ExposeSecret, SecretString};
use age::{IdentityFile, x25519};
use zeroize::Zeroizing;

use super::age_file::{armoured, decryptor, open_with, seal_to};
use super::{Error, Secret, read_private};

/// Passphrases are stretched with scrypt at most this hard: 2^20 takes about a second and 1 GiB.
const MAX_WORK_FACTOR: u8 = 20;
/// Work for a passphrase that this program sets: 2^18, what the `age` program uses.
const WORK_FACTOR: u8 = 18;
/// Rounds of bcrypt in an OpenSSH key: `ssh-keygen` uses 16 or 24, `-a` raises it.
const MAX_ROUNDS: u32 = 1024;

/// For what a passphrase is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassphraseFor {
    /// An age identity file behind a passphrase.
    AgeIdentity,
    /// An encrypted OpenSSH private key.
    SshKey,
}

/// The private half of an epoch.
#[derive(Clone)]
pub struct EpochIdentity(x25519::Identity);

impl EpochIdentity {
    /// Makes a new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads an age identity file with one native identity: the content of an opened `identity.age`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let bad = Error::Malformed { what: "age identity" };
        let Ok(text) = std::str::from_utf8(text) else { return Err(bad) };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next().and_then(|line| line.parse().ok()), lines.next()) {
            (Some(identity), None) => Ok(Self(identity)),
            _ => Err(bad),
        }
    }

    /// Writes it as an age identity file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(256));
        text.push_str("# public key: ");
        text.push_str(&self.recipient().to_string());
        text.push('\n');
        text.push_str(self.0.to_string().expose_secret());
        text.push('\n');
        text
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> EpochRecipient {
        EpochRecipient(self.0.to_public())
    }

    pub(super) fn as_age(&self) -> &dyn age::Identity {
        &self.0
    }
}

impl fmt::Debug for EpochIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochIdentity({})", self.recipient())
    }
}

/// The public half of an epoch, or of a collector's own identity: `age1…`.
#[derive(Clone)]
pub struct EpochRecipient(x25519::Recipient);

impl EpochRecipient {
    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        &self.0
    }

    /// Seals bytes to it, as one age file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal_to(std::iter::once(self.as_age()), plain)
    }
}

impl FromStr for EpochRecipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.trim().parse().map(Self).map_err(|_| Error::Malformed { what: "age recipient" })
    }
}

impl fmt::Display for EpochRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EpochRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialEq for EpochRecipient {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for EpochRecipient {}

/// The identities that an administrator or a collector was given.
#[derive(Clone, Default)]
pub struct Identities(Vec<Arc<dyn age::Identity + Send + Sync>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl From<&EpochIdentity> for Identities {
    fn from(identity: &EpochIdentity) -> Self {
        Self(vec![Arc::new(identity.0.clone())])
    }
}

impl Identities {
    /// Reads an identity file: of age, of age behind a passphrase (armoured or not), or an OpenSSH
    /// Ed25519 private key, encrypted or not.
    ///
    /// `passphrase` is called at most once, and only if the file needs one; `None` from it is a missing
    /// identity.
    ///
    /// # Errors
    /// Those of [`read_private`]; [`Error::Key`] for a missing or wrong passphrase, [`Error::Work`],
    /// [`Error::NotAKey`].
    pub fn read(path: &Path, passphrase: &mut dyn FnMut(PassphraseFor) -> Option<Secret>) -> Result<Self, Error> {
        let file = read_private(path)?;
        let text = file.expose().trim_ascii_start();
        let not = |_| Error::NotAKey { what: "age identity or ssh-ed25519 private key", path: path.to_owned() };
        if text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") || text.starts_with(b"age-encryption.org/") {
            let plain = open_passphrase(text, passphrase)?;
            return Self::from_age_text(plain.expose()).map_err(not);
        }
        if text.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Self::from_ssh(text, passphrase).map_err(|error| match error {
                Error::Malformed { .. } => not(error),
                error => error,
            });
        }
        Self::from_age_text(text).map_err(not)
    }

    fn from_age_text(text: &[u8]) -> Result<Self, Error> {
        let bad = || Error::Malformed { what: "age identity" };
        // Its own errors name a line, never its content; plugins are not compiled in, so they fail here.
        let list = IdentityFile::from_buffer(text).map_err(|_| bad())?.into_identities().map_err(|_| bad())?;
        if list.is_empty() {
            return Err(bad());
        }
        Ok(Self(list.into_iter().map(Arc::from).collect()))
    }

    fn from_ssh(pem: &[u8], passphrase: &mut dyn FnMut(PassphraseFor) -> Option<Secret>) -> Result<Self, Error> {
        let bad = || Error::Malformed { what: "ssh-ed25519 private key" };
        let mut key = ssh_key::PrivateKey::from_openssh(pem).map_err(|_| bad())?;
        if key.algorithm() != ssh_key::Algorithm::Ed25519 {
            return Err(bad());
        }
        if key.is_encrypted() {
            if let ssh_key::Kdf::Bcrypt { rounds, .. } = key.kdf()
                && *rounds > MAX_ROUNDS
            {
                return Err(Error::Work { what: format!("{rounds} rounds of bcrypt") });
            }
            let passphrase = passphrase(PassphraseFor::SshKey).ok_or(Error::Key)?;
            key = key.decrypt(passphrase.expose()).map_err(|_| Error::Key)?;
        }
        let pem = key.to_openssh(ssh_key::LineEnding::LF).map_err(|_| bad())?;
        let identity = age::ssh::Identity::from_buffer(pem.as_bytes(), None).map_err(|_| bad())?;
        match identity {
            age::ssh::Identity::Unencrypted(_) => Ok(Self(vec![Arc::new(identity)])),
            _ => Err(bad()),
        }
    }

    /// Adds the identities of another file.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens an age file; no more than `limit` plain bytes are made.
    ///
    /// # Errors
    /// [`Error::Key`] also without any identity, [`Error::Damaged`], [`Error::TooLarge`].
    pub fn open(&self, sealed: &[u8], limit: u64) -> Result<Secret, Error> {
        open_with(sealed, sealed.len(), self.0.iter().map(|identity| identity.as_ref() as &dyn age::Identity), limit)
    }
}

fn open_passphrase(sealed: &[u8], passphrase: &mut dyn FnMut(PassphraseFor) -> Option<Secret>) -> Result<Secret, Error> {
    if !decryptor(armoured(sealed))?.is_scrypt() {
        // Sealed to a key, not to a passphrase: no identity file.
        return Err(Error::Key);
    }
    let secret = passphrase(PassphraseFor::AgeIdentity).ok_or(Error::Key)?;
    let text = std::str::from_utf8(secret.expose()).map_err(|_| Error::Key)?;
    let mut identity = age::scrypt::Identity::new(SecretString::from(text));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    open_with(armoured(sealed), sealed.len(), std::iter::once(&identity as &dyn age::Identity), sealed.len() as u64)
}

/// Puts the text of an identity file behind a passphrase, as an age file.
///
/// # Errors
/// [`Error::Key`] for a passphrase that is empty or not UTF-8, [`Error::Io`].
pub fn protect(text: &str, passphrase: &Secret) -> Result<Vec<u8>, Error> {
    let passphrase = std::str::from_utf8(passphrase.expose()).ok().filter(|text| !text.is_empty()).ok_or(Error::Key)?;
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(WORK_FACTOR);
    seal_to(std::iter::once(&recipient as &dyn age::Recipient), text.as_bytes())
}
