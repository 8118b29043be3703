//! Globs over the paths of a set.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Glob, GlobBuilder};

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
