//! How well a device is, by the counts of its profile, and how that compares with before.
//!
//! A profile says what is counted (`[[health]]` in `docs/profiles.md`). What cannot be asked is a reading of
//! its own kind, never an error: health tells of a job and does not stop it.

use std::collections::BTreeMap;

use super::reach::with_context;
use super::snapshot::{World, fleet_options, reason};
use super::{Error, Vault};
use crate::collect::fleet::{self, Outcome};
use crate::collect::{CollectError, Context, act, ask, can_ask};
use crate::inventory::{Device, SourceUrl};
use crate::model::DeviceName;
use crate::profile::{Health, Profile};
use crate::store::{Measured, Pair, Reading};

/// The longest text that is kept of a state, in characters.
const TEXT: usize = 80;

/// What is thought of a reading beside the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As much as must come back is there.
    Well,
    /// Too little is there, or nothing can be read where something could be before.
    Worse,
    /// Nothing is asked for, or nothing is known of before.
    Shown,
}

/// A reading beside the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What is counted.
    pub what: String,
    /// What the device said before.
    pub before: Option<Measured>,
    /// What it says now.
    pub after: Option<Measured>,
    /// Why it says nothing now.
    pub failed: Option<String>,
    /// Share of the number before that must come back, in percent.
    pub at_least: u8,
    /// What is thought of it.
    pub verdict: Verdict,
}

/// Tells whether a restore of a device can ask how well it is: as a change can, and where it runs its commands on this
/// machine, as the folder that is put back is this machine's own then.
#[must_use]
pub fn can_measure(device: &Device, profile: &Profile) -> bool {
    !profile.health().is_empty() && (can_ask(device, profile) || matches!(device.source, SourceUrl::Dir(_)))
}

/// Takes the readings of a device that is put back; none where [`can_measure`] says no.
#[must_use]
pub fn measure(device: &Device, profile: &Profile, context: &Context<'_>) -> Vec<Reading> {
    if matches!(device.source, SourceUrl::Dir(_)) {
        let answer = |rule: &Health| match act::ask_here(&rule.run, profile, context) {
            Ok(said) => reading(rule, Ok(&said)),
            Err(error) => reading(rule, Err(&reason(&error))),
        };
        return profile.health().iter().map(answer).collect();
    }
    asked(device, profile, context).unwrap_or_else(|error| not_read(profile, &reason(&error)))
}

/// Takes the readings of several devices side by side. Devices without any are left out.
///
/// # Errors
/// A profile cannot be read. What is wrong with a device is in its readings.
pub fn measure_all(vault: &Vault, names: &[DeviceName], world: &World<'_>) -> Result<BTreeMap<DeviceName, Vec<Reading>>, Error> {
    let mut chosen = Vec::new();
    for device in vault.inventory.select(names, &[])? {
        let (profile, _) = vault.profile(&device.profile)?;
        if !profile.health().is_empty() && can_ask(device, &profile) {
            chosen.push((device, profile));
        }
    }
    let mut found = BTreeMap::new();
    if chosen.is_empty() {
        return Ok(found);
    }
    let devices: Vec<Device> = chosen.iter().map(|(device, _)| (*device).clone()).collect();
    let profile = |name: &DeviceName| &chosen.iter().find(|(device, _)| device.name == *name).expect("one of them").1;
    with_context(&vault.inventory, world, None, |context| {
        let work = |device: &Device, attempt: fleet::Attempt| {
            asked(device, profile(&device.name), &Context { deadline: Some(attempt.deadline), ..*context })
        };
        fleet::run(&devices, &fleet_options(&vault.inventory.policy, None, false), world.cancel, work, |finished| {
            let name = &devices[finished.index].name;
            let failed = |text: &str| not_read(profile(name), text);
            let readings = match finished.outcome {
                Outcome::Done(readings) => readings,
                Outcome::Failed(error) => failed(&reason(&error)),
                Outcome::Panicked(text) => failed(&text),
                Outcome::NotBegun => failed("stopped before it was asked"),
            };
            found.insert(name.clone(), readings);
        });
        Ok(())
    })?;
    Ok(found)
}

fn asked(device: &Device, profile: &Profile, context: &Context<'_>) -> Result<Vec<Reading>, CollectError> {
    let rules = profile.health();
    if rules.is_empty() || !can_ask(device, profile) {
        return Ok(Vec::new());
    }
    let mut answers = ask(device, profile, rules.iter().map(|rule| rule.run.as_str()), context)?.into_iter();
    let reading = |rule: &Health| match answers.next() {
        Some(Ok(bytes)) => reading(rule, Ok(&bytes)),
        Some(Err(error)) => self::reading(rule, Err(&reason(&error))),
        None => self::reading(rule, Err("the session was over before")),
    };
    Ok(rules.iter().map(reading).collect())
}

fn not_read(profile: &Profile, why: &str) -> Vec<Reading> {
    profile.health().iter().map(|rule| reading(rule, Err(why))).collect()
}

