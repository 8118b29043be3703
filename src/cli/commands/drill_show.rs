//! How drills are printed.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::drill_sheet::{Block, RULES, blocks, took, verdict};
use crate::cli::Outcome;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::hints;
use crate::cli::table::{Table, plain};
use crate::cli::time;
use crate::cli::ui::{Look, Ui, safe};
use crate::diff::render::page;
use crate::inventory::Inventory;
use crate::ops::drill::{Due, Held, Protocol, Signed};

/// Prints the list.
pub(super) fn list(ui: &mut Ui, drills: &[Held]) -> Outcome {
    if ui.json_wished() {
        let one = |held: &Held| {
            let protocol = &held.protocol;
            json!({
                "drill": held.record.run, "outcome": held.record.outcome, "began": time::json(protocol.began), "by": protocol.by,
                "mirror": protocol.mirror.name, "took_ms": protocol.took_ms, "collector": held.record.collector,
                "devices_count": protocol.devices.len(), "findings_count": protocol.findings.len(), "commit": held.commit.to_string(),
            })
        };
        ui.json("drill list", &json!({ "drills": drills.iter().map(one).collect::<Vec<_>>() }))?;
        return Ok(Exit::Done);
    }
    if drills.is_empty() {
        ui.status("no drill is recorded");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["DRILL", "BEGUN", "VERDICT", "MIRROR", "DEVICES", "TOOK", "FINDINGS", "BY"]);
    for held in drills {
        let protocol = &held.protocol;
        table.row(vec![
            (Look::Strong, held.record.run.clone()),
            plain(time::shown(protocol.began)),
            verdict(protocol),
            plain(&protocol.mirror.name),
            plain(protocol.devices.len()),
            plain(took(protocol.took_ms)),
            plain(protocol.findings.len()),
            plain(protocol.by.as_deref().unwrap_or_default()),
        ]);
    }
    table.print(ui)?;
    Ok(Exit::Done)
}

/// Prints the protocol of a drill that is recorded.
pub(super) fn one(ui: &mut Ui, command: &str, held: &Held, signed: &Signed) -> Result<(), CommandError> {
    if ui.json_wished() {
        let signature = match &signed.by {
            Ok(by) => json!({ "good": true, "key": by.key, "signer": by.signer, "pinned": signed.pinned }),
            Err(wrong) => json!({ "good": false, "why": wrong.to_string(), "pinned": signed.pinned }),
        };
        let rules: Vec<Value> = RULES.iter().map(|(of, which)| json!({ "of": of, "which": which })).collect();
        return ui.json(
            command,
            &json!({
                "drill": held.record.run, "outcome": held.record.outcome, "collector": held.record.collector,
                "program": held.record.version, "commit": held.commit.to_string(), "signature": signature,
                "protocol": held.protocol, "evidence_for": rules,
            }),
        );
    }
    sheet(ui, &held.protocol, &blocks(&held.record.run, &held.protocol, Some((held, signed))))
}

/// Prints the protocol of a drill that could not be recorded.
pub(super) fn unrecorded(ui: &mut Ui, id: &str, protocol: &Protocol) -> Result<(), CommandError> {
    if ui.json_wished() {
        let outcome = if protocol.passed() { "passed" } else { "failed" };
        return ui.json("drill", &json!({ "drill": id, "outcome": outcome, "commit": null, "protocol": protocol }));
    }
    sheet(ui, protocol, &blocks(id, protocol, None))
}

fn sheet(ui: &mut Ui, protocol: &Protocol, blocks: &[Block]) -> Result<(), CommandError> {
    for (at, block) in blocks.iter().enumerate() {
        if at > 0 {
            ui.line("")?;
        }
        match block {
            Block::Facts(title, facts) => {
                ui.row(&[(Look::Strong, title)])?;
                let mut table = Table::default();
                for (name, cell) in facts {
                    table.row(vec![(Look::Dim, format!("  {name}")), cell.clone()]);
                }
                table.print(ui)?;
            }
            Block::Table(title, heading, rows) => {
                ui.row(&[(Look::Strong, title)])?;
                let mut table = Table::default();
                let heading = heading.iter().enumerate().map(|(at, word)| (Look::Dim, indented(at, word)));
                table.row(heading.collect());
                for row in rows {
                    table.row(row.iter().enumerate().map(|(at, (look, text))| (*look, indented(at, text))).collect());
                }
                table.print(ui)?;
            }
        }
    }
    if !protocol.passed() {
        let failing = protocol.findings.iter().filter(|finding| finding.fails).count();
        ui.finding(&[format!("The drill failed, by {}", time::count(failing, "finding"))], &hints::drill_failed(protocol));
    }
    Ok(())
}

