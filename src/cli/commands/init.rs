//! `confvault init`

use std::path::PathBuf;

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::{Look, Ui};
use crate::model::CollectorName;
use crate::ops::init::{Made, Options, Sealing, init};
use crate::seal::Recipients;

/// Make a store: a bare git repository, an inventory, and keys
///
/// DIR gets store.git, confvault.toml and the keys of this machine. What only the administrator may
/// have, an identity that opens what is sealed and the key that decides who reads, goes into a folder
/// of its own beside DIR: keep it apart from this machine.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault init /srv/confvault\n  confvault init vault --collector berlin --recipient age1…\n  \
     confvault init vault --no-sealing\n",
    exit_codes!()
))]
pub(crate) struct InitArgs {
    /// The folder of the store; made if it is not there (default: that of -C, or the current one)
    dir: Option<PathBuf>,
    /// Name under which this machine writes into the store (default: the name of the host)
    #[arg(long, value_name = "NAME")]
    collector: Option<CollectorName>,
    /// Who may open what is sealed: age1…, `ssh-ed25519 …`, or a file of these; can be given more than
    /// once (default: a fresh identity in the administrator's folder)
    #[arg(long = "recipient", value_name = "RECIPIENT", conflicts_with = "no_sealing")]
    recipients: Vec<String>,
    /// Ask for a passphrase for the fresh identity
    #[arg(long, conflicts_with_all = ["recipients", "no_sealing"])]
    passphrase: bool,
    /// Keep secrets in clear: whoever can read the store or a mirror can read them
    #[arg(long)]
    no_sealing: bool,
    /// The administrator's folder (default: CONFVAULT_ADMIN, or DIR-admin)
    #[arg(long, value_name = "FOLDER")]
    admin: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &InitArgs) -> Outcome {
    let admin = args.admin.as_ref().or(context.env.admin.as_ref()).map(|dir| context.absolute(dir)).transpose()?;
    let collector = match &args.collector {
        Some(name) => name.clone(),
        None => context.env.host.parse().or_else(|_| "central".parse()).map_err(|_| CommandError::failed("No host name"))?,
    };
    let made = init(Options {
        root: context.new_root(args.dir.as_deref())?,
        collector: collector.clone(),
        sealing: sealing(ui, args)?,
        admin,
    })?;
    if ui.json_wished() {
        ui.json("init", &report(&made, &collector))?;
        return Ok(Exit::Done);
    }
    for (what, place) in [("store", &made.store), ("inventory", &made.inventory), ("administrator", &made.admin)] {
        ui.row(&[(Look::Dim, &format!("{what:<18}")), (Look::Plain, &place.display().to_string())])?;
    }
    ui.row(&[(Look::Dim, &format!("{:<18}", "collector")), (Look::Plain, collector.as_str())])?;
    ui.row(&[(Look::Dim, &format!("{:<18}", "administrator key")), (Look::Plain, &made.administrator_key.to_string())])?;
    match &made.identity {
        Some((file, _)) => ui.status(&format!(
            "Only the identity in {} opens what is sealed, and only the key beside it decides who may. Take the folder \
             away from this machine and keep a copy: without it no secret comes back.",
            file.display()
        )),
        None if args.no_sealing => ui.warn("secrets are kept in clear: whoever can read this store or a mirror can read them"),
        None => {}
    }
    ui.status("Next: `confvault device add NAME --source dir:FOLDER`, then `confvault snapshot`");
    Ok(Exit::Done)
}

fn sealing(ui: &mut Ui, args: &InitArgs) -> Result<Sealing, CommandError> {
    if args.no_sealing {
        return Ok(Sealing::Off);
    }
    if args.recipients.is_empty() {
        let passphrase = if args.passphrase {
            let typed = ui.passphrase("Passphrase of the new identity: ");
            Some(typed.ok_or_else(|| CommandError::usage("A passphrase is asked for at a terminal, and none was typed"))?)
        } else {
            None
        };
        return Ok(Sealing::Fresh(passphrase));
    }
    let mut all = Recipients::default();
    for text in &args.recipients {
        for recipient in Recipients::from_argument(text)?.iter() {
            all.add(recipient.clone())?;
        }
    }
    Ok(Sealing::To(all))
}

fn report(made: &Made, collector: &CollectorName) -> serde_json::Value {
    json!({
        "store": made.store,
        "inventory": made.inventory,
        "collector": collector,
        "admin": made.admin,
        "identity": made.identity.as_ref().map(|(file, _)| file),
        "recipient": made.identity.as_ref().map(|(_, recipient)| recipient.to_string()),
        "collector_key": made.collector_key.to_string(),
        "administrator_key": made.administrator_key.to_string(),
    })
}
