//! How many bytes a TCP connection has received, as the kernel counts them (`sock_diag(7)`).
//!
//! libssh2 keeps what a device sends unasked and says nothing of it, and it does not come back as long as more is there. The
//! count is what tells a flood from a device that is slow.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, getpeername, getsockname, netlink};

use super::socket::wait_for;

/// Type of the request, `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
const IS_REQUEST: u16 = 1;
const TCP: u8 = 6;
/// The attribute with a `tcp_info`, and where `tcpi_bytes_received` stands in it.
const INFO: u16 = 2;
const BYTES_RECEIVED: usize = 128;
/// Lengths of `nlmsghdr` and `inet_diag_msg`.
const HEADER: usize = 16;
const MESSAGE: usize = 72;

/// Gives the count; nothing where the connection is no TCP connection, or the kernel does not tell.
pub(super) fn bytes_received(socket: impl AsFd) -> Option<u64> {
    let address = |any: rustix::net::SocketAddrAny| SocketAddr::try_from(any).ok();
    let (here, there) = (address(getsockname(&socket).ok()?)?, address(getpeername(&socket).ok()??)?);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kernel = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG)).ok()?;
    let request = request(here, there);
    rustix::net::send(&kernel, &request, SendFlags::empty()).ok()?;
    let mut answer = [0; 4096];
    if !wait_for(kernel.as_fd(), PollFlags::IN, std::time::Duration::from_millis(50)) {
        return None;
    }
    let (count, _) = rustix::net::recv(&kernel, &mut answer[..], RecvFlags::empty()).ok()?;
    read(&answer[..count])
}

fn request(here: SocketAddr, there: SocketAddr) -> Vec<u8> {
    let family = match here {
        SocketAddr::V4(_) => 2,
        SocketAddr::V6(_) => 10,
    };
    let mut body = vec![family, TCP, 1 << (INFO - 1), 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(here.port().to_be_bytes());
    body.extend(there.port().to_be_bytes());
    for ip in [here.ip(), there.ip()] {
        let mut bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        bytes.resize(16, 0);
        body.extend(bytes);
    }
    // Any interface, any cookie.
    body.extend(0_u32.to_ne_bytes());
    body.extend([0xff; 8]);
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    [&length.to_ne_bytes()[..], &BY_FAMILY.to_ne_bytes(), &IS_REQUEST.to_ne_bytes(), &[0; 8], &body].concat()
}

fn read(answer: &[u8]) -> Option<u64> {
    let half = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    if half(4)? != BY_FAMILY {
        return None;
    }
    let mut at = HEADER + MESSAGE;
    loop {
        let (length, kind) = (usize::from(half(at)?), half(at + 2)?);
        if kind == INFO {
            let info = answer.get(at + 4..at + length)?;
            return Some(u64::from_ne_bytes(info.get(BYTES_RECEIVED..BYTES_RECEIVED + 8)?.try_into().ok()?));
        }
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_counts_what_came() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place) else { continue };
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            assert_eq!(bytes_received(&near), Some(0));
            far.write_all(&[7; 100_000]).unwrap();
            near.read_exact(&mut [0; 100_000]).unwrap();
            assert_eq!(bytes_received(&near), Some(100_000));
            assert_eq!(bytes_received(&far), Some(0));
        }
        let (pipe, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(bytes_received(&pipe), None);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0; 4096]), None);
        let mut answer = vec![0; 200];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        assert_eq!(read(&answer), None);
    }
}
