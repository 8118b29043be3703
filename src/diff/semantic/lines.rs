//! What the line-based syntaxes share.

use std::borrow::Cow;

/// Gives the lines of a text with their numbers from 1, as text (bytes that are not UTF-8 as `\xNN`), without
/// line ends. A line that ends in a backslash has the next one joined to it.
pub(super) fn lines(bytes: &[u8], join: bool) -> Vec<(usize, Cow<'_, str>)> {
    let mut out: Vec<(usize, Cow<'_, str>)> = Vec::new();
    let mut open = false;
    for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = shown(line.strip_suffix(b"\r").unwrap_or(line));
        match out.last_mut() {
            Some((_, last)) if open => {
                let joined = last.to_mut();
                joined.pop();
                joined.push(' ');
                joined.push_str(line.trim());
            }
            _ => out.push((at + 1, line)),
        }
        open = join && out.last().is_some_and(|(_, last)| last.ends_with('\\'));
    }
    out
}

/// Gives bytes as text; what is not UTF-8 is `\xNN`.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut out = String::new();
            for chunk in bytes.utf8_chunks() {
                out.push_str(chunk.valid());
                chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
            }
            Cow::Owned(out)
        }
    }
}

/// Reads a comment (without its sign) as a default that is only shown: `transport=udp`. Prose is no default: a
/// key has no blanks, and behind a blank the value is short.
pub(super) fn default(comment: &str) -> Option<(&str, &str)> {
    let (key, value) = comment.split_once('=')?;
    let value = value.strip_prefix('>').unwrap_or(value);
    let spaced = key.starts_with([' ', '\t']);
    let key = key.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let words = value.split(" ;").next().unwrap_or("").split_whitespace().count();
    let is_key = !key.is_empty() && key.chars().all(good) && key.chars().any(|c| c.is_ascii_alphanumeric());
    (is_key && !value.starts_with('=') && (!spaced || words <= 2)).then(|| (key, value.trim()))
}
