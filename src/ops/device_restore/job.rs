//! One restore while it is at work: the record, the way to the contents, and what may be shown of them.

use std::io::{self, Read, Write as _};

use super::error::{DeviceRestoreError, Failed};
use super::goal::Goal;
use super::item::{Form, Towards};
use super::record::{Mark, Record};
use super::site::{Now, Site};
use crate::collect::act::{ActError, Said};
use crate::model::{ConfigPath, Content, Digest, Kind};
use crate::ops::Error;
use crate::seal::{DigestWriter, Opener, Sealer, Secret};
use crate::store::{Access, Decoded, Line, Store};

/// Files up to this size go through memory, in bytes.
const SMALL: u64 = 8 << 20;

/// Seals what is kept for the way back, and opens it.
pub(super) struct Keeper {
    pub(super) sealer: Sealer,
    opener: Opener,
}

impl Keeper {
    /// Seals to the newest epoch, so that only an identity of an administrator opens it; where a store keeps
    /// secrets in clear, to the collector's own identity.
    pub(super) fn new(site: &Site<'_>) -> Result<Self, DeviceRestoreError> {
        let vault = site.tools.vault;
        match &vault.sealer {
            Some(sealer) => {
                let opener = site.tools.reader.access().opener.filter(|opener| opener.identity(sealer.epoch()).is_some());
                let opener = opener.cloned().ok_or(DeviceRestoreError::NeedsIdentity)?;
                Ok(Self { sealer: sealer.clone(), opener })
            }
            None => {
                let own = vault.ring.own_identity().map_err(Error::from)?;
                let mut opener = Opener::default();
                let sealer = Sealer::new(0, own.recipient());
                opener.insert(0, own);
                Ok(Self { sealer, opener })
            }
        }
    }
}

/// A restore at work.
pub(super) struct Job<'j, 'a> {
    pub(super) site: &'j Site<'a>,
    pub(super) goal: &'j Goal<'a>,
    pub(super) record: &'j mut Record,
    pub(super) keeper: &'j Keeper,
    /// Values that are not to be shown, of the files that were touched so far.
    pub(super) secrets: Vec<Secret>,
    /// Is told what is done.
    pub(super) tell: &'j mut dyn FnMut(&str),
}

impl Job<'_, '_> {
    pub(super) fn mark(&mut self, mark: Mark) -> Result<(), DeviceRestoreError> {
        self.record.mark(mark)
    }

    /// How the entries stand, in the order of the items.
    pub(super) fn found(&self, now: &Now) -> Result<Vec<Option<Form>>, DeviceRestoreError> {
        let by_path: std::collections::HashMap<&ConfigPath, _> =
            now.set.entries().iter().map(|entry| (&entry.path, entry)).collect();
        let found = |path| by_path.get(path).map(|entry| self.goal.found(entry, self.site)).transpose();
        let items = self.record.facts.items.iter();
        items.map(|item| found(&item.path)).collect::<Result<_, Error>>().map_err(DeviceRestoreError::from)
    }

    /// Keeps how the entries stand.
    pub(super) fn keep(&mut self, now: &Now) -> Result<(), DeviceRestoreError> {
        self.record.begin_keeping()?;
        let by_path: std::collections::HashMap<&ConfigPath, _> =
            now.set.entries().iter().map(|entry| (&entry.path, entry)).collect();
        for (index, item) in self.record.facts.items.iter().enumerate() {
            if item.before.as_ref().is_none_or(|form| form.kind == Kind::Directory) {
                continue;
            }
            let Some(entry) = by_path.get(&item.path) else { continue };
            match &entry.content {
                Content::Bytes(bytes) => self.record.keep(index, &mut bytes.as_slice(), &self.keeper.sealer)?,
                Content::Spooled { file, .. } => {
                    let unread = |source| Error::from(crate::fsio::Error::new("read", file, source));
                    let mut file = std::fs::File::open(file).map_err(unread)?;
                    self.record.keep(index, &mut file, &self.keeper.sealer)?;
                }
                // Everything was read.
                Content::Same(_) => {}
            }
            // What was kept must be what the plan is about.
            self.with_content(index, Towards::Before, |content| io::copy(content, &mut io::sink()).map(drop).map_err(unread))?;
        }
        self.record.finish_keeping()?;
        self.record.mark(Mark::Kept)
    }

    /// Gives the content of an entry as a direction asks for it to `take`, whole and proven. Where a digest does not fit, an
    /// error of reading comes in place of its end; a large file may seem to end there, and the error comes in place of what
    /// `take` gave.
    pub(super) fn with_content<T>(
        &self,
        index: usize,
        towards: Towards,
        take: impl FnOnce(&mut dyn Read) -> Result<T, DeviceRestoreError>,
    ) -> Result<T, DeviceRestoreError> {
        let item = &self.record.facts.items[index];
        match towards {
            Towards::Before => {
                let epoch = self.record.facts.sealed_to;
                let reader = self.record.kept(index, epoch, &self.keeper.opener)?;
                let plain = item.before.as_ref().and_then(|form| form.plain);
                let digest = self.goal.keys().digest_writer();
                take(&mut Proven { reader, digest: Some(digest), plain })
            }
            Towards::Point => {
                let line = self.goal.line(&item.path).ok_or(DeviceRestoreError::NeedsIdentity)?;
                if line.body.is_some_and(|body| body.form.chunked() && body.size > SMALL) {
                    return self.with_large(line, take);
                }
                match self.goal.set.read(line)? {
                    Decoded::Plain(bytes) => take(&mut bytes.as_slice()),
                    Decoded::Masked(_) => Err(DeviceRestoreError::NeedsIdentity),
                }
            }
        }
    }

