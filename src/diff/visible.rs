//! Text that is safe to look at: what a device sends must not reach a terminal raw, and what a reader sees must
//! be what is there.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use super::words;

/// Gives text in which control characters (but TAB), marks that change how a line reads without being seen, and
/// bytes that are not UTF-8 are visible escapes: `\r`, `\x1b`, `\xff`, `\u{202e}`.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c);
        }
        for b in chunk.invalid() {
            write_to(&mut out, format_args!("\\x{b:02x}"));
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\t' => out.push(c),
        '\r' => out.push_str("\\r"),
        '\n' => out.push_str("\\n"),
        c if c.is_control() && (c as u32) < 0x100 => write_to(out, format_args!("\\x{:02x}", c as u32)),
        c if is_hidden(c) => write_to(out, format_args!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

fn write_to(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a string does not fail");
}

/// Bidirectional and zero-width marks, line separators, tags.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As [`text`], with tokens of secrets cut to eight digits, `{{sealed:0123abcd}}`: for readers, not for `patch`.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    for token in words::tokens(bytes) {
        out.push_str(&text(&bytes[at..token.start + 17]));
        out.push_str("}}");
        at = token.end;
    }
    out.push_str(&text(&bytes[at..]));
    out
}

/// Columns that a text takes on a terminal; it must be one line of [`text`] without TAB.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Gives each TAB as blanks up to the next multiple of eight columns.
#[must_use]
pub fn expand_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\t' {
            let blanks = 8 - column % 8;
            out.extend(std::iter::repeat_n(' ', blanks));
            column += blanks;
        } else {
            out.push(c);
            column += c.width().unwrap_or(0);
        }
    }
    out
}

/// Quotes a path as git does: as it is, or in `"…"` with C escapes and octal digits where it has control
/// characters, quotes, backslashes or bytes from 0x80. Also where it ends in a blank, which git reads and `patch`
/// would cut off.
#[must_use]
pub fn quote(prefix: &str, path: &[u8]) -> String {
    let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
    if path.iter().all(plain) && !path.ends_with(b" ") {
        return format!("{prefix}{}", String::from_utf8_lossy(path));
    }
    let mut out = format!("\"{prefix}");
    for &b in path {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if plain(&b) => out.push(char::from(b)),
            b => write_to(&mut out, format_args!("\\{b:03o}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invisible_or_active_is_left() {
        let shown = text("a\x1b[31m\r\u{9b}\u{202e}\tü".as_bytes());
        assert_eq!(shown, "a\\x1b[31m\\r\\x9b\\u{202e}\tü");
        assert_eq!(text(b"\xffx\x00"), "\\xffx\\x00");
    }

    #[test]
    fn columns() {
        assert_eq!(width("電話"), 4);
        assert_eq!(expand_tabs("a\tb"), "a       b");
        assert_eq!(expand_tabs("電\tb"), "電      b");
    }

    #[test]
    fn tokens_are_cut_for_readers() {
        assert_eq!(short(b"x={{sealed:00112233445566778899aabbccddeeff}};"), "x={{sealed:00112233}};");
        assert_eq!(short(b"x={{sealed:00"), "x={{sealed:00");
    }

    #[test]
    fn paths_are_quoted_as_git_quotes_them() {
        assert_eq!(quote("a/", b"voip/my file"), "a/voip/my file");
        assert_eq!(quote("a/", "voip/ü\"\t".as_bytes()), "\"a/voip/\\303\\274\\\"\\t\"");
    }
}
