//! Finds where secrets stand in a text.
//!
//! One pass over the text for the words of all rules finds the places that matter;
//! only there a key is read, or a regular expression tried on the line. So a text without secrets
//! costs one pass, and nothing is compiled before the first text that must be looked at.

mod csv;
mod finder;
mod keys;
mod overrides;
mod siblings;
mod sql;
mod suspects;
mod tables;
mod value;
mod words;

use std::ops::Range;
use std::sync::Arc;

pub(super) use finder::{Applies, Finder};
pub(super) use suspects::suspects;

/// Gives the length of the text that every key has which a glob of keys matches.
pub(super) fn shortest_literal(glob: &str) -> usize {
    keys::KeyGlob::new(glob).literal().len()
}

pub use overrides::{MaskOverrides, MaskRule};

/// The place of a secret: just its value, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpan {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it: `general/password`, `cisco-ios/sip-authentication`, `always-mask`.
    pub rule: Arc<str>,
}

/// What a rule found: the rank of the rule, and bytes of the text.
pub(in crate::profile) type Found = (u32, Range<usize>);

/// Sorts what was found and joins what overlaps; the rank of the joined is the first of theirs.
pub(super) fn join(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|(rank, range)| (range.start, *rank));
    let mut out: Vec<Found> = Vec::with_capacity(found.len());
    for (rank, range) in found {
        match out.last_mut() {
            Some((known, last)) if range.start < last.end => {
                last.end = last.end.max(range.end);
                *known = rank.min(*known);
            }
            _ => out.push((rank, range)),
        }
    }
    out
}
