//! The point that a device is put back to, and what a device has of it.

use std::collections::{BTreeMap, HashMap};

use zeroize::Zeroizing;

use super::item::Form;
use super::site::{Site, Tools};
use crate::model::{ConfigPath, Content, Digest, Entry, Kind, Scope};
use crate::ops::restore::{RestoreError, one_a_path};
use crate::ops::{Error, PathFilter};
use crate::profile::{Profile, RestoreMethod, Syntax};
use crate::seal::DeviceKeys;
use crate::store::encode::content_digest;
use crate::store::manifest::RulesId;
use crate::store::{Decoded, Form as Stored, Generation, Line, SetReader};

/// Bits of a mode that are given only where they stand already, or where it is asked for.
const SPECIAL: u32 = 0o6000;

/// The point.
pub(super) struct Goal<'a> {
    pub(super) set: SetReader<'a>,
    /// The digest keys of its epoch, of its device.
    keys: DeviceKeys,
    /// Its normalised digests are by the rules of today.
    same_rules: bool,
    /// The configuration that is sent as a whole, with the digest of what of it counts. A device writes the file anew by
    /// itself, so this stands in place of its normalised digest.
    sent: Option<(ConfigPath, Digest)>,
    /// The place of each path's first line.
    places: HashMap<ConfigPath, usize>,
}

impl<'a> Goal<'a> {
    pub(super) fn new(tools: Tools<'a>, generation: &Generation, site: &Site<'a>) -> Result<Self, Error> {
        let refs = tools.reader.store.refs()?;
        let set = tools.reader.store.read_set(&refs, generation, tools.reader.access())?;
        let epoch = set.manifest().epoch;
        let key = tools.vault.keys.epoch(epoch).ok_or(crate::store::Error::NoStoreKey(epoch))?;
        let keys = DeviceKeys::derive(key, &generation.device);
        let same_rules = site.profile.rules_id().parse::<RulesId>().is_ok_and(|rules| rules == set.manifest().rules);
        let restore = site.profile.restore().filter(|restore| restore.method == RestoreMethod::Commands);
        let config = restore.and_then(|restore| restore.config.as_ref());
        let line = config.and_then(|path| set.manifest().lines.iter().find(|line| line.path == *path));
        // Without an identity the plan is made of what the manifest tells, and nothing is done.
        let sent = match line.map(|line| (&line.path, set.read(line))) {
            Some((path, Ok(Decoded::Plain(bytes)))) => {
                Some((path.clone(), keys.digest(&what_counts(&site.profile, path, &bytes))))
            }
            _ => None,
        };
        let mut places = HashMap::new();
        for (index, line) in set.manifest().lines.iter().enumerate() {
            places.entry(line.path.clone()).or_insert(index);
        }
        Ok(Self { set, keys, same_rules, sent, places })
    }

    pub(super) fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    pub(super) fn generation(&self) -> &Generation {
        self.set.generation()
    }

    /// Gives the line of a path. A directory can have one in each scope.
    pub(super) fn line(&self, path: &ConfigPath) -> Option<&Line> {
        self.places.get(path).map(|index| &self.set.manifest().lines[*index])
    }

    /// Tells whether a line needs an identity that is not at hand.
    pub(super) fn is_locked(&self, tools: Tools<'_>, line: &Line) -> bool {
        let opens = tools.reader.access().opener.is_some_and(|o| o.identity(self.set.manifest().epoch).is_some());
        !opens && line.body.is_some_and(|body| body.form == Stored::Masked || body.form.sealed())
    }

    /// How an entry is to stand, beside how it stands. Where the point knows no owner it knows no mode either.
    pub(super) fn wanted(&self, line: &Line, stands: Option<&Form>, how: &Choice, site: &Site<'_>) -> Form {
        let special = if how.special_bits { SPECIAL } else { stands.map_or(0, |form| form.mode & SPECIAL) };
        let (mode, owner) = match (line.owner, stands) {
            (None, Some(stands)) if stands.kind == line.kind => (stands.mode, None),
            (None, _) => (new_mode(line.kind, site), None),
            (owner, _) => (line.mode & (0o1777 | special), owner.filter(|_| !how.no_owners)),
        };
        let body = line.body.as_ref();
        Form {
            kind: line.kind,
            mode,
            owner,
            size: body.map_or(0, |body| body.size),
            plain: body.map(|body| body.plain),
            normal: match (body, &self.sent) {
                (Some(_), Some((path, digest))) if *path == line.path => Some(*digest),
                (Some(body), _) if self.same_rules && !body.form.chunked() => Some(body.normal),
                _ => None,
            },
        }
    }

