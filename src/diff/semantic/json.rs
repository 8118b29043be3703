//! JSON: keys in any order, white space between tokens.
//!
//! The order of arrays counts. An array of objects that all have another `name`, `id` or `key` is taken by these
//! names; of other arrays each element is one value. Numbers are compared as they are written, so that none is
//! rounded. A key that stands twice is refused: nobody knows which one counts.

use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

/// Deeper texts are compared by line.
const MOST_DEPTH: usize = 128;

enum Json {
    /// A string, number, `true`, `false` or `null`, as it is written (strings with the shortest escapes).
    Scalar(String),
    Array(Vec<(usize, Json)>),
    Object(Vec<(String, usize, Json)>),
}

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let mut parser = Parser { bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), at: 0, line: 1 };
    let value = parser.value(0)?;
    parser.blank();
    if parser.at < parser.bytes.len() {
        return Err(parser.wrong("there is more behind the end"));
    }
    let mut out = Sink::new(bytes.len());
    flatten("", "", &value, 1, &mut out);
    out.done("JSON")
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Parser<'_> {
    fn wrong(&self, reason: &'static str) -> Error {
        Error::Unparsed { syntax: "JSON", line: u32::try_from(self.line).unwrap_or(u32::MAX), reason }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.line += usize::from(self.peek() == Some(b'\n'));
            self.at += 1;
        }
    }

    /// Takes a sign behind white space, if it stands there.
    fn take(&mut self, sign: u8) -> bool {
        self.blank();
        let here = self.peek() == Some(sign);
        self.at += usize::from(here);
        here
    }

    fn value(&mut self, depth: usize) -> Result<Json, Error> {
        if depth > MOST_DEPTH {
            return Err(self.wrong("values lie too deep"));
        }
        if self.take(b'{') {
            return self.object(depth);
        }
        if self.take(b'[') {
            return self.array(depth);
        }
        if self.peek() == Some(b'"') {
            return Ok(Json::Scalar(self.string()?));
        }
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            self.at += 1;
        }
        let word = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or("");
        match serde_json::from_str::<serde_json::Value>(word) {
            Ok(_) => Ok(Json::Scalar(word.to_owned())),
            // Too large for a number of this machine, but a number.
            Err(_) if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() => Ok(Json::Scalar(word.to_owned())),
            Err(_) => Err(self.wrong("a value was expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Error> {
        let mut out = Vec::new();
        let mut keys = std::collections::HashSet::new();
        if self.take(b'}') {
            return Ok(Json::Object(out));
        }
        loop {
            self.blank();
            let line = self.line;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key was expected"));
            }
            let key = self.string()?;
            if !keys.insert(key.clone()) {
                return Err(self.wrong("a key stands twice"));
            }
            if !self.take(b':') {
                return Err(self.wrong("a colon was expected"));
            }
            out.push((key, line, self.value(depth + 1)?));
            if self.take(b'}') {
                return Ok(Json::Object(out));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma was expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Error> {
        let mut out = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(out));
        }
        loop {
            self.blank();
            out.push((self.line, self.value(depth + 1)?));
            if self.take(b']') {
                return Ok(Json::Array(out));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma was expected"));
            }
        }
    }

    /// Takes a string, in its shortest written form with quotes.
    fn string(&mut self) -> Result<String, Error> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(b) if b >= b' ' => self.at += 1,
                _ => return Err(self.wrong("a string has no end")),
            }
        }
        self.at += 1;
        let raw = self.bytes.get(start..self.at).and_then(|raw| std::str::from_utf8(raw).ok());
        let Some(raw) = raw else { return Err(self.wrong("a string is not UTF-8")) };
        let text: String = serde_json::from_str(raw).map_err(|_| self.wrong("a string has a wrong escape"))?;
        serde_json::to_string(&text).map_err(|_| self.wrong("a string has a wrong escape"))
    }
}

/// Gives a key in a path: bare where it cannot be confused.
fn component(quoted: &str) -> &str {
    let bare = &quoted[1..quoted.len() - 1];
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"_-:/@$ ".contains(&b);
    if !bare.is_empty() && bare.bytes().all(safe) { bare } else { quoted }
}

