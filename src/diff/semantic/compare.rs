//! Two sides, setting by setting.

use std::borrow::Cow;
use std::time::Instant;

use super::{SemanticDiff, SemanticFile, Setting, SettingChange, SettingsDiff, changes, settings};
use crate::diff::compare::{Pairing, is_text, pairing, pairs, status};
use crate::diff::hunks::{self, Text};
use crate::diff::{Body, BodyDiff, Error, Facts, File, LineOp, Options, Side};
use crate::model::Kind;
use crate::profile::Syntax;

/// Compares two sides by setting, without regard to order and white space that mean nothing, and to comments.
/// A file without a syntax that has settings, and one that does not follow its syntax, is compared by line.
#[must_use]
pub fn compare_settings(old: &Side, new: &Side, options: &Options<'_>) -> SemanticDiff {
    let deadline = Instant::now() + options.limit;
    let mut files = Vec::new();
    for pair in pairs(old, new, options.renames) {
        let body = match pair {
            (Some(a), Some(b)) => both(a, b, options, deadline),
            (Some(a), None) => alone(a, LineOp::Removed, deadline),
            (None, Some(b)) => alone(b, LineOp::Added, deadline),
            (None, None) => continue,
        };
        if let Some(status) = status(pair, body == SettingsDiff::Same) {
            files.push(SemanticFile { status, old: pair.0.map(Facts::of), new: pair.1.map(Facts::of), body });
        }
    }
    SemanticDiff { files }
}

fn is_lines(syntax: Syntax) -> bool {
    syntax == Syntax::Ios
}

fn changed(old: Vec<Setting>, new: Vec<Setting>, syntax: Syntax, deadline: Instant) -> SettingsDiff {
    let found: Vec<SettingChange> = changes::compare(old, new, is_lines(syntax), deadline);
    if found.is_empty() { SettingsDiff::Same } else { SettingsDiff::Settings(found) }
}

/// A reader is told why there are only lines, but not where there never could be settings.
fn told(error: Error) -> Option<Error> {
    (error != Error::NoSettings).then_some(error)
}

fn alone(file: &File, op: LineOp, deadline: Instant) -> SettingsDiff {
    let bytes = match &file.body {
        _ if file.kind == Kind::Directory => return SettingsDiff::Same,
        Body::Closed { why, .. } => return SettingsDiff::Opaque(Some(*why)),
        Body::Bytes(bytes) if bytes.is_empty() => return SettingsDiff::Same,
        Body::Bytes(bytes) if !is_text(bytes) => return SettingsDiff::Opaque(None),
        Body::Bytes(bytes) => bytes,
    };
    let text = Text { path: &file.path, syntax: file.syntax, bytes };
    let known = if file.kind == Kind::File { settings(file.syntax, bytes) } else { Err(Error::NoSettings) };
    match (known, op) {
        (Err(error), _) => SettingsDiff::Lines { lines: hunks::whole(text, op), why: told(error) },
        (Ok(list), LineOp::Removed) => changed(list, Vec::new(), file.syntax, deadline),
        (Ok(list), _) => changed(Vec::new(), list, file.syntax, deadline),
    }
}

fn both(a: &File, b: &File, options: &Options<'_>, deadline: Instant) -> SettingsDiff {
    let (x, y) = match pairing(a, b) {
        Pairing::Same => return SettingsDiff::Same,
        Pairing::Texts(x, y) => (x, y),
        Pairing::Other(BodyDiff::Closed(why)) => return SettingsDiff::Opaque(Some(why)),
        Pairing::Other(BodyDiff::Replaced { new, .. }) => {
            // Another type: what is there now, as far as it is text.
            return match *new {
                BodyDiff::Lines(lines) => SettingsDiff::Lines { lines, why: None },
                _ => SettingsDiff::Same,
            };
        }
        Pairing::Other(_) => return SettingsDiff::Opaque(None),
    };
    let normalise = options.normalise.filter(|_| a.kind == Kind::File);
    let known = |file: &File, bytes: &[u8]| match normalise {
        _ if file.kind != Kind::File || a.syntax != b.syntax => Err(Error::NoSettings),
        None => settings(file.syntax, bytes),
        Some(normalise) => settings(file.syntax, &without_volatile(file, bytes, normalise)),
    };
    let why = match (known(a, x), known(b, y)) {
        (Ok(old), Ok(new)) => return changed(old, new, a.syntax, deadline),
        (Err(error), _) | (_, Err(error)) => told(error),
    };
    let (old, new) = (Text { path: &a.path, syntax: a.syntax, bytes: x }, Text { path: &b.path, syntax: b.syntax, bytes: y });
    let lines = hunks::diff(old, new, normalise, options.context, deadline);
    if lines.hunks.is_empty() { SettingsDiff::Same } else { SettingsDiff::Lines { lines, why } }
}

/// The text without what is volatile, with as many lines as before, so that settings keep their numbers.
fn without_volatile<'t>(file: &File, bytes: &'t [u8], normalise: crate::diff::Normalise<'_>) -> Cow<'t, [u8]> {
    if matches!(normalise(&file.path, bytes), Cow::Borrowed(_)) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    for line in crate::diff::lines::split(bytes) {
        let kept = normalise(&file.path, line);
        out.extend_from_slice(&kept);
        if line.ends_with(b"\n") && !kept.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    Cow::Owned(out)
}
