//! `confvault restore --device`, `--resume`, `--undo`

use std::time::Duration;

use super::restore::RestoreArgs;
use super::restore_device_show as show;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::model::{DeviceName, Point, Ticket};
use crate::ops::device_restore::{Again, Options, Prepared, Report, Tools, Towards, prepare, run as put_back, take_up};
use crate::ops::snapshot::World;
use crate::ops::{self, Reader, Vault};

/// The heading of these options.
const HEADING: &str = "Putting back to the device";
/// What makes no sense beside `--device`.
const OTHERS: [&str; 8] = ["to", "tar", "all", "compare", "overwrite", "by_scope", "masked", "skip_damaged"];

/// What makes no sense beside what is about a device.
const INTO: [&str; 4] = ["to", "tar", "all", "compare"];

/// How a set is put back to a device.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceArgs {
    /// To the device itself
    #[arg(long, help_heading = HEADING, conflicts_with_all = OTHERS)]
    device: bool,
    /// To another device than that of the point: a stand-in, or a replacement
    #[arg(long, value_name = "DEVICE", help_heading = HEADING, requires = "device")]
    onto: Option<DeviceName>,
    /// Do not ask
    #[arg(long, help_heading = HEADING, requires = "device")]
    yes: bool,
    /// The ticket of the change, where none is open (default: one that is made up)
    #[arg(long, help_heading = HEADING, requires = "device")]
    ticket: Option<Ticket>,
    /// Why it is done
    #[arg(long, value_name = "TEXT", help_heading = HEADING, requires = "device")]
    why: Option<String>,
    /// Who does it (default: who is logged in)
    #[arg(long, value_name = "NAME", help_heading = HEADING, requires = "device")]
    by: Option<String>,
    /// Put back a set of another release than the device runs
    #[arg(long, help_heading = HEADING, conflicts_with_all = INTO)]
    across_releases: bool,
    /// Go on although what stands on the device is no whole set, so that no snapshot of it can be taken
    #[arg(long, help_heading = HEADING, conflicts_with_all = INTO)]
    incomplete: bool,
    /// Leave files that the point does not have
    #[arg(long, help_heading = HEADING, requires = "device")]
    keep_extra: bool,
    /// Take everything back if the health of the device does not come back
    #[arg(long, help_heading = HEADING, requires = "device")]
    require_health: bool,
    /// How long to wait for a device that does not answer, and for its health
    #[arg(long, value_name = "SECONDS", default_value_t = 120, help_heading = HEADING)]
    wait: u64,
    /// Finish a restore that was killed; DEVICE need not be named where there is only one
    #[arg(long, help_heading = HEADING, conflicts_with_all = OTHERS, conflicts_with_all = ["device", "undo", "plan"])]
    resume: bool,
    /// Take a restore back that was killed, or is stuck
    #[arg(long, help_heading = HEADING, conflicts_with_all = OTHERS, conflicts_with_all = ["device", "plan"])]
    undo: bool,
    /// With --resume and --undo: the device is the one that is meant, though its source or host key is another by now
    #[arg(long, help_heading = HEADING, conflicts_with_all = OTHERS, conflicts_with = "device")]
    moved: bool,
}

impl DeviceArgs {
    /// Tells whether a set is put back to a device.
    pub(super) fn is_meant(&self) -> bool {
        self.device || self.resume || self.undo
    }

    fn options(&self) -> Options {
        Options {
            across_releases: self.across_releases,
            incomplete: self.incomplete,
            require_health: self.require_health,
            wait: Duration::from_secs(self.wait),
            ticket: self.ticket.clone(),
            why: self.why.clone(),
            by: self.by.clone().or_else(crate::cli::env::user),
        }
    }
}

pub(super) fn run(
    ui: &mut Ui,
    context: &Context,
    args: &RestoreArgs,
    how: &DeviceArgs,
    reader: &Reader,
    words: &[String],
) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let tools = Tools { vault: &vault, reader, world: &world };
    if how.resume || how.undo {
        let device = match words {
            [] => None,
            [name] => Some(name.parse().map_err(|error| CommandError::usage(format!("Not a device: {error}")))?),
            _ => return Err(CommandError::usage("One device at most is named")),
        };
        let towards = if how.undo { Towards::Before } else { Towards::Point };
        let again = Again {
            towards,
            across_releases: how.across_releases,
            unverified: args.unverified,
            incomplete: how.incomplete,
            moved: how.moved,
            wait: Duration::from_secs(how.wait),
        };
        let report = take_up(tools, device.as_ref(), &again, &mut |text| ui.status(text))?;
        return show::report(ui, None, report);
    }
    let Some((point, paths)) = words.split_first() else {
        return Err(CommandError::usage("A POINT is missing").hint("`confvault log DEVICE` shows its generations"));
    };
    let point: Point = point.parse().map_err(ops::Error::from)?;
    let prepared = prepare(tools, &point, how.onto.as_ref(), args.choice(paths, how.keep_extra))?;
    let plan = &prepared.plan;
    if args.plan {
        show::plan(ui, plan)?;
        return Ok(if plan.is_equal() { Exit::Done } else { Exit::Differs });
    }
    if !ui.json_wished() {
        show::plan(ui, plan)?;
    }
    if !plan.same_release() && !how.across_releases && !ui.json_wished() {
        show::between(ui, plan)?;
    }
    match decided(ui, &prepared, how) {
        Ok(report) => show::report(ui, Some(plan), report),
        Err(error) => {
            // Whoever reads JSON has not seen yet what was refused.
            if ui.json_wished() {
                show::plan(ui, plan)?;
            }
            Err(error)
        }
    }
}

/// Puts a set back, after whoever may was asked. What would be refused is refused before.
fn decided(ui: &mut Ui, prepared: &Prepared<'_>, how: &DeviceArgs) -> Result<Report, CommandError> {
    let (plan, options) = (&prepared.plan, how.options());
    prepared.check(&options)?;
    if !plan.items.is_empty() && !how.yes {
        show::ask(ui, &format!("Put this back to {}?", plan.device))?;
    }
    Ok(put_back(prepared, &options, &mut |text| ui.status(text))?)
}
