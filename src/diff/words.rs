//! Which words of a line changed; tokens of secrets.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::LineOp;
use super::lines::changed;

const OPENING: &[u8] = b"{{sealed:";
const TOKEN_LEN: usize = OPENING.len() + 32 + 2;
/// Above this many words in a block its words are not searched: it is removed and added as a whole.
const MOST_WORDS: usize = 4_000;

/// Finds the tokens of secrets, `{{sealed:<32 hexadecimal digits>}}`.
pub fn tokens(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut finder = memchr::memmem::find_iter(text, OPENING);
    std::iter::from_fn(move || {
        finder.by_ref().map(|at| at..at + TOKEN_LEN).find(|range| {
            text.get(range.clone()).is_some_and(|token| {
                let hex = &token[OPENING.len()..TOKEN_LEN - 2];
                token.ends_with(b"}}") && hex.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
            })
        })
    })
}

/// Says whether the two texts have other tokens: a secret changed.
#[must_use]
pub fn secret_changed(old: &[u8], new: &[u8]) -> bool {
    let mut a = tokens(old).map(|range| &old[range]);
    let mut b = tokens(new).map(|range| &new[range]);
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x != y => return true,
            (Some(_), Some(_)) => {}
            _ => return false,
        }
    }
}

/// A run of words with one fate.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// In both, removed, or added.
    pub op: LineOp,
    /// The bytes; of the new side where both have them.
    pub text: &'a [u8],
    /// It is a token of a secret that changed.
    pub secret: bool,
}

/// Cuts a text into words: tokens, runs of letters and digits with `_` `-` `.`, runs of blanks, single
/// other characters.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let class = |b: u8| match b {
        b'\n' => 3,
        b' ' | b'\t' | b'\r' => 1,
        b'_' | b'-' | b'.' => 2,
        b if b.is_ascii_alphanumeric() || b >= 0x80 => 2,
        _ => 0,
    };
    let mut out = Vec::new();
    let mut found = tokens(text).peekable();
    let mut at = 0;
    while at < text.len() {
        if let Some(token) = found.next_if(|token| token.start == at) {
            at = token.end;
            out.push(&text[token]);
            continue;
        }
        let kind = class(text[at]);
        let limit = found.peek().map_or(text.len(), |token| token.start);
        let run = if matches!(kind, 0 | 3) { 1 } else { text[at..limit].iter().take_while(|&&b| class(b) == kind).count() };
        out.push(&text[at..at + run]);
        at += run;
    }
    out
}

/// Compares two texts by word. Neighbouring words with one fate are one segment; a changed token is a
/// segment of its own.
#[must_use]
pub fn compare<'a>(old: &'a [u8], new: &'a [u8]) -> Vec<Segment<'a>> {
    let (a, b) = (split(old), split(new));
    let mut out = Build { old, new, out: Vec::new() };
    if a.len() + b.len() > MOST_WORDS {
        out.push(LineOp::Removed, 0..old.len());
        out.push(LineOp::Added, 0..new.len());
        return out.out;
    }
    // The limit of words bounds the search; the deadline is only the second rope.
    let marks = changed(&a, &b, Instant::now() + Duration::from_secs(5));
    let (mut i, mut j, mut old_at, mut new_at) = (0, 0, 0, 0);
    loop {
        if marks.old.get(i) == Some(&true) {
            out.push(LineOp::Removed, old_at..old_at + a[i].len());
            old_at += a[i].len();
            i += 1;
        } else if marks.new.get(j) == Some(&true) {
            out.push(LineOp::Added, new_at..new_at + b[j].len());
            new_at += b[j].len();
            j += 1;
        } else if j < b.len() && i < a.len() {
            out.push(LineOp::Context, new_at..new_at + b[j].len());
            old_at += a[i].len();
            new_at += b[j].len();
            (i, j) = (i + 1, j + 1);
        } else {
            return out.out;
        }
    }
}

struct Build<'a> {
    old: &'a [u8],
    new: &'a [u8],
    out: Vec<Segment<'a>>,
}

impl<'a> Build<'a> {
    fn push(&mut self, op: LineOp, range: Range<usize>) {
        let side = if op == LineOp::Removed { self.old } else { self.new };
        let text = &side[range.clone()];
        if text.is_empty() {
            return;
        }
        let secret = op != LineOp::Context && text.len() == TOKEN_LEN && tokens(text).next().is_some();
        if let Some(last) = self.out.last_mut().filter(|last| last.op == op && !last.secret && !secret) {
            let start = range.start - last.text.len();
            // Joined only where the bytes touch, which they do: words of one side follow each other.
            last.text = &side[start..range.end];
            return;
        }
        self.out.push(Segment { op, text, secret });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        let mut out = String::new();
        for segment in compare(old.as_bytes(), new.as_bytes()) {
            let text = std::str::from_utf8(segment.text).unwrap();
            let mark = if segment.secret { "!" } else { "" };
            match segment.op {
                LineOp::Context => out.push_str(text),
                LineOp::Removed => out.push_str(&format!("[-{mark}{text}-]")),
                LineOp::Added => out.push_str(&format!("{{+{mark}{text}+}}")),
            }
        }
        out
    }

    #[test]
    fn words_of_configuration() {
        assert_eq!(shown("host=10.0.0.1 ; main\n", "host=10.0.0.2 ; main\n"), "host=[-10.0.0.1-]{+10.0.0.2+} ; main\n");
        assert_eq!(shown("", "a b"), "{+a b+}");
        assert_eq!(shown("a b", "a b"), "a b");
    }

    #[test]
    fn a_changed_token_is_a_segment_of_its_own() {
        let (a, b) = ("{{sealed:00112233445566778899aabbccddeeff}}", "{{sealed:ff112233445566778899aabbccddeeff}}");
        assert_eq!(shown(&format!("secret={a};x"), &format!("secret={b};x")), format!("secret=[-!{a}-]{{+!{b}+}};x"));
        assert!(secret_changed(a.as_bytes(), b.as_bytes()) && !secret_changed(a.as_bytes(), a.as_bytes()));
        assert_eq!(tokens(b"{{sealed:00112233445566778899AABBCCDDEEFF}} {{sealed:short}}").count(), 0);
    }
}