    /// A large file comes piece by piece from a thread of its own.
    fn with_large<T>(
        &self,
        line: &Line,
        take: impl FnOnce(&mut dyn Read) -> Result<T, DeviceRestoreError>,
    ) -> Result<T, DeviceRestoreError> {
        let (mut reader, writer) = io::pipe().map_err(|source| DeviceRestoreError::from(unread_error(line, source)))?;
        let tools = self.site.tools;
        let (store, access): (&Store, Access<'_>) = (&tools.reader.store, tools.reader.access());
        let (generation, line) = (self.goal.generation(), line.clone());
        std::thread::scope(|scope| {
            let producer = scope.spawn(move || {
                let set = store.read_set(&store.refs()?, generation, access)?;
                let mut writer = writer;
                set.copy(&line, &mut writer)?;
                writer.flush().map_err(crate::store::Error::Output)
            });
            let taken = take(&mut reader);
            // A producer whose reader went away must not wait for it.
            drop(reader);
            joined(producer.join(), taken)
        })
    }

    /// Remembers what of a file must not be shown.
    pub(super) fn hide_secrets(&mut self, path: &ConfigPath, bytes: &[u8]) {
        let spans = self.site.profile.secrets(path, bytes, self.site.tools.vault.overrides());
        let values = spans.into_iter().map(|span| &bytes[span.range]).filter(|value| value.len() > 3);
        self.secrets.extend(values.map(Secret::new));
    }

    /// Adds to a failed step the line of what was said that tells most, without any secret; all of it is logged.
    pub(super) fn explain(&self, error: DeviceRestoreError) -> DeviceRestoreError {
        match error {
            DeviceRestoreError::Step(Failed { source, said: None }) => {
                let said = source.said().and_then(|said| self.telling_line(said.expose()));
                DeviceRestoreError::Step(Failed { source, said })
            }
            other => other,
        }
    }

    fn telling_line(&self, said: &[u8]) -> Option<String> {
        const WORDS: [&str; 7] = ["error", "critical", "fail", "invalid", "unknown", "denied", "line "];
        let lines = self.lines(said)?;
        for line in &lines {
            tracing::info!("said: {line}");
        }
        let tells = |line: &&String| WORDS.iter().any(|word| line.to_lowercase().contains(word));
        let line = lines.iter().find(tells).or(lines.last())?;
        Some(line.chars().take(300).collect())
    }

    /// The lines of what was said, secrets taken out and control characters made visible.
    fn lines(&self, said: &[u8]) -> Option<Vec<String>> {
        // Where the beginning was dropped, the first line may begin within a secret.
        let cut = if said.len() < Said::LIMIT { 0 } else { said.iter().position(|byte| *byte == b'\n').unwrap_or(0) };
        let mut text = said[cut..].to_vec();
        for secret in &self.secrets {
            text = replace(&text, secret.expose());
        }
        let path: ConfigPath = "said".parse().ok()?;
        let spans = self.site.profile.secrets(&path, &text, self.site.tools.vault.overrides());
        for span in spans.into_iter().rev() {
            text.splice(span.range, b"[secret]".iter().copied());
        }
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let visible = |c: char| if c.is_control() { c.escape_debug().collect() } else { vec![c] };
        Some(lines.map(|line| line.chars().flat_map(visible).collect()).collect())
    }
}

fn replace(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for found in memchr::memmem::find_iter(text, secret) {
        out.extend_from_slice(&text[at..found]);
        out.extend_from_slice(b"[secret]");
        at = found + secret.len();
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// How a large content was taken: what its producer could not read whole was not taken, whatever the reader made of it. A
/// reader that wants no more closes the pipe, which is no failure.
fn joined<T>(
    produced: std::thread::Result<Result<(), crate::store::Error>>,
    taken: Result<T, DeviceRestoreError>,
) -> Result<T, DeviceRestoreError> {
    match produced {
        Ok(Ok(()) | Err(crate::store::Error::Output(_))) => taken,
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn unread(source: io::Error) -> DeviceRestoreError {
    ActError::Content { path: "what is kept for the way back".to_owned(), source }.into()
}

fn unread_error(line: &Line, source: io::Error) -> ActError {
    ActError::Content { path: line.path.to_string(), source }
}

/// Reads something and, at its end, makes sure that it is what it should be.
struct Proven<R> {
    reader: R,
    digest: Option<DigestWriter>,
    plain: Option<Digest>,
}

impl<R: Read> Read for Proven<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            if let Some(digest) = &mut self.digest {
                digest.update(&buffer[..count]);
            }
            return Ok(count);
        }
        match self.digest.take().map(DigestWriter::finish) {
            Some(found) if Some(found) != self.plain => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "what was kept is damaged"))
            }
            _ => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_not_taken() {
        let damaged = || crate::store::Error::BatchBroken(None);
        let text = "no end";
        assert!(matches!(joined(Ok(Err(damaged())), Ok(text)), Err(DeviceRestoreError::Job(_))));
        assert!(std::panic::catch_unwind(|| joined(Err(Box::new("broke")), Ok(text)).is_ok()).is_err());
        let closed = crate::store::Error::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(joined(Ok(Err(closed)), Ok(text)).unwrap(), text);
        assert_eq!(joined(Ok(Ok(())), Ok(text)).unwrap(), text);
    }
}
