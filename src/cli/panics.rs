//! What a bug may say: where it is, and never what it had in hand.
//!
//! The message of a panic can hold the text that was worked on (`byte index 5 is not a char boundary; it is
//! inside …`), and the memory of a process holds secrets. So only messages that stand in the program as they
//! are get shown, and no core is written.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes care of panics of all threads, and of cores.
pub(super) fn install() {
    let limit = getrlimit(Resource::Core);
    // Where that is refused, the system's own setting holds.
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
    std::panic::set_hook(Box::new(|info| {
        let trace = Backtrace::capture();
        let trace = if trace.status() == BacktraceStatus::Captured { format!("{trace}\n") } else { String::new() };
        // There is nobody left to tell that standard error is closed.
        drop(io::stderr().write_all(format!("{}\n{trace}", message(info)).as_bytes()));
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let text = info.payload().downcast_ref::<&'static str>().copied();
    format!("error: Internal error ({}){place}", text.unwrap_or(crate::collect::fleet::WITHHELD))
}
