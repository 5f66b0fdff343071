//! TLS of the HTTP server: certificates from files, reloaded when asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where certificate and key are; all are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `--certfile`: the server's certificate, perhaps followed by its chain.
    pub certificate: PathBuf,
    /// `--privatekeyfile`: its key, as PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// `--chainfile`, each: what leads from it to an authority clients know.
    pub chain: Vec<PathBuf>,
}

/// The configuration new connections are to use.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Arc<ServerConfig>>,
}

/// Which file is wrong, and what to do about it. Holds nothing of a key.
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for TlsError {}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let current = Mutex::new(load(&files)?);
        Ok(Self { files, current })
    }

    /// For a connection that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        // The lock is held for a clone or a store, neither of which can leave it half done.
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again; connections that exist keep what they began with.
    ///
    /// # Errors
    ///
    /// [`TlsError`], and then nothing changes: a renewal that was caught halfway must not stop the server.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.files)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let mut chain = certificates(&files.certificate)?;
    for file in &files.chain {
        chain.extend(certificates(file)?);
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        pem::Error::NoItemsFound => error_in(
            &files.key,
            "holds no private key in PEM (BEGIN PRIVATE KEY); a key with a password has to be stored without it first",
        ),
        error => unreadable(&files.key, error),
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error_in(&files.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => error_in(
                &files.key,
                format!("is not the key of the first certificate in {}", files.certificate.display()),
            ),
            error => error_in(&files.key, format!("cannot be used: {error}")),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(file) {
        Ok(iter) => iter.collect(),
        Err(error) => Err(error),
    };
    let all = all.map_err(|error| unreadable(file, error))?;
    if all.is_empty() {
        return Err(error_in(file, "holds no certificate in PEM (BEGIN CERTIFICATE)"));
    }
    Ok(all)
}

fn unreadable(file: &Path, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            error_in(file, "cannot be read: let the user this runs as read it")
        }
        pem::Error::Io(error) => error_in(file, format!("cannot be read: {error}")),
        // The error may quote the line, and the line may be a key.
        _ => error_in(file, "is not well formed PEM"),
    }
}

fn error_in(file: &Path, why: impl Into<String>) -> TlsError {
    TlsError { file: file.to_owned(), why: why.into() }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
