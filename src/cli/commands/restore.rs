//! `confvault restore`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::journal::note;
use super::restore_device::{self, DeviceArgs};
use super::restore_show::{compared_document, document, fleet_document, planned, print_compared, print_plan, tell};
use super::signed;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::time::{self, count};
use crate::cli::ui::{Look, Ui};
use crate::model::{Point, Scope};
use crate::ops::device_restore::Choice;
use crate::ops::restore::{
    RestoreError, RestoreOptions, compare, plan, restore, restore_all, tar_all_to_file, tar_all_to_writer, tar_to_file,
    tar_to_writer,
};
use crate::ops::{PathFilter, Reader};
use crate::store::Record;

/// Put a set back: to the device itself, into a folder, as a tar archive, or only plan and compare
///
/// Every digest is checked before anything is in place. Nothing is written outside of DIR, no link that
/// stands there is followed, nothing is replaced without --overwrite, and each file appears whole or
/// not at all. Secrets and sealed files need an identity.
///
/// With --device the plan is shown first. Then a snapshot is taken, the files are put beside their places and
/// checked by the device's own program, replaced one by one, made active and compared, and a snapshot is taken again.
/// If anything fails, the device is taken back to how it stood.
#[derive(Debug, clap::Args)]
#[command(override_usage = "confvault restore [OPTIONS] <POINT> [PATH]... <--to <DIR>|--tar <FILE>>\n       \
    confvault restore [OPTIONS] --all [PATH]... <--to <DIR>|--tar <FILE>>\n       \
    confvault restore [OPTIONS] <POINT> [PATH]... --device\n       \
    confvault restore [OPTIONS] [DEVICE] <--resume|--undo>")]
