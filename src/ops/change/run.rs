//! A command between two snapshots.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::AtomicBool;

use super::end::end;
use super::{Ended, Intent, Opened, open};
use crate::ops::snapshot::{DeviceReport, World};
use crate::ops::{Error, Vault};
use crate::store::ChangeEnd;

/// How a command between two snapshots went.
#[derive(Debug)]
pub struct Ran {
    /// The snapshots before; the command did not run if they failed.
    pub opened: Opened,
    /// How the command ended, or why it did not start; nothing if it was not tried.
    pub command: Option<std::io::Result<ExitStatus>>,
    /// The snapshots after.
    pub ended: Option<Ended>,
}

impl Ran {
    /// The exit code of the command as a shell gives it: 128 and the signal that ended it, 127 for a
    /// program that is not there, 126 for one that did not start.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        let code = match self.command.as_ref()? {
            Ok(status) => status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 127,
            Err(_) => 126,
        };
        Some(u8::try_from(code).unwrap_or(1))
    }
}

/// Opens a change, runs a command, and closes the change, whatever the command did. The command has the
/// standard streams and the environment of the caller, and `CONFVAULT_CHANGE` beside.
///
/// # Errors
/// As [`open`] and [`close`](super::close). After an error of the latter the change is open still.
pub fn run(
    vault: &Vault,
    intent: &Intent,
    command: &[OsString],
    world: &World<'_>,
    progress: &mut dyn FnMut(&DeviceReport),
) -> Result<Ran, Error> {
    let opened = open(vault, intent, world, progress)?;
    let mut ran = Ran { opened, command: None, ended: None };
    let Some((program, arguments)) = command.split_first().filter(|_| ran.opened.item.is_some()) else { return Ok(ran) };
    let status = Command::new(program).args(arguments).env("CONFVAULT_CHANGE", ran.opened.id.to_string()).status();
    ran.command = Some(status);
    // The interrupt that ended the command must not stop what is to be recorded of it.
    let never = AtomicBool::new(false);
    let world = World { cancel: &never, ..*world };
    // Arguments may hold a password: only the program is named.
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let more = [("command", name.into()), ("exit_code", ran.code().into())];
    let ended = end(vault, &intent.ticket, (ChangeEnd::Closed, None), &more, &world, progress)?;
    ran.ended = Some(ended);
    Ok(ran)
}
