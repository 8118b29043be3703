//! Where the value of a key stands, in the shapes that configuration files have.

use std::ops::Range;

use memchr::memchr;

use super::keys::is_key_byte;
use crate::profile::syntax::Syntax;

/// How far around a key its shape is looked for, in bytes: lines of megabytes must not cost a scan for each key.
pub(super) const NEAR: usize = 1024;

/// A key in a text, with its line.
#[derive(Debug, Clone)]
pub(super) struct Site<'t> {
    pub(super) text: &'t [u8],
    pub(super) syntax: Syntax,
    /// The key's bytes.
    pub(super) key: Range<usize>,
    /// The line without its end.
    pub(super) line: Range<usize>,
    /// A value may follow after blanks alone.
    pub(super) blank: bool,
}

/// A value, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) range: Range<usize>,
    /// It stood in quotes or between tags.
    pub(super) quoted: bool,
    /// It stands behind the mark of a comment.
    pub(super) comment: bool,
}

/// How far on each side of a hit its key reaches at most, in bytes.
pub(super) const REACH: usize = 96;

/// Widens a hit to the key around it.
pub(super) fn key_around(text: &[u8], hit: Range<usize>) -> Range<usize> {
    let floor = hit.start.saturating_sub(REACH);
    let start = text[floor..hit.start].iter().rposition(|b| !is_key_byte(*b)).map_or(floor, |at| floor + at + 1);
    let ceiling = (hit.end + REACH).min(text.len());
    let end = text[hit.end..ceiling].iter().position(|b| !is_key_byte(*b)).map_or(ceiling, |at| hit.end + at);
    // A sentence may end right behind the word.
    let end = if end > hit.end && text[end - 1] == b'.' { end - 1 } else { end };
    start..end
}

