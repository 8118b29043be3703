//! Which secrets a generation holds, which it may hold, and which stand in clear.
//!
//! No report of this file holds a secret: what was masked is named by rule, line and token, and of what
//! looks like a secret only the first characters are shown.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use serde::Serialize;

use super::lines::Lines;
use super::{Error, Vault};
use crate::inventory::ProfileName;
use crate::model::{ConfigPath, DeviceName, Digest, Kind, MirrorName};
use crate::profile::{MaskOverrides, Profile, SecretSpan};
use crate::seal::{DeviceKeys, OPENING, Opener, Token, tokens};
use crate::store::decode::Access;
use crate::store::manifest::{Form, Line};
use crate::store::{Entry, Error as StoreError, Generation, JournalQuery, Refs};

/// A rule that is not known any more, or that cannot be told without an identity.
pub const UNKNOWN: &str = "-";

/// What stands in place of a rule where a file lies in clear as a whole.
const NOT_SEALED: &str = "not-sealed";

/// A place where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// `<scope>/<path>`.
    pub path: String,
    /// The line in which it begins, from 1; in the plain text if an identity was given, else in the masked.
    pub line: u64,
    /// The rule that finds it; `-` if none does any more, or none can without an identity.
    pub rule: String,
    /// The token that stands, or would stand, for it.
    pub token: String,
    /// It stands in clear: the rule is newer than the generation, or the store does not seal.
    pub clear: bool,
}

/// A text of high entropy that no rule takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Suspect {
    /// `<scope>/<path>`.
    pub path: String,
    /// Its line, from 1.
    pub line: u64,
    /// Its first characters.
    pub begins: String,
    /// Its length in bytes.
    pub length: usize,
}

/// The secrets of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Secrets that are masked or should be.
    pub places: Vec<Place>,
    /// Texts that look like secrets.
    pub suspects: Vec<Suspect>,
    /// Files that are sealed whole, and so were not looked into.
    pub sealed: u64,
}

/// Finds the profile of a device: what the inventory says, else what is asked for.
fn profile_of(vault: &Vault, device: &DeviceName, asked: Option<&ProfileName>) -> Result<Arc<Profile>, Error> {
    let name = match asked {
        Some(name) => name.clone(),
        None => vault.inventory.device(device)?.profile.clone(),
    };
    Ok(vault.profile(&name)?.0)
}

