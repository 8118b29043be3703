//! The environment of the process: the only place that reads it.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// What the process was started with, read once.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    /// The arguments, the program's name first.
    pub(crate) args: Vec<OsString>,
    /// `CONFVAULT_DIR`.
    pub(crate) dir: Option<PathBuf>,
    /// `CONFVAULT_IDENTITY`.
    pub(crate) identity: Option<PathBuf>,
    /// `CONFVAULT_ADMIN`.
    pub(crate) admin: Option<PathBuf>,
    /// The home of the user.
    pub(crate) home: Option<PathBuf>,
    /// The current folder; nothing if it was removed.
    pub(crate) here: Option<PathBuf>,
    /// The folder for what passes.
    pub(crate) temporary: PathBuf,
    /// The name of this host, up to the first dot.
    pub(crate) host: String,
    /// Standard input is a terminal.
    pub(crate) in_terminal: bool,
    /// Standard output is a terminal.
    pub(crate) out_terminal: bool,
    /// Standard error is a terminal.
    pub(crate) err_terminal: bool,
    /// Colours are wished where there is a terminal.
    pub(crate) colours: bool,
    /// Columns of the terminal.
    pub(crate) width: Option<u16>,
}

impl Env {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let out = std::io::stdout();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            args: std::env::args_os().collect(),
            dir: path("CONFVAULT_DIR"),
            identity: path("CONFVAULT_IDENTITY"),
            admin: path("CONFVAULT_ADMIN"),
            home: path("HOME").filter(|home| home.is_absolute()),
            here: std::env::current_dir().ok(),
            temporary: std::env::temp_dir(),
            host: host(),
            in_terminal: std::io::stdin().is_terminal(),
            out_terminal: out.is_terminal(),
            err_terminal: std::io::stderr().is_terminal(),
            colours: !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: rustix::termios::tcgetwinsize(&out).ok().map(|size| size.ws_col).filter(|width| *width > 0),
        }
    }
}

/// Gives a variable, for credentials that the inventory refers to.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says who is logged in, also under sudo. A service, a cron job and a container may say nothing: then it is whom the
/// process belongs to.
pub(crate) fn user() -> Option<String> {
    let said = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| variable(name).filter(|user| !user.is_empty()));
    said.or_else(|| {
        let uid = rustix::process::geteuid().as_raw();
        let users = std::fs::read("/etc/passwd").unwrap_or_default();
        Some(name_of(uid, &String::from_utf8_lossy(&users)).unwrap_or_else(|| format!("uid {uid}")))
    })
}

/// Finds the name of a user in the lines of passwd(5).
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Gives all variables, of which `git` gets what it needs.
pub(crate) fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_user_is_found_by_number_among_lines_that_are_none() {
        let users = "\n# users\nroot:x:0:0:root:/root:/bin/sh\nbad\n:x:7:7::/:\nconfvault:x:107:65534::/var/lib/confvault:/bin/false\n+::::::\n";
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(107, users).as_deref(), Some("confvault"));
        assert_eq!((name_of(7, users), name_of(65534, users)), (None, None));
    }
}
