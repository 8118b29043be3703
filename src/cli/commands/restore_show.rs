//! What `confvault restore` shows: as text and as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::error::CommandError;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::Kind;
use crate::ops::restore::{Act, Comparison, Difference, FleetRestored, Planned, Restored};
use crate::store::Generation;

/// Says what is not as in the set, on standard error.
pub(super) fn tell(ui: &mut Ui, restored: &Restored) {
    if restored.masked.count > 0 {
        ui.warn(&format!("tokens stand in place of secrets in {}", time::count(restored.masked.count, "file")));
    }
    if restored.owners_not_set.count > 0 {
        ui.status(&format!(
            "Owners could not be set, run as root to set them: {}",
            time::count(restored.owners_not_set.count, "place")
        ));
    }
    if restored.special_bits_dropped.count > 0 {
        ui.status(&format!(
            "setuid and setgid were left out, --special-bits sets them: {}",
            time::count(restored.special_bits_dropped.count, "file")
        ));
    }
    for skipped in &restored.skipped {
        let detail = skipped.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        ui.warn(&format!("left out {} ({}{detail})", skipped.path, skipped.why.as_str()));
    }
}

fn counts(restored: &Restored) -> Value {
    let skipped = restored.skipped.iter().map(|s| json!({ "path": s.path, "why": s.why.as_str(), "detail": s.detail }));
    json!({
        "files_count": restored.files,
        "directories_count": restored.directories,
        "links_count": restored.links,
        "bytes": restored.bytes,
        "masked_count": restored.masked.count,
        "owners_not_set_count": restored.owners_not_set.count,
        "special_bits_dropped_count": restored.special_bits_dropped.count,
        "skipped": skipped.collect::<Vec<_>>(),
    })
}

fn head(generation: &Generation) -> Value {
    json!({ "device": generation.device, "generation": generation.number, "release": generation.release })
}

fn join(mut head: Value, more: Value) -> Value {
    if let (Some(head), Value::Object(more)) = (head.as_object_mut(), more) {
        head.extend(more);
    }
    head
}

pub(super) fn document(generation: &Generation, restored: &Restored) -> Value {
    join(head(generation), counts(restored))
}

pub(super) fn fleet_document(fleet: &FleetRestored) -> Value {
    let devices: Vec<_> =
        fleet.devices.iter().map(|(device, number)| json!({ "device": device, "generation": number })).collect();
    let reason = |error| crate::ops::snapshot::reason(error);
    let failed: Vec<_> = fleet.failed.iter().map(|(device, e)| json!({ "device": device, "reason": reason(e) })).collect();
    join(json!({ "devices": devices, "failed": failed }), counts(&fleet.restored))
}

fn differences(differences: &[Difference]) -> Vec<&'static str> {
    differences.iter().map(Difference::as_str).collect()
}

pub(super) fn planned(generation: &Generation, dir: &Path, entries: &[Planned]) -> Value {
    let entries = entries.iter().map(|entry| {
        json!({
            "path": entry.path,
            "act": entry.act.as_str(),
            "differences": differences(&entry.differences),
            "size_bytes": entry.size,
            "mode": format!("{:04o}", entry.mode),
        })
    });
    join(head(generation), json!({ "to": dir, "plan": entries.collect::<Vec<_>>() }))
}

pub(super) fn print_plan(ui: &mut Ui, entries: &[Planned]) -> Result<(), CommandError> {
    let mut table = Table::default();
    for entry in entries.iter().filter(|entry| entry.act != Act::Same) {
        let look = match entry.act {
            Act::Create => Look::Good,
            Act::Blocked | Act::Locked => Look::Bad,
            _ => Look::Notice,
        };
        let end = if entry.kind == Kind::Directory { "/" } else { "" };
        let why = if entry.act == Act::Create { String::new() } else { differences(&entry.differences).join(", ") };
        table.row(vec![(look, entry.act.as_str().to_owned()), plain(format!("{}{end}", entry.path)), (Look::Dim, why)]);
    }
    table.print(ui)?;
    let same = entries.iter().filter(|entry| entry.act == Act::Same).count();
    ui.status(&format!("{} to do, {same} the same as in the set", entries.len() - same));
    Ok(())
}

pub(super) fn compared_document(generation: &Generation, dir: &Path, found: &Comparison) -> Value {
    let list: Vec<_> =
        found.differences.iter().map(|(path, what)| json!({ "path": path, "difference": what.as_str() })).collect();
    join(head(generation), json!({ "to": dir, "equal": found.is_equal(), "same_count": found.same, "differences": list }))
}

pub(super) fn print_compared(ui: &mut Ui, found: &Comparison) -> Result<(), CommandError> {
    let mut table = Table::default();
    for (path, what) in &found.differences {
        let detail = match what {
            Difference::Mode { wanted, found } => format!("{found:04o} in place of {wanted:04o}"),
            Difference::Owner { wanted, found } => {
                format!("{}:{} in place of {}:{}", found.uid, found.gid, wanted.uid, wanted.gid)
            }
            _ => String::new(),
        };
        table.row(vec![(Look::Notice, what.as_str().to_owned()), plain(path), (Look::Dim, detail)]);
    }
    table.print(ui)?;
    ui.status(&format!("{} the same, {} different", found.same, found.differences.len()));
    Ok(())
}
