//! Sources: how the set of a device comes from the device.
//!
//! Each source is one file here; [`collect`] chooses it by the scheme of the device's URL. A source
//! gives a whole set or an error: nothing partial is ever a set, an empty answer is an error, and
//! what a device sends never decides where something is written.
//!
//! This room knows no store: what an earlier run learnt comes in as a [`Look`], what this one
//! learnt goes out in [`Collected`].

pub mod act;
mod archive;
mod ask;
pub mod credentials;
mod dir;
pub mod drs;
mod error;
mod finish;
pub mod fleet;
pub mod hostkeys;
pub mod inventories;
mod network;
mod pushed;
pub mod session;
mod sftp;
mod shrink;
mod spool;
mod ssh;
mod sshconfig;
mod tree;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::inventory::{Device, Policy, SourceUrl};
use crate::model::{ConfigPath, ConfigSet, Digest, Look, Stamp};
use crate::profile::Profile;

pub use ask::{Answers, ask, can_ask};
pub use error::CollectError;
pub use network::Network;
pub use shrink::{Sizes, check_shrink};
pub use ssh::{ConnectError, Shown, show_host_key};

/// What a source needs beside the device: one for a whole run, shared by all threads.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The folder of the store; relative paths of the inventory count from it.
    pub root: &'a Path,
    /// A folder of mode 0700 for what is too large for memory; it lives longer than the sets.
    pub spool: &'a Path,
    /// Limits and times that hold where the device has none of its own.
    pub policy: &'a Policy,
    /// Gives a variable of the environment.
    pub env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The home of the user, where there is one.
    pub home: Option<&'a Path>,
    /// Becomes true when the run is to end; sources look at it between files and messages.
    pub cancel: &'a AtomicBool,
    /// When the time of the device is over; nothing for the time that the device or the policy has,
    /// from the beginning of this look at it.
    pub deadline: Option<Instant>,
    /// What the connections of a run share.
    pub network: &'a Network,
    /// What a look depends on beside the source and the profile: the store's rules of masking and its
    /// epoch, in words that differ when one of them does.
    pub stored_as: &'a str,
    /// Gives the digest that a look has of a content, so that what is as it was need not be kept in memory; nothing
    /// where the caller wants all bytes.
    pub digest: &'a (dyn Fn(&[u8]) -> Option<Digest> + Sync),
    /// Gives the paths of the newest generation of the device; asked only where no look is there, by a source that has
    /// sets by time, or of a command that is refused.
    pub previous: Option<&'a (dyn Fn() -> Vec<ConfigPath> + Sync)>,
    /// A set without an answer that the newest generation has is taken on purpose.
    pub accept: bool,
    /// An answer that came to its end and is not whole is taken on purpose.
    pub accept_partial: bool,
    /// A tar archive that is the set, in place of the source.
    pub pushed: Option<&'a Path>,
    /// What is there counts, whole or not, and the release need not be found: to see what is to be put back. Nothing
    /// that comes of it may be stored.
    pub partial: bool,
    /// Is told each step of a collection as it is done, for `device test`.
    pub trace: Option<&'a (dyn Fn(Step) + Sync)>,
}

impl<'a> Context<'a> {
    /// What every look at a device needs; nothing of what only a snapshot's run knows.
    #[must_use]
    pub fn new(
        root: &'a Path,
        spool: &'a Path,
        policy: &'a Policy,
        env: &'a (dyn Fn(&str) -> Option<String> + Sync),
        home: Option<&'a Path>,
        cancel: &'a AtomicBool,
        network: &'a Network,
    ) -> Self {
        let (deadline, previous, pushed, trace) = (None, None, None, None);
        Self {
            root,
            spool,
            policy,
            env,
            home,
            cancel,
            deadline,
            network,
            stored_as: "",
            digest: &|_| None,
            previous,
            accept: false,
            accept_partial: false,
            pushed,
            partial: false,
            trace,
        }
    }
}

/// A step of a collection that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done, in words.
    pub what: String,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// When the time of a device that is begun now is over.
    pub(crate) fn deadline_of(&self, device: &Device) -> Instant {
        let seconds = device.timeout.unwrap_or(self.policy.timeout);
        Instant::now() + Duration::from_secs(seconds.0)
    }

    /// Tells the trace of a step that began at `begun` and is done.
    pub(crate) fn step(&self, begun: Instant, what: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace(Step { what: what(), took: begun.elapsed() });
        }
    }

    /// Tells whether the time of the device is over.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Tells whether the run is to end.
    ///
    /// # Errors
    /// [`CollectError::Cancelled`] if it is.
    pub fn check_cancel(&self) -> Result<(), CollectError> {
        if self.cancel.load(Ordering::Relaxed) { Err(CollectError::Cancelled) } else { Ok(()) }
    }
}

