//! Comparing two points.
//!
//! Only what the digests do not prove equal is read. Secrets stay masked on both sides, that of `now`
//! too, so that a changed secret shows as a changed token and never as a value.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::snapshot::World;
use super::spool::spool;
use super::vouch::Signature;
use super::{Error, PathFilter, Reader};
use crate::collect::{Collected, Context, Network, collect};
use crate::diff::semantic::{SemanticDiff, compare_settings};
use crate::diff::{self, Body, File, SetDiff, Side, Syntax, Why};
use crate::fsio::Scratch;
use crate::inventory::SourceUrl;
use crate::model::{ConfigPath, Content, DeviceName, Digest, Entry, Kind, Owner, Point, Release, Scope, Where};
use crate::profile::Profile;
use crate::seal::{DeviceKeys, mask};
use crate::store::encode::{content_bytes, content_digest};
use crate::store::manifest::RulesId;
use crate::store::{Feature, Generation, Line, Manifest, Refs};

/// Files of more bytes are compared by digest only.
const LARGEST_BYTES: u64 = 32 << 20;

/// What is compared, and how.
#[derive(Debug, Default)]
pub struct Options {
    /// Only these paths.
    pub paths: PathFilter,
    /// Count differences in volatile lines too.
    pub volatile: bool,
    /// Unchanged lines around each change.
    pub context: usize,
    /// Compare settings in place of lines, where the syntax of a file has settings.
    pub semantic: bool,
}

/// One of the two points, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The device.
    pub device: DeviceName,
    /// The release, where it is known.
    pub release: Option<Release>,
    /// The number of the generation; nothing for the device as it is now.
    pub number: Option<u64>,
    /// When it was collected.
    pub time: DateTime<Utc>,
    /// What its signature is worth; nothing for the device as it is now.
    pub signature: Option<Signature>,
}

/// Two points, compared.
#[derive(Debug)]
pub struct Comparison {
    /// The first point.
    pub old: End,
    /// The second point.
    pub new: End,
    /// What differs.
    pub difference: Difference,
    /// Texts of the path filter that choose nothing on either side.
    pub unused_paths: Vec<String>,
}

/// What differs.
#[derive(Debug)]
pub enum Difference {
    /// By line.
    Lines(SetDiff),
    /// By setting.
    Settings(SemanticDiff),
}

impl Difference {
    /// Tells whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lines(diff) => diff.is_empty(),
            Self::Settings(diff) => diff.files.is_empty(),
        }
    }
}

/// Compares two points; without `new`, `old` is the newer one and is compared with the generation before it.
///
/// # Errors
/// A point is not there, a device cannot be collected, or something cannot be read.
pub fn compare(
    reader: &Reader,
    old: &Point,
    new: Option<&Point>,
    options: &Options,
    world: &World<'_>,
) -> Result<Comparison, Error> {
    let refs = reader.store.refs()?;
    let (old, new) = match new {
        Some(new) => (load(reader, &refs, old, world)?, load(reader, &refs, new, world)?),
        None => {
            let new = load(reader, &refs, old, world)?;
            let before = match new.end.number {
                Some(1) => {
                    let (wanted, there) = ("before 1".to_owned(), "1 as its first".to_owned());
                    return Err(crate::store::Error::NoGeneration { device: new.end.device, wanted, there }.into());
                }
                Some(number) => Where::Number(number - 1),
                None => Where::Newest,
            };
            let old = Point { device: old.device.clone(), release: None, at: before };
            (load(reader, &refs, &old, world)?, new)
        }
    };
    let profile = reader.profile_of(&new.end.device)?;
    let rules: Option<RulesId> = profile.rules_id().parse().ok().filter(|_| !options.volatile);
    let epoch = common_epoch(reader, &old, &new);
    let normal = [&old, &new].iter().all(|source| rules.is_some() && source.rules(rules) == rules);
    let sight = Sight { reader, refs: &refs, profile: &profile, options, epoch, normal };
    let (old_digests, new_digests) = (old.digests(&sight)?, new.digests(&sight)?);
    let sides = (old.side(&sight, &old_digests, &new_digests)?, new.side(&sight, &new_digests, &old_digests)?);
    let normalise = higher_ranked(|path, bytes| profile.normalise(path, bytes));
    let normalise: diff::Normalise<'_> = &normalise;
    let how = diff::Options {
        context: options.context,
        normalise: (!options.volatile).then_some(normalise),
        limit: Duration::from_secs(30),
        ..diff::Options::default()
    };
    let difference = match options.semantic {
        true => Difference::Settings(compare_settings(&sides.0, &sides.1, &how)),
        false => Difference::Lines(diff::compare(&sides.0, &sides.1, &how)),
    };
    let entries = sides.0.files().iter().chain(sides.1.files()).map(|file| (file.scope, &file.path));
    let unused_paths = options.paths.unused(entries);
    Ok(Comparison { old: old.end, new: new.end, difference, unused_paths })
}

