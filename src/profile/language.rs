//! The profile language as types: what stands in a profile file, after parsing and `extends`.
//!
//! `docs/profiles.md` describes the language for users; every field here is a key there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::globs::any_matches;
use super::pattern::Pattern;
use super::syntax::Syntax;
use crate::model::{ConfigPath, Scope};

/// A profile file as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ProfileFile {
    /// Name of the profile; must be the name of the file without `.toml`.
    pub(crate) name: String,
    /// One line that says what it is for.
    #[serde(default)]
    pub(crate) title: String,
    /// Name of the profile whose rules stand below those of this file.
    pub(crate) extends: Option<String>,
    /// Rules of files, the first that matches counts.
    #[serde(default)]
    pub(crate) file: Vec<FileRule>,
    /// Where the release stands, the first that answers counts.
    #[serde(default)]
    pub(crate) release: Vec<ReleaseRule>,
    /// Lines and spans that change without a change of configuration.
    #[serde(default)]
    pub(crate) volatile: Vec<VolatileRule>,
    /// Where secrets stand.
    #[serde(default)]
    pub(crate) secret: Vec<SecretRule>,
    /// What looks like a secret and is none.
    #[serde(default)]
    pub(crate) clear: Vec<ClearRule>,
    /// How the set is collected.
    pub(crate) collect: Option<Collect>,
    /// The terminal session.
    pub(crate) session: Option<Session>,
    /// Commands whose output is part of the set.
    #[serde(default)]
    pub(crate) command: Vec<Command>,
    /// How the device makes a backup of its own.
    pub(crate) backup: Option<Backup>,
    /// How a set is put back.
    pub(crate) restore: Option<Restore>,
    /// Commands that tell whether the device is well.
    #[serde(default)]
    pub(crate) health: Vec<Health>,
    /// Other names under which the vendor speaks of modules.
    #[serde(default)]
    pub(crate) module: Vec<Module>,
    /// Facts about the whole profile that were not verified against a device or a source.
    #[serde(default)]
    pub(crate) unverified: Vec<String>,
}

/// A rule that says what a file is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FileRule {
    /// Globs; one of them must match.
    pub(crate) paths: Vec<Pattern>,
    /// The scope; without it the rule only gives a syntax to what a later rule claims.
    pub(crate) scope: Option<Scope>,
    /// The file is no part of the set.
    #[serde(default)]
    pub(crate) skip: bool,
    /// The syntax.
    pub(crate) syntax: Option<Syntax>,
    #[serde(default)]
    pub(crate) unverified: bool,
}

/// A rule that finds the release.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReleaseRule {
    /// Globs of the files, or of the stored outputs of commands, in which it stands.
    pub(crate) paths: Vec<Pattern>,
    /// Regular expression with the group `release`.
    pub(crate) regex: Pattern,
    /// The expression is matched against the path, not against the content.
    #[serde(default)]
    pub(crate) in_path: bool,
    #[serde(default)]
    pub(crate) unverified: bool,
}

/// A rule for what is left out of comparison.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VolatileRule {
    /// Globs; none means all text files.
    #[serde(default)]
    pub(crate) paths: Vec<Pattern>,
    /// Regular expression, matched against each line. With groups named `blank…` only these
    /// are left out, else the whole line is.
    pub(crate) regex: Pattern,
    #[serde(default)]
    pub(crate) unverified: bool,
}

/// A rule for a secret. One of `keys`, `regex`, `begin` must be given.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SecretRule {
    /// Name of the profile whose file has the rule; set after parsing.
    #[serde(skip)]
    pub(crate) home: String,
    /// Name of the rule, unique in its profile.
    pub(crate) id: String,
    /// Globs of files; none means all text files.
    #[serde(default)]
    pub(crate) paths: Vec<Pattern>,
    /// The rule holds for files of these syntaxes only; none means all.
    #[serde(default)]
    pub(crate) syntax: Vec<Syntax>,
    /// Globs of keys (names of settings) whose value is secret.
    #[serde(default)]
    pub(crate) keys: Vec<String>,
    /// Globs of keys that `keys` would match and that are none.
    #[serde(default)]
    pub(crate) not_keys: Vec<String>,
    /// The value may also be separated from its key by blanks alone.
    #[serde(default)]
    pub(crate) blank: bool,
    /// Regular expression, matched against each line, with groups named `secret…`.
    pub(crate) regex: Option<Pattern>,
    /// With `regex` and `begin`: one of these words stands on each line that can match, in any case.
    /// A `regex` with `paths` and without words is tried on every line.
    #[serde(default)]
    pub(crate) words: Vec<String>,
    /// Regular expression; the rule holds only on lines whose section it matches.
    pub(crate) section: Option<Pattern>,
    /// With `regex`: the rule does not hold for lines that this expression matches.
    pub(crate) unless: Option<Pattern>,
    /// Regular expression for the line that begins a block whose body is secret.
    pub(crate) begin: Option<Pattern>,
    /// Regular expression for the end of the block.
    pub(crate) end: Option<Pattern>,
    #[serde(default)]
    pub(crate) unverified: bool,
}

