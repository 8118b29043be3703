//! `confvault log`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::signed::{self, Look as Signatures};
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::{DeviceName, Release};
use crate::ops::vouch::Signature;
use crate::store::{Generation, Name};

/// List the generations of a device over all its releases, newest first
///
/// CHANGED counts the files that were added, changed and removed against the generation before. There is a warning where
/// nobody who may has signed the newest one shown of a release; it vouches for those before it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault log gw-1\n  confvault log gw-1 -n 10 --json\n", exit_codes!()))]
pub(crate) struct LogArgs {
    /// The device
    device: DeviceName,
    /// Only those under this release
    #[arg(long, value_name = "RELEASE")]
    release: Option<Release>,
    /// At most N generations
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &LogArgs) -> Outcome {
    let store = context.store()?;
    let refs = store.refs()?;
    let mut names: BTreeMap<u64, Vec<Name>> = BTreeMap::new();
    // What reads is shown, whatever comes before it.
    let mut broken = None;
    for name in store.each_name(&refs, &args.device) {
        match name {
            Ok(name) => names.entry(name.number).or_default().push(name),
            Err(error) => broken = Some(CommandError::from(error)),
        }
    }
    let signatures = Signatures::new(ui, context, &store, &refs)?;
    let (mut shown, mut releases) = (Vec::new(), BTreeSet::new());
    let mut history = store.history(&refs, &args.device)?;
    while shown.len() < args.limit.unwrap_or(usize::MAX)
        && let Some(generation) = history.next()
    {
        let generation = match generation {
            Ok(generation) => generation,
            Err(error) => {
                broken = Some(CommandError::from(error));
                break;
            }
        };
        if args.release.as_ref().is_none_or(|release| generation.release == *release) {
            let names = names.remove(&generation.number).unwrap_or_default();
            // A signature is good for all that its commit leads to.
            let newest = releases.insert(generation.release.clone());
            let signature = if newest { signatures.at(ui, &generation) } else { None };
            shown.push((generation, names, signature));
        }
    }
    if ui.json_wished() {
        let generations: Vec<_> = shown.iter().map(|(one, names, signature)| document(one, names, signature.as_ref())).collect();
        ui.json("log", &json!({ "device": args.device, "generations": generations, "broken": broken.is_some() }))?;
        return broken.map_or(Ok(Exit::Done), Err);
    }
    let mut table = Table::new(&["NO", "TIME", "RELEASE", "KIND", "CHANGED", "NAMES", "NOTE"]);
    for (generation, names, _) in &shown {
        let kind = match &generation.change {
            Some(change) => format!("{} {change}", generation.kind),
            None => generation.kind.to_string(),
        };
        let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
        table.row(vec![
            (Look::Strong, generation.number.to_string()),
            plain(time::shown(generation.time)),
            plain(&generation.release),
            plain(kind),
            plain(generation.changed),
            (Look::Good, if names.is_empty() { "-".to_owned() } else { names.join(" ") }),
            plain(generation.note.as_deref().unwrap_or_default().lines().next().unwrap_or_default()),
        ]);
    }
    table.print(ui)?;
    broken.map_or(Ok(Exit::Done), Err)
}

/// A generation for JSON.
pub(super) fn document(generation: &Generation, names: &[Name], signature: Option<&Signature>) -> serde_json::Value {
    json!({
        "number": generation.number,
        "time": time::json(generation.time),
        "release": generation.release,
        "kind": generation.kind,
        "changed": generation.changed,
        "names": names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>(),
        "note": generation.note,
        "change": generation.change.as_ref().map(ToString::to_string),
        "collector": generation.collector,
        "run": generation.run,
        "accepted": generation.accepted,
        "imported": generation.imported,
        "set_digest": generation.set_digest,
        "commit": generation.id.to_string(),
        "signature": signed::document(signature),
    })
}
