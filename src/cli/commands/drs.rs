//! `confvault drs`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::model::DeviceName;
use crate::ops::Vault;
use crate::ops::reach::drs_backup;
use crate::ops::snapshot::{Options, World, snapshot};
use crate::store;

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
    let root = context.root()?;
    let vault = Vault::open(&root)?;
    vault.inventory.device(&args.device)?;
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let mut seen = 0;
    let progress = drs_backup(&root, &args.via, &args.features, &args.target, &world, &mut |progress| {
        for row in progress.rows.iter().skip(seen).filter(|row| row.status != "Active") {
            ui.status(&format!("{:>3} %  {}/{} on {}: {}", progress.percent, row.feature, row.component, row.server, row.status));
        }
        seen = progress.rows.iter().filter(|row| row.status != "Active").count();
    })?;
    let options =
        Options { devices: vec![args.device.clone()], note: Some(format!("drs backup {}", progress.file)), ..Options::default() };
    let report = snapshot(&vault, &options, &world, &mut |_| {})?;
    let mut numbers = Vec::new();
    for device in report.devices {
        match device.result {
            Ok(store::Outcome::Generation(generation)) => numbers.push(generation.number),
            Ok(store::Outcome::Unchanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if numbers.is_empty() {
        return Err(CommandError::failed(format!("The backup was made and its set is not in the folder: {}", progress.file))
            .hint("check that the backup device in DRS writes to the folder of the device's source"));
    }
    if ui.json_wished() {
        ui.json("drs backup", &json!({ "device": args.device, "file": progress.file, "generations": numbers }))?;
    } else {
        let list = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ui.line(&format!("{}  generation {list}", args.device))?;
    }
    Ok(Exit::Done)
}
