//! `confvault show`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::signed::{self, Look as Signatures};
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::{Kind, Point};
use crate::ops::vouch::Signature;
use crate::ops::{PathFilter, Reader, near};
use crate::store::{Decoded, Generation, Line, Name};

/// Show a generation, or a file as it stood there
///
/// A file goes out byte for byte into a file or pipe; on a terminal its control characters are made
/// visible. Without an identity, secrets are shown as tokens. A generation that nobody has signed who may
/// is shown with a warning.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault show pbx@golden\n  confvault show pbx@2026-11-01 voip/pjsip.conf\n  \
     confvault show gw-1 running-config --identity admin/identity.txt > running-config\n",
    exit_codes!()
))]
pub(crate) struct ShowArgs {
    /// The generation
    point: Point,
    /// A file of it, with or without its scope (default: the facts of the generation)
    path: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ShowArgs) -> Outcome {
    let Some(path) = &args.path else {
        let store = context.store()?;
        let refs = store.refs()?;
        let generation = store.resolve(&refs, &args.point)?;
        let mut names = store.names(&refs, &generation.device)?;
        names.retain(|name| name.number == generation.number);
        let signature = Signatures::new(ui, context, &store, &refs)?.at(ui, &generation);
        return facts(ui, &generation, &names, signature.as_ref());
    };
    let identities = args.identity.load(ui, context)?;
    let reader = Reader::open(&context.store_root()?, identities.as_ref())?;
    let refs = reader.store.refs()?;
    let generation = reader.store.resolve(&refs, &args.point)?;
    let signature = reader.signature(&refs, &generation);
    signed::tell(ui, &signature);
    let set = reader.store.read_set(&refs, &generation, reader.access())?;
    let line = find(&set.manifest().lines, path)?;
    if ui.json_wished() {
        let decoded = set.read(line)?;
        let mut file = json!({
            "scope": line.scope,
            "path": line.path,
            "masked": matches!(decoded, Decoded::Masked(_)),
            "size_bytes": decoded.bytes().len(),
        });
        match std::str::from_utf8(decoded.bytes()) {
            Ok(text) => file["text"] = json!(text),
            Err(_) => file["base64"] = json!(STANDARD.encode(decoded.bytes())),
        }
        let signature = signed::document(Some(&signature));
        let head = json!({ "device": generation.device, "number": generation.number, "signature": signature, "file": file });
        ui.json("show", &head)?;
        return Ok(Exit::Done);
    }
    if ui.is_terminal() {
        let decoded = set.read(line)?;
        if matches!(decoded, Decoded::Masked(_)) {
            ui.status("Secrets are shown as tokens; `--identity FILE` opens them");
        }
        ui.device_bytes(decoded.bytes())?;
    } else if set.copy(line, ui.raw()).map_err(CommandError::of_output)? {
        ui.status("Secrets are shown as tokens; `--identity FILE` opens them");
    }
    Ok(Exit::Done)
}

/// Finds the one file or link that is meant.
fn find<'a>(lines: &'a [Line], text: &str) -> Result<&'a Line, CommandError> {
    let filter = PathFilter::new(&[text.to_owned()]);
    let found: Vec<&Line> = lines.iter().filter(|line| filter.matches(line.scope, &line.path)).collect();
    let mut files = found.iter().filter(|line| line.kind != Kind::Directory);
    match (files.next(), files.next()) {
        (Some(line), None) => Ok(line),
        (None, _) => {
            let files = lines.iter().filter(|line| line.kind != Kind::Directory);
            let near = near(&[text.to_owned()], files.map(|line| (line.scope, &line.path)));
            Err(CommandError::usage(format!("No such file in this generation: {text}")).near_path(&near))
        }
        (Some(one), Some(other)) => Err(CommandError::usage(format!("More than one file matches: {text}")).hint(format!(
            "name one whole, such as {} or {}",
            one.shown(),
            other.shown()
        ))),
    }
}

fn facts(ui: &mut Ui, generation: &Generation, names: &[Name], signature: Option<&Signature>) -> Outcome {
    if ui.json_wished() {
        let document = super::log::document(generation, names, signature);
        ui.json("show", &json!({ "device": generation.device, "generation": document }))?;
        return Ok(Exit::Done);
    }
    let mut say = |key: &str, value: &str| ui.row(&[(Look::Dim, &format!("{key:<11} ")), (Look::Plain, value)]);
    say("device", generation.device.as_str())?;
    say("generation", &generation.number.to_string())?;
    say("release", generation.release.as_str())?;
    say("time", &time::shown(generation.time))?;
    say("kind", generation.kind.as_str())?;
    if let Some(change) = &generation.change {
        say("change", &change.to_string())?;
    }
    say("changed", &generation.changed.to_string())?;
    for name in names {
        let note = name.note.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        say("name", format!("{}  {note}", name.name).trim_end())?;
    }
    say("collector", generation.collector.as_str())?;
    if let Some(accepted) = &generation.accepted {
        say("accepted", accepted)?;
    }
    if let Some(imported) = &generation.imported {
        say("imported", imported)?;
    }
    say("set digest", &generation.set_digest.to_string())?;
    say("commit", &generation.id.to_string())?;
    for (at, line) in generation.note.as_deref().unwrap_or_default().lines().enumerate() {
        say(if at == 0 { "note" } else { "" }, line)?;
    }
    Ok(Exit::Done)
}
