//! Who changed what: a JSON object on a line of a file for each change that was asked for by one who may.
//!
//! A thread writes them, and syncs the file. A disk that takes nothing keeps nobody from being served: then lines are lost, which the
//! log says once.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// Lines that may wait to be written.
const MOST: usize = 10_000;

/// Longest User-Agent that is kept, in bytes.
const LONGEST_AGENT: usize = 200;

/// Where changes are written down.
pub(super) struct Audit {
    lines: SyncSender<String>,
    is_lossy: Arc<AtomicBool>,
}

/// One change that was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// put, remove, lockcontent or push.
    pub(super) what: &'static str,
    pub(super) user: Option<Vec<u8>>,
    pub(super) address: Option<IpAddr>,
    pub(super) agent: Option<Vec<u8>>,
    /// What the repository is called; empty where one alone is served.
    pub(super) repository: Vec<u8>,
    /// Which repository, or remote behind it, where that was said.
    pub(super) uuid: Option<String>,
    pub(super) key: Option<Vec<u8>>,
    /// The number of the request in the log.
    pub(super) req: Option<u64>,
}

impl Audit {
    /// Appends to the file at `path`, which is made with mode 600.
    ///
    /// # Errors
    ///
    /// It cannot be opened for that.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|e| format!("--audit {}: {e}", path.display()))?;
        let (lines, waiting) = sync_channel(MOST);
        let is_lossy = Arc::new(AtomicBool::new(false));
        let lossy = Arc::clone(&is_lossy);
        let thread = std::thread::Builder::new().name("audit".into());
        thread.spawn(move || write(&waiting, file, &lossy)).map_err(|e| format!("--audit: {e}"))?;
        Ok(Self { lines, is_lossy })
    }

    /// Writes down what became of a change: the status of the answer, and whether it was done, where the answer says so. False where it
    /// is lost, and none was before.
    pub(super) fn tell(&self, change: Change, status: u16, done: Option<bool>) -> bool {
        let line = change.line(SystemTime::now(), status, done);
        if self.lines.try_send(line).is_ok() {
            return true;
        }
        self.is_lossy.swap(true, Ordering::Relaxed)
    }
}

/// Until nobody is left to tell anything.
fn write(waiting: &Receiver<String>, mut file: std::fs::File, lossy: &AtomicBool) {
    while let Ok(mut lines) = waiting.recv() {
        while let Ok(more) = waiting.try_recv() {
            lines.push_str(&more);
        }
        if let Err(e) = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data())
            && !lossy.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the file of --audit takes no lines, which are lost: {e}");
        }
    }
}

impl Change {
    fn line(self, now: SystemTime, status: u16, done: Option<bool>) -> String {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0.0, |d| (d.as_secs_f64() * 1000.0).round() / 1000.0);
        let text = |bytes: Vec<u8>| Value::from(String::from_utf8_lossy(&bytes).into_owned());
        let agent = self.agent.map(|agent| agent[..agent.len().min(LONGEST_AGENT)].to_vec());
        let fields = [
            ("time", Some(Value::from(seconds))),
            ("event", Some(self.what.into())),
            ("status", Some(status.into())),
            ("done", done.map(Value::from)),
            ("user", self.user.map(text)),
            ("address", self.address.map(|address| address.to_string().into())),
            ("agent", agent.map(text)),
            ("repository", Some(text(self.repository))),
            ("uuid", self.uuid.map(Value::from)),
            ("key", self.key.map(text)),
            ("req", self.req.map(Value::from)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        format!("{}\n", Value::Object(fields.collect::<Map<_, _>>()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let change = Change {
            what: "put",
            user: Some(b"al\"ice\n".to_vec()),
            agent: Some(vec![b'x'; 300]),
            repository: b"org/photos.git".to_vec(),
            key: Some(b"WORM--a\xff".to_vec()),
            ..Change::default()
        };
        let line = change.line(UNIX_EPOCH + Duration::from_millis(1500), 200, Some(true));
        let expected = format!(
            "{{\"agent\":\"{}\",\"done\":true,\"event\":\"put\",\"key\":\"WORM--a\u{fffd}\",\"repository\":\"org/photos.git\",\
             \"status\":200,\"time\":1.5,\"user\":\"al\\\"ice\\n\"}}\n",
            "x".repeat(200)
        );
        assert_eq!(line, expected);
    }
}
