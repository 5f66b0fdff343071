//! The external special remote programs that are driven directly.

use crate::lab::{KEY, Lab, SECRET};
use crate::servers::{BUCKET, Kind, Server};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How to start a program and what to answer when it asks for its configuration.
#[derive(Debug, Clone)]
pub struct Program {
    /// Name in the result tables.
    pub subject: &'static str,
    /// Executable, looked up in the lab's PATH.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment beyond the lab's own.
    pub env: BTreeMap<String, String>,
    /// Setting to value, for GETCONFIG.
    pub config: BTreeMap<String, String>,
}

impl Program {
    /// Ours on an S3 server, object names equal to keys.
    pub fn ours_s3(server: &Server) -> Self {
        Self::ours_s3_at(server.port)
    }

    /// The same on whatever speaks S3 at `port`.
    pub fn ours_s3_at(port: u16) -> Self {
        let port = port.to_string();
        let config = [
            ("scheme", "s3"),
            ("bucket", BUCKET),
            ("host", "127.0.0.1"),
            ("port", &port),
            ("protocol", "http"),
            ("requeststyle", "path"),
            ("encryption", "none"),
        ];
        Self::ours("ours", &config)
    }

    /// Ours on a directory.
    pub fn ours_fs(directory: &Path) -> Self {
        let directory = directory.to_string_lossy();
        Self::ours("ours", &[("scheme", "fs"), ("directory", &directory), ("encryption", "none")])
    }

    /// `rclone gitannex` on an S3 server, object names equal to keys.
    pub fn rclone_s3(server: &Server) -> Self {
        let config = [("rcloneremotename", "bench"), ("rcloneprefix", BUCKET), ("rclonelayout", "nodir")];
        Self {
            subject: "rclone gitannex",
            name: "rclone",
            args: vec!["gitannex".into()],
            env: rclone_env(server),
            config: owned(&config),
        }
    }

    /// The command that starts it.
    pub fn command(&self, lab: &Lab) -> Command {
        let mut command = lab.command(self.name);
        command.args(&self.args).envs(&self.env);
        command
    }

    /// Setting to value, for GETCREDS: user and password.
    pub fn creds(&self) -> (&'static str, &'static str) {
        (KEY, SECRET)
    }

    fn ours(subject: &'static str, config: &[(&str, &str)]) -> Self {
        let config = owned(config);
        Self { subject, name: "git-annex-remote-stream", args: vec![], env: BTreeMap::new(), config }
    }
}

/// Environment that gives rclone a remote `bench` on `server`.
pub fn rclone_env(server: &Server) -> BTreeMap<String, String> {
    let provider = match server.kind {
        Kind::SeaweedFs => "SeaweedFS",
        Kind::RcloneServe => "Rclone",
    };
    rclone_env_at(provider, &server.url())
}

/// The same on the server at `url`, which is taken for one of `provider`.
pub fn rclone_env_at(provider: &str, url: &str) -> BTreeMap<String, String> {
    owned(&[
        ("RCLONE_CONFIG", ""),
        ("RCLONE_CONFIG_BENCH_TYPE", "s3"),
        ("RCLONE_CONFIG_BENCH_PROVIDER", provider),
        ("RCLONE_CONFIG_BENCH_ACCESS_KEY_ID", KEY),
        ("RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY", SECRET),
        ("RCLONE_CONFIG_BENCH_ENDPOINT", url),
        ("RCLONE_CONFIG_BENCH_REGION", "us-east-1"),
        ("RCLONE_CONFIG_BENCH_FORCE_PATH_STYLE", "true"),
    ])
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}