/// A rule for what is not a secret although a rule says so.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ClearRule {
    #[serde(default)]
    pub(crate) paths: Vec<Pattern>,
    /// Regular expression; what lies inside its group `clear`, or its match, is not masked.
    pub(crate) regex: Pattern,
}

/// How the set of a device is collected.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collect {
    /// Kinds of source that the profile is made for: `dir`, `sftp`, `ssh`, `drs`, `push`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Absolute directories or files on the device that an SFTP source walks when its URL names no path.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Paths of the set, as globs, that must be there for the set to be whole; one each at least.
    #[serde(default)]
    pub required: Vec<String>,
    /// What this profile does not collect, in words, for reports.
    #[serde(default)]
    pub not_collected: Vec<String>,
    /// What is part of a set that can be put back, and that only somebody else can make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expect>,
}

/// Files without which a set is taken, with a warning.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Globs, one of which is to match a file.
    pub paths: Vec<Pattern>,
    /// What they are, in words that follow "no".
    pub what: String,
    /// How old the newest of them may be.
    pub within_days: Option<u32>,
    /// Globs of what the device makes, replaces and removes by itself, `paths` where there are none: a difference in
    /// nothing else is no change that anybody announces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_itself: Vec<Pattern>,
}

/// How commands reach the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionMode {
    /// One exec channel a command; its exit status counts.
    #[default]
    Exec,
    /// One terminal session with prompts.
    Terminal,
}

/// A terminal session.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Session {
    /// Exec channels or a terminal.
    pub mode: SessionMode,
    /// Regular expression for the prompt, matched at the end of what was received.
    pub prompt: Option<Pattern>,
    /// What must be done before commands work, in turn.
    pub login: Vec<Step>,
    /// Commands that switch paging off and the like, sent before the others; a refusal is no failure.
    pub setup: Vec<String>,
    /// Regular expression for the pager's text.
    pub pager: Option<Pattern>,
    /// What is sent when the pager shows.
    pub pager_answer: String,
    /// The device repeats what it is sent.
    pub echo: bool,
    /// Terminal width that is asked for, in columns.
    pub width: u32,
    /// Terminal height that is asked for, in lines; 0 switches paging off on some devices.
    pub height: u32,
    /// What ends a line that is sent.
    pub newline: String,
    /// Time until the first prompt may be expected, in milliseconds.
    pub start_ms: u64,
    /// Commands that end the session.
    pub logout: Vec<String>,
    /// Regular expressions for answers that mean refusal, for all commands.
    pub refusals: Vec<Pattern>,
    /// Not verified on a device.
    pub unverified: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            mode: SessionMode::Exec,
            prompt: None,
            login: Vec::new(),
            setup: Vec::new(),
            pager: None,
            pager_answer: " ".into(),
            echo: true,
            width: 511,
            height: 0,
            newline: "\n".into(),
            start_ms: 15_000,
            logout: Vec::new(),
            refusals: Vec::new(),
            unverified: false,
        }
    }
}

/// One step of a login: when `expect` shows at the end of what was received, `send` is sent.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Regular expression that triggers the step.
    pub expect: Pattern,
    /// What is sent; `{user}`, `{password}` and `{enable}` stand for the credentials.
    pub send: String,
    /// The step is only taken if its text shows; else its absence is a failure.
    #[serde(default)]
    pub optional: bool,
}

/// A command whose output is part of the set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Command {
    /// What is sent.
    pub run: String,
    /// Other spellings, tried in turn when `run` is refused.
    #[serde(default)]
    pub or: Vec<String>,
    /// Path of the output in the set.
    pub path: ConfigPath,
    /// Scope of the output.
    pub scope: Scope,
    /// The set is not whole without it.
    #[serde(default)]
    pub required: bool,
    /// Regular expression that a whole answer ends with, trailing blanks apart.
    pub end: Option<Pattern>,
    /// Least number of lines of a whole answer.
    #[serde(default)]
    pub min_lines: usize,
    /// Least number of bytes of a whole answer.
    #[serde(default)]
    pub min_bytes: usize,
    /// Regular expressions for answers that mean refusal, beside those of the session.
    #[serde(default)]
    pub refusals: Vec<Pattern>,
    /// Regular expressions for lines that are dropped at the head of the answer.
    #[serde(default)]
    pub drop_head: Vec<Pattern>,
    /// Longest time without a byte, in seconds; 0 means the policy's.
    #[serde(default)]
    pub timeout_s: u64,
    /// Not verified on a device.
    #[serde(default)]
    pub unverified: bool,
}

impl Command {
    /// Gives how many bytes at the head of an answer are lines that are dropped, with blank lines among them.
    #[must_use]
    pub fn head_len(&self, answer: &[u8]) -> usize {
        let (mut at, mut dropped) = (0, 0);
        if self.drop_head.is_empty() {
            return 0;
        }
        for line in answer.split_inclusive(|b| *b == b'\n') {
            let text = line.trim_ascii_end();
            at += line.len();
            if self.drop_head.iter().any(|pattern| pattern.is_match(text)) {
                dropped = at;
            } else if !text.is_empty() {
                break;
            }
        }
        dropped
    }

