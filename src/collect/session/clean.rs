//! From what a terminal showed to what the device said.

use std::ops::Range;

use super::prompt::{escape_len, visible};

/// Takes the echo of a command from the start of an answer, with its line end. Terminals wrap and redraw
/// an echo as they like, so only its visible characters count. An answer without an echo stays.
pub(super) fn strip_echo<'a>(answer: &'a [u8], command: &str) -> &'a [u8] {
    let wanted: Vec<u8> = command.bytes().filter(|b| *b > b' ').collect();
    if wanted.is_empty() {
        return skip_line_end(answer);
    }
    let mut at = 0;
    let mut seen = 0;
    while seen < wanted.len() {
        match answer.get(at) {
            Some(0x1b) => at += 1 + escape_len(&answer[at + 1..]),
            Some(b) if *b <= b' ' => at += 1,
            Some(b) if *b == wanted[seen] => {
                seen += 1;
                at += 1;
            }
            _ => return redrawn(answer, &wanted),
        }
    }
    skip_line_end(&answer[at..])
}

/// The case of a device that draws its prompt again before the echo, or scrolls the line sideways: the
/// first line goes if it ends with the command.
fn redrawn<'a>(answer: &'a [u8], wanted: &[u8]) -> &'a [u8] {
    let Some(end) = memchr::memchr(b'\n', answer) else { return answer };
    let line: Vec<u8> = visible(answer[..end].trim_ascii_end()).into_iter().filter(|b| *b > b' ').collect();
    if line.ends_with(wanted) { &answer[end + 1..] } else { answer }
}

fn skip_line_end(answer: &[u8]) -> &[u8] {
    let mut at = 0;
    while matches!(answer.get(at), Some(b' ' | b'\r' | 0x1b)) {
        at += if answer[at] == 0x1b { 1 + escape_len(&answer[at + 1..]) } else { 1 };
    }
    match answer.get(at) {
        Some(b'\n') => &answer[at + 1..],
        _ => answer,
    }
}

/// Takes out each pager text at the marked ranges with what wiped it out, and turns the line ends of
/// the terminal (any CRs and LF) into LF. Everything else stays as it came; so does a text at a marked
/// place that was not wiped out: that was no pager.
pub(super) fn tidy(raw: &[u8], marks: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut from = 0;
    for mark in marks.iter().filter(|m| m.end <= raw.len()) {
        let wiped = wiped(&raw[mark.end..]);
        if mark.start >= from && wiped > 0 {
            line_ends(&raw[from..mark.start], &mut out);
            from = mark.end + wiped;
        }
    }
    line_ends(&raw[from..], &mut out);
    out
}

/// Tells whether a pager stayed in the answer: text goes on right behind one that was not wiped out.
pub(super) fn is_paged(raw: &[u8], marks: &[Range<usize>]) -> bool {
    let stays = |mark: &&Range<usize>| raw.get(mark.end..).is_some_and(|tail| wiped(tail) == 0);
    marks.iter().filter(stays).any(|mark| !matches!(raw.get(mark.end), None | Some(b'\r' | b'\n')))
}

/// Length of what wipes a pager out: backspaces, escape sequences, lone CRs, and blanks that are followed
/// by more of them. Blanks of an indented line stay.
fn wiped(tail: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match tail.get(at) {
            Some(8) => at += 1,
            Some(b'\r') if tail.get(at + 1) != Some(&b'\n') => at += 1,
            Some(0x1b) => at += 1 + escape_len(&tail[at + 1..]),
            Some(b' ') => {
                let blanks = tail[at..].iter().take_while(|b| **b == b' ').count();
                match tail.get(at + blanks) {
                    Some(8) => at += blanks,
                    Some(b'\r') if tail.get(at + blanks + 1) != Some(&b'\n') => at += blanks,
                    _ => return at,
                }
            }
            _ => return at,
        }
    }
}

fn line_ends(raw: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', raw) {
        let mut end = at;
        while end > from && raw[end - 1] == b'\r' {
            end -= 1;
        }
        out.extend_from_slice(&raw[from..end]);
        out.push(b'\n');
        from = at + 1;
    }
    out.extend_from_slice(&raw[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_goes_however_it_is_drawn() {
        for (answer, rest) in [
            (&b"show run\r\nhostname x\r\n"[..], &b"hostname x\r\n"[..]),
            (b"show \r\nrun\r\nhostname x", b"hostname x"),
            (b"show r\x1b[Kun\r\r\nx", b"x"),
            (b"\rgw#show run\r\nx", b"x"),
            (b"hostname x\r\n", b"hostname x\r\n"),
        ] {
            assert_eq!(strip_echo(answer, "show run"), rest, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
    fn a_pager_leaves_nothing_and_takes_nothing() {
        let raw = b"a\r\n--More--\x08\x08\x08   \x08\x08\x08 ip address\r\n";
        assert_eq!(tidy(raw, &[3..11]), b"a\n ip address\n");
        assert_eq!(tidy(b"a\r\n--More--\r        \r  b\r\n", &[3..11]), b"a\n  b\n");
        // Not wiped out: it was a part of the configuration.
        assert_eq!(tidy(b"a\r\n--More--\r\nb\r\n", &[3..11]), b"a\n--More--\nb\n");
        assert_eq!(tidy(b"a\r\n--More-- text\r\n", &[3..11]), b"a\n--More-- text\n");
        assert!(!is_paged(raw, &[3..11]) && !is_paged(b"a\r\n--More--\r\nb\r\n", &[3..11]));
        assert!(is_paged(b"a\r\n--More--b\r\n", &[3..11]));
    }

    #[test]
    fn only_line_ends_change() {
        assert_eq!(tidy(b"a\r\nb\rc\r\r\nd\0\xff\x1b[31m\n", &[]), b"a\nb\rc\nd\0\xff\x1b[31m\n");
    }
}
