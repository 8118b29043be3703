//! `confvault check`

use serde_json::json;

use super::journal::note;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::time::{self, count};
use crate::cli::ui::{Look, Ui};
use crate::model::DeviceName;
use crate::ops::check::{Options, Report, check};
use crate::ops::signatures::Wrong;
use crate::store::check::{Finding, Span};

/// Check that the store is whole, and what its collectors made of it
///
/// Follows every line, compares every manifest with its tree, and checks every signature. With
/// --read-data every object is read, too. Names what is damaged and which generations it touches.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault check\n  confvault check --read-data\n  confvault check gw-1 --read-data\n",
    exit_codes!()
))]
pub(crate) struct CheckArgs {
    /// Only these devices, without signatures and the rest of the store (default: everything)
    devices: Vec<DeviceName>,
    /// Read every object of every generation
    #[arg(long)]
    read_data: bool,
    /// Threads that read
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    #[command(flatten)]
    identity: IdentityArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &CheckArgs) -> Outcome {
    let root = context.store_root()?;
    let identities = args.identity.load(ui, context)?;
    let options = Options { read_data: args.read_data, devices: args.devices.clone(), threads: args.jobs };
    let bar = ui.progress("reading", 0);
    let report = check(&root, identities.as_ref(), &options, &|done, all| bar.to(done, all));
    ui.finish_progress();
    let report = report?;
    note(ui, context, report.record(&options));
    if ui.json_wished() {
        let document = json!({
            "clean": report.is_clean(),
            "data": report.data,
            "store_branch_read": !report.without_facts,
            "signatures": report.signatures,
            "not_in_inventory": report.gone,
        });
        ui.json("check", &document)?;
    } else {
        print(ui, &report)?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Damage })
}

fn print(ui: &mut Ui, report: &Report) -> Result<(), CommandError> {
    let data = &report.data;
    for finding in &data.findings {
        ui.row(&[(Look::Bad, &format!("{:<9}", finding.fault.to_string())), (Look::Plain, &finding.to_string())])?;
        if !finding.touches.is_empty() {
            ui.row(&[(Look::Dim, &format!("{:<9}touches {}", "", touched(finding)))])?;
        }
    }
    if let Some(signatures) = &report.signatures {
        for finding in &signatures.findings {
            ui.row(&[(Look::Bad, "signature"), (Look::Plain, &format!(" {finding}"))])?;
        }
        if signatures.unpinned {
            ui.warn("no administrator's key is pinned here: signatures were compared with what the store says of itself");
        }
        if signatures.unsigned {
            ui.warn("the store asks for no signatures");
        }
    }
    if report.without_facts {
        ui.warn("the branch `_store` does not read, so nothing was looked at that needs it: signatures, and digests of what is stored sealed or masked");
    }
    let [devices, generations] = [(data.devices, "device"), (data.generations, "generation")].map(|(n, word)| count(n, word));
    let read = match data.objects {
        0 => "structure only; --read-data reads every byte".to_owned(),
        objects => format!("{} of {} read", count(objects, "object"), time::size(data.read_bytes)),
    };
    ui.status(&format!("{generations} of {devices}; {read}"));
    super::snapshot::tell_gone(ui, &report.gone);
    if report.is_clean() {
        ui.row(&[(Look::Good, "clean")])
    } else {
        let signatures = report.signatures.iter().flat_map(|report| &report.findings);
        if signatures.into_iter().any(|f| matches!(f.wrong, Wrong::WentBack { .. } | Wrong::Gone { .. })) {
            ui.status("Refs that went back or are gone: `confvault key heads --put-back` sets what the store still has");
        }
        if report.without_facts {
            ui.status("No command reads the store without `_store`: `confvault key heads --put-back` sets a branch that is gone to where it was seen, \
                 a mirror may have what is lost, and what is whole can be restored by hand, with plain `git`");
        }
        ui.status("Damage is healed by the next snapshot of what is still on the device, else from a mirror: `confvault mirror fetch MIRROR`; \
             then `confvault maintain` takes damaged copies away of what is here whole, and makes lost indices and ends of packs anew");
        ui.row(&[(Look::Bad, "NOT clean")])
    }
}

/// The first generations that a finding touches.
fn touched(finding: &Finding) -> String {
    let one = |span: &Span| match span.last {
        last if last == span.first => format!("{}@{}", span.device, span.first),
        Span::OPEN => format!("{}@{} and all after it", span.device, span.first),
        _ => format!("{}@{}..{}", span.device, span.first, span.last),
    };
    let shown: Vec<String> = finding.touches.iter().take(8).map(one).collect();
    match finding.touches.len().saturating_sub(8) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
