//! A terminal on a device as a [`Wire`] for the session engine.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use ssh2::Channel;

use super::ConnectError;
use super::link::Link;
use crate::collect::session::{Read, Wire, WireError};
use crate::profile::Session as Script;

/// What is done with a device, as errors tell it.
const DOING: &str = "talking";

/// A shell on a device.
pub(crate) struct Terminal<'l, 'a> {
    link: &'l Link<'a>,
    channel: Channel,
}

impl<'l, 'a> Terminal<'l, 'a> {
    /// Opens a shell on a terminal of the size that the profile asks for.
    pub(crate) fn open(link: &'l Link<'a>, script: &Script) -> Result<Self, ConnectError> {
        let mut channel = link.channel()?;
        let size = Some((script.width, script.height, 0, 0));
        link.call("asking for a terminal", |_| channel.request_pty("vt100", None, size))?;
        link.call("opening a shell", |_| channel.shell())?;
        Ok(Self { link, channel })
    }
}

fn wire(error: ConnectError) -> WireError {
    match error {
        ConnectError::Cancelled => WireError::Cancelled,
        ConnectError::Overdue { .. } => WireError::Overdue,
        other => WireError::Failed(other.to_string()),
    }
}

impl Wire for Terminal<'_, '_> {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Read, WireError> {
        let begun = Instant::now();
        loop {
            match self.link.watched(|_| self.channel.read(buffer)) {
                Ok(0) if self.channel.eof() => return Ok(Read::End),
                Ok(0) => {}
                Ok(count) => return Ok(Read::Data(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A connection that is gone ends the conversation; the engine says where.
                Err(_) => {
                    self.link.patience.slice(Instant::now(), DOING, "").map_err(wire)?;
                    return Ok(Read::End);
                }
            }
            let slice = self.link.patience.slice(Instant::now(), DOING, "").map_err(wire)?;
            let left = wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Read::Quiet);
            }
            self.link.wait(slice.min(left));
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), WireError> {
        while !bytes.is_empty() {
            match self.channel.write(bytes) {
                // libssh2 gives zero where the device's window is closed.
                Ok(0) => {}
                Ok(count) => {
                    bytes = &bytes[count..];
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.link.patience.slice(Instant::now(), DOING, "").map_err(wire)?;
                    return Err(WireError::Failed(super::plain(&error.to_string())));
                }
            }
            let slice = self.link.patience.slice(Instant::now(), DOING, "").map_err(wire)?;
            self.link.wait(slice);
        }
        Ok(())
    }
}
