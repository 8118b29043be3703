//! Identities and the administrator's folder: what commands take to open what is sealed.

use std::path::PathBuf;

use super::context::Context;
use super::error::CommandError;
use super::ui::Ui;
use crate::ops::keys::AdminFolder;
use crate::seal::{Identities, Opener, PassphraseFor, Trust};

/// Identities on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct IdentityArgs {
    /// Identity that opens what is sealed (default: CONFVAULT_IDENTITY)
    ///
    /// An age identity file, with or without a passphrase, or an ssh-ed25519 private key. Can be given more
    /// than once.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
}

impl IdentityArgs {
    /// Reads the identities that were given; nothing if none was.
    pub(crate) fn load(&self, ui: &mut Ui, context: &Context) -> Result<Option<Identities>, CommandError> {
        let given: Vec<&PathBuf> =
            if self.identity.is_empty() { context.env.identity.iter().collect() } else { self.identity.iter().collect() };
        let mut all = None;
        for path in given {
            let path = context.absolute(path)?;
            let identities = read(ui, &path)?;
            if is_own(context, &path) {
                ui.warn("This is the identity of the collector itself, which opens nothing that is sealed");
            }
            all.get_or_insert_with(Identities::default).extend(identities);
        }
        Ok(all)
    }

    /// Opens the epochs with the identities that were given; nothing if none was.
    pub(crate) fn opener(&self, ui: &mut Ui, context: &Context, trust: &Trust) -> Result<Option<Opener>, CommandError> {
        match self.load(ui, context)? {
            Some(own) => Ok(Some(trust.unlock(&own)?)),
            None => Ok(None),
        }
    }
}

/// Tells whether an identity lies among the keys of this machine.
fn is_own(context: &Context, path: &std::path::Path) -> bool {
    let keys = context.root().and_then(|root| Ok(root.join("keys").canonicalize()?));
    keys.is_ok_and(|keys| path.canonicalize().is_ok_and(|path| path.starts_with(keys)))
}

fn read(ui: &mut Ui, path: &std::path::Path) -> Result<Identities, CommandError> {
    let shown = path.display().to_string();
    let mut ask = |what| {
        let what = if what == PassphraseFor::SshKey { "SSH key" } else { "identity" };
        ui.passphrase(&format!("Passphrase of the {what} {shown}: "))
    };
    Ok(Identities::read(path, &mut ask)?)
}

/// The administrator's folder on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct AdminArgs {
    /// The administrator's folder (default: CONFVAULT_ADMIN, or the one beside the store's folder)
    #[arg(long, value_name = "FOLDER")]
    admin: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl AdminArgs {
    /// The folder.
    pub(crate) fn folder(&self, context: &Context, root: &std::path::Path) -> Result<AdminFolder, CommandError> {
        match self.admin.as_ref().or(context.env.admin.as_ref()) {
            Some(dir) => Ok(AdminFolder::at(&context.absolute(dir)?)),
            None => Ok(AdminFolder::beside(&root.canonicalize().unwrap_or_else(|_| root.to_owned()))),
        }
    }

    /// The folder; one that was named and is not there is told.
    pub(crate) fn folder_or_none(
        &self,
        ui: &mut Ui,
        context: &Context,
        root: &std::path::Path,
    ) -> Result<AdminFolder, CommandError> {
        let folder = self.folder(context, root)?;
        let named = self.admin.is_some() || context.env.admin.is_some();
        if named && !folder.dir().is_dir() {
            ui.warn(&format!("No administrator's folder here: {}", folder.dir().display()));
        }
        Ok(folder)
    }

    /// The identities: those that were given, else the one of the administrator's folder.
    pub(crate) fn identities(&self, ui: &mut Ui, context: &Context, folder: &AdminFolder) -> Result<Identities, CommandError> {
        if let Some(given) = self.identity.load(ui, context)? {
            return Ok(given);
        }
        match folder.identity_file() {
            Some(path) => {
                folder.check()?;
                read(ui, &path)
            }
            None => Ok(Identities::default()),
        }
    }
}
