//! `confvault profile`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::table::{Table, plain};
use crate::cli::ui::{Look, Ui};
use crate::inventory::ProfileName;
use crate::profile::Origin;

/// List, show and test profiles
///
/// A profile says what is known of a device family: what belongs to which scope, where the release
/// stands, which lines are volatile, where secrets are. Profiles of your own lie in the folder
/// `profiles` beside confvault.toml.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ProfileCommand {
    List(ListArgs),
    Show(ShowArgs),
    Test(super::profile_test::TestArgs),
}

/// Show the file of a profile
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault profile show asterisk\n  confvault profile show asterisk > profiles/my-asterisk.toml\n",
    exit_codes!()
))]
struct ShowArgs {
    /// Name of the profile
    name: ProfileName,
}

/// List all profiles; with -v, what in each was never verified
///
/// UNVERIFIED counts the facts of a profile that were never seen on a real device. The file of the profile says the same of each.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault profile list\n  confvault profile list -v\n  confvault profile list --json\n", exit_codes!()))]
struct ListArgs {}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ProfileArgs) -> Outcome {
    match &args.command {
        ProfileCommand::List(_) => list(ui, context),
        ProfileCommand::Show(args) => show(ui, context, args),
        ProfileCommand::Test(args) => super::profile_test::run(ui, context, args),
    }
}

fn list(ui: &mut Ui, context: &Context) -> Outcome {
    let profiles = context.profiles()?.list()?;
    if ui.json_wished() {
        let profiles: Vec<_> = profiles
            .iter()
            .map(|p| {
                let file = match &p.origin {
                    Origin::Builtin => None,
                    Origin::File(file) => Some(file),
                };
                json!({ "name": p.name, "title": p.title, "file": file, "unverified_count": p.unverified.len(), "unverified": p.unverified })
            })
            .collect();
        ui.json("profile list", &json!({ "profiles": profiles }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "FROM", "UNVERIFIED", "TITLE"]);
    for profile in &profiles {
        let origin = match &profile.origin {
            Origin::Builtin => "built-in".to_owned(),
            Origin::File(file) => file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        };
        let facts = match profile.unverified.len() {
            0 => "-".to_owned(),
            number => number.to_string(),
        };
        table.row(vec![(Look::Strong, profile.name.clone()), plain(origin), plain(facts), plain(&profile.title)]);
        for fact in profile.unverified.iter().filter(|_| ui.is_verbose()) {
            table.row(vec![plain(""), plain(""), (Look::Notice, "unverified".to_owned()), (Look::Dim, fact.clone())]);
        }
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

fn show(ui: &mut Ui, context: &Context, args: &ShowArgs) -> Outcome {
    let profiles = context.profiles()?;
    let text = profiles.text(args.name.as_str())?;
    if ui.json_wished() {
        ui.json("profile show", &json!({ "name": args.name, "text": &*text }))?;
    } else {
        ui.device_bytes(text.as_bytes())?;
    }
    Ok(Exit::Done)
}
