//! Sealing to one recipient again and again.
//!
//! What is written is the stanza `X25519` of the age format (<https://c2sp.org/age>), as the age crate writes it. Only the
//! agreement on a key is quicker: multiples of the recipient's point are made once, in place of a ladder for each file.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use age::secrecy::ExposeSecret as _;
use age::{EncryptError, x25519};
use age_core::format::{FileKey, Stanza};
use age_core::primitives::{aead_encrypt, hkdf};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curve25519_dalek::edwards::EdwardsBasepointTable;
use curve25519_dalek::traits::BasepointTable as _;
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};
use ssh_key::rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

/// After how many files the multiples are worth what it costs to make them.
const WORTH: u32 = 32;

const LABEL: &[u8] = b"age-encryption.org/v1/X25519";

/// A recipient that many files are sealed to.
pub(super) struct Often {
    recipient: x25519::Recipient,
    sealed: AtomicU32,
    /// Nothing where the recipient's point is not one that multiples can be made of: the age crate seals to it then.
    multiples: OnceLock<Option<Box<Multiples>>>,
}

struct Multiples {
    point: [u8; 32],
    table: EdwardsBasepointTable,
}

impl Multiples {
    fn of(recipient: &x25519::Recipient) -> Option<Box<Self>> {
        let point = point_of(&recipient.to_string())?;
        // Of the two points that have this coordinate either will do: so have their multiples.
        let on_curve = MontgomeryPoint(point).to_edwards(0).filter(|on_curve| !on_curve.is_small_order())?;
        Some(Box::new(Self { point, table: EdwardsBasepointTable::create(&on_curve) }))
    }

    fn wrap(&self, file_key: &FileKey) -> Stanza {
        let mut secret = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(secret.as_mut());
        let share = EdwardsPoint::mul_base_clamped(*secret).to_montgomery().to_bytes();
        let agreed = Zeroizing::new(self.table.mul_base_clamped(*secret).to_montgomery().to_bytes());
        let key = Zeroizing::new(hkdf(&[share, self.point].concat(), LABEL, agreed.as_ref()));
        let body = aead_encrypt(&key, file_key.expose_secret());
        Stanza { tag: "X25519".to_owned(), args: vec![STANDARD_NO_PAD.encode(share)], body }
    }
}

impl Often {
    pub(super) fn new(recipient: x25519::Recipient) -> Self {
        Self { recipient, sealed: AtomicU32::new(0), multiples: OnceLock::new() }
    }
}

impl age::Recipient for Often {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        if self.multiples.get().is_none() && self.sealed.fetch_add(1, Ordering::Relaxed) < WORTH {
            return self.recipient.wrap_file_key(file_key);
        }
        match self.multiples.get_or_init(|| Multiples::of(&self.recipient)) {
            Some(multiples) => Ok((vec![multiples.wrap(file_key)], HashSet::new())),
            None => self.recipient.wrap_file_key(file_key),
        }
    }
}

impl fmt::Debug for Often {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.recipient, f)
    }
}

/// Gives the 32 bytes of a recipient `age1…`, of which the age crate has checked the rest.
fn point_of(text: &str) -> Option<[u8; 32]> {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let (mut out, mut at, mut bits, mut held) = ([0; 32], 0, 0_u32, 0);
    // 32 bytes are 52 letters of five bits; the last six are the checksum.
    for letter in text.strip_prefix("age1")?.bytes().take(52) {
        let five = LETTERS.iter().position(|known| *known == letter)?;
        bits = (bits << 5 | u32::try_from(five).ok()?) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            *out.get_mut(at)? = u8::try_from(bits >> held & 0xff).ok()?;
            at += 1;
        }
    }
    (at == out.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use age::Recipient as _;

    use super::super::age_file::{open_with, seal_to};
    use super::*;

    #[test]
    fn the_age_crate_opens_what_was_sealed_before_and_after_there_are_multiples() {
        for _ in 0..8 {
            let identity = x25519::Identity::generate();
            let often = Often::new(identity.to_public());
            let mut shares = HashSet::new();
            for n in 0..WORTH + 32 {
                assert_eq!(often.multiples.get().is_some(), n > WORTH);
                let sealed = seal_to(std::iter::once(&often as &dyn age::Recipient), &n.to_be_bytes()).unwrap();
                let plain = open_with(&sealed[..], sealed.len(), std::iter::once(&identity as &dyn age::Identity), 64).unwrap();
                assert_eq!(plain.expose(), n.to_be_bytes());
                let header = String::from_utf8_lossy(&sealed);
                let share = header.lines().nth(1).unwrap().to_owned();
                assert!(share.starts_with("-> X25519 ") && share.len() == 53, "{share}");
                assert!(shares.insert(share), "a share was used twice");
            }
            let other = x25519::Identity::generate();
            let sealed = seal_to(std::iter::once(&often as &dyn age::Recipient), b"x").unwrap();
            assert!(open_with(&sealed[..], sealed.len(), std::iter::once(&other as &dyn age::Identity), 64).is_err());
        }
    }

    #[test]
    fn a_stanza_has_the_shape_of_the_age_crates() {
        let often = Often::new(x25519::Identity::generate().to_public());
        let key = FileKey::init_with_mut(|key| key.fill(7));
        let theirs = often.recipient.wrap_file_key(&key).unwrap();
        let ours = Multiples::of(&often.recipient).unwrap().wrap(&key);
        assert_eq!((theirs.0.len(), theirs.1.len()), (1, 0));
        let shape = |stanza: &Stanza| (stanza.tag.clone(), stanza.args.len(), stanza.args[0].len(), stanza.body.len());
        assert_eq!(shape(&theirs.0[0]), shape(&ours));
    }

    #[test]
    fn the_point_is_the_one_that_the_recipient_names() {
        // The identity and the recipient of the age crate's own tests.
        let text = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
        let hex: String = point_of(text).unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5f8662658a1446e3aa0b6fc63c84988966c99f5fa3fc7102c9a73b0690fa9075");
        assert_eq!(point_of("age1t7rxyev2z3rw82st"), None);
        assert_eq!(point_of("ssh-ed25519 AAAA"), None);
    }
}
