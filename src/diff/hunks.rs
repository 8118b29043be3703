//! From changed lines to hunks.
//!
//! Lines are compared by *key*: the line itself, or what a normaliser leaves of it. A line that it leaves out
//! altogether takes no part in the comparison. Where one that differs, or has no partner, lies in a hunk, it is
//! shown as context *as the old side has it*: so a patch applies to the real old file. The numbers of the new
//! side in the header of a hunk are those of the file that `patch` would make.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use super::input::Normalise;
use super::lines::{changed, settle, split};
use super::words::tokens;
use super::{Hunk, Line, LineDiff, LineOp};
use crate::model::ConfigPath;
use crate::profile::{Sections, Syntax, sections};

/// One text with what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) path: &'a ConfigPath,
    pub(crate) syntax: Syntax,
    pub(crate) bytes: &'a [u8],
}

/// One step through both texts.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Both(usize, usize),
    Removed(usize),
    Added(usize),
    /// A volatile line without a partner in the old text.
    Volatile(usize),
}

/// A side, cut into lines. `keys` holds only lines that count; `lines` says which.
struct Cut<'a> {
    all: Vec<&'a [u8]>,
    lines: Vec<usize>,
    keys: Vec<(Cow<'a, [u8]>, bool)>,
}

/// Cuts a text. Only the lines of `inside` are normalised: the others are the same on both sides.
fn cut<'a>(text: Text<'a>, all: Vec<&'a [u8]>, inside: Range<usize>, normalise: Option<Normalise<'_>>) -> Cut<'a> {
    let mut lines = Vec::with_capacity(all.len());
    let mut keys = Vec::with_capacity(all.len());
    for (at, line) in all.iter().copied().enumerate() {
        let ended = line.ends_with(b"\n");
        let key = match normalise {
            Some(f) if inside.contains(&at) => f(text.path, line),
            _ => Cow::Borrowed(line),
        };
        // Left out; but a last line without LF stays, as its key says how the file ends.
        if key.is_empty() && ended {
            continue;
        }
        lines.push(at);
        keys.push((key, ended));
    }
    Cut { all, lines, keys }
}

/// Compares two texts by line.
pub(crate) fn diff(
    old: Text<'_>,
    new: Text<'_>,
    normalise: Option<Normalise<'_>>,
    context: usize,
    deadline: Instant,
) -> LineDiff {
    if let Some(f) = normalise
        && f(old.path, old.bytes) == f(new.path, new.bytes)
    {
        return LineDiff::default();
    }
    let (a, b) = (split(old.bytes), split(new.bytes));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let inside = |lines: &[&[u8]]| head..lines.len() - tail;
    let (in_a, in_b) = (inside(&a), inside(&b));
    let (a, b) = (cut(old, a, in_a, normalise), cut(new, b, in_b, normalise));
    let mut marks = changed(&a.keys, &b.keys, deadline);
    let old_kept: Vec<&[u8]> = a.lines.iter().map(|&i| a.all[i]).collect();
    let new_kept: Vec<&[u8]> = b.lines.iter().map(|&i| b.all[i]).collect();
    settle(&old_kept, &new_kept, &mut marks);

    let mut result = LineDiff { hurried: marks.hurried, ..LineDiff::default() };
    let steps = steps(&a, &b, &marks.old, &marks.new);
    let mut named = (None, None);
    // Lines of the old and of the patched text before the hunk.
    let mut before = (0, 0);
    let mut done = 0;
    for range in ranges(&steps, context) {
        before = count(&steps[done..range.start], before);
        let inside = &steps[range.clone()];
        let hunk = hunk(inside, before, &a, &b, &mut |step| match step {
            Step::Added(j) => section(&mut named.1, new, j),
            Step::Removed(i) | Step::Both(i, _) | Step::Volatile(i) => section(&mut named.0, old, i),
        });
        before = count(inside, before);
        done = range.end;
        result.added += hunk.lines.iter().filter(|l| l.op == LineOp::Added).count();
        result.removed += hunk.lines.iter().filter(|l| l.op == LineOp::Removed).count();
        result.changed_secrets += changed_secrets(&hunk.lines);
        result.hunks.push(hunk);
    }
    result
}

/// All lines of one text as one hunk: an added or a removed file.
pub(crate) fn whole(text: Text<'_>, op: LineOp) -> LineDiff {
    let number = |wanted: LineOp, at: usize| (op == wanted).then_some(at + 1);
    let lines: Vec<Line> = split(text.bytes)
        .into_iter()
        .enumerate()
        .map(|(at, line)| Line {
            op,
            old: number(LineOp::Removed, at),
            new: number(LineOp::Added, at),
            text: line.to_vec(),
            volatile: false,
        })
        .collect();
    let count = lines.len();
    let side = |wanted| if op == wanted { (count.min(1), count) } else { (0, 0) };
    let ((old_start, old_lines), (new_start, new_lines)) = (side(LineOp::Removed), side(LineOp::Added));
    let hunk = Hunk { old_start, old_lines, new_start, new_lines, section: None, lines };
    let hunks = if count == 0 { Vec::new() } else { vec![hunk] };
    LineDiff { hunks, added: new_lines, removed: old_lines, changed_secrets: 0, hurried: false }
}

fn section(cache: &mut Option<Sections>, text: Text<'_>, line: usize) -> Option<String> {
    cache.get_or_insert_with(|| sections(text.syntax, text.bytes)).of_line(line).map(str::to_owned)
}

