//! Forgetting on purpose: logs and large files past their time, and a retired device ("Erasing" in
//! `docs/format.md`).
//!
//! Nothing else removes history. What goes is named first; a tombstone signed by an administrator stands in
//! `_store` before the first ref is removed, so a kill in the middle leaves what the next call ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, Months, Utc};
use serde::Serialize;

use super::keys::{KeyError, check_all, trusted};
use super::{Error, Vault};
use crate::fsio;
use crate::model::DeviceName;
use crate::seal::SigningKey;
use crate::store::maintain::{Effort, Maintained, maintain};
use crate::store::{ObjectId, Record, RefEdit, Refs};

/// What a ref that goes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A month of logs.
    Logs,
    /// The large files of a generation.
    Large,
    /// A line of a retired device.
    Line,
    /// A name of a retired device.
    Name,
}

/// A ref that goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Going {
    /// What it holds.
    pub what: What,
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its last commit, as hexadecimal digits.
    pub commit: String,
}

/// What was forgotten.
#[derive(Debug, Clone)]
pub struct Forgotten {
    /// The refs that are gone.
    pub refs: usize,
    /// The store before and after.
    pub maintained: Maintained,
}

/// A month of logs that has some of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LogMonth {
    /// The ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its last commit, as hexadecimal digits.
    pub commit: String,
    /// The other devices that have logs in it.
    pub others: BTreeSet<DeviceName>,
    /// It is still written to, and cannot go yet.
    pub open: bool,
}

/// Lists the months that have logs of a device: a month goes whole or not at all, as its commits are a chain.
///
/// # Errors
/// The store cannot be read.
pub fn months_of(vault: &Vault, device: &DeviceName, now: DateTime<Utc>) -> Result<Vec<LogMonth>, Error> {
    let refs = vault.store.refs()?;
    let this_month = now.format("%Y-%m").to_string();
    let mut months: BTreeMap<String, LogMonth> = BTreeMap::new();
    let mut with = BTreeSet::new();
    for filed in vault.store.logs(&refs, None)? {
        let Some(head) = refs.get(&filed.reference) else { continue };
        let open = filed.month() >= this_month.as_str();
        let month = months.entry(filed.reference.clone()).or_insert_with(|| LogMonth {
            reference: filed.reference.clone(),
            commit: head.id.to_string(),
            others: BTreeSet::new(),
            open,
        });
        if filed.device == *device {
            with.insert(filed.reference);
        } else {
            month.others.insert(filed.device);
        }
    }
    Ok(months.into_values().filter(|month| with.contains(&month.reference)).collect())
}

/// Says what would go: with a device, all of that device, with `logs` also the months of logs that have some of it and
/// are over; else logs past `keep_logs` and large files past `keep_large`.
/// The newest generation of a device and those that have a name keep their large files.
///
/// # Errors
/// [`KeyError::InUse`] for a device that is still in the inventory; [`KeyError::NoSuch`] for one that never was in the
/// store; the store cannot be read.
pub fn plan(vault: &Vault, device: Option<&DeviceName>, logs: bool, now: DateTime<Utc>) -> Result<Vec<Going>, Error> {
    let refs = vault.store.refs()?;
    let mut going = match device {
        Some(device) => {
            let mut going = retired(vault, &refs, device)?;
            if logs {
                let over = months_of(vault, device, now)?.into_iter().filter(|month| !month.open);
                going.extend(over.map(|m| Going { what: What::Logs, reference: m.reference, commit: m.commit }));
            }
            going
        }
        None => expired(vault, &refs, now)?,
    };
    going.sort();
    Ok(going)
}

fn going(what: What, reference: &str, id: ObjectId) -> Going {
    Going { what, reference: reference.to_owned(), commit: id.to_string() }
}

fn retired(vault: &Vault, refs: &Refs, device: &DeviceName) -> Result<Vec<Going>, Error> {
    if vault.inventory.device(device).is_ok() {
        return Err(KeyError::InUse(device.clone()).into());
    }
    let below = [("heads", What::Line), ("tags", What::Name), ("large", What::Large)];
    let mut all = Vec::new();
    for (space, what) in below {
        all.extend(refs.prefix(&format!("refs/{space}/{device}/")).map(|r| going(what, r.name, r.id)));
    }
    if all.is_empty() && !vault.store.facts().erased(device) {
        return Err(KeyError::NoSuch { what: "device in the store", name: device.to_string() }.into());
    }
    Ok(all)
}

