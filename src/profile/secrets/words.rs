//! Finds the words of all rules in a text, in any case, in one pass.
//!
//! Each word is looked for by the rarest two of its letters that stand together. The pass asks a table for each
//! pair of bytes whether it is one of these; only then words are compared. Other than in an automaton no step
//! waits for the one before, which makes it several times as fast.

use std::ops::Range;

/// How many pairs are asked for at once.
const STRIDE: usize = 8;

/// The words that are looked for.
pub(super) struct Words {
    /// For each pair of bytes its list, counted from 1; 0 for none.
    pairs: Box<[u8; 1 << 16]>,
    lists: Vec<Vec<Candidate>>,
}

/// A word that can stand where its pair stands.
struct Candidate {
    /// In lower case.
    word: Box<[u8]>,
    index: usize,
    /// Where in the word the pair begins.
    offset: usize,
}

/// Letters from the most to the least frequent in configurations; what is not among them is rarer.
const FREQUENT: &[u8] = b"etaoinsrldcpumg =h_y.f";

impl Words {
    /// Takes words of two or more bytes; shorter ones are never found.
    pub(super) fn new(words: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut out = Self { pairs: vec![0; 1 << 16].try_into().expect("it has that length"), lists: Vec::new() };
        let mut known: Vec<[u8; 2]> = Vec::new();
        for (index, word) in words.enumerate() {
            let word = word.to_ascii_lowercase().into_boxed_slice();
            let Some((offset, pair)) = rarest(&word) else { continue };
            let list = known.iter().position(|p| *p == pair).unwrap_or_else(|| {
                known.push(pair);
                // With more pairs than numbers, the last ones share a list.
                let list = (known.len() - 1).min(usize::from(u8::MAX) - 1);
                out.lists.resize_with(out.lists.len().max(list + 1), Vec::new);
                let number = u8::try_from(list + 1).unwrap_or(u8::MAX);
                for first in [pair[0], pair[0].to_ascii_uppercase()] {
                    for second in [pair[1], pair[1].to_ascii_uppercase()] {
                        out.pairs[usize::from(u16::from_be_bytes([first, second]))] = number;
                    }
                }
                known.len() - 1
            });
            let list = list.min(out.lists.len() - 1);
            out.lists[list].push(Candidate { word, index, offset });
        }
        out
    }

    /// Gives each word that stands in the text to `hit`: its index and its place. Words come in the order of
    /// the lines that they stand in, and those of one index by their places.
    pub(super) fn find(&self, text: &[u8], mut hit: impl FnMut(usize, Range<usize>)) {
        let list = |at: usize| self.pairs[usize::from(u16::from_be_bytes([text[at], text[at + 1]]))];
        let last = text.len().saturating_sub(1);
        let mut at = 0;
        while at + STRIDE <= last {
            let window: &[u8; STRIDE + 1] = text[at..=at + STRIDE].try_into().expect("it has that length");
            let any = (0..STRIDE).fold(0, |any, i| any | self.pairs[usize::from(u16::from_be_bytes([window[i], window[i + 1]]))]);
            if any != 0 {
                (at..at + STRIDE).for_each(|at| self.compare(text, at, list(at), &mut hit));
            }
            at += STRIDE;
        }
        (at..last).for_each(|at| self.compare(text, at, list(at), &mut hit));
    }

    fn compare(&self, text: &[u8], at: usize, list: u8, hit: &mut impl FnMut(usize, Range<usize>)) {
        let Some(list) = usize::from(list).checked_sub(1) else { return };
        for candidate in &self.lists[list] {
            let Some(start) = at.checked_sub(candidate.offset) else { continue };
            let range = start..start + candidate.word.len();
            if text.get(range.clone()).is_some_and(|found| found.eq_ignore_ascii_case(&candidate.word)) {
                hit(candidate.index, range);
            }
        }
    }
}

/// Gives the rarest pair of neighbours in a word, and where it begins.
fn rarest(word: &[u8]) -> Option<(usize, [u8; 2])> {
    let rank = |b: u8| FREQUENT.iter().position(|f| *f == b).unwrap_or(FREQUENT.len());
    let pairs = word.windows(2).map(|pair| [pair[0], pair[1]]).enumerate();
    pairs.max_by_key(|(_, pair)| (rank(pair[0]) + 1) * (rank(pair[1]) + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(words: &[Vec<u8>], text: &[u8]) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        for (index, word) in words.iter().enumerate() {
            out.extend(
                text.windows(word.len()).enumerate().filter(|(_, w)| w.eq_ignore_ascii_case(word)).map(|(at, _)| (index, at)),
            );
        }
        out.sort_unstable();
        out
    }

    fn found(words: &[Vec<u8>], text: &[u8]) -> Vec<(usize, usize)> {
        let (mut out, mut line) = (Vec::new(), 0);
        Words::new(words.iter().cloned()).find(text, |index, range| {
            assert_eq!(range.len(), words[index].len());
            let lines = text[..range.start].iter().filter(|b| **b == b'\n').count();
            assert!(lines >= line);
            line = lines;
            let before = out.iter().rev().find(|(i, _): &&(usize, usize)| *i == index);
            assert!(before.is_none_or(|(_, at)| *at < range.start));
            out.push((index, range.start));
        });
        out.sort_unstable();
        out
    }

    #[test]
    fn more_pairs_than_there_are_lists_are_all_found() {
        let words: Vec<Vec<u8>> = (b'a'..=b'z').flat_map(|a| (b'a'..=b'z').map(move |b| vec![a, b])).collect();
        let text: Vec<u8> = words.iter().flatten().flat_map(|b| [b.to_ascii_uppercase(), *b]).collect();
        assert_eq!(found(&words, &text), naive(&words, &text));
    }

    proptest! {
        #[test]
        fn exactly_what_stands_there_is_found(
            words in prop::collection::vec("[a-c$=:. ]{2,5}", 1..12),
            text in "[a-cA-C$=:. \n\u{e4}]{0,60}",
        ) {
            let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(found(&words, text.as_bytes()), naive(&words, text.as_bytes()));
        }
    }
}
