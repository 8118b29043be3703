//! `confvault change`

use std::ffi::OsString;

use super::change_abort::{self, AbortArgs};
use super::change_show;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::model::{DeviceName, Ticket};
use crate::ops::change::{self, Intent};
use crate::ops::snapshot::{DeviceReport, World};
use crate::ops::{self, Reader, Vault};
use crate::store::ChangeId;

/// Record a change: a snapshot before it, one after it, who, why, ticket
///
/// What stood before and after is found as DEVICE@pre/TICKET and DEVICE@post/TICKET, also where a snapshot
/// found nothing new. The second change under a ticket is TICKET/2.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault change open gw-1 --ticket CHG-7 --why 'new trunk'\n  confvault change close CHG-7\n  \
     confvault change abort CHG-7 --restore\n  \
     confvault change run gw-1 --ticket CHG-8 --why 'codec order' -- ansible-playbook codecs.yml\n  \
     confvault diff gw-1@pre/CHG-7 @post/CHG-7\n",
    exit_codes!(), ";\n`run` ends with the code of its command; 3 if that is 0 and a snapshot after it failed"
))]
pub(crate) struct ChangeArgs {
    #[command(subcommand)]
    command: ChangeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ChangeCommand {
    /// Take the snapshots before a change, and open it if all were taken
    Open(IntentArgs),
    /// Take the snapshots after a change, say what differs, and close it if all were taken
    Close(EndArgs),
    /// Give a change up, whatever its devices answer
    Abort {
        #[command(flatten)]
        end: EndArgs,
        #[command(flatten)]
        restore: AbortArgs,
    },
    /// Run a command between two snapshots; the second is taken whatever the command does
    Run {
        #[command(flatten)]
        intent: IntentArgs,
        /// The command and its arguments; it finds the change in CONFVAULT_CHANGE
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// List the changes that are open
    List {
        /// Those that ended, too
        #[arg(long)]
        all: bool,
    },
    /// Show a change and what it did
    Show {
        /// The ticket, or TICKET/N for the Nth change under it
        change: ChangeId,
    },
}

#[derive(Debug, clap::Args)]
struct IntentArgs {
    /// Devices that are to be changed
    #[arg(required = true, value_name = "DEVICE")]
    devices: Vec<DeviceName>,
    /// The ticket of the change
    #[arg(long)]
    ticket: Ticket,
    /// Why it is done
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who does it (default: who is logged in)
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, clap::Args)]
struct EndArgs {
    /// The ticket of the change
    ticket: Ticket,
    /// What is to be said of it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl IntentArgs {
    fn intent(&self) -> Intent {
        Intent {
            devices: self.devices.clone(),
            ticket: self.ticket.clone(),
            why: self.why.clone(),
            by: self.by.clone().or_else(crate::cli::env::user),
        }
    }
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ChangeArgs) -> Outcome {
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    match &args.command {
        ChangeCommand::List { all } => change_show::list(ui, &change::list(&context.store()?, *all)?, *all),
        ChangeCommand::Show { change } => {
            let shown = change::show(&Reader::open(&context.store_root()?, None)?, change, &world)?;
            change_show::one(ui, &shown.item, &shown.summaries)
        }
        ChangeCommand::Open(args) => open(ui, context, &args.intent(), &world),
        ChangeCommand::Close(args) => end(ui, context, args, &world, false),
        ChangeCommand::Abort { end: args, restore } if restore.is_meant() => {
            change_abort::run(ui, context, &args.ticket, args.note.as_deref(), restore, &world)
        }
        ChangeCommand::Abort { end: args, .. } => end(ui, context, args, &world, true),
        ChangeCommand::Run { intent, command } => between(ui, context, &intent.intent(), command, &world),
    }
}

/// Does something of the library with a progress bar.
fn with_bar<T>(
    ui: &mut Ui,
    devices: usize,
    work: impl FnOnce(&mut dyn FnMut(&DeviceReport)) -> Result<T, ops::Error>,
) -> Result<T, CommandError> {
    let bar = ui.progress("collecting", devices as u64);
    let done = work(&mut |device| bar.step(device.device.as_str()));
    ui.finish_progress();
    Ok(done?)
}

fn open(ui: &mut Ui, context: &Context, intent: &Intent, world: &World<'_>) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let opened = with_bar(ui, intent.devices.len(), |step| change::open(&vault, intent, world, step))?;
    let exit = change_show::opened(ui, "change open", &opened)?;
    super::snapshot::tell_all(ui, opened.report);
    Ok(exit)
}

fn end(ui: &mut Ui, context: &Context, args: &EndArgs, world: &World<'_>, abort: bool) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let how = if abort { change::abort } else { change::close };
    let ended = with_bar(ui, 0, |step| how(&vault, &args.ticket, args.note.as_deref(), world, step))?;
    change_show::ended(ui, if abort { "change abort" } else { "change close" }, ended, None)
}

fn between(ui: &mut Ui, context: &Context, intent: &Intent, command: &[OsString], world: &World<'_>) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    // A progress bar would stand in the output of the command.
    let ran = change::run(&vault, intent, command, world, &mut |_| {})?;
    let code = ran.code();
    if ran.ended.is_some() {
        let found = ran.opened.report.unannounced().filter_map(|found| Some((found.device.as_str(), found.number()?)));
        found.for_each(|(device, number)| super::snapshot::tell_unannounced(ui, device, number));
    }
    let Some(ended) = ran.ended else {
        let exit = change_show::opened(ui, "change run", &ran.opened)?;
        super::snapshot::tell_all(ui, ran.opened.report);
        ui.warn("the command was not run, as there is no snapshot from before it");
        return Ok(exit);
    };
    if let Some(Err(error)) = &ran.command {
        let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
        ui.warn(&format!("the command did not start ({error}): {program}"));
    }
    let exit = change_show::ended(ui, "change run", ended, None)?;
    Ok(match code {
        Some(code) if code > 0 => Exit::Command(code),
        _ => exit,
    })
}
