//! A terminal session with a device, as a conversation over any [`Wire`]: prompts, paging, echo,
//! `enable`, slow starts, and the question whether an answer is whole.
//!
//! The rules that keep half an answer from becoming a backup:
//! - An answer is over at the device's prompt and nowhere else. Text that looks like the prompt inside
//!   of an answer does not end it: either the end marker of the command stands right before the
//!   prompt, or an empty line is sent and the prompt must come twice.
//! - An answer that lacks its end marker, is below its minimum, or says a phrase of refusal has a fault, and is taken
//!   by nobody but an administrator who says so.
//! - Bytes come back as the device sent them, except for what the terminal added: the echo, line ends
//!   (CR LF becomes LF) and what a pager drew and wiped out.
//!
//! Nothing here knows SSH, and no error holds text of an answer.

mod clean;
mod engine;
mod judge;
mod prompt;

use std::time::Duration;

pub use engine::Session;
pub use judge::judge_file;
pub(crate) use judge::{judge, refusal};

/// What a read from a [`Wire`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Data(usize),
    /// Nothing within the time given.
    Quiet,
    /// The other side ended the conversation.
    End,
}

/// What a device answered to a command.
pub struct Answer {
    /// The bytes of the device, without echo and prompt, lines ending with LF.
    pub bytes: Vec<u8>,
    /// Why it is not whole; nothing where it is.
    pub fault: Option<SessionError>,
}

impl Answer {
    /// Gives the bytes of a whole answer.
    ///
    /// # Errors
    /// What makes it not whole.
    pub fn whole(self) -> Result<Vec<u8>, SessionError> {
        self.fault.map_or(Ok(self.bytes), Err)
    }

    /// Tells whether the device refused the command, or could not do it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.fault, Some(SessionError::Refused { .. } | SessionError::Status { .. }))
    }
}

// An answer holds secrets: they are never part of a debug print.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({} bytes, {:?})", self.bytes.len(), self.fault)
    }
}

/// Two-way bytes with a device; the total time of the device is the wire's own business.
pub trait Wire {
    /// Reads what is there, waiting at most `wait` for the first byte.
    ///
    /// # Errors
    /// [`WireError`] when the transport failed or the device's total time is over.
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Read, WireError>;

    /// Writes all bytes.
    ///
    /// # Errors
    /// [`WireError`] as for reading.
    fn write(&mut self, bytes: &[u8]) -> Result<(), WireError>;
}

/// Says why a wire gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The device's total time is over.
    #[error("The device used up its total time")]
    Overdue,
    /// The run was cancelled.
    #[error("The run was cancelled")]
    Cancelled,
    /// The transport failed.
    #[error("The connection failed: {0}")]
    Failed(String),
}

/// Limits of a session. The time until the first prompt is the profile's, the total time the wire's.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest silence within an answer, where the command sets none.
    pub idle: Duration,
    /// The silence after which a confirmed prompt need not come twice.
    pub settle: Duration,
    /// All that a device may send in a session, in bytes.
    pub total_bytes: usize,
    /// The longest line, in bytes.
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30), settle: Duration::from_secs(2), total_bytes: 32 << 20, line_bytes: 1 << 20 }
    }
}

/// What a session may have to type: the placeholders of a profile's login steps.
pub trait Replies {
    /// Gives the text for `user`, `password` or `enable`, or nothing where there is none.
    fn reply(&self, what: &str) -> Option<String>;
}

