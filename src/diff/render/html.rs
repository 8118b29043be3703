//! One HTML file: no scripts, nothing from outside, all text escaped.

use std::io::{self, Write};

use super::notes::{notes, place};
use super::page::{begin, end, escape};
use super::rows::{Row, rows};
use crate::diff::semantic::{Change, SemanticDiff, SettingChange, SettingsDiff};
use crate::diff::{BodyDiff, FileDiff, Line, LineDiff, LineOp, SetDiff, Stats, visible, words};

/// Writes a comparison by line as one HTML page.
///
/// # Errors
/// What `out` returns.
pub fn html(diff: &SetDiff, title: &str, out: &mut dyn Write) -> io::Result<()> {
    begin(title, out)?;
    writeln!(out, "<p class=\"sum\">{}</p>", sum(&diff.stats, diff.files.len()))?;
    let heads: Vec<Head> = diff.files.iter().map(|file| Head::of(file, counts(&file.body))).collect();
    contents(&heads, out)?;
    for (at, (file, head)) in diff.files.iter().zip(&heads).enumerate() {
        head.open(at, out)?;
        body(&file.body, out)?;
        writeln!(out, "</section>")?;
    }
    end(out)
}

/// Writes a comparison by setting as one HTML page.
///
/// # Errors
/// What `out` returns.
pub fn html_settings(diff: &SemanticDiff, title: &str, out: &mut dyn Write) -> io::Result<()> {
    begin(title, out)?;
    let many = if diff.files.len() == 1 { "" } else { "s" };
    writeln!(out, "<p class=\"sum\">{} file{many} with other settings</p>", diff.files.len())?;
    let heads: Vec<Head> = diff
        .files
        .iter()
        .map(|file| {
            let count = match &file.body {
                SettingsDiff::Settings(changes) if changes.len() == 1 => "1 setting".to_owned(),
                SettingsDiff::Settings(changes) => format!("{} settings", changes.len()),
                SettingsDiff::Lines { lines, .. } => plus_minus(lines.added, lines.removed),
                SettingsDiff::Same | SettingsDiff::Opaque(_) => String::new(),
            };
            Head::of(&file.shell(), count)
        })
        .collect();
    contents(&heads, out)?;
    for (at, (file, head)) in diff.files.iter().zip(&heads).enumerate() {
        head.open(at, out)?;
        match &file.body {
            SettingsDiff::Settings(changes) => settings(changes, out)?,
            SettingsDiff::Lines { lines: diff, why } => {
                if let Some(why) = why {
                    writeln!(out, "<ul class=\"notes\"><li>{}; compared by line</li></ul>", escape(&why.to_string()))?;
                }
                lines(diff, out)?;
            }
            SettingsDiff::Same | SettingsDiff::Opaque(_) => {}
        }
        writeln!(out, "</section>")?;
    }
    end(out)
}

fn show(bytes: &[u8]) -> String {
    escape(&visible::short(bytes))
}

struct Head {
    place: String,
    status: &'static str,
    count: String,
    notes: Vec<String>,
}

impl Head {
    fn of(file: &FileDiff, count: String) -> Self {
        Self { place: escape(&place(file)), status: file.status.as_str(), count, notes: notes(file) }
    }

    fn open(&self, at: usize, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<section id=\"f{at}\">\n<header><h2><a href=\"#f{at}\">{}</a></h2><span class=\"tag\">{} {}</span></header>",
            self.place, self.status, self.count
        )?;
        if !self.notes.is_empty() {
            let items: String = self.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
            writeln!(out, "<ul class=\"notes\">{items}</ul>")?;
        }
        Ok(())
    }
}

fn contents(heads: &[Head], out: &mut dyn Write) -> io::Result<()> {
    if heads.is_empty() {
        return writeln!(out, "<p>No differences.</p>");
    }
    writeln!(out, "<table class=\"files\">")?;
    for (at, head) in heads.iter().enumerate() {
        writeln!(out, "<tr><td><a href=\"#f{at}\">{}</a></td><td>{}</td><td>{}</td></tr>", head.place, head.status, head.count)?;
    }
    writeln!(out, "</table>")
}

fn sum(stats: &Stats, files: usize) -> String {
    let mut out = format!("{files} file{} differ", if files == 1 { "" } else { "s" });
    if files == 1 {
        out.push('s');
    }
    out.push_str(&format!(": {}", plus_minus(stats.added_lines, stats.removed_lines)));
    match stats.changed_secrets {
        0 => {}
        1 => out.push_str(" <span class=\"sec\">1 secret changed</span>"),
        n => out.push_str(&format!(" <span class=\"sec\">{n} secrets changed</span>")),
    }
    out
}

fn plus_minus(added: usize, removed: usize) -> String {
    format!("<span class=\"plus\">+{added}</span> <span class=\"minus\">\u{2212}{removed}</span>")
}

