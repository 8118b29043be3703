//! One SSH connection: libssh2 without blocking, so that every wait ends with the device's time, with a
//! cancelled run, or with its own limit.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use ssh2::{BlockDirections, Channel, DisconnectCode, ErrorCode, Session};

use super::ConnectError;
use super::jump::Tunnel;
use super::socket::{Socket, wait_for};
use crate::collect::watch::Guard;

/// libssh2's code for "call again".
const AGAIN: i32 = -37;
/// How often a waiting connection looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(250);

/// How long things may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// When the time of the device is over.
    pub(crate) deadline: Instant,
    /// The longest wait for one step.
    pub(crate) step: Duration,
    /// Becomes true when the run is to end.
    pub(crate) cancel: &'a AtomicBool,
}

impl Patience<'_> {
    /// How long to wait now, for something that began at `begun`.
    pub(crate) fn slice(&self, begun: Instant, doing: &'static str, address: &str) -> Result<Duration, ConnectError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ConnectError::Cancelled);
        }
        let now = Instant::now();
        if now >= self.deadline {
            return Err(ConnectError::Overdue { doing });
        }
        let left = self.step.saturating_sub(now.duration_since(begun));
        if left.is_zero() {
            return Err(ConnectError::TimedOut { doing, seconds: self.step.as_secs(), address: address.to_owned() });
        }
        Ok(left.min(self.deadline - now).min(LOOK))
    }
}

/// A session with the socket below it.
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) socket: Socket,
    /// Keeps the watchdog at it.
    pub(super) _guard: Guard,
    /// The connections that this one goes through.
    pub(super) _below: Vec<Tunnel>,
}

/// A connection.
pub(crate) struct Link<'a> {
    pub(super) core: Core,
    pub(crate) patience: Patience<'a>,
    /// Host and port, for messages.
    pub(crate) address: String,
}

impl Link<'_> {
    /// Calls libssh2 until it has done what it was asked for.
    pub(crate) fn call<T>(
        &self,
        doing: &'static str,
        mut call: impl FnMut(&Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, ConnectError> {
        let begun = Instant::now();
        loop {
            match call(&self.core.session) {
                Err(error) if error.code() == ErrorCode::Session(AGAIN) => {
                    self.wait(self.patience.slice(begun, doing, &self.address)?);
                }
                Err(error) => return Err(self.failed(doing, &error)),
                Ok(value) => return Ok(value),
            }
        }
    }

    /// An error of libssh2 in our words: a socket that the watchdog shut is an overdue device.
    pub(crate) fn failed(&self, doing: &'static str, error: &ssh2::Error) -> ConnectError {
        if self.patience.cancel.load(Ordering::Relaxed) {
            return ConnectError::Cancelled;
        }
        if Instant::now() >= self.patience.deadline {
            return ConnectError::Overdue { doing };
        }
        ConnectError::Protocol { doing, reason: super::plain(error.message()) }
    }

    /// Waits until the socket is ready for what libssh2 wants of it; false after the time given.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        wait_for(self.core.socket.as_fd(), wanted(&self.core.session), time)
    }

    /// What the administrator should know of the connection.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let old = super::algorithms::old_ones(&self.core.session);
        old.into_iter().map(|name| format!("Old SSH algorithm in use: {name}")).collect()
    }

    /// Opens a channel for a command or a terminal.
    pub(crate) fn channel(&self) -> Result<Channel, ConnectError> {
        self.call("opening a channel", |session| session.channel_session())
    }
}

/// What libssh2 wants of the socket.
pub(super) fn wanted(session: &Session) -> PollFlags {
    match session.block_directions() {
        BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
        BlockDirections::Outbound => PollFlags::OUT,
        BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // One polite word, not waited for. Behind it the socket is shut, so that libssh2 frees everything
        // at once in place of leaking what it could not send.
        drop(self.session.disconnect(Some(DisconnectCode::ByApplication), "done", None));
        self.socket.shut();
        self.session.set_blocking(true);
        self.session.set_timeout(1);
    }
}
