//! What `confvault mirror` shows: as text and as JSON.

use serde_json::{Value, json};

use crate::cli::error::CommandError;
use crate::cli::table::{Table, plain};
use crate::cli::ui::{Look, Ui};
use crate::mirror::{Independence, Lost, Proof, PushOutcome, PushReport, RefState, Status};
use crate::model::MirrorName;
use crate::ops::mirror::Place;

/// Warns of what a mirror has lost.
pub(super) fn tell_lost(ui: &mut Ui, place: &Place, lost: &[Lost]) {
    for lost in lost {
        let found = lost.found.map_or_else(|| "gone".to_owned(), |id| format!("back at {id}"));
        ui.warn(&format!("Mirror {} has lost what it took: {}, sent {}, now {found}", place.name, lost.reference, lost.sent));
    }
    if !lost.is_empty() {
        ui.warn(&format!("Somebody may have altered {}, or it was put back from an old copy: find out who", place.name));
    }
}

fn lost_value(lost: &[Lost]) -> Vec<Value> {
    let one = |lost: &Lost| json!({ "ref": lost.reference, "sent": lost.sent, "found": lost.found.map(|id| id.to_string()) });
    lost.iter().map(one).collect()
}

pub(super) fn tell_refused(ui: &mut Ui, place: &Place, report: &PushReport) {
    for group in report.refused() {
        let PushOutcome::Refused { name, reason, partly } = &group.outcome else { continue };
        let more = if *partly { "; other refs of it were moved" } else { "; nothing of it was moved" };
        let first = format!("Mirror {} refused {}{more}: {name}", place.name, group.group);
        let hint = format!("`confvault mirror status {}` shows how they differ; find out who wrote there", place.name);
        ui.finding(&[first, reason.clone()], &[hint]);
    }
}

pub(super) fn push_document(place: &Place, report: &PushReport, lost: &[Lost]) -> Value {
    let groups = report.groups.iter().map(|group| match &group.outcome {
        PushOutcome::UpToDate => json!({ "group": group.group.to_string(), "outcome": "up-to-date" }),
        PushOutcome::NotOurs => json!({ "group": group.group.to_string(), "outcome": "not-ours" }),
        PushOutcome::Pushed { refs } => json!({ "group": group.group.to_string(), "outcome": "pushed", "refs_count": refs }),
        PushOutcome::Refused { name, reason, partly } => {
            json!({ "group": group.group.to_string(), "outcome": "refused", "ref": name, "reason": reason, "partly": partly })
        }
    });
    json!({
        "mirror": place.name,
        "url": place.url.to_string(),
        "outcome": if report.refused().next().is_none() { "done" } else { "partly" },
        "moved_count": report.moved(),
        "lost": lost_value(lost),
        "groups": groups.collect::<Vec<_>>(),
        "strange": report.strange,
    })
}

/// Warns of a mirror that would be lost together with the store.
pub(super) fn warn_of_dependence(ui: &mut Ui, mirror: &MirrorName, independence: Independence) {
    let place = match independence {
        Independence::SameFileSystem => "file system",
        Independence::SameHost => "host",
        _ => return,
    };
    ui.warn(&format!("{mirror} lies on the {place} of the store: what takes one takes both"));
}

pub(super) fn print_status(ui: &mut Ui, place: &Place, status: &Status, behind: bool) -> Result<(), CommandError> {
    let word = if status.complete() { (Look::Good, "has everything") } else { (Look::Bad, "lacks something") };
    ui.row(&[(Look::Strong, place.name.as_str()), (Look::Plain, "  "), word, (Look::Dim, &format!("  {}", place.url))])?;
    warn_of_dependence(ui, &place.name, status.independence);
    if status.unprotected {
        ui.warn(&format!("what is sent to {} can be read and altered on the way", place.name));
    }
    for name in &status.strange {
        ui.warn(&format!("{} holds a ref that is none of a store: {name}", place.name));
    }
    let mut table = Table::default();
    for reference in status.groups.iter().flat_map(|group| &group.refs) {
        let (look, text) = match reference.state {
            RefState::Has if behind => continue,
            RefState::Has => (Look::Good, "has".to_owned()),
            RefState::Behind(by) => (Look::Notice, format!("behind by {by}")),
            RefState::Missing | RefState::RemoteOnly => (Look::Notice, reference.state.as_str().to_owned()),
            _ => (Look::Bad, reference.state.as_str().to_owned()),
        };
        table.row(vec![plain(""), (look, text), plain(&reference.name)]);
    }
    table.print(ui)
}

pub(super) fn print_proof(ui: &mut Ui, proof: &Proof) -> Result<(), CommandError> {
    let mut table = Table::default();
    for attempt in &proof.attempts {
        let word = if attempt.refused.is_some() { (Look::Good, "refused") } else { (Look::Bad, "LET THROUGH") };
        table.row(vec![
            plain(""),
            (word.0, word.1.to_owned()),
            plain(format!("to {} {}", attempt.attack.as_str(), attempt.name)),
        ]);
    }
    table.print(ui)?;
    let text = if proof.append_only() { (Look::Good, "append-only: proven") } else { (Look::Bad, "NOT append-only") };
    ui.row(&[(Look::Plain, "  "), text])?;
    if !proof.append_only() {
        ui.status(
            "hint: install the hook, `confvault mirror hook > MIRROR.git/hooks/update && chmod +x MIRROR.git/hooks/update`",
        );
    }
    Ok(())
}

pub(super) fn status_document(place: &Place, status: &Status, lost: &[Lost], proof: Option<&Proof>) -> Value {
    let groups = status.groups.iter().map(|group| {
        let refs = group.refs.iter().map(|r| {
            let behind = if let RefState::Behind(by) = r.state { Some(by) } else { None };
            json!({
                "ref": r.name,
                "state": r.state.as_str(),
                "behind_commits": behind,
                "local": r.local.map(|id| id.to_string()),
                "remote": r.remote.map(|id| id.to_string()),
            })
        });
        json!({
            "group": group.group.to_string(),
            "complete": group.complete(),
            "behind_generations": group.behind,
            "refs": refs.collect::<Vec<_>>(),
        })
    });
    let attempts = |proof: &Proof| {
        let one = |a: &crate::mirror::Attempt| json!({ "ref": a.name, "attack": a.attack.as_str(), "refused": a.refused });
        proof.attempts.iter().map(one).collect::<Vec<_>>()
    };
    json!({
        "mirror": place.name,
        "url": place.url.to_string(),
        "complete": status.complete(),
        "lost": lost_value(lost),
        "independence": status.independence.as_str(),
        "unprotected": status.unprotected,
        "groups": groups.collect::<Vec<_>>(),
        "strange": status.strange,
        "proof": proof.map(|proof| json!({ "append_only": proof.append_only(), "attempts": attempts(proof), "left": proof.left })),
    })
}