    /// Gives the longest time without a byte, if the profile sets one.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        (self.timeout_s > 0).then(|| Duration::from_secs(self.timeout_s))
    }
}

/// How a set comes back to a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreMethod {
    /// Not at all; `cannot` says why.
    #[default]
    None,
    /// Files are uploaded to where they were collected.
    Files,
    /// One file is sent to the device and made active by commands.
    Commands,
}

/// How a set is put back.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Restore {
    /// Files or commands.
    pub method: RestoreMethod,
    /// With `commands`: the path in the set of the file that is sent.
    pub config: Option<ConfigPath>,
    /// With `commands`: absolute path on the device that the file is uploaded to; without it
    /// its lines are sent in the session where a step says `{lines}`.
    pub upload: Option<String>,
    /// Owner of files, `user:group`, where the set has none.
    pub owner: Option<String>,
    /// Mode of files in octal, where the set has none.
    pub mode: Option<String>,
    /// Checks before anything becomes active. `{root}` stands for the folder in which the new
    /// files lie, `{file}` for the uploaded file.
    pub check: Vec<Action>,
    /// What makes the new configuration active.
    pub apply: Vec<Action>,
    /// What makes it last over a restart, after the comparison.
    pub save: Vec<Action>,
    /// What takes back what `apply` did, if that is more than restoring the set before. With `commands` it is run in
    /// place of `apply`, and `{file}` and `{lines}` are those of the set before.
    pub undo: Vec<Action>,
    /// What takes an uploaded file away again, at the end, whatever the end is.
    pub clean: Vec<Action>,
    /// What cannot be put back, and why.
    pub cannot: Vec<Cannot>,
    /// Not verified on a device.
    pub unverified: bool,
}

/// How a device makes a backup of its own: one of what `[[collect.expect]]` names.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Backup {
    /// What lists the jobs that the device has; without it there is one, and it has no name.
    pub list: Option<String>,
    /// Regular expression for the list; its group `job` is the name of a job.
    pub job: Option<Pattern>,
    /// What makes the backup, in turn.
    pub run: Vec<Action>,
    /// How long all of it may take, in seconds, at most 30 days; `list` apart.
    #[serde(default = "four_hours")]
    pub limit_s: u64,
    /// Not verified on a device.
    #[serde(default)]
    pub unverified: bool,
}

fn four_hours() -> u64 {
    4 * 3600
}

/// A command of a restore, or of a backup.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Action {
    /// What is run; `{root}`, `{file}` and `{lines}` stand for what is put back, `{job}` for the name of a backup's job.
    pub run: String,
    /// Regular expression that the output must have; without it the exit status counts, in a
    /// terminal the absence of a refusal.
    pub ok: Option<Pattern>,
    /// Regular expression for output that means failure.
    pub fails: Option<Pattern>,
    /// Regular expression for output that means that the device is at work on something else: later it may succeed.
    pub busy: Option<Pattern>,
    /// Questions of the device and their answers, in turn.
    #[serde(default)]
    pub answers: Vec<Step>,
    /// Globs of files; the action is needed only if one of them changed. None means always.
    #[serde(default)]
    pub when: Vec<Pattern>,
    /// The action interrupts calls.
    #[serde(default)]
    pub interrupts: bool,
    /// Longest time without a byte, in seconds; 0 means the policy's.
    #[serde(default)]
    pub timeout_s: u64,
}

impl Action {
    /// Says whether the action is needed where these files are put back.
    #[must_use]
    pub fn concerns(&self, files: &[&ConfigPath]) -> bool {
        self.when.is_empty() || any_matches(&self.when, files.iter().copied())
    }
}

/// A module, and under which other names its vendor speaks of it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Module {
    /// The name by which it is loaded.
    pub name: String,
    /// Names of its parts in the vendor's notes.
    pub also: Vec<String>,
}

/// What cannot be put back.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cannot {
    /// Globs of the files concerned; none means something beside the set.
    #[serde(default)]
    pub paths: Vec<Pattern>,
    /// What, in words.
    pub what: String,
    /// Why, and what to do in its place.
    pub why: String,
    /// The files are put back all the same; what is told is what does not follow from it.
    #[serde(default)]
    pub written: bool,
}

impl Cannot {
    /// Tells whether it is about a file.
    #[must_use]
    pub fn concerns(&self, path: &ConfigPath) -> bool {
        any_matches(&self.paths, std::iter::once(path))
    }
}

/// A command that tells whether the device is well.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Health {
    /// What is counted or read, in words.
    pub what: String,
    /// The command.
    pub run: String,
    /// Regular expression. With the group `value` its text is the value; else the number of
    /// matches is.
    pub regex: Pattern,
    /// Share of the former number that must come back, in percent; 0 means it is only shown.
    #[serde(default)]
    pub at_least: u8,
    /// Not verified on a device.
    #[serde(default)]
    pub unverified: bool,
}
