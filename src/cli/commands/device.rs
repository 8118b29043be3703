//! `confvault device`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::journal::note_devices;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::table::{Table, plain};
use crate::cli::ui::{Look, Ui};
use crate::inventory::{Credential, Device, DeviceChange, Editor, LabelKey, LabelSelector, ProfileName, SourceUrl, devices_in};
use crate::model::{DeviceName, Release};
use crate::ops::device_restore::unfinished;
use crate::ops::gone_at;

/// Add, change, list, show and remove devices
///
/// The devices stand in `confvault.toml`; these commands change that file and keep its comments.
#[derive(Debug, clap::Args)]
pub(crate) struct DeviceArgs {
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DeviceCommand {
    Add(AddArgs),
    Set(SetArgs),
    List(ListArgs),
    Show(NameArgs),
    Remove(NameArgs),
    Trust(super::device_trust::TrustArgs),
    Test(super::device_test::TestArgs),
    Import(super::device_import::ImportArgs),
    Replace(super::device_replace::ReplaceArgs),
}

/// What can be said of a device.
#[derive(Debug, clap::Args)]
struct Keys {
    /// Profile (default: generic; `confvault profile list` shows all)
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Release, where the profile cannot find it
    #[arg(long, value_name = "RELEASE")]
    release: Option<Release>,
    /// Label, such as site=berlin; can be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<LabelSelector>,
    /// Site, for limits per site
    #[arg(long, value_name = "SITE")]
    site: Option<LabelKey>,
    /// Where the credential is: agent, key:FILE, env:VARIABLE, file:FILE, command:PROGRAM, store
    #[arg(long, value_name = "WHERE")]
    credential: Option<Credential>,
    /// Where the second one is: the passphrase of a key file, or the enable password
    #[arg(long, value_name = "WHERE")]
    credential2: Option<Credential>,
}

impl Keys {
    fn changes(&self) -> Vec<DeviceChange> {
        let mut changes = Vec::new();
        let mut set = |key, value: Option<String>| changes.extend(value.map(|value| DeviceChange::Set(key, value)));
        set("profile", self.profile.as_ref().map(ToString::to_string));
        set("release", self.release.as_ref().map(ToString::to_string));
        set("site", self.site.as_ref().map(ToString::to_string));
        set("credential", self.credential.clone().map(String::from));
        set("credential2", self.credential2.clone().map(String::from));
        changes.extend(self.labels.iter().map(|label| DeviceChange::Label(label.key.clone(), label.value.clone())));
        changes
    }
}

/// Add a device, or every folder of a folder as a device
///
/// A relative path of a `dir:` source counts from the folder of confvault.toml.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device add pbx-berlin --source dir:/etc/asterisk --profile asterisk --label site=berlin\n  \
     confvault device add gw-1 --source ssh://backup@10.0.0.1 --profile cisco-ios --credential env:GW_PASSWORD\n  \
     confvault device add --from /srv/tftp/phones --profile generic --release 1\n",
    exit_codes!()
))]
struct AddArgs {
    /// Name of the device
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    name: Option<DeviceName>,
    /// Where its configuration comes from: dir:PATH, sftp://, ssh://, drs:, drs://, push:
    #[arg(long, value_name = "URL", required_unless_present = "from", conflicts_with = "from")]
    source: Option<SourceUrl>,
    /// Add each folder in FOLDER as a device of its name
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

/// Change a device
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device set gw-1 --release '15.7(3)M6'\n  confvault device set gw-1 --unlabel site --disable\n",
    exit_codes!()
))]
struct SetArgs {
    /// Name of the device
    name: DeviceName,
    /// Where its configuration comes from
    #[arg(long, value_name = "URL")]
    source: Option<SourceUrl>,
    #[command(flatten)]
    keys: Keys,
    /// Leave the release to the profile
    #[arg(long, conflicts_with = "release")]
    no_release: bool,
    /// Remove a label; can be given more than once
    #[arg(long, value_name = "KEY")]
    unlabel: Vec<LabelKey>,
    /// Leave the device out where none is named
    #[arg(long)]
    disable: bool,
    /// Take the device in again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
}

