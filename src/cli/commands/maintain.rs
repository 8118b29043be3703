//! `confvault maintain`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::time::{self, count};
use crate::cli::ui::Ui;
use crate::ops::Vault;
use crate::ops::maintain::{maintain, remake};
use crate::store::maintain::Effort;

/// Fold and recompress the packs of the store, beside running snapshots
///
/// Nothing of any generation is lost or altered. Snapshots write their packs fast; this makes them few
/// and small. Run it once a week, or when `confvault log` grows slow.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault maintain\n  confvault maintain --quick\n", exit_codes!()))]
pub(crate) struct MaintainArgs {
    /// Only fold small packs together; less work, less gained
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &MaintainArgs) -> Outcome {
    let root = context.root()?;
    let remade = remake(&root)?;
    if remade.packs > 0 {
        let packs = count(remade.packs, "pack");
        ui.status(&format!("The first or last bytes of {packs} were damaged, and are written anew; its objects are whole"));
    }
    if remade.indices > 0 {
        let packs = count(remade.indices, "pack");
        ui.status(&format!("The index of {packs} was lost or damaged, and is made anew"));
    }
    let vault = Vault::open(&root)?;
    let done = maintain(&vault, if args.quick { Effort::Fold } else { Effort::Thorough })?;
    if ui.json_wished() {
        let document = json!({
            "packs_before_count": done.packs_before,
            "packs_after_count": done.packs_after,
            "before_bytes": done.before_bytes,
            "after_bytes": done.after_bytes,
        });
        ui.json("maintain", &document)?;
    } else {
        let (before, after) = (time::size(done.before_bytes), time::size(done.after_bytes));
        ui.line(&format!("{} of {before}, now {} of {after}", count(done.packs_before, "pack"), done.packs_after))?;
    }
    Ok(Exit::Done)
}
