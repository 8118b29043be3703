//! Pushing: everything that moves forward, in as few conversations as the mirror allows.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{self, GroupStatus};
use super::git::Call;
use super::outbox::Outbox;
use super::{Group, MirrorError, Remote, listing};
use crate::store::Repo;

/// How many conversations are held at most before devices are no longer kept together.
const MOST_ATOMIC: u32 = 16;

/// What became of the refs of a device, or of a part of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushOutcome {
    /// The mirror had everything.
    UpToDate,
    /// The mirror took this many refs.
    Pushed {
        /// How many.
        refs: usize,
    },
    /// The mirror holds it otherwise, and another collector writes it: that one pushes it.
    NotOurs,
    /// The mirror holds the ref otherwise, or would not take it. Nothing of the group was moved, but where
    /// `partly` says so.
    Refused {
        /// The ref.
        name: String,
        /// Why.
        reason: String,
        /// Whether other refs of the group were moved. This happens only on a mirror that cannot move refs
        /// together, or one that refused very many devices.
        partly: bool,
    },
}

/// What became of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPush {
    /// What the refs are about.
    pub group: Group,
    /// What became of them.
    pub outcome: PushOutcome,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushReport {
    /// All groups of the store, sorted.
    pub groups: Vec<GroupPush>,
    /// Whether the mirror moves a device's refs together.
    pub together: bool,
    /// Conversations held, the first listing included.
    pub conversations: u32,
    /// Refs of the mirror that are none of a store.
    pub strange: Vec<String>,
    /// How the mirror stood before.
    pub before: Vec<GroupStatus>,
}

impl PushReport {
    /// Lists the groups that were refused.
    pub fn refused(&self) -> impl Iterator<Item = &GroupPush> {
        self.groups.iter().filter(|g| matches!(g.outcome, PushOutcome::Refused { .. }))
    }

    /// Puts down what the mirror is known to have now, as far as the push was about it; what it refused stays.
    pub fn acknowledge(&self, sent: &mut BTreeMap<String, String>) {
        for group in self.groups.iter().filter(|g| matches!(g.outcome, PushOutcome::UpToDate | PushOutcome::Pushed { .. })) {
            let refs = self.before.iter().filter(|status| status.group == group.group).flat_map(|status| &status.refs);
            sent.extend(refs.filter_map(|r| Some((r.name.clone(), r.local?.to_string()))));
        }
    }

    /// Counts the refs that were moved.
    #[must_use]
    pub fn moved(&self) -> usize {
        self.groups.iter().map(|g| if let PushOutcome::Pushed { refs } = g.outcome { refs } else { 0 }).sum()
    }
}

/// Pushes what the mirror lacks. Nothing is forced, nothing deleted.
///
/// A group of which the mirror holds a ref otherwise is refused as a whole and does not stop the others.
///
/// # Errors
/// [`MirrorError`] if the mirror cannot be talked to; nothing is known to have moved then.
pub fn push(remote: Remote<'_>, repo: &Repo, only: Option<&Group>) -> Result<PushReport, MirrorError> {
    push_own(remote, repo, only, &|_| true, &|_| None)
}

