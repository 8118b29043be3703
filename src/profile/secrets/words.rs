//! Finds the words of all rules in a text, in any case, in one pass.
//!
//! Each word is looked for by the rarest three of its letters that stand together. The pass asks a table for each
//! three bytes of the text whether they can be these; only then words are compared. Other than in an automaton no
//! step waits for the one before.

use std::collections::BTreeMap;
use std::ops::Range;

/// How many places are asked for at once: those of two loads of eight bytes.
const STRIDE: usize = 12;
/// Bits of the hash of three bytes.
const BITS: u32 = 15;

/// The words that are looked for.
pub(super) struct Words {
    /// For the hash of three bytes its list, counted from 1; 0 for none.
    table: Box<[u8; 1 << BITS]>,
    lists: Vec<Vec<Candidate>>,
}

/// A word that can stand where its three letters stand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// In lower case.
    word: Box<[u8]>,
    index: usize,
    /// Where in the word the letters begin.
    offset: usize,
}

/// Letters from the most to the least frequent in configurations; what is not among them is rarer.
const FREQUENT: &[u8] = b" =etaoinsrldcpumgh_y.f:,/-0123456789";

/// Gives eight bytes of which [`place`] is asked; letters become the same in any case, and a few other characters too.
fn folded(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes) | 0x2020_2020_2020_2020
}

/// Gives the place in the table of the three bytes that begin `skip` bytes into eight folded ones.
#[inline]
fn place(folded: u64, skip: usize) -> usize {
    // Shifted back, so that what stands behind the three does not count.
    let three = ((folded >> (8 * skip)) << 40) >> 32;
    ((three as u32).wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
}

/// Gives the place of three bytes that stand alone.
fn place_of(three: [u8; 3]) -> usize {
    place(folded([three[0], three[1], three[2], 0, 0, 0, 0, 0]), 0)
}

impl Words {
    /// Takes words of two or more bytes; shorter ones are never found.
    pub(super) fn new(words: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut at_place: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        for (index, word) in words.enumerate() {
            let word = word.to_ascii_lowercase().into_boxed_slice();
            let mut add = |place: usize, offset| {
                let list = at_place.entry(place).or_default();
                if list.last().is_none_or(|last| last.index != index) {
                    list.push(Candidate { word: word.clone(), index, offset });
                }
            };
            match *word {
                [] | [_] => {}
                // Whatever stands behind it.
                [a, b] => (0..=u8::MAX).for_each(|c| add(place_of([a, b, c]), 0)),
                _ => {
                    let (offset, three) = rarest(&word);
                    add(place_of(three), offset);
                }
            }
        }
        // Places of equal lists share a number, as all those of a word of two bytes do.
        let mut numbers: BTreeMap<Vec<Candidate>, usize> = BTreeMap::new();
        let mut out = Self { table: vec![0; 1 << BITS].try_into().expect("it has that length"), lists: Vec::new() };
        for (place, list) in at_place {
            let number = *numbers.entry(list).or_insert_with_key(|list| {
                // With more lists than numbers, the last ones are one.
                if out.lists.len() < usize::from(u8::MAX) {
                    out.lists.push(Vec::new());
                }
                let number = out.lists.len();
                let shared = &mut out.lists[number - 1];
                for candidate in list {
                    if !shared.contains(candidate) {
                        shared.push(candidate.clone());
                    }
                }
                number
            });
            out.table[place] = u8::try_from(number).unwrap_or(u8::MAX);
        }
        out
    }

    /// Gives each word that stands in the text to `hit`: its index and its place. Words come in the order of
    /// the lines that they stand in, and those of one index by their places.
    pub(super) fn find(&self, text: &[u8], mut hit: impl FnMut(usize, Range<usize>)) {
        let mut at = 0;
        while let Some((window, _)) = text.get(at..).and_then(|rest| rest.split_first_chunk::<14>()) {
            let [low @ .., _, _, _, _, _, _] = *window;
            let [_, _, _, _, _, _, high @ ..] = *window;
            let (low, high) = (folded(low), folded(high));
            let lists: [u8; STRIDE] = std::array::from_fn(|i| {
                let half = if i < STRIDE / 2 { low } else { high };
                self.table[place(half, i % (STRIDE / 2))]
            });
            if lists.iter().fold(0, |any, list| any | list) != 0 {
                for (i, list) in lists.into_iter().enumerate().filter(|(_, list)| *list != 0) {
                    self.compare(text, at + i, list, &mut hit);
                }
            }
            at += STRIDE;
        }
        for at in at..text.len().saturating_sub(1) {
            let list = self.table[place_of([text[at], text[at + 1], text.get(at + 2).copied().unwrap_or(0)])];
            if list != 0 {
                self.compare(text, at, list, &mut hit);
            }
        }
    }

    fn compare(&self, text: &[u8], at: usize, list: u8, hit: &mut impl FnMut(usize, Range<usize>)) {
        for candidate in &self.lists[usize::from(list) - 1] {
            let Some(start) = at.checked_sub(candidate.offset) else { continue };
            let range = start..start + candidate.word.len();
            if text.get(range.clone()).is_some_and(|found| found.eq_ignore_ascii_case(&candidate.word)) {
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
        let pairs = || (b'a'..=b'z').flat_map(|a| (b'a'..=b'z').map(move |b| (a, b)));
        let words: Vec<Vec<u8>> = pairs().map(|(a, b)| vec![a, b, a]).chain(pairs().map(|(a, b)| vec![a, b])).collect();
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
