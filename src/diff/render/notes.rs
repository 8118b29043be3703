//! What git's shape has no words for, and what all shapes share.

use crate::diff::{BodyDiff, Facts, FileDiff, Status, Why, visible};
use crate::model::{Kind, Owner};

/// Gives what a reader should know beside the lines, one sentence each: modes that git does not keep, owners,
/// directories, sizes, secrets.
pub(super) fn notes(file: &FileDiff) -> Vec<String> {
    let mut out = Vec::new();
    let kind = |facts: &Facts| match facts.kind {
        Kind::Directory => "directory",
        Kind::File => "file",
        Kind::Link => "link",
    };
    match (&file.old, &file.new) {
        (Some(old), Some(new)) => {
            if old.kind != new.kind {
                out.push(format!("type: {} -> {}", kind(old), kind(new)));
            }
            if old.mode != new.mode && (old.git_mode() == new.git_mode() || file.status == Status::TypeChanged) {
                out.push(format!("mode: {:04o} -> {:04o}", old.mode, new.mode));
            }
            if let (Some(a), Some(b)) = (old.owner, new.owner)
                && a != b
            {
                out.push(format!("owner: {} -> {}", owner(a), owner(b)));
            }
        }
        (Some(facts), None) if facts.kind == Kind::Directory => out.push("directory removed".to_owned()),
        (None, Some(facts)) if facts.kind == Kind::Directory => out.push("directory added".to_owned()),
        _ => {}
    }
    match &file.body {
        BodyDiff::Binary => out.push(format!("binary: {}", sizes(file))),
        BodyDiff::Closed(Why::Sealed) => out.push(format!("sealed: {}", sizes(file))),
        BodyDiff::Closed(Why::Large) => out.push(format!("too large to compare by line: {}", sizes(file))),
        BodyDiff::Lines(lines) => {
            match lines.changed_secrets {
                0 => {}
                1 => out.push("1 secret changed".to_owned()),
                n => out.push(format!("{n} secrets changed")),
            }
            if lines.hurried {
                out.push("time ran out: more lines than needed are shown as removed and added".to_owned());
            }
        }
        BodyDiff::Same | BodyDiff::Replaced { .. } => {}
    }
    out
}

fn owner(owner: Owner) -> String {
    format!("{}:{}", owner.uid, owner.gid)
}

/// Gives `10 -> 20 bytes`.
pub(super) fn sizes(file: &FileDiff) -> String {
    let size = |facts: Option<&Facts>| match facts {
        None => "0".to_owned(),
        Some(facts) => facts.size.map_or_else(|| "?".to_owned(), |n| n.to_string()),
    };
    format!("{} -> {} bytes", size(file.old.as_ref()), size(file.new.as_ref()))
}

/// Gives the place of an entry for a reader; with the old one where it was renamed.
pub(super) fn place(file: &FileDiff) -> String {
    let quoted = |facts: &Facts| visible::text(&facts.place());
    match (&file.old, &file.new) {
        (Some(old), Some(new)) if file.status == Status::Renamed => format!("{} => {}", quoted(old), quoted(new)),
        _ => quoted(file.facts()),
    }
}
