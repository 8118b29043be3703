//! `confvault init`

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::AdminArgs;
use crate::cli::signals;
use crate::cli::time::{self, count};
use crate::cli::ui::{Look, Ui};
use crate::mirror::{GitEnv, GitUrl, Limits, Remote};
use crate::model::CollectorName;
use crate::ops::init::{Made, Options, Sealing, init};
use crate::ops::rebuild::{Options as Rebuild, rebuild};
use crate::seal::Recipients;

/// Make a store: a bare git repository, an inventory, and keys
///
/// With --from, the store is rebuilt from its mirror, or joined: every byte and signature is checked.
///
/// DIR gets store.git, confvault.toml and the keys of this machine. What only the administrator may
/// have, an identity that opens what is sealed and the key that decides who reads, goes into a folder
/// of its own beside DIR: keep it apart from this machine.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault init /srv/confvault\n  confvault init vault --collector berlin --recipient age1…\n  \
     confvault init vault --from ssh://mirror.example/srv/confvault.git --admin vault-admin\n  \
     confvault init branch --from git@mirror.example:confvault.git --collector branch --fingerprint SHA256:…\n",
    exit_codes!()
))]
pub(crate) struct InitArgs {
    /// The folder of the store; made if it is not there (default: that of -C, or the current one)
    dir: Option<PathBuf>,
    /// Rebuild the store from this mirror, or join it: https://, ssh://, USER@HOST:PATH, or a path
    #[arg(long, value_name = "URL", conflicts_with_all = ["recipients", "no_sealing", "passphrase"])]
    from: Option<String>,
    /// Fingerprint of an administrator's key, compared before the mirror's store is trusted
    #[arg(long, value_name = "SHA256:…", requires = "from")]
    fingerprint: Option<String>,
    /// Name under which this machine writes into the store (default: the name of the host)
    #[arg(long, value_name = "NAME")]
    collector: Option<CollectorName>,
    /// Who may open what is sealed: age1…, `ssh-ed25519 …`, or a file of these; can be given more than
    /// once (default: a fresh identity in the administrator's folder)
    #[arg(long = "recipient", value_name = "RECIPIENT", conflicts_with = "no_sealing")]
    recipients: Vec<String>,
    /// Put the fresh identity behind a passphrase, which is asked for
    ///
    /// At a terminal it is asked for anyway, and typing nothing means none.
    #[arg(long, conflicts_with_all = ["recipients", "no_sealing"])]
    passphrase: bool,
    /// Keep secrets in clear: whoever can read the store or a mirror can read them
    #[arg(long)]
    no_sealing: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &InitArgs) -> Outcome {
    if let Some(url) = &args.from {
        return rebuild_from(ui, context, args, url);
    }
    let root = context.new_root(args.dir.as_deref())?;
    let admin = Some(args.admin.folder(context, &root)?.dir().to_owned());
    let collector = match &args.collector {
        Some(name) => name.clone(),
        None => context.env.host.parse().or_else(|_| "central".parse()).map_err(|_| CommandError::failed("No host name"))?,
    };
    let sealing = sealing(ui, args)?;
    let open = matches!(sealing, Sealing::Fresh(None));
    let others = std::fs::read_dir(&root).is_ok_and(|mut inside| inside.next().is_some());
    let shown = root.display().to_string();
    let made = init(Options { root, collector: collector.clone(), sealing, admin })?;
    if made.begun_anew {
        ui.status("An init that did not come to its end had begun here; what it left was taken away");
    }
    if others && !made.begun_anew {
        ui.warn(&format!("The folder was not empty; what lies there is left alone, and is no part of the store: {shown}"));
    }
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
        Some((file, _)) => {
            ui.status(&format!(
                "Only the identity in {} opens what is sealed, and only the key beside it decides who may. Take the folder \
                 away from this machine and keep a copy: without it no secret comes back.",
                file.display()
            ));
            if open {
                ui.status(
                    "It is behind no passphrase: `confvault init --passphrase` asks for one, `age -p -o identity.age \
                     identity.txt` adds one later.",
                );
            }
        }
        None if args.no_sealing => ui.warn("secrets are kept in clear: whoever can read this store or a mirror can read them"),
        None => {}
    }
    ui.status("Next: `confvault device add NAME --source dir:FOLDER`, then `confvault snapshot`");
    Ok(Exit::Done)
}