impl Site<'_> {
    pub(super) fn at(&self, i: usize) -> u8 {
        self.text.get(i).copied().unwrap_or(b'\n')
    }

    fn before(&self) -> u8 {
        if self.key.start == 0 { b'\n' } else { self.text[self.key.start - 1] }
    }

    pub(super) fn skip_blanks(&self, mut i: usize) -> usize {
        while matches!(self.at(i), b' ' | b'\t') && i < self.line.end {
            i += 1;
        }
        i
    }

    /// As [`Site::skip_blanks`], over the ends of lines too: for XML and JSON.
    pub(super) fn skip_space(&self, mut i: usize) -> usize {
        while i < self.text.len() && self.text[i].is_ascii_whitespace() {
            i += 1;
        }
        i
    }

    /// Finds the value of the key, if the key has one here.
    pub(super) fn value(&self) -> Option<Value> {
        let (before, after) = (self.before(), self.at(self.key.end));
        if self.syntax == Syntax::Xml {
            if before == b'<' || (before == b':' && self.opens_prefixed_tag()) {
                return self.element(self.key.end);
            }
            if before == b'>' && after == b'<' {
                return self.next_element();
            }
        }
        if matches!(before, b'"' | b'\'') && after == before {
            return self.quoted_key(before);
        }
        // `\"key\": \"value\"`: JSON within a string.
        if before == b'"' && self.text[self.key.end..].starts_with(b"\\\"") {
            let p = self.skip_blanks(self.key.end + 2);
            let start = self.separator(p).map(|p| self.skip_blanks(p))?;
            let rest = &self.text[start..self.line.end];
            let inner = rest.strip_prefix(b"\\\"")?;
            let end = memchr::memmem::find(inner, b"\\\"")?;
            return Some(self.found(start + 2..start + 2 + end, true));
        }
        let mut p = self.key.end;
        // `x[password] = …`, Kamailio's `$var(password) = …`.
        if after == b']' || (after == b')' && self.syntax == Syntax::Kamailio) {
            p += 1;
        }
        let blanks = self.skip_blanks(p);
        if let Some(start) = self.separator(blanks) {
            return self.after_separator(start);
        }
        if self.syntax == Syntax::Yaml && blanks == self.line.end {
            return self.next_item();
        }
        if self.blank && blanks > p && blanks < self.line.end {
            return self.scalar(blanks);
        }
        None
    }

    fn opens_prefixed_tag(&self) -> bool {
        let start = self.key.start - 1;
        let name = self.text[self.line.start.min(start)..start].iter().rposition(|b| !is_key_byte(*b));
        name.is_some_and(|at| self.text[self.line.start + at] == b'<')
    }

    /// Gives where the value begins behind `=`, `:`, `=>` or `:=`.
    fn separator(&self, p: usize) -> Option<usize> {
        let next = self.at(p + 1);
        match self.at(p) {
            b'=' if matches!(next, b'=' | b'~') => None,
            b'=' if next == b'>' => Some(p + 2),
            b'=' => Some(p + 1),
            b':' if next == b'=' => Some(p + 2),
            b':' if next == b':' || (next == b'/' && self.at(p + 2) == b'/') => None,
            b':' => Some(p + 1),
            _ => None,
        }
    }

    fn after_separator(&self, start: usize) -> Option<Value> {
        let colon = self.text[start - 1] == b':';
        let from = self.skip_blanks(start);
        if self.syntax == Syntax::Yaml && from == self.line.end {
            return self.yaml_list();
        }
        let value = self.scalar(from)?;
        if !colon || value.quoted || self.begins_its_line() {
            // Prose in XML has colons, its attributes have quotes.
            return (self.syntax != Syntax::Xml || value.quoted || !colon).then_some(value);
        }
        // In mid-line a colon is a separator in YAML's `{a: b}`, and otherwise mostly part of `user:secret:rest`.
        match self.syntax {
            Syntax::Yaml | Syntax::Json => Some(value),
            Syntax::Plain if from > start => Some(value),
            _ => None,
        }
    }

    /// The key stands in quotes: JSON, PHP, `modparam("m", "key", "value")`, `name="key" value="v"`.
    fn quoted_key(&self, quote: u8) -> Option<Value> {
        let mut p = self.key.end + 1;
        if self.at(p) == b']' {
            p += 1;
        }
        let p = if self.syntax == Syntax::Json { self.skip_space(p) } else { self.skip_blanks(p) };
        if self.syntax == Syntax::Xml && self.attribute_name(self.key.start - 1).is_some() {
            return self.sibling_attribute();
        }
        if let Some(start) = self.separator(p) {
            let start = if self.syntax == Syntax::Json { self.skip_space(start) } else { start };
            return match self.at(start) {
                b'[' if self.syntax == Syntax::Json => self.list(start),
                b'{' if self.syntax == Syntax::Json => None,
                _ => self.after_separator(start),
            };
        }
        if self.syntax == Syntax::Json {
            return self.sibling_member();
        }
        if self.syntax == Syntax::Yaml {
            return self.sibling_member().or_else(|| self.next_item());
        }
        if self.at(p) != b',' {
            return None;
        }
        let next = self.skip_space(p + 1);
        let call = &self.text[self.line.start.max(self.key.start.saturating_sub(NEAR))..self.key.start];
        let known = [&b"modparam"[..], b"define", b"loadmodule", b"set"].iter().any(|w| memchr::memmem::find(call, w).is_some());
        if known && self.at(next) == quote { self.scalar(next) } else { None }
    }

    /// Reads the value that begins at `start`.
    pub(super) fn scalar(&self, start: usize) -> Option<Value> {
        let quote = self.at(start);
        if let Some(place) = self.tripled(start) {
            return Some(self.found(place, true));
        }
        if matches!(quote, b'"' | b'\'')
            && let Some(end) = self.closing_quote(start + 1, quote)
        {
            let next = self.at(end + 1);
            if self.syntax == Syntax::Xml || !(is_key_byte(next) || next == quote) {
                return Some(self.found(start + 1..end, true));
            }
        }
        // A quote that nothing closes belongs to what is around the key: `read -p "Password: " x`.
        if matches!(quote, b'"' | b'\'') && matches!(self.syntax, Syntax::Plain | Syntax::Kamailio) {
            return None;
        }
        if self.syntax == Syntax::Yaml && matches!(quote, b'|' | b'>') {
            return self.yaml_block();
        }
        let whole = self.begins_its_line();
        let rest = self.text.get(start..self.line.end.max(start))?;
        let mut end = rest.len();
        if !whole || matches!(self.syntax, Syntax::Json | Syntax::Xml) {
            let stop = |b: &u8| matches!(b, b' ' | b'\t' | b';' | b',' | b'&' | b'"' | b'\'' | b'<' | b'>' | b')' | b'}' | b'|');
            end = rest.iter().position(stop).unwrap_or(end);
        } else {
            end = self.inline_comment(rest).unwrap_or(end);
        }
        let range = start..start + rest[..end].trim_ascii_end().len();
        Some(self.found(range, false))
    }

    /// TOML's and Python's texts in three quotes, which run over lines.
    fn tripled(&self, start: usize) -> Option<Range<usize>> {
        let rest = self.text.get(start..)?;
        let mark = [&b"\"\"\""[..], b"'''"].into_iter().find(|mark| rest.starts_with(mark))?;
        let end = memchr::memmem::find(&rest[3..], mark)?;
        Some(start + 3..start + 3 + end)
    }

    fn closing_quote(&self, from: usize, quote: u8) -> Option<usize> {
        // Only XML and JSON let a quoted text run over lines.
        let limit = if self.syntax == Syntax::Xml { self.text.len() } else { self.line.end };
        let mut i = from;
        while i < limit {
            match self.text[i] {
                b'\\' if self.syntax != Syntax::Xml && quote != b'\'' => i += 2,
                b if b == quote => return Some(i),
                b'<' if self.syntax == Syntax::Xml => return None,
                _ => i += 1,
            }
        }
        None
    }

    /// Tells whether nothing but words stands before the key, so that the value is the rest of the line.
    fn begins_its_line(&self) -> bool {
        if self.key.start - self.line.start > NEAR {
            return false;
        }
        let head = &self.text[self.line.start..self.key.start];
        let plain = |b: &u8| {
            is_key_byte(*b) || matches!(b, b' ' | b'\t' | b';' | b'#' | b'!' | b'$' | b'[' | b'\'' | b'"' | b'/' | b'*' | b'@')
        };
        head.iter().all(plain)
    }

    fn inline_comment(&self, rest: &[u8]) -> Option<usize> {
        let mut after_blank = self.syntax == Syntax::Ini;
        // A `;` within a word ends the value for Asterisk, but who wrote it meant it as part of the secret.
        let mut glued = false;
        for (i, &b) in rest.iter().enumerate() {
            let escaped = i > 0 && rest[i - 1] == b'\\';
            let ends = match self.syntax {
                Syntax::Ini => (b == b';' && !escaped && after_blank) || (glued && matches!(b, b' ' | b'\t')),
                Syntax::Braces | Syntax::Kamailio => b == b';' && !escaped,
                Syntax::Audiocodes => b == b';',
                Syntax::Ios => matches!(b, b' ' | b'\t'),
                Syntax::Yaml | Syntax::KeyValue | Syntax::Plain => after_blank && matches!(b, b'#' | b';'),
                Syntax::Xml | Syntax::Json => false,
            };
            if ends {
                return Some(i);
            }
            glued |= b == b';' && !escaped;
            after_blank = matches!(b, b' ' | b'\t');
        }
        None
    }

    /// `key:` and the lines `- a` below it: all of them are one secret; a list of mappings is none.
    fn yaml_list(&self) -> Option<Value> {
        let indent = |line: &[u8]| line.len() - line.trim_ascii_start().len();
        let own = indent(&self.text[self.line.clone()]);
        let mut place: Option<Range<usize>> = None;
        let mut at = self.line.end + 1;
        while at < self.text.len() {
            let stop = memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |n| at + n);
            let line = &self.text[at..stop];
            let Some(item) = line.trim_ascii_start().strip_prefix(b"- ").map(<[u8]>::trim_ascii) else { break };
            let mapping = item.ends_with(b":") || memchr::memmem::find(item, b": ").is_some() || item.starts_with(b"{");
            if indent(line) < own || mapping {
                break;
            }
            let from = stop - line.trim_ascii_start().strip_prefix(b"- ").map_or(0, |i| i.trim_ascii_start().len());
            place = Some(place.map_or(from, |p| p.start)..from + item.len());
            at = stop + 1;
        }
        place.map(|place| self.found(place, true))
    }

    /// `key: |` and the deeper lines below it.
    fn yaml_block(&self) -> Option<Value> {
        let indent = |line: &[u8]| line.len() - line.trim_ascii_start().len();
        let own = indent(&self.text[self.line.clone()]);
        let start = self.line.end + 1;
        let (mut end, mut at) = (start, start);
        while at < self.text.len() {
            let stop = memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |n| at + n);
            let line = &self.text[at..stop];
            if !line.trim_ascii().is_empty() {
                if indent(line) <= own {
                    break;
                }
                end = stop;
            }
            at = stop + 1;
        }
        let lead = self.text.get(start..end)?.len() - self.text[start..end].trim_ascii_start().len();
        (end > start).then(|| self.found(start + lead..end, true))
    }

    pub(super) fn found(&self, range: Range<usize>, quoted: bool) -> Value {
        let head = self.text[self.line.start..self.key.start].trim_ascii_start();
        let comment = match self.syntax {
            Syntax::Ini | Syntax::Audiocodes => head.starts_with(b";") || head.starts_with(b"#"),
            Syntax::Ios => head.starts_with(b"!"),
            Syntax::Kamailio => head.starts_with(b"#") && !head.starts_with(b"#!"),
            Syntax::Json | Syntax::Xml => false,
            _ => head.starts_with(b"#") || head.starts_with(b"//") || head.starts_with(b";") || head.starts_with(b"*"),
        };
        Value { range, quoted, comment }
    }
}

