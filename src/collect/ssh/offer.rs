//! What a device offers in a key exchange: asked when there was none in common, so that the message can name
//! what the device's entry would have to allow. Nothing but the first message of the exchange is read.

use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::event::PollFlags;

use super::ConnectError;
use super::link::Patience;
use super::socket::{Socket, wait_for};

const DOING: &str = "asking for its algorithms";
/// The most bytes that are read: lines before the banner, the banner, and one message.
const MOST: usize = 64 << 10;
/// The number of the message, RFC 4253 section 12.
const KEXINIT: u8 = 20;
/// Lists of names that count, RFC 4253 section 7.1: key exchange, host key, ciphers and MACs each way.
const LISTS: usize = 6;

/// Gives the lists of names; nothing where what comes is no such message.
pub(super) fn ask(socket: &Socket, patience: &Patience<'_>) -> Result<Option<Vec<Vec<String>>>, ConnectError> {
    let begun = Instant::now();
    let mut unsent: &[u8] = b"SSH-2.0-confvault\r\n";
    let mut got = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if !unsent.is_empty() {
            match rustix::io::write(socket, unsent) {
                Ok(count) => unsent = &unsent[count..],
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => return Ok(None),
            }
        }
        match rustix::io::read(socket, &mut chunk) {
            Ok(0) => return Ok(lists(&got)),
            Ok(count) => got.extend_from_slice(&chunk[..count]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                wait_for(socket.as_fd(), PollFlags::IN, patience.slice(begun, DOING, "")?);
            }
            Err(_) => return Ok(None),
        }
        match lists(&got) {
            None if got.len() < MOST => {}
            found => return Ok(found),
        }
    }
}

/// Reads the lists from the beginning of a connection; nothing where they are not whole.
fn lists(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let mut rest = bytes;
    loop {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.starts_with(b"SSH-") {
            break;
        }
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let packet = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (_padding, payload) = packet.split_first()?;
    let (kind, body) = payload.split_first()?;
    let mut rest = body.get(16..).filter(|_| *kind == KEXINIT)?;
    let mut lists = Vec::with_capacity(LISTS);
    for _ in 0..LISTS {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (names, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = tail;
        let text = String::from_utf8_lossy(names);
        lists.push(text.split(',').filter(|name| !name.is_empty()).take(30).map(super::plain).collect());
    }
    Some(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_is_read_and_nothing_else_is() {
        let mut body = vec![KEXINIT];
        body.extend([7; 16]);
        for names in ["a,b", "ssh-rsa", "c", "d", "", "e\u{1b}x"] {
            body.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
            body.extend(names.as_bytes());
        }
        let mut bytes = b"one line before\r\nSSH-2.0-Cisco-1.25\n".to_vec();
        bytes.extend(u32::try_from(body.len() + 1).unwrap().to_be_bytes());
        bytes.push(0);
        bytes.extend(&body);
        let found = lists(&bytes).unwrap();
        assert_eq!(found[0], ["a", "b"]);
        assert_eq!(found[1], ["ssh-rsa"]);
        assert!(found[4].is_empty());
        assert_eq!(found[5], ["e\\u{1b}x"]);
        for cut in 0..bytes.len() {
            assert!(lists(&bytes[..cut]).is_none());
        }
        let other = bytes.iter().map(|b| if *b == KEXINIT { 21 } else { *b }).collect::<Vec<u8>>();
        assert!(lists(&other).is_none());
        assert!(lists(b"SSH-2.0-x\n\xff\xff\xff\xff").is_none());
    }
}
