//! Tokens: what stands in a masked text in the place of a secret.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// What every token begins with. In a masked text these bytes stand nowhere else.
pub const OPENING: &[u8] = b"{{sealed:";

const CLOSING: &[u8] = b"}}";

/// A token `{{sealed:<32 hexadecimal digits>}}`: the first 16 bytes of a keyed BLAKE3 of the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token([u8; 16]);

impl Token {
    /// Length of a written token in bytes.
    pub const LEN: usize = OPENING.len() + 32 + CLOSING.len();

    pub(super) fn of(key: &[u8; 32], secret: &[u8]) -> Self {
        let hash = blake3::keyed_hash(key, secret);
        let mut token = [0; 16];
        token.copy_from_slice(&hash.as_bytes()[..16]);
        Self(token)
    }

    /// Reads the token that bytes begin with; nothing if they begin with none.
    #[must_use]
    pub fn at_start(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_prefix(OPENING)?;
        if digits.get(32..34)? != CLOSING {
            return None;
        }
        let nibble = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut out = [0; 16];
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(out))
    }

    /// Writes the token.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0; Self::LEN];
        out[..OPENING.len()].copy_from_slice(OPENING);
        for (i, b) in self.0.iter().enumerate() {
            out[OPENING.len() + 2 * i] = HEX[usize::from(b >> 4)];
            out[OPENING.len() + 2 * i + 1] = HEX[usize::from(b & 15)];
        }
        out[Self::LEN - CLOSING.len()..].copy_from_slice(CLOSING);
        out
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_bytes()).expect("a token is ASCII"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::at_start(text.as_bytes()).filter(|_| text.len() == Self::LEN).ok_or(Error::Malformed { what: "token" })
    }
}