/// What a source gave.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collected {
    /// The set, logs included. What the look proved unchanged is
    /// [`Content::Same`](crate::model::Content::Same). `unclaimed` has only paths that were not in the look.
    pub set: ConfigSet,
    /// When the collecting began: [`Look::taken_ns`] of the look to be remembered.
    pub taken_ns: i64,
    /// [`Look::rules`] of the look to be remembered.
    pub rules: Digest,
    /// [`Look::root`] of the look to be remembered.
    pub root: Option<Stamp>,
    /// What stands at the source and cannot be part of a set.
    pub skipped: Vec<Skipped>,
    /// What the administrator should know, without being a failure.
    pub warnings: Vec<String>,
    /// Answers that the newest generation has and this set has not, or that are not whole: taken so on purpose, each in
    /// words.
    pub without: Vec<String>,
    /// There are more sets to take: the device is to be collected again once this one is committed.
    pub more: bool,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Files that the set refers to in place of having read them.
    referenced: Vec<Referenced>,
}

impl Collected {
    /// Takes the set out and leaves an empty one.
    #[must_use]
    pub fn take_set(&mut self) -> ConfigSet {
        let empty = ConfigSet::new(Vec::new(), None, Vec::new()).expect("no entries are always a set");
        std::mem::replace(&mut self.set, empty)
    }

    /// Checks, once everything was read through the set, that no file that the set only refers to
    /// has changed since. Must be called before what was read is committed.
    ///
    /// # Errors
    /// [`CollectError::Changing`].
    pub fn recheck(&self) -> Result<(), CollectError> {
        self.referenced.iter().try_for_each(dir::recheck)
    }
}

/// A file of this machine that a set refers to.
#[derive(Debug)]
struct Referenced {
    /// The folder that the path counts from.
    folder: PathBuf,
    /// Path in the set.
    path: ConfigPath,
    /// Its stamp when it was looked at.
    stamp: Stamp,
}

/// Something that stands at the source and is not part of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands.
    pub path: ConfigPath,
    /// What it is: `socket`, `FIFO`, `device`.
    pub what: &'static str,
}

/// Collects the set of a device.
///
/// `look` must be one that was taken under [`look_rules`] of the same device and profile, or nothing.
///
/// # Errors
/// [`CollectError`]: nothing partial is ever given.
pub fn collect(
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let rules = look_rules(device, profile, context.stored_as);
    let look = look.filter(|look| look.rules == rules);
    let mut collected = match (context.pushed, &device.source) {
        (Some(archive), _) => pushed::collect(archive, device, profile, rules, context),
        (None, SourceUrl::Dir(folder)) => dir::collect(&context.root.join(folder), device, profile, look, rules, context),
        (None, SourceUrl::DrsDir(_) | SourceUrl::DrsSftp(_)) => drs::collect(device, profile, look, rules, context),
        (None, SourceUrl::Sftp(remote)) => sftp::collect(remote, device, profile, look, rules, context),
        (None, SourceUrl::Ssh(remote)) => ssh::collect(remote, device, profile, look, rules, context),
        (None, SourceUrl::Push) => Err(CollectError::NotPushed),
    }?;
    if !context.partial {
        archive::judge(&mut collected, profile, context)?;
    }
    told(&mut collected, profile, context);
    Ok(collected)
}

/// Adds what the profile expects and is not there, or has become old.
fn told(collected: &mut Collected, profile: &Profile, context: &Context<'_>) {
    if context.partial || profile.collect().is_none_or(|collect| collect.expect.is_empty()) {
        return;
    }
    collected.warnings.extend(finish::expected(profile, collected.set.entries(), collected.taken_ns));
    // Files grow old without a change, so the source is looked at each time.
    collected.root = None;
}

/// Tells whether a look proves that a source holds what it held, so that no set is needed; `look` as for
/// [`collect`]. False says nothing: only [`collect`] tells what is there.
#[must_use]
pub fn is_unchanged(device: &Device, look: &Look, context: &Context<'_>) -> bool {
    match &device.source {
        SourceUrl::Dir(folder) if context.pushed.is_none() => dir::unchanged(&context.root.join(folder), device, look, context),
        _ => false,
    }
}

/// Gives what a look depends on beside the device's name: the source, the release that is declared, all that the profile
/// says about files, and how the store keeps them ([`Context::stored_as`]).
#[must_use]
pub fn look_rules(device: &Device, profile: &Profile, stored_as: &str) -> Digest {
    let declared = device.release.as_ref().map_or("", |release| release.as_str());
    let text = format!("{}\n{}\n{}\n{declared}\n{stored_as}\n", device.source, profile.name(), profile.look_id());
    Digest(*blake3::hash(text.as_bytes()).as_bytes())
}

/// The current time in nanoseconds since 1970.
fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}
