//! A regular expression or glob of a profile file: its text, its place in the file, and the compiled form on demand.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_syntax::hir::{Class, Hir, HirKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A regular expression or a glob as a profile has it.
///
/// It is compiled when it is first used, so that a run in which nothing changed pays for none.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    at: usize,
    regex: Arc<OnceLock<Option<regex::bytes::Regex>>>,
    line: Arc<OnceLock<Option<LineRegex>>>,
}

/// An expression for single lines, and a byte that a line must have to match.
struct LineRegex {
    regex: regex::bytes::Regex,
    needs: Option<u8>,
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
        self.line().map(|line| &line.regex)
    }

    /// As [`Pattern::line_regex`], for a line that can match: most are passed over for a byte that they do not have.
    pub(crate) fn line_regex_for(&self, line: &[u8]) -> Option<&regex::bytes::Regex> {
        let LineRegex { regex, needs } = self.line()?;
        needs.is_none_or(|byte| memchr::memchr(byte, line).is_some()).then_some(regex)
    }

    fn line(&self) -> Option<&LineRegex> {
        let regex = || regex::bytes::RegexBuilder::new(&self.text).unicode(false).size_limit(1 << 22).build().ok();
        self.line.get_or_init(|| Some(LineRegex { regex: regex()?, needs: needed(&self.text) })).as_ref()
    }

    /// Tells whether the expression is found in the bytes.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(bytes))
    }
}

/// How much of what an expression masks stands in the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelt {
    /// It is described, by classes and repetitions.
    No,
    /// A long run of letters and digits of it is written out.
    InPart,
    /// It is written out: who reads the expression has it.
    Whole,
}

/// Tells whether an expression has in it what it masks: its groups `secret…`, or all of it where it has none.
pub(crate) fn spelt(text: &str) -> Spelt {
    let parser = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).multi_line(true).crlf(true).build().parse(text);
    let Ok(hir) = parser else { return Spelt::No };
    let mut groups = Vec::new();
    secret_groups(&hir, &mut groups);
    if groups.is_empty() {
        groups.push(&hir);
    }
    if groups.iter().any(|group| written_out(group).is_some_and(|bytes| bytes > 0)) {
        Spelt::Whole
    } else if groups.iter().any(|group| long_run(group)) {
        Spelt::InPart
    } else {
        Spelt::No
    }
}

/// What is worth to be looked for before an expression is tried, the rarest in configurations first.
const TELLING: &[u8] = b"@$?{}~%+!*;|&'#()[]<>\":/,=";

/// Gives the rarest byte that stands in whatever an expression matches.
fn needed(text: &str) -> Option<u8> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(text).ok()?;
    let all = in_every_match(&hir);
    TELLING.iter().copied().find(|byte| all & (1 << byte) != 0)
}

/// Gives the bytes of ASCII that stand in every match, each as a bit.
fn in_every_match(hir: &Hir) -> u128 {
    let bit = |byte: u8| if byte.is_ascii() { 1 << byte } else { 0 };
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().fold(0, |all, byte| all | bit(*byte)),
        HirKind::Class(Class::Bytes(class)) => match class.ranges() {
            [range] if range.start() == range.end() => bit(range.start()),
            _ => 0,
        },
        HirKind::Class(Class::Unicode(_)) | HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Repetition(repetition) if repetition.min == 0 => 0,
        HirKind::Repetition(repetition) => in_every_match(&repetition.sub),
        HirKind::Capture(capture) => in_every_match(&capture.sub),
        HirKind::Concat(parts) => parts.iter().fold(0, |all, part| all | in_every_match(part)),
        HirKind::Alternation(parts) => parts.iter().fold(u128::MAX, |all, part| all & in_every_match(part)),
    }
}

fn below(hir: &Hir) -> &[Hir] {
    match hir.kind() {
        HirKind::Repetition(repetition) => std::slice::from_ref(&repetition.sub),
        HirKind::Capture(capture) => std::slice::from_ref(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts,
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => &[],
    }
}

fn secret_groups<'h>(hir: &'h Hir, groups: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Capture(capture) if capture.name.as_deref().is_some_and(|name| name.starts_with("secret")) => {
            groups.push(&capture.sub);
        }
        _ => below(hir).iter().for_each(|part| secret_groups(part, groups)),
    }
}

/// The length of what is written out, or nothing where any part is open.
fn written_out(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => Some(literal.0.len()),
        // A letter in both cases is no more open than in one.
        HirKind::Class(Class::Bytes(class)) => {
            let bytes: usize = class.ranges().iter().map(|range| range.len()).sum();
            (bytes <= 3).then_some(1)
        }
        HirKind::Class(Class::Unicode(_)) => None,
        HirKind::Repetition(repetition) => {
            let fixed = repetition.max == Some(repetition.min) || repetition.max == Some(1);
            written_out(&repetition.sub).filter(|_| fixed)
        }
        HirKind::Capture(capture) => written_out(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(written_out).sum(),
        HirKind::Alternation(parts) => parts.iter().filter_map(written_out).max(),
    }
}

fn long_run(hir: &Hir) -> bool {
    if let HirKind::Literal(literal) = hir.kind() {
        let has = |is: fn(&u8) -> bool| literal.0.iter().any(is);
        return literal.0.len() >= 8 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    }
    below(hir).iter().any(long_run)
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

#[cfg(test)]
mod tests {
    use super::{Spelt, needed, spelt};

    #[test]
    fn the_rarest_byte_of_every_match_is_told() {
        for (text, byte) in [
            (r"^auth\s*=>?\s*[^\s:#@]+[:#](?<secret>[^\s@]+)@", Some(b'@')),
            (r"(?i)^key=(?<secret>\S+)", Some(b'=')),
            (r"(?:a|b:)c=?", None),
            (r"(?:a:|b@:){2}", Some(b':')),
            (r"(?:@x)*,", Some(b',')),
            (r"[@]+x", Some(b'@')),
            (r"[@:]+x", None),
            ("\u{e4}@", Some(b'@')),
            ("password", None),
            ("(", None),
        ] {
            assert_eq!(needed(text), byte, "{text}");
        }
    }

    #[test]
    fn an_expression_that_has_the_secret_in_it_is_told() {
        for whole in [
            "LITERALSECRET77",
            "^secret=hunter2$",
            "(?i)password hunter2",
            r"\bcode (?<secret>48151623)\b",
            "(?<secret>one|two-[0-9]+)",
            "hunter2?",
            r"p\.w\+d",
            "[h]unter(2)",
        ] {
            assert_eq!(spelt(whole), Spelt::Whole, "{whole}");
        }
        for part in [".*LITERALSECRET77.*", r"LITERALSECRET7\d", "(?<secret>s3cretword.*)"] {
            assert_eq!(spelt(part), Spelt::InPart, "{part}");
        }
        for no in [
            "site code (?<secret>[0-9]+)",
            r"ask for (?<secret>\S+)",
            "secret=[a-z]+",
            "(",
            r"^user bob42 \S+ (?<secret>.*)$",
            "[0-9a-f]{32}",
        ] {
            assert_eq!(spelt(no), Spelt::No, "{no}");
        }
    }
}
