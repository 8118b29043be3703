//! What `confvault restore --device` shows: as text and as JSON.

use serde_json::{Value, json};

use super::change_show::{health_document, told};
use super::release_show;
use crate::cli::Outcome as Ending;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::Kind;
use crate::ops::device_restore::{
    Act, Between, DeviceRestoreError, Form, Item, Left, Note, Outcome, Plan, Report, Standing, Stands,
};
use crate::ops::health::Verdict;
use crate::ops::{Error, snapshot::reason};

/// In which way an entry differs.
fn differences(item: &Item) -> Vec<String> {
    let (Some(before), Some(after)) = (&item.before, &item.after) else { return Vec::new() };
    let mut out = Vec::new();
    if before.kind != after.kind {
        out.push("kind".to_owned());
    } else if !before.same_content(after) {
        out.push(if after.kind == Kind::Link { "target" } else { "content" }.to_owned());
    }
    if before.mode != after.mode && after.kind != Kind::Link {
        out.push(format!("mode {:04o} to {:04o}", before.mode, after.mode));
    }
    let owner = |form: &Form| form.owner.map(|owner| format!("{}:{}", owner.uid, owner.gid));
    if let (Some(old), Some(new)) = (owner(before), owner(after))
        && old != new
    {
        out.push(format!("owner {old} to {new}"));
    }
    out
}

/// Prints the plan.
pub(super) fn plan(ui: &mut Ui, plan: &Plan) -> Result<(), CommandError> {
    if ui.json_wished() {
        return ui.json("restore", &json!({ "plan": document(plan) }));
    }
    let runs = plan.release_now.as_ref().map_or_else(|| "an unknown release".to_owned(), ToString::to_string);
    let (point, release) = (format!("{}@{}", plan.of, plan.generation), &plan.release);
    ui.row(&[
        (Look::Strong, &point),
        (Look::Plain, &format!(" ({release}) onto ")),
        (Look::Strong, plan.device.as_str()),
        (if plan.same_release() { Look::Plain } else { Look::Bad }, &format!(" ({runs})")),
    ])?;
    if let Some(found) = &plan.foreign {
        ui.warn(&format!("signed by nobody whom this store trusts: {found}"));
    }
    if let Some(accepted) = &plan.accepted {
        super::restore::tell_accepted(ui, accepted);
    }
    if let Some(why) = &plan.lacks {
        ui.warn(&format!("what stands on the device is no whole set: {why}"));
    }
    let mut table = Table::default();
    for item in &plan.items {
        let look = match item.act() {
            Act::Create => Look::Good,
            Act::Remove => Look::Bad,
            Act::Replace | Act::Adjust => Look::Notice,
        };
        let end = if item.kind() == Kind::Directory { "/" } else { "" };
        let more = differences(item).join(", ");
        table.row(vec![(look, item.act().as_str().to_owned()), plain(format!("{}{end}", item.path)), (Look::Dim, more)]);
    }
    for left in &plan.blocked {
        table.row(vec![(Look::Bad, "blocked".to_owned()), plain(&left.path), plain(format!("{}: {}", left.what, left.why))]);
    }
    for left in &plan.left {
        table.row(vec![(Look::Dim, "stays".to_owned()), plain(&left.path), plain(format!("{}: {}", left.what, left.why))]);
    }
    for note in &plan.notes {
        table.row(vec![(Look::Dim, "cannot".to_owned()), plain(&note.what), plain(&note.why)]);
    }
    for need in &plan.needs {
        table.row(vec![(Look::Bad, "needs".to_owned()), plain(&need.what), plain(&need.why)]);
    }
    table.print(ui)?;
    let mut table = Table::default();
    for command in &plan.commands {
        let more = if command.interrupts { (Look::Bad, "interrupts calls".to_owned()) } else { plain("") };
        table.row(vec![(Look::Strong, command.phase.as_str().to_owned()), plain(&command.run), more]);
    }
    table.print(ui)?;
    if let Some(before) = plan.before {
        let (of, device) = (&plan.of, &plan.device);
        ui.warn(&format!(
            "nothing differs: {point} is the newest generation of {of} and what stands on {device}; the generation before it is {of}@{before}"
        ));
    }
    let kept = if plan.kept > 0 { format!(", {} that the point does not have stay", plan.kept) } else { String::new() };
    ui.status(&format!("{} to do, {} the same as at the point{kept}", plan.items.len(), plan.same));
    Ok(())
}

/// Prints what changed between the release of the point and that of the device.
pub(super) fn between(ui: &mut Ui, plan: &Plan) -> Result<(), CommandError> {
    match &plan.between {
        None => Ok(()),
        Some(Between::Known(diff)) => {
            ui.row(&[(
                Look::Strong,
                &format!("What changed from {} to {}, by the newest set of each:", diff.old.1, diff.new.1),
            )])?;
            release_show::print(ui, diff, &|_, _| true)
        }
        Some(other) => {
            ui.warn(&format!("what changed between the releases cannot be shown: {}", no_list(plan, other).unwrap_or_default()));
            Ok(())
        }
    }
}

