//! Exit codes.

/// How a command ended. The table stands in `docs/cli.md` and in each `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The command line or the inventory is wrong.
    Usage,
    /// Done for some devices, failed for others.
    Partly,
    /// There is no store.
    NoStore,
    /// Another process holds the lock.
    Locked,
    /// A key is missing, wrong or refused.
    Key,
    /// Damage was found.
    Damage,
    /// `diff`, `release diff`, `restore --plan` and `--compare`: the sides differ.
    Differs,
    /// The same commands: trouble.
    Trouble,
    /// What the command of `change run` ended with.
    Command(u8),
}

impl Exit {
    /// Gives the number for the system.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed | Exit::Differs => 1,
            Exit::Usage | Exit::Trouble => 2,
            Exit::Partly => 3,
            Exit::NoStore => 10,
            Exit::Locked => 11,
            Exit::Key => 12,
            Exit::Damage => 13,
            Exit::Command(code) => code,
        }
    }
}

/// The end of each long help.
macro_rules! exit_codes {
    () => {
        "\nExit codes: 0 done, 1 failed, 2 usage, 3 partly done, 10 no store, 11 locked,\n\
         12 wrong or missing key, 13 damage found"
    };
}
pub(crate) use exit_codes;
