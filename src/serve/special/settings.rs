//! Environment variables that set limits for all remotes.

use annex_types::size;
use std::ffi::OsString;
use std::time::Duration;

use remotes::{budget, connections};

/// Limits of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `STREAM_ASYNC=no`: do not offer to serve many requests at once. Default: offer it.
    pub async_jobs: bool,
    /// `STREAM_IMPORTKEY=yes`: offer to make keys of files in a directory without their content, for
    /// `git annex import --no-content`. Default: no, because git-annex then takes no other way to import, the content
    /// included, and the keys are of backend SHA256 whatever it is set to.
    pub import_key: bool,
    /// `STREAM_URING=no`: do not use io_uring. Default: use it where the kernel allows it.
    pub uring: bool,
    /// `STREAM_MEMORY=SIZE`: bytes in flight in all transfers together. Default 256 MiB.
    pub memory: u64,
    /// `STREAM_STORE_CONNECTIONS=N`: connections to one store of all transfers that have several. Default 64.
    pub connections: usize,
    /// `STREAM_TIMEOUT=SECONDS`: longest time in which nothing moves. Default 60 s.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            async_jobs: true,
            import_key: false,
            uring: true,
            memory: budget::DEFAULT,
            connections: connections::DEFAULT,
            idle: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Reads them from the environment.
    ///
    /// # Errors
    ///
    /// A value is invalid, in a sentence that names it.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let text = |name: &str| env(name).map(|value| value.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let flag = |name: &str, default| match text(name).as_deref() {
            None => Ok(default),
            Some("yes") => Ok(true),
            Some("no") => Ok(false),
            Some(other) => Err(format!("{name}= is yes or no, not {other:?}")),
        };
        let default = Self::default();
        let memory = match text("STREAM_MEMORY") {
            None => default.memory,
            Some(v) => size::parse(&v).ok_or_else(|| format!("STREAM_MEMORY= is a size like 256MiB, not {v:?}"))?,
        };
        let connections = match text("STREAM_STORE_CONNECTIONS") {
            None => default.connections,
            Some(v) => {
                let number: Option<usize> = v.parse().ok().filter(|number| *number > 0);
                number.ok_or_else(|| format!("STREAM_STORE_CONNECTIONS= is a number like 64, not {v:?}"))?
            }
        };
        let idle = match text("STREAM_TIMEOUT") {
            None => default.idle,
            Some(v) => {
                let seconds: Option<u64> = v.parse().ok().filter(|seconds| *seconds > 0);
                Duration::from_secs(seconds.ok_or_else(|| format!("STREAM_TIMEOUT= is in seconds, not {v:?}"))?)
            }
        };
        let (async_jobs, uring) = (flag("STREAM_ASYNC", default.async_jobs)?, flag("STREAM_URING", default.uring)?);
        let import_key = flag("STREAM_IMPORTKEY", default.import_key)?;
        Ok(Self { async_jobs, import_key, uring, memory, connections, idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, String> {
        Settings::from_env(&|asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn values_are_read_or_refused_by_name() {
        let default = Settings::default();
        assert_eq!(read("OTHER", "x"), Ok(default.clone()));
        assert_eq!(read("STREAM_ASYNC", "no"), Ok(Settings { async_jobs: false, ..default.clone() }));
        assert_eq!(read("STREAM_IMPORTKEY", "yes"), Ok(Settings { import_key: true, ..default.clone() }));
        assert_eq!(read("STREAM_URING", "no"), Ok(Settings { uring: false, ..default.clone() }));
        assert_eq!(read("STREAM_MEMORY", "64MiB"), Ok(Settings { memory: 64 << 20, ..default.clone() }));
        assert_eq!(read("STREAM_MEMORY", ""), Ok(default.clone()));
        assert_eq!(read("STREAM_STORE_CONNECTIONS", "8"), Ok(Settings { connections: 8, ..default.clone() }));
        assert_eq!(read("STREAM_TIMEOUT", "5"), Ok(Settings { idle: Duration::from_secs(5), ..default }));
        for (name, bad) in [
            ("STREAM_ASYNC", "0"),
            ("STREAM_URING", "maybe"),
            ("STREAM_MEMORY", "much"),
            ("STREAM_STORE_CONNECTIONS", "0"),
            ("STREAM_TIMEOUT", "0"),
        ] {
            assert!(read(name, bad).is_err_and(|e| e.contains(name)), "{name}");
        }
    }
}
