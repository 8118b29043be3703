//! What a profile would make of a folder.

use std::path::Path;

use super::Error;
use super::lines::Lines;
use super::snapshot::World;
use crate::collect::{Context, Network, Skipped, collect};
use crate::inventory::{Device, DeviceKeys, Policy, ProfileName, SourceUrl};
use crate::model::{ConfigPath, Content, Entry, Kind, Release, Scope};
use crate::profile::{MaskOverrides, Profile, Syntax};

/// One file, as the profile sees it. Nothing of its text is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its scope.
    pub scope: Scope,
    /// Its path.
    pub path: ConfigPath,
    /// Its size in bytes.
    pub size: u64,
    /// How its text is built; nothing for what is no text, or too large.
    pub syntax: Option<Syntax>,
    /// Numbers of the lines, from 1, that are volatile in whole or in part.
    pub volatile: Vec<usize>,
    /// The secrets: line, from 1, and rule.
    pub secrets: Vec<(usize, String)>,
    /// Texts of high entropy that no rule took: their lines, from 1.
    pub suspects: Vec<usize>,
}

/// What a profile makes of a folder.
#[derive(Debug)]
pub struct Report {
    /// The release that the profile finds.
    pub release: Option<Release>,
    /// Every file.
    pub files: Vec<FileReport>,
    /// Files that no rule claims; they are kept in scope `system`.
    pub unclaimed: Vec<ConfigPath>,
    /// What can be no part of a set.
    pub skipped: Vec<Skipped>,
    /// Number of symbolic links.
    pub links: usize,
}

/// Looks at the folder with the profile; writes nothing.
///
/// # Errors
/// The folder cannot be collected.
pub fn profile_test(
    folder: &Path,
    name: &ProfileName,
    profile: &Profile,
    overrides: &MaskOverrides,
    world: &World<'_>,
) -> Result<Report, Error> {
    let mut keys = DeviceKeys::new(SourceUrl::Dir(folder.to_path_buf()));
    keys.profile = name.clone();
    // Declared, so that a release that is not found is a line of the report and not its end.
    keys.release = Some("unknown".parse().expect("a word is a release"));
    let device = Device { name: "profile-test".parse().expect("a word is a device name"), keys };
    let (policy, network) = (Policy::default(), Network::new());
    let context = Context::new(folder, folder, &policy, world.env, world.home, world.cancel, &network);
    let collected = collect(&device, profile, None, &context)?;
    let entries = collected.set.entries();
    let files: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::File).collect();
    let paths: Vec<ConfigPath> = files.iter().map(|entry| entry.path.clone()).collect();
    let mut read = |path: &ConfigPath| match files.iter().find(|entry| entry.path == *path).map(|e| &e.content) {
        Some(Content::Bytes(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    Ok(Report {
        release: profile.release(&paths, &mut read),
        files: files.iter().map(|entry| look_at(entry, profile, overrides)).collect(),
        unclaimed: collected.set.unclaimed.clone(),
        skipped: collected.skipped.clone(),
        links: entries.iter().filter(|entry| entry.kind == Kind::Link).count(),
    })
}

fn look_at(entry: &Entry, profile: &Profile, overrides: &MaskOverrides) -> FileReport {
    let mut report = FileReport {
        scope: entry.scope,
        path: entry.path.clone(),
        size: entry.stamp.size,
        syntax: None,
        volatile: Vec::new(),
        secrets: Vec::new(),
        suspects: Vec::new(),
    };
    let Content::Bytes(bytes) = &entry.content else { return report };
    if bytes.contains(&0) {
        return report;
    }
    let path = &entry.path;
    let lines = Lines::of(bytes);
    let line = |at| lines.number(at);
    let spans = profile.secrets(path, bytes, overrides);
    report.syntax = Some(profile.syntax(path, bytes));
    report.suspects = profile.suspects(path, bytes, &spans).iter().map(|span| line(span.range.start)).collect();
    report.secrets = spans.iter().map(|span| (line(span.range.start), span.rule.to_string())).collect();
    report.volatile = profile.volatile(path, bytes).iter().map(|range| line(range.start)).collect();
    report.volatile.dedup();
    report
}
