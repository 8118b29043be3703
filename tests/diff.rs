//! Differences of sets, proven with the real `patch` and `git`.
#![allow(missing_docs, clippy::unwrap_used)]

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
