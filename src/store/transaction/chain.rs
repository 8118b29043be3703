//! Many generations of one device in one transaction: a history that is taken over.

use super::super::encode::{EncodeContext, Meta, Outcome, Tip};
use super::super::error::{Error, Result};
use super::snapshot::Taking;
use super::{Plan, Transaction};
use crate::model::{ConfigSet, DeviceName};

/// Generations of one device, each built on the one before, in one transaction.
///
/// In memory it holds the manifest of the newest one. Dropped without [`Chain::finish`], it leaves nothing in
/// the store.
#[derive(Debug)]
pub struct Chain<'t, 's> {
    transaction: &'t Transaction<'s>,
    device: DeviceName,
    plan: Plan,
    tip: Option<Tip>,
}

impl<'s> Transaction<'s> {
    /// Begins a chain on top of what the store has of a device.
    ///
    /// # Errors
    /// [`Error::Tombstone`]; `Refused` if the device has a set in this transaction already.
    pub fn chain(&self, device: &DeviceName) -> Result<Chain<'_, 's>> {
        self.check_new(device)?;
        let plan = Plan { snapshot: true, ..Plan::default() };
        Ok(Chain { transaction: self, device: device.clone(), plan, tip: None })
    }
}

impl Chain<'_, '_> {
    /// Encodes the next set; logs in it are left out, as they belong to a run. No look is remembered and
    /// nothing is recorded: that is the caller's.
    ///
    /// # Errors
    /// [`Error::NoRelease`], `NoStoreKey`, `Refused` (also for the set of another device), `ContentNeeded`, and what
    /// reading and writing objects gives. The chain is then as it was.
    pub fn add(&mut self, context: &EncodeContext<'_>, set: ConfigSet, meta: &Meta) -> Result<Outcome> {
        if *context.device != self.device {
            return Err(Error::Refused { what: "a set of another device", subject: context.device.to_string() });
        }
        let release = set.release.clone().ok_or_else(|| Error::NoRelease { device: self.device.clone() })?;
        let (set, _) = set.split_logs();
        let (edits, records) = (self.plan.edits.clone(), self.plan.records.len());
        let taking = Taking { context, set: &set, release: &release, meta };
        let made = self.transaction.by_content(taking, &mut self.plan, self.tip.as_ref());
        match made {
            Ok(made) => {
                if made.tip.is_some() {
                    self.tip = made.tip;
                }
                Ok(made.outcome)
            }
            Err(error) => {
                self.plan.edits = edits;
                self.plan.records.truncate(records);
                Err(error)
            }
        }
    }

    /// Makes the generations part of the transaction's commit.
    pub fn finish(self) {
        // Without anything made, nothing of the device was looked at either.
        if self.plan.edits.is_empty() && self.plan.records.is_empty() {
            return;
        }
        self.transaction.plan(&self.device, self.plan);
    }
}
