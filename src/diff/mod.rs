//! Differences of two sets: lines, structure, rendering. Knows no git and no store.
//!
//! [`compare()`] sets two [`Side`]s against each other and gives a [`SetDiff`], a plain value; the functions of
//! [`render`] write one as text, JSON or HTML. [`semantic::compare_settings`] compares by setting instead of by
//! line, where the [`Syntax`] of a file allows it.
//!
//! Invariants: a difference of two sides is never left out because it was hard to find: with too little time
//! the result has more removed and added lines than needed and says so ([`LineDiff::hurried`]). What a
//! normaliser makes equal is left out only on request. Bytes that are not text are compared and never shown.
//! This room holds no secrets: masked files come with tokens, and a changed token is shown as "secret changed".
//! See `docs/diff.md`.

mod compare;
mod hunks;
mod input;
mod lines;
pub mod render;
mod result;
pub mod semantic;
pub mod visible;
pub mod words;

pub use crate::profile::Syntax;
pub use compare::compare;
pub use input::{Body, File, Normalise, Options, Side, Why};
pub use render::Render;
pub use result::{BodyDiff, Facts, FileDiff, Hunk, Line, LineDiff, LineOp, SetDiff, Stats, Status};
pub use semantic::{Setting, settings};

/// Says why a comparison, or a part of it, is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two files of a side have one place.
    #[error("Two files of a side have one path: {0}")]
    Twice(String),
    /// The text does not follow its syntax, so its settings are not known.
    #[error("Not readable as {syntax}, line {line}: {reason}")]
    Unparsed {
        /// The syntax that was expected, such as `XML`.
        syntax: &'static str,
        /// The line, from 1.
        line: u32,
        /// What is wrong, in words that hold nothing of the text.
        reason: &'static str,
    },
    /// There is no comparison by setting for this syntax.
    #[error("No settings are known for this syntax")]
    NoSettings,
}
