//! `confvault drill`

use std::path::{Path, PathBuf};

use super::drill_show;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::signals;
use crate::cli::time::Since;
use crate::cli::ui::Ui;
use crate::fsio;
use crate::inventory::Seconds;
use crate::mirror::GitEnv;
use crate::model::{DeviceName, MirrorName, Point};
use crate::ops::drill::{self, Drilled, Failure, Options, Place, Sample};
use crate::ops::mirror::Surroundings;
use crate::ops::snapshot::World;
use crate::ops::{Reader, Vault};

/// Exercise the recovery of devices from a mirror, and record it
///
/// Fetches the mirror into an empty private folder, as if the store and its machine were lost, checks who signed it,
/// opens it with the identity that is named, puts each device back, compares every file with its digests, runs the
/// syntax check of its profile where the program for it is installed, and measures the time. What was done and found is
/// a signed record in the journal; `drill show` prints it as a protocol. The store here is only compared with, the mirror
/// is not written to.
///
/// A device whose name is that of a subcommand stands behind `--`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault drill --identity admin/identity.txt\n  confvault drill pbx gw-1@golden --from offsite --target 4h\n  \
     confvault drill --sample 5 --by 'A. Deputy' --html drill.html\n  confvault drill pbx --into lab-pbx\n  confvault drill due\n  confvault drill show\n",
    exit_codes!(), ";\nof a drill that failed: 13 damage or a foreign hand, 12 no identity opens it, 1 no mirror, else 3"
))]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    command: Option<DrillCommand>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Devices, or points such as gw-1@golden (default: every device of the inventory, as it was last)
    #[arg(value_name = "DEVICE")]
    points: Vec<Point>,
    /// Only N devices, by chance; those that were never proven, or whose proof is oldest, come first
    #[arg(long, value_name = "N", conflicts_with = "points")]
    sample: Option<usize>,
    /// What chance begins with, to repeat a choice (default: another each time; it is recorded)
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    seed: Option<u32>,
    /// The mirror (default: the only one)
    #[arg(long, value_name = "MIRROR")]
    from: Option<MirrorName>,
    /// Put it back to this device, too, which stands in for the one that is named: it is overwritten
    #[arg(long, value_name = "DEVICE", requires = "points")]
    into: Option<DeviceName>,
    /// Do not ask before a stand-in is overwritten
    #[arg(long, requires = "into")]
    yes: bool,
    /// How long it may take, such as 4h or 30min (default: `recovery_target` of confvault.toml)
    #[arg(long, value_name = "TIME")]
    target: Option<Seconds>,
    /// Who exercises (default: who is logged in)
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What is to be said of it in the protocol
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Into this folder, empty or new, and leave everything there, secrets in clear
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Do not run the syntax checks of the profiles
    #[arg(long)]
    no_check: bool,
    /// Write the protocol as one HTML page, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Devices at the same time (default: 2)
    #[arg(long, value_name = "N", default_value_t = 2, hide_default_value = true)]
    jobs: usize,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Debug, clap::Subcommand)]
