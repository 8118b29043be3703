//! The manifest: one line a file, directory and link ("The manifest" in `docs/format.md`).
//!
//! The parser takes only what the writer writes, byte for byte: there is one manifest for one set,
//! so its digest stands for the set. It never panics, whatever it is given.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::model::{ConfigPath, Digest, Kind, Owner, Scope};

/// The first line of every manifest of this version.
const HEAD: &str = "confvault-manifest 1";
/// The largest manifest that is written or read, in bytes: about half a million entries.
pub const MAX_BYTES: usize = 128 << 20;

/// Says where and why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Manifest is corrupt in line {line}: {what}")]
pub struct ManifestError {
    /// Line, from 1; 0 for the whole.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// Sixteen hexadecimal digits that identify a version of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RulesId(pub u64);

impl fmt::Display for RulesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RulesId {
    type Err = ManifestError;
    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bad = ManifestError { line: 0, what: "not an id of 16 hexadecimal digits" };
        if hex { u64::from_str_radix(text, 16).map(Self).map_err(|_| bad) } else { Err(bad) }
    }
}

/// How the bytes of a file are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As they came.
    Plain,
    /// As they came, secrets replaced by tokens.
    Masked,
    /// Compressed.
    Packed {
        /// In chunks that lie below `refs/large`.
        chunked: bool,
        /// Each piece is an age file to the epoch.
        sealed: bool,
    },
}

impl Form {
    const ALL: [(Form, &'static str); 6] = [
        (Form::Plain, "plain"),
        (Form::Masked, "masked"),
        (Form::Packed { chunked: false, sealed: false }, "packed"),
        (Form::Packed { chunked: false, sealed: true }, "packed,sealed"),
        (Form::Packed { chunked: true, sealed: false }, "packed,chunked"),
        (Form::Packed { chunked: true, sealed: true }, "packed,chunked,sealed"),
    ];

    /// Gives the word of the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Form::ALL.iter().find(|(form, _)| *form == self).map_or("", |(_, word)| word)
    }

    /// Tells whether the content lies in chunks.
    #[must_use]
    pub fn chunked(self) -> bool {
        matches!(self, Form::Packed { chunked: true, .. })
    }

    /// Tells whether the content opens only with an identity; a masked file is not sealed itself.
    #[must_use]
    pub fn sealed(self) -> bool {
        matches!(self, Form::Packed { sealed: true, .. })
    }
}

/// What the manifest knows of the bytes of a file or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Size of the plain bytes; of a link, of its target.
    pub size: u64,
    /// How the bytes are stored.
    pub form: Form,
    /// Keyed digest of the plain bytes.
    pub plain: Digest,
    /// Keyed digest of the normalised bytes.
    pub normal: Digest,
    /// Digest without a key of the blob in the tree.
    pub stored: Digest,
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The scope.
    pub scope: Scope,
    /// The true path below the scope.
    pub path: ConfigPath,
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner, where the source has one.
    pub owner: Option<Owner>,
    /// The content; nothing for a directory.
    pub body: Option<Body>,
}

impl Line {
    /// Gives `<scope>/<path>` in its written form.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}/{}", self.scope, self.path)
    }

    /// The sort key.
    #[must_use]
    pub fn key(&self) -> (Scope, &ConfigPath) {
        (self.scope, &self.path)
    }
}

/// What the manifest knows of `.confvault/secrets.age`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secrets {
    /// Keyed digest of the plain script.
    pub plain: Digest,
    /// Digest without a key of the age file.
    pub stored: Digest,
    /// Number of tokens.
    pub count: u64,
}

/// The manifest of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The epoch of the keyed digests, and of everything sealed.
    pub epoch: u32,
    /// The rules of normalisation.
    pub rules: RulesId,
    /// The rules of masking; nothing where nothing is sealed.
    pub masks: Option<RulesId>,
    /// The sealed values of masked secrets.
    pub secrets: Option<Secrets>,
    /// The entries, sorted by scope and path.
    pub lines: Vec<Line>,
}

