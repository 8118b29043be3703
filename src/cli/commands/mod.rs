//! The commands, one file each.

mod backup;
mod change;
mod change_abort;
mod change_show;
mod check;
mod completions;
mod credential;
mod device;
mod device_import;
mod device_replace;
mod device_test;
mod device_trust;
mod diff;
mod drill;
mod drill_sheet;
mod drill_show;
mod drs;
mod forget;
mod import;
mod import_show;
mod init;
mod journal;
mod key;
mod log;
mod logs;
mod ls;
mod maintain;
mod mirror;
mod mirror_show;
mod name;
mod profile;
mod profile_test;
mod release;
mod release_show;
mod restore;
mod restore_device;
mod restore_device_show;
mod restore_show;
mod search;
mod secrets;
mod show;
mod signed;
mod snapshot;
mod tour;
mod unname;

use clap::Subcommand;

use super::Outcome;
use super::context::Context;
use super::exit::Exit;
use super::ui::Ui;

/// All commands, in the order of a first day.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(init::InitArgs),
    Device(device::DeviceArgs),
    Credential(credential::CredentialArgs),
    Profile(profile::ProfileArgs),
    Import(import::ImportArgs),
    Snapshot(snapshot::SnapshotArgs),
    Log(log::LogArgs),
    Logs(logs::LogsArgs),
    Show(show::ShowArgs),
    Ls(ls::LsArgs),
    Search(search::SearchArgs),
    Diff(diff::DiffArgs),
    Name(name::NameArgs),
    Unname(unname::UnnameArgs),
    Restore(restore::RestoreArgs),
    Backup(backup::BackupArgs),
    Drs(drs::DrsArgs),
    Mirror(mirror::MirrorArgs),
    Check(check::CheckArgs),
    Drill(drill::DrillArgs),
    Change(change::ChangeArgs),
    Release(release::ReleaseArgs),
    Journal(journal::JournalArgs),
    Maintain(maintain::MaintainArgs),
    Key(key::KeyArgs),
    Forget(forget::ForgetArgs),
    Secrets(secrets::SecretsArgs),
    Tour(tour::TourArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// The exit code of every failure, for a command that keeps the codes of its trade.
    pub(super) fn trouble(&self) -> Option<Exit> {
        match self {
            Self::Diff(_) => Some(Exit::Trouble),
            Self::Release(args) if args.compares() => Some(Exit::Trouble),
            Self::Restore(args) if args.plan || args.compare => Some(Exit::Trouble),
            _ => None,
        }
    }

    pub(super) fn run(&self, ui: &mut Ui, context: &Context) -> Outcome {
        match self {
            Self::Init(args) => init::run(ui, context, args),
            Self::Device(args) => device::run(ui, context, args),
            Self::Credential(args) => credential::run(ui, context, args),
            Self::Backup(args) => backup::run(ui, context, args),
            Self::Drs(args) => drs::run(ui, context, args),
            Self::Profile(args) => profile::run(ui, context, args),
            Self::Import(args) => import::run(ui, context, args),
            Self::Snapshot(args) => snapshot::run(ui, context, args),
            Self::Log(args) => log::run(ui, context, args),
            Self::Logs(args) => logs::run(ui, context, args),
            Self::Show(args) => show::run(ui, context, args),
            Self::Ls(args) => ls::run(ui, context, args),
            Self::Search(args) => search::run(ui, context, args),
            Self::Diff(args) => diff::run(ui, context, args),
            Self::Name(args) => name::run(ui, context, args),
            Self::Unname(args) => unname::run(ui, context, args),
            Self::Restore(args) => restore::run(ui, context, args),
            Self::Mirror(args) => mirror::run(ui, context, args),
            Self::Check(args) => check::run(ui, context, args),
            Self::Drill(args) => drill::run(ui, context, args),
            Self::Change(args) => change::run(ui, context, args),
            Self::Release(args) => release::run(ui, context, args),
            Self::Journal(args) => journal::run(ui, context, args),
            Self::Maintain(args) => maintain::run(ui, context, args),
            Self::Forget(args) => forget::run(ui, context, args),
            Self::Key(args) => key::run(ui, context, args),
            Self::Secrets(args) => secrets::run(ui, context, args),
            Self::Tour(args) => tour::run(ui, context, args),
            Self::Completions(args) => completions::run(ui, context, args),
        }
    }
}
