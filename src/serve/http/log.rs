//! The log on stderr: one line for each transfer, and for each failure.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::request;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// `name=value` pairs behind a word.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Writes lines. No line holds a password, or the name of a lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    format: LogFormat,
    quiet: bool,
}

/// One line being made.
pub(super) struct Line {
    log: Log,
    what: &'static str,
    fields: Map<String, Value>,
}

impl Log {
    pub(super) fn new(format: LogFormat, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// A line about `what`. Says which request it is about, where it is about one.
    pub(super) fn line(self, what: &'static str) -> Line {
        let line = Line { log: self, what, fields: Map::new() };
        match request::current() {
            Some(req) => line.with("req", req),
            None => line,
        }
    }
}

impl Line {
    /// Adds a field.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_string(), value.into());
        self
    }

    /// Adds bytes that may be no text, such as a key.
    pub(super) fn bytes(self, name: &str, value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value).into_owned();
        self.with(name, text)
    }

    /// Adds seconds.
    pub(super) fn seconds(self, name: &str, time: Duration) -> Self {
        self.with(name, (time.as_secs_f64() * 1000.0).round() / 1000.0)
    }

    /// Writes a line that `--quiet` leaves out.
    pub(super) fn info(self) {
        if !self.log.quiet {
            self.warn();
        }
    }

    /// Writes the line.
    pub(super) fn warn(self) {
        let text = self.render(SystemTime::now());
        // stderr that is gone is no reason to stop serving.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn render(self, now: SystemTime) -> String {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0.0, |d| (d.as_secs_f64() * 1000.0).round() / 1000.0);
        match self.log.format {
            LogFormat::Json => {
                let mut object = Map::new();
                object.insert("time".into(), seconds.into());
                object.insert("event".into(), self.what.into());
                object.extend(self.fields);
                format!("{}\n", Value::Object(object))
            }
            LogFormat::Text => {
                let mut line = self.what.to_string();
                for (name, value) in &self.fields {
                    match value {
                        // Control characters in it are escaped, so that a line stays a line.
                        Value::String(text) if !text.contains([' ', '"', '\\']) && !text.contains(char::is_control) => {
                            line.push_str(&format!(" {name}={text}"));
                        }
                        other => line.push_str(&format!(" {name}={other}")),
                    }
                }
                line.push('\n');
                line
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_whatever_is_in_them() {
        let line = |format| {
            let line = Log::new(format, false).line("get").bytes("key", b"WORM--a b\n\xff").with("bytes", 5u64);
            line.seconds("seconds", Duration::from_millis(1500)).render(UNIX_EPOCH + Duration::from_millis(2500))
        };
        assert_eq!(line(LogFormat::Text), "get bytes=5 key=\"WORM--a b\\n\u{fffd}\" seconds=1.5\n");
        assert_eq!(
            line(LogFormat::Json),
            "{\"bytes\":5,\"event\":\"get\",\"key\":\"WORM--a b\\n\u{fffd}\",\"seconds\":1.5,\"time\":2.5}\n"
        );
    }
}
