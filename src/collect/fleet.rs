//! The fleet runner: many devices at once, none of which can stop the others.
//!
//! Workers take devices one by one and hand the results to the caller, a few at a time, so memory is
//! bounded by the number of jobs and not by the fleet. A device that panics, hangs or floods costs
//! its own result. What can pass is tried again after a pause, in which its worker does something
//! else; a refused password never is, because accounts get locked.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How many results may wait for the caller.
const WAITING_RESULTS: usize = 64;
/// How long a result waits at most while there are few: to wake the caller for each one costs more than to look
/// at a local device that did not change.
const GATHER: Duration = Duration::from_millis(20);
/// Stack of a worker, in bytes: nothing here recurses by what a device sends.
const STACK: usize = 1 << 20;
/// How often a waiting worker looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// How long the caller hears nothing at most.
const BEAT: Duration = Duration::from_millis(500);

/// How a fleet is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Devices at the same time; at least 1.
    pub jobs: usize,
    /// Devices of one site at the same time; nothing for no limit.
    pub jobs_per_site: Option<usize>,
    /// How often a device is tried in all; at least 1.
    pub tries: u32,
    /// The pause before the second try; each further one is twice as long. Up to a half of it is
    /// added by chance of the device's place, so that a site does not come back all at once.
    pub back_off: Duration,
    /// Time for one device, all its tries together.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            jobs_per_site: None,
            tries: 3,
            back_off: Duration::from_secs(2),
            timeout: Duration::from_secs(600),
        }
    }
}

/// The number of jobs that fits this machine: devices answer slowly and cost little, so many wait at once.
#[must_use]
pub fn default_jobs() -> usize {
    (cores() * 16).clamp(16, 128)
}

/// The same for sources on this machine, which only its disk keeps waiting.
#[must_use]
pub fn default_local_jobs() -> usize {
    cores() * 2
}

fn cores() -> usize {
    thread::available_parallelism().map_or(2, usize::from)
}

/// Open files that one device needs at most, in the middle: a socket, a way through another host, files in flight.
const FILES_OF_A_JOB: u64 = 4;
/// Open files that are not those of a device: the store, its packs, the terminal.
const FILES_OF_OURS: u64 = 28;

/// The number of jobs that the limit of open files allows, at most `jobs`; the limit is raised as far as it may be.
#[must_use]
pub fn jobs_within_limits(jobs: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = FILES_OF_OURS + FILES_OF_A_JOB * jobs as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut limit = current.unwrap_or(u64::MAX);
    if limit < wanted {
        let raised = wanted.min(maximum.unwrap_or(u64::MAX));
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
            limit = raised;
        }
    }
    let possible = usize::try_from(limit.saturating_sub(FILES_OF_OURS) / FILES_OF_A_JOB).unwrap_or(usize::MAX);
    jobs.min(possible).max(1)
}

/// One try of one device.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The number of the try, from 1.
    pub number: u32,
    /// When the device's time is over.
    pub deadline: Instant,
}

/// Something that is collected.
pub trait Item: Sync {
    /// The site, for the limit per site.
    fn site(&self) -> Option<&str> {
        None
    }
    /// The time of this device, where it has one of its own.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}

impl Item for crate::inventory::Device {
    fn site(&self) -> Option<&str> {
        self.keys.site.as_ref().map(crate::inventory::LabelKey::as_str)
    }
    fn timeout(&self) -> Option<Duration> {
        self.keys.timeout.map(|seconds| Duration::from_secs(seconds.0))
    }
}

/// Says of a failure whether another try may succeed.
pub trait MayPass {
    /// True for what can pass: a connection refused, a silent device. False for what another try
    /// cannot change or would make worse: a refused password, a changed host key, a rule broken.
    fn may_pass(&self) -> bool;
}

/// In place of a message that was made when it happened: it can hold the text that was worked on.
pub const WITHHELD: &str = "its message may hold configuration and is withheld";

/// How a device ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<R, E> {
    /// It gave its result.
    Done(R),
    /// It failed for good.
    Failed(E),
    /// The code that collects it panicked; the message, if it stands in the program, else [`WITHHELD`].
    Panicked(String),
    /// The run was cancelled before it was begun.
    NotBegun,
}

/// A device that is done with.
#[derive(Debug)]
pub struct Finished<R, E> {
    /// Its place among the items.
    pub index: usize,
    /// How it ended.
    pub outcome: Outcome<R, E>,
    /// How often it was tried.
    pub tries: u32,
    /// Time from the start of its first try to the end of its last.
    pub took: Duration,
}

/// What the caller of [`run_telling`] is told.
#[derive(Debug)]
pub enum Event<R, E> {
    /// A device is done with.
    Finished(Finished<R, E>),
    /// Nothing ended for half a second: devices that hang must not keep what is due from being done.
    Waiting,
}

