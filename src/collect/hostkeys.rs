//! Host keys: which are pinned, which the user's own OpenSSH knows, and what a key shown means.
//!
//! A pin stands in the file `known_hosts` in the folder of the store, in OpenSSH's format, under the name
//! of the device in place of its address: an address that another device takes over is noticed. Where
//! a device has a pin, nothing else counts for it; else the user's `known_hosts` does. What neither
//! knows is refused, and nothing here learns a key by itself.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use ssh_key::{HashAlg, PublicKey};

use crate::model::DeviceName;

/// Name of the file with the pins in the folder of the store.
pub const PINS_FILE: &str = "known_hosts";
/// Files of known hosts above this size are refused, in bytes.
const FILE_LIMIT: u64 = 64 << 20;

/// Says why a list of host keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// The file cannot be read.
    #[error("List of host keys cannot be read: {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("List of host keys cannot be written: {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A line of the list of pins is no host key; a pin that is not understood must not count as none.
    #[error("Line {line} is no host key: {}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// What a device showed is no host key.
    #[error("The device showed something that is no host key")]
    NotAKey,
}

/// A host key as a device showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    /// Takes the key as it goes over the wire.
    ///
    /// # Errors
    /// [`HostKeyError::NotAKey`].
    pub fn from_wire(bytes: &[u8]) -> Result<Self, HostKeyError> {
        PublicKey::from_bytes(bytes).map(Self).map_err(|_| HostKeyError::NotAKey)
    }

    /// Its algorithm, such as `ssh-ed25519`.
    #[must_use]
    pub fn kind(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// Its fingerprint, `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    fn same(&self, other: &PublicKey) -> bool {
        self.0.key_data() == other.key_data()
    }
}

/// What the lists say of a key that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key is known.
    Known,
    /// No list has a key for the device.
    Unknown,
    /// The lists have other keys for it: these fingerprints.
    Changed(Vec<String>),
    /// The key is marked as revoked.
    Revoked,
}

/// A list in OpenSSH's format.
#[derive(Debug, Default)]
pub struct KnownHosts {
    exact: HashMap<String, Vec<PublicKey>>,
    hashed: Vec<(Vec<u8>, [u8; 20], PublicKey)>,
    patterns: Vec<(Vec<String>, PublicKey)>,
    revoked: Vec<PublicKey>,
}

impl KnownHosts {
    /// Reads a list; one that is not there is empty. With `strict` every line must be understood.
    ///
    /// # Errors
    /// [`HostKeyError::Read`], and [`HostKeyError::Line`] if strict.
    pub fn read(path: &Path, strict: bool) -> Result<Self, HostKeyError> {
        let failed = |source| HostKeyError::Read { path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
            Ok(meta) if meta.len() > FILE_LIMIT => return Err(failed(std::io::ErrorKind::FileTooLarge.into())),
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).map_err(failed)?).into_owned();
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.parse::<Entry>() {
                Ok(entry) => list.add(entry),
                Err(_) if strict => return Err(HostKeyError::Line { path: path.to_owned(), line: number + 1 }),
                Err(_) => {}
            }
        }
        Ok(list)
    }

    fn add(&mut self, entry: Entry) {
        let key = entry.public_key().clone();
        match entry.marker() {
            Some(Marker::Revoked) => return self.revoked.push(key),
            // Certificates of hosts are not used: the key itself must be known.
            Some(Marker::CertAuthority) => return,
            None => {}
        }
        match entry.host_patterns() {
            HostPatterns::HashedName { salt, hash } => self.hashed.push((salt.clone(), *hash, key)),
            HostPatterns::Patterns(patterns) if patterns.iter().any(|p| p.contains(['*', '?', '!'])) => {
                self.patterns.push((patterns.clone(), key));
            }
            HostPatterns::Patterns(names) => {
                for name in names {
                    self.exact.entry(name.to_ascii_lowercase()).or_default().push(key.clone());
                }
            }
        }
    }

    /// The keys known for a name as the list has it: `host`, or `[host]:port` where the port is not 22.
    #[must_use]
    pub fn keys(&self, name: &str) -> Vec<&PublicKey> {
        let name = name.to_ascii_lowercase();
        let mut keys: Vec<&PublicKey> = self.exact.get(&name).into_iter().flatten().collect();
        keys.extend(self.hashed.iter().filter(|(salt, hash, _)| hmac_sha1(salt, name.as_bytes()) == *hash).map(|h| &h.2));
        keys.extend(self.patterns.iter().filter(|(patterns, _)| matches(patterns, &name)).map(|p| &p.1));
        keys
    }

    fn revokes(&self, key: &HostKey) -> bool {
        self.revoked.iter().any(|revoked| key.same(revoked))
    }
}

