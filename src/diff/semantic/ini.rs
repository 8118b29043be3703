//! `[section]` and `key = value`, with what Asterisk adds: `=>`, templates, `#include`, block comments,
//! dialplans, objects of one name.
//!
//! Order: repeated keys are lists whose order counts. `allow` and `disallow`, `permit` and `deny` count together,
//! as each undoes what stands before it. The steps of an extension count, the extensions among each other do not.

use super::lines::{default, lines};
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

/// Types of PJSIP: several sections of one name are different things if their types differ.
const TYPES: &[&str] = &[
    "acl",
    "aor",
    "asterisk-publication",
    "auth",
    "contact",
    "domain_alias",
    "endpoint",
    "global",
    "identify",
    "inbound-publication",
    "outbound-publish",
    "phoneprov",
    "registration",
    "resource_list",
    "system",
    "transport",
];

struct Reader {
    out: Sink,
    section: String,
    /// Settings from here on belong to the section as it was opened last.
    opened: usize,
    /// The section of a commented-out block.
    shown_section: Option<String>,
    exten: Option<String>,
}

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let mut reader = Reader { out: Sink::new(bytes.len()), section: String::new(), opened: 0, shown_section: None, exten: None };
    let mut depth = 0usize;
    let all = lines(bytes, true);
    // A block comment that nobody closes would swallow settings: then it is a line.
    let last_close = all.iter().rposition(|(_, line)| line.contains("--;"));
    for (at, (number, line)) in all.iter().enumerate() {
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if depth > 0 {
            depth -= usize::from(line.contains("--;"));
            continue;
        }
        if line.starts_with(";--") && !line.starts_with(";---") {
            depth += usize::from(!line[3..].contains("--;") && last_close.is_some_and(|close| close > at));
            continue;
        }
        // The comment behind a setting may go on below it, indented.
        if indented && line.starts_with(';') && reader.continue_note(line, *number) {
            continue;
        }
        reader.line(line, *number)?;
    }
    reader.close();
    reader.out.done("INI")
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<(), Error> {
        let directive = ["#include", "#tryinclude", "#exec"].iter().find(|word| line.starts_with(**word));
        if let Some(word) = directive {
            let section = self.section.clone();
            self.out.push(Setting::new(&section, *word, line[word.len()..].trim(), number, Order::Key));
        } else if let Some(comment) = line.strip_prefix([';', '#']) {
            self.comment(comment, number);
        } else if let Some(rest) = line.strip_prefix('[') {
            let wrong = Error::Unparsed {
                syntax: "INI",
                line: u32::try_from(number).unwrap_or(u32::MAX),
                reason: "a section has no closing bracket",
            };
            let (name, rest) = rest.split_once(']').ok_or(wrong)?;
            self.open(name.trim(), rest.split(';').next().unwrap_or("").trim(), number);
        } else if !line.is_empty() {
            self.setting(line, number);
        }
        Ok(())
    }

    /// Adds a comment to that of the setting before, if that stands close enough to be meant.
    fn continue_note(&mut self, line: &str, number: usize) -> bool {
        let comment = line.trim_start_matches(';').trim();
        let Some(last) = self.out.last_mut() else { return false };
        let Some(note) = &mut last.note else { return false };
        // As many lines on as the comment has, so no number is kept for it.
        let next = usize::try_from(last.line).unwrap_or(0) + 1 + note.matches('\n').count();
        if next == number {
            note.push('\n');
            note.push_str(comment);
        }
        next == number
    }

    fn open(&mut self, name: &str, options: &str, number: usize) {
        self.close();
        name.clone_into(&mut self.section);
        (self.shown_section, self.exten) = (None, None);
        self.opened = self.out.len();
        // `[x](+)` adds to a section that is there already.
        if options != "(+)" {
            self.out.push(Setting::new(name, "", options, number, Order::Key));
        }
    }

    /// Gives the settings of a PJSIP object their type as part of the section.
    fn close(&mut self) {
        let own = &mut self.out[self.opened..];
        let kind = own.iter().find(|s| s.key == "type" && !s.default && TYPES.contains(&s.value.as_str()));
        if let Some(kind) = kind.map(|s| s.value.clone()) {
            for setting in own.iter_mut().filter(|s| s.section == self.section) {
                setting.section = format!("{} ({kind})", self.section);
                if let Order::Group(group) = &mut setting.order {
                    *group = format!("{group} ({kind})");
                }
            }
        }
    }

    fn comment(&mut self, comment: &str, number: usize) {
        let comment = comment.trim_start_matches(';');
        if let Some((name, _)) = comment.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            if !name.contains(' ') {
                self.shown_section = Some(name.to_owned());
            }
        } else if let Some((key, value)) = default(comment) {
            let section = self.shown_section.clone().unwrap_or_else(|| self.section.clone());
            let (value, note) = cut_comment(value);
            let mut setting = Setting::new(&section, key, value, number, Order::Key);
            (setting.default, setting.note) = (true, note);
            self.out.push(setting);
        }
    }

    fn setting(&mut self, line: &str, number: usize) {
        self.shown_section = None;
        let section = self.section.clone();
        let Some((key, value)) = line.split_once('=') else {
            // A word alone: among such words the order counts, as nobody knows what they are.
            let (word, note) = cut_comment(line);
            let mut setting = Setting::new(&section, word, "", number, Order::Group(format!("{section} words")));
            setting.note = note;
            self.out.push(setting);
            return;
        };
        let (key, value) = (key.trim(), value.strip_prefix('>').unwrap_or(value).trim());
        // The commands of systemd have `;` as a word of their own.
        let (value, note) = if key.starts_with("Exec") { (value, None) } else { cut_comment(value) };
        let (key, value) = match key {
            "exten" => match value.split_once(',') {
                Some((number, step)) => {
                    let name = format!("exten {}", number.trim());
                    self.exten = Some(name.clone());
                    (name, step.trim())
                }
                None => (key.to_owned(), value),
            },
            "same" => (self.exten.clone().unwrap_or_else(|| key.to_owned()), value),
            _ => (key.to_owned(), value),
        };
        let order = match together(&key) {
            Some(group) => Order::Group(format!("{section} {group}")),
            None => Order::Key,
        };
        let mut setting = Setting::new(&section, key, value, number, order);
        setting.note = note;
        self.out.push(setting);
    }
}