/// Tells the compiler that a closure borrows its result from the text, whatever its lifetime.
fn higher_ranked<F: for<'t> Fn(&ConfigPath, &'t [u8]) -> std::borrow::Cow<'t, [u8]>>(f: F) -> F {
    f
}

/// The epoch by whose keys the digests of both sides are taken; nothing where they do not compare.
fn common_epoch(reader: &Reader, old: &Source, new: &Source) -> Option<u32> {
    if old.end.device != new.end.device {
        return None;
    }
    let epochs = [old, new].map(|source| match &source.from {
        From::Stored(stored) => Some(stored.1.epoch),
        From::Collected(..) => None,
    });
    match epochs {
        [Some(old), Some(new)] => Some(old).filter(|old| *old == new),
        [one, other] => one.or(other).filter(|epoch| reader.keys().is_some_and(|keys| keys.epoch(*epoch).is_some())),
    }
}

/// What both sides are looked at with.
struct Sight<'a> {
    reader: &'a Reader,
    refs: &'a Refs,
    profile: &'a Profile,
    options: &'a Options,
    epoch: Option<u32>,
    /// The digests are those of the normalised bytes.
    normal: bool,
}

impl Sight<'_> {
    /// The digest of an entry as the store would keep it: a large file is never normalised, and goes through memory piece
    /// by piece.
    fn digest(&self, keys: &DeviceKeys, entry: &Entry) -> Result<Digest, Error> {
        let small = match &entry.content {
            Content::Spooled { size, .. } => {
                let policy = self.reader.inventory.as_ref().map(|inventory| &inventory.policy);
                *size <= policy.map_or(0, |policy| policy.large_over.0)
            }
            Content::Bytes(_) | Content::Same(_) => true,
        };
        if self.normal
            && small
            && entry.kind == Kind::File
            && let Some(bytes) = content_bytes(&entry.content)?
            && !bytes.contains(&0)
        {
            return Ok(keys.digest(&self.profile.normalise(&entry.path, &bytes)));
        }
        Ok(content_digest(keys, &entry.content)?)
    }

    fn keys(&self, device: &DeviceName) -> Option<DeviceKeys> {
        let key = self.reader.keys()?.epoch(self.epoch?)?;
        Some(DeviceKeys::derive(key, device))
    }
}

/// Digests of the files and links of one side, by which equal ones are known without being read.
type Digests = HashMap<(Scope, ConfigPath), (Kind, Digest)>;

/// A point that was found, with what its entries are read from.
struct Source {
    end: End,
    from: From,
}

enum From {
    Stored(Box<(Generation, Manifest)>),
    Collected(Box<Collected>, #[expect(dead_code, reason = "goes with the set")] Option<Scratch>),
}

fn load(reader: &Reader, refs: &Refs, point: &Point, world: &World<'_>) -> Result<Source, Error> {
    if point.at == Where::Now {
        return now(reader, &point.device, world);
    }
    let generation = reader.store.resolve(refs, point)?;
    let end = End {
        device: generation.device.clone(),
        release: Some(generation.release.clone()),
        number: Some(generation.number),
        time: generation.time,
        signature: Some(reader.signature(refs, &generation)),
    };
    let manifest = reader.store.manifest(&generation)?;
    Ok(Source { end, from: From::Stored(Box::new((generation, manifest))) })
}

/// Collects a device without storing anything.
fn now(reader: &Reader, name: &DeviceName, world: &World<'_>) -> Result<Source, Error> {
    let Some(inventory) = &reader.inventory else {
        return Err(crate::inventory::InventoryError::NoDevice(name.clone()).into());
    };
    let device = inventory.device(name)?;
    let profile = reader.profiles.get(device.profile.as_str())?;
    let time = Utc::now();
    // A folder of this machine needs no spool, so that a store on a read-only disk can be compared with one.
    let spool = if matches!(device.source, SourceUrl::Dir(_)) { None } else { Some(spool(reader.store.repo().cache_dir())?) };
    let network = Network::new();
    let context = Context::new(
        inventory.root(),
        spool.as_ref().map_or(reader.store.repo().dir(), Scratch::dir),
        &inventory.policy,
        world.env,
        world.home,
        world.cancel,
        &network,
    );
    let collected = collect(device, &profile, None, &context)?;
    let end = End { device: name.clone(), release: collected.set.release.clone(), number: None, time, signature: None };
    Ok(Source { end, from: From::Collected(Box::new(collected), spool) })
}

impl Source {
    /// The rules that the normalised digests were taken by; those of today for what is not stored.
    fn rules(&self, today: Option<RulesId>) -> Option<RulesId> {
        match &self.from {
            From::Stored(stored) => Some(stored.1.rules),
            From::Collected(..) => today,
        }
    }

