//! `confvault drs`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::collect::drs::{Order, Progress};
use crate::model::DeviceName;
use crate::ops::drs::{Taken, backup_and_take};
use crate::ops::snapshot::World;

/// Cisco's Disaster Recovery System
#[derive(Debug, clap::Args)]
pub(crate) struct DrsArgs {
    #[command(subcommand)]
    command: DrsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DrsCommand {
    Backup(BackupArgs),
}

/// Have a call manager make a backup now, follow it, and take the set
///
/// DEVICE is the device whose source is the backup folder (drs: or drs://). The command line of the publisher is reached as
/// the device given by --via, whose source is ssh:// and whose profile is cucm.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault drs backup cucm --via cucm-pub --target NAS\n  \
     confvault drs backup cucm --via cucm-pub --target NAS --features UCM,CDR_CAR\n",
    exit_codes!()
))]
struct BackupArgs {
    /// The device whose source is the backup folder
    device: DeviceName,
    /// The device that is the publisher's command line
    #[arg(long, value_name = "DEVICE")]
    via: DeviceName,
    /// Name of the backup device in DRS
    #[arg(long, value_name = "NAME")]
    target: String,
    /// Features, with commas
    #[arg(long, value_name = "LIST", default_value = "UCM")]
    features: String,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DrsArgs) -> Outcome {
    let DrsCommand::Backup(args) = &args.command;
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let order = Order { features: args.features.clone(), target: args.target.clone(), pause: None, patience: None };
    let mut seen = 0;
    let mut told = |progress: &Progress| {
        for row in progress.rows.iter().filter(|row| row.is_over()).skip(seen) {
            ui.status(&format!("{:>3} %  {}/{} on {}: {}", progress.percent, row.feature, row.component, row.server, row.status));
        }
        seen = progress.rows.iter().filter(|row| row.is_over()).count();
    };
    let taken = backup_and_take(&context.root()?, &args.device, &args.via, &order, &world, &mut told)
        .map_err(|error| CommandError::from(error).about(&args.device))?;
    let Taken { progress, generations } = taken;
    if generations.is_empty() {
        return Err(CommandError::failed(format!(
            "The backup was made and its set did not come into the folder: {}",
            progress.file
        ))
        .hint("check that the backup device in DRS writes to the folder of the device's source"));
    }
    if ui.json_wished() {
        ui.json("drs backup", &json!({ "device": args.device, "file": progress.file, "generations": generations }))?;
    } else {
        let list = generations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ui.line(&format!("{}  generation {list}", args.device))?;
    }
    Ok(Exit::Done)
}
