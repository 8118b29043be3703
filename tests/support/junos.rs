//! A router as Junos is one, as far as putting a configuration back goes: a candidate under an exclusive lock, `commit check`,
//! `commit confirmed` that goes back by itself, former configurations, SCP. The word `bogus` is no statement, `dangling` is
//! one that refers to nothing. The shapes of its answers are those of vendor documents and of other tools' recordings.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::live::{Family, Said};

#[derive(Default)]
struct Shell {
    configuring: bool,
    exclusive: bool,
    leaving: bool,
}

pub struct Junos {
    /// What was committed, newest first: what is active, then `rollback 1`, 2 …
    pub committed: Vec<String>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub release: &'static str,
    /// How long a minute of `commit confirmed` is.
    pub minute: Duration,
    candidate: Option<String>,
    /// When a commit that was not confirmed goes back.
    confirm: Option<Instant>,
    shells: HashMap<usize, Shell>,
    commits: u32,
    /// A commit that goes on although its session is gone, and when it is done.
    working: Option<(Instant, usize, String)>,
}

impl Junos {
    pub fn new(config: &str) -> Self {
        Self {
            committed: vec![config.to_owned()],
            files: BTreeMap::new(),
            release: "21.4R3-S5.4",
            minute: Duration::from_secs(60),
            candidate: None,
            confirm: None,
            shells: HashMap::new(),
            commits: 0,
            working: None,
        }
    }

    /// The active configuration; a commit that was not confirmed in time is back.
    pub fn active(&mut self) -> &str {
        self.tick();
        &self.committed[0]
    }

    /// Tells whether a commit waits to be confirmed.
    pub fn waits(&mut self) -> bool {
        self.tick();
        self.confirm.is_some()
    }

    /// Another administrator locks the configuration, or lets it go.
    pub fn locked_by_another(&mut self, locked: bool) {
        match locked {
            true => drop(self.shells.insert(usize::MAX, Shell { configuring: true, exclusive: true, leaving: false })),
            false => drop(self.shells.remove(&usize::MAX)),
        }
    }

    /// Tells whether a commit goes on although its session is gone.
    pub fn works(&mut self) -> bool {
        self.tick();
        self.working.is_some()
    }

    /// Somebody commits a configuration by hand.
    pub fn set(&mut self, config: &str) {
        self.commit(config.to_owned());
    }

    fn tick(&mut self) {
        if let Some((_, shell, line)) = self.working.take_if(|(at, ..)| Instant::now() >= *at) {
            self.configuring(shell, &line);
            self.gone_for_good(shell);
        }
        if self.confirm.is_some_and(|at| Instant::now() >= at) {
            self.go_back();
        }
    }

    fn go_back(&mut self) {
        self.confirm = None;
        let before = self.committed[1].clone();
        self.commit(before);
    }

    fn commit(&mut self, config: String) {
        self.commits += 1;
        if self.committed[0] != config {
            self.committed.insert(0, config);
        }
    }

    fn gone_for_good(&mut self, shell: usize) {
        if self.shells.remove(&shell).is_some_and(|state| state.exclusive) {
            self.candidate = None;
        }
    }

    fn host(&self) -> String {
        let name = self.committed[0].lines().find_map(|line| line.trim().strip_prefix("host-name "));
        name.map_or("router", |name| name.trim_end_matches(';')).to_owned()
    }

    /// What is wrong with a text, as `load` says it.
    fn load(&self, path: &str) -> Result<String, String> {
        let Some(bytes) = self.files.get(path) else {
            return Err(format!("error: cannot open {path}: No such file or directory\n"));
        };
        let text = String::from_utf8_lossy(bytes).into_owned();
        for (at, line) in text.lines().enumerate() {
            if line.contains("bogus") {
                let word = line.trim();
                return Err(format!(
                    "{path}:{}:(1) syntax error: {word}\n  [edit]\n    '{word}'\n      syntax error\nload complete (1 errors)\n",
                    at + 1
                ));
            }
        }
        if text.matches('{').count() != text.matches('}').count() {
            return Err(format!("{path}:1:(1) missing closing brace\nload complete (1 errors)\n"));
        }
        // What is committed is what the statements say, not how they were written.
        let statements: Vec<&str> = text.lines().filter(|line| !line.starts_with("##") && !line.trim().is_empty()).collect();
        Ok(statements.join("\n") + "\n")
    }

