//! YAML as far as a configuration of Oxidized needs it: maps, lists and texts; tags are passed over.
//!
//! References to other parts (aliases) are refused: a few of them can stand for more than memory holds.

use yaml_rust2::parser::{Event, Parser};

/// How deep a document may nest.
const DEPTH: usize = 64;

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Gives what stands under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Gives what stands under keys, one below the other.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// Gives a text that says something.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) if !matches!(text.as_str(), "" | "~" | "null" | "nil") => Some(text),
            _ => None,
        }
    }

    /// Gives the entries of a map; none for anything else.
    pub(super) fn entries(&self) -> &[(String, Value)] {
        match self {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// A map or list that is being read.
enum Open {
    List(Vec<Value>),
    Map(Vec<(String, Value)>, Option<String>),
}

/// Reads the first document of a text. The error holds no text of it.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let (event, at) = parser.next_token().map_err(|error| format!("line {}", error.marker().line()))?;
        let wrong = |what: &str| format!("line {}: {what}", at.line());
        let value = match event {
            Event::StreamEnd | Event::DocumentEnd => return Err(wrong("it is empty")),
            Event::Nothing | Event::StreamStart | Event::DocumentStart => continue,
            Event::Alias(_) => return Err(wrong("a reference to another part")),
            Event::Scalar(text, ..) => Value::Text(text),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEPTH => return Err(wrong("nested too deeply")),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Value::List(list),
                Some(Open::Map(entries, _)) => Value::Map(entries),
                None => return Err(wrong("an end without a beginning")),
            },
        };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(entries, key)) => match (key.take(), value) {
                (Some(key), value) => entries.push((key, value)),
                (None, Value::Text(text)) => *key = Some(text),
                (None, _) => return Err(wrong("a key that is no text")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_lists_and_tagged_texts_are_read() {
        let text = "---\na: !ruby/regexp /^x[:]$/\nb:\n  c: 0\n  d: [1, two]\ne: {}\nf: ~\n'g h': \"i\"\n";
        let value = parse(text).unwrap();
        assert_eq!(value.get("a").unwrap().text(), Some("/^x[:]$/"));
        assert_eq!(value.at(&["b", "c"]).unwrap().text(), Some("0"));
        assert_eq!(value.at(&["b", "d"]), Some(&Value::List(vec![Value::Text("1".into()), Value::Text("two".into())])));
        assert_eq!((value.get("f").unwrap().text(), value.get("e").unwrap().entries().len()), (None, 0));
        assert_eq!(value.get("g h").unwrap().text(), Some("i"));
    }

    #[test]
    fn hostile_documents_are_errors() {
        let deep = "[".repeat(5000);
        let bomb = "a: &a [x, x]\nb: [*a, *a]\n";
        for text in ["", "a: [", "? [x]\n: y\n", "a: 'x", bomb, &deep, "a: b: c"] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("line "), "{text:.20}: {error}");
        }
    }
}
