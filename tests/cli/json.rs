//! `--json` of every command: one object, or one a line, whatever the command does.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;

use serde_json::Value;

use crate::env::TestEnv;
use crate::general::leaves;

/// Command lines on a small store, in their order, with the words that name the command, and how each ends.
const LINES: &[(&str, &str, i32)] = &[
    ("device list", "", 0),
    ("device show", "pbx", 0),
    ("device add", "gone --source dir:gone --release 1", 0),
    ("device set", "gone --release 2", 0),
    ("device remove", "gone", 0),
    ("device test", "pbx", 0),
    ("device import", "list.csv", 0),
    ("credential set", "pbx", 0),
    ("credential remove", "pbx", 0),
    ("profile list", "", 0),
    ("profile show", "asterisk", 0),
    ("profile test", "pbx --profile asterisk", 0),
    ("import git", "foreign --profile generic --release 1 --plan", 0),
    ("snapshot", "pbx", 0),
    ("log", "pbx", 0),
    ("logs", "pbx", 0),
    ("show", "pbx", 0),
    ("show", "pbx sip.conf", 0),
    ("ls", "pbx", 0),
    ("search", "port", 0),
    ("diff", "pbx@1 pbx@2", 1),
    ("diff", "pbx@1 pbx@2 --semantic", 1),
    ("diff", "pbx now", 0),
    ("name", "pbx@2 golden", 0),
    ("name", "pbx@2 other", 0),
    ("unname", "pbx other", 0),
    ("restore", "pbx --to out --plan", 1),
    ("restore", "pbx --to out", 0),
    ("restore", "pbx --to out --compare", 0),
    ("restore", "pbx --tar out.tar", 0),
    ("restore", "--all --to all", 0),
    ("restore", "pbx --device --plan", 0),
    ("restore", "pbx --device --yes", 0),
    ("restore", "pbx@2 sip.conf --device --plan --across-releases", 0),
    ("change open", "pbx --ticket T --why w", 0),
    ("change list", "", 0),
    ("change close", "T", 0),
    ("change show", "T", 0),
    ("change open", "pbx --ticket U --why w", 0),
    ("change abort", "U", 0),
    ("change run", "pbx --ticket V --why w -- true", 0),
    ("release list", "pbx", 0),
    ("release diff", "pbx 18.1 20.2", 1),
    ("release review", "pbx 20.2 --notes notes.txt", 0),
    ("release begin", "pbx 21 --why w --unreviewed w", 0),
    ("release rollback", "pbx", 0),
    ("device set", "pbx --release 21", 0),
    ("release finish", "pbx", 0),
    ("mirror add", "offsite mirror.git", 0),
    ("mirror status", "", 3),
    ("mirror push", "", 0),
    ("mirror status", "", 0),
    ("mirror fetch", "offsite", 0),
    ("mirror hook", "", 0),
    ("drill", "pbx", 0),
    ("drill list", "", 0),
    ("drill show", "", 0),
    ("drill due", "", 0),
    ("check", "", 0),
    ("check", "pbx --read-data", 0),
    ("maintain", "", 0),
    ("key list", "", 0),
    ("key request", "", 0),
    ("key signers", "", 0),
    ("key heads", "", 0),
    ("key fetch", "offsite", 0),
    ("key add", "RECIPIENT", 0),
    ("key add", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --identity own.txt", 0),
    ("key rotate", "--identity own.txt", 0),
    ("key remove", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --identity own.txt", 0),
    ("secrets", "pbx", 0),
    ("secrets exposed", "", 0),
    ("forget", "", 0),
    ("mirror forget", "offsite", 0),
    ("mirror remove", "offsite", 0),
    ("journal", "", 0),
    ("tour", "tour", 0),
    ("init", "another --no-sealing", 0),
];

/// What needs more than a small store; the tests of these say what they print.
const ELSEWHERE: [&str; 8] =
    ["backup", "completions", "device replace", "device trust", "drs backup", "import oxidized", "import rancid", "key admit"];

/// These print one object a line.
const LINES_OF_JSON: [&str; 2] = ["search", "journal"];

#[test]
fn every_command_prints_json_that_parses() {
    let env = TestEnv::with_history();
    env.write("list.csv", "name,source,release\nlisted,dir:listed,1\n");
    env.write("notes.txt", "* chan_sip: port is gone.\n");
    env.write("stdin", "s3cr3t-canary\n");
    env.write("foreign/gw/a.conf", "x=1\n");
    let git = "cd foreign && git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm one && cd .. && \
               git init -q --bare mirror.git && age-keygen -o own.txt 2>&1 | cut -d' ' -f3 > recipient";
    assert!(Command::new("sh").args(["-c", git]).current_dir(env.path("")).status().unwrap().success());
    let recipient = env.read("recipient");
    let mut wrong = Vec::new();
    for (command, words, code) in LINES {
        let args: Vec<&str> = command
            .split(' ')
            .chain(words.split_whitespace())
            .map(|word| match word {
                "RECIPIENT" => recipient.trim(),
                word => word,
            })
            .collect();
        // What stands behind `--` is another program's.
        let at = args.iter().position(|word| *word == "--").unwrap_or(args.len());
        let (before, behind) = args.split_at(at);
        let mut program = env.command(&[before, &["--json"], behind].concat());
        let run = env.run(program.stdin(File::open(env.path("stdin")).unwrap()));
        let text = String::from_utf8(run.stdout.clone()).unwrap();
        let is_right = if LINES_OF_JSON.contains(command) {
            !text.is_empty() && text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()))
        } else {
            serde_json::from_str::<Value>(&text)
                .is_ok_and(|told| told["version"] == 1 && command.starts_with(told["command"].as_str().unwrap_or("?")))
        };
        if run.code != *code || !is_right {
            wrong.push(format!("{command} {words}:\n{run}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_command_is_asked_for_json() {
    let there: BTreeSet<String> = leaves(&TestEnv::new()).into_iter().map(|(path, _)| path.join(" ")).collect();
    let asked = LINES.iter().map(|(command, ..)| *command).chain(ELSEWHERE).map(str::to_owned).collect();
    let missing: Vec<_> = there.difference(&asked).collect();
    assert!(missing.is_empty(), "add a command line to LINES: {missing:?}");
    let left = asked.difference(&there).filter(|name| !["drill", "secrets"].contains(&name.as_str())).collect::<Vec<_>>();
    assert!(left.is_empty(), "no such command: {left:?}");
}