/// Why there is no list of what changed between the releases.
fn no_list(plan: &Plan, between: &Between) -> Option<String> {
    match between {
        Between::Known(_) => None,
        Between::NoSet(release) => {
            Some(format!("the store has no set of release {release}; `confvault snapshot {}` takes one", plan.device))
        }
        Between::NotTold => Some("the release that the device runs cannot be told".to_owned()),
        Between::Unread(why) => Some(format!("a set cannot be read ({why})")),
    }
}

fn document(plan: &Plan) -> Value {
    let form = |form: &Option<Form>| {
        let form = form.as_ref()?;
        let owner = form.owner.map(|owner| format!("{}:{}", owner.uid, owner.gid));
        let mode = format!("{:04o}", form.mode);
        Some(json!({ "kind": form.kind, "mode": mode, "owner": owner, "size_bytes": form.size }))
    };
    let items = plan.items.iter().map(|item| {
        json!({
            "scope": item.scope, "path": item.path, "act": item.act().as_str(), "differences": differences(item),
            "before": form(&item.before), "after": form(&item.after),
        })
    });
    let left = |all: &[Left]| -> Vec<Value> {
        all.iter().map(|left| json!({ "path": left.path, "what": left.what, "why": left.why })).collect()
    };
    let notes = |all: &[Note]| -> Vec<Value> { all.iter().map(|note| json!({ "what": note.what, "why": note.why })).collect() };
    let commands = plan.commands.iter().map(|c| json!({ "phase": c.phase.as_str(), "run": c.run, "interrupts": c.interrupts }));
    json!({
        "device": plan.device,
        "of": plan.of,
        "generation": plan.generation,
        "release": plan.release,
        "release_now": plan.release_now,
        "equal": plan.is_equal(),
        "not_whole": plan.lacks,
        "items": items.collect::<Vec<_>>(),
        "same_count": plan.same,
        "kept_count": plan.kept,
        "left": left(&plan.left),
        "blocked": left(&plan.blocked),
        "notes": notes(&plan.notes),
        "commands": commands.collect::<Vec<_>>(),
        "locked_count": plan.locked,
        "signature": plan.foreign,
        "accepted": plan.accepted,
        "needs": notes(&plan.needs),
        "generation_before": plan.before,
        "between_releases": match &plan.between {
            Some(Between::Known(diff)) => Some(release_show::document(diff)),
            _ => None,
        },
        "between_releases_lacks": plan.between.as_ref().and_then(|between| no_list(plan, between)),
    })
}

fn standing(all: &[Standing]) -> Vec<Value> {
    all.iter().map(|one| json!({ "path": one.path, "stands": one.stands.as_str() })).collect()
}

/// Prints how a restore ended.
pub(super) fn report(ui: &mut Ui, plan: Option<&Plan>, report: Report) -> Ending {
    if ui.json_wished() {
        ui.json("restore", &report_document(plan, &report))?;
    } else {
        text(ui, &report)?;
    }
    end(ui, report)
}

/// Asks whether to go on.
pub(super) fn ask(ui: &mut Ui, question: &str) -> Result<(), CommandError> {
    match ui.confirm(question)? {
        Some(true) => Ok(()),
        Some(false) => Err(CommandError::failed("Nothing was done, as the answer was not `yes`")),
        None => {
            let error = CommandError::usage("Nothing is asked without a terminal, and nothing was done");
            Err(error.hint("look at the plan, then say `--yes`"))
        }
    }
}

/// Of two exit codes the one that says more.
pub(super) fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Done, other) | (Exit::Partly, other) if other != Exit::Done => other,
        _ => one,
    }
}

/// The document of how a restore ended.
pub(super) fn report_document(plan: Option<&Plan>, report: &Report) -> Value {
    let word = match &report.outcome {
        Outcome::Nothing => "nothing",
        Outcome::Done => "done",
        Outcome::WentBack { .. } => "went-back",
        Outcome::Stuck { .. } => "stuck",
    };
    let of_error = |error: &DeviceRestoreError| reason(error);
    let (why, back, standing) = match &report.outcome {
        Outcome::WentBack { why, trouble } => (why.as_ref().map(of_error), trouble.as_ref().map(of_error), Vec::new()),
        Outcome::Stuck { why, back, standing: all } => (why.as_ref().map(of_error), Some(of_error(back)), standing(all)),
        Outcome::Nothing | Outcome::Done => (None, None, Vec::new()),
    };
    json!({
        "device": report.device, "of": report.of, "generation": report.generation, "outcome": word,
        "reason": why, "back_reason": back, "standing": standing, "entries_count": report.items,
        "change": report.change.as_ref().map(ToString::to_string), "pre": report.pre,
        "pre_unannounced": report.unannounced, "post": report.post,
        "kept": report.kept,
        "health": report.health.iter().map(health_document).collect::<Vec<_>>(),
        "trouble": report.trouble.as_ref().map(|error| reason(error)),
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX), "plan": plan.map(document),
    })
}

