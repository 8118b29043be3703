//! What the mirror has, beside what the store here says that it should have.

use std::collections::HashSet;

use super::{Finding, What};
use crate::mirror::{MirrorError, collector_files};
use crate::model::{DeviceName, Point, Where};
use crate::ops::Vault;
use crate::ops::take_over;
use crate::store::object::Commit;
use crate::store::{Error, Generation, ObjectId, Refs, Repo, Store};

/// The store here, and what its journal says of the mirror.
pub(super) struct Here<'a> {
    pub(super) vault: &'a Vault,
    pub(super) refs: &'a Refs,
    /// The runs after the last push; everything else was on the mirror once. Nothing where that is not known.
    pub(super) since_push: Option<HashSet<String>>,
}

impl Here<'_> {
    /// The newest generation of a device that was on the mirror once, for sure.
    fn held(&self, device: &DeviceName) -> Option<u64> {
        let since = self.since_push.as_ref()?;
        self.vault.inventory.device(device).ok()?;
        let collector = &self.vault.inventory.collector;
        let was = |g: &Generation| g.collector == *collector && g.run.as_ref().is_some_and(|run| !since.contains(run));
        let history = self.vault.store.history(self.refs, device).ok()?;
        history.filter_map(Result::ok).find(was).map(|g| g.number)
    }

    /// Says what it means that the mirror does not have a device.
    pub(super) fn absent(&self, device: &DeviceName) -> Finding {
        match self.held(device) {
            Some(n) => Finding::new(
                What::WentBack,
                Some(device),
                format!("The mirror lost the device: the last push brought it up to generation {n}"),
            ),
            None if matches!(self.vault.store.newest(self.refs, device), Err(Error::NoDevice { .. })) => {
                Finding::new(What::NeverTaken, Some(device), "The device has no generation yet, neither here nor on the mirror")
            }
            None => Finding::new(What::Missing, Some(device), "The mirror does not have the device"),
        }
    }

    /// Compares what a point is on the mirror with what it is here; gives the newest number here, too.
    pub(super) fn compare(
        &self,
        clone: &Store,
        clone_refs: &Refs,
        point: &Point,
        theirs: &Generation,
    ) -> (Option<u64>, Option<Finding>) {
        let device = &point.device;
        let find = |what, text: String| Some(Finding::new(what, Some(device), text));
        let newest = match self.vault.store.newest(self.refs, device) {
            Ok(newest) => newest,
            Err(Error::NoDevice { .. }) => {
                return (None, find(What::Ahead, "Only the mirror has the device, the store here does not".into()));
            }
            Err(error) => return (None, find(What::NotCompared, format!("The store here could not be compared with: {error}"))),
        };
        let here = Some(newest.number);
        if point.at != Where::Newest || point.release.is_some() {
            let same = self.vault.store.resolve(self.refs, point);
            return match same {
                Ok(ours) if ours.id == theirs.id => (here, None),
                Ok(ours) => {
                    let text = format!("{point} is generation {} on the mirror and {} here", theirs.number, ours.number);
                    (here, find(What::Diverged, text))
                }
                Err(error) => (here, find(What::NotCompared, format!("The store here could not be compared with: {error}"))),
            };
        }
        if theirs.id == newest.id {
            return (here, None);
        }
        let (n, m) = (theirs.number, newest.number);
        if n < m && at(&self.vault.store, self.refs, device, n) == Some(theirs.id) {
            return match self.held(device).filter(|held| n < *held) {
                Some(held) => {
                    let text = format!("The mirror went back to generation {n}: the last push brought it up to {held}");
                    (here, find(What::WentBack, text))
                }
                None => (here, find(What::Behind, format!("The mirror is behind: it has generation {n} of {m}"))),
            };
        }
        if n > m && at(clone, clone_refs, device, m) == Some(newest.id) {
            return (here, find(What::Ahead, format!("The mirror has generation {n}, the store here only {m}")));
        }
        (here, find(What::Diverged, format!("The mirror has another generation {} than the store here", n.min(m))))
    }

    /// Compares `_store` and what the collector is rebuilt from.
    pub(super) fn compare_facts(&self, clone: &Store, clone_refs: &Refs) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (ours, theirs) = (self.vault.store.facts().commit, clone.facts().commit);
        if ours != theirs {
            let finding = if reaches(self.vault.store.repo(), ours, theirs) {
                let text = "What administrators decided since (`_store`: recipients, signers, revocations) is not on the mirror";
                Finding::new(What::Behind, None, text)
            } else if reaches(clone.repo(), theirs, ours) {
                Finding::new(What::Ahead, None, "The mirror has a newer `_store` than the store here: `confvault key fetch`")
            } else {
                Finding::new(What::Diverged, None, "The mirror has another `_store` than the store here")
            };
            findings.push(finding);
        }
        let collector = &self.vault.inventory.collector;
        let absent = |why: &str| {
            let text = format!("{why}: a lost collector {collector} would come back without its inventory");
            Finding::new(What::Inventory, None, text)
        };
        let name = format!("refs/heads/_collector/{collector}");
        match collector_files(clone.repo(), collector) {
            Err(MirrorError::Collector { .. }) => findings.push(absent("The mirror does not have the collector's files")),
            Err(error) => findings.push(Finding::new(What::Damaged, None, format!("{name}: {error}"))),
            Ok(files) => {
                if clone_refs.get(&name).is_some() && take_over::collector_files(self.vault.root()).is_ok_and(|own| own != files)
                {
                    let text = "The mirror has older files of the collector (inventory, profiles, host keys) than there are here";
                    findings.push(Finding::new(What::Inventory, None, text));
                }
            }
        }
        findings
    }
}

/// The commit of a generation by its number.
fn at(store: &Store, refs: &Refs, device: &DeviceName, number: u64) -> Option<ObjectId> {
    let point = Point { device: device.clone(), release: None, at: Where::Number(number) };
    store.resolve(refs, &point).ok().map(|g| g.id)
}

/// Tells whether a line of first parents leads from one commit to another.
fn reaches(repo: &Repo, from: ObjectId, to: ObjectId) -> bool {
    let mut seen = HashSet::new();
    let mut next = Some(from);
    while let Some(id) = next.filter(|id| seen.insert(*id)) {
        if id == to {
            return true;
        }
        next = repo.commit(&id).ok().and_then(|raw| Commit::parse(&raw).ok()).and_then(|c| c.parents.first().copied());
    }
    false
}
