//! Sections of XML and JSON: the elements or keys that are open where a line begins.

use memchr::{memchr, memmem};

use super::sections::{Sections, lines};

/// Deepest nesting that is followed; a text that nests deeper keeps the name at this depth.
const DEEPEST: usize = 64;

/// For XML, a line stands in the elements that are open at its first tag: `settings > phone-settings`.
/// A closing line stands in what it closes.
pub(super) fn xml(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut depth = 0usize;
    // What the reader is inside of: the text that ends it.
    let mut inside: Option<&'static [u8]> = None;
    let mut pending: Option<Vec<u8>> = None;
    for line in lines(text) {
        let started = open.clone();
        let mut rest = line;
        while !rest.is_empty() {
            if let Some(end) = inside {
                let Some(at) = memmem::find(rest, end) else { break };
                rest = &rest[at + end.len()..];
                inside = None;
                continue;
            }
            if let Some(tag) = &mut pending {
                let Some(at) = memchr(b'>', rest) else { break };
                let closed = at > 0 && rest[at - 1] == b'/';
                if !closed {
                    enter(&mut open, &mut depth, std::mem::take(tag));
                }
                pending = None;
                rest = &rest[at + 1..];
                continue;
            }
            let Some(at) = memchr(b'<', rest) else { break };
            rest = &rest[at..];
            if rest.starts_with(b"<!--") {
                (inside, rest) = (Some(&b"-->"[..]), &rest[4..]);
            } else if rest.starts_with(b"<![CDATA[") {
                (inside, rest) = (Some(&b"]]>"[..]), &rest[9..]);
            } else if rest.starts_with(b"<?") || rest.starts_with(b"<!") {
                (inside, rest) = (Some(&b">"[..]), &rest[2..]);
            } else if rest.starts_with(b"</") {
                depth = depth.saturating_sub(1);
                open.truncate(depth);
                (inside, rest) = (Some(&b">"[..]), &rest[2..]);
            } else {
                let end = rest[1..]
                    .iter()
                    .position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/' | b'<'))
                    .map_or(rest.len(), |n| n + 1);
                let mut name = rest[1..end].to_vec();
                // A name or an id tells elements of one kind apart.
                let tag_end = memchr(b'>', rest).unwrap_or(rest.len());
                if let Some(id) = attribute(&rest[..tag_end], b"name").or_else(|| attribute(&rest[..tag_end], b"id")) {
                    name.extend_from_slice(b" ");
                    name.extend_from_slice(id);
                }
                pending = Some(name);
                rest = &rest[end..];
            }
        }
        let here = if started.len() > open.len() { started } else { open.clone() };
        let section = (!here.is_empty()).then(|| out.name(&here.join(&b" > "[..])));
        out.push(section);
    }
    out
}

fn enter(open: &mut Vec<Vec<u8>>, depth: &mut usize, name: Vec<u8>) {
    *depth += 1;
    if open.len() < DEEPEST && open.len() + 1 == *depth {
        open.push(name);
    }
}

fn attribute<'t>(tag: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    for at in memmem::find_iter(tag, name) {
        let rest = &tag[at + name.len()..];
        if at > 0 && tag[at - 1].is_ascii_whitespace() && rest.starts_with(b"=\"") {
            let end = memchr(b'"', &rest[2..])?;
            return Some(&rest[..end + 3][1..]);
        }
    }
    None
}

/// For JSON, a line stands in the keys and indexes that are open where it ends: `accounts > 2 > auth`.
pub(super) fn json(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    // Each open object or array with the name that it has in the one around it.
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut counts: Vec<Option<usize>> = Vec::new();
    let mut depth = 0usize;
    let mut last: Vec<u8> = Vec::new();
    for line in lines(text) {
        let started = open.len();
        let before = named(&open);
        let mut i = 0;
        while i < line.len() {
            match line[i] {
                b'"' => {
                    let end = string_end(line, i + 1);
                    last = line[i + 1..end].to_vec();
                    i = end;
                }
                b'{' | b'[' => {
                    let name = match counts.last_mut() {
                        Some(Some(count)) => {
                            *count += 1;
                            (*count - 1).to_string().into_bytes()
                        }
                        _ => std::mem::take(&mut last),
                    };
                    depth += 1;
                    if depth <= DEEPEST {
                        open.push(name);
                        counts.push((line[i] == b'[').then_some(0));
                    }
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth < DEEPEST {
                        open.truncate(depth);
                        counts.truncate(depth);
                    }
                }
                _ => {}
            }
            i += 1;
        }
        let here = if started > open.len() { before } else { named(&open) };
        let section = (!here.is_empty()).then(|| out.name(&here));
        out.push(section);
    }
    out
}

fn named(open: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<&[u8]> = open.iter().map(Vec::as_slice).filter(|name| !name.is_empty()).collect();
    names.join(&b" > "[..])
}

fn string_end(line: &[u8], from: usize) -> usize {
    let mut i = from;
    while i < line.len() {
        match line[i] {
            b'\\' => i += 1,
            b'"' => return i,
            _ => {}
        }
        i += 1;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use crate::profile::syntax::{Syntax, sections};

    fn shown(syntax: Syntax, text: &str) -> Vec<String> {
        let found = sections(syntax, text.as_bytes());
        assert_eq!(found.len(), text.lines().count());
        (0..found.len()).map(|line| found.of_line(line).unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn xml_elements_are_followed() {
        let text = "<?xml version=\"1.0\"?>\n<!-- <a> -->\n<settings>\n <profile name=\"internal\">\n  <param\n    name=\"x\"/>\n  <port>1</port>\n </profile>\n</settings>\n";
        let p = "settings > profile \"internal\"";
        assert_eq!(shown(Syntax::Xml, text), ["-", "-", "settings", p, p, p, p, p, "settings"]);
    }

    #[test]
    fn json_keys_are_followed() {
        let text = "{\n \"a\": {\n  \"b\": [\n   {\"x\": 1},\n   {\n    \"y\": \"}\"\n   }\n  ]\n }\n}\n";
        let b = "a > b";
        assert_eq!(shown(Syntax::Json, text), ["-", "a", b, b, "a > b > 1", "a > b > 1", "a > b > 1", b, "a", "-"]);
    }

    #[test]
    fn depth_and_disorder_cost_nothing() {
        let deep = "<a>".repeat(5_000) + "\n" + &"</a>".repeat(6_000) + "\n<b>\nx\n</b>\n";
        assert_eq!(shown(Syntax::Xml, &deep).last().unwrap(), "b");
        let json = "[".repeat(5_000) + "\n" + &"]".repeat(6_000) + "\n{\"k\": {\n1\n}}\n";
        assert_eq!(shown(Syntax::Json, &json)[3], "k");
    }
}
