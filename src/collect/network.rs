//! What all connections of a run share: the watchdog, and what is read once and used for each device.

use std::sync::OnceLock;

use super::watch::Watchdog;

/// Shared by all devices of a run; cheap to make, as everything in it is made when it is first needed.
#[derive(Debug, Default)]
pub struct Network {
    watchdog: OnceLock<Watchdog>,
}

impl Network {
    /// Makes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The watchdog that ends connections whose time is over.
    pub(super) fn watchdog(&self) -> &Watchdog {
        self.watchdog.get_or_init(Watchdog::start)
    }
}
