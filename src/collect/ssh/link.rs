//! One SSH connection: libssh2 without blocking, so that every wait ends with the device's time, with a
//! cancelled run, or with its own limit.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use ssh2::{BlockDirections, Channel, DisconnectCode, ErrorCode, Session};

use super::ConnectError;
use super::jump::Tunnel;
use super::received::bytes_received;
use super::socket::{Socket, wait_for};
use crate::collect::watch::{Attended, Guard, Watchdog};

/// libssh2's code for "call again".
const AGAIN: i32 = -37;
/// The longest that libssh2 may be busy without giving back control. It does so whenever there is nothing to read.
const LONGEST_CALL: Duration = Duration::from_secs(25);
/// What a device may send during one call, in bytes: a few times the window of a channel. What is sent in small packets
/// takes several times as much memory.
const MOST_OF_A_CALL: u64 = 6 << 20;
/// What it may send until the login is done, in all: a greeting and the exchange of keys.
const MOST_BEFORE_LOGIN: u64 = 512 << 10;
/// How many looks of the watchdog lie between two at that sum.
const LOOKS_BETWEEN: u32 = 5;
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

/// Watches over calls of libssh2: it keeps what a device sends unasked, in memory, and does not come back as long as
/// there is more. A device that does so is ended.
pub(super) struct Busy {
    state: Arc<BusyState>,
    _attended: Attended,
}

#[derive(Default)]
struct BusyState {
    /// Counts beginnings and ends of calls: odd while one goes on.
    call: AtomicU64,
    endless: AtomicBool,
    logged_in: AtomicBool,
}

impl Busy {
    pub(super) fn watch(watchdog: &Watchdog, socket: Socket) -> Self {
        let state = Arc::new(BusyState::default());
        let seen = state.clone();
        // The call that was going on at the last look, since when, and what had come when it was first seen to last.
        let mut last = (0, Instant::now(), None);
        let mut looks = 0_u32;
        let attended = watchdog.attend(move || {
            // Banners that come with pauses keep no call long, and libssh2 keeps them all.
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN)
                && !seen.logged_in.load(Ordering::Relaxed)
                && bytes_received(&socket).is_some_and(|received| received > MOST_BEFORE_LOGIN)
            {
                seen.endless.store(true, Ordering::Relaxed);
                socket.shut();
                return;
            }
            let call = seen.call.load(Ordering::Relaxed);
            if call % 2 == 0 {
                return;
            }
            if call != last.0 {
                // Most calls are over by the next look; the kernel is asked only of those that are not.
                last = (call, Instant::now(), None);
                return;
            }
            let received = bytes_received(&socket).unwrap_or(0);
            let before = *last.2.get_or_insert(received);
            let most = if seen.logged_in.load(Ordering::Relaxed) { MOST_OF_A_CALL } else { MOST_BEFORE_LOGIN };
            if last.1.elapsed() > LONGEST_CALL || received.saturating_sub(before) > most {
                seen.endless.store(true, Ordering::Relaxed);
                socket.shut();
            }
        });
        Self { state, _attended: attended }
    }

    /// Calls something that is to come back.
    pub(super) fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        self.state.call.fetch_add(1, Ordering::Relaxed);
        let result = call();
        self.state.call.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// From now on the device may send answers.
    pub(super) fn logged_in(&self) {
        self.state.logged_in.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_endless(&self) -> bool {
        self.state.endless.load(Ordering::Relaxed)
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
    pub(super) busy: Busy,
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
            match self.watched(&mut call) {
                Err(error) if error.code() == ErrorCode::Session(AGAIN) => {
                    self.wait(self.patience.slice(begun, doing, &self.address)?);
                }
                Err(error) => return Err(self.failed(doing, &error)),
                Ok(value) => return Ok(value),
            }
        }
    }

    /// Calls libssh2 once; a device that keeps it busy without end is ended.
    pub(crate) fn watched<T>(&self, call: impl FnOnce(&Session) -> T) -> T {
        self.busy.during(|| call(&self.core.session))
    }

    /// An error of libssh2 in our words: a socket that the watchdog shut is an overdue device.
    pub(crate) fn failed(&self, doing: &'static str, error: &ssh2::Error) -> ConnectError {
        if self.patience.cancel.load(Ordering::Relaxed) {
            return ConnectError::Cancelled;
        }
        if Instant::now() >= self.patience.deadline {
            return ConnectError::Overdue { doing };
        }
        if self.busy.is_endless() {
            return ConnectError::Endless { doing };
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