/// The lists that count for one connection, and the names under which it stands in them.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The pins.
    pub pins: &'a KnownHosts,
    /// The name of the device among the pins.
    pub pin_name: &'a str,
    /// The user's own lists.
    pub known: &'a [KnownHosts],
    /// The name in the user's own lists.
    pub known_name: &'a str,
}

impl Expected<'_> {
    /// The keys that are expected; none where the device is not known.
    #[must_use]
    pub fn keys(&self) -> Vec<&PublicKey> {
        let pinned = self.pins.keys(self.pin_name);
        if !pinned.is_empty() {
            return pinned;
        }
        self.known.iter().flat_map(|list| list.keys(self.known_name)).collect()
    }

    /// Judges a key that was shown.
    #[must_use]
    pub fn judge(&self, shown: &HostKey) -> Verdict {
        if self.pins.revokes(shown) || self.known.iter().any(|list| list.revokes(shown)) {
            return Verdict::Revoked;
        }
        let keys = self.keys();
        if keys.iter().any(|key| shown.same(key)) {
            Verdict::Known
        } else if keys.is_empty() {
            Verdict::Unknown
        } else {
            Verdict::Changed(keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect())
        }
    }
}

/// The name of a host in a list of OpenSSH.
#[must_use]
pub fn list_name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// A key to be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The device.
    pub device: DeviceName,
    /// Its key.
    pub key: HostKey,
    /// What stands behind it in the file: how it came to be trusted.
    pub comment: String,
}

/// Pins a key for a device in place of the keys that it has; lines of other devices stay as they are.
///
/// # Errors
/// As [`pin_all`].
pub fn pin(root: &Path, device: &DeviceName, key: &HostKey, comment: &str) -> Result<(), HostKeyError> {
    pin_all(root, &[Pin { device: device.clone(), key: key.clone(), comment: comment.to_owned() }])
}

/// Pins a key for each of the devices, as [`pin`] does.
///
/// # Errors
/// [`HostKeyError::Read`], [`HostKeyError::Write`], and [`HostKeyError::Line`] where the file has lines
/// that are no host keys.
pub fn pin_all(root: &Path, pins: &[Pin]) -> Result<(), HostKeyError> {
    let path = root.join(PINS_FILE);
    KnownHosts::read(&path, true)?;
    let old = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|source| HostKeyError::Read { path: path.clone(), source })?,
    };
    let devices: BTreeSet<&str> = pins.iter().map(|pin| pin.device.as_str()).collect();
    let stays = |line: &&str| line.split_once(' ').is_none_or(|(device, _)| !devices.contains(device));
    let mut text: String = old.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    for pin in pins {
        let mut public = pin.key.0.clone();
        public.set_comment(pin.comment.chars().filter(|c| !c.is_control()).collect::<String>());
        let written = public.to_openssh().map_err(|_| HostKeyError::NotAKey)?;
        text.push_str(&format!("{} {written}\n", pin.device));
    }
    crate::fsio::write_file(&path, text.as_bytes(), 0o644)
        .map_err(|error| HostKeyError::Write { path: path.clone(), source: Box::new(error) })
}

