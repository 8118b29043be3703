//! `confvault mirror`

use serde_json::{Value, json};

use super::journal::note;
use super::key::print_put_back;
use super::mirror_show::{
    print_proof, print_status, push_document, status_document, tell_lost, tell_refused, warn_of_dependence,
};
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::time::count;
use crate::cli::ui::{Look, Ui};
use crate::inventory::{Editor, MirrorUrl};
use crate::mirror::{GitEnv, Proof, hook, independence};
use crate::model::{DeviceName, MirrorName};
use crate::ops::Vault;
use crate::ops::drill::due;
use crate::ops::fetch::fetch;
use crate::ops::mirror::{Place, Pushed, Surroundings, forget, place, places, prove, push, status};
use crate::store::Record;

/// Add, push to, compare and guard offsite mirrors
///
/// A mirror is any remote that the installed git reaches. It is only ever added to: nothing is forced
/// and nothing deleted. What is sealed stays sealed there.
#[derive(Debug, clap::Args)]
pub(crate) struct MirrorArgs {
    #[command(subcommand)]
    command: MirrorCommand,
}

#[derive(Debug, clap::Subcommand)]
enum MirrorCommand {
    Add(AddArgs),
    Remove(NameArgs),
    Push(PushArgs),
    Status(StatusArgs),
    Hook(HookArgs),
    Fetch(FetchArgs),
    Forget(ForgetArgs),
}

/// Add a mirror to confvault.toml
///
/// Logins and proxies are those of git and ssh; a URL never holds a password. A relative path counts
/// from the folder of confvault.toml.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault mirror add offsite ssh://backup@mirror.example/srv/confvault.git\n  \
     confvault mirror add usb /media/usb/confvault.git\n",
    exit_codes!()
))]
struct AddArgs {
    /// Name of the mirror
    name: MirrorName,
    /// https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, or a path
    url: MirrorUrl,
}

/// Take back from a mirror what the store has lost or what is damaged in it
///
/// Everything that the mirror has comes beside what is here; refs that are gone or went back are set to where this
/// machine has seen them last, and no further. `confvault maintain` then takes the damaged copies away. The keys of
/// this machine stay; for a machine that has none, there is `confvault init DIR --from URL`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault mirror fetch offsite && confvault check --read-data\n", exit_codes!()))]
struct FetchArgs {
    /// The mirror
    name: MirrorName,
}

/// Remove a mirror from confvault.toml; what it holds stays there
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault mirror remove usb\n", exit_codes!()))]
struct NameArgs {
    /// Name of the mirror
    name: MirrorName,
}

/// Push to mirrors what they lack
///
/// All refs of a device move together. A device that the mirror holds otherwise is refused and named;
/// the others go through.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault mirror push\n  confvault mirror push offsite --device gw-1\n", exit_codes!()))]
struct PushArgs {
    /// Mirrors (default: all)
    names: Vec<MirrorName>,
    /// Only this device
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceName>,
}

/// Say for each ref whether mirrors have it, and how far behind they are
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault mirror status\n  confvault mirror status offsite --behind\n  confvault mirror status offsite --prove\n",
    exit_codes!(), "; 3 also if a mirror lacks something"
))]
struct StatusArgs {
    /// Mirrors (default: all)
    names: Vec<MirrorName>,
    /// Only refs that the mirror does not have as they are here
    #[arg(long)]
    behind: bool,
    /// Try what an append-only mirror must refuse, on refs made for it
    #[arg(long)]
    prove: bool,
}

/// Print the `update` hook that makes a bare repository append-only for every ref
///
/// git's own receive.denyDeletes and denyNonFastForwards guard branches only. Put the hook into the
/// folder `hooks` of the mirror and make it executable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault mirror hook > confvault.git/hooks/update && chmod +x confvault.git/hooks/update\n",
    exit_codes!()
))]
struct HookArgs {}

