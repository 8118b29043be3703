//! Finds the words of all rules in a text, in any case, in one pass.
//!
//! Each word is looked for by the rarest three of its letters that stand together. The pass asks a table for each
//! three bytes of the text whether they can be these; only then words are compared. Other than in an automaton no
//! step waits for the one before.

use std::ops::Range;

/// How many places are asked for at once.
const STRIDE: usize = 8;
/// Bits of the hash of three bytes.
const BITS: u32 = 15;

/// The words that are looked for.
pub(super) struct Words {
    /// For the hash of three bytes its list, counted from 1; 0 for none.
    table: Box<[u8; 1 << BITS]>,
    lists: Vec<Vec<Candidate>>,
}

/// A word that can stand where its three letters stand.
struct Candidate {
    /// In lower case.
    word: Box<[u8]>,
    index: usize,
    /// Where in the word the letters begin.
    offset: usize,
}

/// Letters from the most to the least frequent in configurations; what is not among them is rarer.
const FREQUENT: &[u8] = b"etaoinsrldcpumg =h_y.f";

/// Gives the place of three bytes in the table; letters have one in any case, and a few other characters too.
fn place(bytes: [u8; 3]) -> usize {
    let folded = (u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) | 0x0020_2020) << 8;
    (folded.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
}

impl Words {
    /// Takes words of two or more bytes; shorter ones are never found.
    pub(super) fn new(words: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut out = Self { table: vec![0; 1 << BITS].try_into().expect("it has that length"), lists: Vec::new() };
        for (index, word) in words.enumerate() {
            let word = word.to_ascii_lowercase().into_boxed_slice();
            match *word {
                [] | [_] => {}
                // Whatever stands behind it.
                [a, b] => (0..=u8::MAX).for_each(|c| out.add(place([a, b, c]), &word, index, 0)),
                _ => {
                    let (offset, bytes) = rarest(&word);
                    out.add(place(bytes), &word, index, offset);
                }
            }
        }
        out
    }

    fn add(&mut self, place: usize, word: &[u8], index: usize, offset: usize) {
        if self.table[place] == 0 {
            // With more places than numbers, the last ones share a list.
            if self.lists.len() < usize::from(u8::MAX) {
                self.lists.push(Vec::new());
            }
            self.table[place] = u8::try_from(self.lists.len()).unwrap_or(u8::MAX);
        }
        let list = &mut self.lists[usize::from(self.table[place]) - 1];
        if list.last().is_none_or(|last| last.index != index) {
            list.push(Candidate { word: word.into(), index, offset });
        }
    }

    /// Gives each word that stands in the text to `hit`: its index and its place. Words come in the order of
    /// the lines that they stand in, and those of one index by their places.
    pub(super) fn find(&self, text: &[u8], mut hit: impl FnMut(usize, Range<usize>)) {
        let mut at = 0;
        while let Some(window) = text.get(at..at + STRIDE + 2) {
            let mut lists = [0; STRIDE];
            for (list, three) in lists.iter_mut().zip(window.windows(3)) {
                *list = self.table[place([three[0], three[1], three[2]])];
            }
            if u64::from_le_bytes(lists) != 0 {
                for (i, list) in lists.into_iter().enumerate().filter(|(_, list)| *list != 0) {
                    self.compare(text, at + i, list, &mut hit);
                }
            }
            at += STRIDE;
        }
        for at in at..text.len().saturating_sub(1) {
            let list = self.table[place([text[at], text[at + 1], text.get(at + 2).copied().unwrap_or(0)])];
            if list != 0 {
                self.compare(text, at, list, &mut hit);
            }
        }
    }

    fn compare(&self, text: &[u8], at: usize, list: u8, hit: &mut impl FnMut(usize, Range<usize>)) {
        for candidate in &self.lists[usize::from(list) - 1] {
            let Some(start) = at.checked_sub(candidate.offset) else { continue };
            let range = start..start + candidate.word.len();
            let same = |found: &[u8]| found.iter().zip(&candidate.word).all(|(a, b)| a.to_ascii_lowercase() == *b);
            if text.get(range.clone()).is_some_and(same) {
                hit(candidate.index, range);
            }
        }
    }
}

/// Gives the rarest three neighbours in a word of three bytes or more, and where they begin.
fn rarest(word: &[u8]) -> (usize, [u8; 3]) {
    let rank = |b: u8| FREQUENT.iter().position(|f| *f == b).unwrap_or(FREQUENT.len()) + 1;
    let threes = word.windows(3).map(|w| [w[0], w[1], w[2]]).enumerate();
    threes.max_by_key(|(_, w)| w.iter().map(|b| rank(*b)).product::<usize>()).unwrap_or((0, [0; 3]))
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
    fn more_words_than_there_are_lists_are_all_found() {
        let words: Vec<Vec<u8>> = (b'a'..=b'z').flat_map(|a| (b'a'..=b'z').map(move |b| vec![a, b, a])).collect();
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
