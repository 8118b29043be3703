//! Changed words, in the shape of `git diff --word-diff`.

use std::io::{self, Write};

use super::rows::{blocks, sides};
use super::unified::{each_part, head, head_notes, hunk_head};
use super::{Paint, Render, Style};
use crate::diff::{BodyDiff, Line, LineOp, SetDiff, visible, words};

/// Writes changed words as `[-old-]{+new+}`; a changed secret as `{{secret changed}}` behind its tokens.
///
/// # Errors
/// What `out` returns.
pub fn word(diff: &SetDiff, render: &Render, out: &mut dyn Write) -> io::Result<()> {
    for file in &diff.files {
        head_notes(file, render, out)?;
        each_part(file, &mut |part| {
            head(&part, render, out)?;
            let BodyDiff::Lines(lines) = part.body else { return Ok(()) };
            for hunk in &lines.hunks {
                hunk_head(hunk, render, out)?;
                for (changed, run) in blocks(hunk) {
                    if changed {
                        block(run, render, out)?;
                    } else {
                        run.iter().try_for_each(|line| write_text(&line.text, render, out))?;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn block(run: &[Line], render: &Render, out: &mut dyn Write) -> io::Result<()> {
    let (old, new) = sides(run);
    let joined = |lines: &[&Line]| lines.iter().flat_map(|l| l.text.iter().copied()).collect::<Vec<u8>>();
    let (old, new) = (joined(&old), joined(&new));
    // Where the last line of one side alone has no LF, the words must not run into the next line.
    let mut at_start = true;
    for segment in words::compare(&old, &new) {
        let (open, close, paint) = match segment.op {
            LineOp::Context => ("", "", None),
            LineOp::Removed => ("[-", "-]", Some(Paint::Removed)),
            LineOp::Added => ("{+", "+}", Some(Paint::Added)),
        };
        let (on, off) = paint.map_or(("", ""), |paint| render.style.around(paint));
        for line in segment.text.split_inclusive(|&b| b == b'\n') {
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            if !content.is_empty() {
                write!(out, "{on}{open}")?;
                // Tokens are cut for readers: this shape is no patch.
                if segment.secret {
                    out.write_all(visible::short(content).as_bytes())?;
                } else {
                    write_content(content, render, out)?;
                }
                write!(out, "{close}{off}")?;
                at_start = false;
            }
            // A removed line end beside an added one is one line end.
            if content.len() < line.len() && (segment.op != LineOp::Removed || !at_start) {
                out.write_all(b"\n")?;
                at_start = true;
            }
        }
        if segment.secret && segment.op == LineOp::Added {
            let (on, off) = if render.style == Style::Ansi { render.style.around(Paint::Secret) } else { ("", "") };
            write!(out, "{on}{{{{secret changed}}}}{off}")?;
        }
    }
    if !at_start {
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn write_text(line: &[u8], render: &Render, out: &mut dyn Write) -> io::Result<()> {
    write_content(line.strip_suffix(b"\n").unwrap_or(line), render, out)?;
    out.write_all(b"\n")
}

fn write_content(content: &[u8], render: &Render, out: &mut dyn Write) -> io::Result<()> {
    if render.escape_control { out.write_all(visible::text(content).as_bytes()) } else { out.write_all(content) }
}
