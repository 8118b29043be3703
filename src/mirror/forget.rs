//! Taking from a mirror what was erased on purpose. It needs rights that pushing does not need.

use super::git::{Call, text};
use super::outbox::Outbox;
use super::push::refusals;
use super::{MirrorError, Remote, listing};

/// What became of refs that were to go from a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorForgotten {
    /// Refs that are gone.
    pub gone: Vec<String>,
    /// Refs that the mirror would not let go, with its reasons.
    pub refused: Vec<(String, String)>,
    /// The mirror is a folder of this machine, its packs were cleaned, and what the refs stood for is in none of them.
    pub cleaned: bool,
    /// Something was to be done.
    acted: bool,
    /// Packs of it are not cleaned by git, as a file beside them says so.
    kept: bool,
}

impl MirrorForgotten {
    /// What the administrator of the mirror has to run in its repository for the bytes to be gone, one command a
    /// line; none if they are, or if nothing was to be done.
    #[must_use]
    pub fn by_hand(&self) -> Vec<String> {
        if !self.acted || (self.cleaned && self.refused.is_empty()) {
            return Vec::new();
        }
        // A device chooses a part of the name: nothing of it may be read by a shell.
        let quoted = |name: &str| format!("'{}'", name.replace('\'', r"'\''"));
        let mut commands: Vec<String> =
            self.refused.iter().map(|(name, _)| format!("git update-ref -d {}", quoted(name))).collect();
        if self.kept {
            commands.push("rm -f objects/pack/*.keep".to_owned());
        }
        commands.extend(["git reflog expire --expire=now --all".to_owned(), "git gc --prune=now".to_owned()]);
        commands
    }
}

/// Removes refs from a mirror, each on its own; those that are not there are left out. In a mirror that is a
/// folder of this machine the bytes go at once; elsewhere they go when its host cleans up.
///
/// # Errors
/// [`MirrorError`] if the mirror cannot be talked to.
pub fn forget(remote: Remote<'_>, refs: &[String], act: bool) -> Result<MirrorForgotten, MirrorError> {
    let theirs = listing::list(remote)?;
    let there: Vec<&String> = refs.iter().filter(|name| theirs.contains_key(*name)).collect();
    let mut done = MirrorForgotten::default();
    if there.is_empty() || !act {
        done.gone = there.into_iter().cloned().collect();
        return Ok(done);
    }
    done.acted = true;
    let outbox = Outbox::new(None)?;
    // In portions, as a command line has an end.
    for some in there.chunks(200) {
        let mut call = Call::networked(remote, "push", Some(outbox.path()));
        call = call.arg("--porcelain").arg("--no-verify").arg("--").arg(remote.url.expose());
        for name in some {
            call = call.arg(format!(":{name}"));
        }
        let ((refused, finished), ended) = call.run(|out| refusals(out))?;
        if refused.is_empty() && !(finished && ended.status.success()) {
            ended.good("push")?;
        }
        for name in some {
            match refused.get(*name) {
                Some(why) => done.refused.push(((*name).clone(), why.clone())),
                None => done.gone.push((*name).clone()),
            }
        }
    }
    if let Some(path) = remote.url.local_path().filter(|_| !done.gone.is_empty()) {
        Call::local(remote, "reflog", &path).args(["expire", "--expire=now", "--all"]).run(text)?;
        let (_, ended) = Call::local(remote, "gc", &path).arg("--prune=now").arg("--quiet").run(text)?;
        // A pack that is kept, or a repository that borrows, is not cleaned by that.
        let mut left = false;
        for name in &done.gone {
            let id = theirs[name].id.to_string();
            left |= Call::local(remote, "cat-file", &path).arg("-e").arg(id).run(text)?.1.status.success();
        }
        done.cleaned = ended.status.success() && !left;
        let packs = std::fs::read_dir(path.join("objects/pack")).into_iter().flatten().flatten();
        done.kept = packs.map(|entry| entry.path()).any(|pack| pack.extension().is_some_and(|e| e == "keep"));
    }
    Ok(done)
}
