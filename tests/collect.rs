//! Sources as a library sees them.
#![allow(missing_docs, clippy::type_complexity, clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

#[path = "collect/dir.rs"]
mod dir;
#[path = "collect/drs.rs"]
mod drs;
#[path = "support/play.rs"]
mod play;
#[path = "collect/rig.rs"]
mod rig;
#[path = "support/simulator.rs"]
mod simulator;
#[path = "collect/ssh.rs"]
mod ssh;
#[path = "collect/sshd.rs"]
mod sshd;
#[path = "support/sshd.rs"]
mod sshd_server;
#[path = "collect/fleet.rs"]
mod fleet;
#[path = "collect/program.rs"]
mod program;
#[path = "collect/pushed.rs"]
mod pushed;
#[path = "support/env.rs"]
mod env;
