//! Differences of sets, proven with the real `patch` and `git`.
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

#[path = "diff/apply.rs"]
mod apply;
#[path = "diff/corpus.rs"]
mod corpus;
#[path = "diff/hostile.rs"]
mod hostile;
#[path = "diff/render.rs"]
mod render;
#[path = "diff/settings.rs"]
mod settings;
#[path = "diff/support.rs"]
mod support;
#[path = "diff/volatile.rs"]
mod volatile;
