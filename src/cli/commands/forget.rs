//! `confvault forget`

use chrono::Utc;
use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::AdminArgs;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::DeviceName;
use crate::ops::Vault;
use crate::ops::forget::{LogMonth, What, finish, forget, months_of, plan};
use crate::store::maintain::Maintained;

/// Forget logs and large files past their time, or a retired device
///
/// Without a device: whole months of logs past keep_logs, and large files of generations past keep_large; the newest
/// generation and those with a name keep theirs. With a device, which must not be in the inventory any more: all its
/// lines, names and large files. Its logs lie in months together with those of other devices: they are named, and --logs
/// drops these months whole, once they are over. Shows what will go, and does it only with --yes. A tombstone signed by an
/// administrator remains: pushes and rebuilds honour it. Mirrors are cleaned by `confvault mirror forget`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault forget\n  confvault forget --yes\n  confvault forget gw-old --reason 'retired, ticket 4711' --yes\n",
    exit_codes!()
))]
pub(crate) struct ForgetArgs {
    /// A retired device, to forget it whole
    device: Option<DeviceName>,
    /// With a device: drop the months that have logs of it, too, with the logs of all other devices in them
    #[arg(long, requires = "device")]
    logs: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// Why; stands in the tombstone
    #[arg(long, value_name = "TEXT", default_value = "past its time")]
    reason: String,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ForgetArgs) -> Outcome {
    let root = context.root()?;
    let mut vault = Vault::open(&root)?;
    let now = Utc::now();
    let going = plan(&vault, args.device.as_ref(), args.logs, now)?;
    let months = args.device.as_ref().map_or_else(|| Ok(Vec::new()), |device| months_of(&vault, device, now))?;
    let stay: Vec<LogMonth> = months.into_iter().filter(|month| !going.iter().any(|g| g.reference == month.reference)).collect();
    let done = if args.yes && !going.is_empty() {
        let key = args.admin.folder(context, &root)?.key()?;
        Some(forget(&mut vault, &going, &key, &args.reason, now)?)
    } else {
        None
    };
    // A killed one had taken the refs away, and may not have come to the bytes.
    let ended = if args.yes && going.is_empty() { finish(&vault)? } else { None };
    if ui.json_wished() {
        let freed = done.as_ref().map(|d| d.maintained).or(ended).map(freed);
        ui.json("forget", &json!({ "refs": going, "done": done.is_some(), "freed_bytes": freed, "logs_left": stay }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::default();
    for going in &going {
        table.row(vec![(Look::Dim, what(going.what).to_owned()), plain(&going.reference)]);
    }
    table.print(ui)?;
    if let Some(device) = &args.device {
        tell_logs(ui, device, &stay);
    }
    match done {
        Some(done) => {
            ui.status(&format!("{} forgotten, {} freed", time::count(done.refs, "ref"), time::size(freed(done.maintained))));
            if !vault.inventory.mirrors.is_empty() {
                ui.status("Mirrors still hold it: `confvault mirror push`, then `confvault mirror forget NAME --yes`");
            }
        }
        None if going.is_empty() => match ended {
            Some(maintained) => ui.status(&format!("What was begun before is done, {} freed", time::size(freed(maintained)))),
            None => ui.status("nothing to forget"),
        },
        None => ui.status("this would go for good; nothing was done: run it again with --yes"),
    }
    Ok(Exit::Done)
}

/// What a ref holds, in words.
fn what(what: What) -> &'static str {
    match what {
        What::Logs => "logs of a month",
        What::Large => "large files of a generation",
        What::Line => "all generations under a release",
        What::Name => "name",
    }
}

/// Says which logs of a device stay where they are.
fn tell_logs(ui: &mut Ui, device: &DeviceName, stay: &[LogMonth]) {
    for month in stay {
        let name = month.reference.trim_start_matches("refs/heads/");
        let others = match month.others.len() {
            0 => String::new(),
            n => format!(", together with those of {}", time::count(n, "other device")),
        };
        let how =
            if month.open { "it is still written to; `--logs` drops it when it is over" } else { "`--logs` drops it whole" };
        ui.warn(&format!("Logs of {device} stay in {name}{others}: {how}"));
    }
}

/// By how many bytes the store is smaller.
fn freed(maintained: Maintained) -> u64 {
    maintained.before_bytes.saturating_sub(maintained.after_bytes)
}
