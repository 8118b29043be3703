//! Which paths of a set are meant.

use globset::{GlobBuilder, GlobMatcher};

use crate::model::{ConfigPath, Scope};

/// Chooses paths of a set by texts: `SCOPE/PATH` or `PATH`, a file or a folder with everything below
/// it, or a glob (`*`, `?`, `[…]`, `**`). No text at all chooses everything.
#[derive(Debug, Default)]
pub struct PathFilter {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    text: String,
    /// The raw bytes that the text stands for, if it can be a path.
    bytes: Option<Vec<u8>>,
    glob: Option<GlobMatcher>,
}

impl PathFilter {
    /// Reads the texts. A `/` before and behind is left out; a path may be in its written form (`%XX`).
    #[must_use]
    pub fn new(texts: &[String]) -> Self {
        let rules = texts.iter().map(|text| {
            let inner = text.strip_prefix("./").unwrap_or(text).trim_matches('/');
            let bytes = inner.parse::<ConfigPath>().ok().or_else(|| ConfigPath::new(inner).ok());
            let glob = if inner.contains(['*', '?', '[']) {
                GlobBuilder::new(inner).literal_separator(true).build().ok().map(|glob| glob.compile_matcher())
            } else {
                None
            };
            Rule { text: text.clone(), bytes: bytes.map(|path| path.as_bytes().to_vec()), glob }
        });
        Self { rules: rules.collect() }
    }

    /// Tells whether everything is chosen.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.rules.is_empty()
    }

    /// Tells whether an entry is chosen.
    #[must_use]
    pub fn matches(&self, scope: Scope, path: &ConfigPath) -> bool {
        self.is_all() || self.rules.iter().any(|rule| rule.matches(scope, path))
    }

    /// Gives the texts that choose none of the entries.
    pub fn unused<'a>(&self, entries: impl Iterator<Item = (Scope, &'a ConfigPath)> + Clone) -> Vec<String> {
        let used = |rule: &&Rule| !entries.clone().any(|(scope, path)| rule.matches(scope, path));
        self.rules.iter().filter(used).map(|rule| rule.text.clone()).collect()
    }
}

/// Gives up to three entries that may be meant by texts that choose none, as `SCOPE/PATH`, sorted: those that a text ends with
/// (a path of the device where the set has it without the folder of its source), else those with its file name or one that is like it.
pub fn near<'a>(texts: &[String], entries: impl Iterator<Item = (Scope, &'a ConfigPath)> + Clone) -> Vec<String> {
    let shown = |(scope, path): (Scope, &ConfigPath)| format!("{}/{path}", scope.as_str());
    let file_name = |text: &str| text.trim_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let mut found = std::collections::BTreeSet::new();
    for text in texts {
        let ends = |path: &ConfigPath| text.strip_suffix(&path.to_string()).is_some_and(|front| front.ends_with('/'));
        let whole: Vec<String> = entries.clone().filter(|(_, path)| ends(path)).map(shown).collect();
        if !whole.is_empty() {
            found.extend(whole);
            continue;
        }
        let names: Vec<(String, String)> = entries.clone().map(|entry| (file_name(&entry.1.to_string()), shown(entry))).collect();
        let like = crate::model::near(&file_name(text), names.iter().map(|(name, _)| name.as_str()));
        let nearest = like.first().map(String::as_str);
        found.extend(names.iter().filter(|(name, _)| Some(name.as_str()) == nearest).map(|(_, shown)| shown.clone()));
    }
    found.into_iter().take(3).collect()
}

impl Rule {
    fn matches(&self, scope: Scope, path: &ConfigPath) -> bool {
        let path = path.as_bytes();
        let full = [scope.as_str().as_bytes(), b"/", path].concat();
        let below = |rule: &[u8], path: &[u8]| path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        if self.bytes.as_ref().is_some_and(|rule| below(rule, path) || below(rule, &full)) {
            return true;
        }
        let is = |bytes: &[u8]| self.glob.as_ref().is_some_and(|glob| glob.is_match(as_path(bytes)));
        is(path) || is(&full)
    }
}

fn as_path(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_a_folder_a_scope_and_a_glob_choose() {
        let path = |text: &str| text.parse::<ConfigPath>().unwrap();
        let chosen = |rule: &str, entry: &str| PathFilter::new(&[rule.to_owned()]).matches(Scope::Voip, &path(entry));
        for rule in ["etc/sip.conf", "etc", "/etc/", "voip", "voip/etc/sip.conf", "*/sip.conf", "**/*.conf", "voip/**", "./etc"] {
            assert!(chosen(rule, "etc/sip.conf"), "{rule}");
        }
        for rule in ["et", "etc/sip", "sip.conf", "*.conf", "system/etc/sip.conf", "etc/sip.conf/x", "../etc"] {
            assert!(!chosen(rule, "etc/sip.conf"), "{rule}");
        }
        assert!(chosen("a%0Ab", "a%0Ab") && PathFilter::default().matches(Scope::Logs, &path("x")));
        let both = PathFilter::new(&["etc".into(), "nothing".into()]);
        let paths = [path("etc/a")];
        assert_eq!(both.unused(paths.iter().map(|p| (Scope::Voip, p))), ["nothing"]);
    }
}
