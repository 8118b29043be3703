//! The protocol of a drill: what the journal keeps and an auditor reads ("The journal" in `docs/format.md`).
//!
//! It holds no secret and no text of a configuration: names, numbers, digests, times and our own words.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{DeviceName, MirrorName, Point};

/// A drill, from beginning to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Who exercised.
    pub by: Option<String>,
    /// What they said of it.
    pub note: Option<String>,
    /// The machine on which it was done.
    pub host: String,
    /// When it began.
    pub began: DateTime<Utc>,
    /// How long it took, in milliseconds: from the first word to the mirror to the last check.
    pub took_ms: u64,
    /// How long it may take, in seconds.
    pub target_s: Option<u64>,
    /// How the devices were chosen.
    pub choice: Choice,
    /// The mirror.
    pub mirror: MirrorFacts,
    /// The version of `git` that fetched.
    pub git: Option<String>,
    /// With what it was opened.
    pub opened: Opened,
    /// The parts of the drill, in order.
    pub phases: Vec<Phase>,
    /// The devices, sorted.
    pub devices: Vec<Proof>,
    /// The device that stood in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<StandIn>,
    /// What was found, gravest first.
    pub findings: Vec<Finding>,
    /// When the next drill of these devices is due, where a policy says so.
    pub next_due: Option<DateTime<Utc>>,
}

impl Protocol {
    /// Says whether the drill passed: all that was chosen is back, proven, newest and in time.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.findings.iter().any(|finding| finding.fails)
    }

    /// Says of what kind the gravest failure is; nothing if the drill passed.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.findings.iter().filter_map(|finding| finding.what.failure()).min()
    }
}

/// How devices were chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Choice {
    /// They were named.
    Named,
    /// All that the inventory has and that have a generation.
    All,
    /// By chance: those that were never proven first, then those whose proof is oldest.
    Sample {
        /// How many were asked for.
        count: u64,
        /// Among how many.
        of: u64,
        /// What chance began with.
        seed: u32,
    },
}

/// What is known of the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorFacts {
    /// Its name.
    pub name: MirrorName,
    /// Its URL, without what could be secret.
    pub url: String,
    /// How far it is from the store: `same-file-system`, `same-host`, `other-host`, `unknown`.
    pub independence: String,
    /// Refs that came.
    pub refs: u64,
    /// Objects that came; every one was checked.
    pub objects: u64,
    /// The commit of its `_store`.
    pub store: Option<String>,
    /// The keys of the administrators to whom `_store` was followed back, pinned here.
    pub administrators: Vec<String>,
    /// Signatures that were checked.
    pub signatures: u64,
}

/// With what the mirror was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opened {
    /// With an identity of a recipient.
    Identity,
    /// With nothing: no identity was named.
    Nothing,
    /// With nothing: the identity opens nothing of what the mirror holds.
    Refused,
    /// With nothing: nothing is sealed.
    Clear,
}

/// A part of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// `fetch`, `signatures`, `open`, `restore`, `check`, `stand-in`.
    pub phase: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What became of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is back, byte for byte.
    Proven,
    /// What can be told without an identity is good; the rest was not opened.
    Unproven,
    /// It is not back, or not as it should be.
    Failed,
}

impl Outcome {
    /// Gives the word for text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Proven => "proven",
            Outcome::Unproven => "unproven",
            Outcome::Failed => "failed",
        }
    }
}

/// One device of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The device.
    pub device: DeviceName,
    /// The point that was put back, as it was asked for.
    pub point: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The generation that was put back.
    pub generation: Option<u64>,
    /// Its release.
    pub release: Option<String>,
    /// Its commit.
    pub commit: Option<String>,
    /// BLAKE3 of its manifest, which has the digests of all files.
    pub set_digest: Option<String>,
    /// When it was collected.
    pub collected: Option<DateTime<Utc>>,
    /// The newest generation that the store here has.
    pub newest_here: Option<u64>,
    /// Files that are back, each compared with its digests.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Entries that were compared with the signed manifest on disk and are equal: files, folders and links.
    pub equal: u64,
    /// How long it took to put back and compare, in milliseconds.
    pub took_ms: u64,
    /// The syntax checks of its profile.
    pub checks: Vec<Checked>,
}

