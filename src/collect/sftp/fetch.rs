//! Fetching over SFTP, several files at once.
//!
//! Each lane is an SFTP channel of its own in the one connection, as a channel can open one file at a
//! time; within a file libssh2 asks ahead. All lanes are driven by one thread.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use ssh2::{File, FileStat, OpenFlags, OpenType, Sftp};

use super::walk::{SftpError, call, node, os, sftp_error};
use super::{IDLE, Roots, known};
use crate::collect::spool::{MEMORY, Sink};
use crate::collect::ssh::{ConnectError, Link};
use crate::collect::tree::{Node, Plan};
use crate::collect::{CollectError, Context};
use crate::inventory::Device;
use crate::model::{Content, Kind};

/// Files in flight at once.
const LANES: usize = 6;
/// Bytes that are read at a time.
const CHUNK: usize = 128 << 10;
/// How often a file that changes while it is read is begun anew.
const ROUNDS: u32 = 3;

/// A file on its way.
struct Flight {
    /// Its place in the plan.
    index: usize,
    path: Vec<u8>,
    round: u32,
    state: State,
}

enum State {
    Opening,
    Reading {
        file: File,
        sink: Option<Sink>,
    },
    /// Read whole; is it still what was listed?
    Checking {
        file: File,
        sink: Option<Sink>,
    },
}

struct Lane {
    sftp: Sftp,
    flight: Option<Flight>,
}

/// What a step of a lane led to.
enum Stepped {
    Moved,
    Waits,
    Done(Option<Content>, Option<FileStat>),
}

/// Fetches what the plan asks for, in its order; nothing for files that are gone.
pub(in crate::collect) fn fetch(
    link: &Link<'_>,
    sftp: Sftp,
    roots: &Roots,
    plan: &mut Plan<'_>,
    device: &Device,
    context: &Context<'_>,
    read_bytes: &mut u64,
) -> Result<Vec<Option<Content>>, CollectError> {
    let mut contents: Vec<Option<Content>> = plan.planned.iter().map(|planned| known(planned.same)).collect();
    let mut waiting = VecDeque::new();
    for (index, planned) in plan.planned.iter().enumerate().filter(|(_, planned)| planned.same.is_none()) {
        let path = roots.absolute(Some(&planned.node.path));
        match planned.node.kind {
            Kind::Link => match call(link, || sftp.readlink(os(&path))) {
                Ok(target) => {
                    use std::os::unix::ffi::OsStrExt as _;
                    contents[index] = Some(Content::Bytes(target.as_os_str().as_bytes().to_vec()));
                }
                Err(SftpError::Missing) => {}
                Err(error) => return Err(error.at(&path)),
            },
            _ => waiting.push_back(Flight { index, path, round: 1, state: State::Opening }),
        }
    }
    let mut lanes = vec![Lane { sftp, flight: None }];
    while lanes.len() < LANES.min(waiting.len()) {
        // A server may allow fewer channels; what there is does.
        match link.call("opening SFTP", |session| session.sftp()) {
            Ok(sftp) => lanes.push(Lane { sftp, flight: None }),
            Err(stop @ (ConnectError::Cancelled | ConnectError::Overdue { .. })) => return Err(stop.into()),
            Err(_) => break,
        }
    }
    let mut ride = Ride { link, device, context, buffer: vec![0; CHUNK], in_memory: 0, read_bytes };
    let mut last = Instant::now();
    loop {
        let (mut moved, mut busy) = (false, false);
        for lane in &mut lanes {
            if lane.flight.is_none() {
                lane.flight = waiting.pop_front();
            }
            let Some(flight) = &mut lane.flight else { continue };
            busy = true;
            let index = flight.index;
            match ride.step(&lane.sftp, flight, &plan.planned[index].node)? {
                Stepped::Waits => {}
                Stepped::Moved => moved = true,
                Stepped::Done(content, stat) => {
                    moved = true;
                    contents[index] = content;
                    if let Some(stat) = stat {
                        let path = plan.planned[index].node.path.clone();
                        if let Ok(now) = node(path, &stat) {
                            plan.restamp(index, now);
                        }
                    }
                    lane.flight = None;
                }
            }
        }
        if !busy {
            return Ok(contents);
        }
        if moved {
            last = Instant::now();
            continue;
        }
        let slice = link.patience.slice(Instant::now(), "reading files", &link.address)?;
        let left = IDLE.saturating_sub(last.elapsed());
        if left.is_zero() {
            let seconds = IDLE.as_secs();
            return Err(ConnectError::TimedOut { doing: "reading files", seconds, address: link.address.clone() }.into());
        }
        link.wait(slice.min(left));
    }
}