/// As [`push`], where other collectors write to the same mirror: a group that is not `own` and that the mirror
/// holds otherwise is theirs to push, and no refusal. A ref of which `held` gives a reason is not sent on, nor its group.
///
/// # Errors
/// As [`push`].
pub fn push_own(
    remote: Remote<'_>,
    repo: &Repo,
    only: Option<&Group>,
    own: &dyn Fn(&Group) -> bool,
    held: &dyn Fn(&str) -> Option<String>,
) -> Result<PushReport, MirrorError> {
    let ours = repo.refs()?;
    let theirs = listing::list(remote)?;
    let mut strange = Vec::new();
    let groups = compare::compare(repo, &ours, &theirs, &mut strange)?;
    let mut done: BTreeMap<Group, PushOutcome> = BTreeMap::new();
    let mut due = Vec::new();
    for status in groups.iter().filter(|g| g.refs.iter().any(|r| r.local.is_some())) {
        if only.is_some_and(|only| *only != status.group) {
            continue;
        }
        if status.refused().is_some() && !own(&status.group) {
            done.insert(status.group.clone(), PushOutcome::NotOurs);
        } else if let Some(against) = status.refused() {
            let (name, partly) = (against.name.clone(), false);
            let reason = format!("the mirror holds it otherwise ({})", against.state.as_str());
            done.insert(status.group.clone(), PushOutcome::Refused { name, reason, partly });
        } else if let Some((name, reason)) = kept_back(status, held) {
            done.insert(status.group.clone(), PushOutcome::Refused { name, reason, partly: false });
        } else if status.moves() {
            due.push(status);
        } else {
            done.insert(status.group.clone(), PushOutcome::UpToDate);
        }
    }
    let mut run = Run { remote, outbox: Outbox::new(Some(repo))?, done, atomic: true, conversations: 1 };
    run.send_all(due)?;
    let (together, conversations) = (run.atomic, run.conversations);
    let done = run.done.into_iter().map(|(group, outcome)| GroupPush { group, outcome }).collect();
    Ok(PushReport { groups: done, together, conversations, strange, before: groups })
}

/// Gives the first ref of a group that would move and is not to be sent on.
fn kept_back(status: &GroupStatus, held: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let moving = status.refs.iter().filter(|r| r.state.moves());
    moving.map(|r| &r.name).find_map(|name| Some((name.clone(), held(name)?)))
}

struct Run<'a> {
    remote: Remote<'a>,
    outbox: Outbox,
    done: BTreeMap<Group, PushOutcome>,
    atomic: bool,
    conversations: u32,
}

