//! How things are kept and how much is done at once.

use serde::{Deserialize, Serialize};

use super::{ByteSize, Months, Percent, Seconds};

/// The table `[policy]`; every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Files above this size are stored in chunks, apart from the text.
    pub large_over: ByteSize,
    /// A set that lost more than this share of its bytes is a failure, unless it is accepted.
    pub max_shrink: Percent,
    /// Devices collected at the same time; nothing for a number that fits the machine.
    pub jobs: Option<u16>,
    /// Devices of one site collected at the same time; nothing for no limit.
    pub jobs_per_site: Option<u16>,
    /// Time for one device in all.
    pub timeout: Seconds,
    /// Bytes of one device in all.
    pub max_size: ByteSize,
    /// Files of one device in all.
    pub max_files: u32,
    /// Everything is read again every this many runs, whatever the time stamps say; 0 for never.
    pub full_every: u32,
    /// Changes are announced with `confvault change`: a difference that is found outside of one is marked.
    pub announced_changes: bool,
    /// Months of logs that `forget` keeps; nothing to keep all.
    pub keep_logs: Option<Months>,
    /// Months for which `forget` keeps the large files of old generations; nothing to keep all.
    pub keep_large: Option<Months>,
    /// How often each device is to be part of a recovery exercise that proves it; nothing for no rule.
    pub drill_every: Option<Months>,
    /// How long a recovery exercise may take; nothing for no rule.
    pub recovery_target: Option<Seconds>,
    /// Time without any answer after which a mirror is given up.
    pub mirror_timeout: Seconds,
    /// Time to wait for another writer of the store.
    pub lock_timeout: Seconds,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            large_over: ByteSize(8 << 20),
            max_shrink: Percent(50),
            jobs: None,
            jobs_per_site: None,
            timeout: Seconds(600),
            max_size: ByteSize(64 << 30),
            max_files: 200_000,
            full_every: 0,
            announced_changes: true,
            keep_logs: None,
            keep_large: None,
            drill_every: None,
            recovery_target: None,
            mirror_timeout: Seconds(60),
            lock_timeout: Seconds(30),
        }
    }
}
