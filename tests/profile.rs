//! Holds every built-in profile to its fixtures (`fixtures/devices/README.md` has their format).
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

#[path = "profile/blind.rs"]
mod blind;
#[path = "profile/fixtures.rs"]
mod fixtures;
#[path = "profile/hostile.rs"]
mod hostile;
#[path = "profile/language.rs"]
mod language;
#[path = "profile/masked.rs"]
mod masked;
