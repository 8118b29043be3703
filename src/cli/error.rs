//! What a command failed with, and what to do about it.

use std::error::Error;
use std::io;

use super::context::Context;
use super::exit::Exit;
use super::hints;
use crate::inventory::InventoryError;
use crate::model::{self, DeviceName};
use crate::ops::restore::RestoreError;
use crate::{ops, store};

/// A command that failed: the facts come from the rooms, the exit code and the advice from here.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
    silent: bool,
}

impl CommandError {
    /// Makes an error of a room's error.
    pub(crate) fn new(exit: Exit, source: impl Into<Box<dyn Error + Send + Sync>>, hints: Vec<String>) -> Self {
        Self { exit, source: source.into(), hints, silent: false }
    }

    /// Makes an error of how the command was used.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text.into(), Vec::new())
    }

    /// Takes the parser's error on a value that is not what an argument takes, without the value.
    pub(crate) fn value(error: &clap::Error) -> Self {
        let argument = error.get(clap::error::ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        let cause = error.source().map(|cause| chain(cause).join(": ")).unwrap_or_default();
        let text = match cause.strip_prefix("Not a ") {
            Some(rest) => format!("{argument} is not a {rest}"),
            None => format!("Not a value of {argument}: {cause}"),
        };
        let url = error.source().and_then(|cause| cause.downcast_ref::<crate::inventory::UrlError>());
        let hints = url.map(|error| hints::url(error).1).filter(|hints| !hints.is_empty());
        Self::new(Exit::Usage, text, hints.unwrap_or_else(|| vec!["`--help` shows what it takes".to_owned()]))
    }

    /// Makes a plain failure.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, text.into(), Vec::new())
    }

    /// Takes the error of what writes to standard output: silent if its reader has gone.
    pub(crate) fn of_output<E: Error + Send + Sync + 'static>(error: E) -> Self
    where
        Self: From<E>,
    {
        let mut at: Option<&(dyn Error + 'static)> = Some(&error);
        let mut silent = false;
        while let Some(cause) = at {
            silent |= cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
            at = cause.source();
        }
        Self { silent, ..Self::from(error) }
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says which paths of a set may be meant.
    pub(crate) fn near_path(self, near: &[String]) -> Self {
        self.hint(hints::near_path(near))
    }

    /// Says which device the advice is about, where it has NAME in its place.
    pub(crate) fn about(mut self, device: &DeviceName) -> Self {
        for hint in &mut self.hints {
            *hint = hint.replace("NAME", device.as_str());
        }
        self
    }

    /// Says of a device that the store does not know and the inventory does that it was never taken; of a device or a mirror that
    /// neither knows, which of the inventory may be meant.
    ///
    /// Where an identity is wanted: which file has the one that `init` made, if it still lies where `init` put it.
    pub(crate) fn known_to(mut self, context: &Context) -> Self {
        if self.hints.iter().any(|hint| hint == hints::IDENTITY)
            && let Some(path) = context.made_identity()
        {
            self.hints.insert(0, format!("the one that `confvault init` made: `--identity {}`", path.display()));
        }
        let Ok(known) = context.inventory() else { return self };
        let near = match self.not_listed() {
            Some(InventoryError::NoMirror(name)) => model::near(name.as_str(), known.mirrors.keys().map(|name| name.as_str())),
            Some(InventoryError::NoDevice(name)) => {
                model::near(name.as_str(), known.devices().map(|device| device.name.as_str()))
            }
            _ => Vec::new(),
        };
        if !near.is_empty() {
            return Self { hints: [vec![hints::near_words(&near)], self.hints].concat(), ..self };
        }
        let Some(device) = self.no_device() else { return self };
        if known.device(&device).is_err() {
            let near = model::near(device.as_str(), known.devices().map(|device| device.name.as_str()));
            return match near.is_empty() || self.hints.iter().any(|hint| hint.starts_with("near: ")) {
                true => self,
                false => Self { hints: vec![hints::near_words(&near)], ..self },
            };
        }
        let hints = vec![
            format!("`confvault snapshot {device}` takes one"),
            format!("`confvault journal --device {device}` shows what became of earlier tries"),
        ];
        // The command line is right; what it asks for is not there yet.
        Self { exit: Exit::Failed, hints, source: format!("Device has no generation yet: {device}").into(), ..self }
    }

    /// The error of the inventory, if it is one.
    fn not_listed(&self) -> Option<&InventoryError> {
        let source = self.source.as_ref() as &(dyn Error + 'static);
        let of_job = source.downcast_ref::<ops::Error>().and_then(|error| match error {
            ops::Error::Inventory(error) => Some(error),
            _ => None,
        });
        source.downcast_ref::<InventoryError>().or(of_job)
    }

    /// The device that the store does not know, if that is the error.
    fn no_device(&self) -> Option<DeviceName> {
        let source = self.source.as_ref() as &(dyn Error + 'static);
        let of_job = source.downcast_ref::<ops::Error>().and_then(|error| match error {
            ops::Error::Store(error) | ops::Error::Restore(RestoreError::Store(error)) => Some(error),
            _ => None,
        });
        let of_restore = source.downcast_ref::<RestoreError>().and_then(|error| match error {
            RestoreError::Store(error) => Some(error),
            _ => None,
        });
        match source.downcast_ref::<store::Error>().or(of_job).or(of_restore)? {
            store::Error::NoDevice { device, .. } => Some(device.clone()),
            _ => None,
        }
    }

    /// Leaves out the advice to run a command that was run.
    pub(crate) fn without(mut self, command: &str) -> Self {
        self.hints.retain(|hint| !hint.contains(command));
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells whether nothing is to be said: whoever read the output has gone.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// What to do.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The error and its causes, one line each.
    pub(crate) fn texts(&self) -> Vec<String> {
        chain(self.source.as_ref())
    }
}

/// Gives an error and its causes, one line each, none twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![one_line(&error.to_string())];
    let mut at = error.source();
    while let Some(cause) = at {
        let text = one_line(&cause.to_string());
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        at = cause.source();
    }
    texts
}

/// Makes one line of the message of a parser that draws the place: the drawing, which repeats the text
/// of the file, is left out.
fn one_line(text: &str) -> String {
    let drawn = |line: &&str| {
        let rest = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        !rest.is_empty() && !rest.starts_with('|')
    };
    if text.contains('\n') { text.lines().filter(drawn).map(str::trim).collect::<Vec<_>>().join(": ") } else { text.to_owned() }
}

impl From<io::Error> for CommandError {
    /// Takes the error of writing to standard output.
    fn from(error: io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::new(Exit::Failed, error, Vec::new()) }
    }
}

/// Takes the errors of the rooms, with the advice that belongs to them.
macro_rules! from_room {
    ($($error:ty => $advice:path),+ $(,)?) => {$(
        impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                let (exit, hints) = $advice(&error);
                Self::new(exit, error, hints)
            }
        }
    )+};
}

from_room! {
    InventoryError => hints::inventory,
    crate::inventory::UrlError => hints::url,
    crate::profile::ProfileError => hints::profile,
    crate::collect::CollectError => hints::collect,
    crate::collect::inventories::ListError => hints::list,
    crate::store::Error => hints::store,
    crate::seal::Error => hints::seal,
    crate::ops::keys::KeyError => hints::keys,
    crate::diff::Error => hints::diff,
    crate::fsio::Error => hints::disk,
    crate::mirror::MirrorError => hints::mirror,
    crate::ops::restore::RestoreError => hints::restore,
    crate::ops::Error => hints::ops,
}
