//! The path of a file on its device, below its scope.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says why bytes are not a [`ConfigPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path is empty, absolute, or has an empty, `.` or `..` component.
    #[error("Path leads outside its set: {0}")]
    Escapes(String),
    /// The path holds a NUL byte.
    #[error("Path holds a NUL byte: {0}")]
    Nul(String),
    /// A component has over 255 bytes, or the path over 4,096.
    #[error("Path is too long: {0}")]
    TooLong(String),
    /// A percent escape of the written form does not decode.
    #[error("Path is not in its written form: {0}")]
    Escape(String),
}

/// A relative path of a device, as bytes: no empty, `.` or `..` component, no NUL, components of at
/// most 255 bytes, at most 4,096 in all. It need not be UTF-8.
///
/// Its written form (manifest, messages, JSON) is [`fmt::Display`]: control bytes, bytes that are
/// not UTF-8, bidirectional marks and `%` are percent-encoded; [`FromStr`] reads it back exactly.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigPath(Vec<u8>);

impl ConfigPath {
    /// Takes the raw bytes of a path; a leading `./` is not dropped, a leading `/` is refused.
    ///
    /// # Errors
    /// [`PathError`] where an invariant of the type does not hold.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let bytes: Vec<u8> = bytes.into();
        let shown = || escape(&bytes[..bytes.len().min(160)]);
        if bytes.len() > 4096 {
            return Err(PathError::TooLong(shown()));
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul(shown()));
        }
        for part in bytes.split(|&b| b == b'/') {
            if part.is_empty() || part == b"." || part == b".." {
                return Err(PathError::Escapes(shown()));
            }
            if part.len() > 255 {
                return Err(PathError::TooLong(shown()));
            }
        }
        Ok(Self(bytes))
    }

    /// Gives the raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Iterates over the components.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }

    /// Gives the path above this one, or nothing for a single component.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|&b| b == b'/')?;
        Some(Self(self.0[..cut].to_vec()))
    }

    /// Gives this path with one component more.
    ///
    /// # Errors
    /// [`PathError`] where the component, or the whole, is not allowed.
    pub fn join(&self, component: &[u8]) -> Result<Self, PathError> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(component);
        Self::new(bytes)
    }
}

/// Writes bytes with `%XX` for what must not stand raw in a line of text.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() || is_hidden(c) {
                let mut buffer = [0; 4];
                for b in c.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("%{b:02X}"));
                }
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Characters that change how a line reads without being seen: bidirectional and zero-width marks.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigPath({self})")
    }
}

impl FromStr for ConfigPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        let bytes = text.as_bytes();
        let bad = || PathError::Escape(escape(&bytes[..bytes.len().min(160)]));
        let mut out = Vec::with_capacity(bytes.len());
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'%' {
                let hex = text.get(i + 1..i + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(bad)?;
                out.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
                i += 3;
            } else {
                out.push(bytes[i]);
                i += 1;
            }
        }
        Self::new(out)
    }
}

impl TryFrom<String> for ConfigPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<ConfigPath> for String {
    fn from(path: ConfigPath) -> String {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_outside() {
        for bad in [&b"../x"[..], b"/etc/x", b"a//b", b"a/./b", b"a/..", b"", b"a\0b", b"a/"] {
            assert!(ConfigPath::new(bad).is_err(), "{bad:?}");
        }
        assert!("a/%2E%2E/b".parse::<ConfigPath>().is_err());
        assert!(serde_json::from_str::<ConfigPath>("\"../x\"").is_err());
    }

    #[test]
    fn the_written_form_comes_back_exactly() {
        for raw in
            [&b"etc/asterisk/sip.conf"[..], b"100%", b"a\nb", b"\xff\xfe/x", "umlaut-ä".as_bytes(), "rtl\u{202e}x".as_bytes()]
        {
            let path = ConfigPath::new(raw).unwrap();
            let text = path.to_string();
            assert!(!text.chars().any(|c| c.is_control() || is_hidden(c)), "{text}");
            assert_eq!(text.parse::<ConfigPath>().unwrap(), path);
        }
    }
}
