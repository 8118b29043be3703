//! `confvault device replace`

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::table::{Table, plain};
use crate::cli::ui::{Look, Ui};
use crate::collect::hostkeys::Verdict;
use crate::inventory::{Credential, DeviceChange, SourceUrl};
use crate::model::{DeviceName, Release};
use crate::ops::replace::{self, Replacement, Trust, Wanted};
use crate::ops::snapshot::World;

/// Take in the replacement of a device: another host key, perhaps another address and release
///
/// Without --fingerprint it only shows what stands there: the old key and the new one, the last generation, and what the
/// replacement could not be given back. With it, the new key is pinned if it has that fingerprint, the journal gets a record, and the replacement is
/// collected for the first time: in full, however small its set is, on a line of its own if its release is another.
/// The history stays where it is. Run again, it does what is left to do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device replace gw-1\n  confvault device replace gw-1 --fingerprint SHA256:K7bS… --why 'RMA 4711'\n  \
     confvault device replace gw-1 --source ssh://backup@10.0.0.9 --fingerprint SHA256:K7bS…\n",
    exit_codes!(), ";\n3 also if the replacement was taken in and could not be collected"
))]
pub(crate) struct ReplaceArgs {
    /// The device
    name: DeviceName,
    /// Pin the new key if it has this fingerprint
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<String>,
    /// Pin the new key as it is shown; whoever is in the way now is trusted from now on
    #[arg(long, conflicts_with = "fingerprint")]
    accept_key: bool,
    /// Where the replacement is reached, if elsewhere
    #[arg(long, value_name = "URL")]
    source: Option<SourceUrl>,
    /// Release of the replacement, where the profile cannot find it
    #[arg(long, value_name = "RELEASE")]
    release: Option<Release>,
    /// Where its credential is, if elsewhere
    #[arg(long, value_name = "WHERE")]
    credential: Option<Credential>,
    /// Why the device was replaced
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ReplaceArgs) -> Outcome {
    let mut changes = Vec::new();
    let mut set = |key, value: Option<String>| changes.extend(value.map(|value| DeviceChange::Set(key, value)));
    set("source", args.source.as_ref().map(ToString::to_string));
    set("release", args.release.as_ref().map(ToString::to_string));
    set("credential", args.credential.clone().map(String::from));
    let trust = match &args.fingerprint {
        Some(fingerprint) => Some(Trust::Compared(fingerprint.clone())),
        None => args.accept_key.then_some(Trust::Accepted),
    };
    if args.accept_key {
        ui.warn(
            "the host key is accepted as it is shown, without comparison; you take the responsibility, and the journal says so",
        );
    }
    let wanted = Wanted { changes, trust, why: args.why.clone(), by: crate::cli::env::user() };
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let replacement = replace::replace(&context.root()?, &args.name, &wanted, &world)?;
    if replacement.report.is_some() {
        super::device::warn_of_restore(ui, &context.root()?, &args.name, "with `--moved`, onto the replacement");
    }
    let failed = replacement.report.as_ref().is_some_and(|report| report.counts().2 > 0);
    if ui.json_wished() {
        ui.json("device replace", &document(&replacement))?;
    } else {
        show(ui, &replacement)?;
        next_steps(ui, &replacement);
    }
    if let Some(report) = replacement.report {
        super::snapshot::tell_all(ui, report);
    }
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

fn show(ui: &mut Ui, replacement: &Replacement) -> Result<(), crate::cli::error::CommandError> {
    let Replacement { old_source, old_keys, last, device, shown, .. } = replacement;
    let key = format!("{} {}", shown.key.kind(), shown.key.fingerprint());
    let mut table = Table::default();
    let mut row = |what: &str, old: String, (look, new): (Look, String)| {
        table.row(vec![(Look::Dim, what.to_owned()), plain(old), plain("->"), (look, new)]);
    };
    row("source", old_source.to_string(), (Look::Plain, device.source.to_string()));
    let state = if shown.verdict == Verdict::Known { (Look::Good, key + "  (known)") } else { (Look::Notice, key) };
    row("host key", if old_keys.is_empty() { "none".to_owned() } else { old_keys.join(" or ") }, state);
    let new = replacement.first().map(|first| (first.number.to_string(), first.release.to_string()));
    let (number, release) = match (new, &replacement.report) {
        (Some(new), _) => new,
        (None, Some(report)) if report.counts().1 > 0 => (format!("{} (unchanged)", last.number), last.release.to_string()),
        (None, Some(_)) => ("not collected".to_owned(), "not known".to_owned()),
        (None, None) => ("not yet collected".to_owned(), "not yet known".to_owned()),
    };
    row("generation", last.number.to_string(), (Look::Plain, number));
    row("release", last.release.to_string(), (Look::Plain, release));
    table.print(ui)?;
    for one in &replacement.cannot {
        ui.row(&[(Look::Notice, "not put back  "), (Look::Strong, &one.what), (Look::Plain, &format!(": {}", one.why))])?;
    }
    Ok(())
}

/// Says what to do next.
fn next_steps(ui: &mut Ui, replacement: &Replacement) {
    let (name, last) = (&replacement.device.name, &replacement.last);
    if replacement.report.is_none() {
        let fingerprint = replacement.shown.key.fingerprint();
        ui.status("nothing was changed; compare the key with the one that the replacement itself shows, then");
        ui.status(&format!("  confvault device replace {name} --fingerprint {fingerprint}"));
        if let Some(release) = &replacement.device.release {
            ui.status(&format!("the inventory declares its release as {release}: give --release if the replacement has another"));
        }
        return;
    }
    match replacement.first() {
        Some(first) if first.release != last.release => {
            ui.status(&format!(
                "the replacement has release {} in place of {}: either give it the old one, or see",
                first.release, last.release
            ));
            ui.status(&format!("  confvault release diff {name} '{}' '{}'", last.release, first.release));
            ui.status("and put the old set back across the releases, plan first:");
            ui.status(&format!("  confvault restore {name}@{} --device --across-releases --plan", last.number));
        }
        Some(_) => {
            ui.status("put the old set back, plan first:");
            ui.status(&format!("  confvault restore {name}@{} --device --plan", last.number));
        }
        None => {}
    }
}

fn document(replacement: &Replacement) -> Value {
    let Replacement { old_source, old_keys, last, device, shown, report, cannot } = replacement;
    let cannot: Vec<Value> = cannot.iter().map(|one| json!({ "what": one.what, "why": one.why })).collect();
    json!({
        "device": device.name,
        "done": report.is_some(),
        "old": { "source": old_source, "keys": old_keys, "generation": last.number, "release": last.release },
        "new": {
            "source": device.source,
            "kind": shown.key.kind(),
            "fingerprint": shown.key.fingerprint(),
            "known": shown.verdict == Verdict::Known,
            "generation": replacement.first().map(|first| first.number),
            "release": replacement.first().map(|first| &first.release),
        },
        "cannot": cannot,
    })
}
