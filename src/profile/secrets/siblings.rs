//! Keys whose value stands beside them: `name="key" value="v"`, `{"name": "key", "value": "v"}`, elements of XML.

use memchr::{memchr, memchr2, memrchr};

use super::keys::is_key_byte;
use super::value::{NEAR, Site, Value};

/// What the value of a `name` is called.
const VALUES: &[&[u8]] = &[b"value", b"data", b"content", b"val", b"text"];

/// What the name of a `value` is called, in JSON.
const NAMES: &[&[u8]] = &[
    b"\"name\"",
    b"\"key\"",
    b"\"keyword\"",
    b"\"field\"",
    b"\"option\"",
    b"\"setting\"",
    b"\"variable\"",
    b"\"param\"",
    b"\"parameter\"",
];

impl Site<'_> {
    /// Gives the name of the attribute whose value opens with the quote at `quote`.
    pub(super) fn attribute_name(&self, quote: usize) -> Option<&[u8]> {
        let head = self.text[..quote].trim_ascii_end().strip_suffix(b"=")?.trim_ascii_end();
        let start = head.iter().rposition(|b| !is_key_byte(*b) && *b != b':').map_or(0, |at| at + 1);
        (start < head.len()).then(|| &head[start..])
    }

    /// `<param name="key" value="v"/>`, in either order.
    pub(super) fn sibling_attribute(&self) -> Option<Value> {
        let floor = self.key.start.saturating_sub(NEAR);
        let ceiling = (self.key.end + 4 * NEAR).min(self.text.len());
        let open = floor + memrchr(b'<', &self.text[floor..self.key.start])?;
        let close = self.key.end + memchr(b'>', &self.text[self.key.end..ceiling])?;
        let tag = &self.text[open..close];
        for word in VALUES {
            for at in memchr::memmem::find_iter(tag, word) {
                let free = at > 0 && tag[at - 1].is_ascii_whitespace();
                let p = self.skip_space(open + at + word.len());
                if !free || self.at(p) != b'=' {
                    continue;
                }
                let start = self.skip_space(p + 1);
                let quote = self.at(start);
                if matches!(quote, b'"' | b'\'') {
                    let end = start + 1 + memchr(quote, self.text.get(start + 1..)?)?;
                    return Some(self.found(start + 1..end, true));
                }
            }
        }
        None
    }

    /// `<key attributes>value</key>`, or `<key>…<ParamValue>value</ParamValue></key>`; `from` stands behind the name.
    pub(super) fn element(&self, from: usize) -> Option<Value> {
        self.leaf(from).or_else(|| self.value_child(from))
    }

    /// The element `value` within the element that the key names.
    fn value_child(&self, from: usize) -> Option<Value> {
        let inside = &self.text[from..(from + 4 * NEAR).min(self.text.len())];
        let closing = [b"</", &self.text[self.key.clone()], b">"].concat();
        let inside = &inside[..memchr::memmem::find(inside, &closing)?];
        memchr::memchr_iter(b'<', inside).find_map(|open| {
            let length = inside[open + 1..].iter().take_while(|b| is_key_byte(**b)).count();
            let name = &inside[open + 1..open + 1 + length];
            let is_value = [&b"value"[..], b"paramvalue"].iter().any(|known| name.eq_ignore_ascii_case(known));
            if is_value { self.leaf(from + open + 1 + length) } else { None }
        })
    }

    fn leaf(&self, from: usize) -> Option<Value> {
        let close = from + memchr2(b'>', b'<', self.text.get(from..)?)?;
        if self.text[close] != b'>' || self.text[close - 1] == b'/' {
            return None;
        }
        let start = close + 1;
        let rest = &self.text[start..];
        if let Some(inner) = rest.strip_prefix(b"<![CDATA[") {
            let end = memchr::memmem::find(inner, b"]]>")?;
            return Some(self.found(start + 9..start + 9 + end, true));
        }
        let end = memchr(b'<', rest)?;
        // Only a leaf has a value: what follows must be an end tag.
        if rest.get(end + 1) != Some(&b'/') {
            return None;
        }
        let lead = rest[..end].len() - rest[..end].trim_ascii_start().len();
        let range = start + lead..start + lead + rest[..end].trim_ascii().len();
        Some(self.found(range, true))
    }

    /// `<name>key</name><value>v</value>`: the next element that has text.
    pub(super) fn next_element(&self) -> Option<Value> {
        let mut p = self.key.end;
        for _ in 0..4 {
            let open = p + memchr(b'<', self.text.get(p..)?)?;
            p = open + 1;
            if self.at(p) == b'/' {
                continue;
            }
            let close = p + memchr(b'>', self.text.get(p..)?)?;
            if self.at(self.skip_space(close + 1)) != b'<' {
                return self.element(close);
            }
        }
        None
    }

    /// `{"keyword": "key", "data": "v"}`, in either order, for a key that is itself the value of a member.
    pub(super) fn sibling_member(&self) -> Option<Value> {
        let floor = self.key.start.saturating_sub(NEAR);
        let head = self.text[floor..self.key.start - 1].trim_ascii_end();
        let name = head.strip_suffix(b":")?.trim_ascii_end();
        if !NAMES.iter().any(|known| name.ends_with(known)) {
            return None;
        }
        let ceiling = (self.key.end + NEAR).min(self.text.len());
        let open = floor + memrchr(b'{', head)?;
        let close = self.key.end + memchr(b'}', &self.text[self.key.end..ceiling])?;
        // An object that ended before the key is not the one around it.
        if memchr(b'}', &self.text[open..self.key.start]).is_some() {
            return None;
        }
        let object = &self.text[open..close];
        for word in VALUES {
            let name = [b"\"", *word, b"\""].concat();
            for at in memchr::memmem::find_iter(object, &name) {
                let p = self.skip_space(open + at + name.len());
                if self.at(p) == b':' {
                    return self.scalar(self.skip_space(p + 1));
                }
            }
        }
        None
    }

    /// `- name: KEY` with `value: v` on the next line.
    pub(super) fn next_item(&self) -> Option<Value> {
        let head = self.text[self.line.start..self.key.start].trim_ascii_end();
        let head = head.strip_suffix(b"\"").or_else(|| head.strip_suffix(b"'")).unwrap_or(head).trim_ascii_end();
        let named = [&b"name:"[..], b"key:"].iter().any(|word| head.ends_with(word));
        if !named || self.text.get(self.line.end..)?.len() < 2 {
            return None;
        }
        let next = self.line.end + 1 + memchr(b'v', self.text.get(self.line.end + 1..)?)?;
        if self.text[self.line.end..next].iter().any(|b| !b.is_ascii_whitespace()) {
            return None;
        }
        let rest = self.text[next..].strip_prefix(b"value:")?;
        let end = memchr(b'\n', rest).map_or(self.text.len(), |n| next + 6 + n);
        let value = Site { line: next..end, key: next..next + 5, ..self.clone() };
        value.scalar(value.skip_blanks(next + 6))
    }

    /// `"keys": ["a", "b"]`: all of the list is one secret; a list of objects is none.
    pub(super) fn list(&self, open: usize) -> Option<Value> {
        let ceiling = (open + 4 * NEAR).min(self.text.len());
        let end = open + memchr(b']', &self.text[open..ceiling])?;
        let inner = &self.text[open + 1..end];
        let first = memchr(b'"', inner)?;
        let last = memrchr(b'"', inner)?;
        let plain = last > first && memchr2(b'{', b'[', inner).is_none();
        plain.then(|| self.found(open + 1 + first + 1..open + 1 + last, true))
    }
}
