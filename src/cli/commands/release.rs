//! `confvault release`

use std::path::PathBuf;

use super::release_show;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::model::{DeviceName, Release};
use crate::ops::release::{self, Plan};
use crate::ops::review::{self, Choice, Notes};
use crate::ops::snapshot::World;
use crate::ops::{self, Reader, Vault};

/// Show releases, compare them, review the vendor's notes, and go from one to the next
///
/// A set taken under another release is another line of history, so both stay.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault release diff pbx 18.26.4 20.20.1\n  confvault release review pbx 20.20.1 --notes UPGRADE-20.txt\n  \
     confvault release review pbx 20.20.1 --notes UPGRADE-20.txt --decide 3=adapt --why 'queues.conf: set autofill'\n  \
     confvault release begin pbx 20.20.1 --why 'end of support'\n  confvault release finish pbx\n",
    exit_codes!(), ";\n`diff` ends with 0 same, 1 different, 2 trouble; `finish` with 1 where something lacks"
))]
pub(crate) struct ReleaseArgs {
    #[command(subcommand)]
    command: ReleaseCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReleaseCommand {
    /// List the releases that a device had
    List {
        /// The device
        device: DeviceName,
    },
    /// Compare two releases by file and by setting: gone, new, renamed, default changed
    Diff {
        /// The device
        device: DeviceName,
        /// The old release; its newest generation counts
        old: Release,
        /// The new release; its newest generation counts
        new: Release,
    },
    /// List what the vendor's notes say of what this device uses, and record what is decided of it
    Review(ReviewArgs),
    /// Keep and name the last generation under the old release
    Begin {
        /// The device
        device: DeviceName,
        /// The new release
        new: Release,
        /// Why it is done
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Begin although the review is not done
        #[arg(long, value_name = "WHY")]
        unreviewed: Option<String>,
    },
    /// Keep the first generation under the new release, and check it for what the old set had
    Finish {
        /// The device
        device: DeviceName,
        /// End the upgrade although something lacks
        #[arg(long, value_name = "WHY")]
        accept: Option<String>,
    },
    /// Show the way back to the release before
    Rollback {
        /// The device
        device: DeviceName,
        /// The device has the old release again: keep what it has, and end the upgrade
        #[arg(long)]
        done: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ReviewArgs {
    /// The device; its newest generation tells what it uses
    device: DeviceName,
    /// The new release
    new: Release,
    /// Change notes of the vendor, Markdown or text; can be given more than once
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    notes: Vec<PathBuf>,
    /// Decide on item N of the list (or its id, or `rest`): `accept`, `adapt` or `ignore`
    #[arg(long, value_name = "N=DECISION", value_parser = decision)]
    decide: Vec<(String, Choice)>,
    /// Why it is decided so
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Show only what is not decided
    #[arg(long)]
    undecided: bool,
    /// Read lists of commits too, not only the chapters of notes
    #[arg(long)]
    all: bool,
}

impl ReleaseArgs {
    /// Tells whether the exit codes are those of `diff`.
    pub(super) fn compares(&self) -> bool {
        matches!(self.command, ReleaseCommand::Diff { .. })
    }
}

fn decision(text: &str) -> Result<(String, Choice), String> {
    let (which, choice) = text.split_once('=').ok_or_else(|| "N=accept, N=adapt or N=ignore is wanted".to_owned())?;
    Ok((which.to_owned(), choice.parse()?))
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ReleaseArgs) -> Outcome {
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    match &args.command {
        ReleaseCommand::List { device } => {
            let store = context.store()?;
            release_show::list(ui, device, &release::list(&store, &store.refs()?, device)?)
        }
        ReleaseCommand::Diff { device, old, new } => {
            let reader = Reader::open(&context.store_root()?, None)?;
            release_show::diff(ui, device, &release::diff(&reader, device, old, new)?)
        }
        ReleaseCommand::Review(args) => review(ui, context, args),
        ReleaseCommand::Begin { device, new, why, unreviewed } => {
            let vault = Vault::open(&context.root()?)?;
            let plan = Plan {
                device: device.clone(),
                to: new.clone(),
                why: why.clone(),
                by: crate::cli::env::user(),
                unreviewed: unreviewed.clone(),
            };
            release_show::begun(ui, release::begin(&vault, &plan, &world, &mut |_| {})?)
        }
        ReleaseCommand::Finish { device, accept } => {
            let vault = Vault::open(&context.root()?)?;
            release_show::finished(ui, release::finish(&vault, device, accept.as_deref(), &world, &mut |_| {})?)
        }
        ReleaseCommand::Rollback { device, done: false } => {
            let reader = Reader::open(&context.store_root()?, None)?;
            let way = release::rollback(&reader, device)?;
            let profile = reader.profile_of(device).map_err(CommandError::from)?;
            release_show::way(ui, &way, &profile)
        }
        ReleaseCommand::Rollback { device, done: true } => {
            let vault = Vault::open(&context.root()?)?;
            let report = release::rolled_back(&vault, device, &world, &mut |_| {})?;
            let (_, _, failed) = report.counts();
            super::snapshot::tell_all(ui, report);
            Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
        }
    }
}

fn review(ui: &mut Ui, context: &Context, args: &ReviewArgs) -> Outcome {
    let mut notes = Vec::new();
    for file in &args.notes {
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        notes.push(Notes::read(&name, &context.absolute(file)?).map_err(ops::Error::from)?);
    }
    let reader = Reader::open(&context.root()?, None)?;
    let mut found = review::review(&reader, &args.device, &args.new, &notes, args.all)?;
    let vault = Vault::open(&context.root()?)?;
    review::decide(&vault, &mut found, &args.decide, args.why.as_deref(), crate::cli::env::user().as_deref())?;
    release_show::review(ui, &found, args.undecided)
}
