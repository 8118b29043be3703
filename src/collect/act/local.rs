//! A folder of this machine: commands by `sh`, files below the open folder.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::judge::{self, LIMIT, judge};
use super::view::lay_out;
use super::words::script;
use super::{ActError, Files, OWNER, Scene, Seen, Target, numbers};
use crate::collect::{CollectError, ConnectError, Context, credentials};
use crate::fsio::tree::Meta;
use crate::fsio::{self, below::Below};
use crate::model::{ConfigPath, Owner};
use crate::profile::{Action, Step};

/// How often a waiting command is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// A folder of this machine.
pub(super) struct Local<'a> {
    below: Below,
    folder: PathBuf,
    view: PathBuf,
    context: &'a Context<'a>,
}

impl<'a> Local<'a> {
    pub(super) fn open(folder: &Path, scene: Scene<'_>, context: &'a Context<'a>) -> Result<Self, ActError> {
        let missing = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => ActError::Open(CollectError::Missing(folder.to_owned())),
            _ => fsio::Error::new("open", folder, error).into(),
        };
        // Commands are told where the folder really is.
        let folder = folder.canonicalize().map_err(missing)?;
        let below = Below::open(&folder)?;
        Ok(Self { below, folder, view: scene.folder.join("root"), context })
    }

    /// Runs a command and gives what it said on both outputs and how it ended.
    fn exec(&self, command: &str, idle: Duration, steps: &[Step]) -> Result<(Vec<u8>, Option<i32>), ActError> {
        exec(command, idle, steps, true, self.context)
    }
}

/// Runs a command of this machine and gives what it said, on its error output too where `both` says so, and how it ended.
pub(super) fn exec(
    command: &str,
    idle: Duration,
    mut steps: &[Step],
    both: bool,
    context: &Context<'_>,
) -> Result<(Vec<u8>, Option<i32>), ActError> {
    use std::os::unix::process::CommandExt as _;
    let failed = |source| ActError::Start { command: command.to_owned(), source };
    let (mut reader, writer) = std::io::pipe().map_err(failed)?;
    let mut shell = credentials::shell(command, context);
    shell.stdin(if steps.is_empty() { Stdio::null() } else { Stdio::piped() }).process_group(0);
    shell.stderr(if both { Stdio::from(writer.try_clone().map_err(failed)?) } else { Stdio::null() });
    shell.stdout(writer);
    let mut child = shell.spawn().map_err(failed)?;
    // With it goes our end of the pipe, so that the end of the command's output can be seen.
    drop(shell);
    let group = rustix::process::Pid::from_child(&child);
    let end = |child: &mut std::process::Child| {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        child.wait().ok();
    };
    let (mut said, mut asked, mut buffer) = (Vec::new(), 0, vec![0; 32 << 10]);
    let mut last = Instant::now();
    let status = loop {
        if let Err(error) = context.check_cancel() {
            end(&mut child);
            return Err(error.into());
        }
        if context.is_overdue() {
            end(&mut child);
            return Err(ConnectError::Overdue { doing: "running a command" }.into());
        }
        let time = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&time)).unwrap_or(0) > 0;
        let count = if ready { reader.read(&mut buffer).unwrap_or(0) } else { 0 };
        if count > 0 {
            last = Instant::now();
            said.extend_from_slice(&buffer[..count]);
            if said.len() as u64 > LIMIT {
                end(&mut child);
                return Err(ActError::Flood { command: command.to_owned(), limit: LIMIT });
            }
            if let Some((step, rest)) = steps.split_first()
                && step.expect.is_match(&said[asked..])
                && let Some(input) = &mut child.stdin
            {
                // A command that does not want the answer any more has ended, and how is seen below.
                drop(input.write_all(format!("{}\n", step.send).as_bytes()));
                (steps, asked) = (rest, said.len());
            }
            continue;
        }
        // A service that it started may hold the output open for good.
        if let Some(status) = child.try_wait().map_err(failed)?
            && (ready || last.elapsed() > LOOK)
        {
            break status.code();
        }
        if last.elapsed() > idle {
            end(&mut child);
            return Err(ActError::Silent { command: command.to_owned(), seconds: idle.as_secs() });
        }
        if ready {
            std::thread::sleep(LOOK);
        }
    };
    Ok((said, status))
}

