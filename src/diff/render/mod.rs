//! A difference written as text, JSON or HTML. Nothing here prints: each function writes to what it is given.

mod html;
mod json;
mod notes;
pub mod page;
mod rows;
mod semantic;
mod side;
mod stat;
mod unified;
mod word;

pub use html::{html, html_settings};
pub use json::{json, json_settings};
pub use semantic::settings;
pub use side::side_by_side;
pub use stat::stat;
pub use unified::unified;
pub use word::word;

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
    /// Shows control characters as visible escapes: for a terminal. Without it `unified` and `word` give the
    /// bytes of the files as they are, for `patch`. All other forms always escape.
    pub escape_control: bool,
    /// Columns of the terminal, for `side_by_side` and `stat`.
    pub width: usize,
}

impl Default for Render {
    fn default() -> Self {
        Self { style: Style::Plain, escape_control: false, width: 80 }
    }
}

/// The colours, those of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Head,
    Place,
    Removed,
    Added,
    Secret,
    Note,
}

impl Style {
    /// The sequences before and behind a text.
    fn around(self, paint: Paint) -> (&'static str, &'static str) {
        if self == Style::Plain {
            return ("", "");
        }
        let on = match paint {
            Paint::Head => "\x1b[1m",
            Paint::Place => "\x1b[36m",
            Paint::Removed => "\x1b[31m",
            Paint::Added => "\x1b[32m",
            Paint::Secret => "\x1b[1;35m",
            Paint::Note => "\x1b[2m",
        };
        (on, "\x1b[m")
    }

    fn paint(self, paint: Paint, text: &str) -> String {
        let (on, off) = self.around(paint);
        format!("{on}{text}{off}")
    }
}