fn below(path: &str, key: &str) -> String {
    match (path.is_empty(), key.starts_with('[')) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}{key}"),
        (false, false) => format!("{path}.{key}"),
    }
}

fn flatten(section: &str, key: &str, value: &Json, line: usize, out: &mut Sink) {
    let path = if key.is_empty() { section.to_owned() } else { below(section, key) };
    // Something must have a key, else it would be a section.
    let name = if key.is_empty() { "(value)" } else { key };
    match value {
        Json::Scalar(text) => out.push(Setting::new(section, name, text.as_str(), line, Order::Key)),
        Json::Object(members) if members.is_empty() => out.push(Setting::new(section, name, "{}", line, Order::Key)),
        Json::Array(elements) if elements.is_empty() => out.push(Setting::new(section, name, "[]", line, Order::Key)),
        Json::Object(members) => {
            for (key, line, value) in members {
                flatten(&path, component(key), value, *line, out);
            }
        }
        Json::Array(elements) => match names(elements) {
            Some(names) => {
                for ((line, element), name) in elements.iter().zip(names) {
                    let place = below(&path, &name);
                    out.push(Setting::new(&place, "", "", *line, Order::Group(format!("{path}[]"))));
                    flatten(&path, &name, element, *line, out);
                }
            }
            None => {
                for (line, element) in elements {
                    let mut text = String::new();
                    write(element, &mut text);
                    out.push(Setting::new(section, format!("{name}[]"), text, *line, Order::Key));
                }
            }
        },
    }
}

/// Names for the elements of an array, if each has one and no two the same.
fn names(elements: &[(usize, Json)]) -> Option<Vec<String>> {
    ["\"name\"", "\"id\"", "\"key\""].iter().find_map(|wanted| {
        let name = |element: &Json| match element {
            Json::Object(members) => members.iter().find_map(|(key, _, value)| match value {
                Json::Scalar(text) if key == wanted => Some(format!("[{}={text}]", component(key))),
                _ => None,
            }),
            Json::Scalar(_) | Json::Array(_) => None,
        };
        let names: Option<Vec<String>> = elements.iter().map(|(_, element)| name(element)).collect();
        let mut seen = std::collections::HashSet::new();
        names.filter(|names| names.iter().all(|name| seen.insert(name.clone())))
    })
}

/// Writes a value with its keys sorted.
fn write(value: &Json, out: &mut String) {
    match value {
        Json::Scalar(text) => out.push_str(text),
        Json::Array(elements) => {
            out.push('[');
            for (at, (_, element)) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(element, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (at, (key, _, value)) in sorted.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(key);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String, String)> {
        settings(text.as_bytes()).unwrap().into_iter().map(|s| (s.section, s.key, s.value)).collect()
    }

    #[test]
    fn paths() {
        let found =
            all("{\"a\":{\"b.c\":1,\"d\":[1,\"x\"]},\n\"e\":[{\"name\":\"n\",\"v\":true}],\"f\":[{\"v\":1,\"a\":2}],\"g\":{}}");
        let shown: Vec<_> = found.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        assert_eq!(
            shown,
            [
                ("a", "\"b.c\"", "1"),
                ("a", "d[]", "1"),
                ("a", "d[]", "\"x\""),
                ("e[name=\"n\"]", "", ""),
                ("e[name=\"n\"]", "name", "\"n\""),
                ("e[name=\"n\"]", "v", "true"),
                ("", "f[]", "{\"a\":2,\"v\":1}"),
                ("", "g", "{}"),
            ]
        );
    }

    #[test]
    fn what_means_the_same_is_the_same_and_nothing_is_rounded() {
        assert_eq!(all("{\"a\":\"\\u0041\"}"), all("{ \"a\" : \"A\" }"));
        assert_ne!(all("{\"a\":12345678901234567890123}"), all("{\"a\":12345678901234567890124}"));
    }

    #[test]
    fn what_is_no_json_is_told() {
        for bad in ["", "{", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{a:1}", "[1 2]", "\"x", "nul", "{} x", "\"\\x\"", "\"a\\"] {
            assert!(settings(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(settings("[".repeat(100_000).as_bytes()).is_err());
    }
}
