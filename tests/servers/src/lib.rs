//! The real servers, all on loopback and (but for moto) with authentication.
//!
//! SeaweedFS S3, `rclone serve s3`, `rclone serve webdav`, sshd, Azurite, moto and Swift.
//!
//! `testdata/peers/serve.py` starts and stops them. Its stdin is a pipe from here, so they also go away when this
//! process is killed or a static is never dropped. Under `make test` one set serves every test process, named in the
//! environment; otherwise each process starts its own at first use.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SeaweedFS with its S3 gateway; the access key `narrow` may neither list nor create buckets.
    Weed,
    /// `rclone serve s3`.
    RcloneS3,
    /// `rclone serve webdav`.
    RcloneWebdav,
    /// The same, where case and forms of Unicode make no difference in names.
    RcloneFolding,
    /// OpenSSH's sshd, which serves files and nothing else; what is written is the user's.
    Sftp,
    /// Azurite, with a container `annex`.
    Azurite,
    /// moto, a third S3, which takes any credentials.
    Moto,
    /// OpenStack Swift, with a container `annex`.
    Swift,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Weed => "weed",
            Kind::RcloneS3 => "rclone-s3",
            Kind::RcloneWebdav => "rclone-webdav",
            Kind::RcloneFolding => "rclone-folding",
            Kind::Sftp => "sftp",
            Kind::Azurite => "azurite",
            Kind::Moto => "moto",
            Kind::Swift => "swift",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Kind::Weed => "STREAM_TEST_WEED",
            Kind::RcloneS3 => "STREAM_TEST_RCLONE_S3",
            Kind::RcloneWebdav => "STREAM_TEST_RCLONE_WEBDAV",
            Kind::RcloneFolding => "STREAM_TEST_RCLONE_FOLDING",
            Kind::Sftp => "STREAM_TEST_SFTP",
            Kind::Azurite => "STREAM_TEST_AZURITE",
            Kind::Moto => "STREAM_TEST_MOTO",
            Kind::Swift => "STREAM_TEST_SWIFT",
        }
    }
}

/// A running server on 127.0.0.1.
#[derive(Debug)]
pub struct Server {
    /// Its HTTP port.
    pub port: u16,
    /// Access key id or user name with all rights.
    pub user: String,
    /// The secret that belongs to `user`; fresh for each start. For sshd it is the path of the private key.
    pub secret: String,
    process: Mutex<Option<Child>>,
}

/// SeaweedFS S3, one for all tests.
pub fn weed() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared(Kind::Weed))
}

/// `rclone serve s3`, one for all tests.
pub fn rclone_s3() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared(Kind::RcloneS3))
}

/// `rclone serve webdav`, one for all tests.
pub fn rclone_webdav() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared(Kind::RcloneWebdav))
}

/// `rclone serve webdav` that takes names for one, one for all tests of a process.
pub fn rclone_folding() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared(Kind::RcloneFolding))
}

/// OpenSSH's sshd, one for all tests; `None`, said loudly, where it is not installed.
pub fn sftp() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared_if_installed(Kind::Sftp)).as_ref()
}

/// Azurite, likewise.
pub fn azurite() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared_if_installed(Kind::Azurite)).as_ref()
}

/// moto, likewise.
pub fn moto() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared_if_installed(Kind::Moto)).as_ref()
}

/// OpenStack Swift, likewise.
pub fn swift() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::shared_if_installed(Kind::Swift)).as_ref()
}

/// Prometheus' promtool, of the system or of `make services`; none where neither is there, which is said, and is no excuse in CI.
pub fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fetched = peers().with_file_name("promtool");
    let found =
        std::env::split_paths(&path).chain([fetched]).map(|dir| dir.join("promtool")).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI is set, so everything has to be tested: promtool is missing");
        eprintln!("NOT TESTED: promtool is not installed: run `make services`");
    }
    found
}

