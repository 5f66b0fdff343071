//! The credentials that git-annex keeps for a special remote.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::log::remote::RemoteConfig;
use super::bounded::read_bounded;
use crate::name::Uuid;

/// Where the credentials of one special remote are: in files only the user may read, or embedded in its configuration.
#[derive(Clone)]
pub struct Creds {
    /// `None` where no file can have the name of this remote.
    file: Option<PathBuf>,
    embedded: RemoteConfig,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name, or access key id.
    pub user: Vec<u8>,
    /// The secret.
    pub password: Vec<u8>,
}

/// Most bytes of such a file.
const MOST: u64 = 64 << 10;

impl Creds {
    /// Those of the remote `uuid` with this configuration, in the repository of `annex_dir`.
    pub(super) fn new(annex_dir: &Path, uuid: &Uuid, config: &RemoteConfig) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let name = uuid.as_bytes();
        // A uuid may be any bytes, and must not lead out of the directory.
        let plain = !name.contains(&b'/') && name != b"." && name != b"..";
        let file = plain.then(|| annex_dir.join("creds").join(std::ffi::OsStr::from_bytes(name)));
        let settled = |name: &[u8]| config.get(name).map(Vec::as_slice);
        // With encryption, what is embedded is encrypted as well.
        let clear = settled(b"encryption") == Some(b"none") && settled(b"cipher").is_none();
        let embedded = if clear { config.clone() } else { RemoteConfig::new() };
        Self { file, embedded }
    }

    /// Those of git-annex's own types: from the file `UUID`, else embedded as `setting`, `s3creds` or `davcreds`.
    ///
    /// `None` where nothing is kept.
    ///
    /// # Errors
    ///
    /// What is kept cannot be read.
    pub fn own(&self, setting: &str) -> io::Result<Option<Login>> {
        self.find("", setting)
    }

    /// Those that an external special remote had kept as `setting`: from the file `UUID-SETTING`, else embedded under that
    /// name. `None` and errors as for [`own`](Self::own).
    pub fn setting(&self, setting: &str) -> io::Result<Option<Login>> {
        self.find(&format!("-{setting}"), setting)
    }

    fn find(&self, suffix: &str, setting: &str) -> io::Result<Option<Login>> {
        if let Some(file) = self.file.as_ref().filter(|_| !setting.contains(['/', '\0'])) {
            let mut name = file.clone().into_os_string();
            name.push(suffix);
            if let Some(bytes) = read_bounded(Path::new(&name), MOST)?
                && let Some(login) = Login::parse(&bytes)
            {
                return Ok(Some(login));
            }
        }
        let embedded = self.embedded.get(setting.as_bytes()).and_then(|value| STANDARD.decode(value).ok());
        Ok(embedded.and_then(|bytes| Login::parse(&bytes)))
    }
}

impl Login {
    /// Two lines.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let (user, password) = (lines.next()?.to_vec(), lines.next()?.to_vec());
        Some(Self { user, password })
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

impl std::fmt::Debug for Creds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Creds(..)")
    }
}
