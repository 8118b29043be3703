//! Two sides, entry by entry.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::hunks::{self, Text};
use super::{Body, BodyDiff, Facts, File, FileDiff, LineOp, Options, SetDiff, Side, Stats, Status, Why};
use crate::model::Kind;

/// Compares two sides.
///
/// Entries are matched by scope and path. What is equal by digest or bytes is left out, and so is what differs
/// only in volatile lines if [`Options::normalise`] is given.
#[must_use]
pub fn compare(old: &Side, new: &Side, options: &Options<'_>) -> SetDiff {
    let deadline = Instant::now() + options.limit;
    let mut files = Vec::new();
    for pair in pairs(old, new, options.renames) {
        let body = match pair {
            (Some(a), Some(b)) => both(a, b, options, deadline),
            (Some(a), None) => alone(a, LineOp::Removed),
            (None, Some(b)) => alone(b, LineOp::Added),
            (None, None) => continue,
        };
        if let Some(status) = status(pair, body == BodyDiff::Same) {
            files.push(FileDiff { status, old: pair.0.map(Facts::of), new: pair.1.map(Facts::of), body });
        }
    }
    let stats = sum(&files);
    SetDiff { files, stats }
}

/// An entry of the old side, of the new side, or one of each that belong together.
pub(crate) type Pair<'a> = (Option<&'a File>, Option<&'a File>);

/// Brings the entries of both sides together, sorted by place; that of a renamed one is the new place.
pub(crate) fn pairs<'a>(old: &'a Side, new: &'a Side, renames: bool) -> Vec<Pair<'a>> {
    let place = |file: &'a File| (file.scope, &file.path);
    let (mut a, mut b) = (old.files().iter().peekable(), new.files().iter().peekable());
    let mut out = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => place(x).cmp(&place(y)),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        out.push((left, right));
    }
    if renames {
        join_renamed(&mut out);
    }
    out
}

/// Joins a removed and an added file of equal, not empty content: first those whose last names are equal, then
/// the others in their order.
fn join_renamed(pairs: &mut Vec<Pair<'_>>) {
    let alone = |pair: &Pair<'_>| match *pair {
        (Some(file), None) | (None, Some(file)) => identity(file),
        _ => None,
    };
    let ids: Vec<Option<blake3::Hash>> = pairs.iter().map(alone).collect();
    let mut taken = vec![false; pairs.len()];
    for by_name in [true, false] {
        let mut gone: HashMap<(blake3::Hash, Option<&[u8]>), VecDeque<usize>> = HashMap::new();
        fn last(file: &File) -> Option<&[u8]> {
            file.path.components().last()
        }
        let name = |file| if by_name { last(file) } else { None };
        for (at, pair) in pairs.iter().enumerate().filter(|(at, _)| !taken[*at]) {
            if let ((Some(file), None), Some(id)) = (*pair, ids[at]) {
                gone.entry((id, name(file))).or_default().push_back(at);
            }
        }
        for at in 0..pairs.len() {
            let ((None, Some(file)), Some(id)) = (pairs[at], ids[at]) else { continue };
            let Some(from) = gone.get_mut(&(id, name(file))).and_then(VecDeque::pop_front) else { continue };
            pairs[at].0 = pairs[from].0;
            taken[from] = true;
        }
    }
    let mut keep = taken.iter().map(|taken| !taken);
    pairs.retain(|_| keep.next().unwrap_or(true));
}

fn identity(file: &File) -> Option<blake3::Hash> {
    match (&file.body, file.kind) {
        (Body::Bytes(bytes), Kind::File) if !bytes.is_empty() => Some(blake3::hash(bytes)),
        _ => None,
    }
}

/// Text has no NUL byte (see "Forms" in `docs/format.md`).
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_none()
}

fn text<'a>(file: &'a File, bytes: &'a [u8]) -> Text<'a> {
    Text { path: &file.path, syntax: file.syntax, bytes }
}

