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
    /// The mirror is a folder of this machine, and its packs were cleaned.
    pub cleaned: bool,
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
        let (_, ended) = Call::local(remote, "gc", &path).arg("--prune=now").arg("--quiet").run(text)?;
        done.cleaned = ended.status.success();
    }
    Ok(done)
}