fn expired(vault: &Vault, refs: &Refs, now: DateTime<Utc>) -> Result<Vec<Going>, Error> {
    let policy = &vault.inventory.policy;
    let before = |keep: u32| now.checked_sub_months(Months::new(keep)).unwrap_or(DateTime::UNIX_EPOCH);
    let mut all = Vec::new();
    // What a killed call had begun.
    let erased: BTreeSet<&str> = vault.store.facts().tombstones().map(|(name, _)| name).collect();
    if let Some(keep) = &policy.keep_logs {
        let oldest = before(keep.0).format("%Y-%m").to_string();
        let old = |name: &str| name.rsplit('/').next().is_some_and(|month| *month < *oldest) || erased.contains(name);
        all.extend(refs.prefix("refs/heads/_logs/").filter(|r| old(r.name)).map(|r| going(What::Logs, r.name, r.id)));
    }
    let Some(keep) = &policy.keep_large else { return Ok(all) };
    let oldest = before(keep.0);
    let devices: BTreeSet<&str> = refs.prefix("refs/large/").filter_map(|r| r.name.split('/').nth(2)).collect();
    for device in devices.into_iter().filter_map(|name| name.parse::<DeviceName>().ok()) {
        let named: BTreeSet<u64> = vault.store.names(refs, &device)?.into_iter().map(|name| name.number).collect();
        let mut newest = None;
        for generation in vault.store.history(refs, &device)? {
            let generation = generation?;
            let newest = *newest.get_or_insert(generation.number);
            let name = format!("refs/large/{device}/{}", generation.number);
            let Some(there) = refs.get(&name) else { continue };
            let kept = generation.number == newest || named.contains(&generation.number) || generation.time >= oldest;
            if !kept || erased.contains(name.as_str()) {
                all.push(going(What::Large, &name, there.id));
            }
        }
    }
    Ok(all)
}

/// Forgets what [`plan`] named: tombstones, then the refs, then the bytes. `reason` stands in the tombstones.
///
/// # Errors
/// [`KeyError::NotAdministrator`]; a ref moved since the plan was made; the store refused.
pub fn forget(
    vault: &mut Vault,
    plan: &[Going],
    administrator: &SigningKey,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Forgotten, Error> {
    let trust = trusted(&vault.store, &vault.ring)?.trust;
    if !trust.administrators.iter().any(|a| a.key == administrator.public()) {
        return Err(KeyError::NotAdministrator(administrator.fingerprint()).into());
    }
    check_all(&vault.ring, &vault.store)?;
    entomb(vault, plan, administrator, reason, now)?;
    vault
        .ring
        .change_seen(|seen| Ok(seen.insert(crate::store::facts::STORE_REF.to_owned(), vault.store.facts().commit.to_string())))?;
    fsio::write_file(&mark(vault)?, b"", fsio::PRIVATE_FILE)?;
    let edits = plan.iter().map(|g| {
        let expected = ObjectId::from_hex(g.commit.as_bytes()).ok();
        RefEdit { name: g.reference.clone(), expected, new: None }
    });
    let transaction = vault.begin(&Vault::new_run())?;
    transaction.remove(edits.collect());
    let names: Vec<&str> = plan.iter().map(|g| g.reference.as_str()).collect();
    transaction.record(Record::new("forget", "done").with("refs", names).with("reason", reason));
    vault.commit(transaction)?;
    let devices: BTreeSet<&str> =
        plan.iter().filter(|g| g.what == What::Line).filter_map(|g| g.reference.split('/').nth(2)).collect();
    for device in devices.iter().filter_map(|device| device.parse().ok()) {
        // A look would tell of what is gone.
        vault.store.forget_look(&device)?;
    }
    Ok(Forgotten { refs: plan.len(), maintained: erase(vault)? })
}

/// Ends what a killed [`forget`] had begun: the refs are gone, the bytes may be there. Nothing where there is nothing to end.
///
/// # Errors
/// A ref is gone that should not be; the store refused.
pub fn finish(vault: &Vault) -> Result<Option<Maintained>, Error> {
    if !mark(vault)?.exists() {
        return Ok(None);
    }
    check_all(&vault.ring, &vault.store)?;
    erase(vault).map(Some)
}

/// The file that says that bytes are to go; made before the first ref goes.
fn mark(vault: &Vault) -> Result<PathBuf, Error> {
    Ok(vault.store.repo().make_cache_dir()?.join("forgetting"))
}

/// Takes away the bytes that no ref reaches.
fn erase(vault: &Vault) -> Result<Maintained, Error> {
    let maintained = maintain(vault.store.repo(), Effort::Thorough)?;
    fsio::unlink_if_there(&mark(vault)?)?;
    Ok(maintained)
}

/// Writes tombstones for what has none.
fn entomb(vault: &mut Vault, plan: &[Going], administrator: &SigningKey, reason: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let known: BTreeSet<String> = vault.store.facts().tombstones().map(|(name, _)| name.to_owned()).collect();
    let new: Vec<&Going> = plan.iter().filter(|g| !known.contains(&g.reference)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    vault.store.amend_facts("Forget on purpose", Some(administrator), now, |_, files| {
        let mut headed = BTreeSet::new();
        for going in &new {
            // Logs of all collectors share a file; no device has its name.
            let owner = match going.what {
                What::Logs => "_logs",
                _ => going.reference.split('/').nth(2).unwrap_or("_"),
            };
            let path = format!("tombstones/{owner}");
            let mut text = String::from_utf8_lossy(files.get(&path).map(Vec::as_slice).unwrap_or_default()).into_owned();
            if headed.insert(path.clone()) {
                let (day, why) = (now.format("%Y-%m-%d"), reason.trim());
                writeln!(text, "# {day} {why}").unwrap_or_default();
            }
            writeln!(text, "{} {}", going.reference, going.commit).unwrap_or_default();
            files.insert(path, text.into_bytes());
        }
        Ok(())
    })?;
    Ok(())
}
