//! `word word { … }` blocks: Junos, strongSwan, nginx.
//!
//! A statement ends at `;`, or, where it has the form `key = value`, at the end of the line. Order: statements
//! with the same first word count among each other, so do `allow` and `deny`, and blocks of which the first that
//! fits is taken (`term`, `rule`, `policy`, `location`, `if`).

use super::blocks::JOINT;
use super::lines::shown;
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

/// Deeper texts are compared by line.
const MOST_DEPTH: usize = 128;
/// Blocks of which the first that fits is taken.
const FIRST_FITS: &[&str] = &["term", "rule", "policy", "location", "if"];

struct Reader {
    out: Sink,
    path: Vec<String>,
    used: Vec<std::collections::HashMap<String, usize>>,
    words: Vec<String>,
    /// Line of the first word.
    begun: usize,
    line: usize,
}

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let text = shown(bytes);
    let mut reader = Reader {
        out: Sink::new(bytes.len()),
        path: Vec::new(),
        used: vec![Default::default()],
        words: Vec::new(),
        begun: 1,
        line: 1,
    };
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\n' => {
                // `key = value` of strongSwan ends with its line.
                if reader.words.get(1).is_some_and(|w| w == "=") {
                    reader.statement();
                }
                1
            }
            '{' => {
                reader.open()?;
                1
            }
            '}' => {
                reader.statement();
                if reader.path.pop().is_none() {
                    return Err(reader.wrong("a block ends that did not begin"));
                }
                reader.used.pop();
                1
            }
            ';' => {
                reader.statement();
                1
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => end + 2,
                None => return Err(reader.wrong("a comment has no end")),
            },
            '"' | '\'' => match closing(rest, c) {
                Some(end) => reader.word(&rest[..end]),
                None => return Err(reader.wrong("a quotation has no end")),
            },
            c if c.is_whitespace() => c.len_utf8(),
            '=' => reader.word("="),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};=\"".contains(c)).unwrap_or(rest.len());
                // `${x}` of nginx is part of a word.
                let end = if rest[..end].ends_with('$') { rest.find('}').map_or(end, |at| at + 1) } else { end };
                reader.word(&rest[..end.max(c.len_utf8())])
            }
        };
        reader.line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    reader.statement();
    if reader.path.is_empty() { reader.out.done("blocks in braces") } else { Err(reader.wrong("a block has no end")) }
}

/// Where a quotation ends, behind its sign.
fn closing(text: &str, sign: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let end = c == sign && !escaped;
        escaped = c == '\\' && !escaped;
        end.then_some(at + 1)
    })
}

impl Reader {
    fn wrong(&self, reason: &'static str) -> Error {
        Error::Unparsed { syntax: "blocks in braces", line: u32::try_from(self.line).unwrap_or(u32::MAX), reason }
    }

    fn word(&mut self, word: &str) -> usize {
        if self.words.is_empty() {
            self.begun = self.line;
        }
        self.words.push(word.to_owned());
        word.len()
    }

    fn section(&self) -> String {
        self.path.join(JOINT)
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.path.len() >= MOST_DEPTH {
            return Err(self.wrong("blocks lie too deep"));
        }
        let words = std::mem::take(&mut self.words);
        let label = words.join(" ");
        let group = words
            .first()
            .filter(|first| FIRST_FITS.contains(&first.as_str()))
            .map_or(Order::Free, |_| Order::Group(format!("{}{JOINT}blocks", self.section())));
        let count = self.used.last_mut().map_or(1, |used| {
            let count = used.entry(label.clone()).or_insert(0);
            *count += 1;
            *count
        });
        self.path.push(if count == 1 { label } else { format!("{label}#{count}") });
        self.used.push(Default::default());
        let section = self.section();
        self.out.push(Setting::new(&section, "", "", self.begun, group));
        Ok(())
    }

    fn statement(&mut self) {
        let words = std::mem::take(&mut self.words);
        let Some(key) = words.first() else { return };
        let section = self.section();
        let skip = 1 + usize::from(words.get(1).is_some_and(|w| w == "="));
        let order = match key.as_str() {
            "allow" | "deny" => Order::Group(format!("{section}{JOINT}allow, deny")),
            _ => Order::Key,
        };
        self.out.push(Setting::new(&section, key.as_str(), words[skip..].join(" "), self.begun, order));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_dialects() {
        let text = "system { # c\n host-name a;\n /* x\n */ inactive: services { ssh; }\n}\nconn {\n  secret = \"a { b\"\n  mode=tunnel\n}\nlog_format main '$a=1 '\n  '$b';\n";
        let found = settings(text.as_bytes()).unwrap();
        let shown: Vec<_> = found.iter().map(|s| (&*s.section, &*s.key, &*s.value, s.line)).collect();
        assert_eq!(
            shown,
            [
                ("system", "", "", 1),
                ("system", "host-name", "a", 2),
                ("system / inactive: services", "", "", 4),
                ("system / inactive: services", "ssh", "", 4),
                ("conn", "", "", 6),
                ("conn", "secret", "\"a { b\"", 7),
                ("conn", "mode", "tunnel", 8),
                ("", "log_format", "main '$a=1 ' '$b'", 10),
            ]
        );
    }

    #[test]
    fn what_does_not_close_is_told() {
        for bad in ["a {", "}", "a \"x", "/* x"] {
            assert!(settings(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(settings("a{".repeat(100_000).as_bytes()).is_err());
    }
}
