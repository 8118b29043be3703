//! `confvault secrets`

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::inventory::ProfileName;
use crate::model::{DeviceName, MirrorName, Point};
use crate::ops::Vault;
use crate::ops::secrets::{self, Exposed, Listing, UNKNOWN};

/// List the secrets of a generation, without their values; find those that stand in clear
///
/// Each secret is named by its file, line, rule and token; equal tokens are equal secrets. Without an identity, lines
/// are those of the masked text, and secrets of several lines have no rule.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault secrets gw-1\n  confvault secrets gw-1@42 --suspects --identity admin/identity.txt\n  \
     confvault secrets exposed\n",
    exit_codes!()
))]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    command: Option<SecretsCommand>,
    /// The generation
    #[arg(value_name = "POINT", required = true)]
    point: Option<Point>,
    /// List texts of high entropy that no rule takes, too
    #[arg(long)]
    suspects: bool,
    /// Read with the rules of this profile (default: the device's)
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Debug, clap::Subcommand)]
enum SecretsCommand {
    Exposed(ExposedArgs),
}

/// List values that the rules of today call secret and that stand in clear in the history
///
/// Reads what a thief of the store or a mirror would read; needs no identity. What was once written stays in every
/// mirror: the cure is to change the secret on the device.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault secrets exposed\n  confvault secrets exposed gw-1 --json\n", exit_codes!()))]
struct ExposedArgs {
    /// Devices (default: all in the store)
    devices: Vec<DeviceName>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &SecretsArgs) -> Outcome {
    match (&args.command, &args.point) {
        (Some(SecretsCommand::Exposed(args)), _) => exposed(ui, context, args),
        (None, Some(point)) => list(ui, context, args, point),
        (None, None) => Err(CommandError::usage("Which generation?")),
    }
}

fn list(ui: &mut Ui, context: &Context, args: &SecretsArgs, point: &Point) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let opener = args.identity.opener(ui, context, &vault.trusted.trust)?;
    let generation = vault.store.resolve(&vault.store.refs()?, point)?;
    let listing = secrets::list(&vault, &generation, args.profile.as_ref(), opener.as_ref(), args.suspects)?;
    if ui.json_wished() {
        let Listing { places, suspects, sealed } = &listing;
        let generation = json!({ "device": generation.device, "generation": generation.number });
        ui.json("secrets", &json!({ "of": generation, "secrets": places, "suspects": suspects, "sealed_file_count": sealed }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["FILE", "LINE", "RULE", "TOKEN", ""]);
    for place in &listing.places {
        let line = if place.line == 0 { "-".to_owned() } else { place.line.to_string() };
        let clear = if place.clear { (Look::Bad, "in clear".to_owned()) } else { plain("") };
        table.row(vec![plain(&place.path), plain(line), plain(&place.rule), plain(&place.token), clear]);
    }
    for suspect in &listing.suspects {
        let shown = format!("{}… ({})", suspect.begins, time::count(suspect.length, "byte"));
        table.row(vec![plain(&suspect.path), plain(suspect.line), (Look::Notice, "suspect".to_owned()), plain(shown), plain("")]);
    }
    table.print(ui)?;
    if opener.is_none() && listing.places.iter().any(|place| place.rule == UNKNOWN) {
        ui.status("RULE and whether a rule of today still finds a secret are told with `--identity FILE`");
    }
    if listing.sealed > 0 {
        ui.status(&format!("sealed whole: {}", time::count(listing.sealed, "file")));
    }
    if !listing.suspects.is_empty() {
        ui.status("take a suspect as a secret with `[[always-mask]]` in confvault.toml, by what stands around it");
    }
    Ok(Exit::Done)
}

fn exposed(ui: &mut Ui, context: &Context, args: &ExposedArgs) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let found = secrets::exposed(&vault, &args.devices)?;
    let mirrors: BTreeSet<&str> = found.iter().flat_map(|value| value.mirrors.iter().map(MirrorName::as_str)).collect();
    if ui.json_wished() {
        ui.json("secrets exposed", &json!({ "exposed": found, "mirrors": mirrors }))?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        ui.status("nothing that a rule of today knows stands in clear");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["DEVICE", "FILE", "RULE", "GENERATIONS", "MIRRORS", "TOKEN"]);
    for Exposed { device, path, rule, token, generations, months, mirrors } in &found {
        let token = token.clone().unwrap_or_default();
        let mirrors = mirrors.iter().map(MirrorName::as_str).collect::<Vec<_>>().join(", ");
        // Logs are in no generation.
        let months = months.iter().map(|name| name.trim_start_matches("refs/heads/")).collect::<Vec<_>>().join(", ");
        let place = if months.is_empty() { ranges(generations) } else { months };
        let cells = [path.clone(), rule.clone(), place, mirrors, token];
        table.row(std::iter::once((Look::Strong, device.to_string())).chain(cells.map(plain)).collect());
    }
    table.print(ui)?;
    ui.warn("These values, and files marked not-sealed, stand in clear in what is shown: change them on the devices");
    if !mirrors.is_empty() {
        let mirrors = mirrors.into_iter().collect::<Vec<_>>().join(", ");
        ui.warn(&format!("They were pushed, and whoever had a mirror then may have them: {mirrors}"));
    }
    Ok(Exit::Done)
}

/// Writes sorted numbers as `1-3, 5`.
fn ranges(numbers: &[u64]) -> String {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match out.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            Some((_, end)) if *end == *number => {}
            _ => out.push((*number, *number)),
        }
    }
    let show = |(a, b): &(u64, u64)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    out.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_shown_as_ranges() {
        assert_eq!(super::ranges(&[1, 2, 3, 5, 5, 9]), "1-3, 5, 9");
    }
}
