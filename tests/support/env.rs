//! A place of its own for a test of the program: own home, cleared environment, paths that do not vary.
#![allow(dead_code, unreachable_pub)]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary folder with a home and a place to work in.
pub struct TestEnv {
    dir: tempfile::TempDir,
}

/// What the program printed and how it ended.
#[must_use]
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    replace: String,
}

impl TestEnv {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// An environment with a store in the working folder.
    pub fn with_store() -> Self {
        let env = Self::new();
        env.cv(&["init", "--no-sealing", "--collector", "central"]).succeeded();
        env
    }

    /// An environment with a store and a device `pbx` that has three generations under two releases.
    pub fn with_history() -> Self {
        let env = Self::with_store();
        env.write("pbx/version", "18.1\n");
        env.write("pbx/sip.conf", "[general]\nport=5060\nallow=alaw\n\n[1001]\nsecret=s3cr3t-canary\n");
        env.write("pbx/sub/extra.conf", "; nothing\n");
        env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "18.1", "--profile", "asterisk"]).succeeded();
        env.cv(&["snapshot", "--note", "as taken over"]).succeeded();
        env.write("pbx/sip.conf", env.read("pbx/sip.conf").replace("alaw", "alaw,g722"));
        env.cv(&["snapshot"]).succeeded();
        env.write("pbx/new.conf", "[new]\nx=1\n");
        fs::remove_dir_all(env.path("pbx/sub")).unwrap();
        env.cv(&["device", "set", "pbx", "--release", "20.2"]).succeeded();
        env.cv(&["snapshot", "--note", "upgrade"]).succeeded();
        env
    }

    /// Takes an object out of the store, and nothing else; `rev` is how `git` finds it.
    pub fn lose(&self, rev: &str) {
        let git = |args: &[&str], input: Stdio| {
            let out = Command::new("git").arg("-C").arg(self.path("store.git")).args(args).stdin(input).output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        let id = git(&["rev-parse", rev], Stdio::null());
        let (packs, aside) = (self.path("store.git/objects/pack"), self.dir.path().join("packs"));
        fs::rename(&packs, &aside).unwrap();
        fs::create_dir(&packs).unwrap();
        for pack in
            fs::read_dir(&aside).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pack"))
        {
            git(&["unpack-objects", "-q"], fs::File::open(pack).unwrap().into());
        }
        fs::remove_dir_all(aside).unwrap();
        let (folder, name) = id.split_at(2);
        fs::remove_file(self.path(format!("store.git/objects/{folder}/{name}"))).unwrap();
    }

    /// The folder in which the program runs.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("work").join(path)
    }

    /// Writes a file below the working folder.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file below the working folder.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// The program, ready to run in the working folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confvault"));
        command.args(args).current_dir(self.path("")).env_clear();
        command.env("HOME", self.dir.path().join("home")).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("LANG", "C").env("TZ", "UTC").env("GIT_CONFIG_NOSYSTEM", "1");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn cv(&self, args: &[&str]) -> Run {
        self.run(&mut self.command(args))
    }

    /// Runs a command that [`TestEnv::command`] began.
    pub fn run(&self, command: &mut Command) -> Run {
        self.ended(command.output().unwrap())
    }

    /// Takes the output of a command that ran by itself.
    pub fn ended(&self, output: Output) -> Run {
        let stderr = String::from_utf8(output.stderr).expect("standard error is text");
        let code = output.status.code().unwrap_or(-1);
        Run { code, stdout: output.stdout, stderr, replace: self.dir.path().to_str().unwrap().to_owned() }
    }
}

impl Run {
    /// Checks that the program ended well, and gives what it printed.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.text()
    }

    /// Checks how the program ended, and gives what it said on standard error.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self}");
        self.steady(&self.stderr)
    }

    /// Standard output as text, made steady.
    pub fn text(&self) -> String {
        self.steady(&String::from_utf8_lossy(&self.stdout))
    }

    /// The document that was printed with `--json`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Replaces what differs from run to run: the temporary folder, times, object and run ids.
    fn steady(&self, text: &str) -> String {
        let mut text = text.replace(&self.replace, "$TEST");
        for (pattern, word) in [
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)?", "[TIME]"),
            (r"\d{4}-\d\d\b", "[MONTH]"),
            (r"\b[0-9a-f]{40}([0-9a-f]{24})?\b", "[ID]"),
            (r"sealed:[0-9a-f]{32}", "sealed:[TOKEN]"),
            (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "[RUN]"),
            (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:[KEY]"),
            (r"\bage1[0-9a-z]{58}\b", "age1[KEY]"),
            (r"AAAAC3NzaC1lZDI1NTE5[A-Za-z0-9+/]{48}", "[KEY]"),
            (r"[\d.]+ [KM]?i?B added in [\d.]+ s", "[SIZE] added in [SECONDS] s"),
            (r"\b(before|after)_bytes=\d+", "$1_bytes=[N]"),
            (r"[\d.]+ [KM]?i?B: clean", "[SIZE]: clean"),
            (r#""(added_bytes|took_ms|before_bytes|after_bytes|read_bytes|uid|gid)": \d+"#, "\"$1\": [N]"),
        ] {
            text = regex::Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
        }
        text
    }
}

/// Standard output, standard error and exit code, for a snapshot.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())?;
        if !self.stderr.is_empty() {
            write!(f, "--- stderr\n{}", self.steady(&self.stderr))?;
        }
        if self.code == 0 { Ok(()) } else { writeln!(f, "--- exit {}", self.code) }
    }
}
