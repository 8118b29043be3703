//! git's unified shape: `git apply`, `patch -p1` and viewers of patches read it.

use std::io::{self, Write};

use super::notes::notes;
use super::{Paint, Render};
use crate::diff::{BodyDiff, Facts, FileDiff, Hunk, Line, LineOp, SetDiff, Status, visible};
use crate::model::Kind;

/// Writes git's unified shape. What git has no words for (owners, other permission bits than "may execute", empty
/// directories) stands in lines that begin with `# `, which `git apply` and `patch` pass over.
///
/// # Errors
/// What `out` returns.
pub fn unified(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    for file in &diff.files {
        head_notes(file, render, out)?;
        each_part(file, &mut |part| {
            head(&part, render, out)?;
            if let BodyDiff::Lines(lines) = part.body {
                for hunk in &lines.hunks {
                    hunk_head(hunk, render, out)?;
                    for line in &hunk.lines {
                        write_line(line, render, out)?;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The part of a difference that stands below one `diff --git` line.
pub(super) struct Part<'a> {
    old: Option<&'a Facts>,
    new: Option<&'a Facts>,
    pub(super) body: &'a BodyDiff,
    renamed: bool,
}

/// Splits an entry as git does: a change of type is a removal and an addition; directories are nothing.
pub(super) fn each_part(file: &FileDiff, run: &mut dyn FnMut(Part<'_>) -> io::Result<()>) -> io::Result<()> {
    let real = |facts: &&Facts| facts.kind != Kind::Directory;
    let (old, new) = (file.old.as_ref().filter(real), file.new.as_ref().filter(real));
    if let BodyDiff::Replaced { old: old_body, new: new_body } = &file.body {
        if old.is_some() {
            run(Part { old, new: None, body: old_body, renamed: false })?;
        }
        if new.is_some() {
            run(Part { old: None, new, body: new_body, renamed: false })?;
        }
        return Ok(());
    }
    let mode = old.zip(new).is_some_and(|(a, b)| a.git_mode() != b.git_mode());
    let alone = old.is_some() != new.is_some();
    let renamed = file.status == Status::Renamed && old.is_some();
    if alone || mode || renamed || file.body != BodyDiff::Same {
        run(Part { old, new, body: &file.body, renamed })?;
    }
    Ok(())
}

pub(super) fn head_notes(file: &FileDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let place = visible::quote("", &file.facts().place());
    for note in notes(file) {
        writeln!(out, "{}", render.style.paint(Paint::Note, &format!("# {place}: {note}")))?;
    }
    Ok(())
}

pub(super) fn head(part: &Part<'_>, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = part.old.or(part.new) else { return Ok(()) };
    let (old_place, new_place) = (first.place(), part.new.unwrap_or(first).place());
    let has_lines = matches!(part.body, BodyDiff::Lines(lines) if !lines.hunks.is_empty());
    // Where no `---` line follows, `patch` takes the names from here and would cut them at a blank; git reads
    // quotes around any name.
    let quote = |prefix: &str, place: &[u8]| match visible::quote(prefix, place) {
        name if !has_lines && name.contains(' ') && !name.starts_with('"') => format!("\"{name}\""),
        name => name,
    };
    let (a, b) = (quote("a/", &old_place), quote("b/", &new_place));
    let mut lines = vec![format!("diff --git {a} {b}")];
    match (part.old, part.new) {
        (Some(old), Some(new)) => {
            if old.git_mode() != new.git_mode() {
                lines.push(format!("old mode {}", old.git_mode()));
                lines.push(format!("new mode {}", new.git_mode()));
            }
            if part.renamed {
                lines.push("similarity index 100%".to_owned());
                lines.push(format!("rename from {}", quote("", &old_place)));
                lines.push(format!("rename to {}", quote("", &new_place)));
            }
        }
        (Some(old), None) => lines.push(format!("deleted file mode {}", old.git_mode())),
        (None, Some(new)) => lines.push(format!("new file mode {}", new.git_mode())),
        (None, None) => {}
    }
    // git's name of the empty blob: without it `patch` does not believe that an empty file came or went.
    match (part.old, part.new, part.body) {
        (None, Some(_), BodyDiff::Same) => lines.push("index 0000000..e69de29".to_owned()),
        (Some(_), None, BodyDiff::Same) => lines.push("index e69de29..0000000".to_owned()),
        _ => {}
    }
    let null = || "/dev/null".to_owned();
    let (a, b) = (part.old.map_or_else(null, |_| a), part.new.map_or_else(null, |_| b));
    match part.body {
        BodyDiff::Lines(_) if has_lines => {
            // As git: a TAB behind a name with blanks, or `patch` would cut it there.
            let tab = |name: &str| if name.contains(' ') { "\t" } else { "" };
            lines.push(format!("--- {a}{}", tab(&a)));
            lines.push(format!("+++ {b}{}", tab(&b)));
        }
        BodyDiff::Binary | BodyDiff::Closed(_) => lines.push(format!("Binary files {a} and {b} differ")),
        _ => {}
    }
    for line in lines {
        writeln!(out, "{}", render.style.paint(Paint::Head, &line))?;
    }
    Ok(())
}

pub(super) fn hunk_head(hunk: &Hunk, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let range = |start: usize, count: usize| if count == 1 { start.to_string() } else { format!("{start},{count}") };
    let (old, new) = (range(hunk.old_start, hunk.old_lines), range(hunk.new_start, hunk.new_lines));
    let place = render.style.paint(Paint::Place, &format!("@@ -{old} +{new} @@"));
    match &hunk.section {
        Some(section) => writeln!(out, "{place} {}", visible::text(section.as_bytes())),
        None => writeln!(out, "{place}"),
    }
}

pub(super) fn write_line(line: &Line, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let (sign, paint) = match line.op {
        LineOp::Context => (" ", None),
        LineOp::Removed => ("-", Some(Paint::Removed)),
        LineOp::Added => ("+", Some(Paint::Added)),
    };
    let (on, off) = paint.map_or(("", ""), |paint| render.style.around(paint));
    write!(out, "{on}{sign}")?;
    if render.escape_control {
        out.write_all(visible::text(line.content()).as_bytes())?;
    } else {
        out.write_all(line.content())?;
    }
    out.write_all(off.as_bytes())?;
    out.write_all(b"\n")?;
    if !line.text.ends_with(b"\n") {
        out.write_all(b"\\ No newline at end of file\n")?;
    }
    Ok(())
}
