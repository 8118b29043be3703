//! The store: generations, manifest, forms, points, journal, pack writing (`docs/format.md`).
