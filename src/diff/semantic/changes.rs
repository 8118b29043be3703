//! Two lists of settings, set against each other.

use std::collections::HashMap;
use std::time::Instant;

use super::blocks::join;
use super::{Change, Order, Setting, SettingChange};
use crate::diff::lines::changed;
use crate::diff::words;

/// Leftover settings of one key are searched for their likes up to this many pairs; beyond it they are paired
/// in their order.
const MOST_PAIRS: usize = 100_000;

/// Compares the settings of two texts. `lines` says that settings are lines of words (IOS), of which the first
/// is taken as the key, so that one key has many unrelated settings.
pub(super) fn compare(mut old: Vec<Setting>, mut new: Vec<Setting>, lines: bool, deadline: Instant) -> Vec<SettingChange> {
    old.retain(|s| !s.default);
    new.retain(|s| !s.default);
    if lines {
        blocks_with_and_without_lines(&mut old, &new);
        blocks_with_and_without_lines(&mut new, &old);
    }
    let mut groups: Vec<(Vec<&Setting>, Vec<&Setting>)> = Vec::new();
    let mut index = HashMap::new();
    for (side, list) in [(0, &old), (1, &new)] {
        for setting in list {
            let at = *index.entry(group(setting)).or_insert_with(|| {
                groups.push((Vec::new(), Vec::new()));
                groups.len() - 1
            });
            if side == 0 { groups[at].0.push(setting) } else { groups[at].1.push(setting) }
        }
    }
    let mut out = Vec::new();
    for (a, b) in groups {
        compare_group(&a, &b, lines, deadline, &mut out);
    }
    sort(&old, &new, &mut out);
    out
}

/// What is compared as one list.
fn group(setting: &Setting) -> (&str, &str, bool) {
    match &setting.order {
        Order::Group(name) => (name, "", true),
        Order::Free | Order::Key => (&setting.section, &setting.key, false),
    }
}

/// A block that has lines on one side only is a block on the other side too.
fn blocks_with_and_without_lines(own: &mut [Setting], other: &[Setting]) {
    let blocks: std::collections::HashSet<&str> = other.iter().filter(|s| s.key.is_empty()).map(|s| s.section.as_str()).collect();
    for setting in own.iter_mut().filter(|s| !s.key.is_empty()) {
        let name = join(&setting.section, &whole(setting));
        if blocks.contains(name.as_str()) {
            (setting.section, setting.key, setting.value) = (name, String::new(), String::new());
        }
    }
}

/// A line of words as it stands.
fn whole(setting: &Setting) -> String {
    if setting.value.is_empty() { setting.key.clone() } else { format!("{} {}", setting.key, setting.value) }
}

fn same(a: &Setting, b: &Setting) -> bool {
    (&a.section, &a.key, &a.value) == (&b.section, &b.key, &b.value)
}

fn compare_group(a: &[&Setting], b: &[&Setting], lines: bool, deadline: Instant, out: &mut Vec<SettingChange>) {
    if a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y)) {
        return;
    }
    let (old, new) = not_in_both(a, b);
    // What both have may have another order.
    let counts = a.iter().chain(b).any(|s| s.order != Order::Free);
    if counts {
        let rest = |list: &[&'_ Setting], gone: &[usize]| -> Vec<usize> {
            let mut gone = gone.iter().peekable();
            (0..list.len()).filter(|i| gone.next_if(|g| *g == i).is_none()).collect()
        };
        moved(a, &rest(a, &old), b, &rest(b, &new), lines, deadline, out);
    }
    let old: Vec<&Setting> = old.into_iter().map(|i| a[i]).collect();
    let new: Vec<&Setting> = new.into_iter().map(|i| b[i]).collect();
    pair(&old, &new, lines, out);
}