/// Words that a setting can have in place of a secret.
const FLAGS: &[&str] = &[
    "yes",
    "no",
    "true",
    "false",
    "on",
    "off",
    "none",
    "null",
    "nil",
    "undefined",
    "enable",
    "enabled",
    "disable",
    "disabled",
    "required",
    "optional",
    "never",
    "always",
    "prompt",
    "ask",
    "unset",
    "encrypted",
    "not_set",
    "unchanged",
    "redacted",
    "removed",
];

/// Tells whether a text can be a secret at all: it is no reference, no placeholder, not empty and not blanked out.
pub(super) fn can_be_secret(value: &[u8], syntax: Syntax) -> bool {
    if value.len() < 2 || value.iter().all(|b| matches!(b, b'*' | b'.' | b'-' | b'_')) {
        return false;
    }
    if value.len() > 2 && value.iter().all(|b| matches!(b, b'x' | b'X')) {
        return false;
    }
    !is_reference(value, syntax)
}

/// As [`can_be_secret`], for the value of a key: switches and code are none either.
pub(super) fn value_can_be_secret(text: &[u8], value: &Value, syntax: Syntax) -> bool {
    let bytes = &text[value.range.clone()];
    if !can_be_secret(bytes, syntax) || FLAGS.iter().any(|flag| bytes.eq_ignore_ascii_case(flag.as_bytes())) {
        return false;
    }
    if value.quoted {
        return true;
    }
    // In a comment, several words are prose; a call is code.
    let prose = value.comment && bytes.iter().any(u8::is_ascii_whitespace);
    let code = bytes.strip_suffix(b";").unwrap_or(bytes);
    let call = code.ends_with(b")")
        && memchr(b'(', bytes).is_some_and(|at| at > 0 && bytes[..at].iter().all(|b| is_key_byte(*b) || *b == b':'));
    // A value that was cut at a bracket: `${DB(…` of `${DB(a/password)}`.
    let reference = [&b"${"[..], b"$${", b"$("].iter().any(|open| bytes.starts_with(open));
    !prose && !call && !reference
}