enum DrillCommand {
    /// List the drills that are recorded, newest first
    List {
        /// Only what is as young: a date, a time, or an age such as 7d
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
    },
    /// Print the protocol of a drill, and whose signature it stands under
    Show {
        /// The id of the drill, or its beginning (default: the newest)
        id: Option<String>,
        /// Write it as one HTML page, too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Say which devices are due by the policy `drill_every`, and when each was last proven
    ///
    /// Ends with 3 if a drill is overdue.
    Due,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DrillArgs) -> Outcome {
    match &args.command {
        None => exercise(ui, context, &args.run),
        Some(DrillCommand::List { since }) => {
            let store = context.store()?;
            drill_show::list(ui, &drill::list(&store, &store.refs()?, since.map(|since| since.0))?)
        }
        Some(DrillCommand::Show { id, html }) => show(ui, context, id.as_deref(), html.as_deref()),
        Some(DrillCommand::Due) => {
            let reader = Reader::open(&context.root()?, None)?;
            let inventory = context.inventory()?;
            drill_show::due(ui, &inventory, &drill::due(&inventory, &reader.store, chrono::Utc::now())?)
        }
    }
}

fn exercise(ui: &mut Ui, context: &Context, args: &RunArgs) -> Outcome {
    let cancel = signals::cancel();
    let git = GitEnv::of(crate::cli::env::all());
    let around = Surroundings { env: &git, cancel: &cancel };
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let vault = Vault::open(&context.root()?)?;
    if let Some(onto) = args.into.as_ref().filter(|_| !args.yes) {
        match ui.confirm(&format!("Overwrite device {onto}, which stands in?"))? {
            Some(true) => {}
            Some(false) => return Err(CommandError::failed("Nothing was done, as the answer was not `yes`")),
            None => {
                let error = CommandError::usage("Nothing is asked without a terminal, and nothing was done");
                return Err(
                    error.hint(format!("look with `confvault restore POINT --device --onto {onto} --plan`, then say `--yes`"))
                );
            }
        }
    }
    let keep = args.keep.as_deref().map(|dir| context.absolute(dir)).transpose()?;
    let seed = args.seed.unwrap_or_else(drill::seed);
    let options = Options {
        points: args.points.clone(),
        sample: args.sample.map(|count| Sample { count, seed }),
        from: args.from.clone(),
        into: args.into.clone(),
        place: keep.map_or_else(|| Place::Temporary(context.env.temporary.clone()), Place::Keep),
        identities: args.identity.load(ui, context)?,
        by: args.by.clone().or_else(crate::cli::env::user),
        note: args.note.clone(),
        host: context.env.host.clone(),
        target: args.target,
        check: !args.no_check,
        jobs: args.jobs,
    };
    let bar = ui.progress("drill", 0);
    let done = drill::drill(&vault, &options, around, &world, &|phase, done, all| bar.at(phase, done, all));
    ui.finish_progress();
    let Drilled { run, protocol, recorded } = done?;
    let failure = protocol.failure();
    match recorded {
        Ok(()) => {
            let store = context.store()?;
            let held = drill::find(&store, &store.refs()?, Some(run.as_str()))?;
            let signed = drill::signed(&context.store_root()?, &store, &held)?;
            drill_show::one(ui, "drill", &held, &signed)?;
            html(ui, context, args.html.as_deref(), &held, &signed)?;
        }
        // What was found must not be lost because it could not be kept.
        Err(error) => {
            drill_show::unrecorded(ui, run.as_str(), &protocol)?;
            let error = CommandError::from(error);
            let mut texts = error.texts();
            texts[0] = format!("The drill is not recorded: {}", texts[0]);
            ui.finding(&texts, error.hints());
            return Ok(failure.map_or(error.exit(), exit));
        }
    }
    Ok(failure.map_or(Exit::Done, exit))
}

/// How a drill that failed ends.
fn exit(failure: Failure) -> Exit {
    match failure {
        Failure::Damage => Exit::Damage,
        Failure::Identity => Exit::Key,
        Failure::Unreachable => Exit::Failed,
        Failure::Partly => Exit::Partly,
    }
}

fn show(ui: &mut Ui, context: &Context, id: Option<&str>, file: Option<&Path>) -> Outcome {
    let store = context.store()?;
    let held = drill::find(&store, &store.refs()?, id)?;
    let signed = drill::signed(&context.store_root()?, &store, &held)?;
    drill_show::one(ui, "drill show", &held, &signed)?;
    html(ui, context, file, &held, &signed)?;
    Ok(if signed.by.is_ok() { Exit::Done } else { Exit::Damage })
}

fn html(
    ui: &mut Ui,
    context: &Context,
    file: Option<&Path>,
    held: &drill::Held,
    signed: &drill::Signed,
) -> Result<(), CommandError> {
    let Some(file) = file else { return Ok(()) };
    fsio::write_file(&context.absolute(file)?, &drill_show::page(held, signed)?, 0o600)?;
    ui.status(&format!("written to {}", file.display()));
    Ok(())
}
