//! Scratch git-annex repositories and the special remotes in them.

use crate::lab::Lab;
use crate::program::rclone_env;
use crate::servers::{BUCKET, Server};
use crate::usage::Usage;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A special remote type under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// Our program with `scheme=s3`.
    OursS3,
    /// The same, over TLS.
    OursS3Tls,
    /// git-annex's own `type=S3`.
    AnnexS3,
    /// git-annex's `type=rclone`, which runs `rclone gitannex`.
    Rclone,
    /// Our program with `scheme=fs`.
    OursFs,
    /// git-annex's own `type=directory`.
    AnnexDirectory,
}

impl Remote {
    /// All of them, in the order they take turns.
    pub const ALL: [Self; 5] = [Self::OursS3, Self::AnnexS3, Self::Rclone, Self::OursFs, Self::AnnexDirectory];

    /// Name in the result tables.
    pub fn subject(self) -> &'static str {
        match self {
            Self::OursS3 | Self::OursS3Tls => "ours s3",
            Self::AnnexS3 => "git-annex S3",
            Self::Rclone => "rclone",
            Self::OursFs => "ours fs",
            Self::AnnexDirectory => "git-annex directory",
        }
    }

    /// Whether it goes over the network.
    pub fn served(self) -> bool {
        !matches!(self, Self::OursFs | Self::AnnexDirectory)
    }

    /// The parameters of `git annex initremote`; `place` keeps the objects of one remote apart from all others.
    fn parameters(self, lab: &Lab, port: u16, place: &str) -> io::Result<Vec<String>> {
        let s3 = |mut first: Vec<String>| {
            let port = format!("port={port}");
            // The certificate is for this name.
            let where_to = if self == Self::OursS3Tls {
                ["host=localhost", "protocol=https"]
            } else {
                ["host=127.0.0.1", "protocol=http"]
            };
            let rest = [where_to[0], where_to[1], &port, "requeststyle=path"].map(String::from);
            first.extend(rest);
            first.extend([format!("bucket={BUCKET}"), format!("fileprefix={place}/")]);
            first
        };
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let directory = || {
            let path = lab.at(&format!("dir-{place}"));
            fs::create_dir_all(&path).map(|()| format!("directory={}", path.display()))
        };
        Ok(match self {
            Self::OursS3 | Self::OursS3Tls => s3(words("type=external externaltype=stream scheme=s3")),
            Self::AnnexS3 => s3(words("type=S3")),
            Self::Rclone => {
                let mut all = words("type=rclone rcloneremotename=bench rclonelayout=nodir");
                all.push(format!("rcloneprefix={BUCKET}/{place}"));
                all
            }
            Self::OursFs => [words("type=external externaltype=stream scheme=fs"), vec![directory()?]].concat(),
            Self::AnnexDirectory => [words("type=directory"), vec![directory()?]].concat(),
        })
    }
}

/// A git-annex repository in the lab.
pub struct Repo<'a> {
    lab: &'a Lab,
    dir: PathBuf,
    env: BTreeMap<String, String>,
}

impl<'a> Repo<'a> {
    /// Makes an empty repository called `name`.
    pub fn create(lab: &'a Lab, server: &Server, name: &str) -> io::Result<Self> {
        Self::with(lab, rclone_env(server), name)
    }

    /// The same for a repository whose remotes are not on a server of the bench.
    pub fn plain(lab: &'a Lab, name: &str) -> io::Result<Self> {
        Self::with(lab, BTreeMap::new(), name)
    }

    fn with(lab: &'a Lab, env: BTreeMap<String, String>, name: &str) -> io::Result<Self> {
        let repo = Self { lab, dir: lab.at(name), env };
        fs::create_dir(&repo.dir)?;
        repo.run("git", &["init", "-q"])?;
        // A collection beside a copy of the repository would take files from under it.
        repo.run("git", &["config", "gc.auto", "0"])?;
        repo.run("git-annex", &["init", "bench"])?;
        Ok(repo)
    }

    /// A copy of this repository called `name`, objects included.
    pub fn duplicate(&self, name: &str) -> io::Result<Self> {
        let dir = self.lab.at(name);
        self.lab.run(self.lab.command("cp").arg("-a").arg(&self.dir).arg(&dir))?;
        let copy = Self { lab: self.lab, dir, env: self.env.clone() };
        // Both notice that the files have new inodes; no timed command should.
        copy.run("git", &["status", "--short"])?;
        copy.annex(&["info", "--fast", "."])?;
        Ok(copy)
    }

    /// The working tree.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `git-annex` with `args` in the repository. Errors: it fails.
    pub fn annex(&self, args: &[&str]) -> io::Result<Usage> {
        self.run("git-annex", args)
    }

    /// What `program` with `args` prints in the repository, without the last newline. Errors: it fails.
    pub fn ask(&self, program: &str, args: &[&str]) -> io::Result<String> {
        let mut command = self.lab.command(program);
        let output = command.args(args).envs(&self.env).current_dir(&self.dir).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
            return Err(io::Error::other(format!("{program} {}: {words}", args.join(" "))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
    }

    /// Its uuid.
    pub fn uuid(&self) -> io::Result<String> {
        self.ask("git", &["config", "annex.uuid"])
    }

    /// Adds everything in the working tree.
    pub fn add_all(&self) -> io::Result<()> {
        self.annex(&["add", "--quiet", "."])?;
        self.run("git", &["commit", "-q", "-m", "files"]).map(drop)
    }

    /// Sets `remote` up under `name`, with its objects at `place`.
    pub fn init_remote(&self, remote: Remote, server: &Server, name: &str, place: &str) -> io::Result<()> {
        self.init_remote_with(remote, server.port, name, place, &[])
    }

    /// The same on any `port`, with `further` parameters.
    pub fn init_remote_with(
        &self,
        remote: Remote,
        port: u16,
        name: &str,
        place: &str,
        further: &[&str],
    ) -> io::Result<()> {
        let parameters = remote.parameters(self.lab, port, place)?;
        let mut args = vec!["initremote", name, "encryption=none"];
        args.extend(further);
        args.extend(parameters.iter().map(String::as_str));
        self.annex(&args).map(drop)
    }

    /// Deletes the repository. git-annex keeps its objects read-only, so they are opened first.
    pub fn delete(self) -> io::Result<()> {
        self.lab.run(self.lab.command("chmod").args(["-R", "u+w"]).arg(&self.dir))?;
        fs::remove_dir_all(&self.dir)
    }

    /// Runs `program` with `args` in the repository. Errors: it fails.
    pub fn run(&self, program: &str, args: &[&str]) -> io::Result<Usage> {
        self.lab.run(self.lab.command(program).args(args).envs(&self.env).current_dir(&self.dir))
    }
}