fn counts(body: &BodyDiff) -> String {
    match body {
        BodyDiff::Lines(lines) => plus_minus(lines.added, lines.removed),
        BodyDiff::Same | BodyDiff::Binary | BodyDiff::Closed(_) | BodyDiff::Replaced { .. } => String::new(),
    }
}

fn body(diff: &BodyDiff, out: &mut dyn Write) -> io::Result<()> {
    match diff {
        BodyDiff::Lines(diff) => lines(diff, out),
        BodyDiff::Replaced { old, new } => {
            body(old, out)?;
            body(new, out)
        }
        BodyDiff::Same | BodyDiff::Binary | BodyDiff::Closed(_) => Ok(()),
    }
}

fn lines(diff: &LineDiff, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<table class=\"lines\">")?;
    for hunk in &diff.hunks {
        let section = hunk.section.as_deref().unwrap_or("");
        let start = if hunk.new_lines == 0 { hunk.old_start } else { hunk.new_start };
        writeln!(out, "<tr class=\"at\"><td colspan=\"4\">line {start} {}</td></tr>", show(section.as_bytes()))?;
        let rows = rows(hunk);
        // A run of changed rows: what went first, then what came.
        for run in rows.chunk_by(|a, b| a.is_context() == b.is_context()) {
            if run.first().is_some_and(Row::is_context) {
                for line in run.iter().filter_map(|row| row.old) {
                    let class = if line.volatile { "vol" } else { "" };
                    write_line(line, class, " ", &show(line.content()), out)?;
                }
                continue;
            }
            for row in run {
                if let Some(line) = row.old {
                    write_line(line, "del", "\u{2212}", &words_of(row, LineOp::Removed), out)?;
                }
            }
            for row in run {
                if let Some(line) = row.new {
                    write_line(line, "add", "+", &words_of(row, LineOp::Added), out)?;
                }
            }
        }
    }
    writeln!(out, "</table>")
}

fn write_line(line: &Line, class: &str, sign: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let number = |n: Option<usize>| n.map_or_else(String::new, |n| n.to_string());
    let end = if line.text.ends_with(b"\n") { "" } else { " <span class=\"tag\">no newline at end</span>" };
    writeln!(
        out,
        "<tr class=\"{class}\"><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"o\">{sign}</td><td class=\"t\">{text}{end}</td></tr>",
        number(line.old),
        number(line.new)
    )
}

/// The line of one side, with the words marked that its partner has not.
fn words_of(row: &Row<'_>, side: LineOp) -> String {
    let (Some(old), Some(new)) = (row.old, row.new) else {
        return row.old.or(row.new).map_or_else(String::new, |line| show(line.content()));
    };
    let mut out = String::new();
    for segment in words::compare(old.content(), new.content()) {
        let text = show(segment.text);
        match segment.op {
            LineOp::Context => out.push_str(&text),
            op if op != side => {}
            LineOp::Removed => out.push_str(&format!("<del>{text}</del>")),
            LineOp::Added => out.push_str(&format!("<ins>{text}</ins>")),
        }
    }
    if side == LineOp::Added && words::secret_changed(&old.text, &new.text) {
        out.push_str(" <span class=\"sec\">secret changed</span>");
    }
    out
}

fn settings(changes: &[SettingChange], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<table class=\"settings\">")?;
    for group in changes.chunk_by(|a, b| a.section == b.section) {
        let section = group.first().map_or("", |c| c.section.as_str());
        let section = if section.is_empty() { "(top)".to_owned() } else { show(section.as_bytes()) };
        writeln!(out, "<tr><th colspan=\"3\">{section}</th></tr>")?;
        for change in group {
            let text = |t: &str| show(t.as_bytes());
            let list = |values: &[String]| values.iter().map(|v| text(v)).collect::<Vec<_>>().join("\n");
            let (word, value) = match &change.change {
                Change::Added { value } => ("added", format!("<ins>{}</ins>", text(value))),
                Change::Removed { value } => ("removed", format!("<del>{}</del>", text(value))),
                Change::Changed { old, new } => {
                    ("changed", format!("<del>{}</del> \u{2192} <ins>{}</ins>", text(old), text(new)))
                }
                Change::Reordered { old, new } => {
                    ("reordered", format!("<del>{}</del>\n\u{2193}\n<ins>{}</ins>", list(old), list(new)))
                }
            };
            let secret = if change.secret { " <span class=\"sec\">secret changed</span>" } else { "" };
            let key = if change.key.is_empty() { "(section)".to_owned() } else { text(&change.key) };
            writeln!(out, "<tr><td class=\"k\">{key}</td><td class=\"w\">{word}</td><td class=\"v\">{value}{secret}</td></tr>")?;
        }
    }
    writeln!(out, "</table>")
}
