//! The generations of a device, newest first.

use super::error::Result;
use super::generation::Generation;
use super::refs::Refs;
use super::store::Store;
use crate::model::DeviceName;

/// Walks from generation to generation; reads commits only.
#[derive(Debug)]
pub struct History {}

impl History {
    pub(super) fn new(_store: &Store, _refs: &Refs, _device: &DeviceName) -> Result<Self> {
        Ok(Self {})
    }
}

impl Iterator for History {
    type Item = Result<Generation>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
