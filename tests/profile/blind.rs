//! Counts what the rules miss, and what they take without need, in `fixtures/blind`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use confvault::model::ConfigPath;
use confvault::profile::{MaskOverrides, Profile, Profiles};

/// A text without its marks, and what they marked.
struct Marked {
    text: Vec<u8>,
    secret: Vec<Range<usize>>,
    either: Vec<Range<usize>>,
}

fn unmark(shown: &str, marked: &str) -> Marked {
    let mut out = Marked { text: Vec::new(), secret: Vec::new(), either: Vec::new() };
    let mut open: Option<(char, usize)> = None;
    for c in marked.chars() {
        match (c, open) {
            ('«' | '‹', None) => open = Some((c, out.text.len())),
            ('»', Some(('«', from))) => {
                out.secret.push(from..out.text.len());
                open = None;
            }
            ('›', Some(('‹', from))) => {
                out.either.push(from..out.text.len());
                open = None;
            }
            ('«' | '»' | '‹' | '›', _) => panic!("{shown}: a mark without its other half"),
            _ => out.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    assert!(open.is_none(), "{shown}: a mark is not closed");
    out
}

#[derive(Default)]
struct Tally {
    secrets: usize,
    found: usize,
    spans: usize,
    needless: usize,
    wrong: Vec<String>,
}

fn line_of(text: &[u8], at: usize) -> String {
    let from = text[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let to = text[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |n| at + n);
    String::from_utf8_lossy(&text[from..to]).into_owned()
}

/// A file of a family: what is shown of it, its profile, its path on the device, its text with marks.
struct Fixture {
    shown: String,
    family: String,
    path: ConfigPath,
    marked: String,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/blind");
    let mut all = Vec::new();
    files(&root, &mut all);
    all.sort();
    let inside = |file: &PathBuf| {
        let shown = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let (family, path) = shown.split_once('/')?;
        let (family, path) = (family.to_owned(), ConfigPath::new(path).unwrap());
        Some(Fixture { shown, family, path, marked: fs::read_to_string(file).unwrap() })
    };
    all.iter().filter_map(inside).collect()
}

/// Gives the texts of all fixtures: what is shown of it, its profile, its path, and it.
pub fn texts() -> Vec<(String, String, ConfigPath, Vec<u8>)> {
    let text = |f: &Fixture| unmark(&f.shown, &f.marked).text;
    fixtures().into_iter().map(|f| (f.shown.clone(), f.family.clone(), f.path.clone(), text(&f))).collect()
}

/// Gives the rules that find something here.
pub fn fired(profiles: &Profiles) -> BTreeSet<String> {
    let spans = fixtures().into_iter().flat_map(|f| {
        let text = unmark(&f.shown, &f.marked).text;
        profiles.get(&f.family).unwrap().secrets(&f.path, &text, &MaskOverrides::default())
    });
    spans.map(|span| span.rule.to_string()).collect()
}

fn check(shown: &str, profile: &Profile, path: &ConfigPath, marked: &str, tally: &mut Tally) {
    let Marked { text, secret, either } = unmark(shown, marked);
    let spans = profile.secrets(path, &text, &MaskOverrides::default());
    // What must be hidden, byte by byte; blanks, quotes and punctuation between secrets may go along.
    let mut hidden = vec![false; text.len()];
    for span in &spans {
        hidden[span.range.clone()].fill(true);
    }
    for range in &secret {
        tally.secrets += 1;
        let left = range.clone().any(|at| !hidden[at] && !text[at].is_ascii_whitespace());
        if left {
            tally.wrong.push(format!("{shown}: missed in: {}", line_of(&text, range.start)));
        } else {
            tally.found += 1;
        }
    }
    for span in &spans {
        tally.spans += 1;
        let owed = |at: usize| secret.iter().chain(&either).any(|r| r.contains(&at));
        let more: Vec<u8> =
            span.range.clone().filter(|at| !owed(*at) && text[*at].is_ascii_alphanumeric()).map(|at| text[at]).collect();
        if !more.is_empty() {
            tally.needless += 1;
            let what = String::from_utf8_lossy(&more).into_owned();
            tally.wrong.push(format!("{shown}: {} takes {what:?} in: {}", span.rule, line_of(&text, span.range.start)));
        }
    }
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn secrets_of_configurations_written_without_the_rules_at_hand() {
    let profiles = Profiles::load(None).unwrap();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for Fixture { shown, family, path, marked } in fixtures() {
        let profile = profiles.get(&family).unwrap();
        check(&shown, &profile, &path, &marked, tallies.entry(family).or_default());
    }
    let names: Vec<&str> = profiles.names().filter(|n| *n != "general").collect();
    for name in names {
        assert!(tallies.contains_key(name), "{name} has no blind fixture");
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>();
    for (family, t) in &tallies {
        println!("{family}: {} secrets, {} found; {} masks, {} take what is none", t.secrets, t.found, t.spans, t.needless);
    }
    println!(
        "all: {} secrets, {} found; {} masks, {} take what is none",
        sum(|t| t.secrets),
        sum(|t| t.found),
        sum(|t| t.spans),
        sum(|t| t.needless)
    );
    let wrong: Vec<String> = tallies.into_values().flat_map(|t| t.wrong).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
