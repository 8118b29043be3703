//! Proving that a mirror is append-only: by trying what it must refuse, on refs made for it.

use std::collections::BTreeMap;
use std::path::Path;

use super::git::{Call, text};
use super::outbox::Outbox;
use super::refname::PROBE;
use super::{MirrorError, Remote, listing, push};
use crate::store::ObjectId;

/// What was tried on a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attack {
    /// To set it to a commit that is no descendant.
    Aside,
    /// To set it back to its parent.
    Back,
    /// To move a tag forward.
    Forward,
    /// To delete it.
    Delete,
}

impl Attack {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Attack::Aside => "set aside",
            Attack::Back => "set back",
            Attack::Forward => "move forward",
            Attack::Delete => "delete",
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The ref.
    pub name: String,
    /// What was tried.
    pub attack: Attack,
    /// The mirror's reason to refuse; nothing if it let it happen.
    pub refused: Option<String>,
}

/// What the trials showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Everything that was tried.
    pub attempts: Vec<Attempt>,
    /// The probe refs that are on the mirror now: an append-only mirror keeps what it was given.
    pub left: Vec<String>,
}

impl Proof {
    /// Says whether the mirror refused everything, for branches, tags and large files.
    #[must_use]
    pub fn append_only(&self) -> bool {
        let deletes = self.attempts.iter().filter(|a| a.attack == Attack::Delete).count();
        deletes == 3 && self.attempts.iter().all(|a| a.refused.is_some())
    }
}

/// Three commits that are the same for everybody: `base`, its child `tip`, and `aside` without a parent.
struct Probe {
    base: ObjectId,
    tip: ObjectId,
    next: ObjectId,
    aside: ObjectId,
}

impl Probe {
    fn write(remote: Remote<'_>, dir: &Path) -> Result<Self, MirrorError> {
        let write = |kind: &str, body: String| -> Result<ObjectId, MirrorError> {
            let call = Call::local(remote, "hash-object", dir).arg("-t").arg(kind).arg("-w").arg("--stdin");
            let (id, ended) = call.feed(move |input| input.write_all(body.as_bytes())).run(text)?;
            ended.good("hash-object")?;
            let odd = || MirrorError::Git { command: "hash-object", message: "it gave no id".to_owned() };
            ObjectId::from_hex(id.trim().as_bytes()).map_err(|_| odd())
        };
        let tree = write("tree", String::new())?;
        let commit = |parent: Option<ObjectId>, what: &str| {
            let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
            let who = "confvault <confvault@confvault> 0 +0000";
            let message = format!("Probe of confvault mirror status --prove: {what}\n");
            write("commit", format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}"))
        };
        let base = commit(None, "base")?;
        let tip = commit(Some(base), "tip")?;
        Ok(Self { base, tip, next: commit(Some(tip), "next")?, aside: commit(None, "aside")? })
    }
}

/// Tries what an append-only mirror refuses, on three refs made for it: `refs/heads/_probe/append-only`
/// and the same below `refs/tags` and `refs/large`. No other ref is touched.
///
/// A mirror that lets the refs be deleted is left as it was. One that does not keeps them, and the next
/// proof uses them again.
///
/// # Errors
/// [`MirrorError`] if the mirror cannot be talked to, or does not take a new ref.
pub fn prove(remote: Remote<'_>) -> Result<Proof, MirrorError> {
    let outbox = Outbox::new(None)?;
    let probe = Probe::write(remote, outbox.path())?;
    let refs: Vec<String> = ["heads", "tags", "large"].iter().map(|space| format!("refs/{space}/{PROBE}")).collect();
    let there = listing::list(remote)?;
    let missing: Vec<String> =
        refs.iter().filter(|name| !there.contains_key(*name)).map(|name| format!("{}:{name}", probe.tip)).collect();
    if !missing.is_empty() {
        let refused = try_push(remote, outbox.path(), &missing)?;
        if let Some((name, reason)) = refused.into_iter().next() {
            return Err(MirrorError::Git { command: "push", message: format!("a new ref was refused: {name}: {reason}") });
        }
    }
    let mut attempts = Vec::new();
    let tag = &refs[1..2];
    let trials: [(Attack, Option<ObjectId>, &[String]); 4] = [
        (Attack::Forward, Some(probe.next), tag),
        (Attack::Aside, Some(probe.aside), &refs),
        (Attack::Back, Some(probe.base), &refs),
        (Attack::Delete, None, &refs),
    ];
    for (attack, to, refs) in trials {
        let now = listing::list(remote)?;
        // Where an earlier attempt was let through, the ref may be there already.
        let due: Vec<&String> = refs.iter().filter(|name| now.get(*name).is_some_and(|r| Some(r.id) != to)).collect();
        let specs: Vec<String> =
            due.iter().map(|name| to.map_or_else(|| format!(":{name}"), |id| format!("+{id}:{name}"))).collect();
        let refused = if specs.is_empty() { BTreeMap::new() } else { try_push(remote, outbox.path(), &specs)? };
        for name in due {
            let refused = refused.get(name).cloned();
            attempts.push(Attempt { name: name.clone(), attack, refused });
        }
    }
    let now = listing::list(remote)?;
    let left = refs.into_iter().filter(|name| now.contains_key(name)).collect();
    Ok(Proof { attempts, left })
}

/// Pushes by force and gives what the mirror itself refused.
fn try_push(remote: Remote<'_>, dir: &Path, specs: &[String]) -> Result<BTreeMap<String, String>, MirrorError> {
    let mut call = Call::networked(remote, "push", Some(dir)).arg("--porcelain").arg("--no-verify").arg("--");
    call = call.arg(remote.url.expose());
    for spec in specs {
        call = call.arg(spec);
    }
    let ((refused, _), ended) = call.run(|out| push::refusals(out))?;
    if refused.is_empty() {
        ended.good("push")?;
    }
    Ok(refused)
}
