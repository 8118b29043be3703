//! XML: attributes in any order, white space between elements.
//!
//! The order of elements counts, as XML has it, but not that of `param` and `variable` with a name, which
//! FreeSWITCH looks up. Elements are told apart by `name`, `id` or `key`, else by all attributes, else by number.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::blocks::JOINT;
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

/// Deeper texts are compared by line.
const MOST_DEPTH: usize = 128;
/// Attributes that name an element, best first.
const NAMES: &[&str] = &["name", "id", "key"];
/// Elements that are looked up by name, so that their order means nothing.
const LOOKED_UP: &[&str] = &["param", "variable"];

#[derive(Default)]
struct Node {
    tag: String,
    /// Sorted by name.
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
    line: usize,
}

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(0, "it is not UTF-8"))?;
    let root = parse(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut out = Sink::new(bytes.len());
    flatten(&root, "", &mut out);
    out.done("XML")
}

fn wrong(line: usize, reason: &'static str) -> Error {
    Error::Unparsed { syntax: "XML", line: u32::try_from(line).unwrap_or(u32::MAX), reason }
}

/// Reads a text into a node without a tag, whose children are the elements at the top.
fn parse(text: &str) -> Result<Node, Error> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().allow_dangling_amp = true;
    let mut open = vec![Node::default()];
    let (mut line, mut seen) = (1, 0);
    loop {
        let event = reader.read_event().map_err(|_| wrong(line, "a tag is not closed, or not well formed"))?;
        let begun = line;
        let at = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[seen.min(at)..at]).count();
        seen = at;
        let top = open.last_mut().expect("the node without a tag is never closed");
        match event {
            Event::Start(tag) => {
                if open.len() > MOST_DEPTH {
                    return Err(wrong(begun, "elements lie too deep"));
                }
                let node = element(&tag, begun)?;
                open.push(node);
            }
            Event::Empty(tag) => top.children.push(element(&tag, begun)?),
            Event::End(_) => {
                let node = open.pop().expect("the reader checks that each end has a start");
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Err(wrong(line, "an element ends that did not begin")),
                }
            }
            Event::Text(text) => top.text.push_str(&text),
            Event::CData(data) => top.text.push_str(&data),
            Event::GeneralRef(name) => {
                let raw = format!("&{};", &*name);
                top.text.push_str(&unescape(&raw).unwrap_or_else(|_| raw.as_str().into()));
            }
            Event::PI(data) => top.children.push(Node { tag: format!("?{}", data.trim()), line: begun, ..Node::default() }),
            Event::DocType(data) => {
                top.children.push(Node { tag: format!("!DOCTYPE {}", data.trim()), line: begun, ..Node::default() });
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    match open.pop() {
        Some(_) if !open.is_empty() => Err(wrong(line, "an element has no end")),
        Some(root) if !root.text.trim().is_empty() => Err(wrong(1, "there is text outside of elements")),
        Some(root) if root.children.is_empty() && !text.trim().is_empty() && !text.contains("<!--") => {
            Err(wrong(1, "there is no element"))
        }
        root => Ok(root.unwrap_or_default()),
    }
}

fn element(tag: &BytesStart<'_>, line: usize) -> Result<Node, Error> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| wrong(line, "an attribute is not well formed, or stands twice"))?;
        let value = match unescape(&attribute.value) {
            Ok(value) => value.into_owned(),
            Err(_) => attribute.value.into_owned(),
        };
        attributes.push((attribute.key.0.to_owned(), value));
    }
    attributes.sort();
    Ok(Node { tag: tag.name().0.to_owned(), attributes, line, ..Node::default() })
}

impl Node {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn name(&self) -> Option<(&'static str, &str)> {
        NAMES.iter().find_map(|name| self.get(name).map(|value| (*name, value)))
    }

    /// All attributes but one, as they would be written.
    fn rest(&self, without: &str) -> String {
        let shown = self.attributes.iter().filter(|(key, _)| key != without);
        shown.map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join(" ")
    }

    fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }
}

