//! `confvault credential`

use std::io::{IsTerminal as _, Read as _};

use serde_json::json;

use super::journal::note;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::Ui;
use crate::collect::ConnectError;
use crate::collect::credentials::{Slot, set, unset};
use crate::model::DeviceName;
use crate::seal::Secret;
use crate::store::Record;

/// Keep credentials of devices, sealed to this collector
///
/// A device uses them with `credential = "store"`. They lie in the folder `credentials` beside confvault.toml, and only the
/// collector's own identity opens them; they are no part of the store and of no mirror.
#[derive(Debug, clap::Args)]
pub(crate) struct CredentialArgs {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CredentialCommand {
    Set(OneArgs),
    Remove(OneArgs),
}

/// The credential of a device
///
/// `set` asks for the secret at a terminal, or reads its first line from standard input. It is never an argument.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault credential set gw-1\n  pass show gw-1 | confvault credential set gw-1\n  \
     confvault credential set gw-1 --second\n",
    exit_codes!()
))]
struct OneArgs {
    /// The device
    device: DeviceName,
    /// The second one: the passphrase of a key, or the enable password
    #[arg(long)]
    second: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &CredentialArgs) -> Outcome {
    let root = context.root()?;
    let failed = |error| CommandError::from(crate::collect::CollectError::from(ConnectError::from(error)));
    let slot = |args: &OneArgs| if args.second { Slot::Second } else { Slot::First };
    let (device, done) = match &args.command {
        CredentialCommand::Set(args) => {
            context.inventory()?.device(&args.device)?;
            let secret = read(ui, &format!("Credential of {}: ", args.device))?;
            set(&root, &args.device, slot(args), &secret).map_err(failed)?;
            note(ui, context, Record::new("credential", "set").with("device", args.device.as_str()));
            (&args.device, "set")
        }
        CredentialCommand::Remove(args) => {
            let there = unset(&root, &args.device, slot(args)).map_err(failed)?;
            if there {
                note(ui, context, Record::new("credential", "removed").with("device", args.device.as_str()));
            } else {
                context.inventory()?.device(&args.device)?;
            }
            (&args.device, if there { "removed" } else { "not there" })
        }
    };
    if ui.json_wished() {
        ui.json("credential", &json!({ "device": device, "done": done }))?;
    } else {
        ui.line(&format!("credential of {device} {done}"))?;
        if done == "set" {
            ui.status(&format!("use it with `confvault device set {device} --credential store`"));
        }
    }
    Ok(Exit::Done)
}

/// Asks at a terminal, or takes what is piped in.
fn read(ui: &mut Ui, question: &str) -> Result<Secret, CommandError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return ui.passphrase(question).ok_or_else(|| CommandError::failed("No credential was typed"));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    input.take(64 << 10).read_to_end(&mut bytes)?;
    Ok(Secret::new(bytes.to_vec()))
}
