//! Decides whether an answer is whole.

use super::{Answer, SessionError};
use crate::model::ConfigPath;
use crate::profile::{Command, Pattern, Profile};

/// Lines at each end of an answer that are searched for a refusal.
const EDGE_LINES: usize = 3;
/// Bytes at the end of an answer in which an end marker is looked for: first in few, as it is a line in
/// most families, then in many.
const TAILS: [usize; 2] = [512, 256 << 10];

/// Checks an answer against what the profile says of a whole one, and drops its head lines. Its fault is
/// `Refused`, `Truncated`, `TooSmall` or `TooShort`.
pub(crate) fn judge(sent: &str, command: &Command, refusals: &[Pattern], bytes: Vec<u8>) -> Answer {
    let fault = check(sent, command, refusals, &bytes).err();
    let bytes = match command.head_len(&bytes) {
        0 => bytes,
        head => bytes[head..].to_vec(),
    };
    Answer { bytes, fault }
}

/// Checks a file that another tool wrote, where the profile has a command whose answer stands at its path.
/// Comments that the tool put behind the answer do not count.
///
/// # Errors
/// As of an answer: `Refused`, `Truncated`, `TooSmall`, `TooShort`.
pub fn judge_file(profile: &Profile, path: &ConfigPath, bytes: &[u8]) -> Result<(), SessionError> {
    let Some(command) = profile.commands().iter().find(|command| command.path == *path) else { return Ok(()) };
    let mut end = bytes.trim_ascii_end();
    if command.end.as_ref().is_some_and(|marker| !ends_with(end, marker)) {
        loop {
            let line = memchr::memrchr(b'\n', end).map_or(0, |at| at + 1);
            if !matches!(end.get(line), Some(b'!' | b'#')) {
                break;
            }
            end = end[..line].trim_ascii_end();
        }
    }
    let refusals = profile.session().map(|session| session.refusals.as_slice()).unwrap_or_default();
    check(&path.to_string(), command, refusals, &bytes[..(end.len() + 1).min(bytes.len())])
}

fn check(sent: &str, command: &Command, refusals: &[Pattern], bytes: &[u8]) -> Result<(), SessionError> {
    let name = || sent.to_owned();
    if let Some(phrase) = refusal(bytes, refusals).or_else(|| refusal(bytes, &command.refusals)) {
        return Err(SessionError::Refused { command: name(), phrase });
    }
    let lines = memchr::memchr_iter(b'\n', bytes).count();
    if let Some(end) = &command.end
        && !ends_with(bytes, end)
    {
        return Err(SessionError::Truncated { command: name(), lines, bytes: bytes.len(), marker: end.to_string() });
    }
    // An empty answer is never whole where the set is not whole without it.
    let minimum = command.min_bytes.max(usize::from(command.required));
    let solid = bytes.trim_ascii().len();
    if solid < minimum {
        return Err(SessionError::TooSmall { command: name(), bytes: solid, minimum });
    }
    if lines < command.min_lines {
        return Err(SessionError::TooShort { command: name(), lines, minimum: command.min_lines });
    }
    Ok(())
}

/// Tells whether the bytes, trailing blanks apart, end with a match of the marker.
pub(super) fn ends_with(bytes: &[u8], marker: &Pattern) -> bool {
    let bytes = bytes.trim_ascii_end();
    let Some(regex) = marker.regex() else { return false };
    TAILS.into_iter().any(|length| {
        let from = bytes.len().saturating_sub(length);
        // From a line border, so that `^` means what it says.
        let from = if from == 0 { 0 } else { memchr::memchr(b'\n', &bytes[from..]).map_or(from, |at| from + at + 1) };
        let tail = &bytes[from..];
        regex.find_iter(tail).any(|found| found.end() == tail.len() && !found.is_empty())
    })
}

/// Finds a phrase of refusal in the first or last lines.
pub(crate) fn refusal(bytes: &[u8], refusals: &[Pattern]) -> Option<String> {
    if refusals.is_empty() {
        return None;
    }
    let solid = |line: &&[u8]| !line.trim_ascii().is_empty();
    let first = bytes.split(|b| *b == b'\n').filter(solid).take(EDGE_LINES);
    let last = bytes.rsplit(|b| *b == b'\n').filter(solid).take(EDGE_LINES);
    for line in first.chain(last) {
        let line = line.trim_ascii();
        if let Some(found) = refusals.iter().find_map(|r| r.regex()?.find(line)) {
            return Some(String::from_utf8_lossy(found.as_bytes()).chars().take(80).flat_map(char::escape_debug).collect());
        }
    }
    None
}
