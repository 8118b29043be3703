//! Which lines changed.
