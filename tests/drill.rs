//! `confvault drill`: recovery exercised from real git mirrors, good ones and others.
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

#[path = "support/env.rs"]
mod env;
#[path = "support/sshd.rs"]
mod sshd;

#[path = "drill/checks.rs"]
mod checks;
#[path = "drill/due.rs"]
mod due;
#[path = "drill/lab.rs"]
mod lab;
#[path = "drill/mirrors.rs"]
mod mirrors;
#[path = "drill/passes.rs"]
mod passes;
