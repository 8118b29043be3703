//! The parts of OpenSSH's client configuration that administrators use: `Host`, `HostName`, `Port`, `User`,
//! `IdentityFile`, `ProxyJump`, `ProxyCommand`, `HostKeyAlias`, `UserKnownHostsFile`, `BindAddress`, `Include`.
//!
//! What is not in this list is passed over; `Match` blocks apart from `Match all` never match. As in
//! OpenSSH the first value that is found counts.

use std::path::{Path, PathBuf};

use super::hostkeys::matches;

/// Deepest `Include`.
const DEPTH: usize = 8;
/// Largest file, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// A way to a host that is not a direct connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Through these hosts, `[user@]host[:port]`, in turn.
    Jump(Vec<String>),
    /// Through the standard input and output of a command, with `%h`, `%p`, `%r` and `%n`.
    Command(String),
}

/// What the configuration says of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostConfig {
    /// The real name or address.
    pub(super) host_name: Option<String>,
    /// The port.
    pub(super) port: Option<u16>,
    /// The login.
    pub(super) user: Option<String>,
    /// Key files, in order.
    pub(super) identity_files: Vec<PathBuf>,
    /// The way to it; `Some(None)` where `none` was written.
    pub(super) proxy: Option<Option<Proxy>>,
    /// The name in lists of known hosts.
    pub(super) host_key_alias: Option<String>,
    /// Lists of known hosts in place of the user's own.
    pub(super) known_hosts_files: Option<Vec<PathBuf>>,
    /// The address to connect from.
    pub(super) bind_address: Option<String>,
}

/// The text of the configuration files, read once.
#[derive(Debug, Default)]
pub(super) struct SshConfig {
    lines: Vec<(String, String)>,
    home: PathBuf,
}

impl SshConfig {
    /// Reads `~/.ssh/config`, then the system's; what is not there or cannot be read counts as empty.
    #[must_use]
    pub(super) fn read(home: Option<&Path>, system: &Path) -> Self {
        let mut config = Self { lines: Vec::new(), home: home.unwrap_or(Path::new("/nonexistent")).to_owned() };
        if home.is_some() {
            config.load(&config.home.join(".ssh/config"), 0);
            // A block of the user's file does not go on in the system's.
            config.lines.push(("host".into(), "*".into()));
        }
        config.load(system, 0);
        config
    }

    fn load(&mut self, path: &Path, depth: usize) {
        let fits = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_LIMIT);
        let Some(text) = fits.then(|| std::fs::read_to_string(path).ok()).flatten() else { return };
        for line in text.lines() {
            let line = line.trim();
            let cut = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
            let (key, value) = line.split_at(cut);
            let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim();
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            let key = key.to_ascii_lowercase();
            if key == "include" && depth < DEPTH {
                for pattern in words(value) {
                    let base = path.parent().unwrap_or(Path::new("/"));
                    expand_glob(&base.join(self.tilde(&pattern))).iter().for_each(|file| self.load(file, depth + 1));
                }
            } else {
                self.lines.push((key, value.to_owned()));
            }
        }
    }

    fn tilde(&self, text: &str) -> PathBuf {
        text.strip_prefix("~/").map_or_else(|| PathBuf::from(text), |rest| self.home.join(rest))
    }

    /// Gives what holds for a host as it was named.
    #[must_use]
    pub(super) fn host(&self, name: &str) -> HostConfig {
        let mut out = HostConfig::default();
        let mut active = true;
        for (key, value) in &self.lines {
            match key.as_str() {
                "host" => active = matches(&words(value), &name.to_ascii_lowercase()),
                "match" => active = value.eq_ignore_ascii_case("all"),
                _ if !active => {}
                "hostname" => fill(&mut out.host_name, value.replace("%h", name)),
                "port" => out.port = out.port.or(value.parse().ok()),
                "user" => fill(&mut out.user, value.clone()),
                "identityfile" => {
                    let text = words(value).concat();
                    let text = text.strip_prefix("%d/").map_or(text.clone(), |rest| format!("~/{rest}"));
                    out.identity_files.push(self.tilde(&text.replace("%h", name)));
                }
                "hostkeyalias" => fill(&mut out.host_key_alias, value.clone()),
                "bindaddress" => fill(&mut out.bind_address, value.clone()),
                "userknownhostsfile" => {
                    fill(&mut out.known_hosts_files, words(value).iter().map(|word| self.tilde(word)).collect());
                }
                "proxyjump" => {
                    let jump = (value != "none").then(|| Proxy::Jump(value.split(',').map(|s| s.trim().to_owned()).collect()));
                    fill(&mut out.proxy, jump);
                }
                "proxycommand" => fill(&mut out.proxy, (value != "none").then(|| Proxy::Command(value.clone()))),
                _ => {}
            }
        }
        out
    }
}

fn fill<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

/// Splits at blanks; double quotes hold a word together.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        } else if c.is_whitespace() && !quoted {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// Files that a pattern with wildcards in its last component names, sorted.
fn expand_glob(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let Some(entries) = pattern.parent().and_then(|dir| std::fs::read_dir(dir).ok()) else { return Vec::new() };
    let patterns = [name];
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
            !name.starts_with('.') && matches(&patterns, &name)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_blocks_are_kept_apart() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".ssh/conf.d")).unwrap();
        std::fs::write(
            home.path().join(".ssh/config"),
            "Include conf.d/*.conf\n\
             Host gw-* !gw-bad\n  User lab\n  Port=2200\n  IdentityFile ~/.ssh/lab key\n  ProxyJump a@jump:22,b\n\
             Host gw-1\n  HostName 10.0.0.1\n  Port 22\n  User other\n\
             Match user x\n  Port 1\n\
             Host *\n  ProxyCommand \"nc\" %h %p\n  IdentityFile \"~/.ssh/all\"\n",
        )
        .unwrap();
        std::fs::write(home.path().join(".ssh/conf.d/a.conf"), "Host inc\n HostKeyAlias x\n UserKnownHostsFile ~/kh /etc/kh\n")
            .unwrap();
        let system = home.path().join("system");
        std::fs::write(&system, "Port 99\n").unwrap();
        let config = SshConfig::read(Some(home.path()), &system);
        let gw = config.host("gw-1");
        assert_eq!((gw.host_name.as_deref(), gw.port, gw.user.as_deref()), (Some("10.0.0.1"), Some(2200), Some("lab")));
        assert_eq!(gw.proxy, Some(Some(Proxy::Jump(vec!["a@jump:22".into(), "b".into()]))));
        assert_eq!(gw.identity_files.last(), Some(&home.path().join(".ssh/all")));
        let bad = config.host("gw-bad");
        assert_eq!((bad.port, bad.user), (Some(99), None));
        assert!(matches!(bad.proxy, Some(Some(Proxy::Command(_)))));
        let inc = config.host("inc");
        assert_eq!(inc.host_key_alias.as_deref(), Some("x"));
        assert_eq!(inc.known_hosts_files, Some(vec![home.path().join("kh"), "/etc/kh".into()]));
    }
}
