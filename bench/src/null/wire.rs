//! What a client is connected by: plain TCP, or TLS over it.

use rustix::net::{RecvFlags, recv};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// A connection to one client.
pub enum Wire {
    /// Nothing is encrypted.
    Plain(TcpStream),
    /// The handshake is made with the first bytes.
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// How a store speaks TLS: with this certificate and its key, both PEM. Sessions can be resumed.
///
/// # Errors
///
/// A file that cannot be read, or is no such thing.
pub fn config(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.with_no_client_auth();
    Ok(Arc::new(config.with_single_cert(chain, key).map_err(io::Error::other)?))
}

impl Wire {
    /// Takes a client.
    pub fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        Ok(match tls {
            None => Self::Plain(stream),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Self::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        })
    }

    /// Throws away what comes next: as many bytes as `nowhere` has room for, or fewer. How many it were; 0 at the end.
    pub fn swallow(&mut self, nowhere: &mut [u8]) -> io::Result<usize> {
        match self {
            // TCP throws away as many bytes as would fit, without copying them.
            Self::Plain(stream) => Ok(recv(&*stream, nowhere, RecvFlags::TRUNC | RecvFlags::WAITALL)?.1),
            Self::Tls(stream) => stream.read(nowhere),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