    /// How an entry of a device stands.
    pub(super) fn found(&self, entry: &Entry, site: &Site<'_>) -> Result<Form, Error> {
        let file = entry.kind == Kind::File;
        let (size, plain, normal) = match &entry.content {
            _ if entry.kind == Kind::Directory => (0, None, None),
            Content::Bytes(bytes) => {
                let sent = self.sent.as_ref().is_some_and(|(path, _)| *path == entry.path);
                let text = file && (self.same_rules || sent) && !bytes.contains(&0);
                let normal = text.then(|| match sent {
                    true => self.keys.digest(&what_counts(&site.profile, &entry.path, bytes)),
                    false => self.keys.digest(&site.profile.normalise(&entry.path, bytes)),
                });
                (bytes.len() as u64, Some(self.keys.digest(bytes)), normal)
            }
            Content::Spooled { size, .. } => (*size, Some(content_digest(&self.keys, &entry.content)?), None),
            Content::Same(digest) => (entry.stamp.size, Some(*digest), None),
        };
        // Text without anything volatile in it has one digest in a manifest.
        let normal = normal.or(plain.filter(|_| file && self.same_rules));
        Ok(Form { kind: entry.kind, mode: entry.mode, owner: entry.owner, size, plain, normal })
    }
}

/// What of a set is put back, and how.
#[derive(Debug, Default)]
pub struct Choice {
    /// Only these scopes; none means all.
    pub scopes: Vec<Scope>,
    /// Only these paths.
    pub paths: PathFilter,
    /// Set setuid and setgid where the set has them and the device has not.
    pub special_bits: bool,
    /// Leave owners as they come.
    pub no_owners: bool,
    /// Leave what the point does not have.
    pub keep_extra: bool,
    /// Also a point that nobody has signed who may.
    pub unverified: bool,
}

impl Choice {
    pub(super) fn takes(&self, scope: Scope, path: &ConfigPath) -> bool {
        scope != Scope::Logs && (self.scopes.is_empty() || self.scopes.contains(&scope)) && self.paths.matches(scope, path)
    }
}

/// The mode of a new entry whose mode the set does not know.
pub(super) fn new_mode(kind: Kind, site: &Site<'_>) -> u32 {
    let of_profile = || u32::from_str_radix(site.profile.restore()?.mode.as_deref()?, 8).ok();
    match kind {
        Kind::Directory => 0o755,
        Kind::Link => 0o777,
        Kind::File => of_profile().unwrap_or(0o644) & 0o777,
    }
}

/// The lines of the point by path; each path has one.
pub(super) fn lines_by_path<'g>(goal: &'g Goal<'_>) -> Result<BTreeMap<&'g ConfigPath, &'g Line>, RestoreError> {
    one_a_path(goal.set.manifest().lines.iter().map(|line| Ok((&line.path, line))))
}

/// What of a configuration counts that a device writes anew by itself: neither what is volatile, nor what `show` prints
/// before it, nor blank lines and, where `!` begins one, comments.
fn what_counts(profile: &Profile, path: &ConfigPath, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let head = profile.commands().iter().find(|command| command.path == *path).map_or(0, |command| command.head_len(bytes));
    let normal = profile.normalise(path, &bytes[head..]);
    let comments = profile.syntax(path, bytes) == Syntax::Ios;
    let mut out = Zeroizing::new(Vec::with_capacity(normal.len()));
    for line in normal.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end) {
        let comment = comments && line.trim_ascii_start().first() == Some(&b'!');
        if !line.is_empty() && !comment {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_writes_by_itself_does_not_count() {
        let profiles = crate::profile::Profiles::load(None).unwrap();
        let counts = |name: &str, text: &str| {
            let profile = profiles.get(name).unwrap();
            what_counts(&profile, &"running-config".parse().unwrap(), text.as_bytes()).to_vec()
        };
        let body = "version 15.7\ninterface Gi0/1\n description a ! b\nend\n";
        let shown = format!("!\n! Last configuration change at 10:00\n!\n{}\n", body.replace("interface", "!\ninterface"));
        let handed = format!("!RANCID-CONTENT-TYPE: cisco\nBuilding configuration...\n\nCurrent configuration : 7 bytes\n{body}");
        assert_eq!(counts("cisco-ios", &shown), body.as_bytes());
        assert_eq!(counts("cisco-ios", &handed), body.as_bytes());
        assert_ne!(counts("cisco-ios", &shown.replace("a ! b", "a ! c")), body.as_bytes());
        let junos = "system {\n    host-name a;\n}\n";
        assert_eq!(counts("junos", &format!("## Last commit: now\n{junos}\n")), junos.as_bytes());
        assert_ne!(counts("junos", &format!("!\n{junos}")), junos.as_bytes());
    }
}