fn is_reference(value: &[u8], syntax: Syntax) -> bool {
    let wraps = |open: &[u8], close: &[u8]| {
        value.len() >= open.len() + close.len()
            && value.starts_with(open)
            && value.ends_with(close)
            // `${a}-${b}` is one reference after another, `${a}x}` is a text.
            && memchr::memmem::find(value, close).is_some_and(|at| at + close.len() == value.len() || memchr(b'$', &value[at..]).is_some())
    };
    if wraps(b"${", b"}")
        || wraps(b"$${", b"}")
        || wraps(b"$(", b")")
        || wraps(b"{{", b"}}")
        || wraps(b"<%", b"%>")
        || wraps(b"%{", b"}")
    {
        return true;
    }
    if wraps(b"%(", b")s") || wraps(b"<", b">") || wraps(b"@", b"@") {
        return true;
    }
    let name = |rest: &[u8]| !rest.is_empty() && rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    match (syntax, value[0]) {
        (Syntax::Plain | Syntax::Yaml | Syntax::Braces, b'$') => name(&value[1..]),
        (Syntax::Yaml, b'!' | b'*' | b'&') => true,
        (Syntax::Kamailio, b'$') | (Syntax::Plain, b'`') => true,
        _ => false,
    }
}

/// Tells whether a value is a path: what a key file's setting has.
pub(super) fn is_path(value: &[u8]) -> bool {
    let plain = value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'~'));
    let ends =
        [&b".pem"[..], b".key", b".crt", b".cer", b".p12", b".pfx", b".der", b".txt", b".pub"].iter().any(|e| value.ends_with(e));
    value.starts_with(b"file:") || (plain && (ends || (value.starts_with(b"/") && value[1..].contains(&b'/'))))
}
