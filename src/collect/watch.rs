//! The watchdog: ends what has used up its time from outside.
//!
//! libssh2 looks at a time limit only while it waits for a socket. A device that never stops sending keeps
//! it from waiting, so one thread watches all connections and shuts down the socket of one that is
//! overdue; the blocked call then fails at once. It also looks at each of them a hundred times a second, if asked to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type End = Box<dyn FnOnce() + Send>;
type Look = Box<dyn FnMut() + Send>;

/// How often it looks at what is attended to.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Watched {
    ends: BTreeMap<(Instant, u64), End>,
    looks: BTreeMap<u64, Look>,
    next: u64,
    closing: bool,
}

#[derive(Default)]
struct State {
    watched: Mutex<Watched>,
    changed: Condvar,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watchdog; its thread ends with it.
pub(super) struct Watchdog(Arc<State>);

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watchdog")
    }
}

/// Something that is watched for as long as this lives.
pub(super) struct Guard {
    state: Arc<State>,
    key: (Instant, u64),
}

/// Something that is looked at for as long as this lives.
pub(super) struct Attended {
    state: Arc<State>,
    key: u64,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.state.lock().looks.remove(&self.key);
    }
}

impl Watchdog {
    /// Starts the thread.
    pub(super) fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let builder = thread::Builder::new().name("watchdog".into()).stack_size(128 << 10);
        // Without the thread the time limits of the single calls remain.
        drop(builder.spawn(move || watch(&shared)));
        Self(state)
    }

    /// Has `end` called once when `deadline` has passed, unless the guard is dropped before.
    pub(super) fn guard(&self, deadline: Instant, end: impl FnOnce() + Send + 'static) -> Guard {
        let mut watched = self.0.lock();
        watched.next += 1;
        let key = (deadline, watched.next);
        watched.ends.insert(key, Box::new(end));
        if watched.ends.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.0.changed.notify_one();
        }
        Guard { state: self.0.clone(), key }
    }

    /// Has `look` called a hundred times a second, until what is given back is dropped. It must not block.
    pub(super) fn attend(&self, look: impl FnMut() + Send + 'static) -> Attended {
        let mut watched = self.0.lock();
        watched.next += 1;
        let key = watched.next;
        watched.looks.insert(key, Box::new(look));
        if watched.looks.len() == 1 {
            self.0.changed.notify_one();
        }
        Attended { state: self.0.clone(), key }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.lock().ends.remove(&self.key);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.changed.notify_one();
    }
}

fn watch(state: &State) {
    let mut watched = state.lock();
    let mut looked = Instant::now();
    while !watched.closing {
        let now = Instant::now();
        if now.duration_since(looked) >= LOOK_EVERY {
            watched.looks.values_mut().for_each(|look| look());
            looked = now;
        }
        let longest = if watched.looks.is_empty() { Duration::from_secs(3600) } else { LOOK_EVERY };
        let wait = watched.ends.first_key_value().map_or(longest, |(key, _)| key.0.saturating_duration_since(now).min(longest));
        if wait.is_zero() {
            let end = watched.ends.pop_first();
            drop(watched);
            if let Some((_, end)) = end {
                end();
            }
            watched = state.lock();
        } else {
            watched = state.changed.wait_timeout(watched, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_is_overdue_is_ended_and_what_is_done_is_left() {
        let watchdog = Watchdog::start();
        let (sender, ended) = channel();
        let now = Instant::now();
        let watch = |ms, name: &'static str| {
            let sender = sender.clone();
            watchdog.guard(now + Duration::from_millis(ms), move || sender.send(name).unwrap_or(()))
        };
        let _long = watch(60_000, "long");
        let done = watch(50, "done");
        let _short = watch(100, "short");
        drop(done);
        let looks = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = looks.clone();
        let attended = watchdog.attend(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok("short"));
        assert!(ended.try_recv().is_err());
        while looks.load(std::sync::atomic::Ordering::SeqCst) < 3 {
            thread::sleep(Duration::from_millis(10));
        }
        drop(attended);
        let seen = looks.load(std::sync::atomic::Ordering::SeqCst);
        thread::sleep(LOOK_EVERY * 3);
        assert_eq!(looks.load(std::sync::atomic::Ordering::SeqCst), seen);
    }
}
