//! `confvault name`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::Ui;
use crate::model::{NameTag, Point};
use crate::ops::{Vault, name};

/// Give a generation a name
///
/// A name is an annotated tag. Once used, it is never given to another generation.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault name pbx golden\n  confvault name pbx@41 before-upgrade --note 'last known good'\n",
    exit_codes!()
))]
pub(crate) struct NameArgs {
    /// The generation
    point: Point,
    /// The name: letters, digits, `.`, `-`, `_`, beginning with a letter
    name: NameTag,
    /// Why
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &NameArgs) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let generation = name::name(&vault, &args.point, &args.name, args.note.as_deref())?;
    if ui.json_wished() {
        ui.json("name", &json!({ "device": generation.device, "generation": generation.number, "name": args.name }))?;
    } else {
        ui.line(&format!("{}@{} is {}", generation.device, generation.number, args.name))?;
    }
    Ok(Exit::Done)
}