/// Prints how a restore ended, as text.
pub(super) fn text(ui: &mut Ui, report: &Report) -> Result<(), CommandError> {
    let device = report.device.as_str();
    let entries = time::count(report.items, "entry");
    let point = format!("{}@{}", report.of, report.generation);
    let (look, says) = match &report.outcome {
        Outcome::Nothing => (Look::Good, format!("stands as {point}: nothing was done")),
        Outcome::Done => {
            (Look::Good, format!("stands as {point}: {entries} put back and compared, in {:.1} s", report.took.as_secs_f64()))
        }
        Outcome::WentBack { .. } => (Look::Notice, "stands as before the restore, as compared".to_owned()),
        Outcome::Stuck { .. } => (Look::Bad, "stands between".to_owned()),
    };
    ui.row(&[(Look::Strong, device), (Look::Plain, "  "), (look, &says)])?;
    if let Outcome::Stuck { standing, .. } = &report.outcome {
        let mut table = Table::default();
        for one in standing {
            let (look, words) = match one.stands {
                Stands::Before => (Look::Plain, "as before"),
                Stands::Point => (Look::Notice, "as at the point"),
                Stands::Neither => (Look::Bad, "as neither before nor at the point"),
                Stands::ProbablyBefore => (Look::Dim, "as before, as far as is known"),
                Stands::ProbablyPoint => (Look::Notice, "as at the point, as far as is known"),
                Stands::Unknown => (Look::Bad, "not known: it was about to change"),
            };
            table.row(vec![plain(format!("  {}", one.path)), (look, words.to_owned())]);
        }
        table.print(ui)?;
    }
    let mut table = Table::default();
    for one in &report.health {
        table.row(vec![plain(format!("  {}", one.what)), told(one)]);
    }
    table.print(ui)?;
    if let Some(pre) = report.pre.filter(|_| report.unannounced) {
        super::snapshot::tell_unannounced(ui, device, pre);
    }
    if let Some(kept) = report.kept {
        ui.warn(&format!("{device} was changed since the restore stopped: what stood then is kept as {device}@{kept}"));
    }
    if let Some(change) = &report.change {
        let post = report.post.map(|post| format!(", after it generation {post}")).unwrap_or_default();
        let pre = report.pre.map(|pre| format!(": before it generation {pre}")).unwrap_or_default();
        ui.status(&format!("Change {change}{pre}{post}"));
    }
    Ok(())
}

/// How a restore that went back is begun again. What stands is the newest generation by then, and so what a device alone means.
fn again(report: &Report) -> Option<String> {
    let (of, device) = (&report.of, &report.device);
    let onto = if of == device { String::new() } else { format!(" --onto {device}") };
    let mut text = format!("once that is mended: `confvault restore {of}@{} --device{onto}`", report.generation);
    if report.pre.is_some_and(|pre| of == device && pre > report.generation) {
        text.push_str(&format!("; {of} alone is what stands there now"));
    }
    matches!(report.outcome, Outcome::WentBack { why: Some(_), .. }).then_some(text)
}

/// Says what went wrong, and gives the exit code.
pub(super) fn end(ui: &mut Ui, report: Report) -> Ending {
    let mut again = again(&report);
    let device = report.device;
    let mut given: Vec<String> = Vec::new();
    let mut tell = |ui: &mut Ui, what: &str, error: DeviceRestoreError, more: Option<String>| {
        let error = CommandError::from(Error::from(error));
        let mut texts = error.texts();
        texts[0] = format!("{what}: {}", texts[0]);
        // The same advice twice is no more advice.
        let new: Vec<String> = error.hints().iter().cloned().chain(more).filter(|hint| !given.contains(hint)).collect();
        ui.finding(&texts, &new);
        given.extend(new);
    };
    let mut exit = match report.outcome {
        Outcome::Nothing | Outcome::Done => Exit::Done,
        Outcome::WentBack { why, trouble } => {
            let asked = why.is_none();
            if let Some(why) = why {
                tell(ui, &format!("Device {device} was taken back, as a step failed"), why, again.take());
            }
            match trouble {
                Some(trouble) => {
                    tell(ui, &format!("Device {device} has its files as before, and a command failed"), trouble, None);
                    Exit::Failed
                }
                None if asked => Exit::Done,
                None => Exit::Failed,
            }
        }
        Outcome::Stuck { why, back, .. } => {
            if let Some(why) = why {
                tell(ui, &format!("Device {device} was not put back"), why, None);
            }
            tell(ui, &format!("Device {device} could not be taken back"), back, None);
            let hint = format!("when it can be reached: `confvault restore --undo {device}`, or `--resume {device}`");
            ui.finding(&[format!("Device {device}: the restore is unfinished")], &[hint]);
            Exit::Failed
        }
    };
    if report.health.iter().any(|one| one.verdict == Verdict::Worse) {
        ui.warn(&format!("the health of {device} is worse than before"));
        exit = if exit == Exit::Done { Exit::Partly } else { exit };
    }
    if let Some(trouble) = report.trouble {
        let error = CommandError::from(trouble);
        let mut texts = error.texts();
        texts[0] = format!("Device {device}, behind the restore: {}", texts[0]);
        ui.finding(&texts, error.hints());
        exit = if exit == Exit::Done { Exit::Partly } else { exit };
    }
    Ok(exit)
}
