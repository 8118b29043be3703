//! Both sides in two columns.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use super::notes::{notes, place};
use super::rows::{Row, rows};
use super::{Paint, Render};
use crate::diff::{BodyDiff, Hunk, Line, LineOp, SetDiff, visible, words};

/// Writes both sides in two columns of equal width, with line numbers. Long lines are continued below; control
/// characters are always shown as escapes. The mark between the columns: `|` changed, `<` only old, `>` only new,
/// `*` a secret changed, `~` volatile.
///
/// # Errors
/// What `out` returns.
pub fn side_by_side(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    for file in &diff.files {
        let title = format!("{}  ({})", place(file), file.status.as_str());
        writeln!(out, "{}", render.style.paint(Paint::Head, &title))?;
        for note in notes(file) {
            writeln!(out, "{}", render.style.paint(Paint::Note, &format!("# {note}")))?;
        }
        for body in bodies(&file.body) {
            if let BodyDiff::Lines(lines) = body {
                let digits = digits(&lines.hunks);
                for hunk in &lines.hunks {
                    write_hunk(hunk, digits, render, out)?;
                }
            }
        }
    }
    Ok(())
}

fn bodies(body: &BodyDiff) -> Vec<&BodyDiff> {
    match body {
        BodyDiff::Replaced { old, new } => vec![old, new],
        other => vec![other],
    }
}

fn digits(hunks: &[Hunk]) -> usize {
    let last = hunks.last().map_or(0, |h| (h.old_start + h.old_lines).max(h.new_start + h.new_lines));
    last.to_string().len().max(3)
}

fn write_hunk(hunk: &Hunk, digits: usize, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    // number, blank, text, blank, mark, blank, number, blank, text
    let column = (render.width.saturating_sub(2 * (digits + 1) + 3) / 2).max(12);
    let section = hunk.section.as_deref().map_or_else(String::new, |s| format!(" {}", visible::text(s.as_bytes())));
    let at = format!("@@ -{} +{} @@{section}", hunk.old_start, hunk.new_start);
    writeln!(out, "{}", render.style.paint(Paint::Place, &at))?;
    for row in rows(hunk) {
        write_row(&row, digits, column, render, out)?;
    }
    Ok(())
}

fn write_row(row: &Row<'_>, digits: usize, column: usize, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let secret = matches!((row.old, row.new), (Some(a), Some(b))
        if !row.is_context() && words::secret_changed(&a.text, &b.text));
    let volatile = row.is_context() && row.old.is_some_and(|line| line.volatile);
    let mark = match (row.old, row.new) {
        _ if volatile => '~',
        _ if row.is_context() => ' ',
        _ if secret => '*',
        (Some(_), Some(_)) => '|',
        (Some(_), None) => '<',
        _ => '>',
    };
    let (left, right) = cells(row, column, secret);
    let old_number = row.old.and_then(|line| line.old);
    // A volatile line without a partner has no number on the right.
    let new_number = row.new.and_then(|line| line.new);
    let paint = if secret { Paint::Secret } else { Paint::Place };
    for at in 0..left.len().max(right.len()).max(1) {
        let number = |n: Option<usize>| match n {
            Some(n) if at == 0 => format!("{n:>digits$}"),
            _ => " ".repeat(digits),
        };
        let mut line = format!("{} ", number(old_number));
        cell(left.get(at), column, true, render, &mut line);
        let mark = if at == 0 { mark.to_string() } else { " ".to_owned() };
        line.push(' ');
        line.push_str(&if mark == " " { mark } else { render.style.paint(paint, &mark) });
        line.push_str(&format!(" {} ", number(new_number)));
        cell(right.get(at), column, false, render, &mut line);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A run of characters in one colour.
type Piece = (Option<Paint>, String);

/// One line of a cell.
type CellLine = Vec<Piece>;

fn cells(row: &Row<'_>, column: usize, secret: bool) -> (Vec<CellLine>, Vec<CellLine>) {
    let (mut left, mut right): (CellLine, CellLine) = (Vec::new(), Vec::new());
    match (row.old, row.new) {
        (Some(a), Some(b)) if !row.is_context() => {
            for segment in words::compare(a.content(), b.content()) {
                let text = visible::short(segment.text);
                let paint = |paint| if segment.secret { Paint::Secret } else { paint };
                match segment.op {
                    LineOp::Context => {
                        left.push((None, text.clone()));
                        right.push((None, text));
                    }
                    LineOp::Removed => left.push((Some(paint(Paint::Removed)), text)),
                    LineOp::Added => right.push((Some(paint(Paint::Added)), text)),
                }
            }
            if secret {
                right.push((Some(Paint::Secret), "  {{secret changed}}".to_owned()));
            }
        }
        (old, new) => {
            let whole = |line: Option<&Line>, paint| match line {
                Some(line) => {
                    let paint = if line.op == LineOp::Context { None } else { Some(paint) };
                    vec![(paint, visible::short(line.content()))]
                }
                None => Vec::new(),
            };
            left = whole(old, Paint::Removed);
            right = whole(new, Paint::Added);
        }
    }
    let ends = |line: Option<&Line>, cell: &mut CellLine| {
        if line.is_some_and(|line| !line.text.ends_with(b"\n")) {
            cell.push((Some(Paint::Note), " (no newline at end)".to_owned()));
        }
    };
    ends(row.old, &mut left);
    ends(row.new, &mut right);
    (wrap(&left, column), wrap(&right, column))
}

/// Breaks a line at the width of its column; TABs become blanks.
fn wrap(pieces: &[Piece], column: usize) -> Vec<CellLine> {
    let mut lines: Vec<CellLine> = vec![Vec::new()];
    // `at` is the place in the whole line (for TABs), `used` that in the column.
    let (mut at, mut used) = (0, 0);
    for (paint, text) in pieces {
        for c in text.chars() {
            let (shown, count, width) = if c == '\t' { (' ', 8 - at % 8, 1) } else { (c, 1, c.width().unwrap_or(0)) };
            for _ in 0..count {
                if used + width > column {
                    lines.push(Vec::new());
                    used = 0;
                }
                at += width;
                used += width;
                let line = lines.last_mut().expect("there is always a first line");
                match line.last_mut() {
                    Some(last) if last.0 == *paint => last.1.push(shown),
                    _ => line.push((*paint, shown.to_string())),
                }
            }
        }
    }
    lines
}

fn cell(line: Option<&CellLine>, column: usize, fill: bool, render: &Render, out: &mut String) {
    let mut used = 0;
    for (paint, text) in line.map_or(&[][..], Vec::as_slice) {
        used += visible::width(text);
        match paint {
            Some(paint) => out.push_str(&render.style.paint(*paint, text)),
            None => out.push_str(text),
        }
    }
    if fill {
        out.extend(std::iter::repeat_n(' ', column.saturating_sub(used)));
    }
}
