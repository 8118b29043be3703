//! Keys for digests and tokens ("Digests and keys" in `docs/format.md`).

use std::fmt;
use std::io::{self, Write};

use ssh_key::rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::{Error, Token};
use crate::model::{DeviceName, Digest};

/// Gives bytes from the randomness of the system, for what is no secret.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// The store key of one epoch: 32 random bytes, from which the keys of every device are derived.
///
/// Whoever has it can confirm guesses of contents; it opens nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Makes a new key from the randomness of the system.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// Reads a key from 64 lower-case hexadecimal digits; one LF may follow.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let digest: Digest =
            text.strip_suffix('\n').unwrap_or(text).parse().map_err(|_| Error::Malformed { what: "store key" })?;
        Ok(Self(Zeroizing::new(digest.0)))
    }

    /// Writes the key as 64 hexadecimal digits and LF: the content of `epochs/<n>/store-key`.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}\n", Digest(*self.0)))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey([secret])")
    }
}

/// The store keys of all epochs, the first being epoch 1: the content of `collectors/<name>/keys.age`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StoreKeys(Vec<StoreKey>);

impl StoreKeys {
    /// Takes the keys of epochs 1, 2, 3 ….
    #[must_use]
    pub fn new(keys: Vec<StoreKey>) -> Self {
        Self(keys)
    }

    /// Gives the key of an epoch, counted from 1.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> Option<&StoreKey> {
        self.0.get(usize::try_from(epoch).ok()?.checked_sub(1)?)
    }

    /// Gives the number of the newest epoch; 0 if there is none.
    #[must_use]
    pub fn newest(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Adds the key of the next epoch.
    pub fn push(&mut self, key: StoreKey) {
        self.0.push(key);
    }

    /// Reads one key a line.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let bad = || Error::Malformed { what: "list of store keys" };
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(bad());
        }
        text.lines().map(StoreKey::from_hex).collect::<Result<_, _>>().map(Self)
    }

    /// Writes one key a line.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * 65));
        for key in &self.0 {
            text.push_str(&key.to_hex());
        }
        text
    }
}

/// The keys of one device in one epoch.
#[derive(Clone)]
pub struct DeviceKeys {
    digest: Zeroizing<[u8; 32]>,
    token: Zeroizing<[u8; 32]>,
    opening: Token,
}

impl DeviceKeys {
    /// Derives the keys of a device.
    #[must_use]
    pub fn derive(store: &StoreKey, device: &DeviceName) -> Self {
        let mut material = Zeroizing::new(Vec::with_capacity(32 + device.as_str().len()));
        material.extend_from_slice(store.0.as_ref());
        material.extend_from_slice(device.as_str().as_bytes());
        let key = Zeroizing::new(blake3::derive_key("confvault 1 device", &material));
        let digest = Zeroizing::new(blake3::derive_key("confvault 1 digest", key.as_ref()));
        let token = Zeroizing::new(blake3::derive_key("confvault 1 token", key.as_ref()));
        let opening = Token::of(&token, super::OPENING);
        Self { digest, token, opening }
    }

    /// Gives the keyed digest of bytes.
    #[must_use]
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        Digest(*blake3::keyed_hash(&self.digest, bytes).as_bytes())
    }

    /// Begins a keyed digest of bytes that come piece by piece.
    #[must_use]
    pub fn digest_writer(&self) -> DigestWriter {
        DigestWriter(blake3::Hasher::new_keyed(&self.digest))
    }

    /// Gives the token that stands for a secret.
    #[must_use]
    pub fn token(&self, secret: &[u8]) -> Token {
        Token::of(&self.token, secret)
    }

    /// Gives the token of the opening itself.
    pub(super) fn opening(&self) -> Token {
        self.opening
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys([secret])")
    }
}

/// A keyed digest of bytes that come piece by piece; write to it, then [`finish`](Self::finish).
pub struct DigestWriter(blake3::Hasher);

impl DigestWriter {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Gives the digest of everything written.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

impl fmt::Debug for DigestWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestWriter")
    }
}

impl Write for DigestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
