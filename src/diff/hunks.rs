//! From changed lines to hunks.