impl Manifest {
    /// Writes the text. The lines must be sorted and without doubles, as [`Manifest::parse`] wants them.
    ///
    /// # Errors
    /// [`ManifestError`] if the text is over [`MAX_BYTES`].
    pub fn write(&self) -> Result<String, ManifestError> {
        let mut out = String::with_capacity(256 + self.lines.len() * 280);
        self.write_into(&mut out).map_err(|_| ManifestError { line: 0, what: "cannot be formatted" })?;
        if out.len() > MAX_BYTES {
            return Err(ManifestError { line: 0, what: "over the limit of 128 MiB" });
        }
        Ok(out)
    }

    fn write_into(&self, out: &mut String) -> fmt::Result {
        write!(out, "{HEAD}\nepoch {}\nrules {}\n", self.epoch, self.rules)?;
        match &self.masks {
            Some(masks) => writeln!(out, "masks {masks}")?,
            None => out.push_str("masks -\n"),
        }
        if let Some(s) = &self.secrets {
            writeln!(out, "secrets {} {} {}", s.plain, s.stored, s.count)?;
        }
        for line in &self.lines {
            let letter = match line.kind {
                Kind::Directory => 'd',
                Kind::File => 'f',
                Kind::Link => 'l',
            };
            write!(out, "{letter} {:04o} ", line.mode)?;
            match line.owner {
                Some(o) => write!(out, "{}:{} ", o.uid, o.gid)?,
                None => out.push_str("- "),
            }
            match &line.body {
                Some(b) => {
                    write!(out, "{} {} {} ", b.size, b.form.as_str(), b.plain)?;
                    if b.normal == b.plain {
                        out.push_str("= ");
                    } else {
                        write!(out, "{} ", b.normal)?;
                    }
                    write!(out, "{} ", b.stored)?;
                }
                None => out.push_str("- - - - - "),
            }
            writeln!(out, "{}/{}", line.scope, line.path)?;
        }
        Ok(())
    }

