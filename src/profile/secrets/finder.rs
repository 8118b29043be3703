//! The rules, and what is done where one of their words is found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use memchr::{memchr, memrchr};
use regex::bytes::{CaptureLocations, Regex};

use super::keys::{Key, KeyGlob, is_key_byte};
use super::value::{REACH, Site, can_be_secret, is_path, key_around, value_can_be_secret};
use super::words::Words;
use super::{Found, MaskOverrides, csv, join, sql, tables};
use crate::model::ConfigPath;
use crate::profile::language::{ClearRule, SecretRule};
use crate::profile::pattern::{Pattern, bytes_of};
use crate::profile::syntax::{Sections, Syntax, sections};

/// The name of the rules of the user that mask more.
pub(super) const ALWAYS: &str = "always-mask";

/// Which rules hold for one file: bits by the place of the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::profile) struct Applies {
    bits: Vec<bool>,
    clear: Vec<bool>,
}

/// Something to do where a word was found.
#[derive(Debug)]
enum Job {
    /// `number` counts the jobs of this kind.
    Keys {
        rule: usize,
        globs: Vec<KeyGlob>,
        number: usize,
    },
    Line {
        rule: usize,
    },
    Block {
        rule: usize,
    },
}

struct Rule {
    id: Arc<str>,
    source: SecretRule,
    not_keys: Vec<KeyGlob>,
    /// Numbers of the groups of `regex` whose names begin with `secret`, once it was used.
    groups: OnceLock<Vec<usize>>,
}

impl Rule {
    /// Gives the groups that hold secrets.
    fn groups(&self, regex: &Regex) -> &[usize] {
        let named = |(at, name): (usize, Option<&str>)| name.filter(|n| n.starts_with("secret")).map(|_| at);
        self.groups.get_or_init(|| regex.capture_names().enumerate().filter_map(named).collect())
    }

    /// Tells whether the rule is tried on every line of its files.
    fn every_line(&self) -> bool {
        self.source.regex.is_some() && self.source.words.is_empty()
    }
}

/// All rules of a profile, its own and the general ones, ready to run.
pub(in crate::profile) struct Finder {
    rules: Vec<Rule>,
    clear: Vec<ClearRule>,
    words: Words,
    jobs: Vec<Vec<Job>>,
    /// How many of the jobs are of keys.
    key_jobs: usize,
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finder({} rules)", self.rules.len())
    }
}