/// The indexes of what only one side has, each as often as it has it more.
fn not_in_both(a: &[&Setting], b: &[&Setting]) -> (Vec<usize>, Vec<usize>) {
    let id = |s: &Setting| (s.section.clone(), s.key.clone(), s.value.clone());
    let count = |list: &[&Setting]| {
        let mut counts: HashMap<_, usize> = HashMap::with_capacity(list.len());
        list.iter().for_each(|s| *counts.entry(id(s)).or_insert(0) += 1);
        counts
    };
    let alone = |list: &[&Setting], mut other: HashMap<_, usize>| -> Vec<usize> {
        let mut take = |s: &Setting| match other.get_mut(&id(s)) {
            Some(n) if *n > 0 => {
                *n -= 1;
                false
            }
            _ => true,
        };
        (0..list.len()).filter(|&i| take(list[i])).collect()
    };
    (alone(a, count(b)), alone(b, count(a)))
}

/// Reports what both sides have in another order: the stretch from the first to the last that moved.
fn moved(
    a: &[&Setting],
    in_old: &[usize],
    b: &[&Setting],
    in_new: &[usize],
    lines: bool,
    deadline: Instant,
    out: &mut Vec<SettingChange>,
) {
    let id = |s: &Setting| (s.section.clone(), s.key.clone(), s.value.clone());
    let (x, y): (Vec<_>, Vec<_>) = (in_old.iter().map(|&i| id(a[i])).collect(), in_new.iter().map(|&i| id(b[i])).collect());
    let marks = changed(&x, &y, deadline);
    let Some(first) = x.iter().zip(&y).position(|(p, q)| p != q) else { return };
    let Some(last) = x.iter().zip(&y).rposition(|(p, q)| p != q) else { return };
    // Few moved among many: name those. Else the whole stretch.
    let few = marks.old.iter().filter(|m| **m).count() * 4 < last - first;
    let keys: Vec<&str> = {
        let mut seen = std::collections::BTreeSet::new();
        in_old[first..=last].iter().map(|&i| a[i].key.as_str()).filter(|k| !k.is_empty() && seen.insert(*k)).collect()
    };
    let one_key = keys.len() == 1 && !lines;
    let show = |s: &Setting| match (s.key.is_empty(), one_key) {
        (true, _) => s.section.clone(),
        (false, true) => s.value.clone(),
        (false, false) if lines => whole(s),
        (false, false) => format!("{} = {}", s.key, s.value),
    };
    let list = |side: &[&Setting], indexes: &[usize], marks: &[bool]| -> Vec<String> {
        (first..=last).filter(|&i| !few || marks[i]).map(|i| show(side[indexes[i]])).collect()
    };
    let (p, q) = (a[in_old[first]], b[in_new[first]]);
    let section = if p.key.is_empty() { String::new() } else { p.section.clone() };
    let key = if keys.is_empty() { "(sections)".to_owned() } else { keys.iter().take(4).copied().collect::<Vec<_>>().join(", ") };
    out.push(SettingChange {
        section,
        key,
        change: Change::Reordered { old: list(a, in_old, &marks.old), new: list(b, in_new, &marks.new) },
        old_line: Some(p.line),
        new_line: Some(q.line),
        secret: false,
    });
}

/// Brings removed and added settings together where one replaced the other.
fn pair(old: &[&Setting], new: &[&Setting], lines: bool, out: &mut Vec<SettingChange>) {
    let mut by_key: Vec<(Vec<&Setting>, Vec<&Setting>)> = Vec::new();
    let mut index = HashMap::new();
    for (side, list) in [(0, old), (1, new)] {
        for setting in list {
            // Lines of words are told apart by their second word too, if there is more than one.
            let second = if lines && old.len() + new.len() > 2 { setting.value.split(' ').next().unwrap_or("") } else { "" };
            let at = *index.entry((&setting.section, &setting.key, second)).or_insert_with(|| {
                by_key.push((Vec::new(), Vec::new()));
                by_key.len() - 1
            });
            if side == 0 { by_key[at].0.push(setting) } else { by_key[at].1.push(setting) }
        }
    }
    for (a, b) in by_key {
        let (mut a, mut b): (Vec<_>, Vec<_>) = (a.into_iter().map(Some).collect(), b.into_iter().map(Some).collect());
        for (i, j) in partners(&a, &b, lines) {
            if let (Some(x), Some(y)) = (a[i].take(), b[j].take()) {
                out.push(replaced(x, y, lines));
            }
        }
        out.extend(a.into_iter().flatten().map(|s| alone(s, true, lines)));
        out.extend(b.into_iter().flatten().map(|s| alone(s, false, lines)));
    }
}

