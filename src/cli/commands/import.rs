//! `confvault import`

use std::path::PathBuf;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::exit_codes;
use crate::cli::signals;
use crate::cli::ui::Ui;
use crate::collect::inventories::read;
use crate::inventory::{Credential, ProfileName};
use crate::model::{ConfigPath, DeviceName, Release};
use crate::ops::Vault;
use crate::ops::import::{COMMIT_EVERY, Layout, Options, Pattern, Step, adopt, import};

/// Take over the history that another program kept in a git repository
///
/// Each state of a device becomes a generation with its time and author, masked, sealed and signed like any other.
/// Run again, only what came since is taken. What is empty or cut off is left out and named.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImportCommand {
    Oxidized(OxidizedArgs),
    Rancid(RancidArgs),
    Git(GitArgs),
}

/// From a repository of Oxidized: a file is a device, folders are groups
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault import oxidized ~oxidized/.config/oxidized/default.git --profile cisco-ios --plan\n  \
     confvault import oxidized default.git --config ~oxidized/.config/oxidized/config --map vyos=linux --add\n",
    exit_codes!()
))]
struct OxidizedArgs {
    #[command(flatten)]
    common: Common,
}

/// From a repository of RANCID: a file in `configs` is a device
///
/// The models are found in its router.db and in the first line of each file.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault import rancid /var/lib/rancid/CVS/core\n  \
     confvault import rancid /var/lib/rancid/CVS/core --add --user backup --credential env:GW_PASSWORD\n",
    exit_codes!()
))]
struct RancidArgs {
    #[command(flatten)]
    common: Common,
}

/// From any repository: a folder at its top is a device, unless told otherwise
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault import git /etc --device pbx --profile asterisk --below asterisk\n  \
     confvault import git configs.git --device-from '^sites/[^/]+/(?<device>[^/]+)[.]cfg$' --profile cisco-ios\n",
    exit_codes!()
))]
struct GitArgs {
    /// The whole repository is this device, as with etckeeper
    #[arg(long, value_name = "NAME", conflicts_with = "device_from")]
    device: Option<DeviceName>,
    /// Expression on paths whose group `device` is the name, and `path` the file in its set
    ///
    /// Without `path`, what follows behind `NAME/` is the file; where nothing does, the file is the configuration of the device.
    #[arg(long, value_name = "REGEX")]
    device_from: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The repository, bare or with a working tree
    repo: PathBuf,
    /// The branch (default: that of HEAD); of merges, the first parent counts
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Only what lies in this folder of the repository
    #[arg(long, value_name = "FOLDER")]
    below: Option<ConfigPath>,
    /// Only this device; can be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<DeviceName>,
    /// Profile of devices whose model is not known
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Profile of a model; can be given more than once
    #[arg(long = "map", value_name = "MODEL=PROFILE", value_parser = mapping)]
    maps: Vec<(String, ProfileName)>,
    /// Release of a first state in which none is found
    #[arg(long, value_name = "RELEASE")]
    release: Option<Release>,
    /// List of the devices with their models: the `config` of Oxidized, a router.db, or a table as for `device import`
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Take states that are cut off; WHY stands in their generations
    #[arg(long, value_name = "WHY", num_args = 0..=1, require_equals = true, default_missing_value = "accepted")]
    accept: Option<String>,
    /// Keep the messages of the commits as notes; they stand in clear
    #[arg(long)]
    messages: bool,
    /// Do everything but commit
    #[arg(long)]
    plan: bool,
    /// Take devices that are not in the inventory into it
    #[arg(long, conflicts_with = "plan")]
    add: bool,
    /// With --add: user of devices for which the list has none
    #[arg(long, value_name = "USER", requires = "add")]
    user: Option<String>,
    /// With --add: credential of devices for which the list has none
    #[arg(long, value_name = "WHERE", requires = "add")]
    credential: Option<Credential>,
}

/// Reads `MODEL=PROFILE`.
pub(super) fn mapping(text: &str) -> Result<(String, ProfileName), String> {
    let (model, profile) = text.split_once('=').ok_or("a model and its profile, such as ios=cisco-ios")?;
    Ok((model.to_ascii_lowercase(), profile.parse::<ProfileName>().map_err(|error| error.to_string())?))
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ImportArgs) -> Outcome {
    let (layout, common) = match &args.command {
        ImportCommand::Oxidized(args) => (Layout::Oxidized, &args.common),
        ImportCommand::Rancid(args) => (Layout::Rancid, &args.common),
        ImportCommand::Git(args) => (layout(args)?, &args.common),
    };
    let root = context.root()?;
    let vault = Vault::open(&root)?;
    if vault.sealer.is_none() {
        ui.warn("secrets are kept in clear in this store (made with --no-sealing)");
    }
    let options = Options {
        repo: context.absolute(&common.repo)?,
        layout,
        branch: common.branch.clone(),
        below: common.below.clone(),
        only: common.only.clone(),
        listed: match &common.list {
            Some(file) => read(&context.absolute(file)?, common.user.as_deref(), context.env.home.as_deref())?,
            None => Vec::new(),
        },
        user: common.user.clone(),
        map: common.maps.iter().cloned().collect(),
        profile: common.profile.clone(),
        release: common.release.clone(),
        accept: common.accept.clone(),
        messages: common.messages,
        plan: common.plan,
        commit_every: COMMIT_EVERY,
    };
    let cancel = signals::cancel();
    let bar = ui.progress("importing", 0);
    let report = import(&vault, &options, &cancel, &mut |step| match step {
        Step::Read(devices) => bar.to(0, devices as u64),
        Step::Device(name) => bar.step(name),
    });
    ui.finish_progress();
    let report = report?;
    let added = if common.add { adopt(&root, &report, common.credential.as_ref())? } else { Vec::new() };
    super::device_import::tell_passwords(ui, report.listed.iter().filter(|listed| added.contains(&listed.name)));
    super::import_show::show(ui, report, &added, common.plan)
}

fn layout(args: &GitArgs) -> Result<Layout, CommandError> {
    Ok(match (&args.device, &args.device_from) {
        (Some(device), _) => Layout::Device(device.clone()),
        (None, Some(text)) => Layout::Pattern(text.parse::<Pattern>().map_err(crate::ops::Error::from)?),
        (None, None) => Layout::TopFolder,
    })
}
