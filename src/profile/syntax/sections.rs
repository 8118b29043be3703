//! Tells in which section each line of a text stands.

use memchr::memchr;

use super::Syntax;
use super::markup;

/// Longest name of a section that is kept, in characters.
const LONGEST: usize = 120;

/// The sections of a text, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    names: Vec<String>,
    /// Index into `names`, or `u32::MAX`.
    lines: Vec<u32>,
}

impl Sections {
    /// Gives the section in which a line stands; lines count from 0. The line that opens a
    /// section stands in it. Control characters are replaced; the name is cut at 120 characters.
    ///
    /// A name is text of the configuration: over unmasked text it can hold a secret.
    #[must_use]
    pub fn of_line(&self, line: usize) -> Option<&str> {
        let index = *self.lines.get(line)?;
        self.names.get(usize::try_from(index).ok()?).map(String::as_str)
    }

    /// Gives the number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Tells whether the text had no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Makes a name and gives its index.
    pub(super) fn name(&mut self, text: &[u8]) -> u32 {
        let shown: String = String::from_utf8_lossy(text)
            .chars()
            .take(LONGEST)
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        if self.names.last() != Some(&shown) {
            self.names.push(shown);
        }
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn push(&mut self, section: Option<u32>) {
        self.lines.push(section.unwrap_or(u32::MAX));
    }
}

/// Tells for each line of a text the section in which it stands.
#[must_use]
pub fn sections(syntax: Syntax, text: &[u8]) -> Sections {
    match syntax {
        Syntax::Ini => ini(text),
        Syntax::Audiocodes => audiocodes(text),
        Syntax::Ios => indented(text, b'!'),
        Syntax::Yaml => indented(text, b'#'),
        Syntax::Braces | Syntax::Kamailio => braces(text),
        Syntax::Xml => markup::xml(text),
        Syntax::Json => markup::json(text),
        Syntax::KeyValue | Syntax::Plain => flat(text),
    }
}

/// Gives the lines of a text without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

fn flat(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    lines(text).for_each(|_| out.push(None));
    out
}

fn ini(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    let mut now = None;
    for line in lines(text) {
        let bare = line.trim_ascii_start();
        if bare.starts_with(b"[")
            && let Some(end) = memchr(b']', bare)
        {
            // `[name](!,template)` keeps its templates, not what follows.
            let mut stop = end + 1;
            if bare.get(stop) == Some(&b'(') {
                stop = memchr(b')', &bare[stop..]).map_or(stop, |n| stop + n + 1);
            }
            now = Some(out.name(&bare[..stop]));
        }
        out.push(now);
    }
    out
}

fn audiocodes(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    let (mut now, mut closes) = (None, false);
    for line in lines(text) {
        let bare = line.trim_ascii();
        if closes {
            (now, closes) = (None, false);
        }
        if bare.starts_with(b"[") && bare.ends_with(b"]") {
            let inner = bare[1..bare.len() - 1].trim_ascii();
            if inner.starts_with(b"\\") {
                closes = true;
            } else {
                let name = [b"[", inner, b"]"].concat();
                now = Some(out.name(&name));
            }
        }
        out.push(now);
    }
    out
}

/// Lines belong to the line above them that is less deep: `voice service voip > sip`.
fn indented(text: &[u8], comment: u8) -> Sections {
    let mut out = Sections::default();
    let mut open: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut now: Option<u32> = None;
    let mut children = false;
    let all: Vec<&[u8]> = lines(text).collect();
    let depth = |line: &[u8]| line.len() - line.trim_ascii_start().len();
    for (at, line) in all.iter().enumerate() {
        let bare = line.trim_ascii();
        let deep = depth(line);
        if bare.is_empty() || bare[0] == comment {
            if deep == 0 && !children {
                now = None;
            }
            out.push(if deep > 0 || bare.is_empty() { now } else { None });
            continue;
        }
        if open.last().is_some_and(|(d, _)| *d >= deep) {
            while open.last().is_some_and(|(d, _)| *d >= deep) {
                open.pop();
            }
            now = path(&mut out, &open);
        }
        let next = all[at + 1..].iter().find(|l| !l.trim_ascii().is_empty() && l.trim_ascii()[0] != comment);
        children = next.is_some_and(|next| depth(next) > deep);
        if children {
            let name = if comment == b'#' { bare.strip_suffix(b":").unwrap_or(bare) } else { bare };
            open.push((deep, name.to_vec()));
            now = path(&mut out, &open);
        }
        out.push(now);
    }
    out
}

fn path(out: &mut Sections, open: &[(usize, Vec<u8>)]) -> Option<u32> {
    if open.is_empty() {
        return None;
    }
    let names: Vec<&[u8]> = open.iter().map(|(_, name)| name.as_slice()).collect();
    Some(out.name(&names.join(&b" > "[..])))
}

/// `name {` … `}`; the names of all open blocks. Braces in quotes and comments do not count.
fn braces(text: &[u8]) -> Sections {
    let mut out = Sections::default();
    let mut open: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut now = None;
    let mut before: Vec<u8> = Vec::new();
    let mut in_comment = false;
    for line in lines(text) {
        let bare = line.trim_ascii();
        let code = code_of(bare, &mut in_comment);
        let mut start = 0;
        let mut section = now;
        for (at, b) in code.iter().enumerate() {
            match b {
                b'{' => {
                    let own = code[start..at].trim_ascii();
                    let name = if own.is_empty() { before.clone() } else { own.to_vec() };
                    open.push((0, name));
                    now = path(&mut out, &open);
                    section = now;
                    start = at + 1;
                }
                b'}' => {
                    open.pop();
                    now = path(&mut out, &open);
                    start = at + 1;
                }
                b';' => start = at + 1,
                _ => {}
            }
        }
        out.push(section);
        if !code.trim_ascii().is_empty() {
            before = code.trim_ascii().to_vec();
        }
    }
    out
}

/// Gives a line with quotes and comments blanked out.
fn code_of(line: &[u8], in_comment: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut quote = None;
    let mut i = 0;
    while i < line.len() {
        let b = line[i];
        let pair = &line[i..(i + 2).min(line.len())];
        if *in_comment {
            if pair == b"*/" {
                *in_comment = false;
                i += 1;
            }
            out.push(b' ');
        } else if let Some(q) = quote {
            if b == b'\\' {
                i += 1;
                out.push(b'_');
            } else if b == q {
                quote = None;
            }
            out.push(if matches!(b, b'{' | b'}' | b';') { b'_' } else { b });
        } else if pair == b"/*" {
            *in_comment = true;
            out.push(b' ');
        } else if (b == b'#' && !line.starts_with(b"#!")) || pair == b"//" {
            break;
        } else {
            if b == b'"' || b == b'\'' {
                quote = Some(b);
            }
            out.push(b);
        }
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(syntax: Syntax, text: &str) -> Vec<String> {
        let found = sections(syntax, text.as_bytes());
        assert_eq!(found.len(), text.lines().count());
        (0..found.len()).map(|line| found.of_line(line).unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn ini_sections_keep_their_templates() {
        let text = "; top\n[general]\na=1\n[phone](!,base) ; x\nb=[2]\n";
        assert_eq!(shown(Syntax::Ini, text), ["-", "[general]", "[general]", "[phone](!,base)", "[phone](!,base)"]);
    }

    #[test]
    fn ios_blocks_nest() {
        let text = "hostname a\n!\nvoice service voip\n allow\n sip\n  bind all\n!\ninterface Gi0/1\n ip address x\nend\n";
        let a = "voice service voip";
        let b = "voice service voip > sip";
        assert_eq!(shown(Syntax::Ios, text), ["-", "-", a, a, b, b, "-", "interface Gi0/1", "interface Gi0/1", "-"]);
    }

    #[test]
    fn braces_count_outside_of_quotes_and_comments() {
        let text = "route[AUTH]\n{\n  if (x) { # {\n    log(\"}\");\n  }\n}\n/* { */\nsystem { host-name a; }\n";
        let r = "route[AUTH]";
        let i = "route[AUTH] > if (x)";
        assert_eq!(shown(Syntax::Kamailio, text), ["-", r, i, i, i, r, "-", "system"]);
    }

    #[test]
    fn audiocodes_tables_end_with_their_closing_line() {
        let text = "[SYSTEM Params]\nA = 1\n[ Account ]\nFORMAT x\n[ \\Account ]\n; end\n";
        assert_eq!(
            shown(Syntax::Audiocodes, text),
            ["[SYSTEM Params]", "[SYSTEM Params]", "[Account]", "[Account]", "[Account]", "-"]
        );
    }

    #[test]
    fn control_characters_do_not_get_into_names() {
        let text = b"[a\x1b[31mb]\nx=1\n";
        assert_eq!(sections(Syntax::Ini, text).of_line(1), Some("[a\u{fffd}[31mb]"));
    }
}
