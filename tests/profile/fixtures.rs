//! Walks `fixtures/devices`: no code here knows a family.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use confvault::model::{ConfigPath, Scope};
use confvault::profile::{Claim, MaskOverrides, Profile, Profiles, Syntax, sections};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    profile: Option<String>,
    release: Option<String>,
    #[serde(default)]
    unclaimed: Vec<String>,
    file: Vec<ExpectedFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFile {
    path: String,
    scope: String,
    syntax: Option<Syntax>,
    #[serde(default)]
    volatile: Vec<String>,
    #[serde(default)]
    masked: Vec<String>,
    #[serde(default)]
    stay: Vec<String>,
    #[serde(default)]
    sections: Vec<[String; 2]>,
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Recorded {
    #[allow(dead_code)]
    mode: String,
    #[serde(default, rename = "keyboard")]
    _keyboard: bool,
    #[serde(default, rename = "remembers")]
    _remembers: bool,
    #[serde(default, rename = "banner")]
    _banner: String,
    #[serde(default, rename = "delay-ms")]
    _delay_ms: u64,
    #[serde(default, rename = "prompt")]
    _prompt: String,
    #[serde(default, rename = "echo")]
    _echo: Option<bool>,
    #[serde(default, rename = "newline")]
    _newline: Option<String>,
    #[serde(default, rename = "width")]
    _width: u32,
    #[serde(default, rename = "unknown")]
    _unknown: String,
    #[serde(default, rename = "unknown-status")]
    _unknown_status: u32,
    #[serde(rename = "pager")]
    _pager: Option<toml::Value>,
    exchange: Vec<Exchange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Exchange {
    command: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    raw: bool,
}

/// What the walk counted.
#[derive(Default)]
struct Tally {
    wrong: Vec<String>,
    masked: usize,
    missed: usize,
    falsely: usize,
    fired: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/devices")
}

fn tree(dir: &Path, base: &Path, out: &mut BTreeMap<ConfigPath, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        if file.is_dir() {
            tree(&file, base, out);
        } else {
            let inside = file.strip_prefix(base).unwrap().to_str().unwrap();
            out.insert(ConfigPath::new(inside).unwrap(), fs::read(&file).unwrap());
        }
    }
}

/// Gives the files of a fixture: those of its tree, and the outputs of its session.
fn files(dir: &Path, profile: &Profile) -> BTreeMap<ConfigPath, Vec<u8>> {
    let mut out = BTreeMap::new();
    if dir.join("tree").is_dir() {
        tree(&dir.join("tree"), &dir.join("tree"), &mut out);
    }
    if let Ok(text) = fs::read_to_string(dir.join("session.toml")) {
        let recorded: Recorded = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        for command in profile.commands() {
            let spellings: Vec<&String> = std::iter::once(&command.run).chain(&command.or).collect();
            let refused =
                |e: &Exchange| profile.session().is_some_and(|s| s.refusals.iter().any(|r| r.is_match(e.output.as_bytes())));
            let usable = |run: &String| recorded.exchange.iter().find(|e| e.command == *run && !e.raw && !refused(e));
            let answer = spellings.iter().find_map(|run| usable(run));
            if let Some(exchange) = answer {
                out.insert(command.path.clone(), exchange.output.clone().into_bytes());
            }
        }
    }
    assert!(!out.is_empty(), "{} has neither tree nor session", dir.display());
    out
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check_file(shown: &str, profile: &Profile, path: &ConfigPath, text: &[u8], expected: &ExpectedFile, tally: &mut Tally) {
    let mut wrong = |what: String| tally.wrong.push(format!("{shown}/{path}: {what}"));
    let claim = match profile.claim(path) {
        Claim::Scope(scope) => scope.to_string(),
        Claim::Skip => "skip".into(),
        Claim::Unclaimed => Scope::System.to_string(),
    };
    if claim != expected.scope {
        wrong(format!("has scope {claim}"));
    }
    let syntax = profile.syntax(path, text);
    if expected.syntax.is_some_and(|s| s != syntax) {
        wrong(format!("has syntax {syntax:?}"));
    }
    let volatile: Vec<String> = profile.volatile(path, text).into_iter().map(|r| lossy(&text[r])).collect();
    if volatile != expected.volatile {
        wrong(format!("has volatile {volatile:?}"));
    }
    let left: usize = text.len() - profile.volatile(path, text).iter().map(ExactSizeIterator::len).sum::<usize>();
    if profile.normalise(path, text).len() != left {
        wrong("normalises to another text than its volatile parts say".into());
    }

    let spans = profile.secrets(path, text, &MaskOverrides::default());
    for pair in spans.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "{shown}/{path}: spans overlap");
    }
    let mut due: Vec<&str> = expected.masked.iter().map(String::as_str).collect();
    for span in &spans {
        let value = lossy(&text[span.range.clone()]);
        match due.iter().position(|d| *d == value) {
            Some(at) => drop(due.remove(at)),
            None => {
                tally.falsely += 1;
                wrong(format!("falsely masks {value:?} by {}", span.rule));
            }
        }
        tally.fired.insert(span.rule.to_string());
    }
    for value in &due {
        wrong(format!("leaves {value:?} in clear"));
    }
    tally.missed += due.len();
    tally.masked += expected.masked.len() - due.len();
    for word in &expected.stay {
        let places: Vec<usize> = memchr::memmem::find_iter(text, word).collect();
        let touched = |at: usize| spans.iter().any(|s| s.range.start < at + word.len() && at < s.range.end);
        if places.is_empty() || places.into_iter().all(touched) {
            wrong(format!("does not leave {word:?} as it is"));
        }
    }
    for rule in &expected.rules {
        if !spans.iter().any(|s| *s.rule == **rule) {
            wrong(format!("has no secret by {rule}"));
        }
    }
    let found = sections(syntax, text);
    for [line, section] in &expected.sections {
        let number = lossy(text).lines().position(|l| l.contains(line.as_str()));
        let stands = number.and_then(|n| found.of_line(n)).unwrap_or("");
        if number.is_none() || stands != section {
            wrong(format!("{line:?} stands in {stands:?}"));
        }
    }
}

