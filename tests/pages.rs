//! The pages of the documentation, held to the program: what they print works as it is printed.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "support/env.rs"]
mod env;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use env::TestEnv;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().path());
    docs.filter(|p| p.extension().is_some_and(|e| e == "md")).chain([root.join("README.md")]).collect()
}

/// The command lines of a page: in blocks, indented or fenced, and in running text between backquotes.
fn commands(page: &str) -> Vec<String> {
    let (mut lines, mut text, mut fenced) = (Vec::new(), String::new(), false);
    for line in page.lines() {
        match line.trim_start().starts_with("```") {
            true => fenced = !fenced,
            false if fenced || line.starts_with("    ") => lines.push(line.trim().to_owned()),
            false => text.extend([line, " "]),
        }
    }
    lines.extend(text.split('`').skip(1).step_by(2).map(str::to_owned));
    let one = |line: &String| line.split("&&").map(|l| l.trim().to_owned()).collect::<Vec<_>>();
    lines.iter().filter(|l| l.starts_with("confvault ")).flat_map(one).collect()
}

/// The words of a command line, as a shell would cut it; what a page leaves open is left out.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            // Behind two blanks stands what a command is for.
            (None, ' ') if words.last().is_some_and(String::is_empty) => break,
            (None, ' ') => words.push(String::new()),
            (None, '#' | '>' | '|') if words.last().is_some_and(String::is_empty) => break,
            _ => words.last_mut().unwrap().push(c),
        }
    }
    // `add|remove` names several commands, of which the first stands for all.
    let first = |word: &str| word.split('|').next().unwrap_or_default().trim_matches(['[', ']', ',', '.']).to_owned();
    words.iter().filter(|w| !w.contains('\u{2026}')).map(|w| first(w)).filter(|w| !w.is_empty()).collect()
}

#[test]
fn every_command_of_the_pages_is_one_and_has_its_options() {
    let env = TestEnv::new();
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        for line in commands(&fs::read_to_string(&page).unwrap()) {
            let words = words(&line);
            if words.iter().any(|word| word == "COMMAND") {
                continue;
            }
            let Some(("confvault", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) else { continue };
            // With `--help` at its end a command line is read and not done.
            let args: Vec<&str> = rest.iter().map(String::as_str).chain(["--help"]).collect();
            let said = env.cv(&args).stderr;
            seen += 1;
            if ["unexpected argument", "unrecognized subcommand"].iter().any(|word| said.contains(word)) {
                wrong.push(format!("{}: {line}: {said}", page.file_name().unwrap().display()));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_works_as_it_is_printed() {
    let env = TestEnv::new();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = page.split("## Use it").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines: Vec<&str> = block.lines().filter_map(|l| l.strip_prefix("    ")).filter(|l| !l.starts_with("cargo ")).collect();
    env.write("etc/asterisk/sip.conf", "[100]\nsecret=hunter2\n");
    fs::create_dir(env.path("srv")).unwrap();
    assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("offsite.git")).status().unwrap().success());
    let program = Path::new(env!("CARGO_BIN_EXE_confvault")).parent().unwrap().to_owned();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let here = env.path("").display().to_string();
    let (mut folder, mut snapshots) = (env.path(""), 0);
    for line in &lines {
        let line = line.replace("/srv/", &format!("{here}/srv/")).replace("/etc/asterisk", &format!("{here}/etc/asterisk"));
        let line = line.replace("/tmp/pbx", &format!("{here}/pbx"));
        let line = line.replace("ssh://backup@vault.example.org/confvault.git", &format!("{here}/offsite.git"));
        if let Some(to) = line.strip_prefix("cd ") {
            folder = PathBuf::from(to);
            continue;
        }
        if line == "confvault snapshot" {
            snapshots += 1;
            if snapshots == 2 {
                env.write("etc/asterisk/sip.conf", "[100]\nsecret=hunter2\ncontext=internal\n");
            }
        }
        let mut shell = Command::new("sh");
        shell.args(["-ec", &line]).env("PATH", &path).env("HOME", env.path("")).current_dir(&folder);
        let run = env.run(&mut shell);
        let good = if line.contains(" diff ") { 1 } else { 0 };
        assert_eq!(run.code, good, "{line}: {run}");
    }
    assert!(lines.len() > 9 && snapshots == 2, "{lines:?}");
    assert_eq!(env.read("pbx/sip.conf"), "[100]\nsecret=hunter2\ncontext=internal\n");
}

/// A program that notes what it is told, and fails as a snapshot does of which a device failed.
fn noting(env: &TestEnv) -> String {
    let file = env.path("bin/confvault");
    fs::create_dir_all(env.path("bin")).unwrap();
    fs::write(&file, "#!/bin/sh\necho \"$*\" >> \"${0%/*}/told\"\n[ \"$1\" != snapshot ] || exit 3\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

#[test]
fn a_failed_device_keeps_no_night_from_the_mirror() {
    let env = TestEnv::new();
    let program = noting(&env);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/collecting.md")).unwrap();
    let line = page.lines().find_map(|l| l.split_once("* * *  confvault  ")).unwrap().1;
    let line = line.replace("/srv/confvault", ".").replace("confvault ", &format!("{program} "));
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    assert_eq!(fs::read_to_string(env.path("bin/told")).unwrap(), "snapshot\nmirror push\n");
}

#[test]
fn systemd_takes_the_service_and_the_timer() {
    let env = TestEnv::new();
    let program = noting(&env);
    let units = ["confvault-snapshot.service", "confvault-snapshot.timer"].map(|name| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd").join(name)).unwrap();
        env.write(name, text.replace("/usr/local/bin/confvault", &program));
        env.path(name)
    });
    let output = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let output = output.expect("no systemd-analyze: `sh tests/all.sh` installs what the tests need");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("confvault-snapshot"), "{said}");
}
