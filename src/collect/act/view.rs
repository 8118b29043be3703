//! The folder that shows a set as it will be: directories, and links to where the content is now.

use std::collections::BTreeMap;

use super::Seen;
use crate::model::ConfigPath;

/// What stands in the folder: the path below it, and for a link its target; sorted, folders before what is in them.
pub(super) type Places = BTreeMap<ConfigPath, Option<Vec<u8>>>;

/// Lays a view out. A path stands below the folder as on the device, and as in the set; where one of these would
/// stand in the way of another, the one of the device counts.
pub(super) fn lay_out(seen: &[Seen], absolute: impl Fn(&ConfigPath) -> Vec<u8>) -> Places {
    let mut places = Places::new();
    for on_device in [true, false] {
        for one in seen {
            let full = absolute(&one.path);
            let bytes = if on_device { full.strip_prefix(b"/").unwrap_or(&full) } else { one.path.as_bytes() };
            let Ok(path) = ConfigPath::new(bytes) else { continue };
            let target = one.at.as_ref().map(&absolute);
            add(&mut places, path, target);
        }
    }
    places
}

fn add(places: &mut Places, path: ConfigPath, target: Option<Vec<u8>>) {
    let mut above = Vec::new();
    let mut at = path.parent();
    while let Some(folder) = at {
        if matches!(places.get(&folder), Some(Some(_))) {
            return;
        }
        at = folder.parent();
        above.push(folder);
    }
    for folder in above {
        places.entry(folder).or_insert(None);
    }
    places.entry(path).or_insert(target);
}

/// Writes a view as a tar archive.
pub(super) fn archive(places: &Places) -> std::io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = tar::Builder::new(Vec::new());
    for (path, target) in places {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        let name = std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        match target {
            None => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o700);
                out.append_data(&mut header, name, std::io::empty())?;
            }
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                out.append_link(&mut header, name, std::path::Path::new(std::ffi::OsStr::from_bytes(target)))?;
            }
        }
    }
    out.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str, at: Option<&str>) -> Seen {
        Seen { path: path.parse().unwrap(), at: at.map(|at| at.parse().unwrap()) }
    }

    #[test]
    fn a_path_stands_as_on_the_device_and_as_in_the_set() {
        let all = [seen("etc", None), seen("etc/a", Some("etc/.new"))];
        let places = lay_out(&all, |path| [b"/srv/pbx/", path.as_bytes()].concat());
        let shown: Vec<String> = places
            .iter()
            .map(|(path, target)| match target {
                Some(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
                None => format!("{path}/"),
            })
            .collect();
        assert_eq!(
            shown,
            ["etc/", "etc/a -> /srv/pbx/etc/.new", "srv/", "srv/pbx/", "srv/pbx/etc/", "srv/pbx/etc/a -> /srv/pbx/etc/.new",]
        );
        assert!(archive(&places).unwrap().len() >= 6 * 512);
        // A file of the set whose name is that of a folder on the device.
        let places = lay_out(&[seen("srv", Some("srv"))], |path| [b"/srv/pbx/", path.as_bytes()].concat());
        assert_eq!(places.len(), 3);
    }
}
