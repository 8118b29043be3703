//! A profile that is ready to answer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::globs::{as_path, glob, matcher};
use super::language::{Backup, Collect, Command, Health, Module, ProfileFile, Restore, Session};
use super::pattern::Pattern;
use super::secrets::{Applies, Finder, Found, MaskOverrides, SecretSpan, suspects};
use super::syntax::{Syntax, guess};
use super::volatile::Normaliser;
use crate::model::{ConfigPath, Release, Scope};

/// Goes up when the code that runs rules gives other results for the same rules.
const ENGINE: &str = "confvault rules 2";

/// What a profile says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The file is part of the set.
    Scope(Scope),
    /// The file is no part of the set.
    Skip,
    /// No rule claims it: it is kept in scope `system` and reported.
    Unclaimed,
}

/// Globs of many rules, asked at once.
#[derive(Debug)]
struct Globs {
    set: GlobSet,
    /// For each glob the rule that it belongs to.
    owner: Vec<usize>,
    /// What was answered: the devices of a family have the same paths.
    known: RwLock<HashMap<ConfigPath, Arc<[usize]>>>,
}

/// How many answers are kept.
const KNOWN_PATHS: usize = 4096;

impl Globs {
    fn new<'p>(rules: impl Iterator<Item = &'p [Pattern]>) -> Self {
        let mut set = GlobSetBuilder::new();
        let mut owner = Vec::new();
        for (index, patterns) in rules.enumerate() {
            // Those of a profile were checked when it was loaded.
            for glob in patterns.iter().filter_map(|pattern| glob(pattern.as_str()).ok()) {
                set.add(glob);
                owner.push(index);
            }
        }
        Self { set: set.build().unwrap_or_else(|_| GlobSet::empty()), owner, known: RwLock::default() }
    }

    /// Gives the rules that match, in order.
    fn matching(&self, path: &ConfigPath) -> Arc<[usize]> {
        if let Some(rules) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Arc::clone(rules);
        }
        let mut rules: Vec<usize> = self.set.matches(as_path(path)).into_iter().map(|at| self.owner[at]).collect();
        rules.sort_unstable();
        rules.dedup();
        let rules: Arc<[usize]> = rules.into();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_PATHS {
            known.clear();
        }
        known.insert(path.clone(), Arc::clone(&rules));
        rules
    }
}

/// Values that are built once for each set of rules that hold for a file.
type Memo<K, V> = RwLock<HashMap<K, Arc<V>>>;

fn memo<K: std::hash::Hash + Eq, V>(known: &Memo<K, V>, key: K, make: impl FnOnce() -> V) -> Arc<V> {
    if let Some(value) = known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return value.clone();
    }
    let value = Arc::new(make());
    known.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(value).clone()
}

/// A profile: everything known of a device family.
#[derive(Debug)]
pub struct Profile {
    file: ProfileFile,
    general: Arc<ProfileFile>,
    look_id: OnceLock<String>,
    rules_id: OnceLock<String>,
    masks: OnceLock<blake3::Hash>,
    files: OnceLock<Globs>,
    required: OnceLock<Vec<(String, Option<GlobMatcher>)>>,
    by_itself: OnceLock<Globs>,
    releases: OnceLock<Vec<Globs>>,
    volatile: OnceLock<Globs>,
    normalisers: Memo<Vec<usize>, Option<Normaliser>>,
    secret_globs: OnceLock<Globs>,
    finder: OnceLock<Finder>,
    applies: Memo<(Arc<[usize]>, Syntax), Applies>,
}

impl Profile {
    pub(super) fn new(file: ProfileFile, general: Arc<ProfileFile>) -> Self {
        Self {
            file,
            general,
            look_id: OnceLock::new(),
            rules_id: OnceLock::new(),
            masks: OnceLock::new(),
            files: OnceLock::new(),
            required: OnceLock::new(),
            by_itself: OnceLock::new(),
            releases: OnceLock::new(),
            volatile: OnceLock::new(),
            normalisers: Memo::default(),
            secret_globs: OnceLock::new(),
            finder: OnceLock::new(),
            applies: Memo::default(),
        }
    }

    /// Gives the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// Gives the title, one line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Lists in words what was never verified on a device or in a source.
    #[must_use]
    pub fn unverified(&self) -> Vec<String> {
        self.file.all_unverified()
    }

    fn files(&self) -> &Globs {
        self.files.get_or_init(|| Globs::new(self.file.file.iter().map(|rule| rule.paths.as_slice())))
    }

    /// Says which scope a file has: the first rule that matches and gives one decides.
    #[must_use]
    pub fn claim(&self, path: &ConfigPath) -> Claim {
        if let Some(command) = self.file.command.iter().find(|command| command.path == *path) {
            return Claim::Scope(command.scope);
        }
        let rules = self.files().matching(path);
        let rule = rules.iter().map(|at| &self.file.file[*at]).find(|rule| rule.skip || rule.scope.is_some());
        match rule {
            Some(rule) if rule.skip => Claim::Skip,
            Some(rule) => rule.scope.map_or(Claim::Unclaimed, Claim::Scope),
            None => Claim::Unclaimed,
        }
    }