/// Keys whose order counts among each other.
fn together(key: &str) -> Option<String> {
    match key {
        "allow" | "disallow" => Some("allow, disallow".to_owned()),
        _ => {
            let stem = key.strip_suffix("permit").or_else(|| key.strip_suffix("deny"))?;
            Some(format!("{stem}permit, {stem}deny"))
        }
    }
}

/// Cuts a comment behind a value: a `;` behind white space, unless escaped.
fn cut_comment(value: &str) -> (&str, Option<String>) {
    let bytes = value.as_bytes();
    let at = memchr::memchr_iter(b';', bytes).find(|&at| at == 0 || bytes[at - 1].is_ascii_whitespace());
    match at {
        Some(at) => {
            let note = value[at..].trim_start_matches(';').trim();
            (value[..at].trim_end(), (!note.is_empty()).then(|| note.to_owned()))
        }
        None => (value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String, String)> {
        let list = settings(text.as_bytes()).unwrap();
        list.into_iter().filter(|s| !s.default && !s.key.is_empty()).map(|s| (s.section, s.key, s.value)).collect()
    }

    fn is(found: &[(String, String, String)], wanted: &[(&str, &str, &str)]) {
        let found: Vec<_> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn asterisk() {
        is(
            &all(
                "#include other.conf\n[general](!)\nbind => 0.0.0.0 ; all\npass=a\\;b;c\n;--\nhidden=1\n--;\n[general](+)\nx=1\n",
            ),
            &[
                ("", "#include", "other.conf"),
                ("general", "bind", "0.0.0.0"),
                ("general", "pass", "a\\;b;c"),
                ("general", "x", "1"),
            ],
        );
    }

    #[test]
    fn a_block_comment_without_an_end_hides_nothing() {
        is(&all(";-- note\na=1\n"), &[("", "a", "1")]);
    }

    #[test]
    fn pjsip_objects_of_one_name_are_told_apart() {
        is(
            &all("[7]\ntype=endpoint\nallow=ulaw\n[7]\ntype=aor\nmax_contacts=1\n"),
            &[
                ("7 (endpoint)", "type", "endpoint"),
                ("7 (endpoint)", "allow", "ulaw"),
                ("7 (aor)", "type", "aor"),
                ("7 (aor)", "max_contacts", "1"),
            ],
        );
    }

    #[test]
    fn a_dialplan() {
        is(
            &all("[in]\nexten => 100,1,Answer()\n same => n,Dial(SIP/a,20)\nexten => _X.,1,Hangup()\n"),
            &[("in", "exten 100", "1,Answer()"), ("in", "exten 100", "n,Dial(SIP/a,20)"), ("in", "exten _X.", "1,Hangup()")],
        );
    }

    #[test]
    fn defaults_in_comments() {
        let text = "[general]\nbind=1\n;transport=udp ; the transport (default: \"udp\")\n; Set this = to whatever you like\n;==== x\n;[late]\n;a=1\nb=2\n";
        let found: Vec<_> = settings(text.as_bytes()).unwrap().into_iter().filter(|s| s.default).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].key.as_str(), found[0].value.as_str(), found[0].line), ("transport", "udp", 3));
        assert_eq!(found[0].note.as_deref(), Some("the transport (default: \"udp\")"));
        assert_eq!((found[1].section.as_str(), found[1].key.as_str()), ("late", "a"));
    }

    #[test]
    fn a_comment_that_goes_on_below() {
        let text = ";a=1 ; one (default:\n   ; \"no\")\n   ; end\n\n  ; b=2\n";
        let found = settings(text.as_bytes()).unwrap();
        assert_eq!(found[0].note.as_deref(), Some("one (default:\n\"no\")\nend"));
        assert_eq!((found.len(), found[1].key.as_str()), (2, "b"));
    }

    #[test]
    fn a_broken_section_is_told() {
        assert!(matches!(settings(b"a=1\n[x\n"), Err(Error::Unparsed { line: 2, .. })));
    }
}
