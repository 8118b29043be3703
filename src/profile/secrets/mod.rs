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

/// Sorts spans and joins those that overlap; the rule of the joined is that of the first found.
pub(super) fn join(mut spans: Vec<(u32, SecretSpan)>) -> Vec<SecretSpan> {
    spans.sort_by_key(|(rank, span)| (span.range.start, *rank));
    let mut out: Vec<(u32, SecretSpan)> = Vec::with_capacity(spans.len());
    for (rank, span) in spans {
        match out.last_mut() {
            Some((known, last)) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
                if rank < *known {
                    *known = rank;
                    last.rule = span.rule;
                }
            }
            _ => out.push((rank, span)),
        }
    }
    out.into_iter().map(|(_, span)| span).collect()
}