    fn checked(&self) -> Result<(), String> {
        match self.candidate.as_ref().is_some_and(|text| text.contains("dangling")) {
            true => Err("[edit protocols bgp]\n  'dangling'\n    referenced policy is not defined\nerror: configuration check-out failed\n".to_owned()),
            false => Ok(()),
        }
    }

    fn changed(&self) -> bool {
        self.candidate.as_ref().is_some_and(|text| *text != self.committed[0])
    }

    fn configuring(&mut self, shell: usize, line: &str) -> Said {
        let text = |text: &str| Said::Text(text.to_owned());
        let state = &self.shells[&shell];
        if state.leaving {
            let exclusive = state.exclusive;
            if line == "no" {
                self.shells.entry(shell).or_default().leaving = false;
                return text("");
            }
            if exclusive {
                self.candidate = None;
            }
            self.shells.insert(shell, Shell::default());
            return text("warning: discarding uncommitted changes\nload complete\nExiting configuration mode\n");
        }
        match line {
            "exit" | "quit" | "exit configuration-mode" => {
                if !self.changed() {
                    self.shells.insert(shell, Shell::default());
                    return text("Exiting configuration mode\n");
                }
                let exclusive = state.exclusive;
                self.shells.entry(shell).or_default().leaving = true;
                Said::Ask(match exclusive {
                    true => "The configuration has been changed but not committed\nwarning: Auto rollback on exiting 'configure exclusive'\n\
                             Discard uncommitted changes? [yes,no] (yes) "
                        .to_owned(),
                    false => {
                        "The configuration has been changed but not committed\nExit with uncommitted changes? [yes,no] (yes) ".to_owned()
                    }
                })
            }
            "commit check" => match self.checked() {
                Ok(()) => text("configuration check succeeds\n"),
                Err(error) => Said::Text(error),
            },
            "commit" | "commit and-quit" => match self.checked() {
                Err(error) => Said::Text(error),
                Ok(()) => {
                    self.confirm = None;
                    let new = self.candidate.take().unwrap_or_else(|| self.committed[0].clone());
                    self.commit(new);
                    if line == "commit" {
                        return text("commit complete\n");
                    }
                    self.shells.insert(shell, Shell::default());
                    text("commit complete\nExiting configuration mode\n")
                }
            },
            line if line.starts_with("commit confirmed ") => match self.checked() {
                Err(error) => Said::Text(error),
                Ok(()) => {
                    let minutes: u32 = line["commit confirmed ".len()..].parse().unwrap_or(10);
                    let new = self.candidate.take().unwrap_or_else(|| self.committed[0].clone());
                    // What is gone back to is what stood before, also where nothing differs.
                    self.committed.insert(0, new);
                    self.commits += 1;
                    self.confirm = Some(Instant::now() + self.minute * minutes);
                    Said::Text(format!(
                        "commit confirmed will be automatically rolled back in {minutes} minutes unless confirmed\ncommit complete\n"
                    ))
                }
            },
            line if line.starts_with("load override ") => match self.load(&line["load override ".len()..]) {
                Ok(new) => {
                    self.candidate = Some(new);
                    text("load complete\n")
                }
                Err(error) => Said::Text(error),
            },
            line if line.starts_with("rollback ") => {
                let at: usize = line["rollback ".len()..].parse().unwrap_or(0);
                match self.committed.get(at) {
                    Some(old) => {
                        self.candidate = Some(old.clone());
                        text("load complete\n")
                    }
                    None => text("error: could not open configuration database\n"),
                }
            }
            "" => text(""),
            _ => text("            ^\nunknown command.\n"),
        }
    }
}

impl Family for Junos {
    fn open(&mut self, shell: usize) {
        self.tick();
        self.shells.insert(shell, Shell::default());
    }

