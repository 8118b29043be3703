//! The end of a drill: judged, and recorded in the journal.

use super::due::{Last, last, next};
use super::protocol::{Outcome, Protocol};
use super::{Finding, What};
use crate::inventory::Seconds;
use crate::ops::{Error, Vault};
use crate::store::{Open, Record, RunId};

/// Judges the time, puts the gravest first, and says when the next is due.
pub(super) fn finish(vault: &Vault, protocol: &mut Protocol, target: Option<Seconds>) {
    if let Some(target) = target.filter(|target| protocol.took_ms > target.0.saturating_mul(1000)) {
        let text = format!("It took {:.1} s and may take {target}", protocol.took_ms as f64 / 1000.0);
        protocol.findings.push(Finding::new(What::Late, None, text));
    }
    protocol.findings.sort_by(|a, b| (!a.fails, a.what, &a.device).cmp(&(!b.fails, b.what, &b.device)));
    let end = protocol.began + chrono::TimeDelta::milliseconds(i64::try_from(protocol.took_ms).unwrap_or(0));
    let passed = protocol.passed();
    protocol.next_due = vault.inventory.policy.drill_every.map(|every| if passed { next(end, every) } else { end });
}

/// Writes the record, and of each device when it was proven, in one transaction.
pub(super) fn record(vault: &Vault, run: &RunId, protocol: &Protocol) -> Result<(), Error> {
    let transaction = vault.begin(run)?;
    let known = last(&vault.store, transaction.refs())?;
    let names: Vec<&str> = protocol.devices.iter().map(|proof| proof.device.as_str()).collect();
    let document = serde_json::to_value(protocol).expect("names, numbers, times and texts are JSON");
    let record = Record::new("drill", if protocol.passed() { "passed" } else { "failed" })
        .with("mirror", protocol.mirror.name.as_str())
        .with("devices", names)
        .with("findings", protocol.findings.len())
        .with("took_ms", protocol.took_ms)
        .with("protocol", document);
    transaction.record(record);
    for proof in &protocol.devices {
        let passed = proof.outcome == Outcome::Proven;
        let before = known.get(&proof.device).and_then(|last| last.proven);
        let item = Last {
            v: 1,
            device: proof.device.clone(),
            drill: run.to_string(),
            time: protocol.began,
            mirror: protocol.mirror.name.clone(),
            generation: proof.generation,
            passed,
            proven: if passed { Some(protocol.began) } else { before },
        };
        let text = serde_json::to_vec(&item).expect("names, numbers and times are JSON");
        transaction.set_open(Open::Drill(proof.device.clone()), Some(text));
    }
    vault.commit(transaction)?;
    Ok(())
}
