//! Decides whether a command of a restore succeeded.

use std::time::Duration;

use super::{ActError, Said};
use crate::profile::Action;

/// The longest silence of a command where the profile sets none: a restart of a service takes its time.
const IDLE: Duration = Duration::from_secs(120);
/// Bytes that a command may say.
pub(super) const LIMIT: u64 = 16 << 20;

/// The longest silence of a command.
pub(super) fn idle(action: &Action) -> Duration {
    if action.timeout_s > 0 { Duration::from_secs(action.timeout_s) } else { IDLE }
}

/// Judges what a command said, on both of its outputs, and how it ended.
pub(super) fn judge(action: &Action, command: &str, said: Vec<u8>, status: Option<i32>) -> Result<(), ActError> {
    let command = || command.to_owned();
    if action.busy.as_ref().is_some_and(|busy| busy.is_match(&said)) {
        return Err(ActError::Busy { command: command(), said: Said::new(said) });
    }
    if let Some(found) = action.fails.as_ref().filter(|fails| fails.is_match(&said)) {
        return Err(ActError::Fails { command: command(), found: found.to_string(), said: Said::new(said) });
    }
    match &action.ok {
        Some(wanted) if !wanted.is_match(&said) => {
            Err(ActError::NotOk { command: command(), wanted: wanted.to_string(), said: Said::new(said) })
        }
        None if status != Some(0) => Err(ActError::Status { command: command(), status, said: Said::new(said) }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_profile_go_before_the_exit_status() {
        let action = |text: &str| toml::from_str::<Action>(&format!("run = 'x'\n{text}")).unwrap();
        let verdict = |text: &str, said: &str, status| judge(&action(text), "x", said.into(), status);
        assert!(verdict("", "", Some(0)).is_ok());
        assert!(matches!(verdict("", "", Some(1)), Err(ActError::Status { status: Some(1), .. })));
        assert!(matches!(verdict("", "", None), Err(ActError::Status { status: None, .. })));
        assert!(verdict("ok = '(?i)file ok'", "config FILE OK\n", Some(255)).is_ok());
        assert!(matches!(verdict("ok = 'file ok'", "", Some(0)), Err(ActError::NotOk { .. })));
        assert!(matches!(verdict("ok = 'ok'\nfails = 'error'", "ok\nerror\n", Some(0)), Err(ActError::Fails { .. })));
        assert!(matches!(verdict("busy = 'locked'\nfails = 'error'", "error: locked\n", Some(0)), Err(ActError::Busy { .. })));
        let shown = format!("{:?}", verdict("ok = 'ok'", "CANARY", Some(0)).unwrap_err());
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}