impl Finder {
    /// Gathers the words of the rules. The first rules name a span that several find.
    pub(in crate::profile) fn new<'r>(rules: impl Iterator<Item = &'r SecretRule>, clear: Vec<ClearRule>) -> Self {
        let rules: Vec<Rule> = rules
            .map(|source| Rule {
                id: format!("{}/{}", source.home, source.id).into(),
                not_keys: source.not_keys.iter().map(|k| KeyGlob::new(k)).collect(),
                source: source.clone(),
                groups: OnceLock::new(),
            })
            .collect();
        let mut by_word: BTreeMap<Vec<u8>, Vec<Job>> = BTreeMap::new();
        let mut key_jobs = 0;
        for (index, rule) in rules.iter().enumerate() {
            for key in &rule.source.keys {
                let glob = KeyGlob::new(key);
                let jobs = by_word.entry(glob.literal().to_vec()).or_default();
                match jobs.iter_mut().find_map(|job| match job {
                    Job::Keys { rule, globs, .. } if *rule == index => Some(globs),
                    _ => None,
                }) {
                    Some(globs) => globs.push(glob),
                    None => {
                        jobs.push(Job::Keys { rule: index, globs: vec![glob], number: key_jobs });
                        key_jobs += 1;
                    }
                }
            }
            for word in &rule.source.words {
                let job = if rule.source.begin.is_some() { Job::Block { rule: index } } else { Job::Line { rule: index } };
                by_word.entry(word.to_ascii_lowercase().into_bytes()).or_default().push(job);
            }
        }
        let (words, jobs): (Vec<_>, Vec<_>) = by_word.into_iter().unzip();
        let words = Words::new(words.into_iter());
        Self { rules, clear, words, jobs, key_jobs }
    }

    /// Tells which rules hold for a file of these traits; `matches` says whether the
    /// globs of the n-th rule do, those of the `clear` rules counted on.
    pub(in crate::profile) fn applies(&self, syntax: Syntax, matches: &dyn Fn(usize) -> bool) -> Applies {
        let holds = |at: usize, paths: &[Pattern]| paths.is_empty() || matches(at);
        Applies {
            bits: self
                .rules
                .iter()
                .enumerate()
                .map(|(at, r)| (r.source.syntax.is_empty() || r.source.syntax.contains(&syntax)) && holds(at, &r.source.paths))
                .collect(),
            clear: self.clear.iter().enumerate().map(|(at, rule)| holds(self.rules.len() + at, &rule.paths)).collect(),
        }
    }

    /// Gives the first rule that takes the value of a key.
    fn rule_of_key(&self, key: &[u8], applies: &Applies) -> Option<usize> {
        let key = Key::new(key);
        let all = self.jobs.iter().flatten().filter_map(|job| match job {
            Job::Keys { rule, globs, .. } if applies.bits[*rule] && globs.iter().any(|glob| glob.matches(key)) => Some(*rule),
            _ => None,
        });
        all.filter(|rule| !self.rules[*rule].not_keys.iter().any(|glob| glob.matches(key))).min()
    }

    /// Finds the secrets of a text.
    pub(in crate::profile) fn find(
        &self,
        text: &[u8],
        syntax: Syntax,
        applies: &Applies,
        profile: &str,
        path: &ConfigPath,
        overrides: &MaskOverrides,
    ) -> Vec<Found> {
        let mut search = Search::new(self, text, syntax);
        let mut blocks = Vec::new();
        self.words.find(text, |word, hit| {
            for job in &self.jobs[word] {
                match job {
                    Job::Keys { rule, globs, number } if applies.bits[*rule] => search.key(*rule, globs, *number, hit.clone()),
                    Job::Line { rule } if applies.bits[*rule] => search.line(*rule, hit.start),
                    Job::Block { rule } if applies.bits[*rule] => blocks.push((hit.clone(), *rule)),
                    _ => {}
                }
            }
        });
        // What begins inside of a block is no block of its own.
        blocks.sort_by_key(|(hit, _)| hit.end);
        for (hit, rule) in blocks {
            if hit.start >= search.block_end {
                search.block(rule, hit);
            }
        }
        for (rule, _) in self.rules.iter().enumerate().filter(|(rule, known)| known.every_line() && applies.bits[*rule]) {
            lines(text).for_each(|line| search.line_rule(rule, line));
        }
        let wanted = |name: &[u8]| self.rule_of_key(name, applies);
        let cells = match syntax {
            Syntax::Audiocodes => tables::columns(text, &wanted),
            Syntax::Plain => [csv::columns(text, &wanted), sql::columns(text, &wanted)].concat(),
            _ => Vec::new(),
        };
        for (rule, range) in cells {
            if can_be_secret(&text[range.clone()], syntax) {
                search.push(rule, range);
            }
        }
        let mut spans = search.spans;
        if !spans.is_empty() && applies.clear.contains(&true) {
            let holding: Vec<&Pattern> =
                self.clear.iter().zip(&applies.clear).filter(|(_, holds)| **holds).map(|(rule, _)| &rule.regex).collect();
            drop_inside(text, &mut spans, "clear", |line| {
                // Most lines match none, and have not even the letters for it.
                let bytes = bytes_of(line);
                let can_match = holding.iter().filter_map(|regex| regex.line_regex_with(bytes));
                // Places of groups are made for few.
                can_match.filter(|regex| regex.is_match(line)).collect()
            });
        }
        for rule in overrides.never.iter().filter(|rule| rule.holds(profile, path)) {
            drop_inside(text, &mut spans, "secret", |_| vec![&rule.regex]);
        }
        spans.extend(overrides.always(profile, path, text).into_iter().map(|span| (u32::MAX, span.range)));
        join(spans)
    }

    /// Gives the name of a rule by its rank.
    pub(in crate::profile) fn rule(&self, rank: u32) -> Arc<str> {
        let rule = usize::try_from(rank).ok().and_then(|at| self.rules.get(at));
        rule.map_or_else(|| ALWAYS.into(), |rule| Arc::clone(&rule.id))
    }
}

/// Gives the lines of a text, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let line = line_at(text, at);
        at = memchr(b'\n', &text[line.end..]).map_or(text.len(), |n| line.end + n + 1);
        Some(line)
    })
}

/// Gives the line around a place, without its end.
fn line_at(text: &[u8], at: usize) -> Range<usize> {
    let start = memrchr(b'\n', &text[..at]).map_or(0, |n| n + 1);
    let mut end = memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
    if end > start && text[end - 1] == b'\r' {
        end -= 1;
    }
    start..end
}

