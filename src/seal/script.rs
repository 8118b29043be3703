//! The secrets of a generation as a `sed` script: the plain text of `.confvault/secrets.age`.

use zeroize::Zeroizing;

use super::{Error, OPENING, Secret, SecretMap, Token};
use crate::model::DeviceName;

const HEAD: &[u8] = b"# confvault-secrets 1 ";

/// Writes the script that puts the secrets of a device's masked texts back.
///
/// `LC_ALL=C sed -f SCRIPT MASKED` gives the plain text: no value holds the opening of a token except
/// the opening's own, whose line stands last.
#[must_use]
pub fn write(device: &DeviceName, secrets: &SecretMap) -> Zeroizing<Vec<u8>> {
    write_each(device, secrets.iter().map(|(token, secret)| (*token, secret.expose())))
}

/// As [`write()`], of secrets that come in the order of their tokens, each once.
pub fn write_each<'s>(device: &DeviceName, secrets: impl Iterator<Item = (Token, &'s [u8])> + Clone) -> Zeroizing<Vec<u8>> {
    let escapes = |secret: &[u8]| if needs_escapes(secret) { secret.iter().filter(|b| is_special(**b)).count() } else { 0 };
    let size: usize = secrets.clone().map(|(_, secret)| secret.len() + escapes(secret) + Token::LEN + 6).sum();
    // All at once, so that no copy of the secrets is left behind by growing.
    let mut out = Zeroizing::new(Vec::with_capacity(HEAD.len() + device.as_str().len() + 1 + size));
    out.extend_from_slice(HEAD);
    out.extend_from_slice(device.as_str().as_bytes());
    out.push(b'\n');
    let is_last = |(_, secret): &(Token, &[u8])| *secret == OPENING;
    for (token, secret) in secrets.clone().filter(|s| !is_last(s)).chain(secrets.filter(is_last)) {
        out.extend_from_slice(b"s/");
        out.extend_from_slice(&token.to_bytes());
        out.push(b'/');
        // Runs of bytes that stand for themselves are copied whole.
        let mut rest = secret;
        while needs_escapes(rest)
            && let Some(at) = rest.iter().position(|b| is_special(*b))
        {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(&[b'\\', if rest[at] == b'\n' { b'n' } else { rest[at] }]);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        out.extend_from_slice(b"/g\n");
    }
    out
}

/// Tells whether `sed` would take a byte for something else in what it puts in.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\\' | b'/' | b'&')
}

/// Tells whether a secret has a special byte: few have, and this looks at many bytes at once.
fn needs_escapes(secret: &[u8]) -> bool {
    secret.iter().fold(false, |any, b| any | (*b == b'\n') | (*b == b'\\') | (*b == b'/') | (*b == b'&'))
}

/// Reads a script that [`write()`] made; accepts nothing else.
///
/// # Errors
/// [`Error::Script`], [`Error::ScriptDevice`].
pub fn parse(device: &DeviceName, script: &[u8]) -> Result<SecretMap, Error> {
    let body = script.strip_suffix(b"\n").ok_or(Error::Script { line: 1, rule: "the last line has no end" })?;
    let mut lines = body.split(|b| *b == b'\n');
    let head = lines.next().unwrap_or_default();
    let name = head.strip_prefix(HEAD).ok_or(Error::Script { line: 1, rule: "not a list of secrets of version 1" })?;
    if name != device.as_str().as_bytes() {
        return Err(Error::ScriptDevice);
    }
    let mut secrets = SecretMap::new();
    for (at, line) in lines.enumerate() {
        let bad = |rule| Error::Script { line: at + 2, rule };
        let rest = line.strip_prefix(b"s/").ok_or(bad("not a substitution"))?;
        let token = Token::at_start(rest).ok_or(bad("not a token"))?;
        let rest = rest[Token::LEN..].strip_prefix(b"/").ok_or(bad("not a token"))?;
        let value = rest.strip_suffix(b"/g").ok_or(bad("not a substitution of all"))?;
        let value = unescape(value).ok_or(bad("a wrong escape"))?;
        if value.expose().is_empty() {
            return Err(bad("an empty secret"));
        }
        if secrets.insert(token, value).is_some() {
            return Err(bad("a token twice"));
        }
    }
    // What remains is the order of the lines, and the openings inside of values.
    if *write(device, &secrets) != script {
        return Err(Error::Script { line: 1, rule: "the lines are not in order" });
    }
    if secrets.values().any(|s| s.expose() != OPENING && memchr::memmem::find(s.expose(), OPENING).is_some()) {
        return Err(Error::Script { line: 1, rule: "a secret holds the opening of a token" });
    }
    Ok(secrets)
}

fn unescape(value: &[u8]) -> Option<Secret> {
    let mut out = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                b'n' => out.push(b'\n'),
                byte @ (b'\\' | b'/' | b'&') => out.push(*byte),
                _ => return None,
            },
            b'/' | b'&' => return None,
            byte => out.push(*byte),
        }
    }
    Some(Secret::new(std::mem::take(&mut *out)))
}
