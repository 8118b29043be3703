//! Real configurations, where a corpus is at hand: `CONFVAULT_CORPUS=DIR cargo test --test diff corpus -- --ignored`.

use std::fs;
use std::path::{Path, PathBuf};

use confvault::diff::semantic::compare_settings;
use confvault::diff::{Body, File, Options, Side, Syntax, settings};
use confvault::model::{ConfigPath, Kind, Scope};

use crate::support::{GIT, GNU, assert_makes, diff, side, unified};

fn corpus() -> PathBuf {
    PathBuf::from(std::env::var_os("CONFVAULT_CORPUS").expect("CONFVAULT_CORPUS names the corpus"))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                todo.push(path);
            } else if kind.is_file() {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

fn syntax(path: &Path) -> Syntax {
    let name = path.to_str().unwrap();
    match path.extension().and_then(|e| e.to_str()) {
        Some("xml") => Syntax::Xml,
        Some("json") => Syntax::Json,
        Some("sample" | "conf") if name.contains("asterisk") => Syntax::Ini,
        Some("cfg") if name.contains("batfish") => Syntax::Ios,
        _ => Syntax::Plain,
    }
}

fn load(dir: &Path) -> Side {
    let one = |path: PathBuf| File {
        scope: Scope::Voip,
        path: ConfigPath::new(path.strip_prefix(dir).unwrap().to_str().unwrap()).unwrap(),
        kind: Kind::File,
        mode: 0o644,
        owner: None,
        digest: None,
        syntax: syntax(&path),
        body: Body::Bytes(fs::read(&path).unwrap()),
    };
    side(files(dir).into_iter().map(one).collect())
}

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn releases_differ_and_the_patch_makes_the_new_one() {
    let corpus = corpus();
    for (old, new) in [("16.30.1", "18.26.4"), ("18.26.4", "20.20.1")] {
        let (old, new) = (load(&corpus.join("asterisk").join(old)), load(&corpus.join("asterisk").join(new)));
        let patch = unified(&diff(&old, &new));
        assert_makes(&old, &new, &patch, GIT);
        assert_makes(&old, &new, &patch, GNU);
        let semantic = compare_settings(&old, &new, &Options::default());
        assert!(!semantic.files.is_empty());
        assert!(compare_settings(&old, &old.clone(), &Options::default()).files.is_empty());
    }
}

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn real_texts_are_read() {
    let corpus = corpus();
    let (mut read, mut failed) = (0, Vec::new());
    for path in files(&corpus) {
        let syntax = syntax(&path);
        if syntax == Syntax::Plain {
            continue;
        }
        match settings(syntax, &fs::read(&path).unwrap()) {
            Ok(_) => read += 1,
            Err(error) => failed.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(read > 100, "{read}");
    assert!(failed.len() * 50 < read, "{read} read, {}", failed.join("\n"));
}
