//! How changes are printed.

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::ops::change::{Ended, Opened, Summary};
use crate::ops::health::{self, Compared, Verdict};
use crate::store::{ChangeEnd, ChangeItem, Measured};

/// Prints the list.
pub(super) fn list(ui: &mut Ui, items: &[ChangeItem], all: bool) -> Outcome {
    if ui.json_wished() {
        let items: Vec<Value> = items.iter().map(|item| document(item, None)).collect();
        ui.json("change list", &json!({ "changes": items }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["CHANGE", "STATE", "OPENED", "BY", "DEVICES", "WHY"]);
    for item in items {
        let devices = item.devices.keys().map(ToString::to_string).collect::<Vec<_>>().join(",");
        table.row(vec![
            (Look::Strong, item.change.to_string()),
            state(item),
            plain(time::shown(item.opened)),
            plain(item.by.as_deref().unwrap_or("-")),
            plain(devices),
            plain(&item.why),
        ]);
    }
    if items.is_empty() {
        ui.status(if all { "no change is recorded" } else { "no change is open; `--all` lists those that ended, too" });
        return Ok(Exit::Done);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

/// Prints one change.
pub(super) fn one(ui: &mut Ui, item: &ChangeItem, summaries: &[Summary]) -> Outcome {
    if ui.json_wished() {
        ui.json("change show", &document(item, Some(summaries)))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::default();
    let mut row = |what: &str, text: String| table.row(vec![(Look::Dim, what.to_owned()), plain(text)]);
    row("change", item.change.to_string());
    row("state", state(item).1);
    row("why", item.why.clone());
    row("by", item.by.clone().unwrap_or_else(|| "-".to_owned()));
    row("collector", item.collector.to_string());
    row("opened", time::shown(item.opened));
    if let Some(ended) = item.ended {
        row("ended", time::shown(ended));
    }
    if let Some(note) = &item.note {
        row("note", note.clone());
    }
    table.print(ui)?;
    print(ui, summaries)?;
    Ok(Exit::Done)
}

/// Prints what came of opening. `command` is the one that was given, for JSON.
pub(super) fn opened(ui: &mut Ui, command: &str, opened: &Opened) -> Outcome {
    let exit = if opened.item.is_some() { Exit::Done } else { Exit::Partly };
    if ui.json_wished() {
        let value = match &opened.item {
            Some(item) => document(item, None),
            None => json!({ "change": opened.id.to_string(), "state": "not open" }),
        };
        ui.json(command, &value)?;
        return Ok(exit);
    }
    match &opened.item {
        Some(item) => {
            let mut table = Table::default();
            for (device, pair) in &item.devices {
                let point = format!("{device}@pre/{}", item.change);
                table.row(vec![(Look::Strong, point), (Look::Good, format!("generation {}", pair.pre))]);
            }
            table.print(ui)?;
            ui.status(&format!("change {} is open; end it with `confvault change close {}`", item.change, item.change.ticket));
        }
        None => ui.warn(&format!("change {} is not open: a snapshot before it failed", opened.id)),
    }
    Ok(exit)
}

/// Prints what came of ending, and what the administrator should know of the devices. `command` is the one
/// that was given, for JSON; `restored` is what putting them back came to, where that was asked for.
pub(super) fn ended(ui: &mut Ui, command: &str, ended: Ended, restored: Option<Vec<Value>>) -> Outcome {
    let (_, _, failed) = ended.report.counts();
    if ui.json_wished() {
        let mut document = document(&ended.item, Some(&ended.summaries));
        if let Some(restored) = restored {
            document["restored"] = restored.into();
        }
        ui.json(command, &document)?;
    } else {
        print(ui, &ended.summaries)?;
        let change = &ended.item.change;
        match ended.item.end {
            Some(ChangeEnd::Closed) => ui.status(&format!("change {change} is closed")),
            Some(ChangeEnd::Aborted) => ui.status(&format!("change {change} is given up")),
            None => ui.warn(&format!("change {change} is open still: a snapshot after it failed")),
        }
    }
    if ended.item.end == Some(ChangeEnd::Aborted) {
        for summary in ended.summaries.iter().filter(|s| s.post.as_ref().is_some_and(|post| post.0 != s.pre.0)) {
            if summary.stats.is_some_and(|stats| stats != Default::default()) {
                ui.warn(&format!("{} is not as it stood before the change", summary.device));
            }
        }
    }
    for summary in &ended.summaries {
        for one in summary.health.iter().filter(|one| one.verdict == Verdict::Worse) {
            ui.warn(&format!("{}: {}: {}", summary.device, one.what, told(one).1));
        }
    }
    super::snapshot::tell_all(ui, ended.report);
    Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
}

fn state(item: &ChangeItem) -> (Look, String) {
    match item.end {
        None => (Look::Notice, "open".to_owned()),
        Some(ChangeEnd::Closed) => (Look::Good, "closed".to_owned()),
        Some(ChangeEnd::Aborted) => (Look::Dim, "aborted".to_owned()),
    }
}

fn print(ui: &mut Ui, summaries: &[Summary]) -> Result<(), CommandError> {
    let mut table = Table::default();
    for summary in summaries {
        let mut row = vec![(Look::Strong, summary.device.to_string()), plain(summary.pre.0), plain("->")];
        row.push(plain(summary.post.as_ref().map_or_else(|| "?".to_owned(), |post| post.0.to_string())));
        row.push(match &summary.stats {
            None => (Look::Dim, "nothing is known of after".to_owned()),
            Some(stats) if *stats == Default::default() => (Look::Dim, "nothing differs".to_owned()),
            Some(stats) => {
                let files = stats.added_files + stats.removed_files + stats.changed_files;
                let files = time::count(files, "file");
                plain(format!(
                    "{files}, +{} -{} lines, {} changed",
                    stats.added_lines,
                    stats.removed_lines,
                    time::count(stats.changed_secrets, "secret")
                ))
            }
        });
        if let Some(post) = summary.post.as_ref().filter(|post| post.1 != summary.pre.1) {
            row.push((Look::Notice, format!("release {} -> {}", summary.pre.1, post.1)));
        }
        table.row(row);
    }
    table.print(ui)?;
    let mut table = Table::default();
    for summary in summaries {
        for one in &summary.health {
            table.row(vec![(Look::Strong, summary.device.to_string()), plain(&one.what), told(one)]);
        }
    }
    table.print(ui)
}

/// How a reading compares with the one before.
pub(super) fn told(one: &Compared) -> (Look, String) {
    let shown = |value: &Option<Measured>| value.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
    let mut text = match (&one.after, &one.failed) {
        (None, failed) if failed.is_none() || one.before.is_none() => shown(&one.before),
        _ => format!("{} -> {}", shown(&one.before), shown(&one.after)),
    };
    if one.verdict == Verdict::Worse && matches!(one.after, Some(Measured::Number(_))) {
        text.push_str(&format!(", {} % must come back", one.at_least));
    }
    if let Some(why) = &one.failed {
        text.push_str(&format!(" ({why})"));
    }
    let look = match one.verdict {
        Verdict::Well => Look::Good,
        Verdict::Worse => Look::Bad,
        Verdict::Shown => Look::Plain,
    };
    (look, text)
}

pub(super) fn health_document(one: &Compared) -> Value {
    let verdict = match one.verdict {
        Verdict::Well => "well",
        Verdict::Worse => "worse",
        Verdict::Shown => "shown",
    };
    json!({
        "what": one.what, "before": one.before, "after": one.after, "failed": one.failed, "at_least": one.at_least,
        "verdict": verdict,
    })
}

fn document(item: &ChangeItem, summaries: Option<&[Summary]>) -> Value {
    let devices =
        item.devices.iter().map(|(device, pair)| {
            let summary = summaries.and_then(|all| all.iter().find(|s| s.device == *device));
            let differs = summary.and_then(|s| s.stats).map(|stats| json!({
            "added_files": stats.added_files, "removed_files": stats.removed_files, "changed_files": stats.changed_files,
            "added_lines": stats.added_lines, "removed_lines": stats.removed_lines, "changed_secrets": stats.changed_secrets,
        }));
            let health: Vec<Value> = health::of_change(pair).iter().map(health_document).collect();
            json!({ "device": device, "pre": pair.pre, "post": pair.post, "differs": differs, "health": health })
        });
    let devices: Vec<Value> = devices.collect();
    json!({
        "change": item.change.to_string(),
        "state": state(item).1,
        "why": item.why,
        "by": item.by,
        "collector": item.collector,
        "opened": time::json(item.opened),
        "ended": item.ended.map(time::json),
        "note": item.note,
        "devices": devices,
    })
}