/// Reads a small file at once.
pub(in crate::collect) fn read_small(link: &Link<'_>, sftp: &Sftp, path: &[u8], limit: u64) -> Result<Vec<u8>, CollectError> {
    let mut file = call(link, || sftp.open_mode(os(path), OpenFlags::READ, 0, OpenType::File)).map_err(|e| e.at(path))?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = link.call("reading files", |_| match file.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ssh2::Error::from_errno(AGAIN)),
            Err(_) => Err(ssh2::Error::from_errno(ssh2::ErrorCode::Session(-43))),
            Ok(count) => Ok(count),
        })?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&buffer[..count]);
        if bytes.len() as u64 > limit {
            return Err(CollectError::TooLarge { limit });
        }
    }
}

struct Ride<'r, 'a> {
    link: &'r Link<'a>,
    device: &'r Device,
    context: &'r Context<'a>,
    buffer: Vec<u8>,
    in_memory: u64,
    read_bytes: &'r mut u64,
}

const AGAIN: ssh2::ErrorCode = ssh2::ErrorCode::Session(-37);

impl Ride<'_, '_> {
    fn step(&mut self, sftp: &Sftp, flight: &mut Flight, listed: &Node) -> Result<Stepped, CollectError> {
        let state = std::mem::replace(&mut flight.state, State::Opening);
        match state {
            State::Opening => match sftp.open_mode(os(&flight.path), OpenFlags::READ, 0, OpenType::File) {
                Ok(file) => {
                    let large_over = self.context.policy.large_over.0.min(MEMORY.saturating_sub(self.in_memory));
                    let sink = Sink::new(self.context.spool, &self.device.name, listed.stamp.size, large_over)?;
                    flight.state = State::Reading { file, sink: Some(sink) };
                    Ok(Stepped::Moved)
                }
                Err(error) if error.code() == AGAIN => Ok(Stepped::Waits),
                Err(error) => match sftp_error(self.link, &error) {
                    SftpError::Missing => Ok(Stepped::Done(None, None)),
                    error => Err(error.at(&flight.path)),
                },
            },
            State::Reading { mut file, mut sink } => match self.link.watched(|_| file.read(&mut self.buffer)) {
                Ok(0) => {
                    flight.state = State::Checking { file, sink };
                    Ok(Stepped::Moved)
                }
                Ok(count) => {
                    *self.read_bytes += count as u64;
                    if let Some(sink) = &mut sink {
                        sink.put(&self.buffer[..count])?;
                        // A file that grows while it is read would be read for ever.
                        if sink.len() > listed.stamp.size.saturating_mul(2).saturating_add(1 << 20) {
                            let sink = std::mem::replace(sink, Sink::Memory(Vec::new()));
                            return self.again(flight, Some(sink), listed);
                        }
                    }
                    flight.state = State::Reading { file, sink };
                    Ok(Stepped::Moved)
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    flight.state = State::Reading { file, sink };
                    Ok(Stepped::Waits)
                }
                Err(error) => {
                    self.link.patience.slice(Instant::now(), "reading files", &self.link.address)?;
                    Err(SftpError::Failed(crate::collect::ssh::plain(&error.to_string())).at(&flight.path))
                }
            },
            State::Checking { mut file, sink } => match file.stat() {
                Ok(stat) => self.checked(flight, sink, listed, stat),
                Err(error) if error.code() == AGAIN => {
                    flight.state = State::Checking { file, sink };
                    Ok(Stepped::Waits)
                }
                Err(error) => Err(sftp_error(self.link, &error).at(&flight.path)),
            },
        }
    }

    /// Takes what was read if the file is, behind its last byte, what its bytes are.
    fn checked(
        &mut self,
        flight: &mut Flight,
        sink: Option<Sink>,
        listed: &Node,
        stat: FileStat,
    ) -> Result<Stepped, CollectError> {
        let Some(sink) = sink else { return Ok(Stepped::Done(None, None)) };
        let now = node(listed.path.clone(), &stat).ok();
        let same = now.as_ref().is_some_and(|now| now.stamp == listed.stamp);
        // In a later round the listing is old, but size and bytes must agree.
        let whole = stat.size.is_none_or(|size| size == sink.len()) && (same || flight.round > 1 || stat.size.is_none());
        if !whole {
            return self.again(flight, Some(sink), listed);
        }
        if let Sink::Memory(bytes) = &sink {
            self.in_memory += bytes.len() as u64;
        }
        Ok(Stepped::Done(Some(sink.finish()?), (!same).then_some(stat)))
    }

    fn again(&mut self, flight: &mut Flight, sink: Option<Sink>, listed: &Node) -> Result<Stepped, CollectError> {
        if let Some(sink) = sink {
            sink.discard();
        }
        flight.round += 1;
        if flight.round > ROUNDS {
            return Err(CollectError::Changing(listed.path.clone()));
        }
        flight.state = State::Opening;
        Ok(Stepped::Moved)
    }
}
