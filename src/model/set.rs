//! The configuration set: all files and command outputs of one device at one time.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigPath, Digest, Release, Stamp};

/// What a file belongs to; the first component of its place in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Logs; kept apart from the generations.
    Logs,
    /// Addresses, passwords, the operating system; also what no rule of the profile claims.
    System,
    /// Entries of users: phone books, greetings, speed dials. Sealed.
    User,
    /// Settings of telephony and of the network.
    Voip,
}

impl Scope {
    /// All scopes, in the order of their names.
    pub const ALL: [Scope; 4] = [Scope::Logs, Scope::System, Scope::User, Scope::Voip];

    /// Gives the word that stands in trees, manifests and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Logs => "logs",
            Scope::System => "system",
            Scope::User => "user",
            Scope::Voip => "voip",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = SetError;
    fn from_str(text: &str) -> Result<Self, SetError> {
        Scope::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| SetError::Scope(text.escape_default().to_string()))
    }
}

/// Numeric owner and group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory; its content is empty.
    Directory,
    /// A regular file or the output of a command.
    File,
    /// A symbolic link; its content is the target, as bytes.
    Link,
}

/// Where the bytes of an entry are.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of this machine that lives at least as long as the set: a spool for what is large.
    Spooled {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Not read: by its [`Stamp`] it is what it was when its keyed digest was taken.
    Same(Digest),
}

// The bytes of a configuration hold secrets: they are never part of a debug print.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Content::Spooled { size, .. } => write!(f, "Spooled({size} bytes)"),
            Content::Same(_) => f.write_str("Same"),
        }
    }
}

/// One file, directory or link of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its scope.
    pub scope: Scope,
    /// Its path on the device, below the scope.
    pub path: ConfigPath,
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777; 0o644 for the output of a command.
    pub mode: u32,
    /// Owner; nothing for the output of a command.
    pub owner: Option<Owner>,
    /// The stamp at the source; [`Stamp::default`] where there is none.
    pub stamp: Stamp,
    /// The bytes; empty for a directory.
    pub content: Content,
}

/// Says why entries are not a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A text is not one of the four scopes.
    #[error("No such scope: {0}")]
    Scope(String),
    /// Two entries have one place.
    #[error("Two entries of the set have one path: {0}")]
    Twice(String),
    /// An entry lies below one that is a file or a link.
    #[error("A file of the set is also a directory: {0}")]
    Below(String),
}

/// All entries of one device at one time, sorted by scope and path, without doubles; no entry lies
/// below a file or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSet {
    entries: Vec<Entry>,
    /// The release that was found, if any.
    pub release: Option<Release>,
    /// Paths that no rule of the profile claims; they are in the set, in scope `system`.
    pub unclaimed: Vec<ConfigPath>,
}

impl ConfigSet {
    /// Sorts the entries and checks the invariants.
    ///
    /// # Errors
    /// [`SetError::Twice`], [`SetError::Below`].
    pub fn new(mut entries: Vec<Entry>, release: Option<Release>, unclaimed: Vec<ConfigPath>) -> Result<Self, SetError> {
        entries.sort_by(|a, b| (a.scope, &a.path).cmp(&(b.scope, &b.path)));
        let shown = |e: &Entry| format!("{}/{}", e.scope, e.path);
        for pair in entries.windows(2) {
            if pair[0].scope == pair[1].scope && pair[0].path == pair[1].path {
                return Err(SetError::Twice(shown(&pair[1])));
            }
        }
        let is_leaf = |scope: Scope, path: &[u8]| {
            let found = entries.binary_search_by(|e| (e.scope, e.path.as_bytes()).cmp(&(scope, path)));
            found.is_ok_and(|at| entries[at].kind != Kind::Directory)
        };
        let mut above = None;
        for entry in &entries {
            let bytes = entry.path.as_bytes();
            let Some(cut) = memchr::memrchr(b'/', bytes) else { continue };
            // What stands in one folder mostly stands together.
            let folder = Some((entry.scope, &bytes[..cut]));
            if above == folder {
                continue;
            }
            above = folder;
            if memchr::memchr_iter(b'/', bytes).any(|at| is_leaf(entry.scope, &bytes[..at])) {
                return Err(SetError::Below(shown(entry)));
            }
        }
        Ok(Self { entries, release, unclaimed })
    }

    /// The entries, sorted by scope and path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries alone.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Splits the set into what makes a generation and the logs.
    #[must_use]
    pub fn split_logs(self) -> (ConfigSet, Vec<Entry>) {
        let (logs, rest) = self.entries.into_iter().partition(|e| e.scope == Scope::Logs);
        (ConfigSet { entries: rest, ..self }, logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(Scope, &str, Kind)]) -> Result<ConfigSet, SetError> {
        let entry = |(scope, path, kind): &(Scope, &str, Kind)| Entry {
            scope: *scope,
            path: path.parse().unwrap(),
            kind: *kind,
            mode: 0o644,
            owner: None,
            stamp: Stamp::default(),
            content: Content::Bytes(Vec::new()),
        };
        ConfigSet::new(entries.iter().map(entry).collect(), None, Vec::new())
    }

    #[test]
    fn two_entries_of_one_path_and_entries_below_a_leaf_are_refused() {
        use Kind::{Directory, File, Link};
        use Scope::{System, Voip};
        let good =
            set(&[(Voip, "a/b", File), (Voip, "a", Directory), (Voip, "a-b", File), (System, "a", File), (Voip, "a/c/d", Link)]);
        let paths: Vec<String> = good.unwrap().entries().iter().map(|e| format!("{}/{}", e.scope, e.path)).collect();
        assert_eq!(paths, ["system/a", "voip/a", "voip/a-b", "voip/a/b", "voip/a/c/d"]);
        let twice = set(&[(Voip, "a", File), (Voip, "b", File), (Voip, "a", Directory)]);
        assert_eq!(twice, Err(SetError::Twice("voip/a".into())));
        // The folder between is not in the set, and what sorts between stands beside.
        for (leaf, kind) in [("a", File), ("a", Link), ("a/c", File)] {
            let below = set(&[(Voip, "a/c/d", File), (Voip, "a-b", File), (Voip, leaf, kind)]);
            assert_eq!(below, Err(SetError::Below("voip/a/c/d".into())), "{leaf}");
        }
    }
}
