//! Where a test stores: a directory, a bucket, a WebDAV folder, and services that git-annex has no type for.
//!
//! Each of the first three can be named to ours and to git-annex's own type.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::run::run;
use servers::{self, Server, unique};

/// Whose special remote is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `type=external externaltype=stream`.
    Ours,
    /// git-annex's own `directory`, `S3` or `webdav`.
    Theirs,
}

/// The subject of the tests: ours, or git-annex's own types under `STREAM_TEST_SUBJECT=theirs`, which tells a defect of
/// a test from one of the product.
pub fn subject() -> Whose {
    match std::env::var("STREAM_TEST_SUBJECT").as_deref() {
        Ok("theirs") => Whose::Theirs,
        _ => Whose::Ours,
    }
}

/// An empty place that no other test uses.
pub enum Place {
    /// A directory, removed on drop.
    Fs(tempfile::TempDir),
    /// A bucket of an S3 server and the port by which to reach it.
    S3(&'static Server, String, u16),
    /// A folder of a WebDAV server.
    Webdav(&'static Server, String),
    /// A directory of a server of files over ssh, and the port by which to reach it. It is on this machine; removed on drop.
    Sftp(&'static Server, std::sync::Arc<tempfile::TempDir>, u16),
    /// A name within the container `annex` of Azurite, and the port by which to reach it.
    Azblob(&'static Server, String, u16),
    /// A name within the container `annex` of Swift, and the port by which to reach it.
    Swift(&'static Server, String, u16),
}

impl Place {
    /// A fresh directory.
    pub fn fs() -> Place {
        Place::Fs(tempfile::tempdir().expect("a temporary directory"))
    }

    /// A bucket yet to be made on SeaweedFS.
    pub fn weed() -> Place {
        let server = servers::weed();
        Place::S3(server, unique("test"), server.port)
    }

    /// A bucket yet to be made on `rclone serve s3`.
    pub fn rclone_s3() -> Place {
        let server = servers::rclone_s3();
        Place::S3(server, unique("test"), server.port)
    }

    /// A folder yet to be made on `rclone serve webdav`.
    pub fn webdav() -> Place {
        Place::Webdav(servers::rclone_webdav(), unique("test"))
    }

    /// A folder yet to be made on a WebDAV server that takes names for one which differ in case or in their form of Unicode.
    pub fn folding() -> Place {
        Place::Webdav(servers::rclone_folding(), unique("test"))
    }

    /// A bucket yet to be made on moto, where that is installed.
    pub fn moto() -> Option<Place> {
        let server = servers::moto()?;
        Some(Place::S3(server, unique("test"), server.port))
    }

    /// A fresh directory behind sshd, where that is installed.
    pub fn sftp() -> Option<Place> {
        let server = servers::sftp()?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        Some(Place::Sftp(server, std::sync::Arc::new(dir), server.port))
    }

    /// A fresh name on Azurite, where that is installed.
    pub fn azblob() -> Option<Place> {
        let server = servers::azurite()?;
        Some(Place::Azblob(server, unique("test"), server.port))
    }

    /// A fresh name on Swift, where that is installed.
    pub fn swift() -> Option<Place> {
        let server = servers::swift()?;
        Some(Place::Swift(server, unique("test"), server.port))
    }

    /// The same bucket or folder through another port: a relay.
    pub fn through(&self, port: u16) -> Place {
        match self {
            Place::S3(server, bucket, _) => Place::S3(server, bucket.clone(), port),
            Place::Webdav(server, folder) => Place::Webdav(server.through(port), folder.clone()),
            Place::Fs(_) => panic!("a directory is not reached through a relay"),
            Place::Sftp(server, dir, _) => Place::Sftp(server, dir.clone(), port),
            Place::Azblob(server, name, _) => Place::Azblob(server, name.clone(), port),
            Place::Swift(server, name, _) => Place::Swift(server, name.clone(), port),
        }
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        match self {
            Place::S3(server, ..)
            | Place::Webdav(server, _)
            | Place::Sftp(server, ..)
            | Place::Azblob(server, ..)
            | Place::Swift(server, ..) => server.port,
            Place::Fs(_) => panic!("a directory has no server"),
        }
    }

    /// The options of `git annex initremote NAME` for this place, encryption aside.
    pub fn options(&self, whose: Whose) -> Vec<String> {
        let (common, own): (&[&str], Vec<String>) = match (self, whose) {
            (Place::Fs(dir), Whose::Ours) => (&["scheme=fs"], vec![format!("directory={}", dir.path().display())]),
            (Place::Fs(dir), Whose::Theirs) => {
                (&["type=directory"], vec![format!("directory={}", dir.path().display())])
            }
            (Place::S3(_, bucket, port), whose) => {
                // git-annex's v4 signature leaves the port out of Host, so off port 80 only its v2 is accepted, and
                // `rclone serve s3` knows v4 alone.
                let kind = if whose == Whose::Ours { "scheme=s3" } else { "type=S3" };
                let sign = if whose == Whose::Ours { "region=us-east-1" } else { "signature=v2" };
                let own = [kind, sign].map(str::to_string).into_iter();
                let own = own.chain([format!("bucket={bucket}"), format!("port={port}")]).collect();
                (&["host=127.0.0.1", "protocol=http", "requeststyle=path"], own)
            }
            (Place::Webdav(server, folder), Whose::Ours) => (
                &["scheme=webdav"],
                vec![
                    format!("endpoint={}", server.endpoint()),
                    format!("root=/{folder}"),
                    format!("username={}", server.user),
                    format!("password={}", server.secret),
                ],
            ),
            (Place::Webdav(server, folder), Whose::Theirs) => {
                (&["type=webdav"], vec![format!("url={}/{folder}", server.endpoint())])
            }
            (Place::Sftp(server, dir, port), _) => (
                &["scheme=sftp"],
                vec![
                    format!("endpoint=ssh://127.0.0.1:{port}"),
                    format!("root={}", dir.path().display()),
                    format!("user={}", server.user),
                    format!("key={}", server.secret),
                ],
            ),
            (Place::Azblob(server, name, port), _) => (
                &["scheme=azblob", "container=annex"],
                vec![
                    format!("endpoint=http://127.0.0.1:{port}/{}", server.user),
                    format!("root=/{name}"),
                    format!("account_name={}", server.user),
                    format!("account_key={}", server.secret),
                ],
            ),
            (Place::Swift(server, name, port), _) => (
                &["scheme=swift", "container=annex"],
                vec![
                    format!("endpoint=http://127.0.0.1:{port}/v1/{}", server.user),
                    format!("root=/{name}"),
                    format!("token={}", server.secret),
                ],
            ),
        };
        let external: &[&str] = if whose == Whose::Ours { &["type=external", "externaltype=stream"] } else { &[] };
        let fixed = external.iter().chain(common).map(|s| s.to_string());
        fixed.chain(own).collect()
    }

    /// The credentials, as git-annex takes them from the environment at initremote.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Place::Fs(_) | Place::Sftp(..) | Place::Azblob(..) | Place::Swift(..) => Vec::new(),
            Place::S3(server, ..) => {
                vec![("AWS_ACCESS_KEY_ID", server.user.clone()), ("AWS_SECRET_ACCESS_KEY", server.secret.clone())]
            }
            Place::Webdav(server, _) => {
                vec![("WEBDAV_USERNAME", server.user.clone()), ("WEBDAV_PASSWORD", server.secret.clone())]
            }
        }
    }

    /// The secret that must not show up anywhere, if the place has one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Place::Fs(_) | Place::Sftp(..) => None,
            Place::S3(server, ..) | Place::Webdav(server, _) | Place::Azblob(server, ..) | Place::Swift(server, ..) => {
                Some(&server.secret)
            }
        }
    }

    /// The directory of a place on this machine.
    pub fn path(&self) -> PathBuf {
        match self {
            Place::Fs(dir) => dir.path().to_path_buf(),
            Place::Sftp(_, dir, _) => dir.path().to_path_buf(),
            _ => panic!("only places on this machine have a path"),
        }
    }

    /// Names of all objects or files stored, relative and sorted, as rclone lists them past both subjects.
    pub fn names(&self) -> Vec<String> {
        let listed = self.rclone(&["lsf", "--recursive", "--files-only"]);
        let mut names: Vec<String> = listed.lines().map(str::to_string).collect();
        names.sort();
        names
    }

    /// All files stored with their content, as rclone copies them past both subjects.
    pub fn files(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.files_but("")
    }

    /// The same but for those below a directory.
    pub(crate) fn files_but(&self, below: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        if let Place::Fs(_) | Place::Sftp(..) = self {
            let mut files = files_below(&self.path());
            files.retain(|name, _| below.is_empty() || !name.starts_with(below.as_bytes()));
            return files;
        }
        let copy = tempfile::tempdir().expect("a temporary directory");
        let target = copy.path().display().to_string();
        // rclone would take two names for one which Unicode says are the same.
        let mut words = vec!["copy", "--no-unicode-normalization", "--transfers=16"];
        let but = format!("--exclude=/{below}**");
        words.extend((!below.is_empty()).then_some(&*but));
        let mut command = self.command(&words, "");
        command.arg(&target);
        if run(&mut command, Duration::from_secs(60)).status.success() {
            return files_below(copy.path());
        }
        // A bucket may have objects `d` and `d/e`, which no directory can have at once.
        let names = self.names().into_iter().filter(|name| below.is_empty() || !name.starts_with(below));
        let one = |name: String| {
            let target = tempfile::tempdir().expect("a temporary directory");
            let target = target.path().join("it");
            self.rclone_at(&["copyto"], &format!("/{name}"), target.to_str());
            (name.into_bytes(), std::fs::read(&target).expect("it was copied"))
        };
        names.map(one).collect()
    }

    /// Puts a file there, past both subjects.
    pub fn write(&self, name: &str, content: &[u8]) {
        assert!(self.try_write(name, content), "{name} is not written");
    }

    /// The same where something may be in the way; whether it is done.
    pub fn try_write(&self, name: &str, content: &[u8]) -> bool {
        let from = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(from.path(), content).expect("written");
        let words = ["copyto", "--no-check-dest", &from.path().display().to_string()];
        let done = run(&mut self.command(&words, &format!("/{name}")), Duration::from_secs(60));
        done.status.success()
    }

    /// Removes a file there, past both subjects.
    pub fn delete(&self, name: &str) {
        self.rclone_at(&["deletefile"], &format!("/{name}"), None);
    }

    /// Removes a directory there that is empty, where there are directories.
    pub fn remove_dir(&self, name: &str) {
        match self {
            Place::Fs(_) | Place::Sftp(..) => {
                let _ = std::fs::remove_dir(self.path().join(name));
            }
            Place::S3(..) | Place::Azblob(..) | Place::Swift(..) => {}
            Place::Webdav(..) => {
                let mut command = self.command(&["rmdir"], &format!("/{name}"));
                let _ = run(&mut command, Duration::from_secs(60));
            }
        }
    }

    /// Unfinished multipart uploads in the bucket, as rclone's JSON; `{}`-like when there are none.
    pub fn uploads(&self) -> String {
        self.rclone(&["backend", "list-multipart-uploads"])
    }

    /// The same, as keys and upload ids.
    pub fn begun_uploads(&self) -> Vec<(String, String)> {
        let listed: serde_json::Value = serde_json::from_str(&self.uploads()).expect("JSON");
        let buckets = listed.as_object().into_iter().flat_map(serde_json::Map::values);
        let uploads = buckets.filter_map(serde_json::Value::as_array).flatten();
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_string();
        uploads.map(|upload| (text(&upload["Key"]), text(&upload["UploadId"]))).collect()
    }

    /// Whether anything of an unfinished upload is in the bucket.
    pub fn has_parts(&self, (key, id): &(String, String)) -> bool {
        let Place::S3(server, bucket, _) = self else { panic!("uploads in parts are S3's") };
        let url = format!("{}/{bucket}/{key}?uploadId={id}", server.endpoint());
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        command.args(["--user", &format!("{}:{}", server.user, server.secret), &url]);
        let listed = run(&mut command, Duration::from_secs(60)).ok().stdout;
        assert!(listed.contains("ListPartsResult"), "{listed}");
        listed.contains("<Part>")
    }

    fn rclone(&self, words: &[&str]) -> String {
        self.rclone_to(words, None)
    }

    fn rclone_to(&self, words: &[&str], target: Option<&str>) -> String {
        self.rclone_at(words, "", target)
    }

    fn rclone_at(&self, words: &[&str], below: &str, target: Option<&str>) -> String {
        let mut command = self.command(words, below);
        command.args(target);
        run(&mut command, Duration::from_secs(60)).ok().stdout
    }

    fn command(&self, words: &[&str], below: &str) -> Command {
        let mut command = Command::new(servers::peers().join("rclone"));
        command.args(words).env_clear().env("HOME", "/nonexistent").env("RCLONE_CONFIG", "");
        match self {
            Place::Fs(_) | Place::Sftp(..) => {
                command.arg(format!("{}{below}", self.path().display()));
            }
            Place::Azblob(server, name, _) => {
                command.env("RCLONE_AZUREBLOB_ACCOUNT", &server.user).env("RCLONE_AZUREBLOB_KEY", &server.secret);
                command.env("RCLONE_AZUREBLOB_ENDPOINT", format!("{}/{}", server.endpoint(), server.user));
                command.arg(format!(":azureblob:annex/{name}{below}"));
            }
            Place::Swift(server, name, _) => {
                command.env("RCLONE_SWIFT_AUTH_TOKEN", &server.secret);
                command.env("RCLONE_SWIFT_STORAGE_URL", format!("{}/v1/{}", server.endpoint(), server.user));
                command.arg(format!(":swift:annex/{name}{below}"));
            }
            Place::S3(server, bucket, _) => {
                command.env("RCLONE_CONFIG_T_TYPE", "s3").env("RCLONE_CONFIG_T_PROVIDER", "Other");
                command.env("RCLONE_CONFIG_T_ENDPOINT", server.endpoint());
                command.env("RCLONE_CONFIG_T_ACCESS_KEY_ID", &server.user);
                command.env("RCLONE_CONFIG_T_SECRET_ACCESS_KEY", &server.secret);
                command.env("RCLONE_CONFIG_T_LIST_URL_ENCODE", "true");
                command.arg(format!("t:{bucket}{below}"));
            }
            Place::Webdav(server, folder) => {
                command.env("RCLONE_WEBDAV_URL", server.endpoint()).env("RCLONE_WEBDAV_USER", &server.user);
                // rclone takes passwords only in its own obscured form.
                let mut obscure = Command::new(servers::peers().join("rclone"));
                let obscured = run(obscure.args(["obscure", &server.secret]), Duration::from_secs(60)).ok();
                command.env("RCLONE_WEBDAV_PASS", obscured.stdout.trim());
                command.arg(format!(":webdav:{folder}{below}"));
            }
        }
        command
    }
}

/// Names and contents of all files below `dir`.
pub fn files_below(dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut found, mut dirs) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below it").as_os_str().as_bytes().to_vec();
                found.insert(name, std::fs::read(&path).expect("its content"));
            }
        }
    }
    found
}
