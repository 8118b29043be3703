//! `confvault ls`

use serde_json::json;

use super::signed::{self, Look as Signatures};
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::model::{Kind, Point};
use crate::ops::{PathFilter, near};
use crate::store::Line;

/// List the files of a generation
///
/// Paths stand behind their scope: voip, system or user. FORM says how a file lies in the store.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault ls pbx\n  confvault ls pbx@42 voip/etc '**/*.xml'\n",
    exit_codes!()
))]
pub(crate) struct LsArgs {
    /// The generation
    point: Point,
    /// Files, folders or globs, with or without their scope (default: everything)
    paths: Vec<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &LsArgs) -> Outcome {
    let store = context.store()?;
    let refs = store.refs()?;
    let generation = store.resolve(&refs, &args.point)?;
    let manifest = store.manifest(&generation)?;
    let filter = PathFilter::new(&args.paths);
    let lines: Vec<&Line> = manifest.lines.iter().filter(|line| filter.matches(line.scope, &line.path)).collect();
    if lines.is_empty() && !filter.is_all() {
        let near = near(&args.paths, manifest.lines.iter().map(|line| (line.scope, &line.path)));
        return Err(CommandError::usage(format!("Nothing of this generation matches {}", args.paths.join(" "))).near_path(&near));
    }
    let signature = Signatures::new(ui, context, &store, &refs)?.at(ui, &generation);
    if ui.json_wished() {
        let entries: Vec<_> = lines.iter().map(|line| document(line)).collect();
        let document = json!({
            "device": generation.device,
            "generation": generation.number,
            "release": generation.release,
            "signature": signed::document(signature.as_ref()),
            "entries": entries,
        });
        ui.json("ls", &document)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::default();
    for line in lines {
        let kind = match line.kind {
            Kind::Directory => 'd',
            Kind::File => '-',
            Kind::Link => 'l',
        };
        let owner = line.owner.map_or_else(|| "-".to_owned(), |owner| format!("{}:{}", owner.uid, owner.gid));
        let form = line.body.map_or("-", |body| body.form.as_str());
        let size = line.body.map_or_else(|| "-".to_owned(), |body| time::size(body.size));
        let look = if line.kind == Kind::Directory { Look::Dim } else { Look::Plain };
        table.row(vec![
            plain(format!("{kind}{:04o}", line.mode)),
            plain(owner),
            plain(size),
            (Look::Dim, form.to_owned()),
            (look, line.shown()),
        ]);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

fn document(line: &Line) -> serde_json::Value {
    let kind = match line.kind {
        Kind::Directory => "directory",
        Kind::File => "file",
        Kind::Link => "link",
    };
    json!({
        "scope": line.scope,
        "path": line.path,
        "kind": kind,
        "mode": format!("{:04o}", line.mode),
        "uid": line.owner.map(|owner| owner.uid),
        "gid": line.owner.map(|owner| owner.gid),
        "size_bytes": line.body.map(|body| body.size),
        "form": line.body.map(|body| body.form.as_str()),
    })
}
