//! Putting a set back to the device itself (`docs/restore.md`).
//!
//! [`prepare`] looks at the device and makes the [`Plan`]; [`run`] does it. Before the first step there is a snapshot
//! of what stands, what is needed for the way back is kept sealed, and a [`record`] is begun in which each step
//! is noted before it is taken. Whatever fails after that takes the device back by itself; a process that was killed is
//! followed by [`take_up`], which finishes or goes back.
//!
//! Both directions are one procedure: what stands on the device is looked at, and what is not as it is to be is
//! put there. So it does not matter where the last try ended, nor whether a step was done when its connection broke.
//!
//! Invariants: nothing becomes active before the checks of the profile passed; nothing of a content lies in clear on
//! the disk; nothing is asked of a device that the plan does not say.

mod abort;
mod back;
mod close;
mod commands;
mod error;
mod files;
mod goal;
mod item;
mod job;
mod plan;
mod record;
mod run;
mod site;
mod take_up;

pub use abort::{is_put_back, prepare_change, run_change};
pub use back::{Standing, Stands};
pub use error::{DeviceRestoreError, Failed};
pub use goal::Choice;
pub use item::{Act, Form, Item, Towards};
pub use plan::{Between, Left, Note, Phase, Plan, Planned};
pub use record::unfinished;
pub use run::{Options, Outcome, Prepared, Report, prepare, run};
pub use site::Tools;
pub use take_up::{Again, take_up};

use crate::collect::CollectError;
use crate::collect::act::ActError;
use crate::collect::fleet::MayPass as _;
use crate::ops::Error;
use crate::ops::snapshot::World;

impl DeviceRestoreError {
    /// Tells whether another try may succeed: the connection broke, or the device does not answer.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Step(failed) => match &failed.source {
                ActError::Open(error) => error.may_pass(),
                ActError::Busy { .. } => true,
                _ => false,
            },
            Self::Job(error) => matches!(&**error, Error::Collect(error) if error.may_pass()),
            _ => false,
        }
    }
}

impl World<'_> {
    /// Tells whether the run is to end.
    fn check(&self) -> Result<(), DeviceRestoreError> {
        match self.cancel.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(Error::from(CollectError::Cancelled).into()),
            false => Ok(()),
        }
    }
}
