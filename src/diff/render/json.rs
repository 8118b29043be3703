//! A difference as JSON; the schema is in `docs/diff.md`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::diff::semantic::{Change, SemanticDiff, SettingsDiff};
use crate::diff::{BodyDiff, Facts, Hunk, Line, LineDiff, LineOp, SetDiff, Status, Why, words};
use crate::model::Kind;

/// The version of both schemas. It changes when a field goes or means something else, not when one is added.
const VERSION: u32 = 1;

/// Gives a comparison by line.
#[must_use]
pub fn json(diff: &SetDiff) -> Value {
    let stats = &diff.stats;
    let files = diff.files.iter().map(|file| {
        let mut out = head(file.status, file.old.as_ref(), file.new.as_ref());
        body(&file.body, &mut out);
        Value::Object(out)
    });
    json!({
        "format": "confvault-diff",
        "version": VERSION,
        "equal": diff.is_empty(),
        "stats": {
            "added_files": stats.added_files,
            "removed_files": stats.removed_files,
            "changed_files": stats.changed_files,
            "added_lines": stats.added_lines,
            "removed_lines": stats.removed_lines,
            "changed_secrets": stats.changed_secrets,
        },
        "files": files.collect::<Vec<_>>(),
    })
}

fn head(status: Status, old: Option<&Facts>, new: Option<&Facts>) -> Map<String, Value> {
    let mut out = Map::new();
    let path = new.or(old).map(|facts| format!("{}/{}", facts.scope, facts.path));
    out.insert("path".to_owned(), json!(path));
    out.insert("status".to_owned(), json!(status.as_str()));
    out.insert("old".to_owned(), facts(old));
    out.insert("new".to_owned(), facts(new));
    out
}

fn facts(facts: Option<&Facts>) -> Value {
    facts.map_or(Value::Null, |facts| {
        let kind = match facts.kind {
            Kind::Directory => "directory",
            Kind::File => "file",
            Kind::Link => "link",
        };
        json!({
            "scope": facts.scope.as_str(),
            "path": facts.path.to_string(),
            "type": kind,
            "mode": format!("{:04o}", facts.mode),
            "owner": facts.owner.map(|o| json!({ "uid": o.uid, "gid": o.gid })),
            "size": facts.size,
        })
    })
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Sealed => "sealed",
        Why::Large => "large",
    }
}

fn body(body_diff: &BodyDiff, out: &mut Map<String, Value>) {
    let mut set = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    match body_diff {
        BodyDiff::Same => set("content", json!("same")),
        BodyDiff::Binary => set("content", json!("binary")),
        BodyDiff::Closed(cause) => set("content", json!(why(*cause))),
        BodyDiff::Lines(diff) => {
            set("content", json!("lines"));
            set("lines", lines(diff));
        }
        BodyDiff::Replaced { old, new } => {
            set("content", json!("replaced"));
            for (key, side) in [("replaced_old", old), ("replaced_new", new)] {
                let mut part = Map::new();
                body(side, &mut part);
                out.insert(key.to_owned(), Value::Object(part));
            }
        }
    }
}

fn lines(diff: &LineDiff) -> Value {
    json!({
        "added": diff.added,
        "removed": diff.removed,
        "changed_secrets": diff.changed_secrets,
        "hurried": diff.hurried,
        "hunks": diff.hunks.iter().map(hunk).collect::<Vec<_>>(),
    })
}

fn hunk(hunk: &Hunk) -> Value {
    let secrets = changed_tokens(hunk);
    let lines = hunk.lines.iter().map(|line| {
        let op = match line.op {
            LineOp::Context => "context",
            LineOp::Removed => "removed",
            LineOp::Added => "added",
        };
        let mut out = Map::new();
        out.insert("op".to_owned(), json!(op));
        out.insert("old".to_owned(), json!(line.old));
        out.insert("new".to_owned(), json!(line.new));
        match std::str::from_utf8(line.content()) {
            Ok(text) => out.insert("text".to_owned(), json!(text)),
            Err(_) => out.insert("hex".to_owned(), json!(hex(line.content()))),
        };
        // Only what is not the rule, so that large results stay small.
        let mut flag = |key: &str, holds: bool| {
            if holds {
                out.insert(key.to_owned(), json!(true));
            }
        };
        flag("no_newline", !line.text.ends_with(b"\n"));
        flag("volatile", line.volatile);
        let changed = |line: &Line| words::tokens(&line.text).any(|r| secrets.contains(&line.text[r]));
        flag("secret_changed", line.op != LineOp::Context && changed(line));
        Value::Object(out)
    });
    json!({
        "old_start": hunk.old_start,
        "old_lines": hunk.old_lines,
        "new_start": hunk.new_start,
        "new_lines": hunk.new_lines,
        "section": hunk.section,
        "lines": lines.collect::<Vec<_>>(),
    })
}

/// Gives the tokens that only the old and only the new side of a hunk have; none where one of both has none.
fn changed_tokens(hunk: &Hunk) -> HashSet<&[u8]> {
    let of = |wanted: LineOp| -> HashSet<&[u8]> {
        let lines = hunk.lines.iter().filter(|l| l.op == wanted);
        lines.flat_map(|l| words::tokens(&l.text).map(|r| &l.text[r])).collect()
    };
    let (old, new) = (of(LineOp::Removed), of(LineOp::Added));
    if old.is_subset(&new) || new.is_subset(&old) {
        return HashSet::new();
    }
    old.symmetric_difference(&new).copied().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Gives a comparison by setting.
#[must_use]
pub fn json_settings(diff: &SemanticDiff) -> Value {
    let files = diff.files.iter().map(|file| {
        let mut out = head(file.status, file.old.as_ref(), file.new.as_ref());
        let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
        match &file.body {
            SettingsDiff::Same => {
                set("content", json!("same"));
            }
            SettingsDiff::Opaque(None) => {
                set("content", json!("binary"));
            }
            SettingsDiff::Opaque(Some(cause)) => {
                set("content", json!(why(*cause)));
            }
            SettingsDiff::Lines { lines: diff, why } => {
                set("content", json!("lines"));
                set("lines", lines(diff));
                set("why", json!(why.as_ref().map(ToString::to_string)));
            }
            SettingsDiff::Settings(changes) => {
                set("content", json!("settings"));
                let changes: Vec<Value> = changes
                    .iter()
                    .map(|c| {
                        let (word, old, new) = match &c.change {
                            Change::Added { value } => ("added", Value::Null, json!(value)),
                            Change::Removed { value } => ("removed", json!(value), Value::Null),
                            Change::Changed { old, new } => ("changed", json!(old), json!(new)),
                            Change::Reordered { old, new } => ("reordered", json!(old), json!(new)),
                        };
                        json!({
                            "section": c.section, "key": c.key, "change": word, "old": old, "new": new,
                            "old_line": c.old_line, "new_line": c.new_line, "secret_changed": c.secret,
                        })
                    })
                    .collect();
                set("settings", json!(changes));
            }
        }
        Value::Object(out)
    });
    json!({
        "format": "confvault-settings-diff",
        "version": VERSION,
        "equal": diff.files.is_empty(),
        "files": files.collect::<Vec<_>>(),
    })
}