/// Take from a mirror what was forgotten here
///
/// Deletes on the mirror what tombstones name; it needs the right to delete there, which pushing does not need. Shows
/// what will go, and does it only with --yes. Where the mirror is a folder, its bytes go at once; elsewhere, and where the
/// mirror refuses, the commands are printed that its administrator has to run there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault mirror forget offsite\n  confvault mirror forget offsite --yes\n", exit_codes!()))]
struct ForgetArgs {
    /// Name of the mirror
    name: MirrorName,
    /// Do it
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &MirrorArgs) -> Outcome {
    match &args.command {
        MirrorCommand::Fetch(args) => fetch_from(ui, context, args),
        MirrorCommand::Forget(args) => forget_on(ui, context, args),
        MirrorCommand::Add(args) => add(ui, context, args),
        MirrorCommand::Remove(args) => remove(ui, context, args),
        MirrorCommand::Push(args) => push_all(ui, context, args),
        MirrorCommand::Status(args) => status_all(ui, context, args),
        MirrorCommand::Hook(_) if ui.json_wished() => {
            ui.json("mirror hook", &json!({ "hook": hook() }))?;
            Ok(Exit::Done)
        }
        MirrorCommand::Hook(_) => {
            ui.raw().write_all(hook().as_bytes())?;
            Ok(Exit::Done)
        }
    }
}

fn add(ui: &mut Ui, context: &Context, args: &AddArgs) -> Outcome {
    let mut editor = Editor::open(&context.root()?)?;
    let url = args.url.at(editor.inventory().root())?;
    editor.add_mirror(&args.name, &args.url)?;
    let inventory = editor.save()?;
    note(ui, context, Record::new("mirror", "added").with("mirror", args.name.as_str()));
    let distance = independence(&url, &inventory.store_dir());
    warn_of_dependence(ui, &args.name, distance);
    if url.is_unprotected() {
        ui.warn(&format!("what is sent to {} can be read and altered on the way: {url}", args.name));
    }
    if ui.json_wished() {
        ui.json("mirror add", &json!({ "name": args.name, "url": url.to_string(), "independence": distance.as_str() }))?;
    } else {
        ui.line(&format!("added {}  {url}", args.name))?;
    }
    Ok(Exit::Done)
}

fn forget_on(ui: &mut Ui, context: &Context, args: &ForgetArgs) -> Outcome {
    let vault = Vault::open(&context.root()?)?;
    let (env, cancel) = (GitEnv::of(crate::cli::env::all()), signals::cancel());
    let around = Surroundings { env: &env, cancel: &cancel };
    let place = places(&vault, std::slice::from_ref(&args.name))?.remove(0);
    let done = forget(&vault, &place, args.yes, around)?;
    if ui.json_wished() {
        let refused: Vec<_> = done.refused.iter().map(|(name, why)| json!({ "ref": name, "reason": why })).collect();
        ui.json("mirror forget", &json!({ "refs": done.gone, "refused": refused, "done": args.yes, "cleaned": done.cleaned, "by_hand": done.by_hand() }))?;
    } else {
        for name in &done.gone {
            ui.line(name)?;
        }
        for (name, why) in &done.refused {
            ui.warn(&format!("{name}: {why}"));
        }
        match (args.yes, done.gone.is_empty()) {
            (_, true) if done.refused.is_empty() => ui.status("nothing to forget there"),
            (_, true) => {}
            (false, _) => ui.status("this would go there for good; nothing was done: run it again with --yes"),
            (true, _) => ui.status(&format!("deleted on {}: {}", place.name, count(done.gone.len(), "ref"))),
        }
        let by_hand = done.by_hand();
        if !by_hand.is_empty() {
            ui.status("The bytes are gone once the mirror's administrator has run in its repository:");
            by_hand.iter().try_for_each(|command| ui.line(command))?;
        }
    }
    Ok(if done.refused.is_empty() { Exit::Done } else { Exit::Partly })
}

fn remove(ui: &mut Ui, context: &Context, args: &NameArgs) -> Outcome {
    let mut editor = Editor::open(&context.root()?)?;
    editor.remove_mirror(&args.name)?;
    editor.save()?;
    note(ui, context, Record::new("mirror", "removed").with("mirror", args.name.as_str()));
    if ui.json_wished() {
        ui.json("mirror remove", &json!({ "removed": args.name }))?;
    } else {
        ui.line(&format!("removed {}; what it holds stays there", args.name))?;
    }
    Ok(Exit::Done)
}

