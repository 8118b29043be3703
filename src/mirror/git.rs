//! The installed `git` as a subprocess: clean environment, no terminal, limits of time and size.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{GitUrl, Limits, MirrorError, activity};
use crate::model::redact_word;

/// How much `git` may say on stderr before it is ended, in bytes.
const MOST_STDERR: u64 = 16 << 20;

/// The variables that `git`, `ssh` and credential helpers need; everything else stays behind, above all
/// what would make git trace, run other programs or look at another repository.
#[derive(Debug, Clone, Default)]
pub struct GitEnv(Vec<(OsString, OsString)>);

const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_PROXY_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_HTTP_USER_AGENT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

impl GitEnv {
    /// Takes what is needed from an environment.
    pub fn of(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(vars.into_iter().filter(|(name, _)| name.to_str().is_some_and(|n| KEPT.contains(&n))).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, value)| n == name && !value.is_empty())
    }
}

/// How to reach a mirror.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// Where it is.
    pub url: &'a GitUrl,
    /// The environment for `git`.
    pub env: &'a GitEnv,
    /// The limits of each conversation.
    pub limits: Limits,
    /// Ends the conversation when it becomes true.
    pub cancel: Option<&'a AtomicBool>,
}

/// Asks the installed `git` for its version, such as `2.47.1`.
///
/// # Errors
/// [`MirrorError::NoGit`], or it does not answer.
pub fn git_version(remote: Remote<'_>) -> Result<String, MirrorError> {
    let call = Call { networked: false, ..Call::networked(remote, "version", None) };
    let (said, ended) = call.run(text)?;
    ended.good("version")?;
    Ok(said.trim().trim_start_matches("git version ").to_owned())
}

/// Writes to the standard input of `git`.
type Feed<'a> = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'a>;

/// One run of `git`.
pub(super) struct Call<'a> {
    remote: Remote<'a>,
    command: &'static str,
    args: Vec<OsString>,
    dir: Option<&'a Path>,
    feed: Option<Feed<'a>>,
    /// Set where foreign bytes are taken in: memory is limited, and the folder of packs, if given.
    guarded: Option<Option<PathBuf>>,
    networked: bool,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The end of what was said on stderr, made safe to show.
    pub(super) words: String,
}

impl Ended {
    /// Makes an end without success an error.
    pub(super) fn good(self, command: &'static str) -> Result<(), MirrorError> {
        if self.status.success() { Ok(()) } else { Err(MirrorError::Git { command, message: self.words }) }
    }
}

impl<'a> Call<'a> {
    /// A command on a repository of this machine; nothing of it reaches the network.
    pub(super) fn local(remote: Remote<'a>, command: &'static str, dir: &'a Path) -> Self {
        Self { remote, command, args: Vec::new(), dir: Some(dir), feed: None, guarded: None, networked: false }
    }