    fn digests(&self, sight: &Sight<'_>) -> Result<Digests, Error> {
        if sight.epoch.is_none() {
            return Ok(Digests::new());
        }
        match &self.from {
            From::Stored(stored) => {
                let known = |line: &Line| line.body.map(|body| if sight.normal { body.normal } else { body.plain });
                let lines = stored.1.lines.iter();
                Ok(lines.filter_map(|line| Some(((line.scope, line.path.clone()), (line.kind, known(line)?)))).collect())
            }
            From::Collected(collected, _) => {
                let Some(keys) = sight.keys(&self.end.device) else { return Ok(Digests::new()) };
                let entries = collected.set.entries().iter().filter(|entry| entry.kind != Kind::Directory);
                let taken = |e: &Entry| Ok(((e.scope, e.path.clone()), (e.kind, sight.digest(&keys, e)?)));
                entries.map(taken).collect()
            }
        }
    }

    /// Gives the entries that are chosen, with the bytes of those that the other side does not have alike.
    fn side(&self, sight: &Sight<'_>, own: &Digests, other: &Digests) -> Result<Side, Error> {
        let entry = |key: &(Scope, ConfigPath)| {
            let digest = own.get(key);
            (digest.map(|(_, digest)| *digest), digest.is_some() && digest == other.get(key))
        };
        let chosen = |scope, path: &ConfigPath| scope != Scope::Logs && sight.options.paths.matches(scope, path);
        let mut files = Vec::new();
        match &self.from {
            From::Stored(stored) => {
                let (generation, manifest) = stored.as_ref();
                let masked = sight.reader.store.read_set(sight.refs, generation, sight.reader.masked())?;
                let opened = sight.reader.store.read_set(sight.refs, generation, sight.reader.access())?;
                for line in manifest.lines.iter().filter(|line| chosen(line.scope, &line.path)) {
                    let key = (line.scope, line.path.clone());
                    let (digest, same) = entry(&key);
                    let sealed = line.body.is_some_and(|body| body.form.sealed());
                    let body = match line.body {
                        None => Body::Bytes(Vec::new()),
                        Some(body) if same || body.size > LARGEST_BYTES => closed(Why::Large, body.size),
                        Some(body) if sealed && !sight.reader.can_open() => closed(Why::Sealed, body.size),
                        Some(_) => Body::Bytes((if sealed { &opened } else { &masked }).read(line)?.bytes().to_vec()),
                    };
                    files.push(file(sight, key, line.kind, line.mode, line.owner, digest, body));
                }
            }
            From::Collected(collected, _) => {
                let sealing = sight.reader.store.facts().has(Feature::Sealing);
                let rules = sealing.then(|| sight.reader.overrides()).transpose()?;
                let keys = sight.mask_keys(&self.end.device);
                for found in collected.set.entries().iter().filter(|e| chosen(e.scope, &e.path)) {
                    let key = (found.scope, found.path.clone());
                    let (digest, same) = entry(&key);
                    let body = match &found.content {
                        Content::Bytes(bytes) if same => closed(Why::Large, bytes.len() as u64),
                        Content::Spooled { size, .. } => closed(Why::Large, *size),
                        Content::Same(_) => closed(Why::Large, found.stamp.size),
                        Content::Bytes(bytes) => match (&rules, &keys) {
                            (None, _) => Body::Bytes(bytes.clone()),
                            // What would be sealed, and what cannot be masked, is not shown.
                            (Some(_), _) if found.kind == Kind::File && (found.scope == Scope::User || bytes.contains(&0)) => {
                                closed(Why::Sealed, bytes.len() as u64)
                            }
                            (Some(rules), Some(keys)) => {
                                let spans = sight.profile.secret_places(&found.path, bytes, rules);
                                Body::Bytes(mask(bytes, &spans, keys)?.text)
                            }
                            (Some(_), None) => closed(Why::Sealed, bytes.len() as u64),
                        },
                    };
                    files.push(file(sight, key, found.kind, found.mode, found.owner, digest, body));
                }
            }
        }
        Ok(Side::new(files)?)
    }
}

impl Sight<'_> {
    /// The keys by which a side that is not stored is masked: those of the other side's epoch, so that
    /// equal secrets have equal tokens.
    fn mask_keys(&self, device: &DeviceName) -> Option<DeviceKeys> {
        let keys = self.reader.keys()?;
        let key = keys.epoch(self.epoch.unwrap_or(keys.newest()))?;
        Some(DeviceKeys::derive(key, device))
    }
}

fn closed(why: Why, size: u64) -> Body {
    Body::Closed { why, size: Some(size) }
}

fn file(
    sight: &Sight<'_>,
    (scope, path): (Scope, ConfigPath),
    kind: Kind,
    mode: u32,
    owner: Option<Owner>,
    digest: Option<Digest>,
    body: Body,
) -> File {
    let syntax = match &body {
        Body::Bytes(bytes) if kind == Kind::File => sight.profile.syntax(&path, bytes),
        _ => Syntax::Plain,
    };
    File { scope, path, kind, mode, owner, digest, body, syntax }
}
