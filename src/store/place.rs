//! Where an entry lies in a tree: path components as git may hold them ("The tree" in
//! `docs/format.md`).
//!
//! What comes from a device is free to be called `.git`, `GIT~1` or `x `; git, a checkout or a file
//! system would act on such a name, so the tree has an escaped one. The escape is exact: `%` itself
//! is always escaped, so two names never become one.

use std::borrow::Cow;

/// Code points that HFS+ ignores in a name: `.g\u{200c}it` is `.git` there.
fn ignored(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Tells whether a component begins, as HFS+ reads it, with one of the names that git acts on.
fn special(component: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b".git", b".mailmap"];
    if component.is_ascii() {
        return NAMES.iter().any(|n| component.get(..n.len()).is_some_and(|c| c.eq_ignore_ascii_case(n)));
    }
    let mut seen = Vec::with_capacity(8);
    for chunk in component.utf8_chunks() {
        seen.extend(chunk.valid().chars().filter(|c| !ignored(*c)).take(8).map(|c| u8::try_from(c).unwrap_or(b'?')));
        if !chunk.invalid().is_empty() || seen.len() >= 8 {
            break;
        }
    }
    NAMES.iter().any(|n| seen.get(..n.len()).is_some_and(|c| c.eq_ignore_ascii_case(n)))
}

/// Gives the name under which a component of a path stands in a tree.
#[must_use]
pub fn encode(component: &[u8]) -> Cow<'_, [u8]> {
    let first = special(component);
    let escapes = |i: usize, b: u8| {
        let last = i + 1 == component.len();
        matches!(b, b'%' | b'\\' | 0x7f)
            || b < 0x20
            || (i == 0 && first)
            || (last && matches!(b, b'.' | b' '))
            || (b == b'~' && component.get(i + 1).is_some_and(u8::is_ascii_digit))
    };
    if !component.iter().enumerate().any(|(i, b)| escapes(i, *b)) {
        return Cow::Borrowed(component);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(component.len() + 8);
    for (i, b) in component.iter().enumerate() {
        if escapes(i, *b) {
            out.extend([b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        } else {
            out.push(*b);
        }
    }
    Cow::Owned(out)
}

/// Gives the component behind a name in a tree; nothing if the name is not what [`encode`] writes.
#[must_use]
pub fn decode(name: &[u8]) -> Option<Vec<u8>> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    let mut out = Vec::with_capacity(name.len());
    let mut i = 0;
    while i < name.len() {
        if name[i] == b'%' {
            let (high, low) = (nibble(*name.get(i + 1)?)?, nibble(*name.get(i + 2)?)?);
            out.push(high << 4 | low);
            i += 3;
        } else {
            out.push(name[i]);
            i += 1;
        }
    }
    (encode(&out).as_ref() == name).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_acts_on_is_escaped_and_comes_back() {
        let hostile: [&[u8]; 19] = [
            b".git",
            b".GIT",
            b".gitattributes",
            b".gitmodules",
            b".mailmap",
            b"git~1",
            b"GITMOD~1",
            b"gi7eba~4",
            ".g\u{200c}it".as_bytes(),
            "\u{200c}.git".as_bytes(),
            ".mail\u{feff}map".as_bytes(),
            b"a\\b",
            b"a\nb",
            b"\x7f",
            b"x.",
            b"x ",
            b" ",
            b"100%",
            b"%2Egit",
        ];
        for name in hostile {
            let written = encode(name);
            assert_ne!(written.as_ref(), name, "{}", name.escape_ascii());
            assert!(!special(&written), "{}", written.escape_ascii());
            assert_eq!(decode(&written).unwrap(), name);
        }
    }

    #[test]
    fn ordinary_names_stay_readable() {
        for name in [&b"sip.conf"[..], b"sip.conf~", b"a b", b".bashrc", b"gitea.ini", "umlaut-\u{e4}".as_bytes(), b"\xff\xfe"] {
            assert!(matches!(encode(name), Cow::Borrowed(_)), "{}", name.escape_ascii());
            assert_eq!(decode(name).unwrap(), name);
        }
    }

    #[test]
    fn only_the_one_written_form_decodes() {
        for name in [&b"%2egit"[..], b"%61", b"%", b"%4", b"%ZZ", b".git", b"a%20b"] {
            assert_eq!(decode(name), None, "{}", name.escape_ascii());
        }
    }
}
