//! A repository that is a proxy for one special remote.

use crate::annex::{Remote, Repo};
use crate::gateway::{Gateway, Kind};
use crate::lab::Lab;
use std::io;
use std::path::Path;

/// What the repository calls the remote.
const NAME: &str = "far";

/// A repository and the remote behind it, an S3 bucket.
pub struct Proxied<'a> {
    lab: &'a Lab,
    repo: Repo<'a>,
    /// Of the remote.
    uuid: String,
    /// What the names of its objects begin with, a slash at the end.
    prefix: String,
}

impl<'a> Proxied<'a> {
    /// Sets it up on the S3 server at `port`, for ours or for git-annex with its own type; `further` are parameters.
    pub fn create(lab: &'a Lab, kind: Kind, port: u16, name: &str, further: &[&str]) -> io::Result<Self> {
        let remote = if kind == Kind::GitAnnex { Remote::AnnexS3 } else { Remote::OursS3 };
        Self::create_as(lab, kind, remote, port, name, further)
    }

    /// The same for any kind of remote.
    pub fn create_as(
        lab: &'a Lab,
        kind: Kind,
        remote: Remote,
        port: u16,
        name: &str,
        further: &[&str],
    ) -> io::Result<Self> {
        let repo = Repo::plain(lab, name)?;
        repo.run("git", &["commit", "-q", "--allow-empty", "-m", "start"])?;
        repo.init_remote_with(remote, port, NAME, name, further)?;
        repo.run("git", &["config", &format!("remote.{NAME}.annex-proxy"), "true"])?;
        match kind {
            Kind::GitAnnex => repo.annex(&["updateproxy"])?,
            Kind::Ours | Kind::OursOneCore | Kind::OursUsers | Kind::OursTls => {
                repo.run("git-annex-remote-stream", &["updateproxy"])?
            }
        };
        let uuid = repo.ask("git", &["config", &format!("remote.{NAME}.annex-uuid")])?;
        Ok(Self { lab, repo, uuid, prefix: format!("{name}/") })
    }

    /// Serves the remote.
    pub fn serve(&self, kind: Kind) -> io::Result<Gateway> {
        Gateway::start(self.lab, kind, self.repo.dir(), &self.uuid)
    }

    /// Name of the object that holds `key`.
    pub fn object(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Deletes the repository, not what is in the bucket.
    pub fn delete(self) -> io::Result<()> {
        self.repo.delete()
    }
}

/// The SHA-256 key of a file.
pub fn key_of(file: &Path) -> io::Result<String> {
    use sha2::{Digest, Sha256};
    use std::io::Read;
    let mut file = std::fs::File::open(file)?;
    let (mut hash, mut len, mut block) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        len += n;
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("SHA256-s{len}--{digest}"))
}
