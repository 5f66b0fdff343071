//! How slow a client may be whose request keeps something from others.
//!
//! Time in which the client is waited for is taken from an allowance, and each byte that moves gives some back, up to `--timeout`. So
//! a client may pause, and be slow for a while, but what it keeps it pays for. Time in which something else is waited for is free.

use std::io;
use std::time::{Duration, Instant};

use super::link::{Link, within};

/// What is left of it for one request.
pub(crate) struct Patience {
    /// Bytes a second; any pace will do where it is 0.
    least: u64,
    /// The most there is, and the longest time in which nothing moves.
    idle: Duration,
    left: Duration,
}

impl Patience {
    /// For clients that move `least` bytes a second, or any where that is 0, and pause for no longer than `idle`.
    pub(crate) fn new(least: u64, idle: Duration) -> Self {
        Self { least, idle, left: idle }
    }

    /// Reads what the client sends next; none at the end.
    ///
    /// # Errors
    ///
    /// `TimedOut` where nothing comes, or too little for too long.
    pub(crate) async fn read(&mut self, link: &mut Link, buf: &mut [u8]) -> io::Result<usize> {
        let limit = self.left;
        let begun = Instant::now();
        let read = within(limit, link.read(buf)).await;
        self.judge(begun.elapsed(), limit, read.as_ref().copied().ok(), read)
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// `TimedOut` where the client takes nothing, or too little for too long.
    pub(crate) async fn write(&mut self, link: &mut Link, bytes: &[u8]) -> io::Result<()> {
        let limit = if self.least == 0 { Duration::MAX } else { self.left + self.worth(bytes.len()) };
        let begun = Instant::now();
        let written = within(limit, link.write(bytes, self.idle)).await;
        self.judge(begun.elapsed(), limit, written.is_ok().then_some(bytes.len()), written)
    }

    /// The client was waited for, and so many bytes moved.
    fn spend(&mut self, waited: Duration, moved: usize) {
        if self.least > 0 {
            self.left = (self.left + self.worth(moved)).min(self.idle + waited).saturating_sub(waited);
        }
    }

    /// What so many bytes are worth.
    fn worth(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.least as f64)
    }

    fn judge<T>(
        &mut self,
        waited: Duration,
        limit: Duration,
        moved: Option<usize>,
        done: io::Result<T>,
    ) -> io::Result<T> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::TimedOut && limit != self.idle && waited >= limit => {
                let words = format!("the client is slower than {} bytes a second", self.least);
                Err(io::Error::new(io::ErrorKind::TimedOut, words))
            }
            done => {
                self.spend(waited, moved.unwrap_or_default());
                done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_allowed_and_crawling_is_not() {
        let seconds = Duration::from_secs;
        let mut patience = Patience::new(1000, seconds(60));
        let steps = [
            // A pause, and what comes after it.
            (40, 0, 20),
            (1, 30_000, 49),
            // Nobody saves up more than a pause.
            (10, 1_000_000_000, 60),
            (0, 1_000_000_000, 60),
            // At the least pace for ever.
            (30, 30_000, 60),
            (60, 60_000, 60),
            // A byte now and then.
            (30, 1, 30),
            (29, 1, 1),
            (30, 1, 0),
        ];
        for (waited, moved, left) in steps {
            patience.spend(seconds(waited), moved);
            assert_eq!(patience.left.as_secs(), left, "after {waited} s with {moved} bytes");
        }
        let mut patient = Patience::new(0, seconds(60));
        patient.spend(seconds(1000), 1);
        assert_eq!(patient.left, seconds(60));
    }

    /// Both directions, over a socket whose other end does what it should not.
    #[tokio::test]
    async fn who_takes_or_gives_too_little_is_told_so() {
        let (ours, theirs) = tokio::net::UnixStream::pair().expect("two sockets");
        let (mut link, idle) = (Link::Unix(ours), Duration::from_secs(60));
        let mut patience = Patience { left: Duration::from_millis(20), ..Patience::new(1 << 40, idle) };
        let stuck = patience.write(&mut link, &vec![0; 4 << 20]).await.expect_err("nobody reads");
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        assert!(stuck.to_string().contains("slower than 1099511627776 bytes"), "{stuck}");
        let slow = patience.read(&mut link, &mut [0; 9]).await.expect_err("nothing comes");
        assert!(slow.to_string().contains("slower than"), "{slow}");
        drop(theirs);
        let mut silent = Patience::new(1, Duration::from_millis(20));
        let (ours, _theirs) = tokio::net::UnixStream::pair().expect("two sockets");
        let silent = silent.read(&mut Link::Unix(ours), &mut [0; 9]).await.expect_err("nothing comes");
        assert!(silent.to_string().contains("nothing moved"), "{silent}");
    }
}
