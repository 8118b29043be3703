//! `confvault search`

use regex::bytes::RegexBuilder;
use serde_json::json;

use super::signed;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::time::count;
use crate::cli::ui::{Look, Ui};
use crate::model::DeviceName;
use crate::ops::search::{Hit, Lost, Options, search};
use crate::ops::{PathFilter, Reader};

/// Search the text of the newest generations, or of all
///
/// Prints DEVICE@GENERATION, the file, the number of the line, and the line. Secrets are tokens here:
/// a search never finds or shows the value of one. There is a warning where nobody who may has signed the newest generation
/// that a line is shown of. With --json, each line found is one line of JSON.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault search 'snmp-server (host|community)'\n  confvault search -i 'allow=.*g729' pbx-1 pbx-2\n  \
     confvault search -F 10.0.0.1 gw-1 --all-generations\n  confvault search '^register' --path 'voip/**/sip.conf'\n",
    exit_codes!(), "; 0 also if nothing is found, 13 if something does not read: the rest is searched"
))]
pub(crate) struct SearchArgs {
    /// Regular expression, matched against each line
    pattern: String,
    /// Devices (default: all in the store)
    devices: Vec<DeviceName>,
    /// Search every generation, not only the newest
    #[arg(long)]
    all_generations: bool,
    /// Only in these files, folders or globs; can be given more than once
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Take upper and lower case for the same
    #[arg(short, long)]
    ignore_case: bool,
    /// Take PATTERN as it is written, not as a regular expression
    #[arg(short = 'F', long)]
    fixed_string: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &SearchArgs) -> Outcome {
    let pattern = if args.fixed_string { regex::escape(&args.pattern) } else { args.pattern.clone() };
    let pattern = RegexBuilder::new(&pattern).case_insensitive(args.ignore_case).multi_line(true).build();
    let pattern = pattern.map_err(bad_pattern)?;
    let reader = Reader::open(&context.store_root()?, None)?;
    let options = Options {
        pattern,
        devices: args.devices.clone(),
        paths: PathFilter::new(&args.paths),
        all_generations: args.all_generations,
    };
    let cancel = signals::cancel();
    let mut searched = search(&reader, &options, &cancel, &mut |hit| print(ui, &hit))?;
    let lost = std::mem::take(&mut searched.lost);
    searched.foreign.iter().for_each(|found| signed::warn(ui, found));
    if !ui.json_wished() {
        let unread = match searched.unread {
            0 => String::new(),
            unread => format!("; {} could not be searched (sealed, or too large)", count(unread, "file")),
        };
        let [hits, generations, devices] =
            [(searched.hits, "line"), (searched.generations, "generation"), (searched.devices, "device")]
                .map(|(number, word)| count(number, word));
        ui.status(&format!("{hits} in {generations} of {devices}{unread}"));
    }
    tell_lost(ui, lost)
}

/// Names what could not be searched; the advice comes once.
fn tell_lost(ui: &mut Ui, lost: Vec<Lost>) -> Outcome {
    let (mut exit, mut advised) = (Exit::Done, Vec::new());
    for Lost { device, generation, file, error } in lost {
        let error = CommandError::from(error);
        exit = if exit == Exit::Damage || error.exit() == Exit::Damage { Exit::Damage } else { Exit::Partly };
        let generation = generation.map(|number| format!("@{number}")).unwrap_or_default();
        let file = file.map(|(scope, path)| format!(" {scope}/{path}")).unwrap_or_default();
        let mut texts = vec![format!("Not searched: {device}{generation}{file}")];
        texts.extend(error.texts());
        ui.finding(&texts, &[]);
        advised.extend(error.hints().iter().filter(|hint| !advised.contains(*hint)).cloned().collect::<Vec<_>>());
    }
    ui.finding(&[], &advised);
    Ok(exit)
}

/// Says what is wrong with a pattern; the parser draws it over several lines, the reason is the last.
fn bad_pattern(error: regex::Error) -> CommandError {
    let text = error.to_string();
    let reason = text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned();
    CommandError::usage(format!("Not a regular expression: {reason}")).hint("`-F` takes the pattern as it is written")
}

fn print(ui: &mut Ui, hit: &Hit) -> Result<(), CommandError> {
    let text = String::from_utf8_lossy(&hit.text);
    if ui.json_wished() {
        return ui.json_line(&json!({
            "device": hit.device,
            "first_generation": hit.first,
            "last_generation": hit.last,
            "scope": hit.scope,
            "path": hit.path,
            "line": hit.line,
            "text": text,
        }));
    }
    let generations = if hit.first == hit.last { hit.last.to_string() } else { format!("{}-{}", hit.first, hit.last) };
    ui.row(&[
        (Look::Strong, &format!("{}@{generations}", hit.device)),
        (Look::Dim, &format!(" {}/{}:{}: ", hit.scope, hit.path, hit.line)),
        (Look::Plain, &text),
    ])
}
