//! Which mirror and which devices are exercised.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::due::{Last, last};
use super::{Choice, DrillError, Options, Sample};
use crate::model::{DeviceName, MirrorName, Point, Where};
use crate::ops::mirror::{Place, places};
use crate::ops::{Error, Vault};
use crate::store::{Error as StoreError, Refs};

/// The mirror that was named, or the only one.
pub(super) fn mirror(vault: &Vault, named: Option<&MirrorName>) -> Result<Place, Error> {
    let mut places = places(vault, named.map(std::slice::from_ref).unwrap_or_default())?;
    match places.len() {
        0 => Err(DrillError::NoMirror.into()),
        1 => Ok(places.remove(0)),
        _ => Err(DrillError::WhichMirror(places.iter().map(|place| place.name.to_string()).collect()).into()),
    }
}

/// The points that are put back, sorted by device, and how they were chosen.
pub(super) fn points(vault: &Vault, refs: &Refs, options: &Options) -> Result<(Vec<Point>, Choice), Error> {
    let (mut points, choice) = match (&options.points, options.sample) {
        (named, _) if !named.is_empty() => {
            for point in named {
                known(vault, refs, point)?;
            }
            (named.clone(), Choice::Named)
        }
        (_, sample) => {
            let there = vault.store.devices(refs);
            let all = vault.inventory.devices().map(|device| device.name.clone());
            let all: Vec<DeviceName> = all.filter(|name| there.contains(name)).collect();
            let of = all.len() as u64;
            let (chosen, choice) = match sample {
                None => (all, Choice::All),
                Some(how) => {
                    let choice = Choice::Sample { count: how.count as u64, of, seed: how.seed };
                    (by_chance(all, &last(&vault.store, refs)?, how), choice)
                }
            };
            let newest = |device| Point { device, release: None, at: Where::Newest };
            (chosen.into_iter().map(newest).collect(), choice)
        }
    };
    points.sort_by(|a, b| a.device.cmp(&b.device));
    if let Some(pair) = points.windows(2).find(|pair| pair[0].device == pair[1].device) {
        return Err(DrillError::Twice(pair[0].device.clone()).into());
    }
    if points.is_empty() { Err(DrillError::NoDevice.into()) } else { Ok((points, choice)) }
}

/// Refuses what is no device at all: a slip of the pen is no failed drill.
fn known(vault: &Vault, refs: &Refs, point: &Point) -> Result<(), Error> {
    if point.at == Where::Now {
        return Err(StoreError::NotStored { device: point.device.clone() }.into());
    }
    match vault.store.newest(refs, &point.device) {
        Err(error @ StoreError::NoDevice { .. }) if vault.inventory.device(&point.device).is_err() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Those that were never proven come first, then those whose proof is oldest; among equals the seed decides.
fn by_chance(all: Vec<DeviceName>, last: &BTreeMap<DeviceName, Last>, how: Sample) -> Vec<DeviceName> {
    let rank = |device: &DeviceName| -> (Option<DateTime<Utc>>, [u8; 32]) {
        let mut hash = blake3::Hasher::new_derive_key("confvault 1 drill sample");
        hash.update(&how.seed.to_be_bytes()).update(device.as_str().as_bytes());
        (last.get(device).and_then(|last| last.proven), *hash.finalize().as_bytes())
    };
    let mut ranked: Vec<_> = all.into_iter().map(|device| (rank(&device), device)).collect();
    ranked.sort();
    ranked.into_iter().take(how.count).map(|(_, device)| device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_prefers_those_whose_proof_is_oldest_and_can_be_repeated() {
        let names: Vec<DeviceName> = (0..20).map(|n| format!("gw-{n}").parse().unwrap()).collect();
        let day = |n: i64| DateTime::<Utc>::from_timestamp(n * 86_400, 0);
        let entry = |n: usize, proven| Last {
            v: 1,
            device: names[n].clone(),
            drill: String::new(),
            time: day(40).unwrap(),
            mirror: "off".parse().unwrap(),
            generation: None,
            passed: true,
            proven,
        };
        // 0 to 9 were proven on day 20, 10 to 14 on day 10; 15 had a drill that failed, the others none.
        let last: BTreeMap<_, _> = (0..16)
            .map(|n| {
                (
                    names[n].clone(),
                    entry(
                        n,
                        if n < 10 {
                            day(20)
                        } else if n < 15 {
                            day(10)
                        } else {
                            None
                        },
                    ),
                )
            })
            .collect();
        let choose = |count, seed| by_chance(names.clone(), &last, Sample { count, seed });
        assert_eq!(choose(7, 1), choose(7, 1));
        let few = choose(5, 1);
        assert!(few.iter().all(|name| names[15..].contains(name)), "{few:?}");
        let more = choose(10, 1);
        assert!(names[10..].iter().all(|name| more.contains(name)), "{more:?}");
        let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| choose(1, seed)).collect();
        assert!(orders.len() > 2, "{orders:?}");
        assert_eq!(choose(99, 1).len(), 20);
    }
}
