//! `git` as a subprocess on the store, deaf to the settings and the environment of whoever runs us.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::{Error, Result};

/// The variables that `git` gets; everything else stays behind, above all what would point it elsewhere or make it trace, run
/// or print something else.
const KEPT: &[&str] = &["PATH", "HOME", "TMPDIR"];

/// Makes a `git` command on the repository at `dir`.
pub(super) fn command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("GIT_DIR", dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"]);
    command.current_dir(dir);
    command
}

/// Runs a command to its end, with `input` on its standard input; gives its output.
pub(super) fn run(mut command: Command, name: &'static str, input: Vec<u8>) -> Result<Vec<u8>> {
    let failed = |message: String| Error::Git { command: name, message };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // A thread of its own, so that neither side waits for the other with a full pipe. If the child ends
    // early the write fails, and its exit status says why.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    drop(writer.join());
    if out.status.success() {
        return Ok(out.stdout);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("").trim().escape_debug();
    Err(failed(format!("{last} ({})", out.status)))
}
