//! `confvault snapshot`

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::hints;
use crate::cli::signals;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::collect::Skipped;
use crate::inventory::LabelSelector;
use crate::model::DeviceName;
use crate::ops::device_restore::unfinished;
use crate::ops::snapshot::{DeviceReport, Options, Report, Told, World, snapshot_telling};
use crate::ops::{self, Vault};
use crate::store;

/// Collect devices and keep what differs as new generations
///
/// Each device is collected whole or not at all. A set that is the newest generation, apart from what
/// is volatile, makes none. A device that fails does not stop the others.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault snapshot\n  confvault snapshot pbx-berlin gw-1 --note 'before the move'\n  \
     confvault snapshot --label site=berlin --jobs 8\n",
    exit_codes!(), "; 3 also if the only device failed"
))]
pub(crate) struct SnapshotArgs {
    /// Devices (default: all that are enabled)
    devices: Vec<DeviceName>,
    /// Only devices with this label; can be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<LabelSelector>,
    /// Note of the new generations
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Devices at the same time (default: the policy's, or what fits the machine)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Take sets that shrank by more than max_shrink, or have an answer that is not whole; WHY stands in the generation
    ///
    /// Not whole is by the profile what is empty, cut off, paged, refused or too short; it is taken of devices that are named
    /// on the command line only. What never came to its end, as the connection broke, is not taken.
    #[arg(long, value_name = "WHY", num_args = 0..=1, require_equals = true, default_missing_value = "accepted")]
    accept: Option<String>,
    /// Read everything again, whatever the time stamps say
    #[arg(long)]
    full: bool,
    /// Take the set of the one device from a tar archive; `-` is standard input
    #[arg(long, value_name = "FILE.tar")]
    from: Option<std::path::PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &SnapshotArgs) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let chosen = vault.inventory.select(&args.devices, &args.labels)?.len();
    if chosen == 0 {
        let error = CommandError::failed("No device to collect");
        return Err(match args.labels.is_empty() {
            true => error.hint("add one with `confvault device add NAME --source URL`"),
            false => error.hint("`confvault device list` shows the labels of all devices"),
        });
    }
    if vault.sealer.is_none() {
        ui.warn("secrets are kept in clear in this store (made with --no-sealing)");
    }
    if args.from.is_some() && args.devices.len() != 1 {
        return Err(CommandError::usage("--from takes the set of one device: name it"));
    }
    let options = Options {
        devices: args.devices.clone(),
        labels: args.labels.clone(),
        note: args.note.clone(),
        jobs: args.jobs.map(usize::from),
        accept: args.accept.clone(),
        partial: !args.devices.is_empty(),
        full: args.full,
        from: args.from.as_ref().map(|file| from(context, file)).transpose()?,
        ..Options::default()
    };
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let bar = ui.progress("collecting", chosen as u64);
    let mut done = Vec::new();
    let report = snapshot_telling(&vault, &options, &world, &mut |told| match told {
        Told::Done(device) => {
            bar.step(device.device.as_str());
            if ui.json_wished() {
                done.push(one(device));
            }
        }
        Told::Waiting(devices) => ui.status(&format!("Waiting for {}", listed(devices))),
    });
    ui.finish_progress();
    let report = match report {
        Err(error) if ui.json_wished() => return Err(stopped(ui, done, error)),
        report => report?,
    };
    if ui.json_wished() {
        ui.json("snapshot", &document(&report))?
    } else {
        print(ui, &report)?
    }
    let (_, _, failed) = report.counts();
    let lost = !report.lost.is_empty();
    for device in unfinished(vault.root()).map_err(crate::ops::Error::from)? {
        ui.warn(&format!("a restore of {device} did not end: `confvault restore --undo {device}`, or `--resume {device}`"));
    }
    tell_all(ui, report);
    Ok(match (failed > 0, lost) {
        (true, _) => Exit::Partly,
        (false, true) => Exit::Damage,
        (false, false) => Exit::Done,
    })
}

/// The archive that is handed in.
fn from(context: &Context, file: &std::path::Path) -> Result<std::path::PathBuf, CommandError> {
    if file.as_os_str() == "-" { Ok("/dev/stdin".into()) } else { context.absolute(file) }
}

fn print(ui: &mut Ui, report: &Report) -> Result<(), CommandError> {
    let mut table = Table::default();
    for device in &report.devices {
        let name = (Look::Strong, device.device.to_string());
        table.row(match &device.result {
            Ok(store::Outcome::Generation(generation)) => vec![
                name,
                (Look::Good, format!("generation {}", generation.number)),
                plain(&generation.release),
                match generation.kind {
                    store::GenerationKind::Unannounced => (Look::Bad, generation.kind.to_string()),
                    kind => plain(kind),
                },
                plain(generation.changed),
            ],
            Ok(store::Outcome::Unchanged { number }) => vec![name, (Look::Dim, format!("unchanged {number}"))],
            Err(_) => vec![name, (Look::Bad, "failed".to_owned())],
        });
    }
    table.print(ui)?;
    let (new, unchanged, failed) = report.counts();
    let (added, took) = (time::size(report.added_bytes), report.took.as_secs_f64());
    let unannounced = match report.unannounced().count() {
        0 => String::new(),
        count => format!(" ({count} unannounced)"),
    };
    ui.status(&format!("{new} new{unannounced}, {unchanged} unchanged, {failed} failed; {added} added in {took:.1} s"));
    Ok(())
}

