//! Who asks: names and passwords, verified once and remembered; and the files they are from, read anew when they change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;

use super::attempts::Attempts;
use super::remembered::Remembered;
use crate::gateway::blocking;
use crate::proto::http::access::{Access, Caller, Identity, Who};
use crate::proto::http::auth::Credentials;
use crate::proto::users::file::{LONGEST, UsersFile};

/// For how long a password that was verified is remembered, by a digest with a key that only this process has.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// In place of the hash of a password that another server knows. No hash is this.
const ELSEWHERE: &str = "elsewhere";

/// Longest wait for others whose passwords are being verified.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where users and their rights are kept.
#[derive(Debug, Clone)]
pub struct UsersFrom {
    /// `--users`
    pub users: PathBuf,
    /// `--rights`
    pub rights: Option<PathBuf>,
}

/// A header in which a web server in front names the user, and who is believed.
#[derive(Debug, Clone)]
pub struct AuthHeader {
    /// The name of the header.
    pub name: String,
    /// Addresses of such web servers.
    pub from: Vec<IpAddr>,
    /// One that comes over the socket file is such.
    pub from_socket: bool,
}

impl AuthHeader {
    /// Whether what comes from `address`, or over a socket file, is believed.
    pub(super) fn believes(&self, address: Option<IpAddr>) -> bool {
        address.map_or(self.from_socket, |address| self.from.contains(&address))
    }
}

/// Why nobody is told whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untold {
    /// Too many wrong ones came from there.
    TooMany,
    /// Too many are being verified.
    Busy,
}

/// Who may log in.
pub(super) struct Authenticator {
    access: RwLock<Arc<Access>>,
    from: Option<UsersFrom>,
    seen: Mutex<Seen>,
    key: [u8; 32],
    proven: Remembered<()>,
    attempts: Mutex<Attempts>,
    /// One for each password of a user that is being verified.
    verifying: Mutex<HashMap<[u8; 32], Weak<Semaphore>>>,
    hashing: Arc<Semaphore>,
}

/// What is known of the files.
#[derive(Default)]
struct Seen {
    /// As they were when they were read last, with or without success.
    judged: Traces,
    /// As they were at the last look, where that is something else.
    newer: Option<Traces>,
}

/// Enough of the metadata of both files to see that they changed.
type Traces = [Option<(u64, u64, i64, i64, i64)>; 2];

impl UsersFrom {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or not be understood: which, and where.
    pub fn read(&self) -> Result<UsersFile, String> {
        let users = read(&self.users)?;
        match &self.rights {
            None => Ok(users),
            Some(path) => users.with_rights(read(path)?).map_err(|bad| format!("{}: {bad}", path.display())),
        }
    }

    fn traces(&self) -> Traces {
        let trace = |path: &Path| {
            let meta = path.metadata().ok()?;
            Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime_nsec()))
        };
        [trace(&self.users), self.rights.as_deref().and_then(trace)]
    }
}

