//! The bytes below SSH: a TCP connection, or the standard streams of a proxy command.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

use super::ConnectError;
use super::link::Patience;
use crate::collect::Context;
use crate::collect::credentials::shell;

/// A socket that the watchdog can shut down while libssh2 uses it.
#[derive(Debug, Clone)]
pub(crate) struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    child: Option<std::sync::Mutex<Child>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let child = child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self(Arc::new(Inner { fd, child: None }))
    }
}

impl Socket {
    /// Ends the connection in both directions; whoever is blocked on it returns.
    pub(crate) fn shut(&self) {
        rustix::net::shutdown(&self.0.fd, Shutdown::Both).ok();
    }
}

/// Waits until the socket is ready, at most so long; false if it is not.
pub(super) fn wait_for(fd: BorrowedFd<'_>, flags: PollFlags, wait: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    let limit = Timespec::try_from(wait).ok();
    matches!(poll(&mut fds, limit.as_ref()), Ok(1..))
}

/// Connects to the first address of a host that answers.
pub(super) fn connect(host: &str, port: u16, bind: Option<IpAddr>, patience: &Patience<'_>) -> Result<Socket, ConnectError> {
    let unresolved = |source| ConnectError::Unresolved { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => (host, port).to_socket_addrs().map_err(unresolved)?.collect(),
    };
    let mut error = unresolved(io::ErrorKind::NotFound.into());
    for address in addresses.into_iter().filter(|a| bind.is_none_or(|b| b.is_ipv4() == a.is_ipv4())) {
        match connect_to(address, bind, patience) {
            Ok(socket) => return Ok(socket),
            Err(stop @ (ConnectError::Cancelled | ConnectError::Overdue { .. })) => return Err(stop),
            Err(other) => error = other,
        }
    }
    Err(error)
}

fn connect_to(address: SocketAddr, bind: Option<IpAddr>, patience: &Patience<'_>) -> Result<Socket, ConnectError> {
    const DOING: &str = "connecting";
    let refused = |source: io::Error| ConnectError::Refused { address: address.to_string(), source };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(|e| refused(e.into()))?;
    if let Some(bind) = bind {
        rustix::net::bind(&fd, &SocketAddr::new(bind, 0)).map_err(|e| refused(e.into()))?;
    }
    let no_delay = sockopt::set_tcp_nodelay(&fd, true);
    no_delay.map_err(|e| refused(e.into()))?;
    match rustix::net::connect(&fd, &address) {
        Ok(()) => {}
        Err(rustix::io::Errno::INPROGRESS) => {
            let begun = Instant::now();
            while !wait_for(fd.as_fd(), PollFlags::OUT, patience.slice(begun, DOING, &address.to_string())?) {}
            sockopt::socket_error(&fd).map_err(|e| refused(e.into()))?.map_err(|e| refused(e.into()))?;
        }
        Err(error) => return Err(refused(error.into())),
    }
    Ok(fd.into())
}

/// Starts a proxy command; its standard streams are the connection.
pub(super) fn through_command(line: &str, context: &Context<'_>) -> Result<Socket, ConnectError> {
    use std::os::unix::process::CommandExt as _;
    let failed = |source| ConnectError::Refused { address: "the proxy command".into(), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let output = theirs.try_clone().map_err(failed)?;
    let child = shell(&format!("exec {line}"), context)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Ok(Socket(Arc::new(Inner { fd: ours.into(), child: Some(std::sync::Mutex::new(child)) })))
}
