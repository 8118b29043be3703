//! The command line: one file per command, arguments in, rendering out, no rules.
//!
//! Only [`ui`] prints and only [`env`] reads the environment; `hints` has the advice that stands
//! behind errors. `docs/cli.md` describes the whole for users.

mod commands;
mod context;
mod env;
mod error;
mod exit;
mod hints;
mod identity;
mod logging;
mod panics;
mod signals;
mod table;
mod time;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use commands::Command;
use context::Context;
use env::Env;
use error::CommandError;
use exit::Exit;
use ui::{Ui, Wishes};

/// The heading of options that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Keep every configuration of every device, compare any two, put any back
///
/// confvault collects the configuration of VoIP and network devices into a store that plain git
/// reads, one generation for each distinct state, one line for each device and software release.
#[derive(Debug, Parser)]
#[command(name = "confvault", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "A POINT is DEVICE[:RELEASE][@WHERE]; WHERE is a number, a name, ~N (N before the newest), a date\n\
    or time, pre/TICKET, post/TICKET, or now. `confvault tour` shows all of it on an example.")]
struct Cli {
    /// The folder of the store (default: CONFVAULT_DIR, or the nearest one from here upwards)
    #[arg(short = 'C', value_name = "DIR", global = true, help_heading = EVERYWHERE)]
    root: Option<PathBuf>,
    /// Print JSON in place of text
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Say nothing but data, warnings and errors
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,
    /// Tell more on standard error; twice or three times for more still
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = EVERYWHERE)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// Runs the program.
pub fn main() -> ExitCode {
    panics::install();
    let env = Env::read();
    let exit =
        match with_codes(Cli::command()).try_get_matches_from(&env.args).and_then(|matches| Cli::from_arg_matches(&matches)) {
            Ok(cli) => run(env, cli),
            Err(error) => refuse(&env, &error),
        };
    ExitCode::from(exit.code())
}

/// Puts the exit codes behind the help of every command that does not have them yet.
fn with_codes(command: clap::Command) -> clap::Command {
    let command = command.mut_subcommands(with_codes);
    let bare = command.get_after_long_help().is_none() && !command.has_subcommands();
    if bare { command.after_long_help(exit::exit_codes!()) } else { command }
}

fn run(env: Env, cli: Cli) -> Exit {
    logging::start(cli.verbose);
    let mut ui = Ui::new(&env, Wishes { json: cli.json, quiet: cli.quiet, verbose: cli.verbose > 0 });
    let context = Context::new(env, cli.root);
    let trouble = cli.command.trouble();
    let result = cli.command.run(&mut ui, &context).and_then(|exit| ui.flush().map(|()| exit));
    match result {
        Ok(exit) => exit,
        Err(error) => {
            let error = error.known_to(&context);
            if !error.is_silent() {
                ui.error(&error);
            }
            // Whoever read the output is gone: nothing is left to be said there either.
            let _flushed = ui.flush();
            trouble.unwrap_or(error.exit())
        }
    }
}

/// Ends with what the parser says: help and version are data, all else is a usage error.
fn refuse(env: &Env, error: &clap::Error) -> Exit {
    let mut ui = Ui::new(env, Wishes { json: false, quiet: false, verbose: false });
    if error.kind() == clap::error::ErrorKind::ValueValidation {
        // The parser repeats the value, which may hold a secret; our errors do not.
        ui.error(&CommandError::value(error));
        return Exit::Usage;
    }
    if error.use_stderr() {
        ui.usage(&error.render().to_string());
        return Exit::Usage;
    }
    let text = error.render();
    let text = if ui.is_coloured() { text.ansi().to_string() } else { text.to_string() };
    let printed = ui.help(&text).and_then(|()| ui.flush());
    if printed.is_ok() { Exit::Done } else { Exit::Failed }
}

/// The type of each command's entry.
type Outcome = Result<Exit, CommandError>;
