//! A generation: what its commit says of it ("The commit" in `docs/format.md`).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use gix::ObjectId;
use serde::Serialize;

use super::object::{Commit, Malformed};
use crate::model::{CollectorName, DeviceName, Digest, NameError, Phase, Release, Ticket};

/// The format version that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Feature flags of generations that this program knows; version 1 has none.
pub const FEATURES: [&str; 0] = [];

/// Why a generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationKind {
    /// Generation 1.
    First,
    /// A set that differs from the one before.
    Snapshot,
    /// The first under a release.
    Release,
    /// Before a change.
    Pre,
    /// After a change.
    Post,
    /// A difference outside of an open change; with a change: found by the snapshot before it.
    Unannounced,
    /// The same configuration, masked by other rules.
    Remask,
    /// Taken from a foreign history.
    Imported,
}

impl GenerationKind {
    const ALL: [(GenerationKind, &'static str); 8] = [
        (GenerationKind::First, "first"),
        (GenerationKind::Snapshot, "snapshot"),
        (GenerationKind::Release, "release"),
        (GenerationKind::Pre, "pre"),
        (GenerationKind::Post, "post"),
        (GenerationKind::Unannounced, "unannounced"),
        (GenerationKind::Remask, "remask"),
        (GenerationKind::Imported, "imported"),
    ];

    /// Gives the word of the trailer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        GenerationKind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl fmt::Display for GenerationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for GenerationKind {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let found = GenerationKind::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(kind, _)| *kind).ok_or(Malformed("a kind of generation that is not known"))
    }
}

/// How many files, links and directories differ from the generation before in number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Changed {
    /// Came.
    pub added: u64,
    /// Differ.
    pub changed: u64,
    /// Went.
    pub removed: u64,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} ~{} -{}", self.added, self.changed, self.removed)
    }
}

impl FromStr for Changed {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bad = Malformed("counts of changes that do not read");
        let mut parts = text.split(' ');
        let mut part = |sign| parts.next().and_then(|p| p.strip_prefix(sign)).and_then(|n: &str| n.parse().ok()).ok_or(bad);
        Ok(Self { added: part('+')?, changed: part('~')?, removed: part('-')? })
    }
}

/// Which change under a ticket: `T`, or `T/2` for the second under `T`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ChangeId {
    /// The ticket.
    pub ticket: Ticket,
    /// Counted from 1.
    pub nth: u32,
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nth > 1 { write!(f, "{}/{}", self.ticket, self.nth) } else { write!(f, "{}", self.ticket) }
    }
}

impl FromStr for ChangeId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.rsplit_once('/').and_then(|(ticket, n)| n.parse().ok().filter(|n| *n > 1).map(|n| (ticket, n))) {
            Some((ticket, nth)) => Ok(Self { ticket: ticket.parse()?, nth }),
            None => Ok(Self { ticket: text.parse()?, nth: 1 }),
        }
    }
}

/// A generation, as its commit tells it; nothing of it was compared with its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The device.
    pub device: DeviceName,
    /// The release.
    pub release: Release,
    /// The number, from 1.
    pub number: u64,
    /// The commit.
    pub id: ObjectId,
    /// The tree of the commit.
    pub tree: ObjectId,
    /// The parents of the commit.
    pub parents: Vec<ObjectId>,
    /// When it was collected, or in imported history written.
    pub time: DateTime<Utc>,
    /// Who collected or wrote it: name and address.
    pub author: (String, String),
    /// When the commit was made.
    pub committed: DateTime<Utc>,
    /// The collector that made it.
    pub collector: CollectorName,
    /// Why it was made.
    pub kind: GenerationKind,
    /// The note, without a last LF; any number of paragraphs.
    pub note: Option<String>,
    /// What differs from the generation before.
    pub changed: Changed,
    /// BLAKE3 of the manifest.
    pub set_digest: Digest,
    /// Feature flags that a reader must know to restore it.
    pub features: Vec<String>,
    /// The change that it belongs to.
    pub change: Option<ChangeId>,
    /// The run in the journal.
    pub run: Option<String>,
    /// What the administrator took on purpose.
    pub accepted: Option<String>,
    /// The commit that an imported state was taken from.
    pub imported: Option<String>,
}

/// What stands in a message: subject, note and trailers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The first line.
    pub subject: String,
    /// The paragraphs between, without a last LF.
    pub note: Option<String>,
    /// Key and value, in order.
    pub trailers: Vec<(String, String)>,
}

