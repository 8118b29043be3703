//! The settings of a text while it is read, with a limit.

use std::ops::{Deref, DerefMut};

use super::{Order, Setting};
use crate::diff::Error;

/// Names of sections are repeated with each setting: a small text with long names that lie deep in each other must
/// not fill the memory. Real configurations stay far below.
const PER_BYTE: usize = 64;
const AT_LEAST: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Sink {
    list: Vec<Setting>,
    left: usize,
    full: bool,
}

impl Sink {
    /// For a text of this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self { list: Vec::new(), left: bytes.saturating_mul(PER_BYTE).max(AT_LEAST), full: false }
    }

    pub(super) fn push(&mut self, setting: Setting) {
        let group = if let Order::Group(group) = &setting.order { group.len() } else { 0 };
        let size = setting.section.len() + group + setting.key.len() + setting.value.len();
        self.full |= size > self.left;
        if !self.full {
            self.left -= size;
            self.list.push(setting);
        }
    }

    /// The settings, or the fact that there are too many.
    pub(super) fn done(self, syntax: &'static str) -> Result<Vec<Setting>, Error> {
        if self.full { Err(Error::Unparsed { syntax, line: 1, reason: "names of sections are too long" }) } else { Ok(self.list) }
    }
}

impl Deref for Sink {
    type Target = [Setting];
    fn deref(&self) -> &[Setting] {
        &self.list
    }
}

impl DerefMut for Sink {
    fn deref_mut(&mut self) -> &mut [Setting] {
        &mut self.list
    }
}
