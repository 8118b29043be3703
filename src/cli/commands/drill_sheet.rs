//! The protocol of a drill as a sheet: the same blocks for text and for HTML.

use crate::cli::time::{count, json as utc, size};
use crate::cli::ui::Look;
use crate::inventory::Seconds;
use crate::ops::drill::{Choice, Held, Opened, Outcome, Proof, Protocol, Signed, StandIn};

/// The rules that a recorded drill is evidence for; `docs/drills.md` says what each asks for.
pub(super) const RULES: [(&str, &str); 5] = [
    ("BSI IT-Grundschutz (catalogues)", "M 6.41 exercises for data reconstruction, M 6.26"),
    ("BSI IT-Grundschutz (compendium)", "CON.3.A15, NET.4.1.A14"),
    ("ISO/IEC 27001:2022", "A.8.13"),
    ("NIST SP 800-53 rev. 5", "CP-9(1), CP-9(2), CP-4"),
    ("Regulation (EU) 2024/2690", "Annex 4.2.3, 4.2.6"),
];

/// A cell, and how it looks on a terminal.
pub(super) type Cell = (Look, String);

/// A part of a sheet.
pub(super) enum Block {
    /// Names and values.
    Facts(&'static str, Vec<(&'static str, Cell)>),
    /// Columns under a heading.
    Table(&'static str, Vec<&'static str>, Vec<Vec<Cell>>),
}

fn plain(text: impl ToString) -> Cell {
    (Look::Plain, text.to_string())
}

/// Gives a duration with a unit.
pub(super) fn took(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        10_000..600_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}

/// The verdict in one word.
pub(super) fn verdict(protocol: &Protocol) -> Cell {
    if protocol.passed() { (Look::Good, "passed".to_owned()) } else { (Look::Bad, "FAILED".to_owned()) }
}

/// The blocks of a protocol; those about its record only if there is one.
pub(super) fn blocks(id: &str, protocol: &Protocol, record: Option<(&Held, &Signed)>) -> Vec<Block> {
    let mut blocks = vec![head(id, protocol, record), mirror(protocol), devices(&protocol.devices)];
    if protocol.devices.iter().any(|proof| proof.commit.is_some()) {
        blocks.push(evidence(&protocol.devices));
    }
    if protocol.devices.iter().any(|proof| !proof.checks.is_empty()) {
        blocks.push(checks(&protocol.devices));
    }
    blocks.extend(protocol.stand_in.as_ref().map(stand_in));
    blocks.push(phases(protocol));
    blocks.push(findings(protocol));
    blocks.extend(record.map(|(held, signed)| of_record(held, signed)));
    let rules = RULES.iter().map(|(of, which)| (*of, plain(which)));
    blocks.push(Block::Facts("Evidence for", rules.collect()));
    blocks
}

fn head(id: &str, protocol: &Protocol, record: Option<(&Held, &Signed)>) -> Block {
    let mut facts = vec![("Drill", (Look::Strong, id.to_owned())), ("Verdict", verdict(protocol))];
    facts.push(("Exercised by", plain(protocol.by.as_deref().unwrap_or("(not said)"))));
    facts.extend(protocol.note.as_ref().map(|note| ("Note", plain(note))));
    let collector = record.map(|(held, _)| format!(", collector {}", held.record.collector)).unwrap_or_default();
    facts.push(("On machine", plain(format!("{}{collector}", protocol.host))));
    facts.push(("Begun", plain(utc(protocol.began))));
    let target = protocol.target_s.map_or_else(|| "no target is set".to_owned(), |s| format!("{} allowed", Seconds(s)));
    facts.push(("Took", plain(format!("{}; {target}", took(protocol.took_ms)))));
    facts.push(("Devices", plain(chosen(protocol))));
    facts.push(("Syntax checks", plain(checked(&protocol.devices))));
    facts.push(("Next due", plain(protocol.next_due.map_or_else(|| "no policy asks for drills".to_owned(), utc))));
    Block::Facts("Recovery exercise", facts)
}