fn read(path: &Path) -> Result<UsersFile, String> {
    use std::io::Read as _;
    let failed = |e: std::io::Error| {
        let way_out = match e.kind() {
            std::io::ErrorKind::NotFound => "; git-annex-remote-stream users add makes it",
            std::io::ErrorKind::PermissionDenied => {
                "; the user of the server has to be able to read it: chgrp, chmod g+r"
            }
            _ => "",
        };
        format!("{}: {e}{way_out}", path.display())
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o002 != 0 {
        return Err(format!("{}: everybody may write to it: chmod o-w", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    UsersFile::parse(&bytes).map_err(|bad| format!("{}: {bad}", path.display()))
}

impl Authenticator {
    /// For `access`, as read `from` files. Blocks.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub(super) fn new(access: Access, from: Option<UsersFrom>, cores: usize) -> std::io::Result<Self> {
        let judged = from.as_ref().map(UsersFrom::traces).unwrap_or_default();
        Ok(Self {
            access: RwLock::new(Arc::new(access)),
            from,
            seen: Mutex::new(Seen { judged, newer: None }),
            key: remotes::sys::secret()?,
            proven: Remembered::new(REMEMBERED),
            attempts: Mutex::default(),
            verifying: Mutex::default(),
            // What is left serves those who are known.
            hashing: Arc::new(Semaphore::new((cores / 2).max(1))),
        })
    }

    /// Whether there are files that may change.
    pub(super) fn has_files(&self) -> bool {
        self.from.is_some()
    }

    /// What is allowed now.
    pub(super) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who sent `credentials` from `address`. Names that are not known here are no guesses where `others_know` more.
    ///
    /// # Errors
    ///
    /// [`Untold`].
    pub(super) async fn identify(
        &self,
        access: &Access,
        credentials: Option<&Credentials>,
        secure: bool,
        address: Option<IpAddr>,
        others_know: bool,
    ) -> Result<Caller, Untold> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (hash, caller) = match access.look_up(credentials, secure, now) {
            Identity::Known(caller) => return Ok(caller),
            Identity::Hashed { hash, caller } => (hash, caller),
        };
        let Some(credentials) = credentials else { return Ok(Caller::everywhere(None, Who::Nobody)) };
        let proof = self.proof(credentials, hash.reveal());
        if let Some(caller) = &caller
            && self.is_proven(&proof)
        {
            return Ok(caller.clone());
        }
        let stranger = Caller::everywhere(None, Who::Stranger);
        if caller.is_none() && others_know {
            return Ok(stranger);
        }
        // Who comes with many connections at once has sent one password, and not guessed many times.
        let alone = self.alone(proof);
        let Ok(Ok(_alone)) = tokio::time::timeout(PATIENCE, alone.acquire()).await else { return Err(Untold::Busy) };
        if let Some(caller) = &caller
            && self.is_proven(&proof)
        {
            return Ok(caller.clone());
        }
        if !whole(&self.attempts).begin(address, &credentials.name, Instant::now()) {
            return Err(Untold::TooMany);
        }
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.hashing).acquire_owned()).await;
        let Ok(Ok(turn)) = waited else { return Err(Untold::Busy) };
        let password = credentials.password.clone();
        let right = blocking(move || {
            // As long as it takes, whether anybody waits for it or not.
            let _turn = turn;
            hash.verify(password.reveal())
        });
        match (right.await.map_err(|_| Untold::Busy)?, caller) {
            (true, Some(caller)) => {
                whole(&self.attempts).right(address, &credentials.name);
                self.proven.put(proof, ());
                Ok(caller)
            }
            _ => Ok(stranger),
        }
    }

    /// Whether another server may be asked about `credentials` from `address`: they were right before, or few wrong ones came from there.
    pub(super) fn may_ask(&self, credentials: &Credentials, address: Option<IpAddr>) -> bool {
        self.is_proven(&self.proof(credentials, ELSEWHERE))
            || whole(&self.attempts).has_room(address, &credentials.name, Instant::now())
    }

    /// What another server said of `credentials` from `address`.
    pub(super) fn told(&self, credentials: &Credentials, address: Option<IpAddr>, are_right: bool) {
        let proof = self.proof(credentials, ELSEWHERE);
        if are_right {
            self.proven.put(proof, ());
        } else if !self.is_proven(&proof) {
            whole(&self.attempts).begin(address, &credentials.name, Instant::now());
        }
    }

    fn proof(&self, credentials: &Credentials, hash: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [&credentials.name[..], credentials.password.reveal(), hash.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// The turn to verify one password.
    fn alone(&self, proof: [u8; 32]) -> Arc<Semaphore> {
        let mut verifying = whole(&self.verifying);
        if let Some(known) = verifying.get(&proof).and_then(Weak::upgrade) {
            return known;
        }
        verifying.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        verifying.insert(proof, Arc::downgrade(&turn));
        turn
    }

    fn is_proven(&self, proof: &[u8; 32]) -> bool {
        self.proven.get(proof).is_some()
    }

    /// Reads the files again where they changed, and stayed so since the last look: who writes may not be done. At once where
    /// somebody `asks` for it. `None`: there was nothing to do. Blocks.
    pub(super) fn look(&self, asks: bool) -> Option<Result<(), String>> {
        let from = self.from.as_ref()?;
        let mut seen = whole(&self.seen);
        let now = from.traces();
        if !asks {
            if now == seen.judged {
                seen.newer = None;
                return None;
            }
            if seen.newer.replace(now) != Some(now) {
                return None;
            }
        }
        let file = from.read();
        if from.traces() != now && !asks {
            return None;
        }
        *seen = Seen { judged: now, newer: None };
        Some(file.map(|file| {
            let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
            *access = Arc::new(Access { file: Some(file), ..Access::clone(&access) });
        }))
    }
}

/// Held for a few assignments.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::access::{Action, Logins, Verdict};

    const ALICE: &str = "alice:$2y$05$abcdefghijklmnopqrstuuUO0ia.DNRpY0c0bDasaKMC9101OqwdW\n[rights]\nalice full *\n";

    fn authenticator(dir: &Path, text: &str) -> Authenticator {
        let users = dir.join("users");
        std::fs::write(&users, text).expect("a file");
        let from = UsersFrom { users, rights: None };
        let file = from.read().expect("it is right");
        let access = Access { logins: Logins::Anyhow, file: Some(file), ..Access::default() };
        Authenticator::new(access, Some(from), 4).expect("made")
    }

    fn sent(header: &str) -> Option<Credentials> {
        Some(Credentials::parse(header.as_bytes()).expect("it is right"))
    }

    #[tokio::test]
    async fn a_password_is_verified_once_and_wrong_ones_are_limited() {
        let dir = tempfile::tempdir().expect("a directory");
        let authenticator = authenticator(dir.path(), ALICE);
        let access = authenticator.access();
        let (right, wrong) = (sent("Basic YWxpY2U6cHcx"), sent("Basic YWxpY2U6eA=="));
        let caller = authenticator.identify(&access, right.as_ref(), false, None, false).await.expect("told");
        assert_eq!((caller.name.as_deref(), caller.is_known()), (Some(&b"alice"[..]), true));
        assert_eq!(authenticator.proven.len(), 1);
        let mut told = 0;
        for _ in 0..20 {
            match authenticator.identify(&access, wrong.as_ref(), false, None, false).await {
                Ok(caller) => {
                    assert!(!caller.is_known());
                    told += 1;
                }
                Err(untold) => assert_eq!(untold, Untold::TooMany),
            }
        }
        assert_eq!(told, 10);
        assert_eq!(
            authenticator.identify(&access, right.as_ref(), false, None, false).await,
            Ok(caller),
            "who is known is let in"
        );
        // Of a name that nobody has as much is looked at.
        let nobody = sent("Basic bm9ib2R5OnB3MQ==");
        assert!(!authenticator.identify(&access, nobody.as_ref(), false, None, false).await.expect("told").is_known());
        assert_eq!(authenticator.proven.len(), 1);
    }

    /// All are sent before the first is verified.
    #[tokio::test]
    async fn one_password_on_many_connections_is_one_guess() {
        let dir = tempfile::tempdir().expect("a directory");
        let authenticator = authenticator(dir.path(), ALICE);
        let (access, right, wrong) = (authenticator.access(), sent("Basic YWxpY2U6cHcx"), sent("Basic YWxpY2U6eA=="));
        let ask = |sent| authenticator.identify(&access, sent, false, None, false);
        let all = futures_util::future::join_all((0..64).map(|_| ask(right.as_ref()))).await;
        assert!(all.iter().all(|told| told.as_ref().is_ok_and(Caller::is_known)), "{all:?}");
        let all = futures_util::future::join_all((0..64).map(|_| ask(wrong.as_ref()))).await;
        assert!(all.iter().all(|told| !told.as_ref().is_ok_and(Caller::is_known)), "{all:?}");
        assert_eq!(all.iter().filter(|told| told.is_ok()).count(), 10);
        whole(&authenticator.verifying).retain(|_, turn| turn.strong_count() > 0);
        assert!(whole(&authenticator.verifying).is_empty());
    }

    #[test]
    fn only_named_addresses_are_believed() {
        let address = |text: &str| Some(text.parse().expect("an address"));
        let header = AuthHeader { name: "x".into(), from: vec!["192.0.2.1".parse().expect("one")], from_socket: false };
        assert!(
            header.believes(address("192.0.2.1")) && !header.believes(address("192.0.2.2")) && !header.believes(None)
        );
        assert!(AuthHeader { from_socket: true, ..header }.believes(None));
    }

    #[test]
    fn a_file_that_changed_is_taken_once_it_stays_and_only_if_it_is_right() {
        let dir = tempfile::tempdir().expect("a directory");
        let authenticator = authenticator(dir.path(), ALICE);
        let may = || {
            let caller = Caller::of_table(b"alice".to_vec());
            [Action::Read, Action::Remove]
                .map(|action| authenticator.access().judge(&caller, action, b"x") == Verdict::Allow)
        };
        let write = |text: &str| std::fs::write(dir.path().join("users"), text).expect("a file");
        assert_eq!(authenticator.look(false), None);
        write(&ALICE.replace("full", "readonly"));
        assert_eq!(authenticator.look(false), None, "somebody may be writing");
        assert_eq!(may(), [true, true]);
        assert_eq!(authenticator.look(false), Some(Ok(())));
        assert_eq!(may(), [true, false]);
        write("alice:secret\n");
        assert_eq!(authenticator.look(false), None);
        let said = authenticator.look(false).expect("it was read").expect_err("it is not right");
        assert!(said.contains("line 1") && !said.contains("secret"), "{said}");
        assert_eq!((may(), authenticator.look(false)), ([true, false], None), "told once, and the old one stays");
        std::fs::remove_file(dir.path().join("users")).expect("it is there");
        authenticator.look(false);
        assert!(authenticator.look(false).expect("it was looked for").is_err());
        assert_eq!(may(), [true, false]);
        write(ALICE);
        assert_eq!(authenticator.look(true), Some(Ok(())), "at once where somebody asks");
        assert_eq!(may(), [true, true]);
    }
}