/// A device in the queue.
struct Task<E> {
    index: usize,
    tries: u32,
    begun: Option<Instant>,
    /// Why the last try failed.
    error: Option<E>,
}

/// A task that waits for its next try; the heap gives the earliest first.
struct Later<E>(Instant, Task<E>);

impl<E> PartialEq for Later<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<E> Eq for Later<E> {}
impl<E> PartialOrd for Later<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Later<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.cmp(&self.0)
    }
}

/// What the workers share.
struct Queue<'s, E> {
    ready: VecDeque<Task<E>>,
    /// Tasks whose site is full, by site.
    held: HashMap<&'s str, VecDeque<Task<E>>>,
    later: BinaryHeap<Later<E>>,
    at_site: HashMap<&'s str, usize>,
    /// Devices that are not done with.
    open: usize,
    /// Workers that wait for something to begin.
    idle: usize,
    /// Results that the caller has not been woken for.
    unseen: usize,
}

/// A run: its items, what the workers share, and how they wait.
struct Run<'s, T, E> {
    items: &'s [T],
    options: &'s Options,
    cancel: &'s AtomicBool,
    queue: Mutex<Queue<'s, E>>,
    changed: Condvar,
    /// The thread of the caller.
    caller: Thread,
}

/// Collects all items, `jobs` at a time, and gives each result to `on_result` on the calling thread as
/// soon as it is there. `work` runs on the workers. After `cancel` became true no device is begun;
/// those at work are left to see it themselves, and the others are given as [`Outcome::NotBegun`].
///
/// Every item is given to `on_result` exactly once.
pub fn run<T: Item, R: Send, E: Send + MayPass>(
    items: &[T],
    options: &Options,
    cancel: &AtomicBool,
    work: impl Fn(&T, Attempt) -> Result<R, E> + Sync,
    mut on_result: impl FnMut(Finished<R, E>),
) {
    run_telling(items, options, cancel, work, |event| match event {
        Event::Finished(finished) => on_result(finished),
        Event::Waiting => {}
    });
}

