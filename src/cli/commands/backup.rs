//! `confvault backup`

use serde_json::json;

use super::journal::note;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::model::DeviceName;
use crate::ops::backup::make_and_take;
use crate::ops::snapshot::World;
use crate::store::Record;

/// Have a device make a backup of its own now, and take it
///
/// For devices whose configuration lies in a database that only their own backup holds, such as FreePBX. What stands there is taken
/// first; then the commands of the profile (`[backup]`) are run on the device, and what came of them is taken. A call
/// manager is told by `confvault drs backup`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault backup pbx\n  confvault backup pbx --job 4e2a5c6e-0000-4000-8000-000000000001\n",
    exit_codes!()
))]
pub(crate) struct BackupArgs {
    /// The device
    device: DeviceName,
    /// The job of the device that is run; it may be left out where the device has one
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &BackupArgs) -> Outcome {
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let device = &args.device;
    let mut told = |step: &str| ui.status(&format!("{device}: {step}"));
    let done = make_and_take(&context.root()?, device, args.job.as_deref(), &world, &mut told);
    let taken = match done {
        Ok(taken) => taken,
        Err(error) => {
            let error = CommandError::from(error).about(device);
            let failed = Record::new("backup", "failed").with("device", device.as_str());
            note(ui, context, failed.with("reason", error.texts().join(": ")));
            return Err(error);
        }
    };
    let record = Record::new("backup", "done").with("device", device.as_str()).with("generation", taken.generation);
    note(ui, context, record);
    let files: Vec<String> = taken.files.iter().map(ToString::to_string).collect();
    if ui.json_wished() {
        let whole = json!({ "device": device, "job": taken.job, "generation": taken.generation, "files": files });
        ui.json("backup", &whole)?;
    } else {
        ui.line(&format!("{device}  generation {}  {}", taken.generation, files.join(", ")))?;
    }
    Ok(Exit::Done)
}