    fn prompt(&self, shell: usize) -> String {
        match self.shells.get(&shell).is_some_and(|shell| shell.configuring) {
            true => format!("\n[edit]\ngw@{}# ", self.host()),
            false => format!("\ngw@{}> ", self.host()),
        }
    }

    fn line(&mut self, shell: usize, line: &str) -> Said {
        self.tick();
        if self.shells.entry(shell).or_default().configuring {
            return self.configuring(shell, line);
        }
        let text = |text: &str| Said::Text(text.to_owned());
        match line {
            "" => text(""),
            "exit" => Said::Bye,
            line if line.starts_with("set cli ") => text("\n"),
            "show version" => Said::Text(format!("Hostname: {}\nModel: mx204\nJunos: {}\n", self.host(), self.release)),
            "show configuration | display omit" => {
                Said::Text(format!("## Last commit: 2026-11-02 08:{:02}:00 UTC by gw\n{}", self.commits % 60, self.committed[0]))
            }
            "show chassis hardware" => {
                text("Hardware inventory:\nChassis                                LAB00001          MX204\n")
            }
            "show system alarms" => text("No alarms currently active\n"),
            "show interfaces terse" => {
                let up = |name: &str| format!("{name:<24}up    up\n");
                Said::Text(
                    self.committed[0]
                        .lines()
                        .map(str::trim)
                        .filter_map(|l| l.strip_suffix(" {"))
                        .filter(|n| n.starts_with("ge-"))
                        .map(up)
                        .collect(),
                )
            }
            "show bgp summary" => text("BGP is not running\n"),
            "configure exclusive" | "configure" => {
                let locked = self.shells.iter().find(|(other, state)| **other != shell && state.exclusive);
                if let Some((other, _)) = locked {
                    return Said::Text(format!(
                        "error: configuration database locked by:\n  gw terminal pts/{other} (pid 4711) on since 2026-11-02 08:00:00 UTC\n      exclusive [edit]\n"
                    ));
                }
                if line == "configure exclusive" && self.changed() {
                    return text("error: configuration database modified\n");
                }
                let exclusive = line == "configure exclusive";
                self.shells.insert(shell, Shell { configuring: true, exclusive, leaving: false });
                match exclusive {
                    true => text("warning: uncommitted changes will be discarded on exit\nEntering configuration mode\n"),
                    false => text("Entering configuration mode\n"),
                }
            }
            line if line.starts_with("file delete ") => {
                let name = &line["file delete ".len()..];
                match self.files.remove(name) {
                    Some(_) => text(""),
                    None => Said::Text(format!("error: {name}: No such file or directory\n")),
                }
            }
            _ => text("            ^\nunknown command.\n"),
        }
    }

    fn half(&mut self, shell: usize, line: &str) {
        // A commit goes on when nobody is there any more to be told of it, and holds its lock until it is done.
        if line.starts_with("commit") && line != "commit check" {
            self.working = Some((Instant::now() + Duration::from_millis(700), shell, line.to_owned()));
            return;
        }
        self.line(shell, line);
    }

    fn refusal(&self) -> String {
        "            ^\nerror: permission denied\n".to_owned()
    }

    fn gone(&mut self, shell: usize) {
        if self.working.as_ref().is_none_or(|(_, working, _)| *working != shell) {
            self.gone_for_good(shell);
        }
    }

    fn takes_files(&self) -> bool {
        true
    }

    fn put(&mut self, path: &str, content: Vec<u8>) -> Result<(), String> {
        if !path.starts_with("/var/tmp/") {
            return Err(format!("{path}: Permission denied"));
        }
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    fn restart(&mut self) {
        self.shells.clear();
        self.candidate = None;
        self.working = None;
        if self.confirm.is_some() {
            self.go_back();
        }
    }

    fn sets_up(&self, shell: usize, line: &str) -> bool {
        let configuring = self.shells.get(&shell).is_some_and(|shell| shell.configuring);
        line.starts_with("set cli ") || (line == "exit" && !configuring)
    }
}