impl Run<'_> {
    fn send_all(&mut self, due: Vec<&GroupStatus>) -> Result<(), MirrorError> {
        let mut batches = vec![due];
        while let Some(batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            let atomic = self.atomic && self.conversations <= MOST_ATOMIC;
            let answers = match self.send(&batch, atomic) {
                Ok(answers) => answers,
                Err(MirrorError::Git { message, .. }) if atomic && message.contains("does not support --atomic") => {
                    self.atomic = false;
                    batches.push(batch);
                    continue;
                }
                // Something was pushed already: say what, and that the rest was not.
                Err(MirrorError::Git { message, .. }) if self.conversations > 2 => {
                    for status in batch {
                        self.refuse(status, &BTreeMap::new(), &message);
                    }
                    continue;
                }
                Err(e) => return Err(e),
            };
            if answers.is_empty() {
                for status in batch {
                    let refs = status.refs.iter().filter(|r| r.state.moves()).count();
                    self.done.insert(status.group.clone(), PushOutcome::Pushed { refs });
                }
                continue;
            }
            // In an atomic push everything fails with the first that is refused; only that one has a
            // reason of its own.
            let own: BTreeMap<&str, &str> = answers
                .iter()
                .filter(|(_, why)| !(atomic && why.contains("atomic")))
                .map(|(n, w)| (n.as_str(), w.as_str()))
                .collect();
            let (bad, good): (Vec<_>, Vec<_>) =
                batch.iter().copied().partition(|g| g.refs.iter().any(|r| own.contains_key(r.name.as_str())));
            if !atomic {
                for status in bad {
                    self.refuse(status, &own, "");
                }
                for status in good {
                    let refs = status.refs.iter().filter(|r| r.state.moves()).count();
                    self.done.insert(status.group.clone(), PushOutcome::Pushed { refs });
                }
            } else if batch.len() == 1 || (!bad.is_empty() && !good.is_empty()) {
                let all = answers.values().next().map_or("", String::as_str).to_owned();
                for status in if batch.len() == 1 { batch } else { bad } {
                    self.refuse(status, &own, &all);
                }
                batches.push(good);
            } else {
                // Refused as a whole: whoever it is stands in one of the halves.
                let (left, right) = batch.split_at(batch.len() / 2);
                batches.push(right.to_vec());
                batches.push(left.to_vec());
            }
        }
        Ok(())
    }

    fn refuse(&mut self, status: &GroupStatus, own: &BTreeMap<&str, &str>, otherwise: &str) {
        let moving = || status.refs.iter().filter(|r| r.state.moves());
        let named = moving().find_map(|r| Some((r.name.clone(), (*own.get(r.name.as_str())?).to_owned())));
        let refused = moving().filter(|r| own.contains_key(r.name.as_str())).count();
        let atomic = self.atomic && self.conversations <= MOST_ATOMIC + 1;
        let partly = !atomic && refused > 0 && refused < moving().count();
        let first = || moving().next().map(|r| r.name.clone()).unwrap_or_default();
        let (name, reason) = named.unwrap_or_else(|| (first(), otherwise.to_owned()));
        self.done.insert(status.group.clone(), PushOutcome::Refused { name, reason, partly });
    }

    /// Pushes the refs of these groups. Gives the refs that were refused, with the reasons.
    fn send(&mut self, batch: &[&GroupStatus], atomic: bool) -> Result<BTreeMap<String, String>, MirrorError> {
        self.conversations += 1;
        let moving = batch.iter().flat_map(|g| &g.refs).filter(|r| r.state.moves());
        self.outbox.set_refs(moving.filter_map(|r| Some((r.name.as_str(), r.local?))))?;
        let mut call = Call::networked(self.remote, "push", Some(self.outbox.path())).arg("--porcelain").arg("--no-verify");
        if atomic {
            call = call.arg("--atomic");
        }
        let call = call.arg("--").arg(self.remote.url.expose()).arg("refs/*:refs/*");
        let (lines, ended) = call.run(|out| refusals(out))?;
        let (mut refused, finished) = lines;
        let sent: BTreeSet<&str> = batch.iter().flat_map(|g| &g.refs).map(|r| r.name.as_str()).collect();
        refused.retain(|name, _| sent.contains(name.as_str()));
        if refused.is_empty() && !(finished && ended.status.success()) {
            ended.good("push")?;
            return Err(MirrorError::Git { command: "push", message: "it did not say that it is done".to_owned() });
        }
        Ok(refused)
    }
}

/// Reads `--porcelain`: `<flag> TAB <from>:<to> TAB <summary> (<reason>)`, then `Done`.
pub(super) fn refusals(out: &mut dyn std::io::BufRead) -> std::io::Result<(BTreeMap<String, String>, bool)> {
    let mut refused = BTreeMap::new();
    let mut done = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        if out.read_until(b'\n', &mut line)? == 0 {
            return Ok((refused, done));
        }
        let shown = String::from_utf8_lossy(&line);
        let shown = shown.trim_end_matches('\n');
        done |= shown == "Done";
        let mut fields = shown.split('\t');
        if let (Some("!"), Some(refs), Some(summary)) = (fields.next(), fields.next(), fields.next()) {
            let name = refs.rsplit_once(':').map_or(refs, |(_, to)| to);
            let reason: String = summary.chars().take(300).flat_map(char::escape_default).collect();
            refused.insert(name.to_owned(), reason.replace("\\'", "'").replace("\\\"", "\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_from_porcelain() {
        let text = "To /x\n \trefs/heads/a/1:refs/heads/a/1\t12..34\n!\trefs/tags/a/x:refs/tags/a/x\t[remote rejected] (hook declined)\n*\trefs/heads/b/1:refs/heads/b/1\t[new branch]\nDone\n";
        let (refused, done) = refusals(&mut text.as_bytes()).unwrap();
        assert!(done);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused["refs/tags/a/x"], "[remote rejected] (hook declined)");
        assert!(!refusals(&mut "!\tx:x\tbad \u{1b}[2J\n".as_bytes()).unwrap().0["x"].contains('\u{1b}'));
    }
}
