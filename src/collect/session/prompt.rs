//! What the end of a buffer says: is the device waiting, and for what.

use std::borrow::Cow;

use memchr::memrchr;

/// Gives the last line of the buffer, without control sequences and trailing blanks.
pub(super) fn last_line(buffer: &[u8]) -> Cow<'_, [u8]> {
    let start = line_start(buffer);
    let line = &buffer[start..];
    if line.iter().any(|b| *b < 0x20) {
        let mut plain = visible(line);
        while plain.last() == Some(&b' ') {
            plain.pop();
        }
        return Cow::Owned(plain);
    }
    Cow::Borrowed(line.trim_ascii_end())
}

/// Where the last line begins: behind the last LF, or behind a lone CR that redraws it.
pub(super) fn line_start(buffer: &[u8]) -> usize {
    memrchr(b'\n', buffer).map_or(0, |at| at + 1)
}

/// What a line shows once its control sequences have done their work: CR begins it anew, a backspace
/// takes a character away, escape sequences draw nothing.
pub(super) fn visible(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'\r' => out.clear(),
            8 => {
                out.pop();
            }
            0x1b => rest = &tail[escape_len(tail)..],
            0x09 | 0x20.. => out.push(b),
            _ => {}
        }
    }
    out
}

/// Length of an escape sequence behind its ESC.
pub(super) fn escape_len(tail: &[u8]) -> usize {
    match tail.first() {
        Some(b'[') => tail.iter().skip(1).position(|b| (0x40..0x7f).contains(b)).map_or(tail.len(), |at| at + 2),
        Some(b']') => tail.iter().position(|b| *b == 7).map_or(tail.len(), |at| at + 1),
        Some(b'(' | b')') => tail.len().min(2),
        Some(_) => 1,
        None => 0,
    }
}

/// Cuts the last line that is not blank; gives what is before it, and it.
pub(super) fn split_last(buffer: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>)> {
    let mut before = buffer;
    while !before.is_empty() {
        let before_end = before.strip_suffix(b"\n").map_or(before, |r| r.strip_suffix(b"\r").unwrap_or(r));
        let start = line_start(before_end);
        let line = last_line(before_end);
        if !line.is_empty() {
            return Some((&buffer[..start], line));
        }
        before = &before[..start];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_of_a_prompt_draw_nothing() {
        assert_eq!(&*last_line(b"x\r\n\x1b[0m\x1b[Kgw#\x1b[6n "), b"gw#");
        assert_eq!(&*last_line(b"x\r\n--More--\r        \rgw# "), b"gw#");
        assert_eq!(&*last_line(b"ab\x08\x08gw>"), b"gw>");
        assert_eq!(&*last_line(b"a\n"), b"");
    }

    #[test]
    fn the_last_line_is_cut_with_its_blanks() {
        let (before, line) = split_last(b"one\r\ntwo\r\n\r\n  \r\n").unwrap();
        assert_eq!((before, &*line), (&b"one\r\n"[..], &b"two"[..]));
        assert!(split_last(b"\r\n").is_none());
        assert!(split_last(b"").is_none());
        let (before, line) = split_last(b"one").unwrap();
        assert_eq!((before, &*line), (&b""[..], &b"one"[..]));
    }
}
