//! What failed, on what, and whether a retry can help.

use std::fmt;
use std::time::Duration;

use crate::ObjectName;

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Making sense of the options and setting the store up.
    Open,
    /// Proving the place at initremote.
    Prove,
    /// Asking whether an object is there.
    Stat,
    /// Reading an object.
    Get,
    /// Writing an object.
    Put,
    /// Removing an object.
    Remove,
    /// Renaming an object.
    Rename,
    /// Copying an object within the store.
    Copy,
    /// Listing objects.
    List,
}

impl Op {
    /// The word errors use for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Open => "open",
            Op::Prove => "init",
            Op::Stat => "check",
            Op::Get => "get",
            Op::Put => "put",
            Op::Remove => "remove",
            Op::Rename => "rename",
            Op::Copy => "copy",
            Op::List => "list",
        }
    }
}

/// The kind of failure. Decides retries, the advice in the message and the reply on each wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The object is positively not there.
    NotFound,
    /// The bucket, container or directory is not there.
    NoSuchPlace,
    /// The credentials name nobody the service knows.
    WrongKeyId,
    /// The credentials name somebody, but the secret is not theirs.
    WrongSecret,
    /// No credentials were found where some are needed.
    NoCredentials,
    /// The service knows the caller and refuses.
    Denied,
    /// The host's name does not resolve.
    Dns,
    /// Nothing listens at the address.
    Refused,
    /// The connection broke in the middle.
    Reset,
    /// A limit on waiting ran out.
    Timeout,
    /// No TLS connection could be made, or its certificate is not trusted.
    Tls,
    /// The service asks for slower requests (503 SlowDown, 429).
    Throttled,
    /// The service says it cannot now (other 5xx).
    Unavailable,
    /// The service did nothing and told where to ask instead, which is known by now.
    Elsewhere,
    /// The disk is full.
    DiskFull,
    /// The disk would be fuller than annex.diskreserve allows.
    Reserve,
    /// The place can be read but not written.
    ReadOnly,
    /// An option is missing, misspelt or has an invalid value.
    Option,
    /// Fewer bytes than announced.
    Truncated,
    /// The object changed while it was transferred, or its bytes are not what was sent.
    Corrupt,
    /// The store cannot do this at all.
    Unsupported,
    /// Larger than the store can take.
    TooLarge,
    /// The object is in cold storage and must be restored first.
    Archived,
    /// The endpoint does not behave as the service it is meant to be.
    Protocol,
    /// The transfer was given up because the program was told to stop.
    Cancelled,
    /// The time until which it might be done is over; it was not done, as far as is known.
    TooLate,
    /// Any other failure of the operating system.
    Io,
    /// Anything else.
    Other,
}

impl Kind {
    /// True where the same request may succeed a moment later.
    pub fn retry(self) -> bool {
        matches!(
            self,
            Kind::Refused
                | Kind::Reset
                | Kind::Timeout
                | Kind::Throttled
                | Kind::Unavailable
                | Kind::Elsewhere
                | Kind::Truncated
        )
    }

    /// The way out, in one sentence, where there is a usual one.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Kind::NoSuchPlace => "check the name; `git annex enableremote` creates it where that is allowed",
            Kind::WrongKeyId | Kind::WrongSecret => {
                "give the right credentials in the environment and run `git annex enableremote`"
            }
            Kind::NoCredentials => {
                "give them as docs/stores.md says (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile=) and run \
                 `git annex enableremote`"
            }
            Kind::Dns => "check the host name in the options, and the network",
            Kind::Refused => "check the host and port in the options, and that the service runs",
            Kind::Tls => {
                "check that the service speaks https there, and that its certificate (over ssh: its host key) is trusted by the user \
                 that runs this"
            }
            Kind::DiskFull => "free some space and try again",
            Kind::Reserve => "free some space or lower annex.diskreserve",
            Kind::Archived => "restore the object first, then get it again",
            _ => return None,
        })
    }
}

/// A failed operation: what, where, on which object, why, and how hard it was tried. Shown on one line, without secrets.
pub struct Error(Box<Inner>);