/// Says why a session did not give a whole answer. No variant holds text of an answer, except for the
/// phrase of refusal itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The device showed no prompt in time.
    #[error("No prompt within {seconds} s after the terminal opened; the last line was {last:?}")]
    NoPrompt {
        /// The limit in seconds.
        seconds: u64,
        /// The last line, at most 60 characters, control characters escaped.
        last: String,
    },
    /// The device asks for a reply that was not configured.
    #[error("The device asks for {what} and no credential has one")]
    NoReply {
        /// What it asks for: `user`, `password` or `enable`.
        what: String,
    },
    /// The device went silent within an answer.
    #[error("The answer stopped after {bytes} bytes and {seconds} s of silence: {command}")]
    Silent {
        /// The command.
        command: String,
        /// Bytes that had come.
        bytes: usize,
        /// The limit in seconds.
        seconds: u64,
    },
    /// The device closed the session within an answer.
    #[error("The device closed the session after {bytes} bytes of the answer: {command}")]
    Closed {
        /// The command; `login` before the first prompt.
        command: String,
        /// Bytes that had come.
        bytes: usize,
    },
    /// The device refused a command.
    #[error("The device refused with {phrase:?}: {command}")]
    Refused {
        /// The command.
        command: String,
        /// The phrase that matched, control characters escaped.
        phrase: String,
    },
    /// A command ended with another status than 0.
    #[error("The command failed with {}{}: {command}", status_words(*status), said(phrase))]
    Status {
        /// The command.
        command: String,
        /// The exit status, where there was one.
        status: Option<i32>,
        /// The first line of its error output, control characters escaped.
        phrase: String,
    },
    /// The device asked again what a step of the login had answered: a wrong password, or rights that
    /// the login may not have.
    #[error("The device refused a step of the login: {step}")]
    LoginRefused {
        /// What the profile sends in that step, with its placeholders.
        step: String,
    },
    /// A step of the login that the profile calls for never came.
    #[error("The device showed its prompt before a step of the login: {step}")]
    StepMissing {
        /// What the profile sends in that step, with its placeholders.
        step: String,
    },
    /// The profile gives no expression for the prompt.
    #[error("The profile has no prompt for its terminal session")]
    NoPattern,
    /// The answer lacks its end.
    #[error("The answer is cut off: {lines} lines, {bytes} bytes, and no end marker {marker}: {command}")]
    Truncated {
        /// The command.
        command: String,
        /// Lines of the answer.
        lines: usize,
        /// Bytes of the answer.
        bytes: usize,
        /// The marker as the profile writes it.
        marker: String,
    },
    /// The answer is empty or below the minimum of the profile.
    #[error("The answer has {bytes} bytes, fewer than {minimum}: {command}")]
    TooSmall {
        /// The command.
        command: String,
        /// Bytes of the answer.
        bytes: usize,
        /// The minimum.
        minimum: usize,
    },
    /// The answer lacks what every answer has.
    #[error("The answer has not {what}: {command}")]
    Lacks {
        /// The command.
        command: String,
        /// What it lacks.
        what: &'static str,
    },
    /// The answer has fewer lines than the profile asks for.
    #[error("The answer has {lines} lines, fewer than {minimum}: {command}")]
    TooShort {
        /// The command.
        command: String,
        /// Lines of the answer.
        lines: usize,
        /// The minimum.
        minimum: usize,
    },
    /// A pager stopped the answer although paging was switched off.
    #[error("The answer is paged: {command}")]
    Paged {
        /// The command.
        command: String,
    },
    /// The device does not stop asking.
    #[error("The device asked {times} times: {command}")]
    Asks {
        /// The command.
        command: String,
        /// How often it was answered.
        times: usize,
    },
    /// The device sent more than the limit.
    #[error("The device sent more than {limit} bytes: {command}")]
    Flood {
        /// The command.
        command: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The device sent a line longer than the limit.
    #[error("The device sent a line longer than {limit} bytes: {command}")]
    LongLine {
        /// The command.
        command: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The transport failed.
    #[error("The session broke off: {command}")]
    Wire {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: WireError,
    },
}

fn status_words(status: Option<i32>) -> String {
    status.map_or_else(|| "no exit status".to_owned(), |status| format!("exit status {status}"))
}

fn said(phrase: &str) -> String {
    if phrase.is_empty() { String::new() } else { format!(" ({phrase})") }
}

impl SessionError {
    /// Tells whether another try may succeed: a connection that broke can pass, and so can an answer that a
    /// busy device cut off. What the device refused cannot, and a silent device was waited for already:
    /// it is the next run's.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Truncated { .. } | Self::Wire { source: WireError::Failed(_), .. })
    }
}
