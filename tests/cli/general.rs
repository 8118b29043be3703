use std::process::Stdio;

use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    let all = leaves(&TestEnv::new());
    for (path, help) in &all {
        assert!(documented(path), "docs/cli.md does not know `confvault {}`", path.join(" "));
        assert!(help.contains("Exit codes:") || help.contains("Exit code"), "{path:?} has no exit codes\n{help}");
        assert!(help.lines().next().is_some_and(|line| !line.ends_with('.')), "{path:?}\n{help}");
    }
    assert!(all.len() > 3, "the reader of help found only {} commands", all.len());
}

/// Gives every command that has no commands of its own, as its words, with its help.
pub(crate) fn leaves(env: &TestEnv) -> Vec<(Vec<String>, String)> {
    let (mut wanted, mut found) = (vec![vec![]], Vec::new());
    while let Some(path) = wanted.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = env.cv(&args).succeeded();
        let commands = help.split("Commands:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap().to_owned());
        let Some(commands) = commands else {
            found.push((path, help));
            continue;
        };
        for line in commands.lines() {
            let name = line.split_whitespace().next().unwrap_or("help");
            if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
                wanted.push([path.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
    found
}

/// Tells whether `docs/cli.md` names a command, alone or in a list such as `key add|remove`.
fn documented(path: &[String]) -> bool {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap();
    let (last, above) = path.split_last().unwrap();
    let line = |line: &str| above.iter().all(|word| line.contains(&format!("`confvault {word}"))) && has_word(line, last);
    // A bullet may go on over several lines.
    page.replace("\n  ", " ").lines().filter(|text| text.starts_with("- ")).any(line)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|found| found == word)
}

#[test]
fn the_store_is_found_by_option_variable_and_from_below() {
    let env = TestEnv::new();
    env.write("a/confvault.toml", "collector = \"a\"\n");
    env.write("a/b/c/file", "");
    assert_snapshot!(env.cv(&["device", "list"]), @"
    --- stderr
    error: No confvault.toml here or in a folder above: $TEST/work
    hint: name the folder with `-C DIR` or CONFVAULT_DIR, or make a store with `confvault init DIR`
    --- exit 10
    ");
    assert_snapshot!(env.cv(&["-C", "a", "device", "list"]), @"
    --- stderr
    No devices; add one with `confvault device add NAME --source URL`
    ");
    assert_snapshot!(env.cv(&["-C", "a/b", "device", "list"]), @"
    --- stderr
    error: No confvault.toml here or in a folder above: $TEST/work/a/b
    hint: name the folder with `-C DIR` or CONFVAULT_DIR, or make a store with `confvault init DIR`
    --- exit 10
    ");
    env.run(env.command(&["device", "list"]).env("CONFVAULT_DIR", env.path("a"))).succeeded();
    env.run(env.command(&["device", "list"]).current_dir(env.path("a/b/c"))).succeeded();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let env = TestEnv::new();
    let mut child = env.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn it_works_without_home_and_says_its_version() {
    let env = TestEnv::new();
    let run = env.run(env.command(&["--version"]).env_remove("HOME").env_remove("LANG"));
    assert_eq!(run.succeeded(), format!("confvault {}\n", env!("CARGO_PKG_VERSION")));
    let run = env.run(env.command(&["profile", "list"]).env_remove("HOME"));
    assert!(run.succeeded().contains("generic"));
}

#[test]
fn usage_errors_end_with_2_and_escape_what_was_typed() {
    let env = TestEnv::new();
    let said = env.cv(&["device", "frobnicate\x1b[2J"]).failed(2);
    assert!(!said.contains('\x1b'), "{said:?}");
    env.cv(&[]).failed(2);
}

#[test]
fn completions_are_there_for_every_shell() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = env.cv(&["completions", shell]).succeeded();
        assert!(script.contains("confvault") && script.contains("device"), "{shell}");
    }
}