fn chosen(protocol: &Protocol) -> String {
    let devices = count(protocol.devices.len(), "device");
    match &protocol.choice {
        Choice::Named => format!("{devices}, named"),
        Choice::All => format!("{devices}: all that the inventory has"),
        Choice::Sample { of, seed, .. } => format!("{devices} of {of}, by chance (seed {seed}), longest unproven first"),
    }
}

/// How many devices agreed with the syntax checks of their profiles, and how many were not checked.
fn checked(proofs: &[Proof]) -> String {
    let all =
        |passed: Option<bool>| proofs.iter().filter(|proof| proof.checks.iter().any(|check| check.passed == passed)).count();
    let failed = all(Some(false));
    let passed = all(Some(true)).saturating_sub(failed);
    let devices = |n| count(n, "device");
    let bare = |proven: bool| {
        proofs.iter().filter(|proof| proof.checks.is_empty() && (proof.outcome == Outcome::Proven) == proven).count()
    };
    let not = proofs.len() - passed - failed;
    let whys = [
        (bare(true), "no check is in the profile, or --no-check"),
        (bare(false), "not put back as a whole"),
        (not - bare(true) - bare(false), "could not be run, see below"),
    ];
    let whys = whys.into_iter().filter(|(number, _)| *number > 0).map(|(number, why)| format!("{number}: {why}"));
    let whys = whys.collect::<Vec<_>>().join("; ");
    let whys = if whys.is_empty() { whys } else { format!(" ({whys})") };
    format!("{} passed, {} failed, {} not checked{whys}", devices(passed), devices(failed), devices(not))
}

fn mirror(protocol: &Protocol) -> Block {
    let mirror = &protocol.mirror;
    let opened = match protocol.opened {
        Opened::Identity => "an identity of a recipient",
        Opened::Nothing => "nothing: no identity was named",
        Opened::Refused => "nothing: the identity opens nothing of this mirror",
        Opened::Clear => "nothing: nothing is sealed",
    };
    let mut facts = vec![
        ("Mirror", plain(format!("{}  {}", mirror.name, mirror.url))),
        ("Apart from the store", plain(&mirror.independence)),
        ("Fetched", plain(fetched(protocol))),
        ("Opened with", plain(opened)),
        ("Signatures checked", plain(mirror.signatures)),
    ];
    facts.push(("Administrator keys", plain(mirror.administrators.join(", "))));
    facts.extend(mirror.store.as_ref().map(|commit| ("State of `_store`", plain(format!("commit {commit}")))));
    Block::Facts("Restored from", facts)
}

fn fetched(protocol: &Protocol) -> String {
    let mirror = &protocol.mirror;
    format!("{}, {}, each checked by git {}", count(mirror.refs, "ref"), count(mirror.objects, "object"), git(protocol))
}

fn git(protocol: &Protocol) -> &str {
    protocol.git.as_deref().unwrap_or("(version unknown)")
}

fn devices(proofs: &[Proof]) -> Block {
    let heading = vec!["DEVICE", "RESULT", "GENERATION", "NEWEST", "RELEASE", "COLLECTED", "FILES", "SIZE", "TOOK"];
    let number = |n: Option<u64>| plain(n.map_or_else(|| "-".to_owned(), |n| n.to_string()));
    let rows = proofs.iter().map(|proof| {
        vec![
            (Look::Strong, proof.point.clone()),
            outcome(proof.outcome),
            number(proof.generation),
            number(proof.newest_here),
            plain(proof.release.as_deref().unwrap_or("-")),
            plain(proof.collected.map_or_else(|| "-".to_owned(), utc)),
            plain(proof.files),
            plain(size(proof.bytes)),
            plain(took(proof.took_ms)),
        ]
    });
    Block::Table("Devices", heading, rows.collect())
}

fn outcome(outcome: Outcome) -> Cell {
    let look = match outcome {
        Outcome::Proven => Look::Good,
        Outcome::Unproven => Look::Notice,
        Outcome::Failed => Look::Bad,
    };
    (look, outcome.as_str().to_owned())
}

