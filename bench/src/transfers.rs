//! Programs that move one large object to or from S3 by several connections, each as it comes: the rivals at a distance.

use crate::lab::Lab;
use crate::program::rclone_env_at;
use crate::servers::BUCKET;
use std::io;
use std::path::Path;
use std::process::Command;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Four streams, ranges of 64 MiB; parts of 5 MiB, four at once.
    Rclone,
    /// Parts of 50 MiB, five at once.
    S5cmd,
    /// Parts of 8 MiB, ten at once.
    Aws,
}

/// All of them.
pub const TOOLS: [Tool; 3] = [Tool::Rclone, Tool::S5cmd, Tool::Aws];

impl Tool {
    /// Name in the result tables.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Rclone => "rclone copyto",
            Self::S5cmd => "s5cmd cp",
            Self::Aws => "aws s3 cp",
        }
    }

    /// Reads the object `name` of the server at `port` into `file`. Errors: it is not installed.
    pub fn get(self, lab: &Lab, port: u16, name: &str, file: &Path) -> io::Result<Command> {
        let mut command = self.start(lab, port)?;
        command.arg(self.address(name)).arg(file);
        Ok(command)
    }

    /// Stores `file` as the object `name`. Errors: it is not installed.
    pub fn put(self, lab: &Lab, port: u16, file: &Path, name: &str) -> io::Result<Command> {
        let mut command = self.start(lab, port)?;
        command.arg(file).arg(self.address(name));
        Ok(command)
    }

    fn address(self, name: &str) -> String {
        match self {
            Self::Rclone => format!("bench:{BUCKET}/{name}"),
            Self::S5cmd | Self::Aws => format!("s3://{BUCKET}/{name}"),
        }
    }

    fn start(self, lab: &Lab, port: u16) -> io::Result<Command> {
        let url = format!("http://127.0.0.1:{port}");
        let mut command = lab.optional(match self {
            Self::Rclone => "rclone",
            Self::S5cmd => "s5cmd",
            Self::Aws => "aws",
        })?;
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        match self {
            Self::Rclone => command.envs(rclone_env_at("Other", &url)).arg("copyto"),
            Self::S5cmd => command.args(["--endpoint-url", &url, "cp"]),
            Self::Aws => command.args(["--endpoint-url", &url, "s3", "cp", "--no-progress"]),
        };
        Ok(command)
    }
}
