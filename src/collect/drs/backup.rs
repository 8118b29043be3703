//! A manual backup over the command line of a call manager, followed component by component.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex::Regex;

use super::remedy::{REMEDY_RUNNING, remedy};
use crate::collect::fleet::MayPass as _;
use crate::collect::session::{Session, SessionError, Wire};
use crate::collect::ssh::{connect, open_session, plain};
use crate::collect::{CollectError, Context};
use crate::inventory::{Device, SourceUrl};
use crate::profile::{Profile, Session as Script};

/// The pause between two looks at the progress.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a pause goes on after the run was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// How long the status may still be that of the backup before.
const BEGINNING: Duration = Duration::from_secs(300);
/// How often in a row the command line may be lost; the backup goes on without it.
const LOSSES: u32 = 10;
/// Words of a status that no component comes back from.
const FAILED: [&str; 6] = ["ERROR", "FAIL", "CANCEL", "ABORT", "TIMEOUT", "TIMED"];
const STATUS: &str = "utils disaster_recovery status backup";
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

impl Row {
    /// Tells whether the component is done with, well or not.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let status = self.status.to_ascii_uppercase();
        status == "SUCCESS" || FAILED.iter().any(|word| status.contains(word))
    }
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

/// A row of a backup's progress. Spaces between columns are not kept by all releases, so columns are words; a date ends the row.
static ROW: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^\s*(\S+)\s+(\S+)\s+(\S+)\s+([A-Za-z_]+)\s+[A-Z][a-z]{2} [A-Z][a-z]{2}\s+\d{1,2} \d{2}:\d{2}:\d{2} \S+ \d{4}(?:\s+\S+)?\s*$",
    )
    .ok()
});

impl Progress {
    /// Tells whether the backup goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.contains("in progress") || (self.percent < 100 && self.rows.iter().any(|row| row.status == "Active"))
    }

    /// The first component that failed; once nothing runs any more, the first that is no success.
    #[must_use]
    pub fn failed(&self) -> Option<&Row> {
        let running = self.is_running();
        self.rows.iter().find(|row| row.status != "SUCCESS" && (row.is_over() || !running))
    }

    /// The time stamp of the set, where there is one.
    #[must_use]
    pub fn stamp(&self) -> Option<&str> {
        let stamp = self.file.get(..super::set::STAMP)?;
        super::set::is_stamp(stamp).then_some(stamp)
    }

    /// Reads the answer to `utils disaster_recovery status backup`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut progress = Self::default();
        for line in text.lines().take(10_000) {
            let after = |key: &str| line.trim().strip_prefix(key).map(|rest| rest.trim().to_owned());
            if let Some(status) = after("Status:") {
                progress.status = status;
            } else if let Some(file) = after("Tar Filename:") {
                progress.file = file;
            } else if let Some(percent) = after("Percentage Complete:") {
                progress.percent = percent.parse().unwrap_or(0);
            } else if let Some(found) = ROW.as_ref().and_then(|row| row.captures(line)) {
                let word = |at: usize| found.get(at).map_or("", |m| m.as_str()).to_owned();
                progress.rows.push(Row { feature: word(1), server: word(2), component: word(3), status: word(4) });
            }
        }
        progress
    }
}

/// What is to be backed up, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// A list such as `UCM,CDR_CAR`.
    pub features: String,
    /// The name of the backup device in DRS.
    pub target: String,
    /// The pause between two looks at the progress; nothing for 5 s.
    pub pause: Option<Duration>,
    /// How long the list of the set may come after the end of the backup; nothing for 300 s.
    pub patience: Option<Duration>,
}

/// Starts a backup on the call manager `node` and follows it to its end. `told` is given the progress at each
/// look. A command line that is lost on the way is opened again: the backup goes on without it.
///
/// # Errors
/// [`CollectError::Backup`] where a component fails, DRS refuses or nothing begins; else as for a session.
pub fn backup(
    node: &Device,
    profile: &Profile,
    order: &Order,
    context: &Context<'_>,
    told: &mut dyn FnMut(&Progress),
) -> Result<Progress, CollectError> {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-,".contains(&b));
    if !word(&order.features) || !word(&order.target) {
        return Err(CollectError::NotText { what: "a feature or the name of a backup device (letters, digits, `_`, `-`)" });
    }
    let Some(script) = profile.session() else {
        return Err(CollectError::NoCommands { profile: node.profile.clone() });
    };
    let mut run = Backup { node, script, order, context, before: Progress::default(), begun: None };
    let mut losses = 0;
    loop {
        let looks_before = run.begun;
        match run.follow(told, &mut losses) {
            // Before it was told to begin, nothing is lost; a start is never sent twice.
            Err(error) if looks_before.or(run.begun).is_some() && error.may_pass() && losses < LOSSES => {
                losses += 1;
                run.pause()?;
            }
            result => return result,
        }
    }
}