/// What is done with one mirror: gives its part of the JSON, and whether all is well with it.
type Work<'a> = &'a mut dyn FnMut(&mut Ui, &Vault, &Place, Surroundings<'_>) -> Result<(Value, bool), CommandError>;

/// Does something with each mirror; one that fails does not stop the others.
fn each(ui: &mut Ui, context: &Context, names: &[MirrorName], work: Work<'_>) -> Result<(Vec<Value>, Exit), CommandError> {
    let vault = Vault::open(&context.root()?)?;
    let places = places(&vault, names)?;
    if places.is_empty() {
        return Err(CommandError::failed("There is no mirror").hint("add one with `confvault mirror add MIRROR URL`"));
    }
    let (env, cancel) = (GitEnv::of(crate::cli::env::all()), signals::cancel());
    let around = Surroundings { env: &env, cancel: &cancel };
    let (mut documents, mut whole, mut failed) = (Vec::new(), true, Vec::new());
    for place in &places {
        match work(ui, &vault, place, around) {
            Ok((document, good)) => {
                documents.push(document);
                whole &= good;
            }
            Err(error) if places.len() == 1 || error.is_silent() => return Err(error),
            Err(error) => {
                let mut texts = error.texts();
                texts[0] = format!("Mirror {}: {}", place.name, texts[0]);
                documents.push(json!({ "mirror": place.name, "outcome": "failed", "reason": texts.join(": ") }));
                ui.finding(&texts, error.hints());
                failed.push(&place.name);
            }
        }
    }
    Ok((documents, if whole && failed.is_empty() { Exit::Done } else { Exit::Partly }))
}

fn fetch_from(ui: &mut Ui, context: &Context, args: &FetchArgs) -> Outcome {
    let inventory = context.inventory()?;
    let (env, cancel) = (GitEnv::of(crate::cli::env::all()), signals::cancel());
    let place = place(&inventory, &args.name)?;
    let done = fetch(&inventory, &place, Surroundings { env: &env, cancel: &cancel })?;
    let record = Record::new("mirror-fetch", done.outcome()).with("mirror", args.name.as_str()).with("refs", done.names());
    note(ui, context, record);
    let exit = print_put_back(ui, "mirror fetch", &done)?;
    let refs = match done.done.len() {
        0 => "no ref had to be put back".to_owned(),
        many => format!("put back {}", count(many, "ref")),
    };
    ui.status(&format!(
        "{}: everything it has is here beside what is damaged, {refs}; now `confvault maintain`, which takes the damaged copies away, \
         then `confvault check --read-data`",
        args.name
    ));
    Ok(exit)
}

fn push_all(ui: &mut Ui, context: &Context, args: &PushArgs) -> Outcome {
    let (documents, exit) = each(ui, context, &args.names, &mut |ui, vault, place, around| {
        let Pushed { report, lost } = push(vault, place, args.device.as_ref(), around)?;
        let refused = report.refused().count();
        if !ui.json_wished() {
            let text = match report.moved() {
                0 => "had everything".to_owned(),
                moved => format!("took {}", count(moved, "ref")),
            };
            ui.row(&[(Look::Strong, place.name.as_str()), (Look::Plain, &format!("  {text}"))])?;
        }
        tell_lost(ui, place, &lost);
        tell_refused(ui, place, &report);
        Ok((push_document(place, &report, &lost), refused == 0 && lost.is_empty()))
    })?;
    if ui.json_wished() {
        ui.json("mirror push", &json!({ "mirrors": documents }))?;
    }
    Ok(exit)
}

/// Says how many devices have not been restored from a mirror for too long; gives the number.
fn overdue(ui: &mut Ui, context: &Context) -> Result<usize, CommandError> {
    let all = due(&context.inventory()?, &context.store()?, chrono::Utc::now())?;
    let overdue = all.iter().filter(|due| due.overdue).count();
    if overdue > 0 {
        ui.warn(&format!("drills of {} are overdue: `confvault drill due`", count(overdue, "device")));
    }
    Ok(overdue)
}

fn status_all(ui: &mut Ui, context: &Context, args: &StatusArgs) -> Outcome {
    let (documents, exit) = each(ui, context, &args.names, &mut |ui, vault, place, around| {
        let (status, lost) = status(vault, place, around)?;
        let proof = if args.prove { Some(prove(place, around)?) } else { None };
        if let Some(proof) = &proof {
            // It has pushed refs of its own there.
            let outcome = if proof.append_only() { "append-only" } else { "open" };
            note(ui, context, Record::new("mirror-prove", outcome).with("mirror", place.name.as_str()));
        }
        if !ui.json_wished() {
            print_status(ui, place, &status, args.behind)?;
            proof.iter().try_for_each(|proof| print_proof(ui, proof))?;
        }
        tell_lost(ui, place, &lost);
        let good = status.complete() && proof.as_ref().is_none_or(Proof::append_only);
        Ok((status_document(place, &status, &lost, proof.as_ref()), good))
    })?;
    let overdue = overdue(ui, context)?;
    if ui.json_wished() {
        ui.json("mirror status", &json!({ "mirrors": documents, "drills_overdue_count": overdue }))?;
    }
    Ok(exit)
}
