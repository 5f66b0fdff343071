//! Room that is reserved for an upload.

use std::time::Duration;

use super::{Failure, blocking, off_this_thread};
use crate::annex::sizes::{Reservation, SizesError};

/// Room for an upload, given back when this is dropped.
#[derive(Default)]
pub(in crate::gateway) struct Room(Option<(Reservation, Option<Box<dyn Send>>)>);

impl Room {
    /// That of a reservation.
    pub(in crate::gateway) fn of(reservation: Reservation) -> Self {
        Self(Some((reservation, None)))
    }

    /// The same, and what is dropped once it is given back.
    pub(in crate::gateway) fn before(reservation: Reservation, then: Option<Box<dyn Send>>) -> Self {
        Self(Some((reservation, then)))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It takes the database for a moment. The others look once it is given back.
        if let Some(room) = self.0.take() {
            off_this_thread(room);
        }
    }
}

/// Why no room is reserved.
pub(in crate::gateway) enum Unreserved {
    /// It is not known yet how full repositories are.
    Counting,
    Failed(Failure),
}

impl From<SizesError> for Unreserved {
    fn from(e: SizesError) -> Self {
        match e {
            SizesError::Counting => Self::Counting,
            e => Self::Failed(Failure::internal(format!("tell how much room there is: {e}"))),
        }
    }
}

/// First and longest pause while sizes are counted.
const COUNTING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What `work` does, off this thread and again, until the sizes of repositories are counted: the first time that takes as long as the
/// branch is large. Failures: those of `work`; it takes longer than `patience`.
pub(in crate::gateway) async fn once_counted<T: Send + 'static>(
    patience: Duration,
    work: impl Fn() -> Result<T, Unreserved> + Clone + Send + 'static,
) -> Result<T, Failure> {
    let (begun, mut pause) = (tokio::time::Instant::now(), COUNTING.0);
    loop {
        match blocking(work.clone()).await? {
            Ok(done) => return Ok(done),
            Err(Unreserved::Failed(failure)) => return Err(failure),
            Err(Unreserved::Counting) if begun.elapsed() < patience => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(COUNTING.1);
            }
            Err(Unreserved::Counting) => {
                return Err(Failure::busy("the sizes of repositories are still being counted"));
            }
        }
    }
}
