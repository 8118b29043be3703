//! `confvault device trust`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::ui::{Look, Ui};
use crate::collect::Shown;
use crate::collect::hostkeys::Verdict;
use crate::model::DeviceName;
use crate::ops::snapshot::World;
use crate::ops::trust::{Trusted, host_keys, trust};

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
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    if args.accept_new {
        ui.warn(
            "host keys are accepted as they are shown, without comparison; you take the responsibility, and the journal says so",
        );
    }
    let mut failed = false;
    let mut found: Vec<Found> = Vec::new();
    for (device, shown) in host_keys(&root, args.name.as_slice(), &world)? {
        match shown.map_err(CommandError::from).and_then(|shown| judge(device.clone(), shown, args)) {
            Ok(one) => found.push(one),
            Err(error) if args.all => {
                failed = true;
                let error = error.about(&device);
                let mut texts = error.texts();
                texts[0] = format!("Device {device}: {}", texts[0]);
                ui.finding(&texts, error.hints());
            }
            Err(error) => return Err(error.about(&device)),
        }
    }
    let trusted = |one: &Found| Some(Trusted { device: one.device.clone(), key: one.shown.key.clone(), how: one.how? });
    trust(&root, &found.iter().filter_map(trusted).collect::<Vec<_>>())?;
    if ui.json_wished() {
        ui.json("device trust", &json!({ "devices": found.iter().map(Found::document).collect::<Vec<_>>() }))?;
    } else {
        found.iter().try_for_each(|one| one.print(ui))?;
    }
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

/// A host key, and what is done with it.
struct Found {
    device: DeviceName,
    shown: Shown,
    /// How it came to be trusted, where it does now.
    how: Option<&'static str>,
}

fn judge(device: DeviceName, shown: Shown, args: &TrustArgs) -> Result<Found, CommandError> {
    let (kind, fingerprint) = (shown.key.kind(), shown.key.fingerprint());
    let how = match (&args.fingerprint, &shown.verdict) {
        (Some(wanted), _) if *wanted != fingerprint => {
            return Err(CommandError::failed(format!("Host key has another fingerprint: {kind} {fingerprint}"))
                .hint("somebody may be in the way, or the device got a new key: ask whoever looks after it"));
        }
        (Some(_), Verdict::Revoked) => return Err(CommandError::failed(format!("Host key is revoked: {fingerprint}"))),
        (Some(_), _) => Some("compared"),
        (None, Verdict::Unknown) if args.accept_new => Some("accepted without comparison"),
        (None, _) => None,
    };
    Ok(Found { device, shown, how })
}

impl Found {
    fn state(&self) -> String {
        match (self.how, &self.shown.verdict) {
            (Some(_), _) => "pinned".to_owned(),
            (None, Verdict::Known) => "known".to_owned(),
            (None, Verdict::Unknown) => "not known".to_owned(),
            (None, Verdict::Revoked) => "revoked".to_owned(),
            (None, Verdict::Changed(expected)) => format!("changed, expected {}", expected.join(" or ")),
        }
    }

    fn print(&self, ui: &mut Ui) -> Result<(), CommandError> {
        let Self { device, shown, how } = self;
        let (kind, fingerprint) = (shown.key.kind(), shown.key.fingerprint());
        let good = how.is_some() || shown.verdict == Verdict::Known;
        let look = if good { Look::Good } else { Look::Bad };
        let place = format!("  {}  {kind} {fingerprint}  ", shown.address);
        ui.row(&[(Look::Strong, device.as_str()), (Look::Plain, &place), (look, &self.state())])?;
        if !good {
            ui.status(&format!("compare it, then `confvault device trust {device} --fingerprint {fingerprint}`"));
        }
        Ok(())
    }

    fn document(&self) -> serde_json::Value {
        let Shown { key, address, .. } = &self.shown;
        json!({
            "device": self.device, "address": address, "kind": key.kind(), "fingerprint": key.fingerprint(), "state": self.state()
        })
    }
}
