//! `confvault device import`

use std::path::PathBuf;

use serde_json::json;

use super::import::mapping;
use super::journal::note_devices;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::{Look, Ui};
use crate::collect::inventories::{Listed, netbox, read};
use crate::inventory::{Credential, ProfileName};
use crate::model::DeviceName;
use crate::ops::enlist::{Options, enlist};
use crate::seal::Secret;

/// Take over devices from a list
///
/// A file with a header is a table: name, source (or host and user), profile, model, release, site, credential, enabled;
/// every other column is a label. A file with a `source:` is the configuration of Oxidized, whose CSV list is read, too. Any
/// other file is a router.db of RANCID or Oxidized. No password of a list is taken over. Devices that are there already stay
/// as they are. Devices that are not in the list any more are named; they and their history stay.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device import fleet.csv --credential env:GW_PASSWORD\n  \
     confvault device import /var/lib/rancid/core/router.db --user backup\n  \
     confvault device import ~oxidized/.config/oxidized/config --map vyos=linux\n  \
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
    /// Profile of a model; can be given more than once
    #[arg(long = "map", value_name = "MODEL=PROFILE", value_parser = mapping)]
    maps: Vec<(String, ProfileName)>,
    /// Profile of devices for which the list has none
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Credential of devices for which the list has none
    #[arg(long, value_name = "WHERE")]
    credential: Option<Credential>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ImportArgs) -> Outcome {
    let root = context.root()?;
    if args.token.is_some() && args.netbox.as_ref().is_some_and(|url| url.starts_with("http://")) {
        ui.warn("the token goes over the network in clear: http, not https");
    }
    let listed = list(context, args)?;
    let options =
        Options { map: args.maps.iter().cloned().collect(), profile: args.profile.clone(), credential: args.credential.clone() };
    let done = enlist(&root, &context.profiles()?, &listed, &options)?;
    note_devices(ui, context, "added", &done.added, &[]);
    if ui.json_wished() {
        ui.json(
            "device import",
            &json!({
                "added": done.added,
                "known_count": done.known.len(),
                "differing": done.differing,
                "twice": done.twice,
                "not_listed": done.unlisted,
                "unknown_models": done.unknown_models,
            }),
        )?;
    } else {
        for name in &done.added {
            ui.row(&[(Look::Plain, "added "), (Look::Strong, name.as_str())])?;
        }
        ui.status(&format!("{} added, {} were there already", done.added.len(), done.known.len()));
    }
    tell(ui, "another source in the list", &done.differing);
    tell(ui, "more than once in the list, the first counts", &done.twice);
    tell(ui, "not in the list", &done.unlisted);
    if !done.unknown_models.is_empty() {
        let models = done.unknown_models.into_iter().collect::<Vec<_>>().join(", ");
        ui.warn(&format!("no profile for {models}: these devices have the generic one; name one with --map MODEL=PROFILE"));
    }
    let added: Vec<&Listed> = listed.iter().filter(|listed| done.added.contains(&listed.name)).collect();
    if args.credential.is_none() {
        tell_passwords(ui, added.into_iter());
    }
    Ok(Exit::Done)
}

/// Names devices in a warning.
fn tell(ui: &mut Ui, what: &str, names: &[DeviceName]) {
    if !names.is_empty() {
        let some: Vec<&str> = names.iter().take(5).map(DeviceName::as_str).collect();
        let more = names.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        ui.warn(&format!("{what}: {}{more}", some.join(", ")));
    }
}

/// Says that passwords of a list stay where they are.
pub(super) fn tell_passwords<'a>(ui: &mut Ui, added: impl Iterator<Item = &'a Listed>) {
    let mut added = added.filter(|listed| listed.has_password && listed.credential.is_none());
    if let Some(first) = added.next() {
        let name = &first.name;
        let count = added.count() + 1;
        ui.warn(&format!(
            "the list has passwords of {count} of the added devices; they were not taken over: `confvault device set {name} \
             --credential store`, then `confvault credential set {name}`, or another --credential"
        ));
    }
}

fn list(context: &Context, args: &ImportArgs) -> Result<Vec<Listed>, CommandError> {
    let home = context.env.home.as_deref();
    let Some(url) = &args.netbox else {
        let file = context.absolute(args.file.as_deref().unwrap_or_else(|| "".as_ref()))?;
        return Ok(read(&file, args.user.as_deref(), home)?);
    };
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(CommandError::usage("--netbox takes the URL of a server, such as https://netbox.example"));
    }
    let token = match &args.token {
        None => None,
        Some(Credential::Env(name)) => {
            let value = crate::cli::env::variable(name);
            Some(Secret::new(value.ok_or_else(|| CommandError::failed(format!("Variable is not set: {name}")))?))
        }
        Some(Credential::File(file)) => Some(crate::seal::read_private(&context.absolute(file)?)?),
        Some(_) => return Err(CommandError::usage("--token takes env:VARIABLE or file:FILE")),
    };
    Ok(netbox(url, token.as_ref(), args.user.as_deref())?)
}
