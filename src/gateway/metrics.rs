//! What is counted while serving, for `/metrics` and for tests that nothing leaks.

use std::sync::atomic::{AtomicU64, Ordering};

use super::FailureKind;

/// A number that only the process itself changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `n` away, for numbers of things that are there now.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that are open.
    pub connections: Counter,
    /// Connections that were turned away because there were too many.
    pub turned_away: Counter,
    /// Requests by [`OPS`].
    requests: [Counter; OPS.len()],
    /// Answers by the first digit of their status.
    statuses: [Counter; 6],
    /// Bytes of content sent to clients.
    pub sent: Counter,
    /// Bytes of content received from clients.
    pub received: Counter,
    /// Contents sent without passing through user space.
    pub by_kernel: Counter,
    /// Contents sent through memory.
    pub by_memory: Counter,
    /// Uploads that are under way.
    pub uploads: Counter,
    /// Downloads that are under way.
    pub downloads: Counter,
    /// Failures by kind.
    failures: [Counter; FailureKind::ALL.len()],
}

/// The names requests are counted under.
pub const OPS: [&str; 14] = [
    "checkpresent",
    "lockcontent",
    "keeplocked",
    "remove",
    "gettimestamp",
    "put",
    "putoffset",
    "get",
    "config",
    "fetch-refs",
    "fetch",
    "push-refs",
    "push",
    "other",
];

impl Metrics {
    /// Counts a request that is called `op`.
    pub fn request(&self, op: &str) {
        let index = OPS.iter().position(|name| *name == op).unwrap_or(OPS.len() - 1);
        self.requests[index].add(1);
    }

    /// Counts an answer.
    pub fn status(&self, status: u16) {
        self.statuses[usize::from(status / 100).min(5)].add(1);
    }

    /// Counts a failure.
    pub fn failure(&self, kind: FailureKind) {
        let index = FailureKind::ALL.iter().position(|known| *known == kind).unwrap_or(0);
        self.failures[index].add(1);
    }

    /// All of it in the text format of Prometheus. `now` holds further names, helps and values that are measured now.
    pub fn render(&self, now: &[(&str, &str, u64)]) -> String {
        let mut out = String::new();
        let mut put = |name: &str, help: &str, kind: &str, rows: &[(String, u64)]| {
            out.push_str(&format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"));
            for (labels, value) in rows {
                out.push_str(&format!("{PREFIX}{name}{labels} {value}\n"));
            }
        };
        let one = |counter: &Counter| vec![(String::new(), counter.value())];
        let requests: Vec<_> =
            OPS.iter().zip(&self.requests).map(|(op, n)| (format!("{{op=\"{op}\"}}"), n.value())).collect();
        let statuses: Vec<_> =
            (1..6).map(|digit| (format!("{{status=\"{digit}xx\"}}"), self.statuses[digit].value())).collect();
        let failures: Vec<_> = FailureKind::ALL
            .iter()
            .zip(&self.failures)
            .map(|(kind, n)| (format!("{{kind=\"{}\"}}", kind.as_str()), n.value()))
            .collect();
        let lanes = vec![
            ("{lane=\"kernel\"}".to_string(), self.by_kernel.value()),
            ("{lane=\"memory\"}".to_string(), self.by_memory.value()),
        ];
        put("requests_total", "Requests by what they ask for.", "counter", &requests);
        put("responses_total", "Answers by status.", "counter", &statuses);
        put("failures_total", "Requests that could not be done, by kind.", "counter", &failures);
        put("sent_bytes_total", "Bytes of content sent to clients.", "counter", &one(&self.sent));
        put("received_bytes_total", "Bytes of content received from clients.", "counter", &one(&self.received));
        put("lanes_total", "Contents sent, by the way they took.", "counter", &lanes);
        put("connections_accepted_total", "Connections accepted.", "counter", &one(&self.accepted));
        put("connections_turned_away_total", "Connections over the limit.", "counter", &one(&self.turned_away));
        put("connections", "Connections open now.", "gauge", &one(&self.connections));
        put("uploads", "Uploads under way.", "gauge", &one(&self.uploads));
        put("downloads", "Downloads under way.", "gauge", &one(&self.downloads));
        for (name, help, value) in now {
            put(name, help, "gauge", &[(String::new(), *value)]);
        }
        out
    }
}

const PREFIX: &str = "git_annex_stream_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.request("put");
        metrics.request("nonsense");
        metrics.status(206);
        metrics.failure(FailureKind::Full);
        metrics.sent.add(7);
        let text = metrics.render(&[("locks", "Locks held.", 3)]);
        for line in [
            "git_annex_stream_requests_total{op=\"put\"} 1",
            "git_annex_stream_requests_total{op=\"other\"} 1",
            "git_annex_stream_responses_total{status=\"2xx\"} 1",
            "git_annex_stream_failures_total{kind=\"full\"} 1",
            "git_annex_stream_failures_total{kind=\"locked\"} 0",
            "git_annex_stream_sent_bytes_total 7",
            "# TYPE git_annex_stream_locks gauge",
            "git_annex_stream_locks 3",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
    }
}
