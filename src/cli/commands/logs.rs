//! `confvault logs`

use std::path::PathBuf;

use serde_json::json;

use super::journal::note;
use super::restore_show::tell;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::identity::IdentityArgs;
use crate::cli::table::{Table, plain};
use crate::cli::time::{self, count};
use crate::cli::ui::{Look, Ui};
use crate::model::{DeviceName, Kind};
use crate::ops::restore::{RestoreOptions, restore};
use crate::ops::{PathFilter, Reader};
use crate::store::{FiledLogs, Record};

/// List the logs of a device, and put them into a folder
///
/// Logs are in no generation: they are filed with the run that took them, a line of commits for each month, until
/// `confvault forget` drops the month. RUN is that of the generation of the same snapshot, as `confvault show` and
/// `confvault journal` have it. With --to, the newest are put back, or those of --commit; sealed ones need an identity.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault logs pbx\n  confvault logs pbx --to /tmp/logs --identity admin/identity.txt\n  \
     confvault logs pbx 'var/log/asterisk/full*' --commit 3f2a91c0 --to /tmp/logs --identity admin/identity.txt\n",
    exit_codes!()
))]
pub(crate) struct LogsArgs {
    /// The device
    device: DeviceName,
    /// Only these files, folders or globs
    #[arg(value_name = "PATH", requires = "to")]
    paths: Vec<String>,
    /// Into this folder; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Those of this commit, by the beginning of its id, or of this run
    #[arg(long, value_name = "COMMIT", requires = "to")]
    commit: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &LogsArgs) -> Outcome {
    let identities = args.identity.load(ui, context)?;
    let reader = Reader::open(&context.store_root()?, identities.as_ref())?;
    let refs = reader.store.refs()?;
    let filed = reader.store.logs(&refs, Some(&args.device))?;
    if filed.is_empty() {
        // A device that has neither logs nor a generation is a mistake, or was never taken.
        reader.store.newest(&refs, &args.device)?;
    }
    let Some(to) = &args.to else { return list(ui, &reader, args, &filed) };
    let meant = |filed: &&FiledLogs| {
        let by = |text: &String| filed.commit.to_string().starts_with(text) || filed.run.as_ref() == Some(text);
        args.commit.as_ref().is_none_or(by)
    };
    let mut found = filed.iter().filter(meant);
    let chosen = found.next().ok_or_else(|| CommandError::usage(format!("No such logs are filed: {}", args.device)))?;
    if args.commit.is_some() && found.next().is_some() {
        return Err(CommandError::usage("More than one commit begins so"));
    }
    let set = reader.store.read_logs(&refs, chosen, reader.access())?;
    let options = RestoreOptions { paths: PathFilter::new(&args.paths), ..RestoreOptions::default() };
    let restored = restore(&set, reader.access(), &context.absolute(to)?, &options)?;
    let entry = Record::new("restore", "done").with("device", args.device.as_str()).with("logs", chosen.commit.to_string());
    let entry = entry.with("files", restored.files).with("bytes", restored.bytes);
    note(ui, context, entry);
    if ui.json_wished() {
        let commit = chosen.commit.to_string();
        let (files, bytes) = (restored.files, restored.bytes);
        ui.json("logs", &json!({ "device": args.device, "commit": commit, "files_count": files, "bytes": bytes }))?;
        return Ok(Exit::Done);
    }
    let (files, size) = (count(restored.files, "file"), time::size(restored.bytes));
    ui.row(&[
        (Look::Strong, args.device.as_str()),
        (Look::Plain, &format!("  {files} of {}, {size}, in {}; every digest checked", time::shown(chosen.time), to.display())),
    ])?;
    tell(ui, &restored);
    Ok(Exit::Done)
}

fn list(ui: &mut Ui, reader: &Reader, args: &LogsArgs, filed: &[FiledLogs]) -> Outcome {
    let refs = reader.store.refs()?;
    let (mut table, mut documents) = (Table::new(&["TIME", "MONTH", "COMMIT", "FILES", "SIZE", "RUN"]), Vec::new());
    for filed in filed {
        let set = reader.store.read_logs(&refs, filed, reader.access())?;
        let files: Vec<_> = set.manifest().lines.iter().filter(|line| line.kind == Kind::File).collect();
        let bytes: u64 = files.iter().filter_map(|line| line.body).map(|body| body.size).sum();
        let month = filed.reference.trim_start_matches("refs/heads/");
        let (commit, run) = (filed.commit.to_string(), filed.run.clone().unwrap_or_default());
        table.row(vec![
            plain(time::shown(filed.time)),
            plain(month),
            (Look::Strong, commit[..12].to_owned()),
            plain(files.len()),
            plain(time::size(bytes)),
            plain(&run),
        ]);
        let names: Vec<_> = files.iter().map(|line| line.path.to_string()).collect();
        documents.push(json!({
            "time": time::json(filed.time), "ref": filed.reference, "commit": commit, "run": run, "files": names, "bytes": bytes,
        }));
    }
    if ui.json_wished() {
        ui.json("logs", &json!({ "device": args.device, "logs": documents }))?;
        return Ok(Exit::Done);
    }
    table.print(ui)?;
    if filed.is_empty() {
        ui.status("no logs are filed");
    }
    Ok(Exit::Done)
}
