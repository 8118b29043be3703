//! Sources as a library sees them.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "collect/act.rs"]
mod act;
#[path = "collect/backup.rs"]
mod backup;
#[path = "collect/canaries.rs"]
mod canaries;
#[path = "collect/console.rs"]
mod console;
#[path = "collect/dir.rs"]
mod dir;
#[path = "collect/drs.rs"]
mod drs;
#[path = "support/env.rs"]
mod env;
#[path = "collect/fleet.rs"]
mod fleet;
#[path = "support/http.rs"]
mod http;
#[path = "support/ios.rs"]
mod ios;
#[path = "support/junos.rs"]
mod junos;
#[path = "support/liar.rs"]
mod liar;
#[path = "collect/lies.rs"]
mod lies;
#[path = "collect/limits.rs"]
mod limits;
#[path = "support/live.rs"]
mod live;
#[path = "collect/old_algorithms.rs"]
mod old_algorithms;
#[path = "collect/own_backup.rs"]
mod own_backup;
#[path = "support/play.rs"]
mod play;
#[path = "collect/program.rs"]
mod program;
#[path = "collect/pushed.rs"]
mod pushed;
#[path = "collect/real.rs"]
mod real;
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
#[path = "support/mod.rs"]
mod support;
#[path = "collect/surroundings.rs"]
mod surroundings;
