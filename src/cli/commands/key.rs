//! `confvault key`

use chrono::Utc;
use serde_json::{Value, json};

use super::journal::note;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::AdminArgs;
use crate::cli::signals;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::inventory::STORE_DIR;
use crate::mirror::{self, GitEnv, GitUrl, Limits, Remote, fetch_facts};
use crate::ops;
use crate::ops::keys::{self, Change, Heads, JoinRequest, KeyChange, KeyRing, PutBack, WentBack, apply, trusted};
use crate::seal::{Fingerprint, PublicKey, Recipients, read_public, write_signers};
use crate::store::Record;

/// List, add, remove and rotate keys: who reads, who writes, who decides
///
/// Recipients read what is sealed; collectors sign generations; administrators sign the list of both. A change
/// needs the administrator's folder (`--admin`), and an identity where keys are sealed anew.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    List(ListArgs),
    Add(AddArgs),
    Remove(RemoveArgs),
    Rotate(RotateArgs),
    Request(RequestArgs),
    Admit(AdmitArgs),
    Signers(SignersArgs),
    Heads(HeadsArgs),
    Fetch(FetchArgs),
}

/// List recipients, collectors, administrators, epochs and revoked keys
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key list\n  confvault key list --json\n", exit_codes!()))]
struct ListArgs {}

/// Add recipients, or an administrator
///
/// A recipient opens everything, old and new. The first one of a store that keeps its secrets in clear turns it to
/// sealing; what its history shows, it still shows: `confvault secrets exposed` lists it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault key add age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n  \
     confvault key add ~/.ssh/id_ed25519.pub --admin /media/stick/admin\n  \
     confvault key add --administrator second-admin.pub\n",
    exit_codes!()
))]
struct AddArgs {
    /// Recipient: age1…, ssh-ed25519 …, or a file of them; can be given more than once
    #[arg(value_name = "RECIPIENT", required_unless_present = "administrator")]
    recipients: Vec<String>,
    /// Name another administrator: an ssh-ed25519 public key, or its file
    #[arg(long, value_name = "KEY")]
    administrator: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Remove a recipient, revoke a collector's signing key, or remove an administrator
///
/// A removed recipient opens nothing that is written after the next `key rotate`; what it could open before, it may
/// have kept. A revoked collector is cut off at the heads of this moment, whatever date its commits bear. Where another
/// collector is revoked, `--from` names the mirrors that it pushes to: what it wrote is there, and not in this store.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault key remove alice@example && confvault key rotate\n  confvault key remove --signer branch-office --from offsite\n",
    exit_codes!()
))]
struct RemoveArgs {
    /// Recipient, by its key or its comment
    #[arg(value_name = "RECIPIENT", required_unless_present_any = ["signer", "administrator"])]
    recipient: Option<String>,
    /// Revoke a signing key, by collector or SHA256:… fingerprint
    #[arg(long, value_name = "WHO", conflicts_with = "recipient")]
    signer: Option<String>,
    /// Cut the signer off at the heads of this mirror, too: its name, URL or path; can be given more than once
    #[arg(long, value_name = "MIRROR", requires = "signer")]
    from: Vec<String>,
    /// Cut another collector off at what this store holds of it; what it wrote elsewhere counts no more
    #[arg(long, requires = "signer", conflicts_with = "from")]
    here: bool,
    /// Remove an administrator, by SHA256:… fingerprint
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["recipient", "signer"])]
    administrator: Option<Fingerprint>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Begin a new epoch: what is sealed from now on opens only to the recipients of now
///
/// No generation is made by it, and nothing old is sealed anew.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key rotate\n", exit_codes!()))]
struct RotateArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Print what an administrator needs to let this collector in
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key request\n", exit_codes!()))]
struct RequestArgs {}

/// Let a collector in
///
/// REQUEST is the line that `confvault key request` prints on the collector. Compare its fingerprint with the one that
/// is shown there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key admit 'confvault-join 1 branch age1… ssh-ed25519 AAAA…'\n", exit_codes!()))]
struct AdmitArgs {
    /// The request
    #[arg(value_name = "REQUEST")]
    request: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Print git's allowed-signers file, for `git verify-commit`
///
/// A revoked key stays in it, after a line that says so: what it signed before its cut counts. Git knows no cut, so it calls good
/// what is signed with such a key later, too; `confvault check` does not. `--valid` leaves revoked keys out.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault key signers > signers\n  \
     git -c gpg.format=ssh -c gpg.ssh.allowedSignersFile=signers -C DIR/store.git verify-commit gw-1/16.9.5\n",
    exit_codes!()
))]
struct SignersArgs {
    /// Leave revoked keys out
    #[arg(long)]
    valid: bool,
}

