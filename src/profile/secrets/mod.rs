//! Finds where secrets stand in a text.

mod overrides;

use std::ops::Range;
use std::sync::Arc;

pub use overrides::{MaskOverrides, MaskRule};

/// The place of a secret: just its value, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpan {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The rule that found it: `general/password`, `cisco-ios/sip-authentication`, `always-mask`.
    pub rule: Arc<str>,
}
