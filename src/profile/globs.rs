//! Globs over the paths of a set.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Glob, GlobBuilder};

use super::pattern::Pattern;
use crate::model::ConfigPath;

/// Makes a glob as profiles write it: a leading `/` ties it to the root of the set, else it may
/// begin below any directory; `*` and `?` stay within a component, `**` does not.
pub(crate) fn glob(text: &str) -> Result<Glob, globset::Error> {
    let tied = match text.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if text.starts_with("**/") || text == "**" => text.to_owned(),
        None => format!("**/{text}"),
    };
    GlobBuilder::new(&tied).literal_separator(true).backslash_escape(true).build()
}

/// Gives the path in the form that globs match.
pub(crate) fn as_path(path: &ConfigPath) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

/// Tells whether one of the globs matches one of the paths. Those of a profile were checked when it was loaded.
pub(crate) fn any_matches<'p>(globs: &[Pattern], mut paths: impl Iterator<Item = &'p ConfigPath>) -> bool {
    let matches = matcher(globs);
    paths.any(matches)
}

/// Tells of each path whether one of the globs matches it.
pub(crate) fn matcher(globs: &[Pattern]) -> impl Fn(&ConfigPath) -> bool + use<> {
    let matchers: Vec<_> = globs.iter().filter_map(|text| Some(glob(text.as_str()).ok()?.compile_matcher())).collect();
    move |path| matchers.iter().any(|matcher| matcher.is_match(as_path(path)))
}
