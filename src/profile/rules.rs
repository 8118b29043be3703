//! A profile that is ready to answer.

use std::borrow::Cow;

use super::language::{Collect, Command, Health, ProfileFile, Restore, Session};
use super::secrets::{MaskOverrides, SecretSpan};
use super::syntax::Syntax;
use crate::model::{ConfigPath, Release, Scope};

/// What a profile says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The file is part of the set.
    Scope(Scope),
    /// The file is no part of the set.
    Skip,
    /// No rule claims it: it is kept in scope `system` and reported.
    Unclaimed,
}

/// A profile: everything known of a device family.
#[derive(Debug)]
pub struct Profile {
    file: ProfileFile,
}

impl Profile {
    pub(super) fn new(file: ProfileFile) -> Self {
        Self { file }
    }

    /// Gives the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// Gives the title, one line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Lists in words what was never verified on a device or in a source.
    #[must_use]
    pub fn unverified(&self) -> Vec<String> {
        self.file.unverified.clone()
    }

    /// Says which scope a file has.
    #[must_use]
    pub fn claim(&self, _path: &ConfigPath) -> Claim {
        Claim::Unclaimed
    }

    /// Finds the release. `paths` are those of the set, outputs of commands included; `read` gives
    /// the bytes of one, and is asked only for those that a rule names.
    ///
    /// A rule that finds two different releases counts as one that finds none.
    #[must_use]
    pub fn release(&self, _paths: &[ConfigPath], _read: &mut dyn FnMut(&ConfigPath) -> Option<Vec<u8>>) -> Option<Release> {
        None
    }

    /// Identifies the rules of [`Profile::normalise`]: 16 hexadecimal digits.
    #[must_use]
    pub fn rules_id(&self) -> String {
        "0".repeat(16)
    }

    /// Identifies the rules of [`Profile::secrets`]: 16 hexadecimal digits.
    #[must_use]
    pub fn masks_id(&self, _overrides: &MaskOverrides) -> String {
        "0".repeat(16)
    }

    /// Gives a file without what is volatile in it; borrowed where there is nothing to leave out.
    #[must_use]
    pub fn normalise<'a>(&self, _path: &ConfigPath, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(bytes)
    }

    /// Gives the syntax of a file, by the rules, its name, or its first bytes.
    #[must_use]
    pub fn syntax(&self, _path: &ConfigPath, _bytes: &[u8]) -> Syntax {
        Syntax::Plain
    }

    /// Finds the secrets of a text, sorted and not overlapping; none in a file with a NUL byte.
    #[must_use]
    pub fn secrets(&self, _path: &ConfigPath, _bytes: &[u8], _overrides: &MaskOverrides) -> Vec<SecretSpan> {
        Vec::new()
    }

    /// Finds texts of high entropy that lie in none of `spans`, the answer of [`Profile::secrets`].
    /// Their rule is `suspect`.
    #[must_use]
    pub fn suspects(&self, _path: &ConfigPath, _bytes: &[u8], _spans: &[SecretSpan]) -> Vec<SecretSpan> {
        Vec::new()
    }

    /// Gives what the profile says about collecting.
    #[must_use]
    pub fn collect(&self) -> Option<&Collect> {
        self.file.collect.as_ref()
    }

    /// Gives how commands reach the device.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.file.session.as_ref()
    }

    /// Gives the commands whose output is part of the set.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.file.command
    }

    /// Gives how a set is put back.
    #[must_use]
    pub fn restore(&self) -> Option<&Restore> {
        self.file.restore.as_ref()
    }

    /// Gives the commands that tell whether the device is well.
    #[must_use]
    pub fn health(&self) -> &[Health] {
        &self.file.health
    }
}
