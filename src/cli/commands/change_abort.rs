//! `confvault change abort --restore`

use std::time::Duration;

use serde_json::json;

use super::{change_show, restore_device_show as show};
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::identity::IdentityArgs;
use crate::cli::ui::Ui;
use crate::model::Ticket;
use crate::ops::change;
use crate::ops::device_restore::{Options, Tools, is_put_back, prepare_change, run_change};
use crate::ops::snapshot::World;
use crate::ops::{Reader, Vault};

/// How devices are put back to where they stood before a change.
#[derive(Debug, clap::Args)]
pub(super) struct AbortArgs {
    /// Put the devices back to where they stood before; the change stays open if one cannot be
    #[arg(long)]
    restore: bool,
    /// Do not ask
    #[arg(long, requires = "restore")]
    yes: bool,
    /// Put back also a device that runs another release by now
    #[arg(long, requires = "restore")]
    across_releases: bool,
    /// How long to wait for a device that does not answer, and for its health
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "restore")]
    wait: u64,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl AbortArgs {
    /// Tells whether devices are to be put back.
    pub(super) fn is_meant(&self) -> bool {
        self.restore
    }
}

pub(super) fn run(
    ui: &mut Ui,
    context: &Context,
    ticket: &Ticket,
    note: Option<&str>,
    args: &AbortArgs,
    world: &World<'_>,
) -> Outcome {
    let root = context.root()?;
    let identities = args.identity.load(ui, context)?;
    let (vault, reader) = (Vault::open(&root)?, Reader::open(&root, identities.as_ref())?);
    let prepared = prepare_change(Tools { vault: &vault, reader: &reader, world }, ticket)?;
    if !ui.json_wished() {
        for one in &prepared {
            show::plan(ui, &one.plan)?;
        }
    }
    prepared.iter().try_for_each(|one| one.check_identity())?;
    if !args.yes && prepared.iter().any(|one| !one.plan.items.is_empty()) {
        show::ask(ui, "Put this back, and give the change up?")?;
    }
    let options = Options {
        across_releases: args.across_releases,
        incomplete: false,
        require_health: false,
        wait: Duration::from_secs(args.wait),
        ticket: None,
        why: Some(format!("change {ticket} given up")),
        by: crate::cli::env::user(),
    };
    let done = run_change(&prepared, &options, &mut |text| ui.status(text));
    let whole = done.iter().all(|(_, result)| is_put_back(result));
    let mut documents = Vec::new();
    let mut exit = Exit::Done;
    for (one, (device, result)) in prepared.iter().zip(done) {
        match result {
            Ok(report) => {
                documents.push(show::report_document(Some(&one.plan), &report));
                if !ui.json_wished() {
                    show::text(ui, &report)?;
                }
                exit = show::worse(exit, show::end(ui, report)?);
            }
            Err(error) => {
                let error = CommandError::from(error);
                let mut texts = error.texts();
                documents.push(json!({ "device": device, "outcome": "refused", "reason": texts.join(": ") }));
                texts[0] = format!("Device {device}: {}", texts[0]);
                ui.finding(&texts, error.hints());
                exit = show::worse(exit, error.exit());
            }
        }
    }
    if !whole {
        if ui.json_wished() {
            ui.json("change abort", &json!({ "ticket": ticket, "state": "open", "restored": documents }))?;
        }
        ui.warn(&format!("the change under ticket {ticket} is open still: not every device stands as before"));
        return Ok(if exit == Exit::Done { Exit::Partly } else { exit });
    }
    let ended = change::abort(&vault, ticket, note, world, &mut |_| {})?;
    let ended = change_show::ended(ui, "change abort", ended, Some(documents))?;
    Ok(show::worse(exit, ended))
}