impl Proof {
    /// Begins with nothing.
    #[must_use]
    pub fn none(point: &Point) -> Self {
        Self {
            device: point.device.clone(),
            point: point.to_string(),
            outcome: Outcome::Failed,
            generation: None,
            release: None,
            commit: None,
            set_digest: None,
            collected: None,
            newest_here: None,
            files: 0,
            bytes: 0,
            equal: 0,
            took_ms: 0,
            checks: Vec::new(),
        }
    }
}

/// A device that stood in for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// The device.
    pub device: DeviceName,
    /// `done`, `nothing` (it stood as the point already), `went-back`, `stuck`.
    pub outcome: String,
    /// Entries that were to be put back.
    pub entries: u64,
    /// The change that it was recorded as.
    pub change: Option<String>,
    /// The generation of the stand-in before.
    pub pre: Option<u64>,
    /// The generation of the stand-in after.
    pub post: Option<u64>,
    /// Its health, before and after, in words.
    pub health: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A syntax check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The command, as the profile has it.
    pub run: String,
    /// Whether it agreed; nothing if it was not run.
    pub passed: Option<bool>,
    /// Why it was not run, or how it failed.
    pub why: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub what: What,
    /// The drill fails by it.
    pub fails: bool,
    /// The device.
    pub device: Option<DeviceName>,
    /// In words.
    pub text: String,
}

impl Finding {
    /// Makes one.
    #[must_use]
    pub fn new(what: What, device: Option<&DeviceName>, text: impl Into<String>) -> Self {
        Self { what, fails: what.failure().is_some(), device: device.cloned(), text: text.into() }
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// Something of the mirror does not read, or is not what its digest says.
    Damaged,
    /// `_store` is not signed by the administrators whose keys are pinned here.
    Untrusted,
    /// A signature, or the order of a line.
    Signature,
    /// The mirror had more than it has.
    WentBack,
    /// The mirror has something else than the store.
    Diverged,
    /// What is back on disk is not what the manifest says.
    Differs,
    /// An identity is needed and none was named.
    NoIdentity,
    /// The identity opens nothing.
    IdentityRefused,
    /// Nothing could be fetched.
    Unreachable,
    /// The mirror does not have the device, or not the point.
    Missing,
    /// The device was never collected: nowhere is anything to put back.
    NeverTaken,
    /// The mirror lacks the newest generation, or the newest `_store`.
    Behind,
    /// A device could not be put back.
    NotRestored,
    /// A syntax check failed.
    CheckFailed,
    /// It could not be put back to the stand-in.
    StandIn,
    /// It took longer than it may.
    Late,
    /// The mirror has more than the store here.
    Ahead,
    /// The store here could not be compared with.
    NotCompared,
    /// A syntax check was not run.
    NotChecked,
    /// The mirror would be lost together with the store.
    NotIndependent,
    /// What came could be read and altered on the way.
    Unprotected,
    /// What a lost collector is rebuilt from is missing on the mirror, or older than here.
    Inventory,
    /// What was put back could not be removed.
    Left,
    /// Of a later version.
    #[serde(other)]
    Other,
}

/// Of what kind a failure is, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Damage, or somebody's hand.
    Damage,
    /// An identity is missing or wrong.
    Identity,
    /// The mirror was not there.
    Unreachable,
    /// Something is not as it should be.
    Partly,
}

impl What {
    /// Says how a drill fails by it; nothing if it is only to be known.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            What::Damaged | What::Untrusted | What::Signature | What::WentBack | What::Diverged | What::Differs => {
                Some(Failure::Damage)
            }
            What::NoIdentity | What::IdentityRefused => Some(Failure::Identity),
            What::Unreachable => Some(Failure::Unreachable),
            What::Missing
            | What::NeverTaken
            | What::Behind
            | What::NotRestored
            | What::CheckFailed
            | What::StandIn
            | What::Late => Some(Failure::Partly),
            What::Ahead
            | What::NotCompared
            | What::NotChecked
            | What::NotIndependent
            | What::Unprotected
            | What::Inventory
            | What::Left
            | What::Other => None,
        }
    }
}
