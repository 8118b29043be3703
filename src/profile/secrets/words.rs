//! Finds the words of all rules in a text, in any case, in one pass.
//!
//! Each word is looked for by the rarest three of its letters that stand together. The pass asks a table for each
//! three bytes of the text whether they can be these; only then words are compared. Other than in an automaton no
//! step waits for the one before.

use std::collections::BTreeMap;
use std::ops::Range;

/// How many places are asked for at once: those of two loads of eight bytes.
const STRIDE: usize = 12;
/// Bits that count of three bytes: five of each, in which letters are the same in any case.
const BITS: u32 = 15;

/// The words that are looked for.
pub(super) struct Words {
    /// For three bytes their list, counted from 1; 0 for none.
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
    head: Head,
}

/// The first eight bytes of a word, or all of it and nothing behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    bytes: u64,
    /// The bits that count.
    mask: u64,
    /// The bit that makes a letter a small one, where there are letters.
    fold: u64,
}

impl Head {
    /// Takes a word in lower case.
    fn new(word: &[u8]) -> Self {
        let all = |each: &dyn Fn(u8) -> u8| {
            let mut out = [0; 8];
            out.iter_mut().zip(word).for_each(|(out, b)| *out = each(*b));
            u64::from_le_bytes(out)
        };
        Self { bytes: all(&|b| b), mask: all(&|_| u8::MAX), fold: all(&|b| if b.is_ascii_lowercase() { 0x20 } else { 0 }) }
    }
}

impl Candidate {
    fn new(word: &[u8], index: usize, offset: usize) -> Self {
        let word = word.to_ascii_lowercase().into_boxed_slice();
        Self { head: Head::new(&word), word, index, offset }
    }

    /// Tells whether a text begins with the word, in any case.
    fn begins(&self, text: &[u8]) -> bool {
        let same =
            |from: usize| text.get(from..self.word.len()).is_some_and(|found| found.eq_ignore_ascii_case(&self.word[from..]));
        match text.first_chunk() {
            Some(eight) => {
                let Head { bytes, mask, fold } = self.head;
                (u64::from_le_bytes(*eight) | fold) & mask == bytes && (self.word.len() <= 8 || same(8))
            }
            None => same(0),
        }
    }
}

/// Letters from the most to the least frequent in configurations; what is not among them is rarer.
const FREQUENT: &[u8] = b" =etaoinsrldcpumgh_y.f:,/-0123456789";

/// Threes that words of rules have and that stand everywhere in configurations, the most frequent first; counted in those
/// of 21 families.
const COMMON: &str = concat!(
    "iontiotheon ameingnamto terconor ed is aller dat sefor coating entcalresateatauseessailmaiparicealuext cale in ",
    "setara usble pasteproounramablseronfverastrecican tcatstacomprenceageinpernet istmacappte reaam ay-ptitinaut ad",
    "oneerent ordherratted stpatestmenersithsioortinepleialber enlinmplnumstrthoworsecasshenarefermodsipnfiencecomes",
    "figtoriretex aumbeuthtranalighommch locow lowss accitiderodeaseenaainpasensitycorincllotatervideifiminostampces",
    "rediveocadisgititerenormp adigecikeyfieticackntiotehosrinssanitsagtriche hountumbermmanusteigureborequty coutes",
    "gencrereqnabrefrmineiretdesghbhbo.coalsn saderonsswemoridswosinstodenindritrveerassiunifreregeatsesrnacodls ges",
    "remcurturvicomard exact stiinsardic eseemenatodute:sk clificmerte-achscr tepris pedicceettmapdecopettihttttppen",
    "ricevisubccocteorideveginindomrtpbascdreariedomenfoima-mainfecuhonhorinahasrepphondpmusr emunmmuiesey isa-teock",
    "amiatutif://tiagistomes:xt ncoeet-lirocgerignhar keurihecimpbrieckl snesrivbinivabitrge",
);

/// Mixes eight bytes so that [`place`] finds each three of them in bits that stand together.
fn mixed(bytes: [u8; 8]) -> u64 {
    let five = u64::from_le_bytes(bytes) & 0x1f1f_1f1f_1f1f_1f1f;
    // Of shifts by 3 and 8 no two threes become the same, and what stands behind a three does not count.
    five ^ (five >> 3) ^ (five >> 8)
}

/// Gives the place in the table of the three bytes that begin `skip` bytes into eight mixed ones.
#[inline]
fn place(mixed: u64, skip: usize) -> usize {
    (mixed >> (8 * skip)) as usize & ((1 << BITS) - 1)
}

/// Gives the place of three bytes that stand alone.
fn place_of(three: [u8; 3]) -> usize {
    place(mixed([three[0], three[1], three[2], 0, 0, 0, 0, 0]), 0)
}

impl Words {
    /// Takes words of two or more bytes; shorter ones are never found.
    pub(super) fn new(words: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut at_place: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        for (index, word) in words.enumerate() {
            let word = word.to_ascii_lowercase();
            let mut add = |place: usize, offset| {
                let list = at_place.entry(place).or_default();
                if list.last().is_none_or(|last| last.index != index) {
                    list.push(Candidate::new(&word, index, offset));
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
            let (low, high) = (mixed(low), mixed(high));
            let lists: [u8; STRIDE] = std::array::from_fn(|i| {
                let half = if i < STRIDE / 2 { low } else { high };
                self.table[place(half, i % (STRIDE / 2))]
            });
            if lists.iter().fold(0, |any, list| any | list) != 0 {
                let mut padded = [0; 16];
                padded[..STRIDE].copy_from_slice(&lists);
                // From one list to the next at once: a branch for each place is foreseen badly.
                let mut rest = u128::from_le_bytes(padded);
                while rest != 0 {
                    let i = rest.trailing_zeros() / u8::BITS;
                    let list = (rest >> (i * u8::BITS)) as u8;
                    rest ^= u128::from(list) << (i * u8::BITS);
                    self.compare(text, at + i as usize, list, &mut hit);
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
            if candidate.begins(&text[start..]) {
                hit(candidate.index, start..start + candidate.word.len());
            }
        }
    }
}

/// Gives the rarest three neighbours in a word of three bytes or more, and where they begin.
fn rarest(word: &[u8]) -> (usize, [u8; 3]) {
    let rank = |b: u8| FREQUENT.iter().position(|f| *f == b).unwrap_or(FREQUENT.len()) + 1;
    let common = |three: &[u8; 3]| COMMON.as_bytes().chunks_exact(3).position(|known| known == three).unwrap_or(usize::MAX);
    let threes = word.windows(3).map(|w| [w[0], w[1], w[2]]).enumerate();
    threes.max_by_key(|(_, three)| (common(three), three.iter().map(|b| rank(*b)).product::<usize>())).unwrap_or((0, [0; 3]))
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
    fn no_two_threes_that_differ_in_what_counts_have_one_place() {
        let five = || 0..32_u8;
        let all = five().flat_map(|a| five().flat_map(move |b| five().map(move |c| [a, b, c])));
        let places: std::collections::BTreeSet<usize> = all.map(place_of).collect();
        assert_eq!(places.len(), 1 << BITS);
        assert_eq!(place_of(*b"pIn"), place_of(*b"PiN"));
        for behind in 0..=u8::MAX {
            assert_eq!(place(mixed([0, b'a', b'b', b'c', behind, behind, 0, 0]), 1), place_of(*b"abc"));
        }
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
