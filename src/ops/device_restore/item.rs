//! What differs between a device and a point, entry by entry.

use serde::{Deserialize, Serialize};

use crate::model::{ConfigPath, Digest, Kind, Owner, Scope};

/// One entry as it stands, or is to stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// File, directory or link.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner; nothing where it does not count or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Size of the plain bytes; of a link, of its target.
    pub size: u64,
    /// Keyed digest of the plain bytes, by the epoch of the point; nothing for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<Digest>,
    /// The same of the bytes without what is volatile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<Digest>,
}

impl Form {
    /// Tells whether the content is the same, apart from what is volatile.
    #[must_use]
    pub fn same_content(&self, other: &Form) -> bool {
        self.kind == other.kind && (self.plain == other.plain || (self.normal.is_some() && self.normal == other.normal))
    }

    /// Tells whether `found` is what this asks for.
    #[must_use]
    pub fn is_met_by(&self, found: &Form) -> bool {
        let owner = self.owner.is_none() || found.owner.is_none() || self.owner == found.owner;
        let mode = self.kind == Kind::Link || self.mode == found.mode;
        self.same_content(found) && mode && owner
    }
}

/// What putting back does about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is not on the device and is made.
    Create,
    /// Its content is replaced.
    Replace,
    /// Its content stays, mode or owner do not.
    Adjust,
    /// The point does not have it, and it is removed.
    Remove,
}

impl Act {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Adjust => "adjust",
            Self::Remove => "remove",
        }
    }
}

/// One entry that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its scope: that of the point, else that on the device.
    pub scope: Scope,
    /// Its path.
    pub path: ConfigPath,
    /// How it stands on the device; nothing if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Form>,
    /// How it stood at the point; nothing if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Form>,
}

impl Item {
    /// What is done about it.
    #[must_use]
    pub fn act(&self) -> Act {
        match (&self.before, &self.after) {
            (None, _) => Act::Create,
            (_, None) => Act::Remove,
            (Some(before), Some(after)) if before.same_content(after) => Act::Adjust,
            _ => Act::Replace,
        }
    }

    /// What it is, or was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.after.as_ref().or(self.before.as_ref()).map_or(Kind::File, |form| form.kind)
    }

    /// The form that a direction asks for.
    #[must_use]
    pub fn wanted(&self, towards: Towards) -> Option<&Form> {
        match towards {
            Towards::Point => self.after.as_ref(),
            Towards::Before => self.before.as_ref(),
        }
    }

    /// Tells whether what stands on the device is what a direction asks for. A directory that is to go may stay,
    /// as something may be in it.
    #[must_use]
    pub fn is_met_by(&self, towards: Towards, found: Option<&Form>) -> bool {
        match (self.wanted(towards), found) {
            (Some(wanted), Some(found)) => wanted.is_met_by(found),
            (None, Some(found)) => found.kind == Kind::Directory && self.kind() == Kind::Directory,
            (None, None) => true,
            (Some(_), None) => false,
        }
    }
}

/// Which way a device is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Towards {
    /// To the point.
    Point,
    /// To how it stood before the restore began.
    Before,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: Kind, mode: u32, content: u8) -> Form {
        let plain = (kind != Kind::Directory).then_some(Digest([content; 32]));
        Form { kind, mode, owner: Some(Owner { uid: 0, gid: 0 }), size: 1, plain, normal: None }
    }

    fn item(before: Option<Form>, after: Option<Form>) -> Item {
        Item { scope: Scope::Voip, path: "a".parse().unwrap(), before, after }
    }

    #[test]
    fn what_is_done_follows_from_what_differs() {
        let file = |mode, content| Some(form(Kind::File, mode, content));
        assert_eq!(item(None, file(0o644, 1)).act(), Act::Create);
        assert_eq!(item(file(0o644, 1), None).act(), Act::Remove);
        assert_eq!(item(file(0o644, 1), file(0o600, 1)).act(), Act::Adjust);
        assert_eq!(item(file(0o644, 1), file(0o644, 2)).act(), Act::Replace);
        assert_eq!(item(Some(form(Kind::Link, 0o777, 1)), file(0o644, 1)).act(), Act::Replace);
    }

    #[test]
    fn volatile_bytes_and_unknown_owners_do_not_count_and_modes_of_links_neither() {
        let (one, mut two) = (form(Kind::File, 0o644, 1), form(Kind::File, 0o644, 2));
        assert!(!one.is_met_by(&two));
        let same = |form: &Form| Form { normal: Some(Digest([9; 32])), ..form.clone() };
        assert!(same(&one).is_met_by(&same(&two)));
        two = Form { owner: None, ..one.clone() };
        assert!(one.is_met_by(&two) && two.is_met_by(&one));
        two.owner = Some(Owner { uid: 1, gid: 0 });
        assert!(!one.is_met_by(&two));
        assert!(form(Kind::Link, 0o777, 1).is_met_by(&form(Kind::Link, 0o755, 1)));
        assert!(!form(Kind::Directory, 0o755, 0).is_met_by(&form(Kind::Directory, 0o700, 0)));
        let gone = item(Some(form(Kind::Directory, 0o755, 0)), None);
        assert!(gone.is_met_by(Towards::Point, gone.before.as_ref()) && gone.is_met_by(Towards::Point, None));
        assert!(!item(Some(one.clone()), None).is_met_by(Towards::Point, Some(&one)));
    }
}
