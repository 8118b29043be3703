//! What a set is encoded with: keys, rules, limits, and the facts of its commit.

mod compare;
mod files;
mod previous;
mod set;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub(super) use compare::{Comparison, as_seen, compare, digest, masks_differ};
pub use compare::{bytes as content_bytes, digest as content_digest};
pub(super) use previous::{Previous, Tip};
pub(super) use set::{Encoded, Reuse, encode};

use super::generation::{ChangeId, Generation, GenerationKind};
use super::manifest::RulesId;
use crate::model::{ConfigPath, DeviceName, Digest, Stamp};
use crate::profile::{MaskOverrides, Profile};
use crate::seal::{Sealer, StoreKeys};

/// What an encoder asks of a profile.
pub trait Rules: Sync {
    /// Identifies the rules of normalisation.
    fn rules_id(&self) -> RulesId;
    /// Identifies the rules of masking.
    fn masks_id(&self) -> RulesId;
    /// Gives a text without its volatile parts.
    fn normalise<'a>(&self, path: &ConfigPath, text: &'a [u8]) -> Cow<'a, [u8]>;
    /// Tells whether the device makes, replaces and removes a file or folder by itself.
    fn is_by_itself(&self, path: &ConfigPath) -> bool;
    /// Finds the secrets of a text: sorted ranges that do not overlap.
    fn secrets(&self, path: &ConfigPath, text: &[u8]) -> Vec<Range<usize>>;
}

/// The rules of a profile, with those of the inventory.
#[derive(Debug, Clone)]
pub struct ProfileRules {
    profile: Arc<Profile>,
    overrides: Arc<MaskOverrides>,
    rules: RulesId,
    masks: RulesId,
}

impl ProfileRules {
    /// Joins a profile and the rules of the inventory. Costs a digest; made once for many devices.
    #[must_use]
    pub fn new(profile: Arc<Profile>, overrides: Arc<MaskOverrides>) -> Self {
        // An id that does not read (a profile of a test) is still an id: its digest.
        let id = |text: String| {
            text.parse().unwrap_or_else(|_| {
                let mut first = [0; 8];
                first.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
                RulesId(u64::from_be_bytes(first))
            })
        };
        let (rules, masks) = (id(profile.rules_id()), id(profile.masks_id(&overrides)));
        Self { profile, overrides, rules, masks }
    }
}

impl Rules for ProfileRules {
    fn rules_id(&self) -> RulesId {
        self.rules
    }
    fn masks_id(&self) -> RulesId {
        self.masks
    }
    fn normalise<'a>(&self, path: &ConfigPath, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.profile.normalise(path, text)
    }
    fn is_by_itself(&self, path: &ConfigPath) -> bool {
        self.profile.is_by_itself(path)
    }
    fn secrets(&self, path: &ConfigPath, text: &[u8]) -> Vec<Range<usize>> {
        self.profile.secret_places(path, text, &self.overrides)
    }
}

/// Everything by which a device's set is encoded.
#[derive(Clone, Copy)]
pub struct EncodeContext<'a> {
    /// The device.
    pub device: &'a DeviceName,
    /// The store keys of all epochs; new generations are of the newest.
    pub keys: &'a StoreKeys,
    /// What is volatile, and what is secret.
    pub rules: &'a dyn Rules,
    /// Seals to the newest epoch; nothing in a store that keeps secrets in clear.
    pub sealer: Option<&'a Sealer>,
    /// Files of more bytes are stored in chunks.
    pub large_over: u64,
}

/// The least, average and most bytes of a chunk.
pub(super) const CHUNK_SIZES: [usize; 3] = [256 << 10, 1 << 20, 4 << 20];

impl EncodeContext<'_> {
    /// The size above which a file is stored in chunks: what is below is held in memory.
    pub(super) fn large_limit(&self) -> u64 {
        self.large_over.min(64 << 20)
    }
}

impl std::fmt::Debug for EncodeContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodeContext").field("device", self.device).finish_non_exhaustive()
    }
}

/// What is said of a snapshot beside its set.
#[derive(Debug, Clone)]
pub struct Meta {
    /// When it was collected.
    pub time: DateTime<Utc>,
    /// [`GenerationKind::Pre`], `Post` or `Imported`; nothing for an ordinary snapshot,
    /// which becomes `First`, `Release`, `Remask` or `Snapshot` by itself.
    pub kind: Option<GenerationKind>,
    /// What differs was announced by nobody: in place of `Pre`, `Release` or `Snapshot` the generation becomes
    /// `Unannounced`. One that is the first, or that differs only in how it is masked or in what the device makes by
    /// itself, does not: nobody changed anything on the device then.
    pub unannounced: bool,
    /// The note.
    pub note: Option<String>,
    /// The change that it belongs to.
    pub change: Option<ChangeId>,
    /// What the administrator took on purpose.
    pub accepted: Option<String>,
    /// The commit that an imported state was taken from.
    pub imported: Option<String>,
    /// Name and address of who wrote it; nothing: the collector.
    pub author: Option<(String, String)>,
    /// [`Look::rules`](crate::model::Look::rules) of the look to be remembered.
    pub look_rules: Digest,
    /// [`Look::taken_ns`](crate::model::Look::taken_ns) of the look to be remembered.
    pub taken_ns: i64,
    /// [`Look::root`](crate::model::Look::root) of the look to be remembered.
    pub root: Option<Stamp>,
}

impl Meta {
    /// An ordinary snapshot.
    #[must_use]
    pub fn new(time: DateTime<Utc>, look_rules: Digest, taken_ns: i64) -> Self {
        let (kind, note, change, accepted, imported, author) = (None, None, None, None, None, None);
        Self { time, kind, unannounced: false, note, change, accepted, imported, author, look_rules, taken_ns, root: None }
    }
}

/// What became of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is the newest generation, apart from what is volatile.
    Unchanged {
        /// The number of that generation.
        number: u64,
    },
    /// It is a new generation once the transaction is committed.
    Generation(Box<Generation>),
}
