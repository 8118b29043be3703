//! What `confvault import` shows.

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::DeviceName;
use crate::ops::import::{DeviceReport, Imported, Report};
use crate::ops::snapshot::reason;

/// States that were left out which are told of each device.
const TOLD: usize = 3;

pub(super) fn show(ui: &mut Ui, report: Report, added: &[DeviceName], plan: bool) -> Outcome {
    let (made, done, failed) = report.counts();
    if ui.json_wished() {
        ui.json("import", &document(&report, added, plan))?;
    } else {
        let mut table = Table::default();
        report.devices.iter().for_each(|device| table.row(row(device)));
        table.print(ui)?;
        let (size, took) = (time::size(report.added_bytes), report.took.as_secs_f64());
        let left = if failed > 0 { format!(", {failed} left out") } else { String::new() };
        let commits = time::count(report.commits, "commit");
        let made = time::count(made, "generation");
        let done = time::count(done, "device");
        ui.status(&match plan {
            true => format!("would make {made} of {done} from {commits}{left}; nothing was done"),
            false => format!("{made} of {done} from {commits}{left}; {size} added in {took:.1} s"),
        });
        for name in added {
            ui.row(&[(Look::Plain, "added "), (Look::Strong, name.as_str())])?;
        }
    }
    if report.shallow {
        ui.warn("the repository is shallow: the beginning of its history is not there");
    }
    if report.ignored.0 > 0 {
        let (count, some) = &report.ignored;
        ui.status(&format!(
            "of no device: {}: {}{}",
            time::count(*count, "file"),
            some.join(", "),
            if *count > some.len() { " …" } else { "" }
        ));
    }
    report.devices.into_iter().for_each(|device| tell(ui, device));
    Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
}

fn row(device: &DeviceReport) -> Vec<(Look, String)> {
    let name = (Look::Strong, device.name.clone());
    let imported = match &device.result {
        Ok(imported) => imported,
        Err(_) => return vec![name, (Look::Bad, "left out".to_owned())],
    };
    let profile = device.profile.as_ref().map_or_else(String::new, ToString::to_string);
    let range = match (imported.first, imported.last) {
        (Some(first), Some(last)) if first < last => (Look::Good, format!("generations {first}-{last}")),
        (Some(first), _) => (Look::Good, format!("generation {first}")),
        _ => (Look::Dim, "nothing new".to_owned()),
    };
    vec![name, range, plain(profile), plain(counts(imported))]
}

/// What else there was, in words.
fn counts(imported: &Imported) -> String {
    let of = |count: u64, word: &str| (count > 0).then(|| format!("{count} {word}"));
    let words = [
        of(imported.unchanged, "unchanged"),
        of(imported.empty, "empty"),
        of(imported.skipped.len() as u64, "not whole"),
        of(imported.accepted, "accepted"),
        imported.gone.map(|time| format!("gone since {}", time.format("%Y-%m-%d"))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Says what the administrator should know of a device, on standard error.
fn tell(ui: &mut Ui, device: DeviceReport) {
    let name = &device.name;
    match device.result {
        Ok(imported) => {
            for state in imported.skipped.iter().take(TOLD) {
                let (time, commit) = (state.time.format("%Y-%m-%d %H:%M"), state.commit.get(..12).unwrap_or_default());
                ui.warn(&format!("{name}: state of {time} left out, of commit {commit}: {}", state.why));
            }
            if imported.skipped.len() > TOLD {
                ui.warn(&format!("{name}: {} more states left out", imported.skipped.len() - TOLD));
            }
            if !imported.unclaimed.is_empty() {
                let some: Vec<String> = imported.unclaimed.iter().take(5).map(ToString::to_string).collect();
                let more = if imported.unclaimed.len() > some.len() { " …" } else { "" };
                ui.status(&format!("{name}: no rule of its profile claims {}{more}; kept in scope system", some.join(", ")));
            }
        }
        Err(error) => {
            let error = CommandError::from(error);
            let mut texts = error.texts();
            texts[0] = format!("Device {name}: {}", texts[0]);
            let hints: Vec<String> =
                error.hints().iter().map(|hint| hint.replace("snapshot NAME", &format!("snapshot {name}"))).collect();
            ui.finding(&texts, &hints);
        }
    }
}

fn document(report: &Report, added: &[DeviceName], plan: bool) -> Value {
    let (made, done, failed) = report.counts();
    json!({
        "run": report.run,
        "plan": plan,
        "devices": report.devices.iter().map(one).collect::<Vec<_>>(),
        "added": added,
        "commit_count": report.commits,
        "generation_count": made,
        "done_count": done,
        "failed_count": failed,
        "ignored_count": report.ignored.0,
        "shallow": report.shallow,
        "added_bytes": report.added_bytes,
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn one(device: &DeviceReport) -> Value {
    let imported = match &device.result {
        Ok(imported) => imported,
        Err(error) => {
            return json!({ "device": device.name, "profile": device.profile, "outcome": "failed", "reason": reason(error) });
        }
    };
    let skipped: Vec<_> =
        imported.skipped.iter().map(|s| json!({ "commit": s.commit, "time": s.time, "reason": s.why })).collect();
    json!({
        "device": device.name,
        "profile": device.profile,
        "outcome": "done",
        "generation_count": imported.made,
        "first": imported.first,
        "last": imported.last,
        "unchanged_count": imported.unchanged,
        "empty_count": imported.empty,
        "accepted_count": imported.accepted,
        "skipped": skipped,
        "gone": imported.gone,
        "unclaimed": imported.unclaimed,
    })
}