/// Drops the spans that lie inside a match, or its group, of the expressions that `rules` gives for a line.
fn drop_inside<'r>(text: &[u8], spans: &mut Vec<Found>, group: &str, rules: impl Fn(&[u8]) -> Vec<&'r Regex>) {
    // Many spans can stand on one line, which is matched once.
    spans.sort_by_key(|(_, range)| range.start);
    let mut line = 0..0;
    let mut inside: Vec<Range<usize>> = Vec::new();
    spans.retain(|(_, range)| {
        if line.is_empty() || range.start > line.end {
            line = line_at(text, range.start);
            inside.clear();
            for regex in rules(&text[line.clone()]) {
                for found in regex.captures_iter(&text[line.clone()]) {
                    if let Some(part) = found.name(group).or_else(|| found.get(0)) {
                        inside.push(line.start + part.start()..line.start + part.end());
                    }
                }
            }
            inside.sort_by_key(|part| part.end);
        }
        let next = inside.partition_point(|part| part.end < range.end);
        !inside[next..].iter().any(|part| part.start <= range.start)
    });
}

/// One pass over one text.
struct Search<'s> {
    finder: &'s Finder,
    text: &'s [u8],
    syntax: Syntax,
    /// The line of the last hit.
    line: Range<usize>,
    /// For each rule the start of the line that it was last tried on.
    done: Vec<usize>,
    /// For each rule room for the places of its groups.
    groups: Vec<Option<CaptureLocations>>,
    /// End of the last block.
    block_end: usize,
    /// The sections of the text, once a rule has asked for them, and a place with its line's number.
    sections: Option<Sections>,
    counted: (usize, usize),
    /// The key of the last hit.
    key: Range<usize>,
    /// For each job of keys the last two keys that it was asked of, and the answers: a file has few different ones.
    asked: Vec<[(Range<usize>, bool); 2]>,
    spans: Vec<Found>,
}

impl<'s> Search<'s> {
    fn new(finder: &'s Finder, text: &'s [u8], syntax: Syntax) -> Self {
        let done = vec![usize::MAX; finder.rules.len()];
        let groups = vec![None; finder.rules.len()];
        Self {
            finder,
            text,
            syntax,
            line: 0..0,
            done,
            groups,
            block_end: 0,
            sections: None,
            counted: (0, 0),
            key: 0..0,
            asked: Vec::new(),
            spans: Vec::new(),
        }
    }

    fn push(&mut self, rule: usize, range: Range<usize>) {
        if let Some(wanted) = &self.finder.rules[rule].source.section {
            let section = self.section_at(range.start);
            if !section.is_some_and(|name| wanted.is_match(name.as_bytes())) {
                return;
            }
        }
        let rank = u32::try_from(rule).unwrap_or(u32::MAX - 1);
        self.spans.push((rank, range));
    }

    /// Gives the section of a place.
    fn section_at(&mut self, at: usize) -> Option<&str> {
        let (known, number) = self.counted;
        let between = memchr::memchr_iter(b'\n', &self.text[known.min(at)..known.max(at)]).count();
        let number = if at < known { number - between } else { number + between };
        self.counted = (at, number);
        let (syntax, text) = (self.syntax, self.text);
        self.sections.get_or_insert_with(|| sections(syntax, text)).of_line(number)
    }

    /// Gives the line of a hit; a hit that spans lines belongs to the line of its start.
    fn line_of(&mut self, at: usize) -> Range<usize> {
        if at < self.line.start || at > self.line.end || self.line.is_empty() {
            self.line = line_at(self.text, at);
        }
        self.line.clone()
    }

    /// Tries a rule on the line of a hit, once for each line.
    fn line(&mut self, rule: usize, at: usize) {
        let line = self.line_of(at);
        if self.done[rule] != line.start {
            self.done[rule] = line.start;
            self.line_rule(rule, line);
        }
    }

    /// Gives the key around a hit; several words can stand in one.
    fn key_of(&mut self, hit: Range<usize>) -> Range<usize> {
        if self.key.start <= hit.start && hit.end <= self.key.end {
            return self.key.clone();
        }
        let key = key_around(self.text, hit);
        // The ends of a longer one depend on where it is looked at.
        let same_all_over = key.len() <= REACH && self.text[key.clone()].iter().all(|b| is_key_byte(*b));
        self.key = if same_all_over { key.clone() } else { 0..0 };
        key
    }

