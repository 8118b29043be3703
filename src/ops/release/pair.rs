//! What has another name now: a guess, by content and by name, that is shown as one.

use std::collections::{BTreeMap, BTreeSet};

use crate::diff::Setting;

/// A file as the search knows it.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
    /// The keys that stand in it.
    pub(super) words: BTreeSet<&'a str>,
}

/// Finds files that are under another name: equal ones, and those of which most keys are the same.
pub(super) fn files<'a>(gone: &[Named<'a>], come: &[Named<'a>]) -> BTreeMap<&'a str, &'a str> {
    let alike = |a: &Named<'_>, b: &Named<'_>| {
        if !a.bytes.is_empty() && a.bytes == b.bytes {
            return 1.0;
        }
        let both = a.words.intersection(&b.words).count();
        let all = a.words.union(&b.words).count();
        // Few keys are alike by chance.
        if both < 4 { 0.0 } else { both as f64 / all as f64 }
    };
    let found = best(gone.len(), come.len(), 0.6, |a, b| alike(&gone[a], &come[b]));
    found.into_iter().map(|(a, b)| (gone[a].name, come[b].name)).collect()
}

/// Finds settings that have another name: in the same section and much like the old one.
pub(super) fn settings(gone: &[&Setting], come: &[&Setting]) -> BTreeMap<usize, usize> {
    best(gone.len(), come.len(), 0.75, |a, b| {
        let (old, new) = (gone[a], come[b]);
        if old.section != new.section {
            return 0.0;
        }
        let bare = |key: &str| key.to_lowercase().replace(['_', '-'], "");
        let likeness = likeness(&bare(&old.key), &bare(&new.key));
        // A value that says something, and stays, is half of a proof.
        let same = old.value == new.value && old.value.len() > 3 && !matches!(old.value.as_str(), "true" | "false");
        if same { likeness + 0.2 } else { likeness }
    })
}

/// Pairs each with the one that is most alike; each is taken once.
fn best(olds: usize, news: usize, least: f64, alike: impl Fn(usize, usize) -> f64) -> BTreeMap<usize, usize> {
    let mut found: Vec<(f64, usize, usize)> = Vec::new();
    for old in 0..olds {
        found.extend((0..news).map(|new| (alike(old, new), old, new)).filter(|(likeness, ..)| *likeness >= least));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut out, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for (_, old, new) in found {
        if !out.contains_key(&old) && taken.insert(new) {
            out.insert(old, new);
        }
    }
    out
}

/// How much two words have in common: 1 for equal ones, 0 for those without a common pair of letters.
fn likeness(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let pairs = |text: &str| -> Vec<[u8; 2]> { text.as_bytes().windows(2).map(|w| [w[0], w[1]]).collect() };
    let (first, mut second) = (pairs(a), pairs(b));
    let all = first.len() + second.len();
    let mut both = 0;
    for pair in &first {
        if let Some(at) = second.iter().position(|other| other == pair) {
            second.swap_remove(at);
            both += 1;
        }
    }
    if all == 0 { 0.0 } else { 2.0 * f64::from(both) / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::likeness;

    #[test]
    fn likeness_is_that_of_pairs_of_letters() {
        assert!((likeness("timeout", "timeout") - 1.0).abs() < 1e-9);
        assert!(likeness("musicclass", "musicclass2") > 0.9);
        assert!(likeness("port", "bind") < 0.1);
        assert!(likeness("", "x") < 0.1);
    }
}
