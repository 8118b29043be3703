//! Giving a change up: every device back to where it stood before.

use super::goal::Choice;
use super::run::{Options, Outcome, Prepared, Report, prepare, run};
use super::site::Tools;
use crate::model::{DeviceName, Phase, Point, Ticket, Where};
use crate::ops::Error;
use crate::ops::change::ChangeError;

/// Plans to put the devices of an open change back to where they stood before it.
///
/// # Errors
/// No change is open under the ticket; a device cannot be looked at.
pub fn prepare_change<'a>(tools: Tools<'a>, ticket: &Ticket) -> Result<Vec<Prepared<'a>>, Error> {
    let store = &tools.vault.store;
    let all = store.changes(&store.refs()?, Some(ticket))?;
    if all.is_empty() {
        return Err(ChangeError::NoTicket(ticket.clone()).into());
    }
    let open = all.into_iter().find(|item| item.end.is_none());
    let item = open.ok_or_else(|| ChangeError::NotOpen(ticket.clone()))?;
    if item.collector != tools.vault.inventory.collector {
        return Err(ChangeError::Elsewhere { change: item.change, collector: item.collector }.into());
    }
    let mut all = Vec::new();
    for device in item.devices.keys() {
        let number = item.number(device, Phase::Pre).ok_or_else(|| ChangeError::Unknown(item.change.clone()))?;
        let point = Point { device: device.clone(), release: None, at: Where::Number(number) };
        all.push(prepare(tools, &point, None, Choice::default())?);
    }
    Ok(all)
}

/// Puts the devices of a change back, one after the other; one that cannot be does not stop the others.
pub fn run_change(
    prepared: &[Prepared<'_>],
    options: &Options,
    tell: &mut dyn FnMut(&str),
) -> Vec<(DeviceName, Result<Report, Error>)> {
    let mut out = Vec::new();
    for one in prepared {
        let device = one.plan.device.clone();
        let done = run(one, options, &mut |text| tell(&format!("{device}: {text}")));
        out.push((one.plan.device.clone(), done));
    }
    out
}

/// Tells whether a device stands where it was to be put.
#[must_use]
pub fn is_put_back(done: &Result<Report, Error>) -> bool {
    done.as_ref().is_ok_and(|report| matches!(report.outcome, Outcome::Done | Outcome::Nothing))
}
