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

/// An expression for single lines, and what a line must have to match.
struct LineRegex {
    regex: regex::bytes::Regex,
    /// This byte.
    needs: Option<u8>,
    /// Of each of these sets a byte.
    needs_of_each: Vec<u64>,
}

/// Gives the bytes of a line, each as a bit, which some share: so a set can seem to have a byte that it has not.
pub(crate) fn bytes_of(line: &[u8]) -> u64 {
    line.iter().fold(0, |all, byte| all | bit(*byte))
}

fn bit(byte: u8) -> u64 {
    1 << (byte % 64)
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
        let LineRegex { regex, needs, .. } = self.line()?;
        needs.is_none_or(|byte| memchr::memchr(byte, line).is_some()).then_some(regex)
    }

    /// As [`Pattern::line_regex_for`], by [all the bytes](bytes_of) of a line: for many expressions and one line.
    pub(crate) fn line_regex_with(&self, bytes: u64) -> Option<&regex::bytes::Regex> {
        let LineRegex { regex, needs_of_each, .. } = self.line()?;
        needs_of_each.iter().all(|set| bytes & set != 0).then_some(regex)
    }

    fn line(&self) -> Option<&LineRegex> {
        let regex = || regex::bytes::RegexBuilder::new(&self.text).unicode(false).size_limit(1 << 22).build().ok();
        let line = || {
            let (regex, sets) = (regex()?, in_every_match_of(&self.text));
            let needs = TELLING.iter().copied().find(|byte| sets.contains(&(1 << byte)));
            let mut needs_of_each: Vec<u64> = sets.into_iter().map(|set| set as u64 | (set >> 64) as u64).collect();
            // What few bytes can give is most often not there.
            needs_of_each.sort_unstable_by_key(|set| set.count_ones());
            Some(LineRegex { regex, needs, needs_of_each })
        };
        self.line.get_or_init(line).as_ref()
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

/// Gives sets of bytes of ASCII, each byte as a bit: in every match of an expression stands a byte of each.
fn in_every_match_of(text: &str) -> Vec<u128> {
    let hir = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(text);
    let mut sets = hir.map(|hir| in_every_match(&hir)).unwrap_or_default();
    sets.sort_unstable();
    sets.dedup();
    sets
}

fn in_every_match(hir: &Hir) -> Vec<u128> {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().filter(|byte| byte.is_ascii()).map(|byte| 1 << byte).collect(),
        HirKind::Class(Class::Bytes(class)) if class.is_ascii() => {
            let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            vec![bytes.fold(0, |set, byte| set | 1 << byte)]
        }
        HirKind::Class(_) | HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Repetition(repetition) if repetition.min == 0 => Vec::new(),
        HirKind::Repetition(repetition) => in_every_match(&repetition.sub),
        HirKind::Capture(capture) => in_every_match(&capture.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(in_every_match).collect(),
        HirKind::Alternation(parts) => {
            let mut parts = parts.iter().map(in_every_match);
            let first = parts.next().unwrap_or_default();
            parts.fold(first, |mut all, part| {
                all.retain(|set| part.contains(set));
                all
            })
        }
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
    use super::{Pattern, Spelt, bytes_of, in_every_match_of, spelt};

    #[test]
    fn a_line_that_cannot_match_is_told_by_its_bytes() {
        let needs = |text: &str| Pattern::new(text).line().and_then(|line| line.needs);
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
            assert_eq!(needs(text), byte, "{text}");
        }
        let clear = Pattern::new(r"(?i)\b(?:password|secret)\s+(?<clear>policy|[a-z]+-length)");
        for (line, can) in [
            ("password=policy", false),
            ("Password\tPolicy", true),
            ("PASSWORD POLICY", true),
            ("secret min-length 8", true),
            ("pw min-length 8", false),
            ("", false),
            ("\u{e4}", false),
        ] {
            assert_eq!(clear.line_regex_with(bytes_of(line.as_bytes())).is_some(), can, "{line}");
            assert!(can || !clear.line_regex().unwrap().is_match(line.as_bytes()));
        }
        assert_eq!(in_every_match_of("[^a]|(?:x|y)|\u{e4}|"), []);
        assert_eq!(in_every_match_of("(?i)a[0-1]+"), [1 << b'0' | 1 << b'1', 1 << b'A' | 1 << b'a']);
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
