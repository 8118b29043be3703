//! Whose file is it? How the tools lay devices out in a repository.

use crate::model::{ConfigPath, DeviceName, NameError};

use super::ImportError;

/// How a repository is laid out.
#[derive(Debug, Clone)]
pub enum Layout {
    /// Of Oxidized: a file is a device, folders are groups.
    Oxidized,
    /// Of RANCID: a file in a folder `configs` is a device, folders above it are groups.
    Rancid,
    /// A folder at the top is a device.
    TopFolder,
    /// The whole repository is one device.
    Device(DeviceName),
    /// An expression finds the device in the path of a file.
    Pattern(Pattern),
}

/// An expression on paths with the group `device`, and perhaps `path`.
#[derive(Debug, Clone)]
pub struct Pattern(regex::bytes::Regex);

impl std::str::FromStr for Pattern {
    type Err = ImportError;
    fn from_str(text: &str) -> Result<Self, ImportError> {
        let bad =
            |why: &dyn std::fmt::Display| ImportError::Pattern(why.to_string().lines().last().unwrap_or_default().to_owned());
        let regex = regex::bytes::RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|error| bad(&error))?;
        match regex.capture_names().flatten().any(|name| name == "device") {
            true => Ok(Self(regex)),
            false => Err(bad(&text)),
        }
    }
}

/// Where a file stands in the set of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InSet {
    /// Where the profile has the configuration of the device.
    Config,
    /// At a path.
    Path(ConfigPath),
}

/// What a file of the repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placed {
    /// A file of a device.
    Device(DeviceName, InSet),
    /// A file of what cannot be the name of a device.
    BadName(String, NameError),
    /// No file of a device.
    Ignored,
}

impl Layout {
    /// Says what a file is, by its path below the folder that is imported.
    pub(super) fn place(&self, path: &[u8]) -> Placed {
        let (above, last) = match memchr::memrchr(b'/', path) {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        match self {
            Layout::Oxidized => named(last, InSet::Config),
            Layout::Rancid => match above == b"configs" || above.ends_with(b"/configs") {
                true => named(last, InSet::Config),
                false => Placed::Ignored,
            },
            Layout::TopFolder => match memchr::memchr(b'/', path) {
                Some(at) => below(&path[..at], &path[at + 1..]),
                None => Placed::Ignored,
            },
            Layout::Device(device) => match ConfigPath::new(path) {
                Ok(path) => Placed::Device(device.clone(), InSet::Path(path)),
                Err(_) => Placed::Ignored,
            },
            Layout::Pattern(Pattern(regex)) => {
                let Some(found) = regex.captures(path) else { return Placed::Ignored };
                let Some(device) = found.name("device") else { return Placed::Ignored };
                if let Some(own) = found.name("path") {
                    return below(device.as_bytes(), own.as_bytes());
                }
                match path[device.end()..].strip_prefix(b"/") {
                    Some(rest) => below(device.as_bytes(), rest),
                    None => named(device.as_bytes(), InSet::Config),
                }
            }
        }
    }
}

fn below(device: &[u8], path: &[u8]) -> Placed {
    match ConfigPath::new(path) {
        Ok(path) => named(device, InSet::Path(path)),
        Err(_) => Placed::Ignored,
    }
}

fn named(name: &[u8], place: InSet) -> Placed {
    // What the tools and git keep beside the devices: `.gitignore` and the like.
    if name.starts_with(b".") {
        return Placed::Ignored;
    }
    let name = String::from_utf8_lossy(name);
    match name.parse() {
        Ok(device) => Placed::Device(device, place),
        Err(error) => Placed::BadName(name.chars().take(200).collect(), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(layout: &Layout, path: &str) -> String {
        match layout.place(path.as_bytes()) {
            Placed::Device(device, InSet::Config) => format!("{device}"),
            Placed::Device(device, InSet::Path(path)) => format!("{device} {path}"),
            Placed::BadName(name, _) => format!("!{name}"),
            Placed::Ignored => "-".to_owned(),
        }
    }

    #[test]
    fn files_belong_to_devices_as_the_tools_lay_them_out() {
        for (path, device) in [
            ("sw1", "sw1"),
            ("core/sw1", "sw1"),
            ("a/b/sw-1.example", "sw-1.example"),
            (".gitignore", "-"),
            ("g/fe80::1", "!fe80::1"),
        ] {
            assert_eq!(place(&Layout::Oxidized, path), device);
        }
        for (path, device) in [
            ("configs/r1", "r1"),
            ("core/configs/r1", "r1"),
            ("router.db", "-"),
            ("configs/.gitignore", "-"),
            ("configs/x/r1", "-"),
        ] {
            assert_eq!(place(&Layout::Rancid, path), device);
        }
        for (path, device) in [("gw/etc/a", "gw etc/a"), ("README", "-"), ("CON/a", "!CON"), (".git/x", "-")] {
            assert_eq!(place(&Layout::TopFolder, path), device);
        }
        assert_eq!(place(&Layout::Device("pbx".parse().unwrap()), ".etckeeper"), "pbx .etckeeper");
        let pattern = |text: &str| Layout::Pattern(text.parse().unwrap());
        assert_eq!(place(&pattern("^cfg/(?<device>[^/]+)\\.cfg$"), "cfg/sw1.cfg"), "sw1");
        assert_eq!(place(&pattern("^sites/[^/]+/(?<device>[^/]+)"), "sites/b/gw/etc/x"), "gw etc/x");
        assert_eq!(place(&pattern("^(?<path>.*)@(?<device>.*)$"), "a/b@gw"), "gw a/b");
        assert_eq!(place(&pattern("^cfg/(?<device>[^/]+)"), "other/sw1"), "-");
        assert!("(x)".parse::<Pattern>().is_err() && "(?<device>".parse::<Pattern>().is_err());
    }
}