/// As [`run`], and tells its caller also that it waits.
pub fn run_telling<T: Item, R: Send, E: Send + MayPass>(
    items: &[T],
    options: &Options,
    cancel: &AtomicBool,
    work: impl Fn(&T, Attempt) -> Result<R, E> + Sync,
    mut on_event: impl FnMut(Event<R, E>),
) {
    let ready = (0..items.len()).map(|index| Task { index, tries: 0, begun: None, error: None }).collect();
    let queue = Queue {
        ready,
        held: HashMap::new(),
        later: BinaryHeap::new(),
        at_site: HashMap::new(),
        open: items.len(),
        idle: 0,
        unseen: 0,
    };
    let run = Run { items, options, cancel, queue: Mutex::new(queue), changed: Condvar::new(), caller: thread::current() };
    let (sender, results) = sync_channel(WAITING_RESULTS);
    thread::scope(|scope| {
        for job in 0..options.jobs.clamp(1, items.len().max(1)) {
            let (run, work, sender) = (&run, &work, sender.clone());
            let builder = thread::Builder::new().stack_size(STACK).name(format!("collect-{job}"));
            // Where the system gives no thread more, the others do the work.
            if builder.spawn_scoped(scope, move || run.work(work, &sender)).is_err() {
                break;
            }
        }
        drop(sender);
        let (mut heard, mut left) = (Instant::now(), items.len());
        while left > 0 {
            match results.try_recv() {
                Ok(finished) => {
                    on_event(Event::Finished(finished));
                    (heard, left) = (Instant::now(), left - 1);
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if heard.elapsed() >= BEAT => {
                    on_event(Event::Waiting);
                    heard = Instant::now();
                }
                Err(TryRecvError::Empty) => thread::park_timeout(GATHER),
            }
        }
    });
    // Nothing is left here unless the system gave no thread at all.
    for task in run.lock().ready.drain(..) {
        let outcome = Outcome::NotBegun;
        on_event(Event::Finished(Finished { index: task.index, outcome, tries: 0, took: Duration::ZERO }));
    }
}

impl<'s, T: Item, E: Send + MayPass> Run<'s, T, E> {
    fn lock(&self) -> MutexGuard<'_, Queue<'s, E>> {
        // No code of a device runs under the lock, so the queue is whole even if it is poisoned.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// What one worker does until nothing is left.
    fn work<R: Send>(&self, work: &(impl Fn(&T, Attempt) -> Result<R, E> + Sync), sender: &SyncSender<Finished<R, E>>) {
        while let Some(mut task) = self.next() {
            let outcome = if self.cancelled() {
                task.error.take().map_or(Outcome::NotBegun, Outcome::Failed)
            } else {
                match self.attempt(&mut task, work) {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        let at = Instant::now() + self.pause(&task);
                        let in_time = task.begun.is_none_or(|begun| at < begun + self.time_of(task.index));
                        if task.tries < self.options.tries && error.may_pass() && in_time {
                            tracing::info!("try {} of item {} failed, another follows", task.tries, task.index);
                            task.error = Some(error);
                            self.leave(task.index, Some(Later(at, task)));
                            continue;
                        }
                        Outcome::Failed(error)
                    }
                }
            };
            let took = task.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            let finished = Finished { index: task.index, outcome, tries: task.tries, took };
            let gone = sender.send(finished).is_err();
            self.leave(task.index, None);
            if gone {
                return;
            }
        }
    }

    /// Gives the next task that may begin, waiting for one; nothing when all are done with.
    fn next(&self) -> Option<Task<E>> {
        let mut queue = self.lock();
        loop {
            if queue.open == 0 {
                return None;
            }
            let now = Instant::now();
            let cancelled = self.cancelled();
            while queue.later.peek().is_some_and(|later| later.0 <= now || cancelled) {
                let task = queue.later.pop().map(|later| later.1);
                queue.ready.extend(task);
            }
            while let Some(task) = queue.ready.pop_front() {
                let Some(site) = self.items[task.index].site() else { return Some(task) };
                let busy = queue.at_site.entry(site).or_default();
                if self.options.jobs_per_site.is_some_and(|limit| *busy >= limit.max(1)) && !cancelled {
                    queue.held.entry(site).or_default().push_back(task);
                } else {
                    *busy += 1;
                    return Some(task);
                }
            }
            queue.idle += 1;
            let until = queue.later.peek().map_or(LOOK, |later| later.0.saturating_duration_since(now).min(LOOK));
            let waited = self.changed.wait_timeout(queue, until.max(Duration::from_millis(1)));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.idle -= 1;
            if self.cancelled() {
                let held: Vec<_> = queue.held.drain().flat_map(|(_, tasks)| tasks).collect();
                queue.ready.extend(held);
            }
        }
    }

    /// Frees the place of a task at its site; without a next try it is done with.
    fn leave(&self, index: usize, again: Option<Later<E>>) {
        let mut queue = self.lock();
        if let Some(site) = self.items[index].site() {
            if let Some(busy) = queue.at_site.get_mut(site) {
                *busy = busy.saturating_sub(1);
            }
            let held = queue.held.get_mut(site).and_then(VecDeque::pop_front);
            queue.ready.extend(held);
        }
        let mut wake = false;
        match again {
            Some(later) => queue.later.push(later),
            None => {
                queue.open -= 1;
                queue.unseen += 1;
                wake = queue.open == 0 || queue.unseen >= WAITING_RESULTS / 2;
                if wake {
                    queue.unseen = 0;
                }
            }
        }
        let idle = queue.idle > 0;
        drop(queue);
        if idle {
            self.changed.notify_all();
        }
        if wake {
            self.caller.unpark();
        }
    }

    fn attempt<R>(&self, task: &mut Task<E>, work: &impl Fn(&T, Attempt) -> Result<R, E>) -> Result<Outcome<R, E>, E> {
        task.tries += 1;
        let begun = *task.begun.get_or_insert_with(Instant::now);
        let attempt = Attempt { number: task.tries, deadline: begun + self.time_of(task.index) };
        let item = &self.items[task.index];
        match catch_unwind(AssertUnwindSafe(|| work(item, attempt))) {
            Ok(result) => result.map(Outcome::Done),
            Err(panic) => {
                let text = panic.downcast_ref::<&'static str>().copied();
                Ok(Outcome::Panicked(text.unwrap_or(WITHHELD).to_owned()))
            }
        }
    }

    fn time_of(&self, index: usize) -> Duration {
        self.items[index].timeout().unwrap_or(self.options.timeout)
    }

    fn pause(&self, task: &Task<E>) -> Duration {
        let base = self.options.back_off * 2_u32.saturating_pow(task.tries.saturating_sub(1).min(10));
        // Spread by place, not by chance: equal runs take equal ways.
        let spread = u32::try_from(task.index * 7919 % 512).unwrap_or(0);
        base + base * spread / 1024
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Device(usize, Option<&'static str>);
    impl Item for Device {
        fn site(&self) -> Option<&str> {
            self.1
        }
    }
    #[derive(Debug)]
    struct Fault(bool);
    impl MayPass for Fault {
        fn may_pass(&self) -> bool {
            self.0
        }
    }

    fn fleet(count: usize) -> Vec<Device> {
        (0..count).map(|i| Device(i, None)).collect()
    }

    #[test]
    fn the_caller_is_told_that_nothing_ends() {
        let told = AtomicBool::new(false);
        let work = |_: &Device, _: Attempt| {
            let begun = Instant::now();
            while !told.load(Ordering::SeqCst) && begun.elapsed() < BEAT * 240 {
                thread::sleep(Duration::from_millis(10));
            }
            Ok::<_, Fault>(())
        };
        run_telling(&fleet(1), &options(1), &AtomicBool::new(false), work, |event| {
            told.fetch_or(matches!(event, Event::Waiting), Ordering::SeqCst);
        });
        assert!(told.into_inner());
    }

    fn options(jobs: usize) -> Options {
        Options { jobs, back_off: Duration::from_millis(1), ..Options::default() }
    }

    #[test]
    fn every_device_is_given_once_and_a_panic_stops_nobody() {
        let devices = fleet(300);
        let no = AtomicBool::new(false);
        let mut seen = vec![0; 300];
        let mut panicked = Vec::new();
        let work = |d: &Device, _: Attempt| {
            assert!(d.0 != 7, "device {} broke us", d.0);
            assert!(d.0 != 8, "device 8 broke us");
            if d.0 == 9 { Err(Fault(false)) } else { Ok(d.0) }
        };
        run(&devices, &options(8), &no, work, |f| {
            seen[f.index] += 1;
            match f.outcome {
                Outcome::Done(i) => assert_eq!(i, f.index),
                Outcome::Panicked(text) => panicked.push((f.index, text)),
                Outcome::Failed(_) => assert_eq!((f.index, f.tries), (9, 1)),
                Outcome::NotBegun => panic!("{}", f.index),
            }
        });
        assert!(seen.iter().all(|n| *n == 1));
        panicked.sort();
        // A text that was made on the spot can hold anything.
        assert_eq!(panicked, [(7, WITHHELD.to_owned()), (8, "device 8 broke us".to_owned())]);
    }

    #[test]
    fn what_can_pass_is_tried_again_and_the_rest_is_not() {
        let devices = fleet(3);
        let tries = [const { AtomicUsize::new(0) }; 3];
        let no = AtomicBool::new(false);
        let work = |d: &Device, attempt: Attempt| {
            assert_eq!(tries[d.0].fetch_add(1, Ordering::SeqCst) + 1, attempt.number as usize);
            if d.0 == 0 && attempt.number == 3 { Ok(()) } else { Err(Fault(d.0 != 2)) }
        };
        let mut ends = vec![String::new(); 3];
        run(&devices, &options(2), &no, work, |f| ends[f.index] = format!("{:?} after {}", f.outcome, f.tries));
        assert_eq!(ends, ["Done(()) after 3", "Failed(Fault(true)) after 3", "Failed(Fault(false)) after 1"]);
    }

    #[test]
    fn a_site_never_has_more_than_its_limit() {
        let devices: Vec<_> = (0..60).map(|i| Device(i, [Some("a"), Some("b"), None][i % 3])).collect();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |d: &Device, _: Attempt| {
            if d.1 == Some("a") {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
                now.fetch_sub(1, Ordering::SeqCst);
            }
            Ok::<_, Fault>(())
        };
        let mut count = 0;
        let options = Options { jobs_per_site: Some(2), ..options(16) };
        run(&devices, &options, &AtomicBool::new(false), work, |_| count += 1);
        assert_eq!(count, 60);
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn after_a_cancel_nothing_is_begun_and_everything_is_named() {
        let devices: Vec<_> = (0..50).map(|i| Device(i, Some("a"))).collect();
        let cancel = AtomicBool::new(false);
        let begun = AtomicUsize::new(0);
        let work = |_: &Device, _: Attempt| {
            begun.fetch_add(1, Ordering::SeqCst);
            cancel.store(true, Ordering::Relaxed);
            Err::<(), _>(Fault(true))
        };
        let (mut not_begun, mut failed) = (0, 0);
        let options = Options { jobs_per_site: Some(1), ..options(4) };
        run(&devices, &options, &cancel, work, |f| match f.outcome {
            Outcome::NotBegun => not_begun += 1,
            _ => failed += 1,
        });
        assert_eq!((not_begun, failed), (49, 1));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn results_wait_for_a_slow_caller() {
        let devices = fleet(300);
        let made = AtomicUsize::new(0);
        let mut taken = 0;
        let work = |_: &Device, _: Attempt| Ok::<_, Fault>(made.fetch_add(1, Ordering::SeqCst));
        run(&devices, &options(3), &AtomicBool::new(false), work, |_| {
            thread::sleep(Duration::from_millis(1));
            taken += 1;
            let ahead = made.load(Ordering::SeqCst) - taken;
            assert!(ahead <= 3 + WAITING_RESULTS + 1, "{ahead} results wait");
        });
    }
}
