//! Signatures in git's SSH format ("Signatures" in `docs/format.md`).

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ed25519_dalek::Signer as _;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, Signature, SshSig, rand_core::OsRng};
use zeroize::Zeroizing;

use super::{Error, read_private, write_private};

/// The namespace of git's signatures.
const NAMESPACE: &str = "git";

/// The fingerprint of a public key, as OpenSSH writes it: `SHA256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse::<ssh_key::Fingerprint>() {
            Ok(print) if print.is_sha256() && print.to_string() == text => Ok(Self(text.to_owned())),
            _ => Err(Error::Malformed { what: "key fingerprint (SHA256:…)" }),
        }
    }
}

/// An Ed25519 public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    /// The fingerprint to compare by eye, and to name the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.0.fingerprint(HashAlg::Sha256).to_string())
    }

    fn key_data(&self) -> &ssh_key::public::KeyData {
        self.0.key_data()
    }
}

impl fmt::Display for PublicKey {
    /// Writes `ssh-ed25519 AAAA…`, without a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = ssh_key::PublicKey::new(self.0.key_data().clone(), "");
        f.write_str(bare.to_openssh().map_err(|_| fmt::Error)?.trim_end())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Malformed { what: "ssh-ed25519 public key" };
        let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| bad())?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(bad());
        }
        Ok(Self(ssh_key::PublicKey::new(key.key_data().clone(), "")))
    }
}

/// The Ed25519 key by which a collector or an administrator signs.
#[derive(Clone)]
pub struct SigningKey {
    key: PrivateKey,
    /// The same, ready to sign.
    signer: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the system gives no randomness.
    pub fn generate(comment: &str) -> Result<Self, Error> {
        let bad = |_| Error::Malformed { what: "signing key" };
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(bad)?;
        key.set_comment(comment);
        Self::of(key).ok_or(Error::Malformed { what: "signing key" })
    }

    /// Takes a key that is an Ed25519 key, unencrypted, whose halves belong together.
    fn of(key: PrivateKey) -> Option<Self> {
        let signer = ed25519_dalek::SigningKey::try_from(key.key_data().ed25519()?).ok()?;
        Some(Self { key, signer })
    }

    /// Makes a new key and writes it as an OpenSSH private key of mode 0600; refuses to overwrite.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if the file exists or cannot be written.
    pub fn create(path: &Path, comment: &str) -> Result<Self, Error> {
        let key = Self::generate(comment)?;
        write_private(path, key.to_openssh().as_bytes())?;
        Ok(key)
    }

    /// Writes the key as an OpenSSH private key.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        self.key.to_openssh(LineEnding::LF).expect("an Ed25519 key always has an OpenSSH form")
    }

    /// Reads an unencrypted OpenSSH Ed25519 private key.
    ///
    /// # Errors
    /// Those of [`read_private`]; [`Error::NotAKey`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = read_private(path)?;
        let key = PrivateKey::from_openssh(file.expose()).ok().and_then(Self::of);
        key.ok_or_else(|| Error::NotAKey { what: "signing key (ssh-ed25519, without a passphrase)", path: path.to_owned() })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(ssh_key::PublicKey::new(self.key.public_key().key_data().clone(), ""))
    }

    /// The fingerprint of the public half.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.public().fingerprint()
    }

    /// Signs a commit without its `gpgsig` header, or a tag without its signature, for git.
    ///
    /// Gives the armour, which ends with LF.
    ///
    /// # Errors
    /// [`Error::Signature`]; it does not happen with a key that was loaded.
    pub fn sign(&self, payload: &[u8]) -> Result<String, Error> {
        let armour = || {
            let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, payload)?;
            let signature = Signature::new(Algorithm::Ed25519, self.signer.sign(&data).to_bytes())?;
            let public = self.key.public_key().key_data().clone();
            SshSig::new(public, NAMESPACE, HashAlg::Sha512, signature)?.to_pem(LineEnding::LF)
        };
        let mut armour = armour().map_err(|_| Error::Signature)?;
        if !armour.ends_with('\n') {
            armour.push('\n');
        }
        Ok(armour)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

/// A line of git's allowed-signers format: who may sign, by which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSigner {
    /// The principal, `<collector>@confvault` for a collector.
    pub principal: String,
    /// The key.
    pub key: PublicKey,
}

/// Reads lines `<principal> namespaces="git" ssh-ed25519 AAAA…`; empty lines and lines that begin with
/// `#` are left out.
///
/// # Errors
/// [`Error::Signers`] for a line of any other form.
pub fn parse_signers(text: &[u8]) -> Result<Vec<AllowedSigner>, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Signers { line: 1 })?;
    let mut signers = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || Error::Signers { line: at + 1 };
        let (principal, rest) = line.split_once(' ').ok_or_else(bad)?;
        let key = rest.strip_prefix("namespaces=\"git\" ").ok_or_else(bad)?;
        if !is_principal(principal) {
            return Err(bad());
        }
        signers.push(AllowedSigner { principal: principal.to_owned(), key: key.parse().map_err(|_| bad())? });
    }
    Ok(signers)
}

/// No patterns, no lists: one principal.
fn is_principal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@'))
}

/// Writes signers in git's allowed-signers format.
#[must_use]
pub fn write_signers(signers: &[AllowedSigner]) -> String {
    signers.iter().map(|s| format!("{} namespaces=\"{NAMESPACE}\" {}\n", s.principal, s.key)).collect()
}

/// Checks a signature over a payload and tells who of the signers made it.
///
/// # Errors
/// [`Error::Signature`] if it is malformed, of another namespace or hash, or does not fit the payload;
/// [`Error::SignerUnknown`] if it fits, but by a key that is not among `signers`.
pub fn verify<'a>(payload: &[u8], armour: &str, signers: &'a [AllowedSigner]) -> Result<&'a AllowedSigner, Error> {
    let signature: SshSig = armour.trim_end().parse().map_err(|_| Error::Signature)?;
    let key = ssh_key::PublicKey::new(signature.public_key().clone(), "");
    if key.algorithm() != Algorithm::Ed25519 || signature.hash_alg() != HashAlg::Sha512 {
        return Err(Error::Signature);
    }
    key.verify(NAMESPACE, payload, &signature).map_err(|_| Error::Signature)?;
    let known = signers.iter().find(|s| s.key.key_data() == key.key_data());
    known.ok_or_else(|| Error::SignerUnknown(PublicKey(key).fingerprint()))
}

/// Tells by which key a signature claims to be made, without checking it.
///
/// # Errors
/// [`Error::Signature`].
pub fn signer_of(armour: &str) -> Result<Fingerprint, Error> {
    let signature: SshSig = armour.trim_end().parse().map_err(|_| Error::Signature)?;
    Ok(PublicKey(ssh_key::PublicKey::new(signature.public_key().clone(), "")).fingerprint())
}
