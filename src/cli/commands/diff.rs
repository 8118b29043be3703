//! `confvault diff`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::signed;
use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::identity::IdentityArgs;
use crate::cli::signals;
use crate::cli::time;
use crate::cli::ui::Ui;
use crate::diff::render::{self, Render, Style};
use crate::fsio;
use crate::ops::compare::{Comparison, Difference, End, Options, compare};
use crate::ops::points::tell_apart;
use crate::ops::snapshot::World;
use crate::ops::{PathFilter, Reader};

/// Compare two generations, of one device or of two, or a generation with the device as it is now
///
/// A alone is compared with the generation before it. B is `now` (collect, and store nothing), @WHERE
/// of the same device, or another point; every further word is a path. The output is git's, so that
/// patch and others read it; a hunk names the section it stands in. Lines that are volatile are left out.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  confvault diff gw-1\n  confvault diff gw-1@41 @43\n  confvault diff gw-1@golden now\n  \
    confvault diff pbx:18.26.4 pbx:20.20.1 --stat\n  confvault diff pbx@1 pbx@2 -- voip/etc/asterisk\n\n\
    Exit codes: 0 same, 1 different, 2 trouble, usage errors included"
)]
pub(crate) struct DiffArgs {
    /// The older point, or the only one
    #[arg(value_name = "A")]
    first: String,
    /// The newer point, then paths: files, folders or globs, with or without their scope
    #[arg(value_name = "B] [PATH")]
    rest: Vec<String>,
    /// Paths only
    #[arg(last = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Show both sides beside each other
    #[arg(short = 'y', long, group = "form")]
    side_by_side: bool,
    /// Show counts of lines by file
    #[arg(long, group = "form")]
    stat: bool,
    /// Show which words of a line differ
    #[arg(long, group = "form")]
    word: bool,
    /// Write one HTML page to FILE (`-`: standard output)
    #[arg(long, value_name = "FILE", group = "form")]
    html: Option<PathBuf>,
    /// Compare settings, without regard to order and white space that mean nothing in their format
    #[arg(long, conflicts_with_all = ["side_by_side", "stat", "word"])]
    semantic: bool,
    /// Count volatile lines too
    #[arg(long)]
    volatile: bool,
    /// Unchanged lines around each change
    #[arg(short = 'U', long, value_name = "N", default_value_t = 3)]
    context: usize,
    #[command(flatten)]
    identity: IdentityArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DiffArgs) -> Outcome {
    let identities = args.identity.load(ui, context)?;
    let reader = Reader::open(&context.store_root()?, identities.as_ref())?;
    let words = tell_apart(&reader, &args.first, &args.rest)?;
    let paths: Vec<String> = words.paths.iter().chain(&args.paths).cloned().collect();
    let options =
        Options { paths: PathFilter::new(&paths), volatile: args.volatile, context: args.context, semantic: args.semantic };
    let cancel = signals::cancel();
    let world = World { env: &crate::cli::env::variable, home: context.env.home.as_deref(), cancel: &cancel };
    let device = &words.first.device;
    let meant = |texts: &[String]| {
        let name = texts.iter().find(|text| reader.is_name(device, text))?;
        Some(format!("`@{name}` is the generation of this name: `confvault diff {} @{name}`", args.first))
    };
    let found = compare(&reader, &words.first, words.second.as_ref(), &options, &world).map_err(|error| {
        // A first generation has none before it to compare with, and the name was not meant as a path.
        let error = CommandError::from(error);
        match meant(&paths) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    [&found.old, &found.new].into_iter().filter_map(|end| end.signature.as_ref()).for_each(|found| signed::tell(ui, found));
    if !found.unused_paths.is_empty() {
        let texts = found.unused_paths.join(", ");
        let error = CommandError::usage(format!("Nothing on either side matches {texts}"));
        return Err(match meant(&found.unused_paths) {
            Some(hint) => error.hint(hint),
            None => error.near_path(&reader.near_paths(device, &found.unused_paths)),
        });
    }
    print(ui, context, args, &found)?;
    Ok(if found.difference.is_empty() { Exit::Done } else { Exit::Differs })
}

fn print(ui: &mut Ui, context: &Context, args: &DiffArgs, found: &Comparison) -> Result<(), CommandError> {
    if ui.json_wished() {
        let diff = match &found.difference {
            Difference::Lines(diff) => render::json(diff),
            Difference::Settings(diff) => render::json_settings(diff),
        };
        return ui.json("diff", &json!({ "old": end(&found.old), "new": end(&found.new), "diff": diff }));
    }
    if let Some(file) = &args.html {
        return html(ui, context, file, found);
    }
    let render = Render {
        style: if ui.is_coloured() { Style::Ansi } else { Style::Plain },
        escape_control: ui.is_terminal(),
        width: ui.width().unwrap_or(if args.side_by_side { 160 } else { 80 }),
    };
    let out = ui.raw();
    match &found.difference {
        Difference::Settings(diff) => render::settings(diff, &render, out)?,
        Difference::Lines(diff) if args.side_by_side => render::side_by_side(diff, &render, out)?,
        Difference::Lines(diff) if args.stat => render::stat(diff, &render, out)?,
        Difference::Lines(diff) if args.word => render::word(diff, &render, out)?,
        Difference::Lines(diff) => render::unified(diff, &render, out)?,
    }
    Ok(())
}

fn html(ui: &mut Ui, context: &Context, file: &Path, found: &Comparison) -> Result<(), CommandError> {
    let title = format!("{} - {}", name(&found.old), name(&found.new));
    let mut page = Vec::new();
    match &found.difference {
        Difference::Lines(diff) => render::html(diff, &title, &mut page)?,
        Difference::Settings(diff) => render::html_settings(diff, &title, &mut page)?,
    }
    if file.as_os_str() == "-" {
        ui.raw().write_all(&page)?;
        return Ok(());
    }
    // A page holds text of configurations: it is for its owner.
    fsio::write_file(&context.absolute(file)?, &page, 0o600)?;
    ui.status(&format!("written to {}", file.display()));
    Ok(())
}

fn name(end: &End) -> String {
    let place = end.number.map_or_else(|| "now".to_owned(), |number| number.to_string());
    let release = end.release.as_ref().map(|release| format!(" ({release})")).unwrap_or_default();
    format!("{}@{place}{release}", end.device)
}

fn end(end: &End) -> serde_json::Value {
    json!({
        "device": end.device,
        "release": end.release,
        "generation": end.number,
        "time": time::json(end.time),
        "signature": signed::document(end.signature.as_ref()),
    })
}
