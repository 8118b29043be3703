//! One command in a channel of its own.

use std::io::{ErrorKind, Read, Write as _};
use std::time::{Duration, Instant};

use super::ConnectError;
use super::link::Link;
use crate::collect::CollectError;
use crate::profile::Step;

/// Bytes of the error output that are kept.
const STDERR_LIMIT: usize = 64 << 10;

/// What a command gave.
pub(crate) struct Output {
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its error output, at most 64 KiB of it.
    pub(crate) stderr: Vec<u8>,
    /// Its exit status; nothing where the device closed the channel without one.
    pub(crate) status: Option<i32>,
}

/// Says why a command gave nothing that could be judged.
pub(crate) enum ExecError {
    /// The connection failed.
    Connect(ConnectError),
    /// It was silent for longer than it may.
    Silent { bytes: usize, seconds: u64 },
    /// It gave more bytes than it may.
    Flood { limit: u64 },
    /// Whoever takes its output did not take it.
    Refused(Box<CollectError>),
    /// What it should get on its standard input cannot be read.
    Input(std::io::Error),
}

impl From<ConnectError> for ExecError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

const DOING: &str = "running a command";

/// What a command gets on its standard input.
pub(crate) enum Input<'a> {
    /// Nothing, and no end of it.
    Nothing,
    /// These bytes, then the end.
    Bytes(&'a mut dyn Read),
    /// Answers to its questions, in turn.
    Answers(&'a [Step]),
}

/// What waits to be written to a command.
struct Writing<'a> {
    input: Input<'a>,
    waiting: Vec<u8>,
    /// The end of the input is due.
    ending: bool,
    ended: bool,
    /// The last of the output, in which a question may stand.
    seen: Vec<u8>,
}

impl<'a> Writing<'a> {
    fn new(input: Input<'a>) -> Self {
        Self { input, waiting: Vec::new(), ending: false, ended: false, seen: Vec::new() }
    }

    /// Remembers the end of the output and, where it asks, gets the answer ready.
    fn heard(&mut self, bytes: &[u8]) {
        let Input::Answers(steps) = &mut self.input else { return };
        self.seen.extend_from_slice(bytes);
        let far = self.seen.len().saturating_sub(4096);
        self.seen.drain(..far);
        if let Some((step, rest)) = steps.split_first()
            && step.expect.is_match(&self.seen)
        {
            self.waiting.extend_from_slice(step.send.as_bytes());
            self.waiting.push(b'\n');
            self.seen.clear();
            *steps = rest;
        }
    }

    /// Writes what the channel takes; tells whether anything moved.
    fn step(&mut self, link: &Link<'_>, channel: &mut ssh2::Channel) -> Result<bool, ExecError> {
        if self.ended {
            return Ok(false);
        }
        if self.waiting.is_empty() && !self.ending {
            let Input::Bytes(source) = &mut self.input else { return Ok(false) };
            let mut buffer = vec![0; 32 << 10];
            let count = source.read(&mut buffer).map_err(ExecError::Input)?;
            buffer.truncate(count);
            self.waiting = buffer;
            self.ending = count == 0;
        }
        if self.ending {
            self.ended = true;
            link.call(DOING, |_| channel.send_eof())?;
            return Ok(true);
        }
        match channel.write(&self.waiting) {
            Ok(count) => {
                self.waiting.drain(..count);
                Ok(count > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            // A command that ended takes nothing more; what it says tells why.
            Err(_) if channel.eof() => {
                self.ended = true;
                Ok(true)
            }
            Err(error) => {
                link.patience.slice(Instant::now(), DOING, &link.address)?;
                Err(ConnectError::Protocol { doing: DOING, reason: super::plain(&error.to_string()) }.into())
            }
        }
    }
}

/// Runs a command and hands its standard output to `sink`, piece by piece; the output given back has none of it.
pub(crate) fn stream(
    link: &Link<'_>,
    command: &str,
    idle: Duration,
    limit: u64,
    sink: impl FnMut(&[u8]) -> Result<(), ExecError>,
) -> Result<Output, ExecError> {
    talk(link, command, idle, limit, Input::Nothing, sink)
}

/// As [`stream`], for a command that gets something on its standard input.
fn talk(
    link: &Link<'_>,
    command: &str,
    idle: Duration,
    limit: u64,
    input: Input<'_>,
    mut sink: impl FnMut(&[u8]) -> Result<(), ExecError>,
) -> Result<Output, ExecError> {
    let mut channel = link.channel()?;
    link.call("starting a command", |_| channel.exec(command))?;
    let mut output = Output { stdout: Vec::new(), stderr: Vec::new(), status: None };
    let mut buffer = vec![0; 32 << 10];
    let (mut total, mut last) = (0_u64, Instant::now());
    let mut writing = Writing::new(input);
    loop {
        let mut moved = writing.step(link, &mut channel)?;
        for stream in [0, 1] {
            match link.watched(|_| channel.stream(stream).read(&mut buffer)) {
                Ok(0) => {}
                Ok(count) => {
                    moved = true;
                    total += count as u64;
                    if total > limit {
                        return Err(ExecError::Flood { limit });
                    }
                    writing.heard(&buffer[..count]);
                    if stream == 0 {
                        sink(&buffer[..count])?;
                    } else {
                        let room = STDERR_LIMIT.saturating_sub(output.stderr.len());
                        output.stderr.extend_from_slice(&buffer[..count.min(room)]);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    link.patience.slice(Instant::now(), DOING, &link.address)?;
                    return Err(ConnectError::Protocol { doing: DOING, reason: super::plain(&error.to_string()) }.into());
                }
            }
        }
        if moved {
            last = Instant::now();
            continue;
        }
        if channel.eof() {
            break;
        }
        let slice = link.patience.slice(Instant::now(), DOING, &link.address)?;
        let left = idle.saturating_sub(last.elapsed());
        if left.is_zero() {
            let bytes = usize::try_from(total).unwrap_or(usize::MAX);
            return Err(ExecError::Silent { bytes, seconds: idle.as_secs() });
        }
        link.wait(slice.min(left));
    }
    // The status comes with the end of the channel, not with the end of the output.
    let closed =
        link.call("ending a command", |_| channel.close()).and_then(|()| link.call("ending a command", |_| channel.wait_close()));
    match closed {
        Ok(()) => output.status = status(&channel),
        Err(stop @ (ConnectError::Cancelled | ConnectError::Overdue { .. })) => return Err(stop.into()),
        Err(_) => {}
    }
    Ok(output)
}

/// The exit status; a signal, or none at all, is no status. libssh2 has 0 where none came, so the signal is asked first.
fn status(channel: &ssh2::Channel) -> Option<i32> {
    match channel.exit_signal() {
        Ok(signal) if signal.exit_signal.is_some() => None,
        _ => channel.exit_status().ok(),
    }
}

/// Runs a command and gives all of its output.
pub(crate) fn run(link: &Link<'_>, command: &str, idle: Duration, limit: u64) -> Result<Output, ExecError> {
    run_with(link, command, idle, limit, Input::Nothing)
}

/// Runs a command that gets something on its standard input, and gives all of its output.
pub(crate) fn run_with(
    link: &Link<'_>,
    command: &str,
    idle: Duration,
    limit: u64,
    input: Input<'_>,
) -> Result<Output, ExecError> {
    let mut stdout = Vec::new();
    let output = talk(link, command, idle, limit, input, |bytes| {
        stdout.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(Output { stdout, ..output })
}