fn evidence(proofs: &[Proof]) -> Block {
    let row = |proof: &Proof| {
        let (commit, digest) = (proof.commit.as_ref()?, proof.set_digest.as_ref()?);
        Some(vec![plain(&proof.device), plain(commit), plain(digest), plain(proof.equal)])
    };
    Block::Table(
        "Evidence",
        vec!["DEVICE", "COMMIT", "SET DIGEST (BLAKE3)", "ENTRIES EQUAL"],
        proofs.iter().filter_map(row).collect(),
    )
}

fn checks(proofs: &[Proof]) -> Block {
    let rows = proofs.iter().flat_map(|proof| {
        proof.checks.iter().map(|check| {
            let result = match check.passed {
                Some(true) => (Look::Good, "passed".to_owned()),
                Some(false) => (Look::Bad, "FAILED".to_owned()),
                None => (Look::Notice, "not run".to_owned()),
            };
            let why = plain(check.why.as_deref().unwrap_or_default());
            vec![plain(&proof.device), result, plain(took(check.took_ms)), plain(&check.run), why]
        })
    });
    Block::Table("Syntax checks", vec!["DEVICE", "RESULT", "TOOK", "COMMAND", ""], rows.collect())
}

fn stand_in(one: &StandIn) -> Block {
    let (look, word) = match one.outcome.as_str() {
        "done" => (Look::Good, "as the point: put back, made active, compared"),
        "nothing" => (Look::Notice, "as the point already: nothing was put back"),
        "went-back" => (Look::Bad, "taken back to how it stood, as a step failed"),
        _ => (Look::Bad, "between: see `confvault restore --undo`"),
    };
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut facts = vec![
        ("Device", (Look::Strong, one.device.to_string())),
        ("Stands", (look, word.to_owned())),
        ("Entries put back", plain(one.entries)),
        ("Took", plain(took(one.took_ms))),
        ("Generations", plain(format!("{} before, {} after", number(one.pre), number(one.post)))),
    ];
    facts.extend(one.change.as_ref().map(|change| ("Change", plain(change))));
    facts.extend(one.health.iter().map(|health| ("Health", plain(health))));
    Block::Facts("Stand-in", facts)
}

fn phases(protocol: &Protocol) -> Block {
    let rows = protocol.phases.iter().map(|phase| vec![plain(&phase.phase), plain(took(phase.took_ms))]);
    Block::Table("Time", vec!["PHASE", "TOOK"], rows.collect())
}

fn findings(protocol: &Protocol) -> Block {
    let row = |finding: &crate::ops::drill::Finding| {
        let weight = if finding.fails { (Look::Bad, "FAILS".to_owned()) } else { (Look::Notice, "note".to_owned()) };
        let device = finding.device.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        vec![weight, plain(device), plain(&finding.text)]
    };
    let mut rows: Vec<Vec<Cell>> = protocol.findings.iter().map(row).collect();
    if rows.is_empty() {
        rows.push(vec![(Look::Good, "none".to_owned())]);
    }
    Block::Table("Findings", vec!["", "DEVICE", "FINDING"], rows)
}

fn of_record(held: &Held, signed: &Signed) -> Block {
    let (verified, by) = match &signed.by {
        Ok(by) if signed.pinned => ((Look::Good, "verified, by signers of the pinned administrator".to_owned()), by.clone()),
        Ok(by) => ((Look::Notice, "verified, by signers that the store itself names".to_owned()), by.clone()),
        Err(wrong) => {
            let facts = vec![("Signature", (Look::Bad, format!("NOT good: {wrong}"))), ("Commit", plain(held.commit))];
            return Block::Facts("Record", facts);
        }
    };
    let facts = vec![
        ("Signature", verified),
        ("Signed by", plain(format!("{}  {}", by.signer, by.key))),
        (
            "Commit",
            plain(format!(
                "{} of refs/heads/_journal/{}/{}",
                held.commit,
                held.record.collector,
                held.record.time.format("%Y-%m")
            )),
        ),
        ("Program", plain(format!("confvault {}", held.record.version))),
    ];
    Block::Facts("Record", facts)
}
