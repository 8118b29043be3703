//! The sets of a backup folder: which there are, and whether one is whole.

use std::collections::BTreeMap;

use super::component::Contents;

/// Length of `YYYY-MM-DD-HH-MM-SS`.
pub(super) const STAMP: usize = 19;
/// The end of the name of the file that lists a set, in lower case.
const LIST: &[u8] = b"drfcomponent.xml";

/// A file of a backup folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) mode: u32,
    pub(super) owner: Option<crate::model::Owner>,
}

/// One backup set: the files of one time stamp.
#[derive(Debug, Default)]
pub(super) struct BackupSet {
    pub(super) stamp: String,
    pub(super) list: Option<Item>,
    /// How many lists there are; two products that back up into one folder in the same second make two.
    pub(super) lists: usize,
    pub(super) archives: Vec<Item>,
}

impl BackupSet {
    /// The time of the newest file, in nanoseconds since 1970.
    pub(super) fn newest_ns(&self) -> i64 {
        self.archives.iter().chain(&self.list).map(|item| item.mtime_ns).max().unwrap_or(0)
    }
}

/// What is wrong with a set, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The component, as `FEATURE/COMPONENT on SERVER`, or a larger part.
    pub component: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Is the text a time stamp of DRS?
pub(super) fn is_stamp(text: &str) -> bool {
    text.len() == STAMP
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 | 10 | 13 | 16 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}

/// The time stamp of a file of DRS, or nothing for any other file.
pub(super) fn stamp_of(name: &[u8]) -> Option<&str> {
    let stamp = std::str::from_utf8(name.get(..STAMP)?).ok()?;
    (is_stamp(stamp) && name.get(STAMP) == Some(&b'_')).then_some(stamp)
}

/// Sorts the files of a folder into sets, oldest first. Files of other programs are left out.
pub(super) fn sets(items: Vec<Item>) -> Vec<BackupSet> {
    let mut sets: BTreeMap<String, BackupSet> = BTreeMap::new();
    for item in items {
        let Some(stamp) = stamp_of(&item.name).map(str::to_owned) else { continue };
        let set = sets.entry(stamp.clone()).or_insert_with(|| BackupSet { stamp, ..BackupSet::default() });
        let name = item.name.to_ascii_lowercase();
        if name.ends_with(LIST) {
            set.lists += 1;
            set.list = Some(item);
        } else if name.ends_with(b".tar") {
            set.archives.push(item);
        }
    }
    sets.into_values().collect()
}

/// For a component that failed.
pub(super) const REMEDY_LOG: &str =
    "read the component's log on the node (`file view activelog platform/drf/log/…`), mend the cause, then back up again";
const REMEDY_NODE: &str =
    "check the node: `show network cluster`, Cisco DRF Master and Local started, ipsec certificates valid; then back up again";
const REMEDY_MISSING: &str = "check space and write rights on the SFTP server, and that nobody moved files; then back up again";
const REMEDY_EMPTY: &str = "free space on the SFTP server and in the common partition; then back up again";
const REMEDY_VERSION: &str =
    "bring all nodes to one version, then back up again; a restore needs exactly the version of the backup";
/// For a set with two lists.
pub(super) const REMEDY_MIXED: &str =
    "two products back up into this folder at the same time: give each a folder, and a device, of its own";
/// For a set without its list that is old.
pub(super) const REMEDY_ABORTED: &str =
    "see `utils disaster_recovery history backup`; a backup that was cancelled, or ran for over 20 h, has to be made anew";