/// A backup that is followed, over as many connections as it takes.
struct Backup<'a> {
    node: &'a Device,
    script: &'a Script,
    order: &'a Order,
    context: &'a Context<'a>,
    /// The status before it was begun.
    before: Progress,
    /// When it was begun.
    begun: Option<Instant>,
}

impl Backup<'_> {
    fn follow(&mut self, told: &mut dyn FnMut(&Progress), losses: &mut u32) -> Result<Progress, CollectError> {
        let SourceUrl::Ssh(remote) = &self.node.source else {
            return Err(CollectError::NotSupported(self.node.source.clone()));
        };
        let link = connect(self.node, remote, self.context)?;
        let mut session = open_session(&link, self.script, self.node, self.context, ANSWER_LIMIT)?;
        if self.begun.is_none() {
            self.before = self.status(&mut session)?;
            if self.before.is_running() {
                return Err(drs(format!("another backup is in progress: {}", self.before.file), REMEDY_RUNNING));
            }
            let Order { features, target, .. } = self.order;
            // From here on it may run, whatever becomes of the answer.
            self.begun = Some(Instant::now());
            self.ask(&mut session, &format!("utils disaster_recovery backup network {features} {target}"))?;
        }
        loop {
            self.pause()?;
            let progress = self.status(&mut session)?;
            *losses = 0;
            // Right after the start the status is still that of the last backup, or there is none.
            let fresh = progress.file != self.before.file || progress.is_running();
            if !fresh {
                let patience = self.order.pause.map_or(BEGINNING, |pause| BEGINNING.min(pause * 60));
                if self.begun.is_some_and(|begun| begun.elapsed() < patience) {
                    continue;
                }
                return Err(drs("the backup did not begin".into(), super::set::REMEDY_ABORTED));
            }
            told(&progress);
            if let Some(row) = progress.failed() {
                let component = format!("{}/{} on {}", row.feature, row.component, row.server);
                let reason = format!("status {}", row.status);
                return Err(CollectError::Backup { component, reason, remedy: super::set::REMEDY_LOG });
            }
            if !progress.is_running() {
                return Ok(progress);
            }
        }
    }

    /// Asks how far it is. What the backup before this one failed with is no fault of this one.
    fn status<W: Wire>(&self, session: &mut Session<'_, W>) -> Result<Progress, CollectError> {
        let text = self.say(session, STATUS)?;
        let progress = Progress::parse(&text);
        let before = !progress.status.is_empty() && (self.begun.is_none() || progress.file == self.before.file);
        if before { Ok(progress) } else { known_fault(&text).map(|()| progress) }
    }

    /// Sends a line. What DRS says of a fault is one, with its remedy.
    fn ask<W: Wire>(&self, session: &mut Session<'_, W>, line: &str) -> Result<(), CollectError> {
        known_fault(&self.say(session, line)?)
    }

    /// Sends a line and gives the answer.
    fn say<W: Wire>(&self, session: &mut Session<'_, W>, line: &str) -> Result<String, CollectError> {
        let bytes = session.ask(line, None, Some(Duration::from_secs(120)))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let refused = |line: &&str| self.script.refusals.iter().any(|pattern| pattern.is_match(line.as_bytes()));
        match text.lines().find(refused) {
            // What DRS says is a fault of its own, with a remedy.
            Some(phrase) if remedy(phrase).is_none() => {
                Err(SessionError::Refused { command: line.to_owned(), phrase: plain(phrase.trim()) }.into())
            }
            _ => Ok(text),
        }
    }

    /// Waits for the next look, and no longer than the run.
    fn pause(&self) -> Result<(), CollectError> {
        let until = Instant::now() + self.order.pause.unwrap_or(PAUSE);
        loop {
            self.context.check_cancel()?;
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(LOOK)),
            }
        }
    }
}

/// Looks for what DRS says when it fails.
fn known_fault(text: &str) -> Result<(), CollectError> {
    let found = text.lines().find_map(|line| Some((plain(line.trim()), remedy(line)?)));
    found.map_or(Ok(()), |(said, remedy)| Err(drs(said, remedy)))
}

/// A fault that DRS as a whole has.
fn drs(reason: String, remedy: &'static str) -> CollectError {
    CollectError::Backup { component: "DRS".into(), reason, remedy }
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
        // A word that nobody knows is no failure as long as the backup goes on, and one at its end.
        let unknown = text.replace("Active", "Waiting");
        assert!(Progress::parse(&unknown).failed().is_none());
        assert!(Progress::parse(&unknown.replace("in progress", "done")).failed().is_some());
        assert_eq!(progress.stamp(), Some("2026-01-17-10-11-23"));
        assert_eq!(Progress::parse("Tar Filename: TAR file not created").stamp(), None);
    }
}
