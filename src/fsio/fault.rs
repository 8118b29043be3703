//! The place where a test stops the world.
//!
//! In builds with debug assertions the variable `CONFVAULT_FAULT` chooses what happens at the N-th step
//! (from 1) of this process: `kill:N` ends it as `SIGKILL` does, `panic:N` panics with the text of
//! `CONFVAULT_FAULT_TEXT`, `eio:N` and `enospc:N` make that one step fail, `short:N` lets a write take half
//! of its bytes and then fail for want of space, as a full disk does. `count:FILE` changes nothing and appends one line `<kind> <path>` a step to FILE;
//! `kill:N,count:FILE` does both. Release builds have none of this.

use std::io;
#[cfg(not(debug_assertions))]
use std::path::Path;

/// What a step is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make a file that was not there.
    Create,
    /// Write bytes to a file.
    Write,
    /// Sync a file.
    Sync,
    /// Sync a directory.
    SyncDir,
    /// Rename.
    Rename,
    /// Make a hard link.
    Link,
    /// Remove a file or an empty directory.
    Unlink,
    /// Make a directory.
    Mkdir,
}

/// What the step is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Go,
    /// Write half of the bytes, then fail.
    #[cfg_attr(not(debug_assertions), expect(dead_code))]
    Half,
}

/// Passes a step; in a test the world may stop here.
///
/// # Errors
/// The error that a test asked for.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn step(_kind: Step, _path: &Path) -> io::Result<Verdict> {
    Ok(Verdict::Go)
}

/// The error of a full disk.
pub(crate) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

#[cfg(debug_assertions)]
pub(crate) use armed::step;

#[cfg(debug_assertions)]
mod armed {
    use std::fs::OpenOptions;
    use std::io::{self, Write};
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Step, Verdict};

    #[derive(Clone, Copy)]
    enum Act {
        Kill,
        Panic,
        Fail(rustix::io::Errno),
        Short,
    }

    #[derive(Default)]
    struct Plan {
        at: Option<(Act, u64)>,
        trace: Option<PathBuf>,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();
    static SEEN: AtomicU64 = AtomicU64::new(0);

    fn read(spec: &str) -> Plan {
        let mut plan = Plan::default();
        for (word, value) in spec.split(',').filter_map(|part| part.split_once(':')) {
            let act = match word {
                "kill" => Act::Kill,
                "panic" => Act::Panic,
                "eio" => Act::Fail(rustix::io::Errno::IO),
                "enospc" => Act::Fail(rustix::io::Errno::NOSPC),
                "short" => Act::Short,
                "count" => {
                    plan.trace = Some(value.into());
                    continue;
                }
                _ => continue,
            };
            plan.at = value.parse().ok().map(|n| (act, n));
        }
        plan
    }

    pub(crate) fn step(kind: Step, path: &Path) -> io::Result<Verdict> {
        let plan = PLAN.get_or_init(|| std::env::var("CONFVAULT_FAULT").map(|s| read(&s)).unwrap_or_default());
        if plan.at.is_none() && plan.trace.is_none() {
            return Ok(Verdict::Go);
        }
        let seen = SEEN.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(file) = &plan.trace {
            let line = format!("{kind:?} {}\n", path.display());
            OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())?;
        }
        match plan.at {
            Some((act, at)) if at == seen => match act {
                Act::Kill => loop {
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
                },
                Act::Panic => panic!("{}", std::env::var("CONFVAULT_FAULT_TEXT").unwrap_or_default()),
                Act::Fail(errno) => Err(errno.into()),
                Act::Short if kind == Step::Write => Ok(Verdict::Half),
                Act::Short => Ok(Verdict::Go),
            },
            _ => Ok(Verdict::Go),
        }
    }
}