/// Everything that is wrong with a set; nothing for a whole one.
pub(super) fn judge(set: &BackupSet, contents: &Contents) -> Vec<Fault> {
    let mut faults = Vec::new();
    let short = |text: &str| -> String { text.chars().take(80).flat_map(char::escape_debug).collect() };
    let status = |text: &str| if text.is_empty() { "no status".to_owned() } else { format!("status {}", short(text)) };
    for component in contents.components.iter() {
        let name = format!("{}/{} on {}", short(&component.feature), short(&component.name), short(&component.server));
        if component.status != "SUCCESS" {
            faults.push(Fault { component: name, reason: status(&component.status), remedy: REMEDY_LOG });
            continue;
        }
        let wanted = format!("{}_{}_{}_{}.tar", set.stamp, component.server, component.feature, component.name);
        match set.archives.iter().find(|item| item.name.eq_ignore_ascii_case(wanted.as_bytes())) {
            None => faults.push(Fault { component: name, reason: "its archive is missing".into(), remedy: REMEDY_MISSING }),
            Some(item) if item.size == 0 => {
                faults.push(Fault { component: name, reason: "its archive is empty".into(), remedy: REMEDY_EMPTY });
            }
            Some(_) => {}
        }
    }
    for part in contents.parts.iter().filter(|part| part.status != "SUCCESS") {
        // A part is bad because of a component that was named already, or because of its node.
        if faults.is_empty() {
            faults.push(Fault { component: short(&part.name), reason: status(&part.status), remedy: REMEDY_NODE });
        }
    }
    let mut versions: Vec<&String> = contents.versions.iter().collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() != 1 || versions[0].is_empty() {
        let reason = format!("versions {}", versions.iter().map(|v| short(v)).collect::<Vec<_>>().join(", "));
        faults.push(Fault { component: "all features".into(), reason, remedy: REMEDY_VERSION });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::component::{parse, tests::sample};
    use super::*;

    fn item(name: &str, size: u64) -> Item {
        Item { name: name.into(), size, mtime_ns: 0, mode: 0o644, owner: None }
    }

    const T: &str = "2018-12-24-13-21-17";

    #[test]
    fn names_become_sets_by_their_stamp() {
        let files = [
            "2018-12-24-13-21-17_D3-SB-11PUB_UCM_PLATFORM.tar",
            "2018-12-24-13-21-17_D3-SB-11PUB_drfComponent.xml",
            "2013-09-09-01-45-13_drfComponent.xml",
            "2013-09-09-01-45-13_etnmem2cm01_ccm_ccmdb.tar",
            "d3-sb-11pub_dUmmI_Drf",
            "notes.txt",
            "2018-12-24-13-21-1x_a_b_c.tar",
        ];
        let sets = sets(files.iter().map(|name| item(name, 1)).collect());
        let seen: Vec<_> = sets.iter().map(|s| (s.stamp.as_str(), s.list.is_some(), s.archives.len())).collect();
        assert_eq!(seen, [("2013-09-09-01-45-13", true, 1), (T, true, 1)]);
    }

    #[test]
    fn a_set_is_whole_or_named_with_what_it_lacks() {
        let xml = |status: &str| sample("11.5.1.10000-6", &[("pub", "CCMDB", "SUCCESS"), ("sub-1", "TFTP", status)]);
        let contents = |status: &str| parse(xml(status).as_bytes()).unwrap();
        let set = |archives: &[(&str, u64)]| BackupSet {
            stamp: T.into(),
            list: None,
            lists: 1,
            archives: archives.iter().map(|(name, size)| item(&format!("{T}_{name}.tar"), *size)).collect(),
        };
        // Old releases write feature and component in lower case.
        let whole = set(&[("pub_ucm_ccmdb", 9), ("sub-1_UCM_TFTP", 9)]);
        assert_eq!(judge(&whole, &contents("SUCCESS")), []);
        let said = |set: &BackupSet, status| {
            let faults = judge(set, &contents(status));
            faults.iter().map(|f| format!("{}: {}", f.component, f.reason)).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(said(&whole, "ERROR"), "UCM/TFTP on sub-1: status ERROR");
        assert_eq!(said(&set(&[("pub_UCM_CCMDB", 9)]), "SUCCESS"), "UCM/TFTP on sub-1: its archive is missing");
        assert_eq!(
            said(&set(&[("pub_UCM_CCMDB", 9), ("sub-1_UCM_TFTP", 0)]), "SUCCESS"),
            "UCM/TFTP on sub-1: its archive is empty"
        );
        let mixed = sample("11.5.1.10000-6", &[("pub", "CCMDB", "SUCCESS")])
            .replace("</list>", "<FeatureObject><FeatureName>IM</FeatureName><Status>SUCCESS</Status><Version>12.0.1.1-1</Version></FeatureObject></list>");
        let faults = judge(&set(&[("pub_UCM_CCMDB", 9)]), &parse(mixed.as_bytes()).unwrap());
        assert!(faults[0].reason.contains("11.5.1.10000-6, 12.0.1.1-1"), "{faults:?}");
    }
}