/// OpenSSH's rule: one pattern must match, and none of those behind `!`.
pub(super) fn matches(patterns: &[String], name: &str) -> bool {
    let mut any = false;
    for pattern in patterns {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('!') {
            Some(not) if wildcard(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => any |= wildcard(pattern.as_bytes(), name.as_bytes()),
        }
    }
    any
}

/// Matches `*` and `?`, in linear space and without recursion.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha1::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

    fn key(text: &str) -> HostKey {
        HostKey(PublicKey::from_openssh(text).unwrap())
    }

    fn list(text: &str) -> KnownHosts {
        let mut list = KnownHosts::default();
        text.lines().for_each(|line| list.add(line.parse().unwrap()));
        list
    }

    #[test]
    fn a_pin_overrules_the_users_list() {
        let known = [list(&format!("gw.example,10.0.0.1 {TWO}"))];
        let pins = list(&format!("gw-1 {ONE}"));
        let expected = Expected { pins: &pins, pin_name: "gw-1", known: &known, known_name: "gw.example" };
        assert_eq!(expected.judge(&key(ONE)), Verdict::Known);
        assert_eq!(expected.judge(&key(TWO)), Verdict::Changed(vec![key(ONE).fingerprint()]));
        let other = Expected { pin_name: "gw-2", ..expected };
        assert_eq!(other.judge(&key(TWO)), Verdict::Known);
        assert_eq!(Expected { known_name: "x", ..other }.judge(&key(TWO)), Verdict::Unknown);
    }

    #[test]
    fn openssh_lists_are_understood() {
        // `ssh-keygen -H` of `gw.example`, checked against OpenSSH 9.2.
        let salt = [7_u8; 20];
        let hash = hmac_sha1(&salt, b"[gw.example]:2222");
        let mut known = list(&format!("*.lab,!bad.lab {ONE}\n@revoked * {TWO}"));
        known.hashed.push((salt.to_vec(), hash, key(ONE).0));
        let none = KnownHosts::default();
        let known = [known];
        let at = |name| Expected { pins: &none, pin_name: "x", known: &known, known_name: name };
        assert_eq!(at("a.lab").judge(&key(ONE)), Verdict::Known);
        assert_eq!(at("bad.lab").judge(&key(ONE)), Verdict::Unknown);
        assert_eq!(at("a.lab").judge(&key(TWO)), Verdict::Revoked);
        let (there, here) = (list_name("gw.example", 2222), list_name("gw.example", 22));
        assert_eq!(at(&there).judge(&key(ONE)), Verdict::Known);
        assert_eq!(at(&here).judge(&key(ONE)), Verdict::Unknown);
    }

    #[test]
    fn hmac_is_the_one_of_rfc_2202() {
        let hex = |bytes: [u8; 20]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(hmac_sha1(&[0x0b; 20], b"Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(
            hex(hmac_sha1(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        );
    }

    #[test]
    fn pinning_replaces_only_the_devices_own_keys() {
        let root = tempfile::tempdir().unwrap();
        let (a, b): (DeviceName, DeviceName) = ("gw-1".parse().unwrap(), "gw-10".parse().unwrap());
        pin(root.path(), &a, &key(ONE), "accepted").unwrap();
        pin(root.path(), &b, &key(ONE), "accepted").unwrap();
        pin(root.path(), &a, &key(TWO), "compared").unwrap();
        let pins = KnownHosts::read(&root.path().join(PINS_FILE), true).unwrap();
        assert!(key(TWO).same(pins.keys("gw-1")[0]) && pins.keys("gw-1").len() == 1);
        assert!(key(ONE).same(pins.keys("gw-10")[0]));
        std::fs::write(root.path().join(PINS_FILE), "gw-1 nonsense\n").unwrap();
        assert!(matches!(pin(root.path(), &a, &key(ONE), ""), Err(HostKeyError::Line { line: 1, .. })));
    }
}