/// Makes a reading of what a device answered to the command of a rule, or of why it did not.
#[must_use]
pub fn reading(rule: &Health, answer: Result<&[u8], &str>) -> Reading {
    let none = Reading { what: rule.what.clone(), value: None, failed: None, at_least: rule.at_least };
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err(why) => return Reading { failed: Some(why.to_owned()), ..none },
    };
    let Some(regex) = rule.regex.regex() else { return none };
    if !regex.capture_names().flatten().any(|name| name == "value") {
        let count = u64::try_from(regex.find_iter(bytes).count()).unwrap_or(u64::MAX);
        return Reading { value: Some(Measured::Number(count)), ..none };
    }
    let Some(text) = regex.captures(bytes).and_then(|found| found.name("value")) else {
        return Reading { failed: Some("the answer has not what is looked for".to_owned()), ..none };
    };
    let text = String::from_utf8_lossy(text.as_bytes());
    let value = match text.parse() {
        Ok(number) => Measured::Number(number),
        Err(_) => Measured::Text(text.chars().take(TEXT).flat_map(char::escape_debug).collect()),
    };
    Reading { value: Some(value), ..none }
}

/// Compares readings with those before, by what they count.
#[must_use]
pub fn compare(before: &[Reading], after: &[Reading]) -> Vec<Compared> {
    let compared = |now: &Reading| {
        let then = before.iter().find(|then| then.what == now.what).and_then(|then| then.value.clone());
        let verdict = match (&then, &now.value) {
            _ if now.at_least == 0 => Verdict::Shown,
            (None, _) => Verdict::Shown,
            (Some(Measured::Number(then)), Some(Measured::Number(now_))) => {
                let enough = u128::from(*now_) * 100 >= u128::from(*then) * u128::from(now.at_least);
                if enough { Verdict::Well } else { Verdict::Worse }
            }
            (Some(then), Some(now)) if then == now => Verdict::Well,
            _ => Verdict::Worse,
        };
        Compared {
            what: now.what.clone(),
            before: then,
            after: now.value.clone(),
            failed: now.failed.clone(),
            at_least: now.at_least,
            verdict,
        }
    };
    after.iter().map(compared).collect()
}

/// How a device was before a change, and how it is after it if that is over.
#[must_use]
pub fn of_change(pair: &Pair) -> Vec<Compared> {
    let before = |then: &Reading| Compared {
        what: then.what.clone(),
        before: then.value.clone(),
        after: None,
        failed: then.failed.clone(),
        at_least: then.at_least,
        verdict: Verdict::Shown,
    };
    match pair.health_post.is_empty() {
        true => pair.health_pre.iter().map(before).collect(),
        false => compare(&pair.health_pre, &pair.health_post),
    }
}

/// Tells whether nothing is worse than before.
#[must_use]
pub fn is_back(compared: &[Compared]) -> bool {
    compared.iter().all(|one| one.verdict != Verdict::Worse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(regex: &str, at_least: u8) -> Health {
        let text =
            format!("name = \"x\"\n[[health]]\nwhat = \"phones\"\nrun = \"r\"\nat-least = {at_least}\nregex = '{regex}'\n");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.toml"), text).unwrap();
        crate::profile::Profiles::load(Some(dir.path())).unwrap().get("x").unwrap().health()[0].clone()
    }

    #[test]
    fn matches_are_counted_and_groups_are_read() {
        let count = rule(r"^\S+ up$", 90);
        assert_eq!(reading(&count, Ok(b"a up\r\nb down\r\nc up")).value, Some(Measured::Number(2)));
        assert_eq!(reading(&count, Ok(b"")).value, Some(Measured::Number(0)));
        let number = rule(r"Total: (?<value>\S+)", 90);
        assert_eq!(reading(&number, Ok(b"Total: 17\n")).value, Some(Measured::Number(17)));
        assert_eq!(reading(&number, Ok(b"Total: many\x1b\n")).value, Some(Measured::Text("many\\u{1b}".to_owned())));
        let lacks = reading(&number, Ok(b"no total"));
        assert!(lacks.value.is_none() && lacks.failed.is_some());
        assert_eq!(reading(&number, Err("gone")).failed.as_deref(), Some("gone"));
    }

    #[test]
    fn the_share_that_must_come_back_is_judged() {
        let at = |value: Option<u64>, at_least| Reading {
            what: "w".to_owned(),
            value: value.map(Measured::Number),
            failed: value.is_none().then(|| "gone".to_owned()),
            at_least,
        };
        let verdict = |then, now, share| compare(&[at(then, share)], &[at(now, share)])[0].verdict;
        assert_eq!(verdict(Some(100), Some(90), 90), Verdict::Well);
        assert_eq!(verdict(Some(100), Some(89), 90), Verdict::Worse);
        assert_eq!(verdict(Some(3), Some(2), 90), Verdict::Worse);
        assert_eq!(verdict(Some(0), Some(0), 100), Verdict::Well);
        assert_eq!(verdict(Some(3), None, 90), Verdict::Worse);
        assert_eq!(verdict(None, Some(3), 90), Verdict::Shown);
        assert_eq!(verdict(Some(3), Some(0), 0), Verdict::Shown);
        let text = |text: &str| Reading { value: Some(Measured::Text(text.to_owned())), ..at(None, 1) };
        assert!(is_back(&compare(&[text("up")], &[text("up")])) && !is_back(&compare(&[text("up")], &[text("down")])));
        // What was not counted before, or is not any more, is judged by nothing.
        assert!(is_back(&compare(&[], &[at(Some(1), 100)])) && compare(&[at(Some(1), 100)], &[]).is_empty());
    }
}
