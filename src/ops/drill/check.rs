//! The syntax checks of a profile, run on this machine against what was put back.
//!
//! Only the profiles of this installation say what is run, never the mirror. What a check prints may be text of
//! a configuration: it is kept in a file beside what was put back, and told nowhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::protocol::Checked;
use super::prove::millis;
use crate::fsio::{self, Out};
use crate::model::{ConfigPath, Kind};
use crate::profile::{Action, Restore};
use crate::store::Manifest;

/// How much of what a check prints is read, in bytes.
const MOST: u64 = 1 << 20;
/// Where programs are looked for beside the search path of the user.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What checks need of the world around them.
pub(super) struct Surroundings<'a> {
    /// Where programs are looked for.
    pub(super) path: Vec<PathBuf>,
    /// A private folder for links and for what checks print.
    pub(super) dir: &'a Path,
    /// How long a check may take, where its profile says nothing.
    pub(super) limit: Duration,
    pub(super) cancel: &'a AtomicBool,
}

impl Surroundings<'_> {
    /// Takes the search path of the user, and where systems keep what only the superuser needs.
    pub(super) fn search(path: Option<String>) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = std::env::split_paths(&path.unwrap_or_default()).filter(|p| p.is_absolute()).collect();
        all.extend(SYSTEM.into_iter().map(PathBuf::from));
        all
    }
}

/// Runs the checks of a profile against a set that was put back whole into `folder`.
pub(super) fn checks(
    around: &Surroundings<'_>,
    restore: &Restore,
    manifest: &Manifest,
    folder: &Path,
    device: &str,
) -> Vec<Checked> {
    let files: Vec<&ConfigPath> = manifest.lines.iter().filter(|l| l.kind == Kind::File).map(|l| &l.path).collect();
    restore
        .check
        .iter()
        .filter(|action| action.concerns(&files))
        .map(|action| check(around, restore, action, &files, folder, device))
        .collect()
}

fn check(
    around: &Surroundings<'_>,
    restore: &Restore,
    action: &Action,
    files: &[&ConfigPath],
    folder: &Path,
    device: &str,
) -> Checked {
    let begun = Instant::now();
    let ended = |passed, why: Option<String>| Checked { run: action.run.clone(), passed, why, took_ms: millis(begun) };
    let not = |why: String| ended(None, Some(why));
    let program = action.run.split_ascii_whitespace().next().unwrap_or_default();
    if !is_there(program, &around.path) {
        return not(format!("program missing: {program}"));
    }
    let run = match place(around, restore, action, files, folder, device) {
        Ok(Some(run)) => run,
        Ok(None) => return not("it is about the device itself, not about files".to_owned()),
        Err(why) => return not(why),
    };
    match execute(around, action, &run, folder, device) {
        Ok((status, said)) => {
            judge(action, status, &said).map_or_else(|why| ended(Some(false), Some(why)), |()| ended(Some(true), None))
        }
        Err(why) => ended(Some(false), Some(why)),
    }
}

fn is_there(program: &str, path: &[PathBuf]) -> bool {
    let file = |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file());
    match program.contains('/') {
        true => file(Path::new(program)),
        false => path.iter().any(|dir| file(&dir.join(program))),
    }
}

/// Puts the places of what was put back into a command; nothing if the command names none of it.
fn place(
    around: &Surroundings<'_>,
    restore: &Restore,
    action: &Action,
    files: &[&ConfigPath],
    folder: &Path,
    device: &str,
) -> Result<Option<String>, String> {
    let mut run = action.run.clone();
    if run.contains("{file}") {
        let config =
            restore.config.as_ref().filter(|config| files.contains(config)).ok_or("the set lacks the file that is sent")?;
        run = run.replace("{file}", &quoted(&folder.join(config.to_string())));
    }
    let Some((_, behind)) = action.run.split_once("{root}") else { return Ok((run != action.run).then_some(run)) };
    let named: String = behind.chars().take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | ';')).collect();
    let named = named.trim_matches('/');
    let root = match above(named, files) {
        None => return Err(format!("the set has no {named}")),
        Some("") => folder.to_owned(),
        Some(above) => {
            // What was collected from a folder of the device lies there again, as the check expects.
            let root = around.dir.join(device).join("root");
            let at = root.join(above);
            let made = fsio::create_dir_all(at.parent().unwrap_or(&root), fsio::PRIVATE_DIR);
            made.map_err(|e| e.to_string())?;
            if at.symlink_metadata().is_err() {
                symlink(folder, &at).map_err(|e| format!("cannot link: {e}"))?;
            }
            root
        }
    };
    Ok(Some(run.replace("{root}", &quoted(&root))))
}

