//! `confvault device trust`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::{Look, Ui};
use crate::collect::Shown;
use crate::collect::hostkeys::{Verdict, pin};
use crate::model::DeviceName;
use crate::ops::reach;
use crate::ops::snapshot::World;
use crate::store::Record;

/// Show the host key of a device, and pin it
///
/// Without --fingerprint the key is only shown. With it, the key is pinned if it has that fingerprint: compare it with
/// the one that the device itself shows, or with the site's record. No credential is sent.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault device trust gw-1\n  confvault device trust gw-1 --fingerprint SHA256:K7bS…\n  \
     confvault device trust --all --accept-new\n",
    exit_codes!()
))]
pub(crate) struct TrustArgs {
    /// The device
    #[arg(required_unless_present = "all")]
    name: Option<DeviceName>,
    /// Pin the key if it has this fingerprint
    #[arg(long, value_name = "SHA256:…", conflicts_with = "all")]
    fingerprint: Option<String>,
    /// All devices that are reached by SSH
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Pin keys that are not known as they are shown; whoever is in the way now is trusted from now on
    #[arg(long, conflicts_with = "fingerprint")]
    accept_new: bool,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &TrustArgs) -> Outcome {
    let root = context.root()?;
    let names: Vec<DeviceName> = match &args.name {
        Some(name) => vec![name.clone()],
        None => context.inventory()?.devices().filter(|d| d.enabled && reach::has_host_key(d)).map(|d| d.name.clone()).collect(),
    };
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    if args.accept_new {
        ui.warn(
            "host keys are accepted as they are shown, without comparison; you take the responsibility, and the journal says so",
        );
    }
    let mut failed = false;
    let mut found = Vec::new();
    for name in names {
        match one(ui, &root, &name, args, &world) {
            Ok(value) => found.push(value),
            Err(error) if args.all => {
                failed = true;
                let mut texts = error.texts();
                texts[0] = format!("Device {name}: {}", texts[0]);
                ui.finding(&texts, error.hints());
            }
            Err(error) => return Err(error),
        }
    }
    if ui.json_wished() {
        ui.json("device trust", &json!({ "devices": found }))?;
    }
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

fn one(
    ui: &mut Ui,
    root: &std::path::Path,
    name: &DeviceName,
    args: &TrustArgs,
    world: &World<'_>,
) -> Result<serde_json::Value, CommandError> {
    let Shown { key, verdict, address } = reach::host_key(root, name, world)?;
    let (kind, fingerprint) = (key.kind(), key.fingerprint());
    let how = match (&args.fingerprint, &verdict) {
        (Some(wanted), _) if *wanted != fingerprint => {
            return Err(CommandError::failed(format!("Host key has another fingerprint: {kind} {fingerprint}"))
                .hint("somebody may be in the way, or the device got a new key: ask whoever looks after it"));
        }
        (Some(_), Verdict::Revoked) => return Err(CommandError::failed(format!("Host key is revoked: {fingerprint}"))),
        (Some(_), _) => Some("compared"),
        (None, Verdict::Unknown) if args.accept_new => Some("accepted without comparison"),
        (None, _) => None,
    };
    if let Some(how) = how {
        pin(root, name, &key, &format!("{how} {}", chrono::Utc::now().format("%Y-%m-%d")))
            .map_err(|error| crate::collect::CollectError::from(crate::collect::ConnectError::from(error)))?;
        let record = Record::new("trust", "done").with("device", name.as_str());
        crate::ops::record(root, record.with("reason", format!("{kind} {fingerprint}, {how}")))?;
    }
    let state = match (how, &verdict) {
        (Some(_), _) => "pinned".to_owned(),
        (None, Verdict::Known) => "known".to_owned(),
        (None, Verdict::Unknown) => "not known".to_owned(),
        (None, Verdict::Revoked) => "revoked".to_owned(),
        (None, Verdict::Changed(expected)) => format!("changed, expected {}", expected.join(" or ")),
    };
    if !ui.json_wished() {
        let look = if how.is_some() || verdict == Verdict::Known { Look::Good } else { Look::Bad };
        ui.row(&[(Look::Strong, name.as_str()), (Look::Plain, &format!("  {address}  {kind} {fingerprint}  ")), (look, &state)])?;
        if how.is_none() && verdict != Verdict::Known {
            ui.status(&format!("compare it, then `confvault device trust {name} --fingerprint {fingerprint}`"));
        }
    }
    Ok(json!({ "device": name, "address": address, "kind": kind, "fingerprint": fingerprint, "state": state }))
}