    /// Tells whether a rule takes the value of a key.
    fn takes(&mut self, rule: usize, globs: &[KeyGlob], number: usize, key: &Range<usize>) -> bool {
        if self.asked.is_empty() {
            self.asked.resize(self.finder.key_jobs, Default::default());
        }
        let name = &self.text[key.clone()];
        let last = &mut self.asked[number];
        if let Some((_, answer)) = last.iter().find(|(asked, _)| self.text[asked.clone()] == *name) {
            return *answer;
        }
        let (name, not_keys) = (Key::new(name), &self.finder.rules[rule].not_keys);
        let takes = globs.iter().any(|glob| glob.matches(name)) && !not_keys.iter().any(|glob| glob.matches(name));
        last.swap(0, 1);
        last[0] = (key.clone(), takes);
        takes
    }

    fn key(&mut self, rule: usize, globs: &[KeyGlob], number: usize, hit: Range<usize>) {
        let key = self.key_of(hit);
        if !self.takes(rule, globs, number, &key) {
            return;
        }
        let known = &self.finder.rules[rule];
        let line = self.line_of(key.start);
        let site = Site { text: self.text, syntax: self.syntax, key, line, blank: known.source.blank };
        let Some(value) = site.value() else { return };
        if value.range.is_empty() || !value_can_be_secret(self.text, &value, self.syntax) {
            return;
        }
        let bytes = &self.text[value.range.clone()];
        let name = &self.text[site.key.clone()];
        let names_key = name.len() >= 3 && name[name.len() - 3..].eq_ignore_ascii_case(b"key");
        if names_key && is_path(bytes) {
            return;
        }
        self.push(rule, value.range);
    }

    fn line_rule(&mut self, rule: usize, line: Range<usize>) {
        let finder = self.finder;
        let known = &finder.rules[rule];
        let Some(regex) = known.source.regex.as_ref().and_then(|regex| regex.line_regex_for(&self.text[line.clone()])) else {
            return;
        };
        // Places of groups are kept for the next line: making them costs as much as the match.
        let mut groups = self.groups[rule].take().unwrap_or_else(|| regex.capture_locations());
        let text = &self.text[line.clone()];
        let mut at = 0;
        while let Some(found) = regex.captures_read_at(&mut groups, text, at) {
            if at == 0
                && known
                    .source
                    .unless
                    .as_ref()
                    .is_some_and(|unless| unless.line_regex().is_some_and(|unless| unless.is_match(text)))
            {
                break;
            }
            for (start, end) in known.groups(regex).iter().filter_map(|group| groups.get(*group)) {
                if can_be_secret(&text[start..end], self.syntax) {
                    self.push(rule, line.start + start..line.start + end);
                }
            }
            at = found.end().max(found.start() + 1);
            if at > text.len() {
                break;
            }
        }
        self.groups[rule] = Some(groups);
    }

    /// Takes what stands between the line that begins a block and its end.
    fn block(&mut self, rule: usize, hit: Range<usize>) {
        let source = &self.finder.rules[rule].source;
        let (Some(begin), Some(end)) =
            (source.begin.as_ref().and_then(Pattern::regex), source.end.as_ref().and_then(Pattern::regex))
        else {
            return;
        };
        let line = self.line_of(hit.start);
        // Blocks can follow each other on one line, in JSON.
        let from = line.start.max(self.block_end);
        let Some(head) = begin.find(&self.text[from..line.end]) else { return };
        let start = from + head.end();
        let stop = match end.find(&self.text[start..]) {
            Some(tail) => start + tail.start(),
            None => start + key_body(&self.text[start..]),
        };
        self.block_end = stop;
        let body = &self.text[start..stop];
        let escaped = |body: &[u8]| body.strip_prefix(b"\\n").map_or(0, |rest| body.len() - rest.len());
        let lead = escaped(body).max(body.len() - body.trim_ascii_start().len());
        let tail = if body.ends_with(b"\\n") { 2 } else { body.len() - body.trim_ascii_end().len() };
        if lead + tail < body.len() {
            self.push(rule, start + lead..stop - tail);
        }
    }
}

/// Gives the length of what looks like the body of a key whose end was cut off.
fn key_body(text: &[u8]) -> usize {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b':' | b',' | b'-' | b' ' | b'\t' | b'\r');
    let mut end = 0;
    for (count, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let trimmed = line.trim_ascii();
        if count > 0 && (trimmed.is_empty() || !trimmed.iter().all(plain) || trimmed.contains(&b' ') && trimmed.len() < 32) {
            break;
        }
        end += line.len();
    }
    end
}
