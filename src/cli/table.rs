//! Columns of text.

use super::error::CommandError;
use super::ui::{Look, Ui, safe};

/// Rows whose columns are aligned; the last column is as long as it is.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(Look, String)>>,
}

impl Table {
    /// Begins a table with a heading.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|word| (Look::Dim, (*word).to_owned())).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<(Look, String)>) {
        self.rows.push(cells);
    }

    /// Prints the rows.
    pub(crate) fn print(mut self, ui: &mut Ui) -> Result<(), CommandError> {
        let mut widths = Vec::new();
        for row in &mut self.rows {
            for (at, (_, cell)) in row.iter_mut().enumerate() {
                // A cell is one line wherever it goes.
                *cell = safe(cell.as_bytes());
                if widths.len() <= at {
                    widths.push(0);
                }
                widths[at] = cell.chars().count().max(widths[at]);
            }
        }
        for row in &self.rows {
            let end = row.iter().rposition(|(_, cell)| !cell.is_empty()).map_or(0, |last| last + 1);
            let mut padded = Vec::with_capacity(end);
            for (at, (look, cell)) in row[..end].iter().enumerate() {
                let pad = if at + 1 < end { widths[at] - cell.chars().count() + 2 } else { 0 };
                padded.push((*look, cell.clone(), " ".repeat(pad)));
            }
            let pieces: Vec<(Look, &str)> =
                padded.iter().flat_map(|(look, cell, pad)| [(*look, cell.as_str()), (Look::Plain, pad.as_str())]).collect();
            ui.row(&pieces)?;
        }
        Ok(())
    }
}

/// Gives a plain cell.
pub(crate) fn plain(text: impl ToString) -> (Look, String) {
    (Look::Plain, text.to_string())
}
