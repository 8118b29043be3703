//! Sending one file to a device with a command line of its own, and the commands that make it active.
//!
//! The file of the set before goes up first: behind the new configuration there may be no way for it any more. Which of
//! the two the device runs on is then a matter of a command, so every part can be done again.

use zeroize::Zeroizing;

use super::error::DeviceRestoreError;
use super::item::Towards;
use super::job::Job;
use super::record::{Mark, Record};
use super::site::{Now, Site};
use crate::collect::act::{ActError, Said, Target};
use crate::profile::{Action, Restore};

/// What is sent, and where it lies on the device.
struct Sent {
    file: String,
    content: Zeroizing<Vec<u8>>,
}

impl Sent {
    /// The command as it may be shown.
    fn shown(&self, action: &Action) -> String {
        action.run.replace("{file}", &self.file)
    }

    fn fill(&self, action: &Action) -> Zeroizing<String> {
        let text = self.shown(action);
        Zeroizing::new(match text.contains("{lines}") {
            true => text.replace("{lines}", &String::from_utf8_lossy(&self.content)),
            false => text,
        })
    }
}

/// The name of the file of the set before, beside that of the new one.
fn name_before(upload: &str) -> String {
    let name = upload.rfind(['/', ':']).map_or(0, |at| at + 1);
    let end = upload[name..].rfind('.').map_or(upload.len(), |at| name + at);
    format!("{}-before{}", &upload[..end], &upload[end..])
}

/// The names of both files on the device; empty where nothing is uploaded.
fn names(restore: &Restore) -> [String; 2] {
    let upload = restore.upload.clone().unwrap_or_default();
    [name_before(&upload), upload]
}

/// Takes a device one way. What stands as it is to stand is left alone, unless something may be at work on it still.
pub(super) fn put(job: &mut Job<'_, '_>, towards: Towards, now: &Now) -> Result<(), DeviceRestoreError> {
    let found = job.found(now)?;
    let items = &job.record.facts.items;
    let due = (0..found.len()).find(|&at| !items[at].is_met_by(towards, found[at].as_ref()));
    let applying = job.record.has(&Mark::Applying);
    job.mark(Mark::Towards { towards })?;
    // A device goes on with a commit also when the connection broke: what was begun is always taken back.
    let at = match due {
        Some(at) => at,
        None if applying && towards == Towards::Before => 0,
        None => return Ok(()),
    };
    let (site, run, folder) = (job.site, job.record.facts.run.clone(), job.record.dir().to_owned());
    let restore = site.profile.restore().cloned().unwrap_or_default();
    let [file_before, file] = names(&restore);
    let before = Sent { file: file_before, content: content(job, at, Towards::Before)? };
    let point = match towards {
        Towards::Point => Some(Sent { file, content: content(job, at, Towards::Point)? }),
        Towards::Before => None,
    };
    let path = job.record.facts.items[at].path.clone();
    site.work(&run, &folder, |target| {
        if restore.upload.is_some() {
            (job.tell)(&format!("Sending: {}", before.file));
            send(target, &before, applying)?;
        }
        let Some(point) = &point else {
            let back = if restore.undo.is_empty() { &restore.apply } else { &restore.undo };
            return apply(job, target, back, &before);
        };
        if restore.upload.is_some() {
            (job.tell)(&format!("Sending: {}", point.file));
            send(target, point, applying)?;
        }
        for action in &restore.check {
            (job.tell)(&format!("Checking: {}", point.shown(action)));
            target.run(action, &point.fill(action))?;
        }
        job.mark(Mark::Changing { path: path.clone() })?;
        apply(job, target, &restore.apply, point)?;
        job.mark(Mark::Changed { path })
    })
}

/// Sends a file. Where something was made active already, both files were there before it, and what stands now may be
/// what takes no files.
fn send(target: &mut dyn Target, sent: &Sent, applying: bool) -> Result<(), DeviceRestoreError> {
    match target.upload(&sent.file, &sent.content) {
        Err(ActError::Refused { .. }) if applying => Ok(()),
        done => Ok(done?),
    }
}

fn apply(job: &mut Job<'_, '_>, target: &mut dyn Target, actions: &[Action], sent: &Sent) -> Result<(), DeviceRestoreError> {
    job.mark(Mark::Applying)?;
    for action in actions {
        (job.tell)(&format!("Running: {}", sent.shown(action)));
        target.run(action, &sent.fill(action))?;
    }
    job.mark(Mark::Applied)
}

/// The configuration that is sent, without what `show` prints before one.
fn content(job: &mut Job<'_, '_>, at: usize, towards: Towards) -> Result<Zeroizing<Vec<u8>>, DeviceRestoreError> {
    let path = job.record.facts.items[at].path.clone();
    let mut bytes = job.with_content(at, towards, |content| {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = content.read_to_end(&mut bytes);
        read.map_err(|source| ActError::Content { path: path.to_string(), source })?;
        Ok(bytes)
    })?;
    job.hide_secrets(&path, &bytes);
    if let Some(command) = job.site.profile.commands().iter().find(|command| command.path == path) {
        let head = command.head_len(&bytes);
        bytes.drain(..head);
    }
    Ok(bytes)
}

/// Makes what the device runs on last over a restart.
pub(super) fn save(job: &mut Job<'_, '_>) -> Result<(), DeviceRestoreError> {
    let (site, run, folder) = (job.site, job.record.facts.run.clone(), job.record.dir().to_owned());
    let actions = site.profile.restore().map(|restore| restore.save.clone()).unwrap_or_default();
    if actions.is_empty() {
        return Ok(());
    }
    job.mark(Mark::Saving)?;
    site.work(&run, &folder, |target| {
        actions.iter().try_for_each(|action| {
            (job.tell)(&format!("Running: {}", action.run));
            Ok(target.run(action, &action.run)?)
        })
    })
}

/// Takes what was sent away again, where anything was.
pub(super) fn clean(site: &Site<'_>, record: &Record) -> Result<(), DeviceRestoreError> {
    let restore = site.profile.restore().filter(|restore| restore.upload.is_some() && !restore.clean.is_empty());
    let Some(restore) = restore.filter(|_| record.marks.iter().any(|mark| matches!(mark, Mark::Towards { .. }))) else {
        return Ok(());
    };
    let gone = |said: &Said| said.expose().to_ascii_lowercase().windows(12).any(|words| words == b"no such file");
    site.work(&record.facts.run, record.dir(), |target| {
        let mut first = Ok(());
        for (file, action) in names(restore).iter().flat_map(|file| restore.clean.iter().map(move |action| (file, action))) {
            match target.run(action, &action.run.replace("{file}", file)) {
                // The first file may be all that was sent.
                Err(error) if error.said().is_some_and(gone) => {}
                Err(error) if error.broke() => return Err(error.into()),
                other => first = first.and(other),
            }
        }
        Ok(first?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_set_before_lies_beside_the_new_one() {
        for (upload, before) in [
            ("flash:new.cfg", "flash:new-before.cfg"),
            ("/var/tmp/a.b/new", "/var/tmp/a.b/new-before"),
            ("flash0:new", "flash0:new-before"),
        ] {
            assert_eq!(name_before(upload), before);
        }
    }
}