    /// A command that talks to the remote.
    pub(super) fn networked(remote: Remote<'a>, command: &'static str, dir: Option<&'a Path>) -> Self {
        Self { remote, command, args: Vec::new(), dir, feed: None, guarded: None, networked: true }
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(super) fn args(mut self, args: impl IntoIterator<Item = &'static str>) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    pub(super) fn feed(mut self, feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'a) -> Self {
        self.feed = Some(Box::new(feed));
        self
    }

    /// Limits the memory of it, and how far a folder of packs may grow.
    pub(super) fn guarded(mut self, dir: Option<&Path>) -> Self {
        self.guarded = Some(dir.map(Path::to_owned));
        self
    }

    fn prepare(&self) -> Command {
        let mut git = Command::new("git");
        git.env_clear().envs(self.remote.env.0.iter().map(|(name, value)| (name, value)));
        git.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        git.env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh").env("GIT_NO_REPLACE_OBJECTS", "1");
        git.env("GIT_ADVICE", "0").env("GIT_FLUSH", "1");
        if !self.remote.env.has("GIT_ASKPASS") {
            git.env("GIT_ASKPASS", "false");
        }
        match self.dir {
            Some(dir) => git.env("GIT_DIR", dir).current_dir(dir),
            // Outside of any repository, whatever the working directory is.
            None => git.env("GIT_DIR", "/dev/null").current_dir("/"),
        };
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        git.arg(self.command).args(&self.args);
        git
    }

    /// Lets `ssh` fail in place of asking, unless the administrator has chosen how it is started.
    fn quiet_ssh(&self, git: &mut Command) -> Result<(), MirrorError> {
        let env = self.remote.env;
        let ssh = self.networked
            && self.remote.url.host().is_some()
            && !matches!(self.remote.url.scheme(), Some("http" | "https" | "git"));
        if !ssh || ["GIT_SSH", "GIT_SSH_COMMAND", "SSH_ASKPASS"].iter().any(|name| env.has(name)) {
            return Ok(());
        }
        let mut config = Call::networked(self.remote, "config", None).arg("--get").arg("core.sshCommand");
        config.networked = false;
        let (chosen, _) = config.run(text)?;
        if chosen.trim().is_empty() {
            let wait = self.remote.limits.idle.as_secs().clamp(1, 600);
            git.env("GIT_SSH_COMMAND", format!("ssh -oBatchMode=yes -oConnectTimeout={wait}"));
        }
        Ok(())
    }

    /// Runs it. `read` gets the standard output and should read it to its end.
    pub(super) fn run<T: Send>(
        mut self,
        read: impl FnOnce(&mut dyn BufRead) -> io::Result<T> + Send,
    ) -> Result<(T, Ended), MirrorError> {
        let command = self.command;
        let pipe = |source| MirrorError::Pipe { command, source };
        let mut stderr = tempfile::tempfile().map_err(pipe)?;
        let mut git = self.prepare();
        self.quiet_ssh(&mut git)?;
        // A group of its own, so that helpers and ssh end with it; a file for stderr, as a helper that
        // stays behind would hold a pipe open for ever.
        git.process_group(0).stdout(Stdio::piped()).stderr(stderr.try_clone().map_err(pipe)?);
        git.stdin(if self.feed.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = git.spawn().map_err(|source| MirrorError::NoGit { source })?;
        let pid = Pid::from_child(&child);
        if self.guarded.is_some() {
            self.limit(pid);
        }
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let feed = self.feed.take();
        let moved = AtomicU64::new(0);
        let (result, watched) = std::thread::scope(|scope| {
            if let (Some(feed), Some(mut input)) = (feed, input) {
                scope.spawn(move || {
                    // A reader that went away says why on stderr; the broken pipe says nothing more.
                    drop(feed(&mut input));
                });
            }
            let moved = &moved;
            let reader = scope.spawn(move || {
                let Some(output) = output else { return Err(io::ErrorKind::BrokenPipe.into()) };
                let mut output = BufReader::with_capacity(1 << 16, Counted { inner: output, moved });
                let result = read(&mut output);
                // What `read` did not want must not stop the writer.
                io::copy(&mut output, &mut io::sink())?;
                result
            });
            let watched = self.watch(pid, &stderr, moved, || reader.is_finished());
            let result = reader.join().unwrap_or_else(|_| Err(io::Error::other("The reader panicked")));
            (result, watched)
        });
        let status = child.wait().map_err(pipe)?;
        watched?;
        let words = last_words(&mut stderr).map_err(pipe)?;
        Ok((result.map_err(pipe)?, Ended { status, words }))
    }

    /// Sets the kernel's limits for what objects of a stranger may take. Children inherit them.
    fn limit(&self, pid: Pid) {
        use rustix::process::{Resource, Rlimit};
        let limits = self.remote.limits;
        #[cfg(target_os = "linux")]
        for (resource, most) in [(Resource::Data, limits.memory_bytes), (Resource::Fsize, limits.fetched_bytes)] {
            // A process that has ended already needs no limit.
            attempt(rustix::process::prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) }).map(drop));
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (pid, limits);
    }

