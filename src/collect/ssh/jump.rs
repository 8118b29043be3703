//! Through another host: a channel of its connection becomes the socket of the next.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel};

use super::ConnectError;
use super::link::{Core, Link};
use super::socket::Socket;

/// A thread that carries bytes between a channel and a socket pair; ends with either.
pub(super) struct Tunnel {
    below: Socket,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.below.shut();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Opens a way from the host of `link` to another host.
pub(super) fn through(link: Link<'_>, host: &str, port: u16) -> Result<(Socket, Tunnel), ConnectError> {
    let channel = link.call("asking for the next host", |session| session.channel_direct_tcpip(host, port, None))?;
    let failed = |source| ConnectError::Refused { address: format!("{host}:{port}"), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).and_then(|()| theirs.set_nonblocking(true)).map_err(failed)?;
    let core = link.core;
    let below = core.socket.clone();
    let thread = std::thread::Builder::new()
        .name("tunnel".into())
        .stack_size(256 << 10)
        .spawn(move || carry(core, channel, theirs))
        .map_err(failed)?;
    Ok((OwnedFd::from(ours).into(), Tunnel { below, thread: Some(thread) }))
}

fn carry(core: Core, mut channel: Channel, mut socket: UnixStream) {
    let (mut up, mut down) = (Pipe::default(), Pipe::default());
    loop {
        let moved = (up.fill(&mut socket), up.drain(&mut channel), down.fill(&mut channel), down.drain(&mut socket));
        let (Ok(a), Ok(b), Ok(c), Ok(d)) = moved else { break };
        if a || b || c || d {
            continue;
        }
        let mut below = PollFlags::IN;
        if !matches!(core.session.block_directions(), BlockDirections::Inbound | BlockDirections::None) {
            below |= PollFlags::OUT;
        }
        let mut here = PollFlags::empty();
        here.set(PollFlags::IN, up.is_empty());
        here.set(PollFlags::OUT, !down.is_empty());
        let mut fds = [PollFd::from_borrowed_fd(core.socket.as_fd(), below), PollFd::from_borrowed_fd(socket.as_fd(), here)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 5, tv_nsec: 0 })).is_err() {
            break;
        }
    }
    drop(socket.shutdown(Shutdown::Both));
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    sent: usize,
}

impl Pipe {
    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Takes what is there, if nothing is on its way; says whether something came, fails at the end.
    fn fill(&mut self, from: &mut impl Read) -> Result<bool, ()> {
        if !self.is_empty() {
            return Ok(false);
        }
        self.bytes.resize(32 << 10, 0);
        self.sent = 0;
        let result = from.read(&mut self.bytes);
        self.bytes.truncate(result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(0) => Err(()),
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(_) => Err(()),
        }
    }

    fn drain(&mut self, to: &mut impl Write) -> Result<bool, ()> {
        if self.is_empty() {
            return Ok(false);
        }
        match to.write(&self.bytes[self.sent..]) {
            Ok(0) => Err(()),
            Ok(count) => {
                self.sent += count;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(_) => Err(()),
        }
    }
}