fn steps(a: &Cut<'_>, b: &Cut<'_>, old: &[bool], new: &[bool]) -> Vec<Step> {
    let mut out = Vec::with_capacity(a.all.len().max(b.all.len()));
    // Positions among the lines that count, and the next line of each text.
    let (mut i, mut j, mut next) = (0, 0, (0, 0));
    loop {
        let (to_i, to_j) = (i + changed_run(&old[i..]), j + changed_run(&new[j..]));
        let end = (line_at(a, to_i), line_at(b, to_j));
        between(&Part::of(&a.lines[i..to_i], next.0..end.0), &Part::of(&b.lines[j..to_j], next.1..end.1), b, &mut out);
        if to_i == a.lines.len() || to_j == b.lines.len() {
            return out;
        }
        out.push(Step::Both(end.0, end.1));
        (i, j, next) = (to_i + 1, to_j + 1, (end.0 + 1, end.1 + 1));
    }
}

fn changed_run(marks: &[bool]) -> usize {
    marks.iter().take_while(|changed| **changed).count()
}

fn line_at(cut: &Cut<'_>, counted: usize) -> usize {
    cut.lines.get(counted).copied().unwrap_or(cut.all.len())
}

/// What a side has between two lines that both have: volatile lines, and the changed ones in front of, between
/// and behind them.
struct Part {
    volatile: Vec<usize>,
    /// One more than `volatile`.
    changed: Vec<Vec<usize>>,
}

impl Part {
    fn of(counted: &[usize], all: Range<usize>) -> Self {
        let mut part = Self { volatile: Vec::new(), changed: vec![Vec::new()] };
        let mut counted = counted.iter().peekable();
        for line in all {
            if counted.next_if_eq(&&line).is_some() {
                part.changed.last_mut().expect("there is a first").push(line);
            } else {
                part.volatile.push(line);
                part.changed.push(Vec::new());
            }
        }
        part
    }
}

/// Puts the added lines where the new side has them among its volatile lines. Where the sides have not the same
/// number of those, they stand right behind the first lines that are removed.
fn between(old: &Part, new: &Part, b: &Cut<'_>, out: &mut Vec<Step>) {
    let same = old.volatile.len() == new.volatile.len();
    let first = old.changed.iter().position(|lines| !lines.is_empty()).unwrap_or(old.volatile.len());
    // What ends a file without LF has nothing behind it.
    let ends = |line: &usize| !b.all[*line].ends_with(b"\n");
    for (at, removed) in old.changed.iter().enumerate() {
        out.extend(removed.iter().map(|line| Step::Removed(*line)));
        let added = new.changed.iter().enumerate().filter(|(group, _)| if same { *group == at } else { at == first });
        out.extend(added.flat_map(|(_, lines)| lines).filter(|line| !ends(line)).map(|line| Step::Added(*line)));
        out.extend(old.volatile.get(at).map(|line| Step::Volatile(*line)));
    }
    out.extend(new.changed.iter().flatten().filter(|line| ends(line)).map(|line| Step::Added(*line)));
}

/// The steps of each hunk: changes with their context, joined where they meet.
fn ranges(steps: &[Step], context: usize) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, _) in steps.iter().enumerate().filter(|(_, s)| matches!(s, Step::Removed(_) | Step::Added(_))) {
        let (from, to) = (at.saturating_sub(context), at.saturating_add(context + 1).min(steps.len()));
        match out.last_mut() {
            Some(last) if from <= last.end => last.end = to,
            _ => out.push(from..to),
        }
    }
    out
}

/// Adds the lines of the old and of the patched text.
fn count(steps: &[Step], from: (usize, usize)) -> (usize, usize) {
    let old = steps.iter().filter(|s| !matches!(s, Step::Added(_))).count();
    let new = steps.iter().filter(|s| !matches!(s, Step::Removed(_))).count();
    (from.0 + old, from.1 + new)
}

fn hunk(inside: &[Step], before: (usize, usize), a: &Cut<'_>, b: &Cut<'_>, name: &mut dyn FnMut(Step) -> Option<String>) -> Hunk {
    let (old_lines, new_lines) = count(inside, (0, 0));
    let lines = inside
        .iter()
        .map(|step| {
            let (op, old, new) = match *step {
                Step::Both(i, j) => (LineOp::Context, Some(i), Some(j)),
                Step::Volatile(i) => (LineOp::Context, Some(i), None),
                Step::Removed(i) => (LineOp::Removed, Some(i), None),
                Step::Added(j) => (LineOp::Added, None, Some(j)),
            };
            let text = match (old, new) {
                (Some(i), _) => a.all[i],
                (None, j) => j.map_or(&b""[..], |j| b.all[j]),
            };
            let volatile = match *step {
                Step::Both(i, j) => a.all[i] != b.all[j],
                Step::Volatile(_) => true,
                Step::Removed(_) | Step::Added(_) => false,
            };
            Line { op, old: old.map(|n| n + 1), new: new.map(|n| n + 1), text: text.to_vec(), volatile }
        })
        .collect();
    let first = inside.iter().find(|s| matches!(s, Step::Removed(_) | Step::Added(_)));
    Hunk {
        old_start: before.0 + usize::from(old_lines > 0),
        old_lines,
        new_start: before.1 + usize::from(new_lines > 0),
        new_lines,
        section: first.and_then(|step| name(*step)),
        lines,
    }
}

/// Counts tokens that came in where others went.
fn changed_secrets(lines: &[Line]) -> usize {
    let of = |op| -> HashSet<&[u8]> {
        lines.iter().filter(|l| l.op == op).flat_map(|l| tokens(&l.text).map(|range| &l.text[range])).collect()
    };
    let (old, new) = (of(LineOp::Removed), of(LineOp::Added));
    old.difference(&new).count().min(new.difference(&old).count())
}
