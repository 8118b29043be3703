//! `confvault journal`

use serde_json::Value;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::table::{Table, plain};
use crate::cli::time::{self, Since};
use crate::cli::ui::{Look, Ui};
use crate::model::{CollectorName, DeviceName};
use crate::ops::record;
use crate::store::{JournalQuery, Record};

/// Show what confvault did, newest first
///
/// The journal is part of the store. With --json, each record is one line as it stands there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault journal --since 2026-11-01\n  confvault journal --since 24h --device gw-1\n  \
     confvault journal --json | jq 'select(.outcome == \"failed\")'\n",
    exit_codes!()
))]
pub(crate) struct JournalArgs {
    /// Only what is as young: a date, a time, or an age such as 30min, 24h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only what is about this device
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceName>,
    /// Only what this collector did
    #[arg(long, value_name = "NAME")]
    collector: Option<CollectorName>,
    /// At most N records
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
}

/// Writes a record of what a command did into the journal, where that can be: a copy of a store, or one on a read-only
/// disk, serves all the same.
pub(super) fn note(ui: &mut Ui, context: &Context, entry: Record) {
    if let Err(error) = context.root().and_then(|root| Ok(record(&root, entry)?)) {
        ui.status(&format!("Not recorded in the journal: {}", error.texts().join(": ")));
    }
}

/// Notes what was done to devices of the inventory: each name stands in the record, and no setting's value.
pub(super) fn note_devices(ui: &mut Ui, context: &Context, done: &str, devices: &[DeviceName], keys: &[&str]) {
    let record = match devices {
        [] => return,
        [one] => Record::new("device", done).with("device", one.as_str()),
        many => Record::new("device", done).with("devices", many.iter().map(DeviceName::as_str).collect::<Vec<_>>()),
    };
    note(ui, context, if keys.is_empty() { record } else { record.with("keys", keys) });
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &JournalArgs) -> Outcome {
    let store = context.store()?;
    let query = JournalQuery {
        since: args.since.map(|since| since.0),
        device: args.device.clone(),
        collector: args.collector.clone(),
        limit: args.limit,
    };
    let refs = store.refs()?;
    let records = store.journal(&refs, &query)?;
    if let Some(device) = args.device.as_ref().filter(|_| records.is_empty())
        && context.inventory().is_ok_and(|known| known.device(device).is_err())
    {
        // One that left nothing behind, neither here nor in the store, is a mistake.
        store.newest(&refs, device)?;
    }
    if ui.json_wished() {
        for record in &records {
            ui.json_line(record)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["TIME", "COLLECTOR", "ACTION", "OUTCOME", "WHAT"]);
    for record in &records {
        let look = match record.outcome.as_str() {
            "failed" => Look::Bad,
            "unchanged" => Look::Dim,
            _ => Look::Plain,
        };
        table.row(vec![
            plain(time::shown(record.time)),
            plain(&record.collector),
            plain(&record.action),
            (look, record.outcome.clone()),
            plain(what(record)),
        ]);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

/// What a record adds, in one line: the device first.
fn what(record: &Record) -> String {
    let mut parts: Vec<String> = record.device().map(str::to_owned).into_iter().collect();
    // The protocol of a drill has a command of its own: `drill show`.
    for (key, value) in record.more.iter().filter(|(key, _)| !matches!(key.as_str(), "device" | "protocol")) {
        parts.push(match value {
            Value::Array(all) if all.len() > 5 => format!("{key}={}", all.len()),
            Value::Array(all) => format!("{key}={}", all.iter().map(word).collect::<Vec<_>>().join(",")),
            Value::Object(all) => all.iter().map(|(key, value)| format!("{key}={}", word(value))).collect::<Vec<_>>().join(" "),
            value => format!("{key}={}", word(value)),
        });
    }
    parts.join(" ")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
