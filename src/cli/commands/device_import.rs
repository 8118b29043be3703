//! `confvault device import`

use std::path::PathBuf;

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::{Look, Ui};
use crate::collect::inventories::{Listed, netbox, of_file};
use crate::inventory::{Credential, DeviceChange, Editor, ProfileName};
use crate::seal::Secret;

/// Take over devices from a list
///
/// A file with a header is a table: name, source (or host and user), profile, release, site, credential; every other
/// column is a label. A file without one is a router.db of RANCID or Oxidized. Devices that are there already stay as they are.
/// Devices that are not in the list any more are named; they and their history stay.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device import fleet.csv --credential env:GW_PASSWORD\n  \
     confvault device import /var/lib/rancid/core/router.db --user backup\n  \
     confvault device import --netbox https://netbox.example --token env:NETBOX_TOKEN --user backup\n",
    exit_codes!()
))]
pub(crate) struct ImportArgs {
    /// The list
    #[arg(required_unless_present = "netbox")]
    file: Option<PathBuf>,
    /// Ask a NetBox, by the URL of its server
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    netbox: Option<String>,
    /// Where the API token is: env:VARIABLE or file:FILE
    #[arg(long, value_name = "WHERE", requires = "netbox")]
    token: Option<Credential>,
    /// User of devices for which the list has none
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Profile of devices for which the list has none
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Credential of devices for which the list has none
    #[arg(long, value_name = "WHERE")]
    credential: Option<Credential>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ImportArgs) -> Outcome {
    let listed = list(context, args)?;
    let mut editor = Editor::open(&context.root()?)?;
    let profiles = context.profiles()?;
    let (mut added, mut known) = (Vec::new(), 0);
    for device in &listed {
        if editor.inventory().device(&device.name).is_ok() || added.contains(&&device.name) {
            known += 1;
            continue;
        }
        if let Some(profile) = device.profile.as_ref().or(args.profile.as_ref()) {
            profiles.get(profile.as_str())?;
        }
        editor.add_device(&device.name, &device.source, &changes(device, args))?;
        added.push(&device.name);
    }
    let gone: Vec<String> = editor
        .inventory()
        .devices()
        .filter(|device| !listed.iter().any(|l| l.name == device.name))
        .map(|device| device.name.to_string())
        .collect();
    editor.save()?;
    if ui.json_wished() {
        ui.json("device import", &json!({ "added": added, "known_count": known, "not_listed": gone }))?;
        return Ok(Exit::Done);
    }
    for name in &added {
        ui.row(&[(Look::Plain, "added "), (Look::Strong, name.as_str())])?;
    }
    ui.status(&format!("{} added, {known} were there already", added.len()));
    if !gone.is_empty() {
        let more = gone.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        ui.warn(&format!("not in the list: {}{more}", gone.into_iter().take(5).collect::<Vec<_>>().join(", ")));
    }
    Ok(Exit::Done)
}

fn changes(device: &Listed, args: &ImportArgs) -> Vec<DeviceChange> {
    let mut changes = Vec::new();
    let mut set = |key, value: Option<String>| changes.extend(value.map(|value| DeviceChange::Set(key, value)));
    set("profile", device.profile.as_ref().or(args.profile.as_ref()).map(ToString::to_string));
    set("release", device.release.as_ref().map(ToString::to_string));
    set("site", device.site.as_ref().map(ToString::to_string));
    set("credential", device.credential.clone().or_else(|| args.credential.clone()).map(String::from));
    changes.extend((!device.enabled).then_some(DeviceChange::Flag("enabled", false)));
    changes.extend(device.labels.iter().map(|(key, value)| DeviceChange::Label(key.clone(), value.clone())));
    changes
}

fn list(context: &Context, args: &ImportArgs) -> Result<Vec<Listed>, CommandError> {
    let failed = |error: crate::collect::inventories::ListError| CommandError::new(Exit::Failed, error, Vec::new());
    if let Some(url) = &args.netbox {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(CommandError::usage("--netbox takes the URL of a server, such as https://netbox.example"));
        }
        let token = match &args.token {
            None => None,
            Some(Credential::Env(name)) => {
                let value = crate::cli::env::variable(name);
                Some(Secret::new(value.ok_or_else(|| CommandError::failed(format!("Variable is not set: {name}")))?))
            }
            Some(Credential::File(file)) => {
                let file = context.absolute(file)?;
                let secret = crate::seal::read_private(&file);
                Some(secret.map_err(|error| CommandError::new(Exit::Failed, error, Vec::new()))?)
            }
            Some(_) => return Err(CommandError::usage("--token takes env:VARIABLE or file:FILE")),
        };
        return netbox(url, token.as_ref(), args.user.as_deref()).map_err(failed);
    }
    let file = context.absolute(args.file.as_deref().unwrap_or_else(|| "".as_ref()))?;
    let bytes = std::fs::read(&file).map_err(|error| CommandError::failed(format!("Cannot read {}: {error}", file.display())))?;
    of_file(&bytes, args.user.as_deref()).map_err(failed)
}
