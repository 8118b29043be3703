//! Texts of high entropy that no rule took.

use std::sync::Arc;

use super::SecretSpan;
use super::finder::lines;

/// Shortest text that is looked at, in bytes.
const SHORTEST: usize = 16;

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-' | b'$' | b'!' | b'%' | b'^' | b'~')
}

/// Shannon entropy in bits a byte.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for b in text {
        counts[usize::from(*b)] += 1;
    }
    let all = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / all).map(|p| -p * p.log2()).sum()
}

/// Tells whether a word reads as something made by chance and not by a person.
fn suspicious(word: &[u8]) -> bool {
    let hex = word.iter().all(u8::is_ascii_hexdigit);
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = word.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if digits == 0 || letters == 0 {
        return false;
    }
    if hex {
        return word.len() >= 32 && entropy(word) > 2.8;
    }
    // A path, a name of several words, a UUID: many separators.
    let separators = word.iter().filter(|b| matches!(b, b'/' | b'-' | b'_')).count();
    if separators * 6 > word.len() {
        return false;
    }
    let lower = word.iter().any(u8::is_ascii_lowercase);
    let upper = word.iter().any(u8::is_ascii_uppercase);
    // How often the kind of character changes from one to the next; words of people change seldom.
    let kind = |b: u8| (b.is_ascii_digit(), b.is_ascii_lowercase());
    let plain: Vec<u8> = word.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let changes = plain.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    lower && (upper || digits * 5 > word.len()) && changes * 4 > word.len() && entropy(word) > 3.4
}

/// Finds such texts outside of `spans`; those of certificates are left out, as they are public.
pub(in crate::profile) fn suspects(text: &[u8], spans: &[SecretSpan]) -> Vec<SecretSpan> {
    let rule: Arc<str> = "suspect".into();
    let mut out = Vec::new();
    let mut certificate = false;
    for line in lines(text) {
        let bytes = &text[line.clone()];
        if bytes.starts_with(b"-----BEGIN ") {
            certificate = true;
        }
        if certificate {
            certificate = !bytes.starts_with(b"-----END ");
            continue;
        }
        let mut at = 0;
        while at < bytes.len() {
            let length = bytes[at..].iter().take_while(|b| is_word(**b)).count();
            let word = &bytes[at..at + length];
            let range = line.start + at..line.start + at + length;
            let known = || {
                let next = spans.partition_point(|s| s.range.end <= range.start);
                spans.get(next).is_some_and(|s| s.range.start < range.end)
            };
            if (SHORTEST..=512).contains(&length) && suspicious(word) && !known() {
                out.push(SecretSpan { range, rule: rule.clone() });
            }
            at += length.max(1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_names() {
        let text = b"apikeyless 9f8A7bQ2zX0pL3mT5vR1\nhost sip-server-01.example.org interface GigabitEthernet0/0/1\n";
        let found = suspects(text, &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(&text[found[0].range.clone()], b"9f8A7bQ2zX0pL3mT5vR1");
        assert!(suspects(text, &found).is_empty());
    }
}
