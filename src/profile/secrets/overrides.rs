//! The user's own word on what is masked: `[[never-mask]]` and `[[always-mask]]` of the inventory.

use std::sync::Arc;

use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

use super::SecretSpan;
use super::finder::{ALWAYS, lines};
use crate::model::ConfigPath;
use crate::profile::pattern::{self, Spelt};
use crate::profile::{ProfileError, globs};

/// One `[[never-mask]]` or `[[always-mask]]` of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaskRule {
    /// Regular expression, matched against each line. A group `secret` limits it to that group.
    pub regex: String,
    /// Name of the profile, as a glob; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Globs of files, as in profiles; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Why; shown by `confvault secrets`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The compiled rules of an inventory.
#[derive(Debug, Clone, Default)]
pub struct MaskOverrides {
    pub(super) never: Vec<Compiled>,
    pub(super) always: Vec<Compiled>,
    /// The first of `always` that has in it what it masks.
    spelt: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub(super) regex: regex::bytes::Regex,
    pub(super) profile: Option<GlobMatcher>,
    pub(super) paths: Vec<GlobMatcher>,
    pub(super) text: String,
}

impl Compiled {
    fn new(rule: &MaskRule) -> Result<Self, ProfileError> {
        let bad_glob = |text: &str, source| ProfileError::OverrideGlob { glob: text.to_owned(), source };
        let regex = pattern::compile(&rule.regex)
            .map_err(|source| ProfileError::OverrideRegex { regex: rule.regex.clone(), source: Box::new(source) })?;
        let profile = match &rule.profile {
            Some(text) => Some(globset::Glob::new(text).map_err(|e| bad_glob(text, e))?.compile_matcher()),
            None => None,
        };
        let mut paths = Vec::new();
        for text in &rule.paths {
            paths.push(globs::glob(text).map_err(|e| bad_glob(text, e))?.compile_matcher());
        }
        let text = serde_json::to_string(rule).unwrap_or_default();
        Ok(Self { regex, profile, paths, text })
    }

    /// Tells whether the rule holds for a file of a profile.
    pub(super) fn holds(&self, profile: &str, path: &ConfigPath) -> bool {
        self.profile.as_ref().is_none_or(|glob| glob.is_match(profile))
            && (self.paths.is_empty() || self.paths.iter().any(|glob| glob.is_match(globs::as_path(path))))
    }
}

impl MaskOverrides {
    /// Compiles the rules.
    ///
    /// # Errors
    /// [`ProfileError::OverrideRegex`], [`ProfileError::OverrideGlob`].
    pub fn new(never: &[MaskRule], always: &[MaskRule]) -> Result<Self, ProfileError> {
        Ok(Self {
            spelt: always.iter().position(|rule| pattern::spelt(&rule.regex) != Spelt::No),
            never: never.iter().map(Compiled::new).collect::<Result<_, _>>()?,
            always: always.iter().map(Compiled::new).collect::<Result<_, _>>()?,
        })
    }

    /// Refuses what must not go on to a mirror. Who reads, restores or rebuilds a store is not stopped by it.
    ///
    /// # Errors
    /// [`ProfileError::OverrideSpelt`] for a rule that has in it what it masks: the inventory goes to every mirror in clear.
    pub fn fit_to_be_sent(&self) -> Result<(), ProfileError> {
        self.spelt.map_or(Ok(()), |at| Err(ProfileError::OverrideSpelt { number: at + 1 }))
    }

    /// Gives what `[[always-mask]]` takes of a text of a profile; the spans may overlap.
    #[must_use]
    pub fn always(&self, profile: &str, path: &ConfigPath, text: &[u8]) -> Vec<SecretSpan> {
        if self.always.is_empty() {
            return Vec::new();
        }
        let name: Arc<str> = ALWAYS.into();
        let mut spans = Vec::new();
        for rule in self.always.iter().filter(|rule| rule.holds(profile, path)) {
            for line in lines(text) {
                for found in rule.regex.captures_iter(&text[line.clone()]) {
                    let Some(part) = found.name("secret").or_else(|| found.get(0)).filter(|part| !part.is_empty()) else {
                        continue;
                    };
                    spans.push(SecretSpan { range: line.start + part.start()..line.start + part.end(), rule: name.clone() });
                }
            }
        }
        spans
    }

    /// Gives the rules in one text, for [`masks_id`](crate::profile::Profile::masks_id).
    pub(in crate::profile) fn canonical(&self) -> String {
        let lines = |rules: &[Compiled]| rules.iter().map(|r| r.text.as_str()).collect::<Vec<_>>().join("\n");
        format!("never\n{}\nalways\n{}\n", lines(&self.never), lines(&self.always))
    }
}
