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

/// Says who is logged in, also under sudo.
pub(crate) fn user() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable)
}

/// Gives all variables, of which `git` gets what it needs.
pub(crate) fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}
