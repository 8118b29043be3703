//! The commands, one file each.

mod completions;
mod device;
mod key;
mod profile;
mod secrets;
mod tour;

use clap::Subcommand;

use super::Outcome;
use super::context::Context;
use super::exit::Exit;
use super::ui::Ui;

/// All commands, in the order of a first day.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Device(device::DeviceArgs),
    Profile(profile::ProfileArgs),
    Key(key::KeyArgs),
    Secrets(secrets::SecretsArgs),
    Tour(tour::TourArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// The exit code of every failure, for a command that keeps the codes of its trade.
    pub(super) fn trouble(&self) -> Option<Exit> {
        match self {
            Self::Device(_) | Self::Key(_) | Self::Secrets(_) | Self::Profile(_) | Self::Tour(_) | Self::Completions(_) => None,
        }
    }

    pub(super) fn run(&self, ui: &mut Ui, context: &Context) -> Outcome {
        match self {
            Self::Device(args) => device::run(ui, context, args),
            Self::Key(args) => key::run(ui, context, args),
            Self::Secrets(args) => secrets::run(ui, context, args),
            Self::Profile(args) => profile::run(ui, context, args),
            Self::Tour(args) => tour::run(ui, context, args),
            Self::Completions(args) => completions::run(ui, context, args),
        }
    }
}