/// Gives each element with children a label that no other of its siblings has.
fn labels(nodes: &[Node]) -> Vec<String> {
    let mut tags = std::collections::HashMap::new();
    for node in nodes.iter().filter(|n| !n.is_leaf()) {
        *tags.entry(node.tag.as_str()).or_insert(0usize) += 1;
    }
    let mut used = std::collections::HashMap::new();
    let mut label = |node: &Node| {
        let plain = match node.name() {
            Some((key, value)) => format!("{}[{key}={value:?}]", node.tag),
            None if tags.get(node.tag.as_str()).is_none_or(|n| *n < 2) || node.attributes.is_empty() => node.tag.clone(),
            None => format!("{}[{}]", node.tag, node.rest("")),
        };
        let count = used.entry(plain.clone()).or_insert(0usize);
        *count += 1;
        if *count == 1 { plain } else { format!("{plain}#{count}") }
    };
    nodes.iter().map(|node| if node.is_leaf() { String::new() } else { label(node) }).collect()
}

fn flatten(node: &Node, path: &str, out: &mut Sink) {
    let text = node.text.trim();
    if !text.is_empty() && !node.is_leaf() {
        out.push(Setting::new(path, "#text", text, node.line, Order::Key));
    }
    let group = || Order::Group(format!("{path}{JOINT}"));
    for (child, label) in node.children.iter().zip(labels(&node.children)) {
        if child.is_leaf() {
            let (key, value) = leaf(child);
            let free = LOOKED_UP.contains(&child.tag.as_str()) && child.name().is_some();
            out.push(Setting::new(path, key, value, child.line, if free { Order::Key } else { group() }));
            continue;
        }
        let below = if path.is_empty() { label } else { format!("{path}{JOINT}{label}") };
        out.push(Setting::new(&below, "", "", child.line, group()));
        let name = child.name().map_or("", |(key, _)| key);
        for (key, value) in child.attributes.iter().filter(|(key, _)| key != name) {
            out.push(Setting::new(&below, format!("@{key}"), value.as_str(), child.line, Order::Free));
        }
        flatten(child, &below, out);
    }
}

/// An element without elements inside is one setting.
fn leaf(node: &Node) -> (String, String) {
    let text = node.text.trim();
    let (key, rest) = match node.name() {
        Some((name, value)) => (format!("{} {value}", node.tag), (name, node.attributes.len() - 1)),
        None => (node.tag.clone(), ("", node.attributes.len())),
    };
    let value = match (rest, node.get("value")) {
        ((_, 1), Some(value)) if text.is_empty() => value.to_owned(),
        ((_, 0), _) => text.to_owned(),
        ((without, _), _) if text.is_empty() => node.rest(without),
        ((without, _), _) => format!("{} {text}", node.rest(without)),
    };
    (key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String, String)> {
        settings(text.as_bytes()).unwrap().into_iter().map(|s| (s.section, s.key, s.value)).collect()
    }

    #[test]
    fn elements() {
        let text = "<?xml version='1.0'?>\n<profile name='in'><!-- c -->\n <settings>\n  <param value='5060' name='port'/>\n </settings>\n <a>x &amp; y</a>\n <action data='d' application='set'/></profile>";
        let found = all(text);
        let shown: Vec<_> = found.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        assert_eq!(
            shown,
            [
                ("profile[name=\"in\"]", "", ""),
                ("profile[name=\"in\"] / settings", "", ""),
                ("profile[name=\"in\"] / settings", "param port", "5060"),
                ("profile[name=\"in\"]", "a", "x & y"),
                ("profile[name=\"in\"]", "action", "application=\"set\" data=\"d\""),
            ]
        );
        assert_eq!(settings(text.as_bytes()).unwrap()[2].line, 4);
    }

    #[test]
    fn what_is_not_well_formed_is_told() {
        for bad in ["<a>", "<a></b>", "</a>", "<a b='1' b='2'/>", "text", "<a b=1 c/>"] {
            assert!(settings(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(settings(&b"<a>\xff</a>"[..]).is_err());
        assert!(settings("<a>".repeat(100_000).as_bytes()).is_err());
    }
}