/// Compare the heads of the store with those that this installation has seen
///
/// A line that went back, went aside or is gone is not written to. `--put-back` sets refs to where they were seen, as
/// far as the store still has what they stood on. If it is meant to be so (the store was put back from an older copy on
/// purpose), `--accept` takes the heads as they are.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key heads\n  confvault key heads --put-back\n  confvault key heads --accept\n", exit_codes!()))]
struct HeadsArgs {
    /// Put back what the store still has
    #[arg(long, conflicts_with = "accept")]
    put_back: bool,
    /// Take the heads as they are
    #[arg(long)]
    accept: bool,
}

/// Take over what administrators have changed, from a mirror
///
/// Only what they signed, and only what goes on from what is here. A collector that was let in elsewhere gets its keys
/// by this.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault key fetch offsite\n  confvault key fetch git@mirror.example:confvault.git\n", exit_codes!()))]
struct FetchArgs {
    /// A mirror of confvault.toml, or its URL or path
    from: String,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &KeyArgs) -> Outcome {
    match &args.command {
        KeyCommand::List(_) => list(ui, context),
        KeyCommand::Add(args) => add(ui, context, args),
        KeyCommand::Remove(args) => remove(ui, context, args),
        KeyCommand::Rotate(args) => {
            let done = change(ui, context, &args.admin, &KeyChange::Rotate)?;
            print(ui, "key rotate", &done, &format!("epoch {} begun", done.epoch))
        }
        KeyCommand::Heads(args) => heads(ui, context, args),
        KeyCommand::Fetch(args) => fetch(ui, context, args),
        KeyCommand::Request(_) => request(ui, context),
        KeyCommand::Admit(args) => admit(ui, context, args),
        KeyCommand::Signers(args) => signers(ui, context, args),
    }
}

