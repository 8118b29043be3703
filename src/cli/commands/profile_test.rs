//! `confvault profile test`

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::signals;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui};
use crate::inventory::ProfileName;
use crate::ops::profile_test::{FileReport, Report, profile_test};
use crate::ops::snapshot::World;
use crate::profile::MaskOverrides;

/// Show what a profile would make of a folder: scopes, release, volatile lines, secrets
///
/// Nothing is stored. Secrets are named by line and rule, never shown. SUSPECTS are texts that look
/// random and that no rule takes for a secret.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!(
    "Examples:\n  confvault profile test /etc/asterisk --profile asterisk\n  \
     confvault profile test export/gw-1 --profile my-gateway --json\n",
    exit_codes!()
))]
pub(crate) struct TestArgs {
    /// The folder
    dir: PathBuf,
    /// The profile
    #[arg(long, value_name = "PROFILE")]
    profile: ProfileName,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &TestArgs) -> Outcome {
    let profile = context.profiles()?.get(args.profile.as_str())?;
    let overrides = match context.inventory() {
        Ok(inventory) => MaskOverrides::new(&inventory.never_mask, &inventory.always_mask)?,
        Err(_) => MaskOverrides::default(),
    };
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let report = profile_test(&context.absolute(&args.dir)?, &args.profile, &profile, &overrides, &world)?;
    if ui.json_wished() {
        ui.json("profile test", &document(args, &report))?
    } else {
        print(ui, &report)?
    }
    Ok(Exit::Done)
}

fn print(ui: &mut Ui, report: &Report) -> Result<(), CommandError> {
    match &report.release {
        Some(release) => ui.row(&[(Look::Dim, "release    "), (Look::Good, release.as_str())])?,
        None => {
            ui.row(&[(Look::Dim, "release    "), (Look::Bad, "not found; declare it with `confvault device set --release`")])?
        }
    }
    let mut scopes: BTreeMap<&str, usize> = BTreeMap::new();
    report.files.iter().for_each(|file| *scopes.entry(file.scope.as_str()).or_default() += 1);
    let scopes: Vec<String> = scopes.iter().map(|(scope, count)| format!("{scope} {count}")).collect();
    ui.row(&[
        (Look::Dim, "files      "),
        (Look::Plain, &format!("{}; {}", scopes.join(", "), time::count(report.links, "link"))),
    ])?;
    ui.line("")?;
    let mut table = Table::new(&["SIZE", "SYNTAX", "VOLATILE", "SECRETS", "SUSPECTS", "FILE"]);
    for file in &report.files {
        let syntax = file.syntax.map_or_else(|| "-".to_owned(), |syntax| word(&json!(syntax)));
        table.row(vec![
            plain(time::size(file.size)),
            (Look::Dim, syntax),
            plain(lines(&file.volatile)),
            (Look::Bad, count(file.secrets.len())),
            (Look::Notice, lines(&file.suspects)),
            plain(format!("{}/{}", file.scope, file.path)),
        ]);
    }
    table.print(ui)?;
    for file in report.files.iter().filter(|file| !file.secrets.is_empty()) {
        ui.line("")?;
        ui.row(&[(Look::Strong, &format!("secrets in {}/{}", file.scope, file.path))])?;
        for (rule, at) in by_rule(file) {
            ui.line(&format!("  {rule}: line {}", lines(&at)))?;
        }
    }
    for (title, paths) in [
        ("no rule claims (kept in scope system)", report.unclaimed.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ("left out", report.skipped.iter().map(|s| format!("{} ({})", s.path, s.what)).collect()),
    ] {
        if !paths.is_empty() {
            ui.line("")?;
            ui.row(&[(Look::Notice, title)])?;
            paths.iter().try_for_each(|path| ui.line(&format!("  {path}")))?;
        }
    }
    Ok(())
}

fn count(count: usize) -> String {
    if count == 0 { "-".to_owned() } else { count.to_string() }
}

/// Numbers of lines, the first five.
fn lines(lines: &[usize]) -> String {
    let shown: Vec<String> = lines.iter().take(5).map(ToString::to_string).collect();
    match lines.len() {
        0 => "-".to_owned(),
        1..=5 => shown.join(","),
        all => format!("{} +{}", shown.join(","), all - 5),
    }
}

fn by_rule(file: &FileReport) -> BTreeMap<&str, Vec<usize>> {
    let mut rules: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    file.secrets.iter().for_each(|(line, rule)| rules.entry(rule).or_default().push(*line));
    rules
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn document(args: &TestArgs, report: &Report) -> serde_json::Value {
    let files = report.files.iter().map(|file| {
        let secrets: Vec<_> = file.secrets.iter().map(|(line, rule)| json!({ "line": line, "rule": rule })).collect();
        json!({
            "scope": file.scope,
            "path": file.path,
            "size_bytes": file.size,
            "syntax": file.syntax,
            "volatile_lines": file.volatile,
            "secrets": secrets,
            "suspect_lines": file.suspects,
        })
    });
    json!({
        "profile": args.profile,
        "release": report.release,
        "files": files.collect::<Vec<_>>(),
        "links_count": report.links,
        "unclaimed": report.unclaimed,
        "skipped": super::snapshot::skipped(&report.skipped),
    })
}
