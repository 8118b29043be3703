//! What differs: plain values.

use std::fmt;

use super::visible;
use super::{Body, File, Why};
use crate::model::{ConfigPath, Kind, Owner, Scope};

/// All that differs between two sides, sorted by scope and path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetDiff {
    /// The entries that differ; a renamed one stands at its new place.
    pub files: Vec<FileDiff>,
    /// Sums over all of them.
    pub stats: Stats,
}

impl SetDiff {
    /// Says that the sides are equal (under the options of the comparison).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Sums over a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Entries only in the new side.
    pub added_files: usize,
    /// Entries only in the old side.
    pub removed_files: usize,
    /// Entries in both that differ, renamed ones too.
    pub changed_files: usize,
    /// Lines only in the new side.
    pub added_lines: usize,
    /// Lines only in the old side.
    pub removed_lines: usize,
    /// Secrets that changed: new tokens in changed lines.
    pub changed_secrets: usize,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Only in the new side.
    Added,
    /// Only in the old side.
    Removed,
    /// The content differs; mode or owner may too.
    Changed,
    /// Only mode or owner differ.
    ModeChanged,
    /// A file became a link, or the like.
    TypeChanged,
    /// The same content at another place; mode or owner may differ.
    Renamed,
}

impl Status {
    /// Gives the word that stands in JSON and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Added => "added",
            Status::Removed => "removed",
            Status::Changed => "changed",
            Status::ModeChanged => "mode-changed",
            Status::TypeChanged => "type-changed",
            Status::Renamed => "renamed",
        }
    }
}

/// What is known of an entry without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its scope.
    pub scope: Scope,
    /// Its path below the scope.
    pub path: ConfigPath,
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner, where known.
    pub owner: Option<Owner>,
    /// Size in bytes, where known.
    pub size: Option<u64>,
}

impl Facts {
    /// Takes the facts of an entry.
    #[must_use]
    pub fn of(file: &File) -> Self {
        let size = match (&file.body, file.kind) {
            (_, Kind::Directory) => None,
            (Body::Bytes(bytes), _) => u64::try_from(bytes.len()).ok(),
            (Body::Closed { size, .. }, _) => *size,
        };
        Self { scope: file.scope, path: file.path.clone(), kind: file.kind, mode: file.mode, owner: file.owner, size }
    }

    /// Gives `<scope>/<path>` as raw bytes.
    #[must_use]
    pub fn place(&self) -> Vec<u8> {
        let mut out = self.scope.as_str().as_bytes().to_vec();
        out.push(b'/');
        out.extend_from_slice(self.path.as_bytes());
        out
    }

    /// Gives the mode that git has for it: `100644`, `100755` or `120000`; a directory has none (`040000`).
    #[must_use]
    pub fn git_mode(&self) -> &'static str {
        match self.kind {
            Kind::Directory => "040000",
            Kind::Link => "120000",
            Kind::File if self.mode & 0o100 != 0 => "100755",
            Kind::File => "100644",
        }
    }
}

/// One entry that differs. At least one of `old` and `new` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// What happened.
    pub status: Status,
    /// The entry in the old side.
    pub old: Option<Facts>,
    /// The entry in the new side.
    pub new: Option<Facts>,
    /// What happened to its content.
    pub body: BodyDiff,
}

impl FileDiff {
    /// Gives the facts of the new side, else of the old one.
    ///
    /// # Panics
    /// Where both are missing, which [`compare`](super::compare()) never makes.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.new.as_ref().or(self.old.as_ref()).expect("a difference has at least one side")
    }
}

/// What happened to the content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyDiff {
    /// Nothing; only facts differ.
    Same,
    /// Lines differ.
    Lines(LineDiff),
    /// The bytes differ, and at least one side is not text.
    Binary,
    /// The digests differ (or are unknown), and the bytes of at least one side are not there.
    Closed(Why),
    /// The entry is of another type: each side's text whole, where there is text.
    Replaced {
        /// The old text, as one removed hunk.
        old: Box<BodyDiff>,
        /// The new text, as one added hunk.
        new: Box<BodyDiff>,
    },
}

/// Lines that differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineDiff {
    /// The places, from the top; they do not touch each other.
    pub hunks: Vec<Hunk>,
    /// Added lines.
    pub added: usize,
    /// Removed lines.
    pub removed: usize,
    /// New tokens in added lines that replace a removed line's token.
    pub changed_secrets: usize,
    /// Time ran out: the result is right, but longer than it might be.
    pub hurried: bool,
}

/// One place where lines differ, with the lines around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hunk {
    /// First line in the old file, from 1; where `old_lines` is 0 the line before, which may be 0.
    pub old_start: usize,
    /// Lines of the old file: context and removed.
    pub old_lines: usize,
    /// The same in the text that a patch makes of the old file. Where volatile lines are left out it may be
    /// off from the real new file; [`Line::new`] has the real number.
    pub new_start: usize,
    /// Lines of the patched file: context and added.
    pub new_lines: usize,
    /// The section that its first changed line stands in.
    pub section: Option<String>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// What happened to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineOp {
    /// In both; the text is that of the old side.
    Context,
    /// Only in the old side.
    Removed,
    /// Only in the new side.
    Added,
}

/// One line of a hunk.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// What happened.
    pub op: LineOp,
    /// Its number in the old file, from 1.
    pub old: Option<usize>,
    /// Its number in the new file, from 1. A context line without one is a volatile line of the old file.
    pub new: Option<usize>,
    /// The bytes, with the LF at the end where there is one.
    pub text: Vec<u8>,
    /// A context line that is not the same in both sides, left out as volatile.
    pub volatile: bool,
}

// Text of a configuration is never part of a debug print: only its shape is shown.
impl fmt::Debug for Hunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hunk(-{},{} +{},{} {:?})", self.old_start, self.old_lines, self.new_start, self.new_lines, self.lines)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?} {:?} {:?} {} bytes)", self.op, self.old, self.new, self.text.len())
    }
}

impl Line {
    /// Gives the bytes without the LF.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.text.strip_suffix(b"\n").unwrap_or(&self.text)
    }

    /// Gives the text for a reader: see [`visible::text`].
    #[must_use]
    pub fn shown(&self) -> String {
        visible::text(self.content())
    }
}