fn signers(ui: &mut Ui, context: &Context, args: &SignersArgs) -> Outcome {
    let (store, ring) = context.keys()?;
    let trust = trusted(&store, &ring)?.trust;
    let mut file = String::new();
    for signer in trust.signers {
        let print = signer.key.fingerprint();
        let revoked = trust.revoked.iter().any(|cut| cut.key == print);
        if revoked && args.valid {
            continue;
        }
        if revoked {
            file.push_str(&format!("# revoked, counts up to its cut only: {print}\n"));
        }
        file.push_str(&write_signers(&[signer]));
    }
    if ui.json_wished() {
        ui.json("key signers", &json!({ "file": file }))?;
    } else {
        ui.raw().write_all(file.as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Changes the keys with the administrator's folder.
fn change(ui: &mut Ui, context: &Context, admin: &AdminArgs, change: &KeyChange) -> Result<Change, CommandError> {
    let (mut store, ring) = context.keys()?;
    let folder = admin.folder(context, &context.root()?)?;
    let key = folder.key()?;
    let own = admin.identities(ui, context, &folder)?;
    let done = apply(&mut store, &ring, change, &own, &key, Utc::now())?;
    // The signed commit of `_store` is what counts. The journal tells of it where this machine may write.
    let record = Record::new("key", "done").with("change", keys::word(change)).with("epoch", done.epoch);
    if let Err(error) = ops::record(&context.root()?, record) {
        tracing::info!("the change of keys is not in the journal: {error}");
    }
    Ok(done)
}

fn print(ui: &mut Ui, command: &str, done: &Change, text: &str) -> Outcome {
    if ui.json_wished() {
        ui.json(command, &value(done))?;
    } else {
        ui.line(text)?;
    }
    Ok(Exit::Done)
}

fn value(done: &Change) -> Value {
    json!({
        "epoch": done.epoch,
        "removed": done.removed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revoked": done.revoked.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cut_count": done.cut,
    })
}

fn add(ui: &mut Ui, context: &Context, args: &AddArgs) -> Outcome {
    let mut last = Change::default();
    let mut count = 0;
    for text in &args.recipients {
        for recipient in Recipients::from_argument(text)?.iter() {
            last = change(ui, context, &args.admin, &KeyChange::AddRecipient(recipient.clone()))?;
            count += 1;
        }
    }
    if let Some(text) = &args.administrator {
        let key = if text.starts_with("ssh-") {
            text.parse::<PublicKey>()?
        } else {
            let file = read_public(&context.absolute(text.as_ref())?)?;
            String::from_utf8_lossy(&file).parse()?
        };
        last = change(ui, context, &args.admin, &KeyChange::AddAdministrator(key.clone()))?;
        ui.status(&format!("administrator added: {}", key.fingerprint()));
    }
    print(ui, "key add", &last, &format!("{} added; what is sealed is in epoch {}", time::count(count, "recipient"), last.epoch))
}

fn remove(ui: &mut Ui, context: &Context, args: &RemoveArgs) -> Outcome {
    let (what, text) = match (&args.recipient, &args.signer, &args.administrator) {
        (Some(which), _, _) => (KeyChange::RemoveRecipient(which.clone()), "recipient removed"),
        (_, Some(which), _) => {
            let elsewhere = elsewhere(context, args, which)?;
            (KeyChange::Revoke { which: which.clone(), elsewhere }, "signer revoked")
        }
        (_, _, Some(print)) => (KeyChange::RemoveAdministrator(print.clone()), "administrator removed"),
        _ => return Err(CommandError::usage("Nothing to remove")),
    };
    let done = change(ui, context, &args.admin, &what)?;
    if !done.removed.is_empty() {
        ui.warn(
            "What the removed recipient could open, it may have kept: every secret sealed so far, also in copies of this store",
        );
        ui.warn("Until the next `confvault key rotate` it may also open what is sealed from now on");
    }
    if !done.revoked.is_empty() {
        ui.warn("A revoked collector still has the store key and the credentials of its devices: change them, and run `confvault key rotate`");
    }
    print(ui, "key remove", &done, text)
}

/// Gives the heads of the mirrors at which a signer is cut off, too.
fn elsewhere(context: &Context, args: &RemoveArgs, which: &str) -> Result<Heads, CommandError> {
    let (store, ring) = context.keys()?;
    let own = context.inventory().ok().map(|inventory| inventory.collector);
    if args.from.is_empty() && !args.here && keys::revokes_another(&store, &ring, which, own.as_ref())? {
        let why =
            "What another collector wrote lies on its mirrors: --from MIRROR cuts it off there, --here at what this store holds";
        return Err(CommandError::usage(why));
    }
    let (env, cancel) = (GitEnv::of(crate::cli::env::all()), signals::cancel());
    let mut all = Heads::new();
    for from in &args.from {
        let url = mirror_url(context, from)?;
        let remote = Remote { url: &url, env: &env, limits: Limits::default(), cancel: Some(&cancel) };
        all.extend(keys::heads_elsewhere(&store, mirror::heads(remote)?)?);
    }
    Ok(all)
}

/// Gives the place of a mirror: a name of the inventory, a URL or a path.
fn mirror_url(context: &Context, from: &str) -> Result<GitUrl, CommandError> {
    let inventory = context.inventory()?;
    let known = from.parse().ok().and_then(|name| inventory.mirror(&name).ok());
    Ok(match known {
        Some(mirror) => mirror.url.at(inventory.root())?,
        None if from.contains(':') => from.parse()?,
        None => context.absolute(from.as_ref())?.display().to_string().parse()?,
    })
}

fn request(ui: &mut Ui, context: &Context) -> Outcome {
    let inventory = context.inventory()?;
    let (_, ring) = context.keys()?;
    let request = JoinRequest::of(&ring, &inventory.collector)?;
    if ui.json_wished() {
        let fingerprint = request.signer.fingerprint().to_string();
        ui.json("key request", &json!({ "request": request.to_string(), "fingerprint": fingerprint }))?;
        return Ok(Exit::Done);
    }
    ui.status(&format!("fingerprint: {}", request.signer.fingerprint()));
    ui.line(&request.to_string())?;
    Ok(Exit::Done)
}

fn admit(ui: &mut Ui, context: &Context, args: &AdmitArgs) -> Outcome {
    let JoinRequest { name, recipient, signer } = args.request.parse()?;
    let (text, print_of) = (format!("collector {name} let in"), signer.fingerprint());
    ui.status(&format!("fingerprint: {print_of}"));
    let done = change(ui, context, &args.admin, &KeyChange::Admit { name, recipient, signer })?;
    print(ui, "key admit", &done, &text)
}

fn fetch(ui: &mut Ui, context: &Context, args: &FetchArgs) -> Outcome {
    let (store, ring) = context.keys()?;
    let url = mirror_url(context, &args.from)?;
    let (env, cancel) = (GitEnv::of(crate::cli::env::all()), signals::cancel());
    let remote = Remote { url: &url, env: &env, limits: Limits::default(), cancel: Some(&cancel) };
    let came = fetch_facts(remote, store.repo().make_cache_dir()?)?;
    let new = keys::refresh(&store, &ring, &came)?;
    if ui.json_wished() {
        ui.json("key fetch", &json!({ "changed": new, "commit": came.head.to_string() }))?;
    } else {
        ui.line(if new { "taken over" } else { "nothing new" })?;
    }
    Ok(Exit::Done)
}

fn heads(ui: &mut Ui, context: &Context, args: &HeadsArgs) -> Outcome {
    if args.put_back {
        return put_back(ui, context);
    }
    let (store, ring) = context.keys()?;
    let seen = match ring.seen() {
        // There is nothing to compare with.
        Err(keys::KeyError::Damaged { .. }) if args.accept => keys::Seen::new(),
        seen => seen?,
    };
    let refs = store.refs()?;
    let back = keys::went_back(store.repo(), store.facts(), &refs, &seen, "refs/")?;
    if args.accept {
        keys::accept(&ring, &refs)?;
    }
    if ui.json_wished() {
        ui.json("key heads", &json!({ "went_back": heads_value(&back), "accepted": args.accept }))?;
    } else {
        for back in &back {
            ui.line(&shown(back))?;
        }
    }
    Ok(if back.is_empty() || args.accept { Exit::Done } else { Exit::Damage })
}

pub(super) fn heads_value(heads: &[WentBack]) -> Vec<Value> {
    heads.iter().map(|b| json!({ "ref": b.reference, "seen": b.seen, "found": b.found })).collect()
}

fn shown(back: &WentBack) -> String {
    format!("{}: seen {}, found {}", back.reference, back.seen, back.found.as_deref().unwrap_or("gone"))
}

fn put_back(ui: &mut Ui, context: &Context) -> Outcome {
    let root = context.root()?;
    let done = keys::put_back(&root.join(STORE_DIR), &KeyRing::at(&root))?;
    if !done.done.is_empty() {
        note(ui, context, Record::new("put-back", done.outcome()).with("refs", done.names()));
    }
    print_put_back(ui, "key heads", &done)
}

/// Says what was put back and what was left.
pub(super) fn print_put_back(ui: &mut Ui, command: &str, done: &PutBack) -> Outcome {
    if ui.json_wished() {
        ui.json(command, &json!({ "put_back": heads_value(&done.done), "left": heads_value(&done.left) }))?;
    } else {
        for back in &done.done {
            ui.line(&format!("put back {} at {}", back.reference, back.seen))?;
        }
        for back in &done.left {
            ui.line(&format!("not in the store any more, or aside: {}", shown(back)))?;
        }
    }
    Ok(if done.left.is_empty() { Exit::Done } else { Exit::Damage })
}

fn list(ui: &mut Ui, context: &Context) -> Outcome {
    let (store, ring) = context.keys()?;
    let trust = trusted(&store, &ring)?.trust;
    let mut revoked: Vec<String> = trust.revoked.iter().map(|cut| cut.key.to_string()).collect();
    revoked.sort();
    revoked.dedup();
    if ui.json_wished() {
        let key = |s: &crate::seal::AllowedSigner| {
            let print = s.key.fingerprint();
            json!({ "who": s.principal, "key": s.key.to_string(), "fingerprint": print.to_string(), "revoked": trust.is_revoked(&print) })
        };
        let recipients: Vec<_> =
            trust.recipients.iter().map(|r| json!({ "key": r.to_string(), "comment": r.comment() })).collect();
        let epochs: Vec<_> = (1..)
            .zip(&trust.epochs)
            .map(|(n, e)| json!({ "epoch": n, "recipient": e.sealed.as_ref().map(|(r, _)| r.to_string()) }))
            .collect();
        let value = json!({
            "recipients": recipients,
            "signers": trust.signers.iter().map(key).collect::<Vec<_>>(),
            "administrators": trust.administrators.iter().map(key).collect::<Vec<_>>(),
            "epochs": epochs,
        });
        ui.json("key list", &value)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KIND", "WHO", "KEY"]);
    let mut row = |kind: &str, who: &str, key: String| table.row(vec![plain(kind), (Look::Strong, who.to_owned()), plain(key)]);
    for recipient in trust.recipients.iter() {
        row("recipient", recipient.comment(), recipient.to_string());
    }
    for signer in &trust.signers {
        let print = signer.key.fingerprint();
        let kind = if trust.is_revoked(&print) { "revoked" } else { "collector" };
        row(kind, signer.principal.trim_end_matches("@confvault"), print.to_string());
    }
    for administrator in &trust.administrators {
        row("administrator", "", administrator.key.fingerprint().to_string());
    }
    for (number, epoch) in (1..).zip(&trust.epochs) {
        let key = epoch.sealed.as_ref().map_or_else(|| "in clear".to_owned(), |(recipient, _)| recipient.to_string());
        row("epoch", &format!("{number}"), key);
    }
    table.print(ui)?;
    if trust.recipients.is_empty() {
        ui.warn("The store keeps secrets in clear; `confvault key add RECIPIENT` turns it to sealing");
    }
    Ok(Exit::Done)
}