    /// Tells of each path whether it is of what the profile expects beside the configuration.
    pub(crate) fn expected(&self) -> impl Fn(&ConfigPath) -> bool + use<> {
        let expected = self.file.collect.iter().flat_map(|collect| &collect.expect);
        matcher(&expected.flat_map(|expect| expect.paths.clone()).collect::<Vec<_>>())
    }

    /// Tells whether the device makes, replaces and removes a file or folder by itself.
    #[must_use]
    pub fn is_by_itself(&self, path: &ConfigPath) -> bool {
        let globs = self.by_itself.get_or_init(|| {
            let expected = self.file.collect.iter().flat_map(|collect| &collect.expect);
            Globs::new(expected.map(|expect| match expect.by_itself.as_slice() {
                [] => expect.paths.as_slice(),
                own => own,
            }))
        });
        !globs.owner.is_empty() && !globs.matching(path).is_empty()
    }

    /// Gives the syntax of a file, by the rules, its name, or its first bytes.
    #[must_use]
    pub fn syntax(&self, path: &ConfigPath, bytes: &[u8]) -> Syntax {
        let rules = self.files().matching(path);
        rules.iter().find_map(|at| self.file.file[*at].syntax).unwrap_or_else(|| guess(path.as_bytes(), bytes))
    }

    /// Finds the release. `paths` are those of the set, outputs of commands included; `read` gives
    /// the bytes of one, and is asked only for those that a rule names.
    ///
    /// A rule that finds two different releases counts as one that finds none.
    #[must_use]
    pub fn release(&self, paths: &[ConfigPath], read: &mut dyn FnMut(&ConfigPath) -> Option<Vec<u8>>) -> Option<Release> {
        let rules = &self.file.release;
        let globs = self.releases.get_or_init(|| rules.iter().map(|r| Globs::new(std::iter::once(r.paths.as_slice()))).collect());
        for (rule, globs) in rules.iter().zip(globs) {
            let regex = rule.regex.regex()?;
            let mut found: Vec<Release> = Vec::new();
            for path in paths.iter().filter(|path| globs.set.is_match(as_path(path))) {
                let content = if rule.in_path { Some(path.as_bytes().to_vec()) } else { read(path) };
                let Some(content) = content else { continue };
                let text = regex
                    .captures(&content)
                    .and_then(|c| Some(String::from_utf8_lossy(c.name("release")?.as_bytes()).trim().to_owned()));
                if let Some(release) = text.and_then(|text| text.parse::<Release>().ok())
                    && !found.contains(&release)
                {
                    found.push(release);
                }
            }
            if found.len() == 1 {
                return found.pop();
            }
        }
        None
    }

    /// Identifies everything that decides what is collected, in which scope, as which release and how it is
    /// compared: 16 hexadecimal digits. Made once.
    #[must_use]
    pub fn look_id(&self) -> &str {
        self.look_id.get_or_init(|| {
            let file = &self.file;
            id(&serde_json::to_vec(&(&file.file, &file.release, &file.volatile, &file.collect, &file.command))
                .unwrap_or_default())
        })
    }

    /// Identifies the rules of [`Profile::normalise`]: 16 hexadecimal digits.
    #[must_use]
    pub fn rules_id(&self) -> String {
        self.rules_id.get_or_init(|| id(&serde_json::to_vec(&self.file.volatile).unwrap_or_default())).clone()
    }

    /// Identifies the rules of [`Profile::secrets`]: 16 hexadecimal digits.
    #[must_use]
    pub fn masks_id(&self, overrides: &MaskOverrides) -> String {
        let masks = self.masks.get_or_init(|| {
            let own = (&self.file.name, &self.file.secret, &self.file.clear, self.file.syntaxes());
            let general = (&self.general.secret, &self.general.clear);
            blake3::hash(&serde_json::to_vec(&(own, general)).unwrap_or_default())
        });
        let mut bytes = masks.as_bytes().to_vec();
        bytes.extend_from_slice(overrides.canonical().as_bytes());
        id(&bytes)
    }

