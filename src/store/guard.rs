//! What a repository must not have before this process works with it.

use std::path::Path;

use super::error::{Error, Result};
use super::repo::owner;

/// Checks owner, settings and the files that would hide or add objects.
pub(super) fn check(dir: &Path) -> Result<()> {
    for part in ["", "HEAD", "config", "objects", "objects/pack", "refs"] {
        check_owner(&dir.join(part))?;
    }
    check_settings(&dir.join("config"))?;
    let refused = |setting: &str| Err(Error::RefusedSetting { setting: setting.to_owned() });
    // Objects elsewhere, histories cut short or rewritten: `git` and this process would see other stores.
    for file in
        ["objects/info/alternates", "objects/info/http-alternates", "shallow", "info/grafts", "commondir", "config.worktree"]
    {
        if dir.join(file).exists() {
            return refused(file);
        }
    }
    Ok(())
}

fn check_owner(path: &Path) -> Result<()> {
    match owner(path) {
        Ok((user, owner)) if user == owner => Ok(()),
        Ok((user, owner)) => Err(Error::ForeignOwner { path: path.to_owned(), owner, user }),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Refuses settings that run programs, read other files, or change what the files mean.
fn check_settings(path: &Path) -> Result<()> {
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let corrupt = || Error::CorruptFile { what: "settings do not parse".into(), path: path.to_owned() };
    let meta = gix::config::file::Metadata::api();
    let config = gix::config::File::from_bytes_no_includes(&text, meta, gix::config::file::init::Options::default())
        .map_err(|_| corrupt())?;
    for section in config.sections() {
        let header = section.header();
        let name = header.name().to_string().to_ascii_lowercase();
        let body = section.body();
        for key in body.value_names() {
            let key = key.to_ascii_lowercase();
            // A value that is missing (`key` alone) means "true".
            let values: Vec<String> = body.values(&key).iter().map(|v| v.to_string().to_ascii_lowercase()).collect();
            if is_refused(&name, &key, &values) {
                return Err(Error::RefusedSetting { setting: format!("{name}.{key}") });
            }
        }
        // `[include]` alone does nothing, but nobody writes it without a purpose.
        if matches!(name.as_str(), "include" | "includeif") {
            return Err(Error::RefusedSetting { setting: name });
        }
    }
    Ok(())
}

fn is_refused(section: &str, key: &str, values: &[String]) -> bool {
    let only = |allowed: &[&str]| !values.iter().all(|v| allowed.contains(&v.as_str()));
    match (section, key) {
        ("extensions", "objectformat") => only(&["sha1"]),
        ("extensions", "refstorage") => only(&["files"]),
        ("extensions", _) => true,
        ("core", "repositoryformatversion") => only(&["0", "1"]),
        ("core", "bare") => only(&["true", "yes", "on", "1"]),
        (
            "core",
            "hookspath"
            | "fsmonitor"
            | "sshcommand"
            | "gitproxy"
            | "askpass"
            | "editor"
            | "pager"
            | "worktree"
            | "attributesfile"
            | "alternaterefscommand"
            | "alternaterefsprefixes",
        ) => true,
        ("filter" | "alias" | "credential" | "include" | "includeif" | "pager" | "sequence" | "gpg" | "protocol", _) => true,
        ("diff" | "merge" | "mergetool" | "difftool", "command" | "cmd" | "textconv" | "driver" | "external" | "path") => true,
        ("remote", "uploadpack" | "receivepack" | "vcs" | "promisor" | "partialclonefilter") => true,
        ("url", "insteadof" | "pushinsteadof") => true,
        ("uploadpack", "packobjectshook") | ("receive", "procreceiverefs") => true,
        _ => false,
    }
}
