//! Sending one file as the small servers of network devices take it: by SFTP, else by SCP.
//!
//! Some take quotes for a part of the name and know no option of `scp` but `-t` (Cisco IOS), so the name is sent as it
//! is and must need none, and each step waits for the device's word.

use std::io::{ErrorKind, Read as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ssh2::{Channel, OpenFlags, OpenType};

use super::link::Link;
use super::{ConnectError, plain};

const DOING: &str = "sending a file";
/// The longest silence of the device.
const IDLE: Duration = Duration::from_secs(60);
/// The longest message of the device.
const MESSAGE: usize = 400;

/// Says why a file was not sent.
pub(crate) enum UploadError {
    /// The connection failed.
    Connect(ConnectError),
    /// The device has no server for it, or refused the file; its words, in one line without control characters.
    Refused(String),
}

impl From<ConnectError> for UploadError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Protocol { reason, .. } => Self::Refused(reason),
            error => Self::Connect(error),
        }
    }
}

/// Sends a file; what is there under its name is written over.
pub(crate) fn upload(link: &Link<'_>, path: &str, content: &[u8]) -> Result<(), UploadError> {
    // A device without SFTP says so at once; one without SCP may just stay silent.
    let by_sftp = match sftp(link, path, content) {
        Err(UploadError::Refused(reason)) => reason,
        result => return result,
    };
    match scp(link, path, content) {
        Err(UploadError::Refused(by_scp)) => match link.channel() {
            Ok(_) => Err(UploadError::Refused(format!("SFTP: {by_sftp}; SCP: {by_scp}"))),
            Err(gone) => Err(UploadError::Connect(gone)),
        },
        result => result,
    }
}

fn sftp(link: &Link<'_>, path: &str, content: &[u8]) -> Result<(), UploadError> {
    let sftp = link.call("opening SFTP", |session| session.sftp())?;
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let mut file = link.call("opening a file", |_| sftp.open_mode(Path::new(path), flags, 0o600, OpenType::File))?;
    write(link, &mut file, content)?;
    Ok(link.call("closing a file", |_| file.close())?)
}

fn scp(link: &Link<'_>, path: &str, content: &[u8]) -> Result<(), UploadError> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"/:._+@%=,-".contains(&b);
    let name = path.rsplit(['/', ':']).next().unwrap_or_default();
    if path.starts_with('-') || name.is_empty() || !path.bytes().all(safe) {
        return Err(UploadError::Refused("the name needs quotes".to_owned()));
    }
    let mut channel = link.channel()?;
    link.call("starting SCP", |_| channel.exec(&format!("scp -t {path}")))?;
    word(link, &mut channel)?;
    write(link, &mut channel, format!("C0600 {} {name}\n", content.len()).as_bytes())?;
    word(link, &mut channel)?;
    write(link, &mut channel, content)?;
    write(link, &mut channel, &[0])?;
    word(link, &mut channel)?;
    // The file was taken; how the channel ends changes nothing.
    let ended = link.call(DOING, |_| channel.send_eof()).and_then(|()| link.call(DOING, |_| channel.close()));
    drop(ended.and_then(|()| link.call(DOING, |_| channel.wait_close())));
    Ok(())
}

fn wait(link: &Link<'_>, last: Instant) -> Result<(), UploadError> {
    let slice = link.patience.slice(Instant::now(), DOING, &link.address)?;
    let left = IDLE.saturating_sub(last.elapsed());
    if left.is_zero() {
        let address = link.address.clone();
        return Err(ConnectError::TimedOut { doing: DOING, seconds: IDLE.as_secs(), address }.into());
    }
    link.wait(slice.min(left));
    Ok(())
}

fn broken(link: &Link<'_>, error: &std::io::Error) -> UploadError {
    match link.patience.slice(Instant::now(), DOING, &link.address) {
        Err(stop) => UploadError::Connect(stop),
        Ok(_) => UploadError::Refused(plain(&error.to_string())),
    }
}

fn write(link: &Link<'_>, to: &mut dyn Write, mut bytes: &[u8]) -> Result<(), UploadError> {
    let mut last = Instant::now();
    while !bytes.is_empty() {
        match to.write(bytes) {
            // libssh2 gives zero where the device's window is closed.
            Ok(0) => wait(link, last)?,
            Ok(count) => (bytes, last) = (&bytes[count..], Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(link, last)?,
            Err(error) => return Err(broken(link, &error)),
        }
    }
    Ok(())
}

/// Waits for the device's word on the step before: a zero, or what is wrong.
fn word(link: &Link<'_>, channel: &mut Channel) -> Result<(), UploadError> {
    let (mut message, mut byte, last) = (Vec::new(), [0], Instant::now());
    loop {
        match channel.read(&mut byte) {
            Ok(0) if channel.eof() => break,
            Ok(0) => wait(link, last)?,
            Ok(_) if message.is_empty() && byte[0] == 0 => return Ok(()),
            Ok(_) if byte[0] == b'\n' || message.len() == MESSAGE => break,
            Ok(_) => message.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(link, last)?,
            Err(error) => return Err(broken(link, &error)),
        }
    }
    // The first byte tells a warning from a failure; either way the file was not taken.
    let text = message.strip_prefix(&[1]).or(message.strip_prefix(&[2])).unwrap_or(&message);
    let text = plain(String::from_utf8_lossy(text).trim());
    Err(UploadError::Refused(if text.is_empty() { "ended without a word".to_owned() } else { text }))
}
