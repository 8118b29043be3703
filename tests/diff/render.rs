//! The other shapes.
