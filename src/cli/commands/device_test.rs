//! `confvault device test`

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::collect::Step;
use crate::model::{Content, DeviceName, Kind};
use crate::ops::reach::{self, Tested};
use crate::ops::snapshot::World;

/// Collect a device without keeping anything, and show each step
///
/// Shows what each step took, what would be collected, and what to mend where a step fails.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault device test gw-1\n", exit_codes!()))]
pub(crate) struct TestArgs {
    /// The device
    name: DeviceName,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &TestArgs) -> Outcome {
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let Tested { steps, took, result } = reach::test(&context.root()?, &args.name, &world)?;
    if !ui.json_wished() {
        for step in &steps {
            let took = format!("{:>8.3} s  ", step.took.as_secs_f64());
            ui.row(&[(Look::Dim, &took), (Look::Plain, &crate::cli::ui::safe(step.what.as_bytes()))])?;
        }
        if result.is_err() {
            let rest = took.saturating_sub(steps.iter().map(|step| step.took).sum());
            ui.row(&[
                (Look::Dim, &format!("{:>8.3} s  ", rest.as_secs_f64())),
                (Look::Bad, "failed"),
                (Look::Plain, &format!(" {}", after(&steps))),
            ])?;
        }
    }
    // The advice to look at each step has been followed.
    let collected = result.map_err(|error| CommandError::from(error).about(&args.name).without("device test"))?;
    let size = |content: &Content, stamp: u64| match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Spooled { size, .. } => *size,
        Content::Same(_) => stamp,
    };
    let files: Vec<_> = collected.set.entries().iter().filter(|entry| entry.kind == Kind::File).collect();
    if ui.json_wished() {
        let list: Vec<_> = files
            .iter()
            .map(|f| json!({ "scope": f.scope.as_str(), "path": f.path, "size_bytes": size(&f.content, f.stamp.size) }))
            .collect();
        let steps: Vec<_> = steps.iter().map(|s| json!({ "what": s.what, "took_ms": s.took.as_millis() })).collect();
        ui.json(
            "device test",
            &json!({ "device": args.name, "release": collected.set.release, "steps": steps, "files": list, "skipped": super::snapshot::skipped(&collected.skipped), "warnings": collected.warnings }),
        )?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["SCOPE", "SIZE", "FILE"]);
    for file in files.iter().take(50) {
        table.row(vec![plain(file.scope), plain(time::size(size(&file.content, file.stamp.size))), plain(&file.path)]);
    }
    table.print(ui)?;
    let release = collected.set.release.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let more = files.len().saturating_sub(50);
    let more = if more > 0 { format!(", {more} of them not shown") } else { String::new() };
    ui.status(&format!("{} of release {release}{more}; nothing was kept", time::count(files.len(), "file")));
    for warning in &collected.warnings {
        ui.warn(warning);
    }
    Ok(Exit::Done)
}

/// Where it failed: each step is told when it is done.
fn after(steps: &[Step]) -> String {
    match steps.last() {
        Some(step) => format!("after {}", crate::cli::ui::safe(step.what.as_bytes())),
        None => "at the first step: to reach the source".to_owned(),
    }
}