/// Says what the administrator should know of the devices, on standard error.
pub(super) fn tell_all(ui: &mut Ui, report: Report) {
    let unannounced: Vec<(String, u64)> = report.unannounced().map(|d| (d.device.to_string(), d.number().unwrap_or(0))).collect();
    tell_gone(ui, &report.gone);
    report.devices.into_iter().for_each(|device| tell(ui, device));
    if let Some(first) = report.lost.first() {
        let many = time::count(report.lost.len(), "ref");
        let text = format!("{many} that this machine has seen went back or is gone, the first: {}", first.reference);
        ui.finding(&[text], &hints::PUT_BACK.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    for (device, number) in unannounced {
        tell_unannounced(ui, &device, number);
    }
}

/// Says that nobody announced what a generation holds.
pub(super) fn tell_unannounced(ui: &mut Ui, device: &str, number: u64) {
    ui.warn(&format!("{device}: generation {number} is an unannounced change; `confvault diff {device}@{number}` shows it"));
}

/// Says which devices of the store are collected by nobody any more.
pub(super) fn tell_gone(ui: &mut Ui, gone: &[DeviceName]) {
    if !gone.is_empty() {
        let many = time::count(gone.len(), "device");
        ui.status(&format!("{many} of the store not in the inventory any more, and not collected: {}", listed(gone)));
    }
}

/// The first five of several.
fn listed(items: &[impl ToString]) -> String {
    let shown = items.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What is no part of the set, as JSON.
pub(super) fn skipped(skipped: &[Skipped]) -> serde_json::Value {
    skipped.iter().map(|s| json!({ "path": s.path, "what": s.what })).collect()
}

/// Says what the administrator should know of a device, on standard error.
fn tell(ui: &mut Ui, device: DeviceReport) {
    let name = &device.device;
    if !device.unclaimed.is_empty() {
        let paths = listed(&device.unclaimed);
        ui.status(&format!("{name}: no rule of its profile claims {paths}; kept in scope system"));
    }
    if !device.skipped.is_empty() {
        let paths = listed(&device.skipped.iter().map(|s| format!("{} ({})", s.path, s.what)).collect::<Vec<_>>());
        ui.status(&format!("{name}: left out {paths}"));
    }
    for warning in &device.warnings {
        ui.warn(&format!("{name}: {warning}"));
    }
    if let Err(error) = device.result {
        let error = CommandError::from(error).about(name);
        let mut texts = error.texts();
        texts[0] = format!("Device {name}: {}", texts[0]);
        ui.finding(&texts, error.hints());
    }
}

fn document(report: &Report) -> Value {
    let (new, unchanged, failed) = report.counts();
    json!({
        "run": report.run,
        "devices": report.devices.iter().map(one).collect::<Vec<_>>(),
        "new_count": new,
        "unannounced_count": report.unannounced().count(),
        "unchanged_count": unchanged,
        "failed_count": failed,
        "not_in_inventory": report.gone,
        "lost_refs": super::key::heads_value(&report.lost),
        "added_bytes": report.added_bytes,
        "took_ms": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The document of a run that ended before all devices were done with: what became of them, and why it ended.
fn stopped(ui: &mut Ui, mut devices: Vec<Value>, error: ops::Error) -> CommandError {
    if let ops::Error::Unwritten { devices: unwritten, source } = &error {
        let reason = ops::snapshot::reason(source.as_ref());
        devices.extend(unwritten.iter().map(|name| json!({ "device": name, "outcome": "failed", "reason": reason })));
    }
    let document = json!({ "devices": devices, "error": ops::snapshot::reason(&error) });
    match ui.json("snapshot", &document) {
        Ok(()) => error.into(),
        Err(error) => error,
    }
}

fn one(device: &DeviceReport) -> Value {
    let mut value = match &device.result {
        Ok(store::Outcome::Generation(generation)) => json!({
            "device": device.device,
            "outcome": "generation",
            "generation": generation.number,
            "release": generation.release,
            "kind": generation.kind,
            "changed": generation.changed,
            "commit": generation.id.to_string(),
        }),
        Ok(store::Outcome::Unchanged { number }) => {
            json!({ "device": device.device, "outcome": "unchanged", "generation": number })
        }
        Err(error) => json!({ "device": device.device, "outcome": "failed", "reason": ops::snapshot::reason(error) }),
    };
    value["unclaimed"] = json!(device.unclaimed);
    value["skipped"] = skipped(&device.skipped);
    value["warnings"] = json!(device.warnings);
    value["read_bytes"] = json!(device.read_bytes);
    value["took_ms"] = json!(u64::try_from(device.took.as_millis()).unwrap_or(u64::MAX));
    value
}
