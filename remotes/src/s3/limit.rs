//! A bound on uploads through the SDK, which has none that tells a long upload from a stalled one.

use std::future::Future;
use std::time::Duration;

use crate::pump::Meter;
use crate::{Error, Kind, Op, Result};

/// Waits for an upload for as long as `meter` moves at least once in `idle`.
pub(super) async fn moving<T>(
    op: Op,
    idle: Duration,
    meter: &Meter,
    upload: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut upload = std::pin::pin!(upload);
    loop {
        let before = meter.bytes();
        match tokio::time::timeout(idle, &mut upload).await {
            Ok(answer) => return answer,
            Err(_) if meter.bytes() != before => {}
            Err(_) => {
                let detail = format!("no answer, and nothing moved, for {:.1} s", idle.as_secs_f64());
                return Err(Error::new(op, Kind::Timeout, detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_long_but_not_stall() {
        let meter = Meter::new();
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                meter.add(1);
            }
            Ok(())
        };
        moving(Op::Put, IDLE, &meter, slow).await.expect("it moves");
        let e = moving(Op::Put, IDLE, &meter, std::future::pending::<Result<()>>()).await.expect_err("it stalls");
        assert_eq!(e.kind(), Kind::Timeout);
    }
}