#[command(after_long_help = concat!(
    "Examples:\n  confvault restore pbx@golden --to /tmp/pbx --identity admin/identity.txt\n  \
     confvault restore pbx@2026-11-01 voip/pjsip.conf --to . --overwrite\n  \
     confvault restore gw-1 --masked --tar - | tar t\n  confvault restore pbx@golden --to /etc/asterisk --plan\n  \
     confvault restore --all --to /srv/all\n  confvault restore --all --masked --tar - | ssh other tar x\n  \
     confvault restore pbx@golden --device --plan\n  confvault restore pbx@pre/CHG-7 --device --ticket CHG-8 --yes\n  \
     confvault restore --undo pbx\n",
    exit_codes!(), "\nwith --plan and --compare: 0 same, 1 different, 2 trouble"
))]
pub(crate) struct RestoreArgs {
    /// The generation, then the files, folders or globs of it that are wanted (default: everything)
    #[arg(value_name = "POINT] [PATH")]
    words: Vec<String>,
    /// The newest generation of every device, each into a folder of its name
    #[arg(long)]
    all: bool,
    /// Into this folder; made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "tar")]
    to: Option<PathBuf>,
    /// As a tar archive (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    tar: Option<PathBuf>,
    /// Show what would be done, and write nothing
    #[arg(long, conflicts_with_all = ["all", "tar"])]
    pub(super) plan: bool,
    /// Compare DIR with the set in content, modes, owners and what else is there, and write nothing
    #[arg(long, conflicts_with_all = ["all", "tar", "plan"])]
    pub(super) compare: bool,
    /// Replace files and links that stand there
    #[arg(long)]
    overwrite: bool,
    /// Only this scope: voip, system or user; can be given more than once
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// Each scope into a folder of its own
    #[arg(long)]
    by_scope: bool,
    /// Texts with tokens in place of secrets, and without what is sealed
    #[arg(long)]
    masked: bool,
    /// Leave out what is damaged, and put the rest back
    #[arg(long)]
    skip_damaged: bool,
    /// Also a generation that is signed by nobody whom the store trusts
    #[arg(long)]
    pub(super) unverified: bool,
    /// Set setuid and setgid bits where the set has them
    #[arg(long)]
    special_bits: bool,
    /// Leave owners as they come
    #[arg(long)]
    no_owners: bool,
    /// Devices at the same time, with --all and --to (default: 2)
    #[arg(long, value_name = "N", default_value_t = 2, hide_default_value = true, requires = "all")]
    jobs: usize,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl RestoreArgs {
    /// What is put back to a device.
    pub(super) fn choice(&self, paths: &[String], keep_extra: bool) -> Choice {
        Choice {
            scopes: self.scopes.clone(),
            paths: PathFilter::new(paths),
            special_bits: self.special_bits,
            no_owners: self.no_owners,
            keep_extra,
            unverified: self.unverified,
        }
    }

    fn options(&self, paths: &[String]) -> RestoreOptions {
        RestoreOptions {
            scopes: self.scopes.clone(),
            paths: PathFilter::new(paths),
            by_scope: self.by_scope,
            masked: self.masked,
            skip_damaged: self.skip_damaged,
            overwrite: self.overwrite,
            special_bits: self.special_bits,
            no_owners: self.no_owners,
            passing: false,
            foreign: BTreeMap::new(),
        }
    }
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RestoreArgs) -> Outcome {
    let identities = args.identity.load(ui, context)?;
    let reader = Reader::open(&context.store_root()?, identities.as_ref())?;
    if args.scopes.contains(&Scope::Logs) {
        return Err(CommandError::usage("Logs are in no generation").hint("`confvault logs DEVICE --to DIR` puts logs back"));
    }
    if args.device.is_meant() {
        return restore_device::run(ui, context, args, &args.device, &reader, &args.words);
    }
    if args.to.is_none() && args.tar.is_none() {
        return Err(CommandError::usage("Nothing says where the set goes")
            .hint("`--to DIR` puts it into a folder, `--tar FILE` into an archive, `--device` back to the device itself"));
    }
    let to = args.to.as_ref().map(|dir| context.absolute(dir)).transpose()?;
    let piped = args.tar.as_ref().is_some_and(|file| file.as_os_str() == "-");
    if piped && (ui.is_terminal() || ui.json_wished()) {
        return Err(
            CommandError::usage("An archive is not for a terminal, and not beside JSON").hint("send it into a file or pipe")
        );
    }
    if args.all { all(ui, context, args, &reader, to.as_deref()) } else { one(ui, context, args, &reader, to.as_deref()) }
}

/// Warns of a set that was taken though something was wrong with it.
pub(super) fn tell_accepted(ui: &mut Ui, accepted: &str) {
    ui.warn(&format!("the set was taken on purpose as it was: {accepted}"));
}

fn one(ui: &mut Ui, context: &Context, args: &RestoreArgs, reader: &Reader, to: Option<&Path>) -> Outcome {
    let Some((point, paths)) = args.words.split_first() else {
        return Err(CommandError::usage("A POINT is missing, or --all").hint("`confvault log DEVICE` shows its generations"));
    };
    let point: Point = point.parse().map_err(crate::ops::Error::from)?;
    let (refs, access) = (reader.store.refs()?, reader.access());
    let generation = reader.store.resolve(&refs, &point)?;
    if let Some(found) = reader.foreign(&refs, &generation) {
        if !args.unverified {
            return Err(RestoreError::Foreign(found).into());
        }
        signed::warn(ui, &found);
    }
    if let Some(accepted) = &generation.accepted {
        tell_accepted(ui, accepted);
    }
    let set = reader.store.read_set(&refs, &generation, access)?;
    let options = args.options(paths);
    let here = PathBuf::new();
    let dir = to.unwrap_or(&here);
    if args.plan {
        let entries = plan(&set, access, dir, &options)?;
        let equal = entries.iter().all(|entry| entry.differences.is_empty());
        if ui.json_wished() {
            ui.json("restore", &planned(&generation, dir, &entries))?
        } else {
            print_plan(ui, &entries)?
        }
        return Ok(if equal { Exit::Done } else { Exit::Differs });
    }
    if args.compare {
        let found = compare(&set, access, dir, &options)?;
        if ui.json_wished() {
            ui.json("restore", &compared_document(&generation, dir, &found))?
        } else {
            print_compared(ui, &found)?
        }
        return Ok(if found.is_equal() { Exit::Done } else { Exit::Differs });
    }
    let piped = args.tar.as_ref().is_some_and(|file| file.as_os_str() == "-");
    let restored = match &args.tar {
        None => restore(&set, access, dir, &options).map_err(CommandError::from),
        Some(_) if piped => tar_to_writer(&set, access, ui.raw(), &options).map_err(CommandError::of_output),
        Some(file) => tar_to_file(&set, access, &context.absolute(file)?, &options).map_err(CommandError::from),
    };
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) => {
            let failed = Record::new("restore", "failed").with("device", generation.device.as_str());
            note(ui, context, failed.with("generation", generation.number).with("reason", error.texts().join(": ")));
            return Err(error);
        }
    };
    note(ui, context, restored.record(generation.device.as_str(), generation.number));
    let name = format!("{}@{}", generation.device, generation.number);
    if ui.json_wished() {
        ui.json("restore", &document(&generation, &restored))?;
    } else if !piped {
        let (files, size) = (count(restored.files, "file"), time::size(restored.bytes));
        let place = args.to.as_ref().or(args.tar.as_ref()).map(|path| path.display().to_string()).unwrap_or_default();
        ui.row(&[(Look::Strong, &name), (Look::Plain, &format!("  {files}, {size}, in {place}; every digest checked"))])?;
    }
    tell(ui, &restored);
    Ok(if restored.is_complete() { Exit::Done } else { Exit::Partly })
}