/// List the devices
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault device list --label site=berlin\n", exit_codes!()))]
struct ListArgs {
    /// Only those with this label; can be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<LabelSelector>,
}

/// One device
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit_codes!())]
struct NameArgs {
    /// Name of the device
    name: DeviceName,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DeviceArgs) -> Outcome {
    match &args.command {
        DeviceCommand::Add(args) => add(ui, context, args),
        DeviceCommand::Set(args) => set(ui, context, args),
        DeviceCommand::List(args) => list(ui, context, args),
        DeviceCommand::Show(args) => show(ui, context, args),
        DeviceCommand::Remove(args) => remove(ui, context, args),
        DeviceCommand::Trust(args) => super::device_trust::run(ui, context, args),
        DeviceCommand::Test(args) => super::device_test::run(ui, context, args),
        DeviceCommand::Import(args) => super::device_import::run(ui, context, args),
        DeviceCommand::Replace(args) => super::device_replace::run(ui, context, args),
    }
}

fn add(ui: &mut Ui, context: &Context, args: &AddArgs) -> Outcome {
    let mut editor = Editor::open(&context.root()?)?;
    let devices = match (&args.name, &args.source, &args.from) {
        (Some(name), Some(source), _) => vec![(name.clone(), source.clone())],
        (_, _, Some(folder)) => {
            let root = editor.inventory().root();
            let found = devices_in(&context.absolute(folder)?)?;
            found.into_iter().map(|(name, source)| (name, relative(root, source))).collect()
        }
        _ => return Err(CommandError::usage("A device needs a NAME and --source, or --from FOLDER")),
    };
    if let Some(profile) = &args.keys.profile {
        context.profiles()?.get(profile.as_str())?;
    }
    let changes = args.keys.changes();
    let known =
        |name: &DeviceName, source: &SourceUrl| editor.inventory().device(name).is_ok_and(|device| device.source == *source);
    let (there, devices): (Vec<_>, Vec<_>) =
        devices.into_iter().partition(|(name, source)| args.from.is_some() && known(name, source));
    for (name, source) in &devices {
        editor.add_device(name, source, &changes)?;
    }
    let inventory = editor.save()?;
    note_devices(ui, context, "added", &devices.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), &[]);
    if ui.json_wished() {
        let added: Vec<&Device> = devices.iter().filter_map(|(name, _)| inventory.device(name).ok()).collect();
        ui.json("device add", &json!({ "devices": added, "known_count": there.len() }))?;
        return Ok(Exit::Done);
    }
    if !there.is_empty() {
        ui.status(&format!("{} were there already", there.len()));
    }
    for (name, source) in &devices {
        if let SourceUrl::Dir(folder) = source
            && !inventory.root().join(folder).is_dir()
        {
            ui.warn(&format!("Folder of {name} is not there: {}", inventory.root().join(folder).display()));
        }
        ui.row(&[(Look::Plain, "added "), (Look::Strong, name.as_str()), (Look::Plain, &format!("  {source}"))])?;
    }
    Ok(Exit::Done)
}

fn set(ui: &mut Ui, context: &Context, args: &SetArgs) -> Outcome {
    let mut changes: Vec<_> = args.source.iter().map(|source| DeviceChange::Set("source", source.to_string())).collect();
    changes.extend(args.keys.changes());
    changes.extend(args.unlabel.iter().map(|key| DeviceChange::Unlabel(key.clone())));
    changes.extend(args.no_release.then_some(DeviceChange::Unset("release")));
    changes.extend(args.disable.then_some(DeviceChange::Flag("enabled", false)));
    changes.extend(args.enable.then_some(DeviceChange::Unset("enabled")));
    if changes.is_empty() {
        return Err(CommandError::usage("Nothing to change").hint("`confvault device set --help` shows what can be set"));
    }
    if let Some(profile) = &args.keys.profile {
        context.profiles()?.get(profile.as_str())?;
    }
    let mut editor = Editor::open(&context.root()?)?;
    editor.change_device(&args.name, &changes)?;
    let inventory = editor.save()?;
    let keys: BTreeSet<&str> = changes.iter().map(DeviceChange::key).collect();
    note_devices(ui, context, "set", std::slice::from_ref(&args.name), &keys.into_iter().collect::<Vec<_>>());
    if args.source.is_some() {
        warn_of_restore(ui, inventory.root(), &args.name, "under the old source");
    }
    print(ui, "device set", inventory.device(&args.name)?)
}