/// Makes one line of a text that comes from outside: control characters become blanks.
pub(super) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// Makes a note of a text: no control characters but LF and tab, no blanks around it.
fn clean_note(text: &str) -> Option<String> {
    let text: String = text.replace("\r\n", "\n").chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    // An armour in a note would be taken for the signature of a tag.
    let text = text.replace("-----BEGIN ", "----- BEGIN ");
    let text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

impl Message {
    /// Writes the message. The note cannot pass for trailers: they are the last paragraph.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = one_line(&self.subject);
        out.push('\n');
        if let Some(note) = self.note.as_deref().and_then(clean_note) {
            out.push('\n');
            out.push_str(&note);
            out.push('\n');
        }
        out.push('\n');
        for (key, value) in &self.trailers {
            out.push_str(&format!("{key}: {}\n", one_line(value)));
        }
        out
    }

    /// Reads a message; the last paragraph must be trailers.
    ///
    /// # Errors
    /// [`Malformed`] if it is not.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim_end_matches('\n');
        let (head, last) = text.rsplit_once("\n\n").ok_or(Malformed("a message without trailers"))?;
        let mut trailers = Vec::new();
        for line in last.split('\n') {
            let (key, value) = line.split_once(": ").ok_or(Malformed("a trailer that does not read"))?;
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(Malformed("a trailer that does not read"));
            }
            trailers.push((key.to_owned(), value.to_owned()));
        }
        let (subject, note) = head.split_once("\n\n").map_or((head, None), |(s, n)| (s, Some(n.to_owned())));
        Ok(Self { subject: subject.to_owned(), note, trailers })
    }

    /// Gives the value of a trailer; of one that is there twice, the last.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.trailers.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl Generation {
    /// Writes the message of the commit.
    #[must_use]
    pub fn message(&self) -> String {
        let mut trailers = vec![
            ("Confvault-Format".to_owned(), FORMAT.to_string()),
            ("Device".to_owned(), self.device.to_string()),
            ("Release".to_owned(), self.release.to_string()),
            ("Generation".to_owned(), self.number.to_string()),
            ("Kind".to_owned(), self.kind.to_string()),
            ("Set-Digest".to_owned(), self.set_digest.to_string()),
            ("Changed".to_owned(), self.changed.to_string()),
            ("Collector".to_owned(), self.collector.to_string()),
        ];
        let mut more = |key: &str, value: Option<String>| {
            trailers.extend(value.map(|v| one_line(&v)).filter(|v| !v.is_empty()).map(|v| (key.to_owned(), v)));
        };
        more("Features", Some(self.features.join(" ")));
        more("Change", self.change.as_ref().map(ChangeId::to_string));
        more("Run", self.run.clone());
        more("Accepted", self.accepted.clone());
        more("Imported", self.imported.clone());
        let subject = format!("{} {} generation {}", self.device, self.release, self.number);
        Message { subject, note: self.note.clone(), trailers }.write()
    }

    /// Gives the commit, without a signature.
    #[must_use]
    pub fn commit(&self) -> Commit {
        use super::object::Ident;
        Commit {
            tree: self.tree,
            parents: self.parents.clone(),
            author: Ident::new(&self.author.0, &self.author.1, self.time),
            committer: Ident::of(&self.collector, self.committed),
            message: self.message(),
        }
    }

    /// Reads the bytes of a commit.
    ///
    /// # Errors
    /// [`Malformed`]; also for a format that this program does not know.
    pub fn parse(id: ObjectId, data: &[u8]) -> Result<Self, Malformed> {
        let commit = Commit::parse(data)?;
        let message = Message::parse(&commit.message)?;
        let need = |key| message.get(key).ok_or(Malformed("a generation without one of its trailers"));
        let bad = || Malformed("a generation with a trailer that does not read");
        if need("Confvault-Format")?.parse() != Ok(FORMAT) {
            return Err(Malformed("a generation of a format that is not known"));
        }
        let number: u64 = need("Generation")?.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        let text = |key| message.get(key).map(str::to_owned);
        Ok(Self {
            device: need("Device")?.parse().map_err(|_| bad())?,
            release: need("Release")?.parse().map_err(|_| bad())?,
            number,
            id,
            tree: commit.tree,
            parents: commit.parents,
            time: commit.author.time,
            author: (commit.author.name, commit.author.email),
            committed: commit.committer.time,
            collector: need("Collector")?.parse().map_err(|_| bad())?,
            kind: need("Kind")?.parse()?,
            changed: need("Changed")?.parse()?,
            set_digest: need("Set-Digest")?.parse().map_err(|_| bad())?,
            features: message.get("Features").map(|f| f.split(' ').map(str::to_owned).collect()).unwrap_or_default(),
            change: message.get("Change").map(str::parse).transpose().map_err(|_| bad())?,
            run: text("Run"),
            accepted: text("Accepted"),
            imported: text("Imported"),
            note: message.note,
        })
    }

    /// Gives the first feature flag that this program does not know.
    #[must_use]
    pub fn unknown_feature(&self) -> Option<&str> {
        self.features.iter().map(String::as_str).find(|f| !FEATURES.contains(f))
    }

    /// Tells whether it is the given snapshot of a change.
    #[must_use]
    pub fn is_of(&self, phase: Phase, change: &ChangeId) -> bool {
        let fits = match self.kind {
            // What nobody announced belongs to no change, unless it was found by the snapshot before one.
            GenerationKind::Pre | GenerationKind::Unannounced => phase == Phase::Pre,
            GenerationKind::Post => phase == Phase::Post,
            _ => false,
        };
        fits && self.change.as_ref() == Some(change)
    }

    /// Gives the commit of the generation before in number: the last parent.
    #[must_use]
    pub fn before(&self) -> Option<ObjectId> {
        self.parents.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Generation {
        let id = |n| ObjectId::from_bytes_or_panic(&[n; 20]);
        Generation {
            device: "gw-1".parse().unwrap(),
            release: "15.7(3)M6 b".parse().unwrap(),
            number: 42,
            id: id(9),
            tree: id(1),
            parents: vec![id(2), id(3)],
            time: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            author: ("central".into(), "central@confvault".into()),
            committed: DateTime::from_timestamp(1_700_000_005, 0).unwrap(),
            collector: "central".parse().unwrap(),
            kind: GenerationKind::Post,
            note: Some("one\n\nDevice: not-me\nGeneration: 7".into()),
            changed: Changed { added: 1, changed: 2, removed: 0 },
            set_digest: Digest([7; 32]),
            features: vec![],
            change: Some("T-1/2".parse().unwrap()),
            run: Some("01J".into()),
            accepted: None,
            imported: None,
        }
    }

    #[test]
    fn a_generation_comes_back_and_its_note_is_no_trailer() {
        let generation = sample();
        let data = generation.commit().write();
        assert_eq!(Generation::parse(generation.id, &data).unwrap(), generation);
        let text = String::from_utf8(data).unwrap();
        assert!(text.contains("\n\ngw-1 15.7(3)M6 b generation 42\n\none\n\nDevice: not-me\n"), "{text}");
        assert!(text.ends_with("Changed: +1 ~2 -0\nCollector: central\nChange: T-1/2\nRun: 01J\n"), "{text}");
    }

    #[test]
    fn a_hostile_note_or_value_adds_no_trailer() {
        let mut generation = sample();
        generation.note = Some("x\r\n\x1b[31m\n\n\n".into());
        generation.accepted = Some("y\nGeneration: 9".into());
        let read = Generation::parse(generation.id, &generation.commit().write()).unwrap();
        assert_eq!(read.number, 42);
        assert_eq!(read.note.unwrap(), "x\n[31m");
        assert_eq!(read.accepted.unwrap(), "y Generation: 9");
    }

    #[test]
    fn an_unknown_format_and_missing_trailers_are_refused() {
        let data = String::from_utf8(Generation { note: None, ..sample() }.commit().write()).unwrap();
        for (from, to) in
            [("Format: 1", "Format: 2"), ("Kind: post", "Kind: odd"), ("Release: ", "Rel: "), ("\n\nConf", "\nConf")]
        {
            let bad = data.replacen(from, to, 1);
            assert_ne!(bad, data);
            assert!(Generation::parse(sample().id, bad.as_bytes()).is_err(), "{from}");
        }
        let new = data.replace("Changed:", "Features: sparkle\nChanged:");
        assert_eq!(Generation::parse(sample().id, new.as_bytes()).unwrap().unknown_feature(), Some("sparkle"));
    }
}
