//! Working on a device: what putting a set back asks of it, one step at a time.
//!
//! [`work`] opens a device as its source says: a folder of this machine (`dir:`), a host (`sftp://`, or `ssh://`
//! with `mode = "exec"`), a command line of the device's own (`ssh://` with `mode = "terminal"`). What it hands out can run commands and, where the source is of files, change files below
//! the source's folder. Which steps are taken, in which order, and what a failure leads to is decided elsewhere.
//!
//! Invariants of the [files](Files), which nothing above has to see to:
//! - A file is written whole beside its place, with its owner and mode, and only then gets its place, by one rename.
//! - What stands at a place is replaced, never opened or followed. A folder above it that is a link, or is reached
//!   through one, stops the step.
//! - Names are bytes: none is taken for an option or by a shell.
//!
//! What a command said can hold text of a configuration: it is in an error as [`Said`], which shows nothing by itself.

mod error;
mod host;
mod judge;
mod local;
mod terminal;
mod view;
mod words;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::fsio::tree::Meta;
use crate::inventory::{Device, SourceUrl};
use crate::model::{ConfigPath, Owner};
use crate::profile::{Action, Profile, Session as Script, SessionMode};

use super::session::{SessionError, refusal};
use super::{CollectError, Context};

/// A source leaves out what has such a name, and reports it.
pub use crate::fsio::tree::LEFTOVER;
pub use error::{ActError, Said};

/// The longest silence of a command that only asks.
const ASKED: Duration = Duration::from_secs(30);

/// How a thing with such a name is reported.
pub(super) const LEFTOVER_WORDS: &str = "part of a restore that did not end";

/// Tells whether something was made by a restore that is running, or did not end.
pub(super) fn is_leftover(path: &ConfigPath) -> bool {
    path.components().next_back().is_some_and(|name| name.starts_with(LEFTOVER.as_bytes()))
}

/// What a piece of work on a device needs beside the device.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Names what is made on the device: letters and digits, other ones for each restore.
    pub run: &'a str,
    /// A folder of this machine, mode 0700, for what commands of this machine are to see.
    pub folder: &'a Path,
}

/// A device that is worked on.
pub trait Target {
    /// Runs a command; `command` is that of the action with its placeholders filled in.
    ///
    /// # Errors
    /// [`ActError`]: it could not be run, or what came back is failure by the words of the action.
    fn run(&mut self, action: &Action, command: &str) -> Result<(), ActError>;

    /// The files of the device.
    ///
    /// # Errors
    /// [`ActError::NoFiles`] where its source is not of files.
    fn files(&mut self) -> Result<&mut dyn Files, ActError>;

    /// Puts a file on the device that is no part of its set, for commands to use; what is there under its name is
    /// written over. `path` is the device's own name for it, such as `flash:new.cfg`.
    ///
    /// # Errors
    /// [`ActError`]: the device takes no files, or refused this one.
    fn upload(&mut self, path: &str, content: &[u8]) -> Result<(), ActError>;
}

/// The files of a device; paths are those of the set.
pub trait Files {
    /// Makes sure that files can be changed at all, as far as that can be told without doing so.
    ///
    /// # Errors
    /// [`ActError`]: the device, or the login, has no shell with what is needed.
    fn probe(&mut self) -> Result<(), ActError>;

    /// The absolute path on the device.
    fn absolute(&self, path: &ConfigPath) -> Vec<u8>;

    /// Finds the numbers of an owner that is written `user:group`.
    ///
    /// # Errors
    /// [`ActError`]: the device does not know one of them.
    fn owner(&mut self, text: &str) -> Result<Owner, ActError>;

    /// Makes a file that must not be there, whole, with owner and mode. `size` is that of the content in bytes.
    ///
    /// # Errors
    /// [`ActError`]; what was made of it is left for [`Files::remove`].
    fn stage_file(&mut self, staged: &ConfigPath, meta: Meta, size: u64, content: &mut dyn Read) -> Result<(), ActError>;

    /// Makes a link that must not be there.
    ///
    /// # Errors
    /// As [`Files::stage_file`].
    fn stage_link(&mut self, staged: &ConfigPath, target: &[u8], owner: Option<Owner>) -> Result<(), ActError>;

    /// Gives what is staged its place in one step; `staged` lies in the folder of `path`.
    ///
    /// # Errors
    /// [`ActError`]: a directory stands there, or the device refused.
    fn place(&mut self, staged: &ConfigPath, path: &ConfigPath) -> Result<(), ActError>;

    /// Gives several things their places, each in one step and in this order, as fast behind each other as can be.
    ///
    /// # Errors
    /// As [`Files::place`]; those before the one that failed have their places.
    fn place_all(&mut self, moves: &[(ConfigPath, ConfigPath)]) -> Result<(), ActError> {
        moves.iter().try_for_each(|(staged, path)| self.place(staged, path))
    }

