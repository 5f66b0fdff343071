//! How git-annex can violate the protocol, and what it is then told.

use std::fmt;

use super::job::Job;

/// How git-annex broke the protocol. `Display` is the text of our ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A line was longer than the limit, in bytes.
    LineTooLong(usize),
    /// The named message lacks parameters or has too many.
    Malformed(&'static str),
    /// A request came while another one ran in the same job.
    Busy(Job),
    /// VALUE or CREDS that were not asked for.
    Unasked(Job),
    /// ASYNC was negotiated and the line begins with no valid job number.
    Untagged,
    /// EXTENSIONS came twice, or after a request.
    LateExtensions,
    /// More requests run at once, or longer lists were answered, than may be remembered; the limit in bytes.
    TooMuch(usize),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::LineTooLong(limit) => write!(f, "protocol error: a line is longer than {limit} bytes"),
            Violation::Malformed(what) => write!(f, "protocol error: malformed {what}"),
            Violation::Busy(Job(None)) => write!(f, "protocol error: a request came while another one was running"),
            Violation::Busy(Job(Some(number))) => {
                write!(f, "protocol error: a request came while another one was running in job {number}")
            }
            Violation::Unasked(Job(None)) => write!(f, "protocol error: an answer came to a question not asked"),
            Violation::Unasked(Job(Some(number))) => {
                write!(f, "protocol error: an answer came to a question not asked in job {number}")
            }
            Violation::Untagged => write!(f, "protocol error: a line without job number after ASYNC was negotiated"),
            Violation::LateExtensions => write!(f, "protocol error: EXTENSIONS came twice, or after a request"),
            Violation::TooMuch(limit) => write!(f, "protocol error: running requests need more than {limit} bytes"),
        }
    }
}