impl Target for Local<'_> {
    fn run(&mut self, action: &Action, command: &str) -> Result<(), ActError> {
        let (said, status) = self.exec(command, judge::idle(action), &action.answers)?;
        judge(action, command, said, status)
    }

    fn upload(&mut self, path: &str, _: &[u8]) -> Result<(), ActError> {
        let reason = "a folder of this machine takes the files of its set only".to_owned();
        Err(ActError::Refused { doing: "take a file", path: path.to_owned(), reason })
    }

    fn files(&mut self) -> Result<&mut dyn Files, ActError> {
        Ok(self)
    }
}

/// Puts the system's error into the words that all devices have.
fn refused(doing: &'static str, path: &ConfigPath) -> impl FnOnce(fsio::Error) -> ActError {
    move |error| match Errno::from_io_error(&error.source) {
        Some(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => ActError::LinkAbove { path: path.to_string() },
        Some(Errno::PERM | Errno::ACCESS | Errno::ISDIR | Errno::EXIST) => {
            ActError::Refused { doing, path: path.to_string(), reason: error.source.to_string() }
        }
        _ => ActError::Disk(error),
    }
}

impl Files for Local<'_> {
    fn probe(&mut self) -> Result<(), ActError> {
        Ok(())
    }

    fn absolute(&self, path: &ConfigPath) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt as _;
        self.folder.join(std::ffi::OsStr::from_bytes(path.as_bytes())).as_os_str().as_bytes().to_vec()
    }

    fn owner(&mut self, text: &str) -> Result<Owner, ActError> {
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        let line = script("", OWNER, &[user.as_bytes(), group.as_bytes()]);
        numbers(text, &self.exec(&line, Duration::from_secs(10), &[])?.0)
    }

    fn stage_file(&mut self, staged: &ConfigPath, meta: Meta, size: u64, content: &mut dyn Read) -> Result<(), ActError> {
        let mut counted = Counted { content, count: 0 };
        self.below.stage_file(staged, meta, &mut counted).map_err(refused("write", staged))?;
        if counted.count != size {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(ActError::Content { path: staged.to_string(), source });
        }
        Ok(())
    }

    fn stage_link(&mut self, staged: &ConfigPath, target: &[u8], owner: Option<Owner>) -> Result<(), ActError> {
        self.below.stage_link(staged, target, owner).map_err(refused("link", staged))
    }

    fn place(&mut self, staged: &ConfigPath, path: &ConfigPath) -> Result<(), ActError> {
        self.below.place(staged, path).map_err(refused("rename", path))
    }

    fn make_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError> {
        self.below.make_dir(path, meta).map_err(refused("make a folder", path))
    }

    fn dress_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError> {
        self.below.dress_dir(path, meta).map_err(refused("set the mode", path))
    }

    fn remove(&mut self, path: &ConfigPath) -> Result<(), ActError> {
        self.below.remove(path).map_err(refused("remove", path))
    }

    fn remove_dir(&mut self, path: &ConfigPath) -> Result<bool, ActError> {
        self.below.remove_dir(path).map_err(refused("remove", path))
    }

    fn show(&mut self, seen: &[Seen]) -> Result<String, ActError> {
        self.hide()?;
        fsio::create_dir(&self.view, fsio::PRIVATE_DIR)?;
        let below = Below::open(&self.view)?;
        for (path, target) in lay_out(seen, |path| self.absolute(path)) {
            match target {
                None => below.make_dir(&path, Meta { mode: 0o700, owner: None })?,
                Some(target) => below.stage_link(&path, &target, None)?,
            }
        }
        self.view.to_str().map(str::to_owned).ok_or(ActError::Open(CollectError::NotText { what: "the folder of the store" }))
    }

    fn hide(&mut self) -> Result<(), ActError> {
        Ok(fsio::remove_all(&self.view)?)
    }

    fn base(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }
}

/// Counts what is read.
struct Counted<'a> {
    content: &'a mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