/// The directory that holds git-annex, weed and rclone. Panics, naming `make peers`, when they are not installed.
pub fn peers() -> PathBuf {
    let dir = match std::env::var_os("STREAM_TEST_PEERS") {
        Some(dir) => top().join(dir),
        None => top().join("target/peers/bin"),
    };
    for program in ["git-annex", "weed", "rclone"] {
        assert!(dir.join(program).exists(), "{program} is not in {}: run `make peers`", dir.display());
    }
    dir
}

/// The directory of a git-annex of 2025.
pub fn older() -> PathBuf {
    let dir = peers().with_file_name("older/bin");
    assert!(dir.join("git-annex").exists(), "no git-annex of 2025 is in {}: run `make peers`", dir.display());
    dir
}

/// A name no other test uses, fit for a bucket, a directory or a remote.
pub fn unique(prefix: &str) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // The shared servers outlive this process, so a process id alone could come again.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is past 1970");
    format!("{prefix}-{:x}-{:x}-{n}", std::process::id(), since.as_micros())
}

impl Server {
    /// Start a server of one's own, stopped on drop. For tests that stop or damage it; others share.
    pub fn start(kind: Kind) -> Server {
        Self::try_start(kind).unwrap_or_else(|| panic!("{kind:?} is not installed"))
    }

    /// The same; `None`, said loudly, where it is not installed.
    pub fn try_start(kind: Kind) -> Option<Server> {
        peers();
        let mut child = Command::new("python3")
            .arg(top().join("testdata/peers/serve.py"))
            .arg(kind.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut setting = None;
        // The script bounds its own start and closes stdout when it fails, so this loop ends.
        for line in BufReader::new(child.stdout.take().expect("stdout is piped")).lines() {
            let line = line.expect("serve.py writes text");
            match line.split_once('=') {
                Some((_, value)) => setting = Some(value.to_string()),
                None => break,
            }
        }
        let setting = setting.unwrap_or_else(|| panic!("{kind:?} did not start; serve.py says why on stderr"));
        let Some(server) = Server::parse(kind, &setting) else {
            drop(child.stdin.take());
            let _ = child.wait();
            return None;
        };
        *server.process.lock().expect("no holder panics") = Some(child);
        Some(server)
    }

    /// The directory of the `ssh` that knows the server and none of the user's own settings. For sshd.
    pub fn ssh(&self) -> PathBuf {
        Path::new(&self.secret).with_file_name("bin")
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same server by way of a relay at `port`.
    pub fn through(&self, port: u16) -> &'static Server {
        let (user, secret) = (self.user.clone(), self.secret.clone());
        Box::leak(Box::new(Server { port, user, secret, process: Mutex::new(None) }))
    }

    /// Stop it, if it is one's own, and wait until it is gone.
    pub fn stop(&self) {
        let process = self.process.lock().map(|mut process| process.take()).unwrap_or_default();
        if let Some(mut process) = process {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    fn shared(kind: Kind) -> Server {
        Self::shared_if_installed(kind).unwrap_or_else(|| panic!("{kind:?} is not installed"))
    }

    fn shared_if_installed(kind: Kind) -> Option<Server> {
        match std::env::var(kind.variable()) {
            Ok(setting) => Server::parse(kind, &setting),
            Err(_) => Server::try_start(kind),
        }
    }

    /// Panics where something is lacking and CI is set: there all is to be tested.
    fn parse(kind: Kind, setting: &str) -> Option<Server> {
        if let Some(why) = setting.strip_prefix("lacking ") {
            eprintln!("NOT TESTED: {kind:?}: {why}");
            assert!(std::env::var_os("CI").is_none(), "CI is set, so {kind:?} has to be tested");
            return None;
        }
        let words: Vec<&str> = setting.splitn(3, ' ').collect();
        let [port, user, secret] = words[..] else { panic!("PORT USER SECRET expected, not {setting:?}") };
        let port = port.parse().expect("a port number");
        Some(Server { port, user: user.to_string(), secret: secret.to_string(), process: Mutex::new(None) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The top of the project: where testdata/ is, whichever member of the workspace this was compiled into.
pub fn top() -> PathBuf {
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = start.ancestors().find(|dir| dir.join("testdata/peers/serve.py").exists());
    found.expect("testdata/peers/serve.py is in the project").to_path_buf()
}
