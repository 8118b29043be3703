//! How releases are printed.

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui, safe};
use crate::model::DeviceName;
use crate::ops::release::{Begun, Fate, Finished, Line, ReleaseDiff, Way};
use crate::ops::review::{Item, Review};
use crate::profile::Profile;

/// Prints the releases of a device.
pub(super) fn list(ui: &mut Ui, device: &DeviceName, lines: &[Line]) -> Outcome {
    if ui.json_wished() {
        let releases: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({
                    "release": line.release, "current": line.current, "first": line.first, "newest": line.newest,
                    "generations_count": line.count, "since": time::json(line.since), "until": time::json(line.until),
                })
            })
            .collect();
        ui.json("release list", &json!({ "device": device, "releases": releases }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RELEASE", "", "GENERATIONS", "NEWEST", "SINCE", "UNTIL"]);
    for line in lines {
        let current = if line.current { (Look::Good, "current".to_owned()) } else { plain("") };
        let (since, until) = (plain(time::shown(line.since)), plain(time::shown(line.until)));
        let release = (Look::Strong, line.release.to_string());
        table.row(vec![release, current, plain(line.count), plain(line.newest), since, until]);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

/// Prints a comparison.
pub(super) fn diff(ui: &mut Ui, device: &DeviceName, diff: &ReleaseDiff) -> Outcome {
    if ui.json_wished() {
        ui.json("release diff", &json!({ "device": device, "diff": document(diff) }))?;
    } else {
        if same(diff) {
            ui.status("nothing differs");
            return Ok(Exit::Done);
        }
        print(ui, diff, &|_, _| true)?;
        let count = |test: fn(&Fate) -> bool| diff.settings.iter().filter(|s| test(&s.fate)).count();
        let count = [
            (count(|f| matches!(f, Fate::Gone(_))), "gone"),
            (count(|f| matches!(f, Fate::New(_))), "new"),
            (count(|f| matches!(f, Fate::Renamed { .. })), "renamed"),
            (count(|f| matches!(f, Fate::Default(..))), "with another default"),
            (count(|f| matches!(f, Fate::Changed(..))), "changed"),
        ];
        let counts: Vec<String> = count.iter().map(|(count, word)| format!("{count} {word}")).collect();
        ui.status(&format!("{}; settings: {}", time::count(diff.files.len(), "file"), counts.join(", ")));
    }
    Ok(if same(diff) { Exit::Done } else { Exit::Differs })
}

/// Tells whether two releases have the same set, as far as it was compared.
fn same(diff: &ReleaseDiff) -> bool {
    diff.files.is_empty() && diff.settings.is_empty() && diff.not_compared.is_empty()
}

fn parts(fate: &Fate) -> (Look, &'static str, String) {
    match fate {
        Fate::Gone(value) => (Look::Bad, "gone", open(value)),
        Fate::New(value) => (Look::Good, "new", open(value)),
        Fate::Renamed { to, values } if values.0 == values.1 => (Look::Notice, "renamed", format!("probably {to} now")),
        Fate::Renamed { to, values } => (Look::Notice, "renamed", format!("probably {to} now: {}", pair(&values.0, &values.1))),
        Fate::Default(old, new) => (Look::Notice, "default", pair(old, new)),
        Fate::Changed(old, new) => (Look::Plain, "changed", pair(old, new)),
    }
}

/// A value as it is read: a token says no more than that a secret stands there.
fn open(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once(TOKEN) {
        let (_, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        out.extend([before, "(secret)"]);
        rest = behind;
    }
    out + rest
}

fn pair(old: &str, new: &str) -> String {
    let (old, new) = (open(old), open(new));
    if old == new { format!("{old} changed") } else { format!("{old} -> {new}") }
}

/// What a token begins with ("Masking" in `docs/format.md`).
const TOKEN: &str = "{{sealed:";

pub(super) fn print(ui: &mut Ui, diff: &ReleaseDiff, wanted: &dyn Fn(&Fate, bool) -> bool) -> Result<(), CommandError> {
    let mut table = Table::default();
    for file in diff.files.iter().filter(|file| wanted(&file.fate, true)) {
        let (look, word, more) = parts(&file.fate);
        let lost = if file.set > 0 && matches!(file.fate, Fate::Gone(_)) {
            format!("{} that it sets", time::count(file.set, "setting"))
        } else {
            more
        };
        table.row(vec![(look, word.to_owned()), (Look::Strong, file.path.clone()), plain(lost)]);
    }
    table.print(ui)?;
    let mut at = "";
    for setting in diff.settings.iter().filter(|setting| wanted(&setting.fate, setting.set)) {
        if at != setting.file {
            ui.row(&[(Look::Strong, &safe(setting.file.as_bytes()))])?;
            at = &setting.file;
        }
        let (look, word, more) = parts(&setting.fate);
        let shown = if setting.set { "" } else { ";" };
        let name = safe(format!("{shown}{}", setting.key).as_bytes());
        let more = safe(short(&more).as_bytes());
        let section = if setting.section.is_empty() { String::new() } else { format!("[{}] ", setting.section) };
        let place = safe(format!("  {section}line {}", setting.line).as_bytes());
        ui.row(&[(look, &format!("  {word:<8} ")), (Look::Plain, &format!("{name}: {more}")), (Look::Dim, &place)])?;
    }
    for path in &diff.not_compared {
        ui.row(&[(Look::Dim, "differs  "), (Look::Strong, &safe(path.as_bytes())), (Look::Dim, "  settings not known")])?;
    }
    Ok(())
}

/// Cuts a value to what fits a line.
fn short(text: &str) -> String {
    if text.chars().count() <= 100 { text.to_owned() } else { text.chars().take(99).chain(['…']).collect() }
}

fn fate(fate: &Fate) -> Value {
    match fate {
        Fate::Gone(value) => json!({ "change": "gone", "old": value }),
        Fate::New(value) => json!({ "change": "new", "new": value }),
        Fate::Renamed { to, values } => json!({ "change": "renamed", "to": to, "old": values.0, "new": values.1 }),
        Fate::Default(old, new) => json!({ "change": "default", "old": old, "new": new }),
        Fate::Changed(old, new) => json!({ "change": "changed", "old": old, "new": new }),
    }
}

pub(super) fn document(diff: &ReleaseDiff) -> Value {
    let end = |end: &(u64, crate::model::Release)| json!({ "generation": end.0, "release": end.1 });
    let with = |mut value: Value, more: Value| {
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        value
    };
    let file =
        |f: &crate::ops::release::FileChange| with(json!({ "path": f.path, "set_count": f.set, "keys": f.keys }), fate(&f.fate));
    let setting = |s: &crate::ops::release::SettingChange| {
        let place = json!({ "file": s.file, "section": s.section, "key": s.key, "line": s.line, "set": s.set });
        with(place, fate(&s.fate))
    };
    json!({
        "old": end(&diff.old), "new": end(&diff.new),
        "files": diff.files.iter().map(file).collect::<Vec<_>>(),
        "settings": diff.settings.iter().map(setting).collect::<Vec<_>>(),
        "not_compared": diff.not_compared,
    })
}

/// Prints a review.
pub(super) fn review(ui: &mut Ui, review: &Review, undecided: bool) -> Outcome {
    let shown = |item: &Item| !undecided || item.decision.is_none();
    if ui.json_wished() {
        let items: Vec<Value> =
            review.items.iter().enumerate().filter(|(_, i)| shown(i)).map(|(at, item)| of_item(at, item)).collect();
        ui.json(
            "release review",
            &json!({
                "device": review.device, "old": review.old, "new": review.new, "generation": review.generation,
                "passages_count": review.passages, "items_count": review.items.len(), "undecided_count": review.undecided(),
                "items": items,
            }),
        )?;
        return Ok(Exit::Done);
    }
    for (at, item) in review.items.iter().enumerate().filter(|(_, item)| shown(item)) {
        let places: Vec<String> = item.places.iter().map(|(file, line)| format!("{file}:{line}")).collect();
        let version = item.passage.version.as_deref().map(|v| format!(" ({v})")).unwrap_or_default();
        let topic = safe(format!("{}{version}", item.passage.topic).as_bytes());
        let number = format!("{:>3} ", at + 1);
        let state = item.decision.as_ref().map(|d| format!("  {}: {}", d.choice, d.why)).unwrap_or_default();
        ui.row(&[
            (Look::Dim, &number),
            (Look::Strong, &topic),
            (Look::Dim, &safe(format!("  {}  {}", item.id, places.join(", ")).as_bytes())),
            (Look::Good, &safe(state.as_bytes())),
        ])?;
        ui.row(&[(Look::Plain, &safe(format!("    {}", item.passage.title()).as_bytes()))])?;
        let hits: Vec<String> = item
            .hits
            .iter()
            .take(6)
            .map(|hit| {
                let line = if hit.line > 0 { format!(":{}", hit.line) } else { String::new() };
                format!("{} {} ({}{line})", hit.kind.as_str(), hit.word, hit.file)
            })
            .collect();
        ui.row(&[(Look::Dim, &safe(format!("    {}", hits.join(", ")).as_bytes()))])?;
    }
    let (all, open) = (review.items.len(), review.undecided());
    ui.status(&format!("{all} of {} passages are about what {} uses; {open} not decided", review.passages, review.device));
    Ok(Exit::Done)
}

fn of_item(at: usize, item: &Item) -> Value {
    let places: Vec<Value> = item.places.iter().map(|(file, line)| json!({ "file": file, "line": line })).collect();
    let hits: Vec<Value> = item
        .hits
        .iter()
        .map(|hit| json!({ "kind": hit.kind.as_str(), "name": hit.word, "file": hit.file, "line": hit.line }))
        .collect();
    let decision = item
        .decision
        .as_ref()
        .map(|d| json!({ "decision": d.choice.to_string(), "why": d.why, "by": d.by, "time": time::json(d.time) }));
    json!({
        "number": at + 1, "id": item.id, "topic": item.passage.topic, "version": item.passage.version,
        "text": item.passage.text, "places": places, "names": hits, "decision": decision,
    })
}

/// Prints what came of beginning.
pub(super) fn begun(ui: &mut Ui, begun: Begun) -> Outcome {
    let exit = if begun.upgrade.is_some() { Exit::Done } else { Exit::Partly };
    if ui.json_wished() {
        ui.json("release begin", &json!({ "upgrade": begun.upgrade }))?;
    } else if let Some(upgrade) = &begun.upgrade {
        let (device, name) = (&upgrade.device, &upgrade.name);
        ui.line(&format!("{device}@{name}  generation {} under {}", upgrade.generation, upgrade.from))?;
        ui.status(&format!("upgrade {device} to {}, then `confvault release finish {device}`", upgrade.to));
    }
    super::snapshot::tell_all(ui, begun.report);
    Ok(exit)
}

/// Prints what came of finishing.
pub(super) fn finished(ui: &mut Ui, finished: Finished) -> Outcome {
    let device = finished.upgrade.device.clone();
    // What stands in a comment is not missed by the device.
    let lacks = |fate: &Fate, set: bool| set && matches!(fate, Fate::Gone(_) | Fate::Renamed { .. });
    if ui.json_wished() {
        ui.json(
            "release finish",
            &json!({
                "upgrade": finished.upgrade, "closed": finished.closed,
                "generation": finished.now.as_ref().map(|now| now.0), "release": finished.now.as_ref().map(|now| &now.1),
                "lacking_files": finished.lacks.0, "lacking_settings": finished.lacks.1,
                "diff": finished.diff.as_ref().map(document),
            }),
        )?;
    } else if let (Some(now), Some(diff)) = (&finished.now, &finished.diff) {
        print(ui, diff, &lacks)?;
        ui.status(&format!("{device} is under {} in generation {}", now.1, now.0));
        if now.1 != finished.upgrade.to {
            ui.warn(&format!("the upgrade was begun to release {}", finished.upgrade.to));
        }
    }
    let failed = finished.now.is_none();
    super::snapshot::tell_all(ui, finished.report);
    if failed {
        return Ok(Exit::Partly);
    }
    if finished.closed {
        ui.status("the upgrade is over");
        return Ok(Exit::Done);
    }
    let (files, settings) = finished.lacks;
    let (files, settings) = (time::count(files, "file"), time::count(settings, "setting"));
    ui.warn(&format!("{files} and {settings} of the old set are missing: adapt them and finish again, or `--accept WHY`"));
    Ok(Exit::Differs)
}

/// Prints the way back.
pub(super) fn way(ui: &mut Ui, way: &Way, profile: &Profile) -> Outcome {
    let (device, name) = (&way.device, way.name.as_ref().map_or_else(|| way.back.0.to_string(), ToString::to_string));
    let point = format!("{device}@{name}");
    if ui.json_wished() {
        let end = |end: &(u64, crate::model::Release)| json!({ "generation": end.0, "release": end.1 });
        ui.json(
            "release rollback",
            &json!({
                "device": device, "now": end(&way.now), "back": end(&way.back), "point": point,
                "lost_generations": way.lost, "upgrade_open": way.open, "diff": document(&way.diff),
            }),
        )?;
        return Ok(Exit::Done);
    }
    ui.line(&format!(
        "{device} goes back from {} (generation {}) to {} (generation {})",
        way.now.1, way.now.0, way.back.1, way.back.0
    ))?;
    ui.line(&format!("1. Keep what it has now: confvault snapshot {device}"))?;
    ui.line(&format!("2. Put the software of release {} back, as its vendor says ({})", way.back.1, profile.title()))?;
    ui.line(&format!("3. Look at what is put back: confvault restore {point} --device --plan"))?;
    ui.line(&format!("4. Put it back: confvault restore {point} --device (or into a folder, with --to FOLDER)"))?;
    let last =
        if way.open { format!("confvault release rollback {device} --done") } else { format!("confvault snapshot {device}") };
    ui.line(&format!("5. Keep and check what it has then: {last}"))?;
    ui.line(&format!(
        "What was changed in {} since then does not come along. From now to then:",
        time::count(way.lost, "generation"),
    ))?;
    print(ui, &way.diff, &|_, _| true)?;
    if same(&way.diff) {
        ui.line("nothing differs")?;
    }
    Ok(Exit::Done)
}