    /// Gives a file without what is volatile in it; borrowed where there is nothing to leave out.
    #[must_use]
    pub fn normalise<'a>(&self, path: &ConfigPath, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.normaliser(path, bytes).as_deref() {
            Some(Some(normaliser)) => normaliser.apply(bytes),
            _ => Cow::Borrowed(bytes),
        }
    }

    /// Finds what [`Profile::normalise`] leaves out: lines with their ends, or parts of lines.
    #[must_use]
    pub fn volatile(&self, path: &ConfigPath, bytes: &[u8]) -> Vec<Range<usize>> {
        match self.normaliser(path, bytes).as_deref() {
            Some(Some(normaliser)) => normaliser.parts(bytes),
            _ => Vec::new(),
        }
    }

    fn normaliser(&self, path: &ConfigPath, bytes: &[u8]) -> Option<Arc<Option<Normaliser>>> {
        let rules = &self.file.volatile;
        if rules.is_empty() || memchr::memchr(0, bytes).is_some() {
            return None;
        }
        let globs = self.volatile.get_or_init(|| Globs::new(rules.iter().map(|rule| rule.paths.as_slice())));
        let matching = globs.matching(path);
        let holding: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].paths.is_empty() || matching.contains(at)).collect();
        if holding.is_empty() {
            return None;
        }
        Some(memo(&self.normalisers, holding.clone(), || {
            Normaliser::new(holding.iter().map(|at| rules[*at].regex.clone()).collect())
        }))
    }

    /// Finds the secrets of a text, sorted and not overlapping; none in a file with a NUL byte.
    #[must_use]
    pub fn secrets(&self, path: &ConfigPath, bytes: &[u8], overrides: &MaskOverrides) -> Vec<SecretSpan> {
        let found = self.found(path, bytes, overrides).into_iter();
        found.map(|(rank, range)| SecretSpan { range, rule: self.finder().rule(rank) }).collect()
    }

    /// As [`Profile::secrets`], without the names of the rules.
    #[must_use]
    pub fn secret_places(&self, path: &ConfigPath, bytes: &[u8], overrides: &MaskOverrides) -> Vec<Range<usize>> {
        self.found(path, bytes, overrides).into_iter().map(|(_, range)| range).collect()
    }

    fn finder(&self) -> &Finder {
        let clear = self.file.clear.iter().chain(&self.general.clear);
        self.finder.get_or_init(|| Finder::new(self.file.secret.iter().chain(&self.general.secret), clear.cloned().collect()))
    }

    fn found(&self, path: &ConfigPath, bytes: &[u8], overrides: &MaskOverrides) -> Vec<Found> {
        if bytes.is_empty() || memchr::memchr(0, bytes).is_some() {
            return Vec::new();
        }
        let syntax = self.syntax(path, bytes);
        let globs = self.secret_globs.get_or_init(|| {
            let rules = self.file.secret.iter().chain(&self.general.secret).map(|rule| rule.paths.as_slice());
            Globs::new(rules.chain(self.file.clear.iter().chain(&self.general.clear).map(|rule| rule.paths.as_slice())))
        });
        let finder = self.finder();
        let matching = globs.matching(path);
        let applies =
            memo(&self.applies, (Arc::clone(&matching), syntax), || finder.applies(syntax, &|rule| matching.contains(&rule)));
        finder.find(bytes, syntax, &applies, &self.file.name, path, overrides)
    }

    /// Finds texts of high entropy that lie in none of `spans`, the answer of [`Profile::secrets`].
    /// Their rule is `suspect`.
    #[must_use]
    pub fn suspects(&self, _path: &ConfigPath, bytes: &[u8], spans: &[SecretSpan]) -> Vec<SecretSpan> {
        if memchr::memchr(0, bytes).is_some() {
            return Vec::new();
        }
        suspects(bytes, spans)
    }

    /// Lists the rules of secrets of the profile and of those that it extends, as they stand in [`SecretSpan::rule`].
    #[must_use]
    pub fn secret_rules(&self) -> Vec<String> {
        self.file.secret.iter().map(|rule| format!("{}/{}", rule.home, rule.id)).collect()
    }

    /// Gives what the profile says about collecting.
    #[must_use]
    pub fn collect(&self) -> Option<&Collect> {
        self.file.collect.as_ref()
    }

    /// Gives the globs of what must be there that match none of the files of a set.
    pub(crate) fn missing<'p>(&self, files: impl Iterator<Item = &'p ConfigPath> + Clone) -> Vec<String> {
        let required = self.required.get_or_init(|| {
            let globs = self.file.collect.iter().flat_map(|collect| &collect.required);
            // A profile is checked when it is loaded; a glob that is none matches nothing.
            let matcher = |text: &String| Some(GlobBuilder::new(text).literal_separator(true).build().ok()?.compile_matcher());
            globs.map(|text| (text.clone(), matcher(text))).collect()
        });
        let there = |matcher: &GlobMatcher| files.clone().any(|path| matcher.is_match(as_path(path)));
        let lacks =
            |(text, matcher): &(String, Option<GlobMatcher>)| (!matcher.as_ref().is_some_and(there)).then(|| text.clone());
        required.iter().filter_map(lacks).collect()
    }

    /// Gives how commands reach the device.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.file.session.as_ref()
    }

    /// Gives the commands whose output is part of the set.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.file.command
    }

    /// Gives how a set is put back.
    #[must_use]
    pub fn restore(&self) -> Option<&Restore> {
        self.file.restore.as_ref()
    }

    /// Gives how the device makes a backup of its own.
    #[must_use]
    pub fn backup(&self) -> Option<&Backup> {
        self.file.backup.as_ref()
    }

    /// Gives the modules whose parts have names of their own in the vendor's notes.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.file.module
    }

    /// Gives the commands that tell whether the device is well.
    #[must_use]
    pub fn health(&self) -> &[Health] {
        &self.file.health
    }
}

fn id(bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(ENGINE.as_bytes());
    hasher.update(bytes);
    hasher.finalize().to_hex()[..16].to_owned()
}
