//! What a run waits for: the devices that are at work for long.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::DeviceName;

/// The devices at work.
pub(super) struct AtWork {
    begun: Mutex<BTreeMap<DeviceName, Instant>>,
    /// After how long one is told of, and how long it is until the next telling.
    after: Duration,
}

impl AtWork {
    pub(super) fn new(after: Duration) -> Self {
        Self { begun: Mutex::default(), after }
    }

    /// Counts a device as at work until the work ends, in whatever way.
    pub(super) fn during<T>(&self, device: &DeviceName, work: impl FnOnce() -> T) -> T {
        struct Ends<'a>(&'a AtWork, &'a DeviceName);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
            }
        }
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(device.clone(), Instant::now());
        let _ends = Ends(self, device);
        work()
    }

    /// Gives those that are to be told of now, if any; `told` is when it was done last.
    pub(super) fn due(&self, told: &mut Instant) -> Vec<DeviceName> {
        if told.elapsed() < self.after {
            return Vec::new();
        }
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let long = begun.iter().filter(|(_, begun)| begun.elapsed() >= self.after);
        let long: Vec<DeviceName> = long.map(|(device, _)| device.clone()).collect();
        if !long.is_empty() {
            *told = Instant::now();
        }
        long
    }
}
