//! Leaves out what changes without a change of configuration.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memrchr};
use regex::bytes::Regex;

use super::pattern::{Pattern, compile};

/// The volatile rules that hold for one file.
#[derive(Debug)]
pub(super) struct Normaliser {
    /// Any of the rules; says where to look.
    any: Regex,
    rules: Vec<Pattern>,
}

impl Normaliser {
    /// Takes the rules; gives nothing where there are none.
    pub(super) fn new(rules: Vec<Pattern>) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        // Groups get other names, as several rules may name theirs alike.
        let parts: Vec<String> = rules.iter().map(|rule| format!("(?:{})", unnamed(rule.as_str()))).collect();
        let any = compile(&parts.join("|")).ok()?;
        Some(Self { any, rules })
    }

    /// Finds what is left out, in order: whole lines with their ends, or parts of lines.
    pub(super) fn parts(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let Some(hit) = self.any.find_at(text, at) else { break };
            let start = memrchr(b'\n', &text[..hit.start()]).map_or(0, |n| n + 1);
            let next = memchr(b'\n', &text[hit.start()..]).map_or(text.len(), |n| hit.start() + n + 1);
            self.parts_of_line(text, start..next, &mut out);
            at = next;
        }
        out
    }

    fn parts_of_line(&self, text: &[u8], line: Range<usize>, out: &mut Vec<Range<usize>>) {
        let full = &text[line.clone()];
        let bare = full.strip_suffix(b"\n").unwrap_or(full);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let mut blanks = Vec::new();
        for rule in &self.rules {
            let Some(regex) = rule.line_regex() else { continue };
            let marks = regex.capture_names().flatten().any(|name| name.starts_with("blank"));
            if !marks {
                if regex.is_match(bare) {
                    out.push(line);
                    return;
                }
                continue;
            }
            for found in regex.captures_iter(bare) {
                for (part, name) in found.iter().zip(regex.capture_names()) {
                    if let (Some(part), Some(name)) = (part, name)
                        && name.starts_with("blank")
                        && !part.is_empty()
                    {
                        blanks.push(line.start + part.start()..line.start + part.end());
                    }
                }
            }
        }
        blanks.sort_by_key(|range| range.start);
        for range in blanks {
            match out.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
    }

    /// Gives the text without those parts.
    pub(super) fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let parts = self.parts(text);
        if parts.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for part in parts {
            out.extend_from_slice(&text[at..part.start]);
            at = part.end;
        }
        out.extend_from_slice(&text[at..]);
        Cow::Owned(out)
    }
}

/// Takes the names from the groups of an expression.
fn unnamed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("(?") {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let escaped = head.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
        let name = tail.strip_prefix("(?<").or_else(|| tail.strip_prefix("(?P<")).and_then(|t| t.split_once('>'));
        match name {
            Some((_, behind)) if !escaped => {
                out.push_str("(?:");
                rest = behind;
            }
            _ => {
                out.push_str("(?");
                rest = &tail[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normaliser(rules: &[&str]) -> Normaliser {
        Normaliser::new(rules.iter().map(|text| Pattern::new(text)).collect()).unwrap()
    }

    #[test]
    fn lines_and_spans_are_left_out() {
        let n = normaliser(&["^ntp clock-period ", r"^; generated at (?<blank>\S+) by (?<blank2>\w+)", "^! Time:.*$"]);
        let text = b"a\r\n! Time: now\r\nntp clock-period 17\nb\n; generated at 12:00 by root ok\nntp clock-period 4";
        assert_eq!(n.apply(text).as_ref(), b"a\r\nb\n; generated at  by  ok\n");
        assert!(matches!(n.apply(b"a\nb\n"), Cow::Borrowed(_)));
        assert_eq!(n.apply(b"").as_ref(), b"");
    }

    #[test]
    fn a_rule_that_would_reach_into_the_next_line_takes_only_its_own() {
        let n = normaliser(&[r"^x\s*"]);
        assert_eq!(n.apply(b"x\n\n\nx\ny\n").as_ref(), b"\n\ny\n");
    }
}