/// Gives the name of a fixture, what is expected of it, and its profile.
fn expected(dir: &Path) -> (String, Expected, String) {
    let shown = dir.file_name().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(dir.join("expected.toml")).unwrap_or_else(|e| panic!("{shown}/expected.toml: {e}"));
    let expected: Expected = toml::from_str(&text).unwrap_or_else(|e| panic!("{shown}/expected.toml: {e}"));
    let name = expected.profile.clone().unwrap_or_else(|| shown.split('#').next().unwrap().to_owned());
    (shown, expected, name)
}

fn check(dir: &Path, profiles: &Profiles, tally: &mut Tally) -> String {
    let (shown, expected, name) = expected(dir);
    let profile = profiles.get(&name).unwrap();
    let files = files(dir, &profile);

    let paths: Vec<ConfigPath> = files.keys().cloned().collect();
    let release = profile.release(&paths, &mut |path| files.get(path).cloned());
    if release.as_ref().map(|r| r.as_str()) != expected.release.as_deref() {
        tally.wrong.push(format!("{shown}: has release {release:?}"));
    }
    let unclaimed: Vec<String> = paths.iter().filter(|p| profile.claim(p) == Claim::Unclaimed).map(ToString::to_string).collect();
    if unclaimed != expected.unclaimed {
        tally.wrong.push(format!("{shown}: nothing claims {unclaimed:?}"));
    }
    for file in &expected.file {
        let path = ConfigPath::new(file.path.as_str()).unwrap();
        match files.get(&path) {
            Some(text) => check_file(&shown, &profile, &path, text, file, tally),
            None => tally.wrong.push(format!("{shown}: has no file {path}")),
        }
    }
    for path in &paths {
        if !expected.file.iter().any(|f| f.path.as_bytes() == path.as_bytes()) {
            tally.wrong.push(format!("{shown}: expects nothing of {path}"));
        }
    }
    name
}

/// Gives the folders of the fixtures, in order.
fn dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

/// Gives the texts of all fixtures: the folder, the profile, the path, and the text.
pub fn texts(profiles: &Profiles) -> Vec<(String, String, ConfigPath, Vec<u8>)> {
    let of = |dir: &PathBuf| {
        let (shown, _, name) = expected(dir);
        let files = files(dir, &profiles.get(&name).unwrap());
        files.into_iter().map(move |(path, text)| (format!("{shown}/{path}"), name.clone(), path, text)).collect::<Vec<_>>()
    };
    dirs().iter().flat_map(of).collect()
}

#[test]
fn every_family_is_what_its_fixture_says() {
    let profiles = Profiles::load(None).unwrap();
    let mut tally = Tally::default();
    let mut seen = BTreeSet::new();
    let dirs = dirs();
    for dir in &dirs {
        seen.insert(check(dir, &profiles, &mut tally));
    }
    tally.fired.extend(super::blind::fired(&profiles));
    for name in profiles.names() {
        if !seen.contains(name) {
            tally.wrong.push(format!("{name}: has no fixture"));
        }
        for rule in profiles.get(name).unwrap().secret_rules() {
            let home = rule.starts_with(&format!("{name}/"));
            if home && !tally.fired.contains(&rule) {
                tally.wrong.push(format!("{name}: no fixture shows a secret that only {rule} finds"));
            }
        }
    }
    println!(
        "{} fixtures: {} secrets, {} missed, {} falsely masked",
        dirs.len(),
        tally.masked + tally.missed,
        tally.missed,
        tally.falsely
    );
    assert!(tally.wrong.is_empty(), "\n{}", tally.wrong.join("\n"));
}