/// What happened to an entry, or nothing where nothing happened.
pub(crate) fn status(pair: Pair<'_>, same_body: bool) -> Option<Status> {
    Some(match pair {
        (Some(a), Some(b)) if a.kind != b.kind => Status::TypeChanged,
        (Some(a), Some(b)) if (a.scope, &a.path) != (b.scope, &b.path) => Status::Renamed,
        (Some(_), Some(_)) if !same_body => Status::Changed,
        // A source that tells no owner says nothing about it.
        (Some(a), Some(b)) if a.mode != b.mode || a.owner.zip(b.owner).is_some_and(|(x, y)| x != y) => Status::ModeChanged,
        (Some(_), Some(_)) => return None,
        (Some(_), None) => Status::Removed,
        _ => Status::Added,
    })
}

fn alone(file: &File, op: LineOp) -> BodyDiff {
    match &file.body {
        _ if file.kind == Kind::Directory => BodyDiff::Same,
        Body::Closed { why, .. } => BodyDiff::Closed(*why),
        Body::Bytes(bytes) if bytes.is_empty() => BodyDiff::Same,
        Body::Bytes(bytes) if is_text(bytes) => BodyDiff::Lines(hunks::whole(text(file, bytes), op)),
        Body::Bytes(_) => BodyDiff::Binary,
    }
}

/// Why the contents cannot be set against each other line by line, or both texts.
pub(crate) enum Pairing<'a> {
    Same,
    Other(BodyDiff),
    Texts(&'a [u8], &'a [u8]),
}

pub(crate) fn pairing<'a>(a: &'a File, b: &'a File) -> Pairing<'a> {
    if a.kind != b.kind {
        let (old, new) = (alone(a, LineOp::Removed), alone(b, LineOp::Added));
        return Pairing::Other(BodyDiff::Replaced { old: Box::new(old), new: Box::new(new) });
    }
    if a.kind == Kind::Directory || a.digest.is_some() && a.digest == b.digest {
        return Pairing::Same;
    }
    let closed = |why: &Why| Pairing::Other(BodyDiff::Closed(*why));
    match (&a.body, &b.body) {
        (Body::Closed { why, .. }, _) | (_, Body::Closed { why, .. }) => closed(why),
        (Body::Bytes(x), Body::Bytes(y)) if x == y => Pairing::Same,
        (Body::Bytes(x), Body::Bytes(y)) if is_text(x) && is_text(y) => Pairing::Texts(x, y),
        _ => Pairing::Other(BodyDiff::Binary),
    }
}

fn both(a: &File, b: &File, options: &Options<'_>, deadline: Instant) -> BodyDiff {
    match pairing(a, b) {
        Pairing::Same => BodyDiff::Same,
        Pairing::Other(body) => body,
        Pairing::Texts(x, y) => {
            // The target of a link is no configuration text: nothing in it is volatile.
            let normalise = options.normalise.filter(|_| a.kind == Kind::File);
            let lines = hunks::diff(text(a, x), text(b, y), normalise, options.context, deadline);
            if lines.hunks.is_empty() { BodyDiff::Same } else { BodyDiff::Lines(lines) }
        }
    }
}

fn sum(files: &[FileDiff]) -> Stats {
    fn body(stats: &mut Stats, diff: &BodyDiff) {
        match diff {
            BodyDiff::Lines(lines) => {
                stats.added_lines += lines.added;
                stats.removed_lines += lines.removed;
                stats.changed_secrets += lines.changed_secrets;
            }
            BodyDiff::Replaced { old, new } => {
                body(stats, old);
                body(stats, new);
            }
            BodyDiff::Same | BodyDiff::Binary | BodyDiff::Closed(_) => {}
        }
    }
    let mut stats = Stats::default();
    for file in files {
        match file.status {
            Status::Added => stats.added_files += 1,
            Status::Removed => stats.removed_files += 1,
            Status::Changed | Status::ModeChanged | Status::TypeChanged | Status::Renamed => stats.changed_files += 1,
        }
        body(&mut stats, &file.body);
    }
    stats
}
