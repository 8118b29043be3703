//! Comparison by setting instead of by line.
//!
//! A text is read into [`Setting`]s; two lists of them are compared without regard to order, but where order
//! means something ([`Order`]). What cannot be read is compared by line, and the result says so.
//!
//! The rule where a format leaves room: a difference may be shown that means nothing, but none is hidden that
//! means something. Comments are not compared.

mod audiocodes;
mod blocks;
mod braces;
mod changes;
mod compare;
mod ini;
mod json;
mod key_value;
mod lines;
mod sink;
mod xml;

pub use compare::compare_settings;

use std::fmt;

use super::{BodyDiff, Error, Facts, FileDiff, LineDiff, Status, Why};
use crate::profile::Syntax;

/// One setting of a text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Where it stands: the section, block or element, empty at the top.
    pub section: String,
    /// Its key; empty where the setting is the section itself.
    pub key: String,
    /// Its value, without white space and comments that mean nothing.
    pub value: String,
    /// Its line, from 1.
    pub line: u32,
    /// It is a comment that shows a default, such as `;transport=udp` in the samples of Asterisk.
    pub default: bool,
    /// The comment behind it, if any; with LF where it goes on in further lines.
    pub note: Option<String>,
    /// What its order counts among.
    pub order: Order,
}

/// What the order of a setting counts among.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Order {
    /// Nothing.
    Free,
    /// The settings of the same section and key.
    Key,
    /// All settings of the same group, such as the entries of an access list.
    Group(String),
}

/// Reads the settings of a text, in the order of the text.
///
/// Bytes that are not UTF-8 are `\xNN` in the result.
///
/// # Errors
/// [`Error::Unparsed`] where the text does not follow its syntax, [`Error::NoSettings`] where the syntax has
/// no settings.
pub fn settings(syntax: Syntax, bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    match syntax {
        Syntax::Ini => ini::settings(bytes),
        Syntax::Audiocodes => audiocodes::settings(bytes),
        Syntax::Ios => blocks::settings(bytes),
        Syntax::Xml => xml::settings(bytes),
        Syntax::Json => json::settings(bytes),
        Syntax::Braces => braces::settings(bytes),
        Syntax::KeyValue => key_value::settings(bytes),
        Syntax::Yaml | Syntax::Kamailio | Syntax::Plain => Err(Error::NoSettings),
    }
}

impl Setting {
    fn new(section: &str, key: impl Into<String>, value: impl Into<String>, line: usize, order: Order) -> Self {
        Self {
            section: section.to_owned(),
            key: key.into(),
            value: value.into(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            default: false,
            note: None,
            order,
        }
    }
}

/// What happened to a setting.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Only in the new side.
    Added {
        /// Its value.
        value: String,
    },
    /// Only in the old side.
    Removed {
        /// Its value.
        value: String,
    },
    /// Another value.
    Changed {
        /// The old value.
        old: String,
        /// The new value.
        new: String,
    },
    /// The same values in another order, where the order counts.
    Reordered {
        /// The old order.
        old: Vec<String>,
        /// The new order.
        new: Vec<String>,
    },
}

/// A setting that differs.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Where it stands.
    pub section: String,
    /// Its key; empty where the section itself came or went.
    pub key: String,
    /// What happened.
    pub change: Change,
    /// Its line in the old file, from 1.
    pub old_line: Option<u32>,
    /// Its line in the new file, from 1.
    pub new_line: Option<u32>,
    /// A token in it changed: a secret has another value.
    pub secret: bool,
}

// Text of a configuration is never part of a debug print: a key may be a whole line, a section too.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.default { ", default" } else { "" };
        write!(f, "Setting(line {}, {} bytes{shown})", self.line, self.value.len())
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Added { .. } => "Added",
            Change::Removed { .. } => "Removed",
            Change::Changed { .. } => "Changed",
            Change::Reordered { .. } => "Reordered",
        })
    }
}

impl fmt::Debug for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingChange({:?}, lines {:?} {:?})", self.change, self.old_line, self.new_line)
    }
}

/// What differs in the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsDiff {
    /// Nothing; only facts differ.
    Same,
    /// Settings differ.
    Settings(Vec<SettingChange>),
    /// The file has no settings that can be read: its lines, and why, where a reader should know.
    Lines {
        /// The lines.
        lines: LineDiff,
        /// Why; nothing where the syntax has no settings.
        why: Option<Error>,
    },
    /// The bytes differ and are not text, or, with a cause, not there.
    Opaque(Option<Why>),
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SemanticFile {
    /// What happened.
    pub status: Status,
    /// The entry in the old side.
    pub old: Option<Facts>,
    /// The entry in the new side.
    pub new: Option<Facts>,
    /// What happened to its content.
    pub body: SettingsDiff,
}

impl SemanticFile {
    /// Gives the same entry as a comparison by line knows it, without lines.
    #[must_use]
    pub fn shell(&self) -> FileDiff {
        let body = match &self.body {
            SettingsDiff::Opaque(None) => BodyDiff::Binary,
            SettingsDiff::Opaque(Some(why)) => BodyDiff::Closed(*why),
            SettingsDiff::Same | SettingsDiff::Settings(_) | SettingsDiff::Lines { .. } => BodyDiff::Same,
        };
        FileDiff { status: self.status, old: self.old.clone(), new: self.new.clone(), body }
    }
}

/// All that differs by setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SemanticDiff {
    /// The files that differ, sorted by scope and path.
    pub files: Vec<SemanticFile>,
}
