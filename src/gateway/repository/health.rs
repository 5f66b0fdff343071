//! How the nodes of clusters are doing, for all requests of a repository.
//!
//! ```text
//! up -- failed three times in a row --> down for 5 s -- a probe fails --> down for twice as long, 5 minutes at the most
//!  ^                                        |
//!  +----------- a probe is answered --------+
//! ```
//!
//! A failure is that a node cannot be reached, stalls or breaks off; that it has not what is asked for, is full or takes nothing
//! is an answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::{Failure, FailureKind};
use crate::name::Uuid;

/// How nodes are doing, by uuid. Shared by all threads; its lock is held for no IO.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Health(Mutex<BTreeMap<Uuid, Record>>);

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct NodeHealth {
    pub(in crate::gateway) is_up: bool,
    /// Content on its way from it.
    pub(in crate::gateway) serving: u32,
    /// Bytes in a second, of what it sent.
    pub(in crate::gateway) speed: Option<u64>,
    /// How long it takes to answer.
    pub(in crate::gateway) answer: Option<Duration>,
}

#[derive(Debug, Default)]
struct Record {
    /// Failures in a row.
    failures: u32,
    down: Option<Down>,
    serving: u32,
    speed: Option<u64>,
    answer: Option<Duration>,
    /// When it answered last.
    heard: Option<Instant>,
}

#[derive(Debug)]
struct Down {
    /// When it may be tried again.
    until: Instant,
    /// How long it is down for after the next failure.
    next: Duration,
    why: String,
}

/// Failures in a row after which a node is down.
const FAILURES: u32 = 3;

/// How long it is down for at first, and at the most.
const DOWN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Weight of what was measured before, of 8.
const OLD: u32 = 6;

impl Health {
    /// The node or gateway `uuid`, which people call `name`, answered after `after`, or failed, at `now`.
    pub(in crate::gateway) fn heard(
        &self,
        uuid: &Uuid,
        name: &str,
        now: Instant,
        after: Duration,
        failure: Option<&Failure>,
    ) {
        let told = {
            let mut table = self.table();
            let record = table.entry(uuid.clone()).or_default();
            match failure.filter(|failure| is_trouble(failure)) {
                Some(failure) => record.failed(now, failure),
                None => record.answered(now, after),
            }
        };
        match told {
            Some(Told::Down(seconds, why)) => {
                tracing::warn!("{name} is down, and is asked again in {seconds} seconds: {why}");
            }
            Some(Told::Up) => tracing::info!("{name} is up again"),
            None => {}
        }
    }

    /// Why a node is down, if it is.
    pub(in crate::gateway) fn down(&self, uuid: &Uuid) -> Option<String> {
        self.table().get(uuid)?.down.as_ref().map(|down| down.why.clone())
    }

    /// Whether it is time to ask a node that is down whether it is up again. True for one who asks, until that may take no longer.
    pub(in crate::gateway) fn take_probe(&self, uuid: &Uuid, now: Instant) -> bool {
        let mut table = self.table();
        let Some(down) = table.get_mut(uuid).and_then(|record| record.down.as_mut()) else { return false };
        let is_due = down.until <= now;
        if is_due {
            // Whoever probes may be gone before it has an answer.
            down.until = now + down.next.max(DOWN.0);
        }
        is_due
    }

    /// What is known of a node.
    pub(in crate::gateway) fn known(&self, uuid: &Uuid) -> NodeHealth {
        let table = self.table();
        let record = table.get(uuid);
        NodeHealth {
            is_up: record.is_none_or(|record| record.down.is_none()),
            serving: record.map_or(0, |record| record.serving),
            speed: record.and_then(|record| record.speed),
            answer: record.and_then(|record| record.answer),
        }
    }

    /// Whether a node answered in the last `span`, and did not fail since.
    pub(in crate::gateway) fn is_fresh(&self, uuid: &Uuid, now: Instant, span: Duration) -> bool {
        let table = self.table();
        let Some(record) = table.get(uuid) else { return false };
        record.failures == 0 && record.heard.is_some_and(|heard| now.saturating_duration_since(heard) < span)
    }

    /// Those that are down, and why.
    pub(in crate::gateway) fn all_down(&self) -> Vec<(Uuid, String)> {
        let table = self.table();
        table.iter().filter_map(|(uuid, record)| Some((uuid.clone(), record.down.as_ref()?.why.clone()))).collect()
    }

    /// How many are down.
    pub(in crate::gateway) fn down_count(&self) -> usize {
        self.table().values().filter(|record| record.down.is_some()).count()
    }

