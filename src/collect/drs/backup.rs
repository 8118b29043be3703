//! A manual backup over the command line of a call manager, followed component by component.

use std::time::{Duration, Instant};

use regex::Regex;

use crate::collect::session::SessionError;
use crate::collect::ssh::{connect, open_session};
use crate::collect::{CollectError, Context};
use crate::inventory::{Device, SourceUrl};
use crate::profile::Profile;

/// The pause between two looks at the progress.
const PAUSE: Duration = Duration::from_secs(5);
/// Answers above this size are none, in bytes.
const ANSWER_LIMIT: u64 = 4 << 20;

/// A component of a running backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The feature.
    pub feature: String,
    /// The node.
    pub server: String,
    /// The component.
    pub component: String,
    /// Its status: `Active`, `SUCCESS`, or what failed.
    pub status: String,
}

/// How far a backup is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The line behind `Status:`.
    pub status: String,
    /// The name behind `Tar Filename:`; its first 19 characters are the time stamp of the set.
    pub file: String,
    /// Percent.
    pub percent: u8,
    /// The components that are done or running.
    pub rows: Vec<Row>,
}

impl Progress {
    /// Tells whether the backup goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.contains("in progress") || (self.percent < 100 && self.rows.iter().any(|row| row.status == "Active"))
    }

    /// The first component that failed.
    #[must_use]
    pub fn failed(&self) -> Option<&Row> {
        self.rows.iter().find(|row| !matches!(row.status.as_str(), "SUCCESS" | "Active"))
    }

    /// Reads the answer to `utils disaster_recovery status backup`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut progress = Self::default();
        // Spaces between columns are not kept by all releases, so columns are words; a date ends the row.
        let row = Regex::new(
            r"^\s*(\S+)\s+(\S+)\s+(\S+)\s+([A-Za-z_]+)\s+[A-Z][a-z]{2} [A-Z][a-z]{2}\s+\d{1,2} \d{2}:\d{2}:\d{2} \S+ \d{4}(?:\s+\S+)?\s*$",
        );
        for line in text.lines().take(10_000) {
            let after = |key: &str| line.trim().strip_prefix(key).map(|rest| rest.trim().to_owned());
            if let Some(status) = after("Status:") {
                progress.status = status;
            } else if let Some(file) = after("Tar Filename:") {
                progress.file = file;
            } else if let Some(percent) = after("Percentage Complete:") {
                progress.percent = percent.parse().unwrap_or(0);
            } else if let Some(found) = row.as_ref().ok().and_then(|row| row.captures(line)) {
                let word = |at: usize| found.get(at).map_or("", |m| m.as_str()).to_owned();
                progress.rows.push(Row { feature: word(1), server: word(2), component: word(3), status: word(4) });
            }
        }
        progress
    }
}

/// Starts a backup on the call manager `node` and follows it to its end.
///
/// `features` is a list such as `UCM,CDR_CAR`, `target` the name of the backup device in DRS; both are
/// words. `told` is given the progress at each look.
///
/// # Errors
/// [`CollectError::BackupSet`] where a component fails; else as for a session.
pub fn backup(
    node: &Device,
    profile: &Profile,
    features: &str,
    target: &str,
    pause: Option<Duration>,
    context: &Context<'_>,
    told: &mut dyn FnMut(&Progress),
) -> Result<Progress, CollectError> {
    let SourceUrl::Ssh(remote) = &node.source else { return Err(CollectError::NotSupported(node.source.clone())) };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-,".contains(&b));
    if !word(features) || !word(target) {
        return Err(CollectError::NotText { what: "a feature or the name of a backup device (letters, digits, `_`, `-`)" });
    }
    let Some(script) = profile.session() else {
        return Err(CollectError::NoCommands { profile: node.profile.clone() });
    };
    let link = connect(node, remote, context)?;
    let mut session = open_session(&link, script, node, context, ANSWER_LIMIT)?;
    let mut ask = |line: &str| -> Result<String, CollectError> {
        let bytes = session.ask(line, None, Some(Duration::from_secs(120)))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let refusal = script.refusals.iter().find_map(|pattern| {
            text.lines().find(|line| pattern.is_match(line.as_bytes())).map(|line| super::super::ssh::plain(line.trim()))
        });
        match refusal {
            Some(phrase) => Err(SessionError::Refused { command: line.to_owned(), phrase }.into()),
            None => Ok(text),
        }
    };
    let before = Progress::parse(&ask("utils disaster_recovery status backup")?);
    if before.is_running() {
        return Err(SessionError::Refused {
            command: "utils disaster_recovery backup network".into(),
            phrase: "a backup is in progress".into(),
        }
        .into());
    }
    ask(&format!("utils disaster_recovery backup network {features} {target}"))?;
    let begun = Instant::now();
    loop {
        std::thread::sleep(pause.unwrap_or(PAUSE));
        context.check_cancel()?;
        let progress = Progress::parse(&ask("utils disaster_recovery status backup")?);
        // Right after the start the status is still that of the last backup, or there is none.
        let fresh = progress.file != before.file || progress.is_running();
        if !fresh && begun.elapsed() < Duration::from_secs(300).min(pause.map_or(Duration::MAX, |p| p * 60)) {
            continue;
        }
        told(&progress);
        if let Some(row) = progress.failed() {
            return Err(CollectError::BackupSet {
                stamp: progress.file.chars().take(19).collect(),
                component: format!("{}/{} on {}", row.feature, row.component, row.server),
                reason: format!("status {}", row.status),
                remedy: super::set::REMEDY_LOG,
                more: 0,
            });
        }
        if fresh && !progress.is_running() {
            return Ok(progress);
        }
        if !fresh {
            return Err(CollectError::BackupSet {
                stamp: progress.file.chars().take(19).collect(),
                component: "the backup".into(),
                reason: "it did not begin".into(),
                remedy: super::set::REMEDY_ABORTED,
                more: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_taken_apart_whatever_its_blanks() {
        // In the layout of Cisco's published sample, with names of our own.
        let text = "Status: Backup operation in progress for server [PUB-1], please wait...\nTar Filename: 2026-01-17-10-11-23.tar\n\
                    Storage Location: NETWORK\nOperation: BACKUP\nPercentage Complete: 91\n\
                    UCM     PUB-1   PLATFORM   SUCCESS  Sat Jan 17 10:11:24 CET 2026  activelog/platform/drf/log/x.log\n\
                    UCM PUB-1 TFTP Active Sat Jan 17 10:11:58 CET 2026\n";
        let progress = Progress::parse(text);
        assert_eq!((progress.percent, progress.rows.len(), progress.is_running()), (91, 2, true));
        assert!(progress.failed().is_none());
        let failed = Progress::parse(&text.replace("Active", "ERROR").replace("in progress", "done"));
        assert_eq!(failed.failed().unwrap().component, "TFTP");
        assert!(!Progress::parse("drfCliMsg: No backup status available").is_running());
    }
}