    /// Makes a directory, or takes the one that is there, and gives it owner and mode.
    ///
    /// # Errors
    /// [`ActError`]: something else stands there, or the device refused.
    fn make_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError>;

    /// Gives a directory owner and mode.
    ///
    /// # Errors
    /// [`ActError`].
    fn dress_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError>;

    /// Removes a file or link; one that is not there is none.
    ///
    /// # Errors
    /// [`ActError`]: a directory stands there, or the device refused.
    fn remove(&mut self, path: &ConfigPath) -> Result<(), ActError>;

    /// Removes an empty directory; tells whether it is gone. One that has something in it stays.
    ///
    /// # Errors
    /// [`ActError`].
    fn remove_dir(&mut self, path: &ConfigPath) -> Result<bool, ActError>;

    /// Makes a folder that shows the set as it will be, and gives its absolute path: directories, and for each
    /// file a link to where its content is now. A path is there twice where these differ: as on the device and
    /// as in the set.
    ///
    /// # Errors
    /// [`ActError`].
    fn show(&mut self, seen: &[Seen]) -> Result<String, ActError>;

    /// Removes the folder that [`Files::show`] made; one that is not there is none.
    ///
    /// # Errors
    /// [`ActError`].
    fn hide(&mut self) -> Result<(), ActError>;

    /// The path that stands for `{root}` once the files have their places: nothing where the set counts from `/`.
    fn base(&self) -> String;
}

/// Reads what `id -u` and `getent group` say.
fn numbers(text: &str, said: &[u8]) -> Result<Owner, ActError> {
    let said = String::from_utf8_lossy(said);
    let mut lines = said.lines();
    let uid = lines.next().and_then(|line| line.trim().parse().ok());
    let gid = lines.next().and_then(|line| line.split(':').nth(2)?.parse().ok());
    let unknown = || ActError::Refused { doing: "find the owner", path: text.to_owned(), reason: "no such user or group".into() };
    uid.zip(gid).map(|(uid, gid)| Owner { uid, gid }).ok_or_else(unknown)
}

/// Prints the number of the user `$1` and the line of the group `$2`.
const OWNER: &str = r#"id -u -- "$1" && getent group -- "$2""#;

/// Something in the folder of [`Files::show`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its path in the set.
    pub path: ConfigPath,
    /// Where its content is now; nothing for a directory.
    pub at: Option<ConfigPath>,
}

/// Tells whether the shell of this machine, in which commands of a folder run, has a program. `word` is its name or
/// path: letters, digits and `_./+-`.
///
/// # Errors
/// The shell does not start.
pub fn has_program(word: &str, context: &Context<'_>) -> std::io::Result<bool> {
    use std::process::Stdio;
    let mut shell = super::credentials::shell(&format!("command -v {word}"), context);
    Ok(shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}

/// Asks this machine a command that changes nothing, and gives what it says on its standard output.
///
/// # Errors
/// [`ActError`]: it could not be run, ended with another status than 0, or said what means refusal in the profile.
pub fn ask_here(command: &str, profile: &Profile, context: &Context<'_>) -> Result<Vec<u8>, ActError> {
    let (said, status) = local::exec(command, ASKED, &[], false, context)?;
    let refused = profile.session().and_then(|script| refusal(&said, &script.refusals));
    match (refused, status) {
        (Some(phrase), _) => Err(CollectError::from(SessionError::Refused { command: command.to_owned(), phrase }).into()),
        (None, Some(0)) => Ok(said),
        _ => Err(ActError::Status { command: command.to_owned(), status, said: Said::new(said) }),
    }
}

/// Opens a device, does something with it, and lets it go.
///
/// # Errors
/// [`ActError::Open`] where it cannot be reached, [`ActError::NotSupported`] where its source is none that can be
/// worked on; what `job` failed with.
pub fn work<T, E: From<ActError>>(
    device: &Device,
    profile: &Profile,
    scene: Scene<'_>,
    context: &Context<'_>,
    job: impl FnOnce(&mut dyn Target) -> Result<T, E>,
) -> Result<T, E> {
    let default = Script::default();
    let script = profile.session().unwrap_or(&default);
    match &device.source {
        SourceUrl::Dir(folder) => job(&mut local::Local::open(&context.root.join(folder), scene, context)?),
        SourceUrl::Sftp(remote) => {
            let link = super::ssh::connect(device, remote, context).map_err(ActError::from)?;
            job(&mut host::Host::new(&link, device, Some(remote), scene))
        }
        SourceUrl::Ssh(remote) if script.mode == SessionMode::Exec => {
            let link = super::ssh::connect(device, remote, context).map_err(ActError::from)?;
            job(&mut host::Host::new(&link, device, None, scene))
        }
        SourceUrl::Ssh(remote) => {
            let link = super::ssh::connect(device, remote, context).map_err(ActError::from)?;
            job(&mut terminal::Console::new(&link, device, script, context))
        }
        other => Err(ActError::NotSupported(other.clone()).into()),
    }
}
