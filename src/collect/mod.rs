//! Sources: how a set comes from a device. Knows no store.
