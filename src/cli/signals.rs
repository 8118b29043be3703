//! Ending a long command in order when the user or the system asks for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Gives a flag that becomes true at the first SIGINT or SIGTERM; the second ends the process at once.
pub(crate) fn cancel() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered in this order, so that the first signal only sets the flag. Both fail only for
        // signals that cannot be caught; without them the signal ends the process, which is safe too.
        drop(signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone()));
        drop(signal_hook::flag::register(signal, flag.clone()));
    }
    flag
}
