//! What is compared: two sides of files.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::Error;
use crate::model::{ConfigPath, Digest, Kind, Owner, Scope};
use crate::profile::Syntax;

/// Says why the bytes of a file are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Sealed, and nobody opened it.
    Sealed,
    /// Too large to be compared in memory.
    Large,
}

/// The bytes of a file, as far as they are there.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// All bytes; a masked file with its tokens. Empty for a directory; the target for a link.
    Bytes(Vec<u8>),
    /// Only its digest is known ([`File::digest`]).
    Closed {
        /// The cause.
        why: Why,
        /// Size of the plain bytes, where known.
        size: Option<u64>,
    },
}

// The bytes of a configuration are never part of a debug print.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Body::Closed { why, size } => write!(f, "Closed({why:?}, {size:?})"),
        }
    }
}

/// One entry of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its scope.
    pub scope: Scope,
    /// Its path below the scope.
    pub path: ConfigPath,
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner, where known.
    pub owner: Option<Owner>,
    /// A digest of the content that may be compared with those of the other side (same device, same epoch);
    /// equal digests spare the comparison of the bytes. Nothing where there is no such digest.
    pub digest: Option<Digest>,
    /// The bytes.
    pub body: Body,
    /// How the text is built: names the sections of hunks and rules the comparison by setting.
    pub syntax: Syntax,
}

/// One side of a comparison: files sorted by scope and path, without doubles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    files: Vec<File>,
}

impl Side {
    /// Sorts the files.
    ///
    /// # Errors
    /// [`Error::Twice`].
    pub fn new(mut files: Vec<File>) -> Result<Self, Error> {
        files.sort_by(|a, b| (a.scope, &a.path).cmp(&(b.scope, &b.path)));
        match files.windows(2).find(|w| (w[0].scope, &w[0].path) == (w[1].scope, &w[1].path)) {
            Some(pair) => Err(Error::Twice(format!("{}/{}", pair[0].scope, pair[0].path))),
            None => Ok(Self { files }),
        }
    }

    /// The files, sorted by scope and path.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }
}

/// Removes what is volatile from a text: the signature of `Profile::normalise`. It must treat each line by
/// itself, and may blank a part of it or leave it out.
pub type Normalise<'a> = &'a dyn for<'t> Fn(&ConfigPath, &'t [u8]) -> Cow<'t, [u8]>;

/// How to compare.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Unchanged lines around each change; 3 as a rule.
    pub context: usize,
    /// Shows a removed and an added file of equal content as one renamed file.
    pub renames: bool,
    /// With a normaliser, differences that stand only in volatile lines are left out; with nothing, every
    /// difference counts.
    pub normalise: Option<Normalise<'a>>,
    /// Time for finding small differences, for the whole comparison. After it what remains of a file is shown
    /// as removed and added ([`LineDiff::hurried`](super::LineDiff::hurried)), so that no input can hang a reader.
    pub limit: Duration,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { context: 3, renames: true, normalise: None, limit: Duration::from_secs(10) }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("context", &self.context)
            .field("renames", &self.renames)
            .field("normalise", &self.normalise.is_some())
            .field("limit", &self.limit)
            .finish()
    }
}
