//! Differences of two sets: lines, structure, rendering. Knows no git and no store.
