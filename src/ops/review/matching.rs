//! What a passage names of that which a device uses.

use super::{Passage, Uses};

/// Section names that say nothing by themselves.
const COMMON: &[&str] = &["general", "global", "globals", "default", "options", "settings", "main"];
/// How names of modules begin, in Asterisk and its like.
const KINDS: &[&str] = &["app", "bridge", "cdr", "cel", "chan", "codec", "format", "func", "mod", "pbx", "res"];

/// What kind of thing is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HitKind {
    /// A module.
    Module,
    /// A file.
    File,
    /// An option.
    Option,
    /// A section.
    Section,
}

impl HitKind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HitKind::Module => "module",
            HitKind::File => "file",
            HitKind::Option => "option",
            HitKind::Section => "section",
        }
    }
}

/// Something of the device that is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// What kind of thing.
    pub kind: HitKind,
    /// Its name.
    pub word: String,
    /// The file of the device in which it is used.
    pub file: String,
    /// The line there; 0 for the file itself.
    pub line: u32,
}

/// Finds what a passage names.
pub(super) fn hits(passage: &Passage, uses: &Uses) -> Vec<Hit> {
    let mut out: Vec<Hit> = Vec::new();
    let mut add = |kind, word: &str, at: &(String, u32)| {
        if !out.iter().any(|hit| hit.kind == kind && hit.word == word) {
            out.push(Hit { kind, word: word.to_owned(), file: at.0.clone(), line: at.1 });
        }
    };
    let topics = words(&passage.topic);
    for topic in &topics {
        let word = bare(&topic.text);
        // Vendors write `app_queues` too.
        let singular = word.strip_suffix('s').filter(|word| is_module(word));
        let names = [Some(uses.whole(&word)), singular];
        if let Some((name, at)) = names.into_iter().flatten().find_map(|name| Some((name, uses.module(name)?))) {
            add(HitKind::Module, name, at);
        } else if let Some(at) = uses.stems.get(&word).filter(|_| topics.len() == 1) {
            add(HitKind::File, &word, at);
        } else if let Some((name, _)) = uses.bases().find(|(_, base)| *base == word && topics.len() == 1) {
            add(HitKind::Module, name, &uses.modules[name]);
        }
    }
    let found = words(&passage.text);
    for word in &found {
        let plain = bare(&word.text);
        if let Some(at) = uses.files.get(&word.text.to_lowercase()) {
            add(HitKind::File, &word.text.to_lowercase(), at);
        } else if let Some(at) = uses.module(uses.whole(&plain)).filter(|_| is_module(uses.whole(&plain))) {
            add(HitKind::Module, uses.whole(&plain), at);
        } else if let Some(name) = by_application(word, uses) {
            add(HitKind::Module, &name, &uses.modules[&name]);
        }
    }
    let about = |stem: &str| topics.iter().any(|topic| stems_of(&bare(&topic.text), stem));
    let foreign = topics.iter().any(|topic| is_module(&bare(&topic.text)))
        && out.is_empty()
        && !uses.stems.keys().any(|stem| about(stem))
        && !uses.bases().any(|(_, base)| about(base));
    let related = !out.is_empty();
    let mut add = |kind, word: &str, at: &(String, u32)| {
        if !out.iter().any(|hit| hit.kind == kind && hit.word == word) {
            out.push(Hit { kind, word: word.to_owned(), file: at.0.clone(), line: at.1 });
        }
    };
    for word in found.iter().filter(|_| !foreign) {
        let lower = word.text.to_lowercase();
        if let Some(at) = uses.options.get(&lower) {
            let distinct = lower.contains(['_', '-']) || lower.len() >= 14;
            if distinct || (related && word.quoted) {
                add(HitKind::Option, &lower, at);
            }
        }
        let says = word.bracketed && (related || !COMMON.contains(&lower.as_str()));
        if let Some(at) = uses.sections.get(&lower).filter(|_| says) {
            add(HitKind::Section, &lower, at);
        }
    }
    out.sort();
    out
}

/// A word of a text, and what stands around it.
struct Word {
    text: String,
    quoted: bool,
    bracketed: bool,
    /// A `(` follows, or the word "application" or "function".
    called: bool,
}

fn words(text: &str) -> Vec<Word> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out: Vec<Word> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, inside(c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                start = None;
                let word = text[from..at].trim_matches(['.', '-']);
                if word.is_empty() {
                    continue;
                }
                let before = text[..from].chars().next_back().unwrap_or(' ');
                let rest = text[at..].trim_start();
                let follows = |word: &str| rest.get(..word.len()).is_some_and(|r| r.eq_ignore_ascii_case(word));
                out.push(Word {
                    text: word.to_owned(),
                    quoted: matches!(before, '\'' | '"' | '`') && matches!(c, '\'' | '"' | '`' | '=' | ' '),
                    bracketed: before == '[' && c == ']',
                    called: c == '(' || follows("application") || follows("app ") || follows("function") || follows("dialplan"),
                });
            }
            _ => {}
        }
    }
    out
}

/// A name without what makes a file of a module.
fn bare(word: &str) -> String {
    let lower = word.to_lowercase();
    let cut = lower.strip_suffix(".so").or_else(|| lower.strip_suffix(".c")).map(str::to_owned);
    cut.unwrap_or(lower)
}

fn is_module(word: &str) -> bool {
    word.split_once('_').is_some_and(|(kind, rest)| KINDS.contains(&kind) && !rest.is_empty())
}

/// `pjsip_session` is of `pjsip`.
fn stems_of(module: &str, stem: &str) -> bool {
    let base = module.split_once('_').map_or(module, |(_, base)| base);
    stem.len() > 2 && (base == stem || base.strip_prefix(stem).is_some_and(|rest| rest.starts_with('_')))
}

/// The module of an application, or of the functions and events that begin with its name: `Queue()`,
/// `QUEUE_MEMBER`, `QueueMemberPause`. Of other modules such names are shared by a whole family (`PJSIP_HEADER`).
fn by_application(word: &Word, uses: &Uses) -> Option<String> {
    let lower = word.text.to_lowercase();
    let of = |base: &str| {
        if lower == base {
            return word.called && word.text != lower;
        }
        let Some(rest) = word.text.get(base.len()..).filter(|_| lower.starts_with(base) && base.len() >= 5) else { return false };
        let caps = word.text.chars().all(|c| !c.is_ascii_lowercase());
        let camel = word.text.starts_with(|c: char| c.is_ascii_uppercase()) && !caps;
        (caps && rest.starts_with('_')) || (camel && rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    uses.bases().find(|(name, base)| name.starts_with("app_") && of(base)).map(|(name, _)| name.to_owned())
}
