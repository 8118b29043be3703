//! Writing packs.
