//! A comparison by setting as text.

use std::io::{self, Write};

use super::notes::{notes, place};
use super::unified::{hunk_head, write_line};
use super::{Paint, Render};
use crate::diff::semantic::{Change, SemanticDiff, SettingChange, SettingsDiff};
use crate::diff::visible;

/// Writes the settings that differ, by file and section: `~ key: old -> new`, `+ key: value`, `- key: value`,
/// `^ key: order changed`. Control characters are always shown as escapes.
///
/// # Errors
/// What `out` returns.
pub fn settings(diff: &SemanticDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let style = render.style;
    for file in &diff.files {
        let shell = file.shell();
        let title = format!("{}  ({})", place(&shell), file.status.as_str());
        writeln!(out, "{}", style.paint(Paint::Head, &title))?;
        for note in notes(&shell) {
            writeln!(out, "{}", style.paint(Paint::Note, &format!("# {note}")))?;
        }
        match &file.body {
            SettingsDiff::Settings(changes) => write_changes(changes, render, out)?,
            SettingsDiff::Lines { lines, why } => {
                if let Some(why) = why {
                    writeln!(out, "{}", style.paint(Paint::Note, &format!("# {why}; compared by line")))?;
                }
                let render = Render { escape_control: true, ..*render };
                for hunk in &lines.hunks {
                    hunk_head(hunk, &render, out)?;
                    hunk.lines.iter().try_for_each(|line| write_line(line, &render, out))?;
                }
            }
            SettingsDiff::Same | SettingsDiff::Opaque(_) => {}
        }
    }
    Ok(())
}

fn write_changes(changes: &[SettingChange], render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let shown = |text: &str| visible::short(text.as_bytes());
    for group in changes.chunk_by(|a, b| a.section == b.section) {
        let section = group.first().map_or("", |c| c.section.as_str());
        // A section that came or went as a whole has one sign for all of it.
        let marker = group.iter().find(|c| c.key.is_empty());
        let (sign, paint) = match marker.map(|c| &c.change) {
            Some(Change::Added { .. }) => ("+ ", Paint::Added),
            Some(Change::Removed { .. }) => ("- ", Paint::Removed),
            _ => ("  ", Paint::Place),
        };
        if !section.is_empty() {
            writeln!(out, "{}", render.style.paint(paint, &format!("{sign}{}", shown(section))))?;
        }
        for change in group {
            let bare = matches!(&change.change, Change::Added { value } | Change::Removed { value } if value.is_empty());
            if change.key.is_empty() && bare {
                continue;
            }
            let key = if change.key.is_empty() { "(section)".to_owned() } else { shown(&change.key) };
            let with = |value: &str| if value.is_empty() { key.clone() } else { format!("{key}: {}", shown(value)) };
            let list = |values: &[String]| values.iter().map(|v| shown(v)).collect::<Vec<_>>().join(" | ");
            let (paint, mut line) = match &change.change {
                Change::Added { value } => (Paint::Added, format!("+ {}", with(value))),
                Change::Removed { value } => (Paint::Removed, format!("- {}", with(value))),
                Change::Changed { old, new } => (Paint::Place, format!("~ {key}: {} -> {}", shown(old), shown(new))),
                Change::Reordered { old, new } => {
                    (Paint::Place, format!("^ {key}: order changed: {} -> {}", list(old), list(new)))
                }
            };
            if change.secret {
                line.push_str("  {{secret changed}}");
            }
            writeln!(out, "    {}", render.style.paint(paint, &line))?;
        }
    }
    Ok(())
}