fn indented(at: usize, text: &str) -> String {
    if at == 0 { format!("  {text}") } else { text.to_owned() }
}

/// Gives the protocol as one HTML page, with a line to sign on paper.
pub(super) fn page(held: &Held, signed: &Signed) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let shown = |text: &str| page::escape(&safe(text.as_bytes()));
    let class = |look: Look| match look {
        Look::Good => " class=\"plus\"",
        Look::Bad => " class=\"minus\"",
        _ => "",
    };
    page::begin("Protocol of a recovery exercise", &mut out)?;
    for block in &blocks(&held.record.run, &held.protocol, Some((held, signed))) {
        let (Block::Facts(title, _) | Block::Table(title, ..)) = block;
        writeln!(out, "<section><header><h2>{}</h2></header><table class=\"settings\">", page::escape(title))?;
        match block {
            Block::Facts(_, facts) => {
                for (name, (look, text)) in facts {
                    writeln!(out, "<tr><th>{}</th><td{}>{}</td></tr>", page::escape(name), class(*look), shown(text))?;
                }
            }
            Block::Table(_, heading, rows) => {
                let heading: String = heading.iter().map(|word| format!("<th>{}</th>", page::escape(word))).collect();
                writeln!(out, "<tr>{heading}</tr>")?;
                for row in rows {
                    let row: String =
                        row.iter().map(|(look, text)| format!("<td{}>{}</td>", class(*look), shown(text))).collect();
                    writeln!(out, "<tr>{row}</tr>")?;
                }
            }
        }
        writeln!(out, "</table></section>")?;
    }
    writeln!(out, "<section><header><h2>Read and accepted</h2></header><table class=\"settings\">")?;
    writeln!(out, "<tr><th>Name</th><td></td></tr><tr><th>Date, signature</th><td></td></tr></table></section>")?;
    page::end(&mut out)?;
    Ok(out)
}

/// Prints what is due.
pub(super) fn due(ui: &mut Ui, inventory: &Inventory, all: &[Due]) -> Outcome {
    let every = inventory.policy.drill_every;
    let overdue = all.iter().filter(|due| due.overdue).count();
    let exit = if overdue > 0 { Exit::Partly } else { Exit::Done };
    if ui.json_wished() {
        let one = |due: &Due| {
            let last = due.last.as_ref();
            json!({
                "device": due.device, "due": due.due.map(time::json), "overdue": due.overdue,
                "proven": last.and_then(|last| last.proven).map(time::json), "last": last.map(|last| time::json(last.time)),
                "last_passed": last.map(|last| last.passed), "drill": last.map(|last| &last.drill), "mirror": last.map(|last| &last.mirror),
            })
        };
        let every = every.map(|every| every.to_string());
        ui.json("drill due", &json!({ "drill_every": every, "devices": all.iter().map(one).collect::<Vec<_>>() }))?;
        return Ok(exit);
    }
    let mut table = Table::new(&["DEVICE", "DUE", "PROVEN", "LAST DRILL"]);
    for due in all {
        let when = match (due.overdue, due.due) {
            (true, Some(due)) => (Look::Bad, format!("overdue since {}", time::shown(due))),
            (true, None) => (Look::Bad, "overdue".to_owned()),
            (false, Some(due)) => plain(time::shown(due)),
            (false, None) => plain("-"),
        };
        let last = due.last.as_ref();
        let proven = last.and_then(|last| last.proven).map_or_else(|| plain("never"), |time| plain(time::shown(time)));
        let last = last.map(|last| match last.passed {
            true => plain(&last.drill),
            false => (Look::Bad, format!("{} failed", last.drill)),
        });
        table.row(vec![(Look::Strong, due.device.to_string()), when, proven, last.unwrap_or_else(|| plain(""))]);
    }
    table.print(ui)?;
    match every {
        None => ui.status("no policy asks for drills; set `drill_every` in confvault.toml"),
        Some(every) => ui.status(&format!("every {every}: {overdue} of {} overdue", time::count(all.len(), "device"))),
    }
    Ok(exit)
}
