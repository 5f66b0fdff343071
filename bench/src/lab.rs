//! The place a run happens in: scratch directory, programs, a clean environment, test data.

use crate::chance::Chance;
use crate::cli::Args;
use crate::usage::{self, Usage};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Access key of every server the bench starts.
pub const KEY: &str = "benchkey";
/// Secret of every server the bench starts; it guards nothing.
pub const SECRET: &str = "benchsecret";

/// How the reason begins why a row has no figures because a program is missing.
pub const MISSING: &str = "not installed";

// git-annex's own S3 type refuses loopback addresses unless it is told otherwise.
const GITCONFIG: &str = "[user]
\tname = bench
\temail = bench@localhost
[init]
\tdefaultBranch = main
[annex \"security\"]
\tallowed-ip-addresses = all
";

/// Scratch directory and programs of one run; the directory goes when this is dropped.
pub struct Lab {
    /// The command line.
    pub args: Args,
    /// Bytes of the large file.
    pub size: u64,
    root: tempfile::TempDir,
    path: String,
}

impl Lab {
    /// Makes the scratch directory and checks that every program is there.
    ///
    /// Errors: a program is missing, or the directory cannot be made.
    pub fn new(args: Args) -> io::Result<Self> {
        fs::create_dir_all(&args.work)?;
        let root = tempfile::Builder::new().prefix("bench.").tempdir_in(fs::canonicalize(&args.work)?)?;
        let need = |path: PathBuf, hint: &str| {
            fs::canonicalize(&path).map_err(|e| io::Error::other(format!("{}: {e}; {hint}", path.display())))
        };
        let bin = root.path().join("bin");
        fs::create_dir(&bin)?;
        // The venv of the peers stays where it is: its scripts find their Python beside themselves.
        let peers = need(args.peers.clone(), "run `make peers`")?;
        for peer in ["git-annex", "weed", "rclone"] {
            need(peers.join(peer), "run `make peers`")?;
        }
        let binary = need(args.binary.clone(), "run `cargo build --release`")?;
        symlink(&binary, bin.join("git-annex-remote-stream"))?;
        // Where there are none, their rows say so.
        let rivals = fs::canonicalize(&args.rivals).unwrap_or_else(|_| args.rivals.clone());
        let places = [&bin, &peers, &rivals].map(|dir| dir.display().to_string()).join(":");
        let path = format!("{places}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        let home = root.path().join("home");
        fs::create_dir(&home)?;
        fs::write(home.join(".gitconfig"), GITCONFIG)?;
        fs::create_dir(root.path().join("tmp"))?;
        let size = args.size();
        Ok(Self { args, size, root, path })
    }

    /// The scratch directory.
    pub fn dir(&self) -> &Path {
        self.root.path()
    }

    /// A path in the scratch directory.
    pub fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A directory that stays when the bench ends, for what takes long to make.
    pub fn kept(&self) -> io::Result<PathBuf> {
        let kept = fs::canonicalize(&self.args.work)?.join("bench-kept");
        fs::create_dir_all(&kept)?;
        Ok(kept)
    }

    /// `program` with nothing in its environment but what the bench put there.
    ///
    /// Proxies, credentials and configuration of the person who runs it would change the figures.
    pub fn command(&self, program: &str) -> Command {
        // Command looks its program up in the caller's PATH when the child's is changed by env_clear alone.
        let mut command = Command::new(self.find(program).unwrap_or_else(|| program.into()));
        command.env_clear().env("PATH", &self.path).env("HOME", self.at("home")).env("LANG", "C.UTF-8");
        command.env("TMPDIR", self.at("tmp")).env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.dir());
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        // Of the servers that speak TLS here.
        command.env("AWS_CA_BUNDLE", certificate().0);
        command
    }

    /// The same for a program that may be missing. Errors: it is, and the message begins with [`MISSING`].
    pub fn optional(&self, program: &str) -> io::Result<Command> {
        if self.find(program).is_none() {
            return Err(io::Error::other(format!("{MISSING}: {program} (`make rivals` says what to do)")));
        }
        Ok(self.command(program))
    }

    /// Runs a command of this lab to its end. Errors: see [`usage::run`].
    pub fn run(&self, command: &mut Command) -> io::Result<Usage> {
        usage::run(command, &self.at("command.log"))
    }

    /// The large file: incompressible, made once, in the page cache when this returns.
    pub fn large(&self) -> io::Result<PathBuf> {
        self.data("large", self.size)
    }

    /// A file of `len` incompressible bytes called `name`, in the page cache when this returns.
    pub fn data(&self, name: &str, len: u64) -> io::Result<PathBuf> {
        let path = self.at(name);
        if path.exists() {
            let mut file = File::open(&path)?;
            let mut block = vec![0; 1 << 20];
            while file.read(&mut block)? > 0 {}
        } else {
            fill(&path, len, len ^ 0x9e37_79b9_7f4a_7c15)?;
        }
        Ok(path)
    }

    /// Lets earlier writes reach the disk, so that no row pays for the one before it.
    pub fn settle(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(self.dir())?)?)
    }

    /// Makes sure that the next run finds memory for a large file which this machine has in hand.
    ///
    /// A virtual machine may give memory that has lain free for two seconds back to its host ("free page reporting"), and
    /// whoever touches it next pays for getting it again: 1.5 s/GiB on top of 0.2, measured here. Who that is depends on
    /// pauses between runs, not on the subjects.
    pub fn touch_memory(&self) -> io::Result<()> {
        let path = self.at("touched");
        fill(&path, self.size, 1)?;
        fs::remove_file(path)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.split(':').map(|d| Path::new(d).join(program)).find(|p| p.exists())
    }
}

/// Certificate and key for localhost, of value to nobody.
pub fn certificate() -> (PathBuf, PathBuf) {
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tls");
    (tls.join("first.pem"), tls.join("first.key"))
}

/// Writes `len` bytes that do not compress; the same `seed` gives the same bytes.
pub fn fill(path: &Path, len: u64, seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut chance = Chance::new(seed);
    let mut block = vec![0u8; 1 << 20];
    let mut left = len;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&chance.draw().to_le_bytes());
        }
        let take = left.min(block.len() as u64);
        file.write_all(&block[..take as usize])?;
        left -= take;
    }
    Ok(())
}

/// Whether two files hold the same bytes. Errors: they differ, or one cannot be read.
pub fn same(one: &Path, other: &Path) -> io::Result<()> {
    let (mut a, mut b) = (File::open(one)?, File::open(other)?);
    let differ = || io::Error::other(format!("{} is not what was stored", other.display()));
    if a.metadata()?.len() != b.metadata()?.len() {
        return Err(differ());
    }
    let (mut x, mut y) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = a.read(&mut x)?;
        if n == 0 {
            return Ok(());
        }
        b.read_exact(&mut y[..n])?;
        if x[..n] != y[..n] {
            return Err(differ());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_repeatable_and_differences_are_seen() {
        let dir = tempfile::tempdir().expect("temp dir");
        let [a, b, c] = ["a", "b", "c"].map(|n| dir.path().join(n));
        fill(&a, 3_000_001, 7).expect("fill");
        fill(&b, 3_000_001, 7).expect("fill");
        fill(&c, 3_000_001, 9).expect("fill");
        assert!(same(&a, &b).is_ok());
        assert!(same(&a, &c).is_err());
        File::options().write(true).open(&b).and_then(|f| f.set_len(3_000_000)).expect("truncate");
        assert!(same(&a, &b).is_err());
    }
}
