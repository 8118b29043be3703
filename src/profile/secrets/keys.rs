//! Globs over the names of settings.

/// A glob over keys: `*` is any text, `_` or `-` an optional separator, `.` a separator that must
/// be there; letters match in any case. Digits that end the key are left out if the glob does not
/// match with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyGlob {
    pieces: Vec<u8>,
}

/// A key that globs are asked of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'k> {
    whole: &'k [u8],
    /// Without the digits at its end, if there are any and something is before them.
    bare: Option<&'k [u8]>,
}

impl<'k> Key<'k> {
    pub(super) fn new(whole: &'k [u8]) -> Self {
        // `Password_1_` has a separator behind its number.
        let key = &whole[..whole.iter().rposition(|b| !is_separator(*b)).map_or(0, |at| at + 1)];
        let cut = key.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
        let cut = key[..cut].iter().rposition(|b| !is_separator(*b)).map_or(0, |at| at + 1);
        Self { whole, bare: (cut < key.len() && cut > 0).then_some(&key[..cut]) }
    }
}

fn is_separator(b: u8) -> bool {
    matches!(b, b'_' | b'-' | b'.')
}

/// Tells whether a byte can be part of a key.
pub(super) fn is_key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || is_separator(b)
}

impl KeyGlob {
    pub(super) fn new(text: &str) -> Self {
        let pieces = text.bytes().map(|b| if b == b'-' { b'_' } else { b.to_ascii_lowercase() }).collect();
        Self { pieces }
    }

    /// Gives the longest text that stands in every key that matches.
    pub(super) fn literal(&self) -> &[u8] {
        let mut best: &[u8] = &[];
        for piece in self.pieces.split(|b| matches!(b, b'*' | b'_' | b'.')) {
            if piece.len() > best.len() {
                best = piece;
            }
        }
        best
    }

    pub(super) fn matches(&self, key: Key<'_>) -> bool {
        let fits = |key: &[u8]| self.ends(key) && go(&self.pieces, key);
        fits(key.whole) || key.bare.is_some_and(fits)
    }

    /// Tells whether the last letters do not forbid a match: few globs pass, and the rest need no look at the whole.
    fn ends(&self, key: &[u8]) -> bool {
        match (self.pieces.last(), key.last()) {
            (Some(b'*' | b'_' | b'.') | None, _) => true,
            (Some(glob), Some(key)) => key.to_ascii_lowercase() == *glob,
            (Some(_), None) => false,
        }
    }
}

/// Matches recursively; keys are short and globs have few stars.
fn go(glob: &[u8], key: &[u8]) -> bool {
    let Some((&first, rest)) = glob.split_first() else { return key.is_empty() };
    match first {
        b'*' => match rest.first() {
            None => true,
            Some(b'*' | b'_' | b'.') => (0..=key.len()).any(|at| go(rest, &key[at..])),
            // Most places fail at the first letter.
            Some(next) => key.iter().enumerate().any(|(at, k)| k.to_ascii_lowercase() == *next && go(&rest[1..], &key[at + 1..])),
        },
        b'_' => (key.first().is_some_and(|b| is_separator(*b)) && go(rest, &key[1..])) || go(rest, key),
        b'.' => key.first().is_some_and(|b| is_separator(*b)) && go(rest, &key[1..]),
        b => key.first().is_some_and(|k| k.to_ascii_lowercase() == b) && go(rest, &key[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_optional_or_not() {
        let yes = [
            ("*api_key", "X-Api-Key"),
            ("*api_key", "apikey"),
            ("*.pin", "vm.pin"),
            ("*.pin", "user_pin2"),
            ("account.*.password", "account.1.password"),
            ("*pass", "AMPDBPASS"),
            ("p34", "P34"),
            ("*password", "password_3"),
            ("*password", "Password_1_"),
        ];
        for (glob, key) in yes {
            assert!(KeyGlob::new(glob).matches(Key::new(key.as_bytes())), "{glob} {key}");
        }
        let no = [
            ("*.pin", "spin"),
            ("*.pin", "pin"),
            ("*pass", "passive"),
            ("p34", "P342"),
            ("p34", "P3"),
            ("*password", "password_file"),
        ];
        for (glob, key) in no {
            assert!(!KeyGlob::new(glob).matches(Key::new(key.as_bytes())), "{glob} {key}");
        }
        assert_eq!(KeyGlob::new("*api_token*").literal(), b"token");
    }
}
