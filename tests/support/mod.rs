//! What tests share. Each test file uses a part of it.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use confvault::store::{Batch, ObjectId, ObjectKind, RefEdit, Repo};

/// How often a test that draws at random does so: enough for every day, all that a release must pass with
/// `CONFVAULT_THOROUGH=1`.
pub fn rounds(usual: usize, thorough: usize) -> usize {
    if std::env::var_os("CONFVAULT_THOROUGH").is_some() { thorough } else { usual }
}

/// A `git` that sees no settings, no home and no terminal of whoever runs the tests.
pub fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    command.env("GIT_TERMINAL_PROMPT", "0").arg("-C").arg(dir);
    command
}

/// Runs `git` and gives what it printed; it must succeed and say nothing on stderr.
#[track_caller]
pub fn git_ok(dir: &Path, args: &[&str]) -> String {
    let out = git(dir).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && stderr.is_empty(), "git {args:?} in {}: {}\n{stderr}", dir.display(), out.status);
    String::from_utf8(out.stdout).unwrap()
}

/// The strictest check that git has must find nothing and say nothing.
#[track_caller]
pub fn fsck(dir: &Path) {
    let out: Output = git(dir).args(["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    // Tests of the lower half make no `_store`.
    let said = said.replace("notice: HEAD points to an unborn branch (_store)\n", "");
    assert!(out.status.success() && said.is_empty(), "git fsck in {}: {}\n{said}", dir.display(), out.status);
}

/// Puts a commit whose tree is one file per (name, content).
pub fn put_commit(batch: &Batch, files: &[(&str, &[u8])], parent: Option<ObjectId>, message: &str) -> ObjectId {
    try_put_commit(batch, files, parent, message).unwrap()
}

pub fn try_put_commit(
    batch: &Batch,
    files: &[(&str, &[u8])],
    parent: Option<ObjectId>,
    message: &str,
) -> confvault::store::Result<ObjectId> {
    let mut files = files.to_vec();
    files.sort();
    let mut tree = Vec::new();
    for (name, content) in files {
        let id = batch.put(ObjectKind::Blob, content)?;
        tree.extend_from_slice(format!("100644 {name}\0").as_bytes());
        tree.extend_from_slice(id.as_slice());
    }
    let tree = batch.put(ObjectKind::Tree, &tree)?;
    let parent = parent.map_or_else(String::new, |p| format!("parent {p}\n"));
    let who = "Test <test@confvault> 1700000000 +0000";
    let text = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}\n");
    batch.put(ObjectKind::Commit, text.as_bytes())
}

/// Puts an annotated tag.
pub fn put_tag(batch: &Batch, target: ObjectId, kind: &str, name: &str) -> ObjectId {
    let text = format!("object {target}\ntype {kind}\ntag {name}\ntagger Test <test@confvault> 1700000000 +0000\n\n{name}\n");
    batch.put(ObjectKind::Tag, text.as_bytes()).unwrap()
}

pub fn edit(name: &str, expected: Option<ObjectId>, new: Option<ObjectId>) -> RefEdit {
    RefEdit { name: name.to_owned(), expected, new }
}

/// Commits one file to a branch on top of what is there.
pub fn add_generation(repo: &Repo, branch: &str, content: &[u8]) -> confvault::store::Result<ObjectId> {
    let batch = Batch::begin(repo)?;
    let mut made = None;
    batch.commit::<confvault::store::Error>(|refs, batch| {
        let old = refs.get(branch).map(|r| r.id);
        let new = try_put_commit(batch, &[("config", content)], old, "generation")?;
        made = Some(new);
        Ok(vec![edit(branch, old, Some(new))])
    })?;
    Ok(made.unwrap())
}

/// Files of the store that only an unfinished writer makes.
pub fn garbage(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
                continue;
            }
            let name = entry.file_name().into_string().unwrap();
            if name.contains("tmp") || name.ends_with(".lock") || name.ends_with(".new") || name == "pending" {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