/// Pairs of indexes, those first that are most alike; an index may come again and counts only once.
fn partners(a: &[Option<&Setting>], b: &[Option<&Setting>], lines: bool) -> Vec<(usize, usize)> {
    let (Some(Some(first)), Some(_)) = (a.first(), b.first()) else { return Vec::new() };
    let in_order = || (0..a.len().min(b.len())).map(|i| (i, i)).collect();
    if first.key.is_empty() || (!lines && a.len() == b.len()) {
        return in_order();
    }
    if a.len().saturating_mul(b.len()) > MOST_PAIRS {
        return if lines { Vec::new() } else { in_order() };
    }
    let words = |list: &[Option<&'_ Setting>]| -> Vec<Vec<String>> {
        list.iter().map(|s| s.map_or_else(Vec::new, |s| s.value.split_whitespace().map(str::to_owned).collect())).collect()
    };
    let (x, y) = (words(a), words(b));
    let mut scores = Vec::new();
    for (i, p) in x.iter().enumerate() {
        scores.extend(y.iter().enumerate().map(|(j, q)| (likeness(p, q, !lines), i, j)).filter(|(score, ..)| *score > 0));
    }
    scores.sort_by(|p, q| q.0.cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    scores.into_iter().map(|(_, i, j)| (i, j)).collect()
}

/// Common words at the begin and the end. For lines of words 0 where they are not about the same thing.
fn likeness(a: &[String], b: &[String], any: bool) -> usize {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let about = any || head > 0 || (a.len() == 1 && b.len() == 1);
    if about { 4 * head + 2 * tail + 1 } else { 0 }
}

fn replaced(old: &Setting, new: &Setting, lines: bool) -> SettingChange {
    let (mut key, mut x, mut y) = (old.key.clone(), old.value.clone(), new.value.clone());
    if lines {
        // What both begin with is the name of the setting.
        let mut common = 0;
        for ((at, word), other) in x
            .split_inclusive(' ')
            .scan(0, |at, w| {
                *at += w.len();
                Some((*at, w))
            })
            .zip(y.split_inclusive(' '))
        {
            if word != other || at >= x.len() || at >= y.len() {
                break;
            }
            common = at;
        }
        if common > 0 {
            key = format!("{key} {}", x[..common].trim_end());
            (x, y) = (x[common..].to_owned(), y[common..].to_owned());
        }
    }
    let secret = words::secret_changed(old.value.as_bytes(), new.value.as_bytes());
    SettingChange {
        section: new.section.clone(),
        key,
        change: Change::Changed { old: x, new: y },
        old_line: Some(old.line),
        new_line: Some(new.line),
        secret,
    }
}

fn alone(setting: &Setting, gone: bool, lines: bool) -> SettingChange {
    let (key, value) = if lines { (whole(setting), String::new()) } else { (setting.key.clone(), setting.value.clone()) };
    SettingChange {
        section: setting.section.clone(),
        key,
        change: if gone { Change::Removed { value } } else { Change::Added { value } },
        old_line: gone.then_some(setting.line),
        new_line: (!gone).then_some(setting.line),
        secret: false,
    }
}

/// Sorts by section, in the order of the old text and then of the new one, and by line.
fn sort(old: &[Setting], new: &[Setting], changes: &mut [SettingChange]) {
    let mut rank: HashMap<&str, usize> = HashMap::new();
    for setting in old.iter().chain(new) {
        let next = rank.len();
        rank.entry(&setting.section).or_insert(next);
    }
    changes.sort_by(|a, b| {
        let key = |c: &SettingChange| {
            let place =
                if c.section.is_empty() { 0 } else { 1 + rank.get(c.section.as_str()).copied().unwrap_or(usize::MAX - 1) };
            (place, !c.key.is_empty(), c.new_line.or(c.old_line))
        };
        key(a).cmp(&key(b)).then_with(|| a.key.cmp(&b.key))
    });
}