    /// Content begins to come from a node.
    pub(in crate::gateway) fn begin(&self, uuid: &Uuid) {
        self.table().entry(uuid.clone()).or_default().serving += 1;
    }

    /// It came, `bytes` in `took`, or ended otherwise.
    pub(in crate::gateway) fn end(&self, uuid: &Uuid, came: Option<(u64, Duration)>) {
        let mut table = self.table();
        let record = table.entry(uuid.clone()).or_default();
        record.serving = record.serving.saturating_sub(1);
        // Little content tells of the time to open it, and not of speed.
        if let Some((bytes, took)) = came.filter(|(bytes, _)| *bytes >= 1 << 20) {
            let now = (bytes as f64 / took.as_secs_f64().max(1e-6)) as u64;
            record.speed =
                Some(record.speed.map_or(now, |old| old / 8 * u64::from(OLD) + now / 8 * u64::from(8 - OLD)));
        }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<Uuid, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change that people hear of.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// For so many seconds.
    Down(u64, String),
    Up,
}

impl Record {
    fn failed(&mut self, now: Instant, failure: &Failure) -> Option<Told> {
        self.failures = self.failures.saturating_add(1);
        let why = failure.to_string();
        match &mut self.down {
            Some(down) => {
                let span = down.next;
                (down.until, down.next, down.why) = (now + span, (span * 2).min(DOWN.1), why);
                None
            }
            None if self.failures >= FAILURES => {
                self.down = Some(Down { until: now + DOWN.0, next: DOWN.0 * 2, why: why.clone() });
                Some(Told::Down(DOWN.0.as_secs(), why))
            }
            None => None,
        }
    }

    fn answered(&mut self, now: Instant, after: Duration) -> Option<Told> {
        self.failures = 0;
        self.heard = Some(now);
        self.answer = Some(self.answer.map_or(after, |old| (old * OLD + after * (8 - OLD)) / 8));
        self.down.take().map(|_| Told::Up)
    }
}

/// Whether it tells of the node itself.
fn is_trouble(failure: &Failure) -> bool {
    matches!(failure.kind(), FailureKind::Broken | FailureKind::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Failure {
        Failure::internal("no connection".to_string())
    }

    #[test]
    fn a_node_is_down_after_three_failures_for_longer_each_time() {
        let (health, uuid) = (Health::default(), Uuid::parse(b"n1").expect("a uuid"));
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let fail = |second| health.heard(&uuid, "n1", at(second), Duration::ZERO, Some(&broken()));
        let full = Failure::new(FailureKind::Full, "full".to_string());
        fail(0);
        fail(0);
        assert!(health.known(&uuid).is_up);
        health.heard(&uuid, "n1", at(1), Duration::from_millis(8), Some(&full));
        fail(1);
        fail(1);
        assert!(health.known(&uuid).is_up, "an answer lies between");
        fail(2);
        assert!(!health.known(&uuid).is_up && health.down(&uuid).is_some_and(|why| why == "no connection"));
        let mut now = 2;
        for span in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert!(!health.take_probe(&uuid, at(now + span - 1)), "{span}");
            now += span;
            assert!(health.take_probe(&uuid, at(now)) && !health.take_probe(&uuid, at(now)), "one probes: {span}");
            fail(now);
        }
        assert_eq!(health.down_count(), 1);
        health.heard(&uuid, "n1", at(now), Duration::from_millis(8), None);
        assert!(health.known(&uuid).is_up && health.down(&uuid).is_none() && health.down_count() == 0);
        assert!(health.is_fresh(&uuid, at(now + 9), Duration::from_secs(10)));
        assert!(!health.is_fresh(&uuid, at(now + 10), Duration::from_secs(10)));
    }

    #[test]
    fn what_nodes_serve_and_how_fast_is_known() {
        let (health, uuid) = (Health::default(), Uuid::parse(b"n1").expect("a uuid"));
        let nothing = NodeHealth { is_up: true, serving: 0, speed: None, answer: None };
        assert_eq!(health.known(&uuid), nothing);
        health.begin(&uuid);
        health.begin(&uuid);
        assert_eq!(health.known(&uuid).serving, 2);
        health.end(&uuid, None);
        health.end(&uuid, Some((8 << 20, Duration::from_secs(2))));
        assert_eq!(health.known(&uuid), NodeHealth { speed: Some(4 << 20), ..nothing });
        health.end(&uuid, Some((16 << 20, Duration::from_secs(1))));
        assert_eq!(health.known(&uuid).speed, Some((3 << 20) + (4 << 20)));
    }
}