/// Finds how far above the set the root of a path is: nothing for a path that the set has, `etc/kamailio` for
/// `etc/kamailio/kamailio.cfg` where the set was collected from that folder.
fn above<'n>(named: &'n str, files: &[&ConfigPath]) -> Option<&'n str> {
    let has = |path: &str| {
        let below = format!("{path}/");
        files.iter().any(|f| f.as_bytes() == path.as_bytes() || f.as_bytes().starts_with(below.as_bytes()))
    };
    if named.is_empty() || has(named) {
        return Some("");
    }
    named.match_indices('/').find(|(at, _)| has(&named[at + 1..])).map(|(at, _)| &named[..at])
}

/// Writes a path for the shell; one without odd characters as it is, as it may stand in quotes already.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Runs a command with as little of the world around it as it can do with; gives how it ended and what it said.
fn execute(
    around: &Surroundings<'_>,
    action: &Action,
    run: &str,
    folder: &Path,
    device: &str,
) -> Result<(ExitStatus, Vec<u8>), String> {
    let failed = |e: &dyn std::fmt::Display| format!("it could not be run: {e}");
    let dir = around.dir.join(device);
    fsio::create_dir_all(&dir, fsio::PRIVATE_DIR).map_err(|e| failed(&e))?;
    let log = (1..).map(|n| dir.join(format!("{n}.txt"))).find(|log| !log.exists()).unwrap_or_default();
    let out = Out::create_new(&log, fsio::PRIVATE_FILE).map_err(|e| failed(&e))?;
    let stream = || out.file().try_clone().map(Stdio::from);
    let path = std::env::join_paths(&around.path).unwrap_or_else(|_| OsString::from("/usr/sbin:/usr/bin:/sbin:/bin"));
    let mut command = Command::new("/bin/sh");
    // No core, and no more output than a disk bears.
    command.arg("-c").arg(format!("ulimit -c 0 -f 65536 2>/dev/null\n{run}")).current_dir(folder);
    command.env_clear().env("PATH", path).env("HOME", around.dir).env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
    command.stdout(stream().map_err(|e| failed(&e))?).stderr(stream().map_err(|e| failed(&e))?);
    let mut child = command.spawn().map_err(|e| failed(&e))?;
    let limit = if action.timeout_s > 0 { Duration::from_secs(action.timeout_s) } else { around.limit };
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| failed(&e))? {
            break status;
        }
        let why = if begun.elapsed() > limit {
            Some(format!("it took longer than {} s", limit.as_secs()))
        } else {
            around.cancel.load(Ordering::Relaxed).then(|| "it was stopped".to_owned())
        };
        if let Some(why) = why {
            // It has ended already, or does now.
            rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
            drop(child.wait());
            return Err(why);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = Vec::new();
    File::open(&log).and_then(|file| file.take(MOST).read_to_end(&mut said)).map_err(|e| failed(&e))?;
    Ok((status, said))
}

/// Judges as a profile says: by what the output must and must not have, else by the exit status.
fn judge(action: &Action, status: ExitStatus, said: &[u8]) -> Result<(), String> {
    if action.fails.as_ref().is_some_and(|fails| fails.is_match(said)) {
        return Err("its output is one of failure".to_owned());
    }
    match &action.ok {
        Some(ok) if ok.is_match(said) => Ok(()),
        Some(_) => Err(format!("its output is not one of success ({})", ending(status))),
        None if status.success() => Ok(()),
        None => Err(ending(status)),
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "it did not end well".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_was_collected_from_a_folder_lies_there_again() {
        let paths: Vec<ConfigPath> = ["kamailio.cfg", "tls/a.pem", "etc/b"].iter().map(|p| p.parse().unwrap()).collect();
        let files: Vec<&ConfigPath> = paths.iter().collect();
        assert_eq!(above("etc/kamailio/kamailio.cfg", &files), Some("etc/kamailio"));
        assert_eq!(above("etc/kamailio/tls/a.pem", &files), Some("etc/kamailio"));
        assert_eq!(above("etc/b", &files), Some(""));
        assert_eq!(above("tls", &files), Some(""));
        assert_eq!(above("etc/frr/frr.conf", &files), None);
    }
}