/// Lists the secrets of a generation, without their values.
///
/// # Errors
/// An unknown profile, or what reading the generation gives.
pub fn list(
    vault: &Vault,
    generation: &Generation,
    asked: Option<&ProfileName>,
    opener: Option<&Opener>,
    suspects: bool,
) -> Result<Listing, Error> {
    let profile = profile_of(vault, &generation.device, asked)?;
    let refs = vault.store.refs()?;
    let stored = vault.store.read_set(&refs, generation, Access { keys: Some(&vault.keys), opener: None })?;
    let plain = vault.store.read_set(&refs, generation, Access { keys: Some(&vault.keys), opener })?;
    let keys = keys_of(vault, generation, stored.manifest().epoch)?;
    let mut listing = Listing::default();
    let files: Vec<&Line> = stored.manifest().lines.iter().filter(|l| l.kind == Kind::File).collect();
    for line in files {
        let as_stored = match stored.read(line) {
            Ok(decoded) => decoded,
            Err(StoreError::Sealed { .. }) => {
                listing.sealed += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let masked = line.body.is_some_and(|b| b.form == Form::Masked);
        let opened = if masked && opener.is_some() { Some(plain.read(line)?) } else { None };
        let text = opened.as_ref().unwrap_or(&as_stored).bytes();
        let lines = Lines::of(text);
        let line_of = |at| lines.number(at) as u64;
        let path = line.shown();
        let mut add = |line: u64, rule: &str, token: Token, clear| {
            let (path, rule, token) = (path.clone(), rule.to_owned(), token.to_string());
            listing.places.push(Place { path, line, rule, token, clear });
        };
        let opening = keys.token(OPENING);
        let spans;
        if opened.is_some() {
            spans = profile.secrets(&line.path, text, vault.overrides());
            // One token for each place: a value can stand twice, and only once masked.
            let mut left: BTreeMap<Token, usize> = BTreeMap::new();
            tokens(as_stored.bytes()).into_iter().for_each(|(_, token)| *left.entry(token).or_default() += 1);
            for span in &spans {
                let token = keys.token(&text[span.range.clone()]);
                let known = left.get_mut(&token).filter(|count| **count > 0).map(|count| *count -= 1).is_some();
                add(line_of(span.range.start), &span.rule, token, !known);
            }
            let left = left.into_iter().filter(|(token, count)| *count > 0 && *token != opening);
            left.for_each(|(token, _)| add(0, UNKNOWN, token, false));
        } else {
            let found = in_stored(&profile, &line.path, text, vault.overrides());
            for SecretSpan { range, rule } in &found.clear {
                add(line_of(range.start), rule, keys.token(&text[range.clone()]), true);
            }
            spans = found.clear;
            for (at, token, rule) in found.masked.into_iter().filter(|(_, token, rule)| rule.is_some() || *token != opening) {
                add(line_of(at), rule.as_deref().unwrap_or(UNKNOWN), token, false);
            }
        }
        if suspects {
            // The digits of a token look like a secret, and are none.
            let tokens: Vec<_> = tokens(text).into_iter().map(|(range, _)| range).collect();
            for span in profile.suspects(&line.path, text, &spans) {
                let next = tokens.partition_point(|token| token.end <= span.range.start);
                if tokens.get(next).is_none_or(|token| token.start >= span.range.end) {
                    listing.suspects.push(suspect(&path, line_of(span.range.start), &text[span.range.clone()]));
                }
            }
        }
    }
    listing.places.sort();
    listing.suspects.sort();
    Ok(listing)
}

/// Shows so much of a text that it can be found, and not so much that it is told.
fn suspect(path: &str, line: u64, value: &[u8]) -> Suspect {
    let begins = value.iter().take(4.min(value.len() / 4)).map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' });
    Suspect { path: path.to_owned(), line, begins: begins.collect(), length: value.len() }
}

/// What rules find in a text as it is stored.
#[derive(Debug, Default)]
pub struct InStored {
    /// What stands in clear, and the rule that finds it.
    pub clear: Vec<SecretSpan>,
    /// All tokens, where they begin, and the first rule that finds one.
    pub masked: Vec<(usize, Token, Option<Arc<str>>)>,
}

/// Finds what rules take of a text as it is stored: a token, or a piece of one, is masked already and no secret.
///
/// What stands beside a token in one span is taken to be none either: rules are made for plain text, and a token has
/// another shape than what it stands for. Only `[[always-mask]]` means all that it matches.
#[must_use]
pub fn in_stored(profile: &Profile, path: &ConfigPath, text: &[u8], overrides: &MaskOverrides) -> InStored {
    let tokens = tokens(text);
    let touched = |range: &Range<usize>| {
        let behind = tokens.partition_point(|(token, _)| token.start < range.end);
        tokens.partition_point(|(token, _)| token.end <= range.start)..behind
    };
    let mut out = InStored::default();
    let mut rules: Vec<Option<Arc<str>>> = vec![None; tokens.len()];
    for SecretSpan { range, rule } in profile.secrets(path, text, overrides) {
        let inside = touched(&range);
        rules[inside.clone()].iter_mut().filter(|known| known.is_none()).for_each(|known| *known = Some(rule.clone()));
        if inside.is_empty() {
            out.clear.push(SecretSpan { range, rule });
        }
    }
    if !tokens.is_empty() {
        for SecretSpan { range, rule } in overrides.always(profile.name(), path, text) {
            let inside = &tokens[touched(&range)];
            let starts = std::iter::once(range.start).chain(inside.iter().map(|(token, _)| token.end));
            let ends = inside.iter().map(|(token, _)| token.start).chain([range.end]);
            let beside = starts.zip(ends).filter(|(start, end)| !inside.is_empty() && start < end);
            let some = beside.filter(|(start, end)| text[*start..*end].iter().any(u8::is_ascii_alphanumeric));
            out.clear.extend(some.map(|(start, end)| SecretSpan { range: start..end, rule: rule.clone() }));
        }
    }
    out.masked = tokens.into_iter().zip(rules).map(|((range, token), rule)| (range.start, token, rule)).collect();
    out
}

fn keys_of(vault: &Vault, generation: &Generation, epoch: u32) -> Result<DeviceKeys, Error> {
    let key = vault.keys.epoch(epoch).ok_or(StoreError::NoStoreKey(epoch))?;
    Ok(DeviceKeys::derive(key, &generation.device))
}

/// A value that the rules of today know as a secret, and that stands in clear in the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Exposed {
    /// The device.
    pub device: DeviceName,
    /// `<scope>/<path>`.
    pub path: String,
    /// The rule that finds it; `not-sealed` for a file that stands in clear whole.
    pub rule: String,
    /// Keyed digest of the value, as a token: equal ones are the same value. Nothing for a whole file.
    pub token: Option<String>,
    /// The generations in which it stands in clear.
    pub generations: Vec<u64>,
    /// The months of logs in which it stands in clear, as refs; only of logs.
    pub months: Vec<String>,
    /// The mirrors that were sent one of these generations or months, as far as the journal tells.
    pub mirrors: Vec<MirrorName>,
}

/// The runs that a mirror was not sent; nothing for a mirror that was never pushed to.
type NotSent = Option<HashSet<String>>;

/// Reads in the journal of this collector what each mirror of the inventory was sent. A push of which only a part went
/// through counts as whole: what may be there is taken to be there.
fn not_sent(vault: &Vault, refs: &Refs) -> Result<Vec<(MirrorName, NotSent)>, Error> {
    let mut open: BTreeMap<MirrorName, HashSet<String>> =
        vault.inventory.mirrors.keys().map(|name| (name.clone(), HashSet::new())).collect();
    let mut sent = Vec::new();
    let query = JournalQuery { collector: Some(vault.inventory.collector.clone()), ..JournalQuery::default() };
    vault.store.each_record(refs, &query, &mut |Entry { record, .. }| {
        let mirror = record.more.get("mirror").and_then(serde_json::Value::as_str);
        let name = mirror.filter(|_| record.action == "mirror-push" && record.outcome != "failed");
        if let Some((name, runs)) = name.and_then(|name| open.remove_entry(&name.parse::<MirrorName>().ok()?)) {
            sent.push((name, Some(runs)));
        }
        open.values_mut().for_each(|runs| runs.extend([record.run.clone()]));
        if open.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    sent.extend(open.into_keys().map(|name| (name, None)));
    Ok(sent)
}

/// Generations that show a value, and the mirrors that were sent one of them.
type Where = (Vec<u64>, BTreeSet<MirrorName>);

/// What a stored file shows: rule and token.
type Shown = BTreeSet<(String, Option<String>)>;

/// Lists what stands in clear in the history of devices although the rules of today call it secret, with the
/// generations that show it. Needs no identity: it reads what a thief of a mirror would read.
///
/// # Errors
/// An unknown device or profile, or what reading a generation gives.
pub fn exposed(vault: &Vault, asked: &[DeviceName]) -> Result<Vec<Exposed>, Error> {
    let refs = vault.store.refs()?;
    let mut all = Vec::new();
    let not_sent = not_sent(vault, &refs)?;
    let devices = if asked.is_empty() { vault.store.devices(&refs) } else { asked.to_vec() };
    for device in devices {
        // A device that left the inventory is read by the rules that are always there.
        let name = vault.inventory.device(&device).map(|d| d.profile.clone());
        let profile = match name {
            Ok(name) => vault.profile(&name)?.0,
            Err(_) => vault.profiles.get("generic")?,
        };
        let mut found: BTreeMap<(String, String, Option<String>), Where> = BTreeMap::new();
        // What a file shows depends on its content, the key, and the rules for its path.
        let mut known: HashMap<(Digest, u32, String), Shown> = HashMap::new();
        for generation in vault.store.history(&refs, &device)? {
            let generation = generation?;
            let reader = vault.store.read_set(&refs, &generation, Access::default())?;
            let epoch = reader.manifest().epoch;
            let keys = keys_of(vault, &generation, epoch)?;
            let sent_to = sent_to(&not_sent, generation.run.as_deref());
            for line in reader.manifest().lines.iter().filter(|l| l.kind == Kind::File) {
                let Some(body) = line.body else { continue };
                let id = (body.stored, epoch, line.shown());
                let shown = match known.get(&id) {
                    Some(shown) => shown,
                    None => {
                        let shown = match body.form {
                            Form::Plain | Form::Masked => in_clear(vault, &profile, &keys, line, reader.read(line)?.bytes()),
                            Form::Packed { sealed: true, .. } => Shown::new(),
                            // In clear as a whole: of a user, no text, or too large to be looked into.
                            Form::Packed { .. } => Shown::from([(NOT_SEALED.to_owned(), None)]),
                        };
                        known.entry(id).or_insert(shown)
                    }
                };
                for (rule, token) in shown {
                    let key = (line.shown(), rule.clone(), token.clone());
                    let (generations, mirrors) = found.entry(key).or_default();
                    generations.push(generation.number);
                    mirrors.extend(sent_to.iter().copied().cloned());
                }
            }
        }
        all.extend(found.into_iter().map(|((path, rule, token), (mut generations, mirrors))| {
            generations.sort_unstable();
            let mirrors = mirrors.into_iter().collect();
            Exposed { device: device.clone(), path, rule, token, generations, months: Vec::new(), mirrors }
        }));
    }
    all.extend(exposed_logs(vault, &refs, asked, &not_sent)?);
    all.sort();
    Ok(all)
}

/// The mirrors that were sent what a run made.
fn sent_to<'n>(not_sent: &'n [(MirrorName, NotSent)], run: Option<&str>) -> Vec<&'n MirrorName> {
    let was_sent = |runs: &NotSent| match (runs, run) {
        (Some(runs), Some(run)) => !runs.contains(run),
        (Some(_), None) => true,
        (None, _) => false,
    };
    not_sent.iter().filter(|(_, runs)| was_sent(runs)).map(|(name, _)| name).collect()
}

/// Lists the logs that were filed unsealed. No rule looks into them.
fn exposed_logs(
    vault: &Vault,
    refs: &Refs,
    devices: &[DeviceName],
    not_sent: &[(MirrorName, NotSent)],
) -> Result<Vec<Exposed>, Error> {
    let mut found: BTreeMap<(DeviceName, String), (BTreeSet<String>, BTreeSet<MirrorName>)> = BTreeMap::new();
    for filed in vault.store.logs(refs, None)? {
        if !devices.is_empty() && !devices.contains(&filed.device) {
            continue;
        }
        let set = vault.store.read_logs(refs, &filed, Access::default())?;
        for line in set.manifest().lines.iter().filter(|l| l.body.is_some_and(|b| l.kind == Kind::File && !b.form.sealed())) {
            let (months, mirrors) = found.entry((filed.device.clone(), line.shown())).or_default();
            months.insert(filed.reference.clone());
            mirrors.extend(sent_to(not_sent, filed.run.as_deref()).into_iter().cloned());
        }
    }
    let logs = found.into_iter().map(|((device, path), (months, mirrors))| Exposed {
        device,
        path,
        rule: NOT_SEALED.to_owned(),
        token: None,
        generations: Vec::new(),
        months: months.into_iter().collect(),
        mirrors: mirrors.into_iter().collect(),
    });
    Ok(logs.collect())
}

/// What the rules of today find in a text as it is stored, apart from what is masked.
fn in_clear(vault: &Vault, profile: &Profile, keys: &DeviceKeys, line: &Line, text: &[u8]) -> Shown {
    let clear = in_stored(profile, &line.path, text, vault.overrides()).clear.into_iter();
    clear.map(|span| (span.rule.to_string(), Some(keys.token(&text[span.range]).to_string()))).collect()
}