    /// Waits until the process has ended and its output is read, or ends it. It is not reaped yet, so its
    /// group cannot be another's.
    fn watch(&self, pid: Pid, stderr: &File, moved: &AtomicU64, read: impl Fn() -> bool) -> Result<(), MirrorError> {
        let begun = Instant::now();
        let limits = self.remote.limits;
        let shown = || self.remote.url.to_string();
        let mut nap = Duration::from_millis(1);
        let mut last = (Instant::now(), activity::Sign::default());
        let mut looked = Instant::now();
        let mut ended: Option<Instant> = None;
        let fault = loop {
            if ended.is_none() && has_ended(pid) {
                ended = Some(Instant::now());
            }
            if let Some(ended) = ended {
                // A helper that lives on must not hold the output open.
                if read() || ended.elapsed() > Duration::from_secs(5) {
                    kill(pid, Signal::KILL);
                    return Ok(());
                }
            }
            if self.remote.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                break MirrorError::Cancelled;
            }
            if begun.elapsed() > limits.total {
                break MirrorError::TooLong { seconds: limits.total.as_secs(), url: shown() };
            }
            if looked.elapsed() > Duration::from_millis(250) {
                looked = Instant::now();
                let said = stderr.metadata().map_or(0, |m| m.len());
                if said > MOST_STDERR {
                    break MirrorError::TooMuch { limit: MOST_STDERR, url: shown() };
                }
                if self.guarded.iter().flatten().any(|dir| size_of(dir) > limits.fetched_bytes) {
                    break MirrorError::TooMuch { limit: limits.fetched_bytes, url: shown() };
                }
                let sign = activity::sign(pid, moved.load(Ordering::Relaxed) + said);
                if sign != last.1 {
                    last = (Instant::now(), sign);
                } else if last.0.elapsed() > limits.idle {
                    break MirrorError::Silent { seconds: limits.idle.as_secs(), url: shown() };
                }
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        };
        // First the polite way, so that git removes its temporary files.
        kill(pid, Signal::TERM);
        let asked = Instant::now();
        while !has_ended(pid) && asked.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(pid, Signal::KILL);
        Err(fault)
    }
}

/// Settings that hold whatever the user's configuration says.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "push.gpgSign=false",
    "push.followTags=false",
    "push.recurseSubmodules=no",
    "submodule.recurse=false",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "fetch.prune=false",
    "fetch.writeCommitGraph=false",
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "transfer.bundleURI=false",
    "core.bigFileThreshold=64m",
    "advice.pushUpdateRejected=false",
];

/// Does what may fail because a process has ended already.
fn attempt(_: rustix::io::Result<()>) {}

fn kill(group: Pid, signal: Signal) {
    // Nobody left is as good.
    attempt(rustix::process::kill_process_group(group, signal));
}

fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Adds up the files directly in a folder of packs.
fn size_of(dir: &Path) -> u64 {
    let Ok(list) = std::fs::read_dir(dir) else { return 0 };
    list.filter_map(|entry| entry.ok()?.metadata().ok()).map(|m| m.len()).sum()
}

struct Counted<'a, R> {
    inner: R,
    moved: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.moved.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads a short output.
pub(super) fn text(out: &mut dyn BufRead) -> io::Result<String> {
    let mut text = Vec::new();
    out.take(1 << 20).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Gives the end of a log as one safe line: no control characters, no user or password of a URL.
fn last_words(log: &mut File) -> io::Result<String> {
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
    let mut bytes = Vec::new();
    log.take(4096).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("hint:")).collect();
    let tail = &lines[lines.len().saturating_sub(4)..];
    let words = tail.join("; ").split(' ').map(redact_word).collect::<Vec<_>>().join(" ");
    Ok(if words.is_empty() { "it said nothing".to_owned() } else { words })
}