/// Rebuilds a store from its mirror, or joins it.
fn rebuild_from(ui: &mut Ui, context: &Context, args: &InitArgs, url: &str) -> Outcome {
    let root = context.new_root(args.dir.as_deref())?;
    let admin = args.admin.folder_or_none(ui, context, &root)?;
    let identities = args.admin.identities(ui, context, &admin)?;
    let local = !url.contains(':') && !url.starts_with('/');
    let url = if local { context.absolute(Path::new(url))?.display().to_string() } else { url.to_owned() };
    let (url, env, cancel) = (url.parse::<GitUrl>()?, GitEnv::of(crate::cli::env::all()), signals::cancel());
    let remote = Remote { url: &url, env: &env, limits: Limits::default(), cancel: Some(&cancel) };
    let rebuilt = rebuild(&Rebuild {
        root,
        remote,
        collector: args.collector.clone(),
        admin: Some(admin),
        identities,
        fingerprint: args.fingerprint.clone(),
    })?;
    let clean = rebuilt.check.is_clean();
    if ui.json_wished() {
        ui.json(
            "init",
            &json!({
                "store": rebuilt.store,
                "inventory": rebuilt.inventory,
                "inventory_taken_over": rebuilt.inventory_taken_over,
                "inventory_left_out": rebuilt.inventory_left_out,
                "collector": rebuilt.collector,
                "administrator_key": rebuilt.administrator_key.to_string(),
                "devices": rebuilt.devices,
                "left_out": rebuilt.left_out,
                "clean": clean,
                "join_request": rebuilt.request.as_ref().map(ToString::to_string),
            }),
        )?;
    } else {
        let read = format!("{}, {}", count(rebuilt.devices.len(), "device"), time::size(rebuilt.check.data.read_bytes));
        ui.row(&[(Look::Dim, "store             "), (Look::Plain, &rebuilt.store.display().to_string())])?;
        ui.row(&[(Look::Dim, "collector         "), (Look::Plain, rebuilt.collector.as_str())])?;
        ui.row(&[(Look::Dim, "administrator key "), (Look::Plain, &rebuilt.administrator_key.to_string())])?;
        let word = if clean { (Look::Good, "clean") } else { (Look::Bad, "NOT clean") };
        ui.row(&[(Look::Dim, "checked           "), (Look::Plain, &read), (Look::Plain, ": "), word])?;
        if let Some(request) = &rebuilt.request {
            ui.status("This machine may read what is in clear. To let it write, an administrator runs:");
            ui.line(&format!("confvault key admit '{request}'"))?;
        }
        if !rebuilt.inventory_taken_over {
            ui.status("The inventory is a new one; add devices with `confvault device add`");
        }
    }
    if let Some(why) = &rebuilt.inventory_left_out {
        ui.warn(&format!("the mirror holds an inventory of {}, and it was NOT taken over: {why}", rebuilt.collector));
    }
    for name in &rebuilt.left_out {
        ui.warn(&format!("the mirror holds a ref that is none of a store; left out: {name}"));
    }
    Ok(if clean { Exit::Done } else { Exit::Damage })
}

fn sealing(ui: &mut Ui, args: &InitArgs) -> Result<Sealing, CommandError> {
    if args.no_sealing {
        return Ok(Sealing::Off);
    }
    if args.recipients.is_empty() {
        let passphrase = match args.passphrase {
            true => ui.new_passphrase("Passphrase of the new identity: ")?,
            false if ui.is_asked() => ui.new_passphrase("Passphrase of the new identity (nothing: none): ")?,
            false => None,
        };
        if args.passphrase && passphrase.is_none() {
            return Err(CommandError::usage("A passphrase is asked for at a terminal, and none was typed"));
        }
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
