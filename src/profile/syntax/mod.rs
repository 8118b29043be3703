//! The syntaxes of configuration files, as far as telling in which section a line stands.

mod markup;
mod sections;

use serde::{Deserialize, Serialize};

pub use sections::{Sections, sections};

/// How a text file is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Syntax {
    /// `[section]`, `[section](template)`, `key = value`, `key => value`, `;` and `#` comments.
    Ini,
    /// Lines whose indentation tells what they belong to (IOS, EOS, FRR, NX-OS, AudioCodes' command line).
    Ios,
    /// XML elements.
    Xml,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `word word { … }` blocks (Junos, strongSwan, nginx).
    Braces,
    /// `key = value` or `key: value` lines without sections.
    KeyValue,
    /// AudioCodes ini files: `[ Table ]`, `FORMAT …`, `[ \Table ]`, beside `[SECTION]`.
    Audiocodes,
    /// Kamailio and OpenSIPS: `route[X] {`, `#!ifdef`.
    Kamailio,
    /// Anything else.
    #[default]
    Plain,
}

/// Tells the syntax of a file that no rule gives one, by its name and its first bytes.
pub(super) fn guess(path: &[u8], text: &[u8]) -> Syntax {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path).to_ascii_lowercase();
    let extension = name.rsplit(|b| *b == b'.').next().unwrap_or_default();
    let head = text[..text.len().min(512)].trim_ascii_start();
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    match extension {
        b"json" => return Syntax::Json,
        b"xml" | b"xsd" | b"xhtml" | b"plist" => return Syntax::Xml,
        b"yaml" | b"yml" => return Syntax::Yaml,
        b"ini" => return Syntax::Ini,
        _ => {}
    }
    if head.starts_with(b"<?xml") || head.starts_with(b"<!DOCTYPE") {
        return Syntax::Xml;
    }
    if head.starts_with(b"{") && text.trim_ascii_end().ends_with(b"}") {
        return Syntax::Json;
    }
    if is_ios(text) {
        return Syntax::Ios;
    }
    if matches!(extension, b"conf" | b"cfg" | b"cnf") && text.split(|b| *b == b'\n').take(200).any(is_ini_section) {
        return Syntax::Ini;
    }
    Syntax::Plain
}

/// Commands of IOS, EOS, NX-OS and FRR that stand at the beginning of a line, near the beginning of a configuration or part of one.
const IOS_COMMANDS: [&[u8]; 12] = [
    b"version ",
    b"hostname ",
    b"switchname ",
    b"frr version ",
    b"interface ",
    b"router ",
    b"line vty ",
    b"line con ",
    b"vrf definition ",
    b"feature ",
    b"aaa ",
    b"crypto ",
];

/// A `!` that separates or begins a comment, and a command; neither alone, as many things begin with either.
fn is_ios(text: &[u8]) -> bool {
    let (mut mark, mut command) = (false, false);
    for line in text.split(|b| *b == b'\n').take(400) {
        mark |= line.trim_ascii_end() == b"!" || line.starts_with(b"! ") || line.starts_with(b"!Command:");
        // `hostname = x` and `interface: x` are settings of something else.
        command |= IOS_COMMANDS
            .iter()
            .any(|c| line.strip_prefix(*c).and_then(<[u8]>::first).is_some_and(|b| !matches!(b, b'=' | b':' | b' ')));
        if mark && command {
            return true;
        }
    }
    false
}

fn is_ini_section(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.len() > 2 && line[0] == b'[' && line.contains(&b']') && line[1].is_ascii_alphanumeric()
}