fn all(ui: &mut Ui, context: &Context, args: &RestoreArgs, reader: &Reader, to: Option<&Path>) -> Outcome {
    let mut options = args.options(&args.words);
    let (store, refs, access) = (&reader.store, reader.store.refs()?, reader.access());
    options.foreign = reader.foreign_devices(&refs);
    if args.unverified {
        for found in std::mem::take(&mut options.foreign).values() {
            signed::warn(ui, found);
        }
    }
    let fleet = match (to, &args.tar) {
        (Some(to), _) => restore_all(store, &refs, access, to, &options, args.jobs)?,
        (None, Some(file)) if file.as_os_str() != "-" => {
            tar_all_to_file(store, &refs, access, &context.absolute(file)?, &options)?
        }
        _ => tar_all_to_writer(store, &refs, access, ui.raw(), &options).map_err(CommandError::of_output)?,
    };
    let outcome = if fleet.failed.is_empty() && fleet.restored.is_complete() { "done" } else { "partly" };
    let failed: Vec<_> = fleet.failed.iter().map(|(device, _)| serde_json::Value::from(device.as_str())).collect();
    let entry = Record::new("restore", outcome).with("device_count", fleet.devices.len()).with("failed", failed);
    note(ui, context, entry.with("files", fleet.restored.files).with("bytes", fleet.restored.bytes));
    if ui.json_wished() {
        ui.json("restore", &fleet_document(&fleet))?;
    } else if let Some(place) = args.to.as_ref().or(args.tar.as_ref()).filter(|place| place.as_os_str() != "-") {
        let (devices, size) = (count(fleet.devices.len(), "device"), time::size(fleet.restored.bytes));
        ui.line(&format!("{devices}, {size}, in {}; every digest checked", place.display()))?;
    }
    tell(ui, &fleet.restored);
    for (device, error) in fleet.failed {
        let error = CommandError::from(error);
        let mut texts = error.texts();
        texts[0] = format!("Device {device}: {}", texts[0]);
        ui.finding(&texts, error.hints());
    }
    Ok(if outcome == "done" { Exit::Done } else { Exit::Partly })
}
