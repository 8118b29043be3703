//! A regular expression or glob of a profile file: its text, its place in the file, and the compiled form on demand.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A regular expression or a glob as a profile has it.
///
/// It is compiled when it is first used, so that a run in which nothing changed pays for none.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    at: usize,
    regex: Arc<OnceLock<Option<regex::bytes::Regex>>>,
    line: Arc<OnceLock<Option<regex::bytes::Regex>>>,
}

impl Pattern {
    /// Takes a text that stands in no file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), at: 0, regex: Arc::default(), line: Arc::default() }
    }

    /// Gives the text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Gives the byte offset in the profile file, for messages.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Gives the compiled regular expression. Those of a [`Profile`](super::Profile) were checked
    /// when it was loaded and always compile; another gives nothing if it does not compile.
    #[must_use]
    pub fn regex(&self) -> Option<&regex::bytes::Regex> {
        self.regex.get_or_init(|| compile(&self.text).ok()).as_ref()
    }

    /// As [`Pattern::regex`], for a single line without its end: `^` and `$` are the ends of the
    /// haystack, so that an anchored expression fails at the first byte.
    pub(crate) fn line_regex(&self) -> Option<&regex::bytes::Regex> {
        let builder = || regex::bytes::RegexBuilder::new(&self.text).unicode(false).size_limit(1 << 22).build();
        self.line.get_or_init(|| builder().ok()).as_ref()
    }

    /// Tells whether the expression is found in the bytes.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(bytes))
    }
}

/// Compiles as all expressions of profiles are compiled: `^` and `$` match at lines, bytes that are no UTF-8 match `.`.
pub(crate) fn compile(text: &str) -> Result<regex::bytes::Regex, regex::Error> {
    regex::bytes::RegexBuilder::new(text).multi_line(true).crlf(true).unicode(false).size_limit(1 << 22).build()
}

/// Compiles several expressions, known to be good, as one set for single lines.
pub(crate) fn set<'t>(texts: impl Iterator<Item = &'t str>) -> regex::bytes::RegexSet {
    let mut builder = regex::bytes::RegexSetBuilder::new(texts);
    builder.unicode(false).size_limit(1 << 24);
    builder.build().unwrap_or_else(|_| regex::bytes::RegexSet::empty())
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<String>::deserialize(deserializer)?;
        let at = spanned.span().start;
        Ok(Self { at, ..Self::new(spanned.get_ref()) })
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Pattern {}
