//! One line a file and a sum, as `git diff --stat`.

use std::io::{self, Write};

use super::{Paint, Render};
use crate::diff::{BodyDiff, FileDiff, SetDiff, Status, visible};

/// What a line shows on its right.
enum Count {
    Lines(usize, usize),
    Bytes(Option<u64>, Option<u64>),
}

/// Writes one line a file and a sum, as `git diff --stat`. A directory that came or went is a line too; binary
/// and sealed files have their sizes.
///
/// # Errors
/// What `out` returns.
pub fn stat(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    if diff.files.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, Count)> = diff.files.iter().map(|file| (name(file), count(file))).collect();
    let most = rows.iter().map(|(_, c)| if let Count::Lines(a, r) = c { a + r } else { 0 }).max().unwrap_or(0);
    let binary = rows.iter().any(|(_, c)| matches!(c, Count::Bytes(..)));
    let digits = most.to_string().len().max(if binary { 3 } else { 1 });
    let (name_width, graph) = widths(&rows, digits, most, render.width);
    for (name, count) in &rows {
        let name = cut(name, name_width);
        let pad = " ".repeat(name_width.saturating_sub(visible::width(&name)));
        write!(out, " {name}{pad} | ")?;
        match count {
            Count::Bytes(old, new) => {
                let size = |n: &Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
                writeln!(out, "{:>digits$} {} -> {} bytes", "Bin", size(old), size(new))?;
            }
            Count::Lines(0, 0) => writeln!(out, "{:>digits$}", 0)?,
            Count::Lines(added, removed) => {
                let (plus, minus) = bars(*added, *removed, most, graph);
                let plus = if plus > 0 { render.style.paint(Paint::Added, &"+".repeat(plus)) } else { String::new() };
                let minus = if minus > 0 { render.style.paint(Paint::Removed, &"-".repeat(minus)) } else { String::new() };
                writeln!(out, "{:>digits$} {plus}{minus}", added + removed)?;
            }
        }
    }
    writeln!(out, "{}", sum(diff))
}

fn sum(diff: &SetDiff) -> String {
    let many = |n: usize| if n == 1 { "" } else { "s" };
    let files = diff.files.len();
    let mut out = format!(" {files} file{} changed", many(files));
    let (added, removed) = (diff.stats.added_lines, diff.stats.removed_lines);
    if added > 0 || removed == 0 {
        out.push_str(&format!(", {added} insertion{}(+)", many(added)));
    }
    if removed > 0 || added == 0 {
        out.push_str(&format!(", {removed} deletion{}(-)", many(removed)));
    }
    match diff.stats.changed_secrets {
        0 => {}
        n => out.push_str(&format!(", {n} secret{} changed", many(n))),
    }
    out
}

fn count(file: &FileDiff) -> Count {
    fn lines(body: &BodyDiff) -> (usize, usize) {
        match body {
            BodyDiff::Lines(lines) => (lines.added, lines.removed),
            BodyDiff::Replaced { old, new } => (lines(old).0 + lines(new).0, lines(old).1 + lines(new).1),
            BodyDiff::Same | BodyDiff::Binary | BodyDiff::Closed(_) => (0, 0),
        }
    }
    match &file.body {
        BodyDiff::Binary | BodyDiff::Closed(_) => {
            let size = |facts: &Option<crate::diff::Facts>| facts.as_ref().map_or(Some(0), |f| f.size);
            Count::Bytes(size(&file.old), size(&file.new))
        }
        body => {
            let (added, removed) = lines(body);
            Count::Lines(added, removed)
        }
    }
}

fn name(file: &FileDiff) -> String {
    let place = visible::quote("", &file.facts().place());
    match (&file.old, file.status) {
        (Some(old), Status::Renamed) => renamed(&visible::quote("", &old.place()), &place),
        _ => place,
    }
}

/// Writes `a/{old => new}/b`, with the common directories outside of the braces, as git does.
fn renamed(old: &str, new: &str) -> String {
    if old.starts_with('"') || new.starts_with('"') {
        return format!("{old} => {new}");
    }
    let same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let head = old.as_bytes()[..same].iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let limit = old.len().min(new.len()).saturating_sub(head.saturating_sub(usize::from(head > 0)));
    let tail = old.bytes().rev().zip(new.bytes().rev()).take(limit).take_while(|(a, b)| a == b).count();
    let tail = old.as_bytes()[old.len() - tail..].iter().position(|&b| b == b'/').map_or(0, |at| tail - at);
    if head + tail == 0 {
        return format!("{old} => {new}");
    }
    let middle = |text: &str| text.get(head..(text.len() - tail).max(head)).unwrap_or("").to_owned();
    format!("{}{{{} => {}}}{}", &old[..head], middle(old), middle(new), &old[old.len() - tail..])
}

/// git's sums for the widths of names and bars.
fn widths(rows: &[(String, Count)], digits: usize, most: usize, width: usize) -> (usize, usize) {
    let width = width.max(16 + 6 + digits);
    let mut name = rows.iter().map(|(name, _)| visible::width(name)).max().unwrap_or(0);
    let mut graph = most;
    if name + digits + 6 + graph > width {
        graph = graph.min((width * 3 / 8).saturating_sub(digits + 6).max(6));
        if name > width - digits - 6 - graph {
            name = width - digits - 6 - graph;
        } else {
            graph = width - digits - 6 - name;
        }
    }
    (name, graph)
}

/// Cuts the beginning of a long name, at a `/` where there is one.
fn cut(name: &str, width: usize) -> String {
    if visible::width(name) <= width {
        return name.to_owned();
    }
    let room = width.saturating_sub(3);
    let mut at = name.len();
    let mut used = 0;
    for (i, c) in name.char_indices().rev() {
        used += visible::width(c.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        at = i;
    }
    let rest = &name[at..];
    format!("...{}", rest.find('/').map_or(rest, |slash| &rest[slash..]))
}

fn bars(added: usize, removed: usize, most: usize, graph: usize) -> (usize, usize) {
    if graph > most {
        return (added, removed);
    }
    let scale = |n: usize| if n == 0 { 0 } else { 1 + n * (graph - 1) / most };
    let mut total = scale(added + removed);
    if total < 2 && added > 0 && removed > 0 {
        total = 2;
    }
    if added < removed { (scale(added), total - scale(added)) } else { (total - scale(removed), scale(removed)) }
}
