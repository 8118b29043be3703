//! Holds every built-in profile to its fixtures (`fixtures/devices/README.md` has their format).
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "profile/fixtures.rs"]
mod fixtures;
#[path = "profile/hostile.rs"]
mod hostile;
#[path = "profile/language.rs"]
mod language;
