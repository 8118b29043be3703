//! `confvault completions`

use clap::CommandFactory as _;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::Ui;
use crate::cli::{Cli, Outcome};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault completions bash > /etc/bash_completion.d/confvault\n  \
     confvault completions fish > ~/.config/fish/completions/confvault.fish\n",
    exit_codes!()
))]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(ui: &mut Ui, _context: &Context, args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "confvault", &mut script);
    ui.raw().write_all(&script)?;
    Ok(Exit::Done)
}
