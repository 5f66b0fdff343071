//! The deadline until which something may be begun.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, Kind, Op, Result};

/// A limit in time that is asked right before each request that must not be made later, the repeated ones too. Whose clock
/// it goes by is the business of who made it. Cheap to clone; may be asked on any thread.
#[derive(Clone, Default)]
pub struct Until(Option<Arc<dyn Fn() -> Option<Duration> + Send + Sync>>);

impl Until {
    /// No limit.
    pub fn ever() -> Self {
        Self(None)
    }

    /// A limit that `left` tells: how much time is left, `None` where it is over.
    pub fn new(left: impl Fn() -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(left)))
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|left| left().is_none())
    }

    /// Makes one request, if it may still be made, and gives it up when the time is over: it may only be on its way to a
    /// connection then. Errors: `TooLate`; where it was made, it may have been done all the same.
    pub(crate) async fn within<T>(&self, op: Op, request: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(left) = &self.0 else { return request.await };
        let Some(left) = left() else { return Err(Self::late(op)) };
        tokio::time::timeout(left, request).await.unwrap_or_else(|_| Err(Self::late(op)))
    }

    pub(crate) fn late(op: Op) -> Error {
        Error::new(op, Kind::TooLate, "the time limit for it has passed")
    }
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Until(..)" } else { "Until::ever()" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_turn_is_given_up_when_the_time_is_over() {
        let some = Duration::from_secs(5);
        let until = Until::new(move || Some(some));
        until.within(Op::Remove, async { Ok(()) }).await.expect("in time");
        let e = until.within(Op::Remove, std::future::pending::<Result<()>>()).await.expect_err("too late");
        assert_eq!(e.kind(), Kind::TooLate);
        let never = || -> std::future::Ready<Result<()>> { panic!("it was begun too late") };
        let over = Until::new(|| None);
        let e = over.within(Op::Remove, async { never().await }).await.expect_err("too late");
        assert_eq!(e.kind(), Kind::TooLate);
        assert!(over.is_over() && !until.is_over() && !Until::ever().is_over());
    }
}