    /// Reads what [`Manifest::write`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`ManifestError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let whole = |what| ManifestError { line: 0, what };
        if bytes.len() > MAX_BYTES {
            return Err(whole("over the limit of 128 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("not UTF-8"))?;
        let text = text.strip_suffix('\n').ok_or_else(|| whole("the last line has no end"))?;
        let mut lines = text.split('\n').enumerate().map(|(i, l)| (i + 1, l)).peekable();
        let mut header = |word: &'static str, what: &'static str| -> Result<&str, ManifestError> {
            let (at, line) = lines.next().ok_or_else(|| whole("too short"))?;
            line.strip_prefix(word).ok_or(ManifestError { line: at, what })
        };
        if !header(HEAD, "not a manifest of version 1")?.is_empty() {
            return Err(ManifestError { line: 1, what: "not a manifest of version 1" });
        }
        let epoch = number(header("epoch ", "no epoch")?)
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or(ManifestError { line: 2, what: "not an epoch" })?;
        let id = |text: &str, line| text.parse().map_err(|e: ManifestError| ManifestError { line, what: e.what });
        let rules = id(header("rules ", "no rules")?, 3)?;
        let masks = match header("masks ", "no masks")? {
            "-" => None,
            text => Some(id(text, 4)?),
        };
        let secrets = match lines.next_if(|(_, l)| l.starts_with("secrets ")) {
            Some((line, text)) => Some(parse_secrets(text).ok_or(ManifestError { line, what: "not a line of secrets" })?),
            None => None,
        };
        let mut out = Vec::new();
        for (at, text) in lines {
            out.push(parse_line(text).map_err(|what| ManifestError { line: at, what })?);
        }
        let first = if secrets.is_some() { 6 } else { 5 };
        check_order(&out, first)?;
        let masked = out.iter().any(|l| l.body.is_some_and(|b| b.form == Form::Masked));
        if masked != secrets.is_some() {
            return Err(whole("masked files and the line of secrets do not go together"));
        }
        Ok(Manifest { epoch, rules, masks, secrets, lines: out })
    }

    /// Finds the line of a path.
    #[must_use]
    pub fn find(&self, scope: Scope, path: &ConfigPath) -> Option<&Line> {
        self.lines.binary_search_by(|l| l.key().cmp(&(scope, path))).ok().map(|i| &self.lines[i])
    }
}

fn check_order(lines: &[Line], first: usize) -> Result<(), ManifestError> {
    let mut leaves = HashSet::new();
    for (i, line) in lines.iter().enumerate() {
        let wrong = |what| ManifestError { line: first + i, what };
        if i > 0 && lines[i - 1].key() >= line.key() {
            return Err(wrong("not in order"));
        }
        if (line.scope == Scope::Logs) != (lines[0].scope == Scope::Logs) {
            return Err(wrong("logs beside other scopes"));
        }
        let bytes = line.path.as_bytes();
        // What lies below a path sorts behind it, so the leaves so far are enough.
        for (cut, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'/') {
            if leaves.contains(&(line.scope, &bytes[..cut])) {
                return Err(wrong("below a file or link"));
            }
        }
        if line.kind != Kind::Directory {
            leaves.insert((line.scope, bytes));
        }
    }
    Ok(())
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

fn parse_secrets(text: &str) -> Option<Secrets> {
    let mut fields = text.strip_prefix("secrets ")?.split(' ');
    let out = Secrets {
        plain: fields.next()?.parse().ok()?,
        stored: fields.next()?.parse().ok()?,
        count: number(fields.next()?).filter(|n| *n > 0)?,
    };
    fields.next().is_none().then_some(out)
}

fn parse_owner(text: &str) -> Option<Owner> {
    let (uid, gid) = text.split_once(':')?;
    let id = |t| number(t).and_then(|n| u32::try_from(n).ok());
    Some(Owner { uid: id(uid)?, gid: id(gid)? })
}

fn parse_line(text: &str) -> Result<Line, &'static str> {
    let mut fields = text.splitn(9, ' ');
    let mut field = || fields.next().ok_or("too few fields");
    let kind = match field()? {
        "d" => Kind::Directory,
        "f" => Kind::File,
        "l" => Kind::Link,
        _ => return Err("not a type"),
    };
    let mode = field()?;
    if mode.len() != 4 || !mode.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return Err("not a mode of four octal digits");
    }
    let mode = u32::from_str_radix(mode, 8).map_err(|_| "not a mode")?;
    let owner = match field()? {
        "-" => None,
        text => Some(parse_owner(text).ok_or("not an owner")?),
    };
    let [size, form, plain, normal, stored] = [field()?, field()?, field()?, field()?, field()?];
    let body = if kind == Kind::Directory {
        if [size, form, plain, normal, stored] != ["-"; 5] {
            return Err("a directory with content");
        }
        None
    } else {
        let form = Form::ALL.iter().find(|(_, word)| *word == form).ok_or("not a form")?.0;
        let plain: Digest = plain.parse().map_err(|_| "not a digest (plain)")?;
        let normal = match normal {
            "=" => plain,
            text => text.parse().ok().filter(|n| *n != plain).ok_or("not a digest (normal)")?,
        };
        let stored = stored.parse().map_err(|_| "not a digest (stored)")?;
        if kind == Kind::Link && (form != Form::Plain || normal != plain) {
            return Err("a link that is not plain");
        }
        Some(Body { size: number(size).ok_or("not a size")?, form, plain, normal, stored })
    };
    let place = field()?;
    let (scope, written) = place.split_once('/').ok_or("no scope")?;
    let scope = scope.parse().map_err(|_| "not a scope")?;
    let path: ConfigPath = written.parse().map_err(|_| "not a path")?;
    if (written.contains('%') || !written.is_ascii() || written.bytes().any(|b| b < 0x20 || b == 0x7f))
        && path.to_string() != written
    {
        return Err("a path that is not in its written form");
    }
    Ok(Line { scope, path, kind, mode, owner, body })
}

#[cfg(test)]
mod tests;
