//! What a device uses: files, modules, options, sections, by its newest generation.

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::Regex;

use crate::diff::settings;
use crate::model::Kind;
use crate::ops::release::place;
use crate::ops::{Error, Reader};
use crate::store::{Generation, Refs};

/// Files of more bytes are known by name only.
const LARGEST_BYTES: u64 = 4 << 20;

/// What a device uses, each with the place where it does: file and line, line 0 for the file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Files that set something, by name, in lower case.
    pub files: BTreeMap<String, (String, u32)>,
    /// The same, by name without its extensions.
    pub stems: BTreeMap<String, (String, u32)>,
    /// Modules that are loaded by name.
    pub modules: BTreeMap<String, (String, u32)>,
    /// Modules that are not loaded, by name.
    pub not_loaded: BTreeSet<String>,
    /// Only what is loaded by name is loaded.
    pub explicit: bool,
    /// Words that stand before a `(` in values: applications of a dialplan; in lower case.
    pub applications: BTreeMap<String, (String, u32)>,
    /// Keys that are set, in lower case.
    pub options: BTreeMap<String, (String, u32)>,
    /// Other names of modules, and the module that each is a part of.
    pub parts: BTreeMap<String, String>,
    /// Sections.
    pub sections: BTreeMap<String, (String, u32)>,
}

impl Uses {
    /// Reads a generation. Secrets stay masked, what is sealed is left out.
    ///
    /// # Errors
    /// The generation cannot be read.
    pub fn of(reader: &Reader, refs: &Refs, generation: &Generation) -> Result<Self, Error> {
        let profile = reader.profile_of(&generation.device)?;
        let set = reader.store.read_set(refs, generation, reader.masked())?;
        let mut uses = Self::default();
        for module in profile.modules() {
            uses.parts.extend(module.also.iter().map(|part| (part.clone(), module.name.clone())));
        }
        for line in set.manifest().lines.iter().filter(|line| line.kind == Kind::File) {
            let readable = line.body.is_some_and(|body| !body.form.sealed() && body.size <= LARGEST_BYTES);
            if readable {
                let read = set.read(line)?;
                let path = place(line.scope, &line.path);
                uses.add(&path, read.bytes(), profile.syntax(&line.path, read.bytes()));
            }
        }
        Ok(uses)
    }

    /// Adds what one file uses.
    pub fn add(&mut self, path: &str, bytes: &[u8], syntax: crate::diff::Syntax) {
        let modules = self.modules.len();
        self.load(path, bytes);
        let found = settings(syntax, bytes).unwrap_or_default();
        let set = || found.iter().filter(|s| !s.default);
        let unreadable = found.is_empty() && bytes.iter().any(|b| !b.is_ascii_whitespace());
        if !unreadable && modules == self.modules.len() && !set().any(|s| !s.key.is_empty()) {
            return;
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        let name = name.strip_suffix(".sample").unwrap_or(&name).to_owned();
        let stem = name.split('.').next().unwrap_or(&name).to_owned();
        self.files.entry(name.clone()).or_insert_with(|| (path.to_owned(), 0));
        self.stems.entry(stem).or_insert_with(|| (path.to_owned(), 0));
        for setting in set() {
            let at = || (path.to_owned(), setting.line);
            if !setting.section.is_empty() {
                let section = setting.section.split(" (").next().unwrap_or_default();
                self.sections.entry(section.to_lowercase()).or_insert_with(at);
            }
            if !setting.key.is_empty() {
                self.options.entry(setting.key.to_lowercase()).or_insert_with(at);
            }
            if let Some(application) = application(&setting.value) {
                self.applications.entry(application).or_insert_with(at);
            }
        }
    }

    /// Finds the modules that a file loads.
    fn load(&mut self, path: &str, bytes: &[u8]) {
        let pattern = r#"(?m)^[ \t]*(?:(?<no>noload)|(?<auto>autoload)|preload|load|require|preload-require|loadmodule)[ \t]*(?:=>?|[ \t])[ \t]*"?(?<name>[\w./-]+?)(?:\.so)?"?[ \t]*(?:[;#(].*)?\r?$|<load\s+module="(?<xml>[\w./-]+)""#;
        let regex = Regex::new(pattern).expect("the pattern is constant and was tried");
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let Some(found) = regex.captures(line) else { continue };
            let name = found.name("name").or(found.name("xml")).map(|m| m.as_bytes()).unwrap_or_default();
            let name = String::from_utf8_lossy(name).rsplit('/').next().unwrap_or_default().to_lowercase();
            if found.name("auto").is_some() {
                self.explicit = matches!(name.as_str(), "no" | "false" | "0" | "off");
            } else if found.name("no").is_some() {
                self.not_loaded.insert(name);
            } else {
                let line = u32::try_from(at + 1).unwrap_or(u32::MAX);
                self.modules.entry(name).or_insert_with(|| (path.to_owned(), line));
            }
        }
    }

    /// The module that a name stands for: of a part, the whole.
    #[must_use]
    pub fn whole<'n>(&'n self, name: &'n str) -> &'n str {
        self.parts.get(name).map_or(name, String::as_str)
    }

    /// Where a module is used: it is loaded by name, or, where all modules are loaded, a file or an application
    /// has its name.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&(String, u32)> {
        if let Some(at) = self.modules.get(name) {
            return Some(at);
        }
        if self.explicit || self.not_loaded.contains(name) {
            return None;
        }
        let (kind, base) = name.split_once('_')?;
        let application = || self.applications.get(base).filter(|_| matches!(kind, "app" | "func"));
        let plural = format!("{base}s");
        self.stems.get(base).or_else(|| self.stems.get(&plural)).or_else(application)
    }

    /// The modules that are known by name to be used.
    pub fn bases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.keys().filter_map(|name| Some((name.as_str(), name.split_once('_')?.1)))
    }
}

/// The word before the first `(` of a value such as `Dial(PJSIP/100)` or `n,Queue(sales)`.
fn application(value: &str) -> Option<String> {
    let before = &value[..value.find('(')?];
    let word = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
    (word.len() > 1 && word.starts_with(|c: char| c.is_ascii_alphabetic())).then(|| word.to_lowercase())
}