struct Inner {
    op: Op,
    store: String,
    object: Option<String>,
    kind: Kind,
    detail: String,
    tries: u32,
    elapsed: Duration,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of `op` with `kind`; `detail` says what happened in a few words.
    pub fn new(op: Op, kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            op,
            store: String::new(),
            object: None,
            kind,
            detail: detail.into(),
            tries: 1,
            elapsed: Duration::ZERO,
            retry_after: None,
            source: None,
        }))
    }

    /// A failure of the operating system, its kind read from the errno.
    pub fn io(op: Op, what: &str, error: std::io::Error) -> Self {
        let kind = io_kind(&error);
        let mut e = Self::new(op, kind, if what.is_empty() { error.to_string() } else { format!("{what}: {error}") });
        e.0.source = Some(Box::new(error));
        e
    }

    /// Names the store, as users know it: `s3 photos`, `fs /mnt/backup`.
    #[must_use]
    pub fn on(mut self, store: impl Into<String>) -> Self {
        if self.0.store.is_empty() {
            self.0.store = store.into();
        }
        self
    }

    /// Names the object.
    #[must_use]
    pub fn object(mut self, object: &ObjectName) -> Self {
        if self.0.object.is_none() {
            self.0.object = Some(object.to_string());
        }
        self
    }

    /// Says how often and for how long it was tried.
    #[must_use]
    pub fn tried(mut self, tries: u32, elapsed: Duration) -> Self {
        self.0.tries = tries;
        self.0.elapsed = elapsed;
        self
    }

    /// The service wants to be left alone for so long.
    #[must_use]
    pub fn retried_after(mut self, pause: Option<Duration>) -> Self {
        self.0.retry_after = pause;
        self
    }

    /// Puts words before the detail: `part 3 of 9`.
    #[must_use]
    pub fn within(mut self, what: impl fmt::Display) -> Self {
        self.0.detail = format!("{what}: {}", self.0.detail);
        self
    }

    /// Replaces the operation, for failures met below the operation the user asked for.
    #[must_use]
    pub fn during(mut self, op: Op) -> Self {
        self.0.op = op;
        self
    }

    /// Keeps the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was being done.
    pub fn op(&self) -> Op {
        self.0.op
    }

    /// How often it was tried.
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// For how long the service wants to be left alone, where it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The few words that say what happened.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

/// The kind an errno stands for.
pub fn io_kind(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::NotFound => Kind::NotFound,
        K::PermissionDenied => Kind::Denied,
        K::ReadOnlyFilesystem => Kind::ReadOnly,
        K::StorageFull | K::QuotaExceeded => Kind::DiskFull,
        K::FileTooLarge => Kind::TooLarge,
        K::InvalidFilename => Kind::Unsupported,
        K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable => Kind::Refused,
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::NotConnected => Kind::Reset,
        K::UnexpectedEof => Kind::Truncated,
        K::TimedOut => Kind::Timeout,
        _ => Kind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let i = &*self.0;
        let mut line = String::from(i.op.as_str());
        for part in [Some(i.store.as_str()), i.object.as_deref()].into_iter().flatten().filter(|p| !p.is_empty()) {
            line.push(' ');
            line.push_str(part);
        }
        line.push_str(": ");
        line.push_str(&i.detail);
        if i.tries > 1 {
            line.push_str(&format!(" after {} tries in {:.1} s", i.tries, i.elapsed.as_secs_f64()));
        }
        if let Some(advice) = i.kind.advice() {
            line.push_str("; ");
            line.push_str(advice);
        }
        // The wires are made of lines, and a service may say anything.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        f.write_str(&line)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_all() {
        let name = ObjectName::new("SHA256E-s42--9f").expect("a name");
        let e = Error::new(Op::Put, Kind::Throttled, "503 SlowDown\r\nplease")
            .within("part 3 of 9")
            .object(&name)
            .on("s3 photos")
            .tried(5, Duration::from_secs(31));
        assert_eq!(
            e.to_string(),
            "put s3 photos SHA256E-s42--9f: part 3 of 9: 503 SlowDown  please after 5 tries in 31.0 s"
        );
    }

    #[test]
    fn only_passing_faults_are_tried_again() {
        assert!(Kind::Throttled.retry() && Kind::Reset.retry() && Kind::Timeout.retry());
        assert!(!Kind::WrongSecret.retry() && !Kind::DiskFull.retry() && !Kind::NotFound.retry());
    }
}