/// Warns where a restore of the device did not end: its record is about the device as it was reached then.
pub(super) fn warn_of_restore(ui: &mut Ui, root: &Path, device: &DeviceName, then: &str) {
    if unfinished(root).is_ok_and(|all| all.contains(device)) {
        ui.warn(&format!(
            "a restore of {device} did not end; `confvault restore --undo {device}` or `--resume {device}` ends it {then}"
        ));
    }
}

fn list(ui: &mut Ui, context: &Context, args: &ListArgs) -> Outcome {
    let inventory = context.inventory()?;
    let devices: Vec<&Device> = inventory.devices().filter(|d| args.labels.iter().all(|label| d.matches(label))).collect();
    let gone = if args.labels.is_empty() { gone_at(&inventory)? } else { Vec::new() };
    if ui.json_wished() {
        ui.json("device list", &json!({ "devices": devices, "not_in_inventory": gone }))?;
        return Ok(Exit::Done);
    }
    if devices.is_empty() && gone.is_empty() {
        ui.status("No devices; add one with `confvault device add NAME --source URL`");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "PROFILE", "RELEASE", "SOURCE", "LABELS"]);
    for device in devices {
        let release = device.release.as_ref().map_or("-", Release::as_str);
        let name = if device.enabled { Look::Strong } else { Look::Dim };
        let name = (name, device.name.to_string());
        table.row(vec![name, plain(&device.profile), plain(release), plain(&device.source), plain(labels(device))]);
    }
    for device in gone {
        table.row(vec![(Look::Dim, device.to_string()), plain("-"), plain("-"), plain("-"), plain("(not in the inventory)")]);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

fn labels(device: &Device) -> String {
    let site = device.site.iter().map(|site| format!("site={site}"));
    let labels = site.chain(device.labels.iter().map(|(key, value)| format!("{key}={value}")));
    let off = (!device.enabled).then(|| "(disabled)".to_owned());
    labels.chain(off).collect::<Vec<_>>().join(" ")
}

fn show(ui: &mut Ui, context: &Context, args: &NameArgs) -> Outcome {
    print(ui, "device show", context.inventory()?.device(&args.name)?)
}

fn print(ui: &mut Ui, command: &str, device: &Device) -> Outcome {
    if ui.json_wished() {
        ui.json(command, &json!({ "device": device }))?;
        return Ok(Exit::Done);
    }
    let value = serde_json::to_value(device).map_err(std::io::Error::from)?;
    for (key, value) in value.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        ui.row(&[(Look::Dim, &format!("{key:<12} ")), (Look::Plain, &value)])?;
    }
    Ok(Exit::Done)
}

fn remove(ui: &mut Ui, context: &Context, args: &NameArgs) -> Outcome {
    let mut editor = Editor::open(&context.root()?)?;
    editor.remove_device(&args.name)?;
    let inventory = editor.save()?;
    note_devices(ui, context, "removed", std::slice::from_ref(&args.name), &[]);
    warn_of_restore(ui, inventory.root(), &args.name, "once the device is added again with its old source");
    if ui.json_wished() {
        ui.json("device remove", &json!({ "removed": args.name }))?;
    } else {
        ui.line(&format!("removed {}; its history stays in the store", args.name))?;
    }
    Ok(Exit::Done)
}

/// Gives a folder as a source: relative where it lies in the folder of the store, so that both can
/// move together.
fn relative(root: &Path, source: SourceUrl) -> SourceUrl {
    match source {
        SourceUrl::Dir(folder) => SourceUrl::Dir(folder.strip_prefix(root).map(Path::to_path_buf).unwrap_or(folder)),
        source => source,
    }
}
