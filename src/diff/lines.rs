//! Which lines changed.
//!
//! Lines are numbered, what begins and ends alike is cut off, and lines that only one side has are set
//! aside: they changed, whatever the rest says. So two files without a common line cost no search at all,
//! and the search, which has a deadline, sees only what could match.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Splits into lines, each with its LF; the last one may have none.
pub(crate) fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut start = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        out.push(&bytes[start..=at]);
        start = at + 1;
    }
    if start < bytes.len() {
        out.push(&bytes[start..]);
    }
    out
}

/// Up to this many items that both sides have, the search has no deadline (at worst some ten milliseconds).
const ALWAYS_SEARCHED: usize = 4_000;

/// For each item of both sides whether it changed. The items that did not are the same sequence in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) old: Vec<bool>,
    pub(crate) new: Vec<bool>,
    /// The deadline passed during the search.
    pub(crate) hurried: bool,
}

/// Finds what changed. After `deadline` it marks more than needed.
pub(crate) fn changed<T: Hash + Eq>(old: &[T], new: &[T], deadline: Instant) -> Changed {
    let (a, b) = number(old, new);
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_end, b_end) = (a.len() - tail, b.len() - tail);

    let mut result = Changed { old: vec![false; a.len()], new: vec![false; b.len()], hurried: false };
    result.old[head..a_end].fill(true);
    result.new[head..b_end].fill(true);

    let mut common = vec![0u8; a.len() + b.len()];
    a[head..a_end].iter().for_each(|&id| common[id] |= 1);
    b[head..b_end].iter().for_each(|&id| common[id] |= 2);
    let keep = |ids: &[usize], from: usize, to: usize| -> Vec<(usize, usize)> {
        (from..to).filter(|&i| common[ids[i]] == 3).map(|i| (i, ids[i])).collect()
    };
    let (left, right) = (keep(&a, head, a_end), keep(&b, head, b_end));
    let ids = |side: &[(usize, usize)]| -> Vec<usize> { side.iter().map(|&(_, id)| id).collect() };
    // What ends soon in any case is searched to its end, however late it is: one huge file must not spoil the rest.
    let limit = (left.len() + right.len() > ALWAYS_SEARCHED).then_some(deadline);
    for op in capture_diff_slices_deadline(Algorithm::Histogram, &ids(&left), &ids(&right), limit) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            for i in 0..len {
                result.old[left[old_index + i].0] = false;
                result.new[right[new_index + i].0] = false;
            }
        }
    }
    result.hurried = limit.is_some() && !left.is_empty() && !right.is_empty() && Instant::now() >= deadline;
    result
}

/// Gives equal items equal numbers, below the number of all items.
fn number<T: Hash + Eq>(old: &[T], new: &[T]) -> (Vec<usize>, Vec<usize>) {
    let mut ids = HashMap::with_capacity(old.len());
    let mut take = |item| {
        let next = ids.len();
        *ids.entry(item).or_insert(next)
    };
    (old.iter().map(&mut take).collect(), new.iter().map(&mut take).collect())
}

/// Moves each group of changed lines that could stand in several places (a block that is like its
/// neighbour) to where a reader would begin it: at the line that opens a section, behind a blank line.
pub(crate) fn settle(old: &[&[u8]], new: &[&[u8]], changed: &mut Changed) {
    settle_side(old, &mut changed.old, &changed.new);
    settle_side(new, &mut changed.new, &changed.old);
}

fn settle_side(lines: &[&[u8]], own: &mut [bool], other: &[bool]) {
    // `at` and `across` walk both sides in step over what did not change.
    let (mut at, mut across) = (0, 0);
    while at < lines.len() {
        if !own[at] {
            while other.get(across) == Some(&true) {
                across += 1;
            }
            at += 1;
            across += 1;
            continue;
        }
        let start = at;
        while at < lines.len() && own[at] {
            at += 1;
        }
        let len = at - start;
        if other.get(across) == Some(&true) {
            continue; // A replaced block: it stands where it stands.
        }
        let free = |i: usize| other.get(i) != Some(&true);
        let (mut up, mut down) = (0, 0);
        while start > up
            && !own[start - up - 1]
            && (start < up + 2 || !own[start - up - 2])
            && across > up
            && free(across - up - 1)
            && (across < up + 2 || free(across - up - 2))
            && lines[start - up - 1] == lines[start + len - up - 1]
        {
            up += 1;
        }
        while start + len + down < lines.len()
            && !own[start + len + down]
            && own.get(start + len + down + 1) != Some(&true)
            && free(across + down + 1)
            && lines[start + down] == lines[start + len + down]
        {
            down += 1;
        }
        let first = start - up;
        let best = (first..=start + down).rev().min_by_key(|&s| badness(lines, s)).unwrap_or(start);
        if best != start {
            own[start..start + len].fill(false);
            own[best..best + len].fill(true);
        }
        // Continue behind the group, wherever it came to stand.
        across = (across + best).saturating_sub(start);
        at = best + len;
    }
}

/// How unlike the beginning of a block a line is.
fn badness(lines: &[&[u8]], start: usize) -> (usize, bool) {
    let line = lines[start];
    let text = line.trim_ascii_start();
    let empty = |l: &[u8]| matches!(l.trim_ascii(), b"" | b"!" | b"#" | b";");
    let closes = text.starts_with(b"}") || text.starts_with(b"</") || text.starts_with(b"]");
    let indent = if empty(line) { 10_000 } else { (line.len() - text.len()) * 2 + usize::from(closes) };
    (indent, start == 0 || !empty(lines[start - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn marks(old: &str, new: &str) -> (String, String) {
        let (a, b) = (split(old.as_bytes()), split(new.as_bytes()));
        let mut changed = changed(&a, &b, soon());
        settle(&a, &b, &mut changed);
        let text = |flags: &[bool]| flags.iter().map(|&f| if f { 'x' } else { '.' }).collect();
        (text(&changed.old), text(&changed.new))
    }

    #[test]
    fn an_added_block_begins_at_its_first_line() {
        let (_, new) = marks("[a]\nx=1\n\n[c]\nx=1\n\n", "[a]\nx=1\n\n[b]\nx=1\n\n[c]\nx=1\n\n");
        assert_eq!(new, "...xxx...");
        let (_, new) = marks("int a\n ip x\n!\nint c\n", "int a\n ip x\n!\nint b\n ip x\n!\nint c\n");
        assert_eq!(new, "...xxx.");
        let (_, new) = marks("{\n a\n}\n", "{\n a\n}\n{\n a\n}\n");
        assert_eq!(new, "...xxx");
    }

    #[test]
    fn without_a_common_line_nothing_is_searched() {
        let old: Vec<u32> = (0..100_000).collect();
        let new: Vec<u32> = (100_000..200_000).collect();
        // A deadline in the past: a search would say that it was hurried.
        let result = changed(&old, &new, Instant::now());
        assert!(!result.hurried && result.old.iter().all(|&c| c) && result.new.iter().all(|&c| c));
    }

    #[test]
    fn what_did_not_change_is_equal_also_when_hurried() {
        let old: Vec<u32> = (0..100_000).collect();
        let new: Vec<u32> = (0..100_000).rev().collect();
        let result = changed(&old, &new, Instant::now() + Duration::from_millis(50));
        let rest = |side: &[u32], flags: &[bool]| -> Vec<u32> {
            side.iter().zip(flags).filter(|(_, c)| !**c).map(|(v, _)| *v).collect()
        };
        assert_eq!(rest(&old, &result.old), rest(&new, &result.new));
        assert!(result.hurried);
    }
}
