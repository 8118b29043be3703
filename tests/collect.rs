//! Sources as a library sees them.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "collect/dir.rs"]
mod dir;
