//! Refs: a fast reader of `packed-refs` and loose refs, and the only writer.

use gix::ObjectId;

/// A ref as it stood when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref<'a> {
    /// The full name, such as `refs/heads/gw-0042/16.9.5`.
    pub name: &'a str,
    /// What it points to.
    pub id: ObjectId,
    /// The object that an annotated tag stands for at last; none where `id` is no tag.
    pub peeled: Option<ObjectId>,
}

/// One change of a ref, valid only if the ref has the expected value when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEdit {
    /// The full name.
    pub name: String,
    /// The value that it must have; none: it must not exist.
    pub expected: Option<ObjectId>,
    /// The value that it gets; none: it is removed.
    pub new: Option<ObjectId>,
}

/// All refs as they stood at one moment, sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Refs {}

impl Refs {
    /// Looks a ref up by its full name.
    #[must_use]
    pub fn get(&self, _name: &str) -> Option<Ref<'_>> {
        todo!()
    }

    /// Gives the refs whose full names begin with `prefix`, sorted bytewise by name.
    pub fn prefix<'a>(&'a self, _prefix: &str) -> impl Iterator<Item = Ref<'a>> + use<'a> {
        std::iter::empty()
    }

    /// Gives all refs, sorted bytewise by name.
    pub fn iter(&self) -> impl Iterator<Item = Ref<'_>> {
        self.prefix("")
    }
}
