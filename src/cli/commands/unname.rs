//! `confvault unname`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::Ui;
use crate::model::{DeviceName, NameTag};
use crate::ops::{Vault, name};

/// Remove the name of a generation
///
/// The generation stays. The name stays used: it is never given to another generation.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault unname pbx golden\n", exit_codes!()))]
pub(crate) struct UnnameArgs {
    /// The device
    device: DeviceName,
    /// The name
    name: NameTag,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &UnnameArgs) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let number = name::unname(&vault, &args.device, &args.name)?;
    if ui.json_wished() {
        ui.json("unname", &json!({ "device": args.device, "generation": number, "name": args.name }))?;
    } else {
        ui.line(&format!("{}@{number} is no longer {}", args.device, args.name))?;
    }
    Ok(Exit::Done)
}
