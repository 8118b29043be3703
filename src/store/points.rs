//! From a point to its generation.

use std::ops::ControlFlow;

use super::error::{Error, Result};
use super::generation::{ChangeId, Generation};
use super::history::{self, History};
use super::journal::{self, Entry, JournalQuery, Record};
use super::names;
use super::refs::Refs;
use super::repo::Repo;
use crate::model::{DeviceName, Phase, Point, Where};

/// Finds the generation of a point.
pub(super) fn resolve(repo: &Repo, refs: &Refs, point: &Point) -> Result<Generation> {
    let device = &point.device;
    match &point.at {
        Where::Now => Err(Error::NotStored { device: device.clone() }),
        Where::Newest => match &point.release {
            None => history::newest(repo, refs, device),
            Some(release) => match refs.get(&history::line_ref(device, release)) {
                Some(line) => history::read_generation(repo, device, line.id),
                None => Err(missing(repo, refs, point)),
            },
        },
        Where::Name(name) => {
            let wanted = names::tag_ref(device, name);
            match refs.get(&wanted) {
                Some(tag) => {
                    let commit = names::read(repo, device, &tag)?.commit;
                    let generation = history::read_generation(repo, device, commit)?;
                    let right = point.release.as_ref().is_none_or(|r| *r == generation.release);
                    if right { Ok(generation) } else { Err(missing(repo, refs, point)) }
                }
                None => {
                    history::newest(repo, refs, device)?;
                    let there = names::list(repo, refs, device)?.into_iter().map(|n| n.name.to_string()).collect();
                    Err(Error::NoName { device: device.clone(), name: name.to_string(), there })
                }
            }
        }
        Where::Number(number) => {
            let found = walk(repo, refs, point, |g, _| if g.number < *number { None } else { Some(g.number == *number) });
            match found {
                Err(Error::NoDevice { .. } | Error::NoGeneration { .. }) | Ok(_) => found,
                // The way down from the newest one is broken: others lead to what is below.
                Err(error) => match beside(repo, refs, device, *number) {
                    Some(g) if point.release.as_ref().is_none_or(|r| *r == g.release) => Ok(g),
                    _ => Err(error),
                },
            }
        }
        Where::Back(back) => walk(repo, refs, point, |_, nth| Some(nth == *back)),
        Where::At(time) => walk(repo, refs, point, |g, _| Some(g.time <= *time)),
        Where::Change(phase, ticket, nth) => {
            let change = ChangeId { ticket: ticket.clone(), nth: *nth };
            // The journal carries the numbers of all changes: a snapshot that found nothing new made no
            // generation, and one that was begun anew made several.
            let items = journal::changes(repo, refs, Some(ticket))?;
            let own = items.iter().rfind(|item| item.change == change && item.devices.contains_key(device));
            if let Some(item) = own {
                let number = item.number(device, *phase).ok_or_else(|| missing(repo, refs, point))?;
                return walk(repo, refs, point, |g, _| Some(g.number == number));
            }
            match walk(repo, refs, point, |g, _| Some(g.is_of(*phase, &change))) {
                // A snapshot that found nothing new made no generation; the journal knows which one it found.
                Err(Error::NoGeneration { .. }) => match recorded(repo, refs, device, *phase, &change)? {
                    Some(number) => walk(repo, refs, point, |g, _| Some(g.number == number)),
                    None => Err(missing(repo, refs, point)),
                },
                found => found,
            }
        }
    }
}

/// Looks for a generation from the ends of all lines, and from the names of the device, as far as they read.
fn beside(repo: &Repo, refs: &Refs, device: &DeviceName, number: u64) -> Option<Generation> {
    let names = names::each(repo, refs, device).filter_map(|name| Some(name.ok()?.commit));
    let begins = history::lines(refs, device).map(|(_, id)| id).chain(names);
    let begins = begins.filter_map(|id| history::read_generation(repo, device, id).ok());
    let mut begins: Vec<Generation> = begins.filter(|g| g.number >= number).collect();
    // The shortest way first.
    begins.sort_by_key(|g| g.number);
    begins.into_iter().find_map(|g| History::from(repo, g).map_while(Result::ok).find(|g| g.number == number))
}

/// Walks back to the first generation, of the release where one is given, for which `fits` says yes;
/// nothing from `fits` ends the walk. It is told how many generations were passed.
fn walk(repo: &Repo, refs: &Refs, point: &Point, fits: impl Fn(&Generation, u64) -> Option<bool>) -> Result<Generation> {
    let mut passed = 0;
    for generation in History::new(repo, refs, &point.device)? {
        let generation = generation?;
        if point.release.as_ref().is_some_and(|r| *r != generation.release) {
            continue;
        }
        match fits(&generation, passed) {
            Some(true) => return Ok(generation),
            Some(false) => passed += 1,
            None => break,
        }
    }
    Err(missing(repo, refs, point))
}

/// Looks in the journal for the generation that a snapshot of a change found unchanged.
fn recorded(repo: &Repo, refs: &Refs, device: &DeviceName, phase: Phase, change: &ChangeId) -> Result<Option<u64>> {
    let word = if phase == Phase::Pre { "pre" } else { "post" };
    let query = JournalQuery { device: Some(device.clone()), ..JournalQuery::default() };
    let change = change.to_string();
    let text = |r: &Record, key| r.more.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    let mut found = None;
    journal::each(repo, refs, &query, &mut |Entry { record: r, .. }| {
        let is_it = text(&r, "kind").as_deref() == Some(word)
            && text(&r, "change").as_deref() == Some(&change)
            && matches!(r.outcome.as_str(), "unchanged" | "generation");
        if !is_it {
            return ControlFlow::Continue(());
        }
        found = r.more.get("generation").and_then(serde_json::Value::as_u64);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Says what was wanted and what is there.
fn missing(repo: &Repo, refs: &Refs, point: &Point) -> Error {
    let newest = match history::newest(repo, refs, &point.device) {
        Ok(newest) => newest,
        Err(error) => return error,
    };
    let mut wanted = match &point.at {
        Where::Newest => "at all".to_owned(),
        Where::Back(n) => format!("{n} before the newest"),
        Where::At(time) => format!("as early as {}", time.format("%Y-%m-%d %H:%M:%S UTC")),
        at => format!("@{at}"),
    };
    let mut there = match newest.number {
        1 => "generation 1".to_owned(),
        n => format!("generations 1 to {n}"),
    };
    if let Some(release) = &point.release {
        wanted = format!("{wanted} under release {release}");
        let releases: Vec<_> = history::lines(refs, &point.device).map(|(r, _)| r.to_string()).collect();
        there = format!("{there} under {}", releases.join(", "));
    }
    Error::NoGeneration { device: point.device.clone(), wanted, there }
}
