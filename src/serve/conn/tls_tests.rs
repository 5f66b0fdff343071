use std::fs;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

/// A directory with copies of the named certificate and key.
fn installed(certificate: &str, key: &str) -> (tempfile::TempDir, TlsFiles) {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::copy(testdata(certificate), at("cert.pem")).expect("copied");
    fs::copy(testdata(key), at("key.pem")).expect("copied");
    let files = TlsFiles { certificate: at("cert.pem"), key: at("key.pem"), chain: Vec::new() };
    (directory, files)
}

/// Whether a client that trusts only `trusted` gets through a handshake.
fn greets(config: Arc<ServerConfig>, trusted: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(testdata(trusted)).expect("a certificate")).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions fit")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("a client");
    let mut server = ServerConnection::new(config).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("to memory");
        server.read_tls(&mut wire.as_slice()).expect("from memory");
        if server.process_new_packets().is_err() {
            return false;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("to memory");
        }
        let mut left = wire.as_slice();
        while !left.is_empty() {
            client.read_tls(&mut left).expect("from memory");
            if client.process_new_packets().is_err() {
                return false;
            }
        }
    }
    true
}

#[test]
fn a_reload_changes_what_new_connections_get() {
    let (directory, files) = installed("first.pem", "first.key");
    let tls = Tls::new(files).expect("the files are right");
    let before = tls.config();
    assert!(greets(tls.config(), "first.pem") && !greets(tls.config(), "second.pem"));
    fs::copy(testdata("second.pem"), directory.path().join("cert.pem")).expect("copied");
    let error = tls.reload().expect_err("the key is still the old one").to_string();
    assert!(error.contains("key.pem: is not the key of the first certificate in "), "{error}");
    assert!(greets(tls.config(), "first.pem"), "a failed reload keeps what was there");
    fs::copy(testdata("second.key"), directory.path().join("key.pem")).expect("copied");
    tls.reload().expect("both are new now");
    assert!(greets(tls.config(), "second.pem") && greets(before, "first.pem"));
}

#[test]
fn errors_name_the_file_and_show_nothing_of_it() {
    let (directory, files) = installed("first.pem", "first.key");
    let said = |files: &TlsFiles| Tls::new(files.clone()).expect_err("a file is wrong").to_string();
    let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone(), ..files.clone() };
    assert!(said(&swapped).contains("key.pem: holds no certificate in PEM"), "{}", said(&swapped));
    let keyless = TlsFiles { key: files.certificate.clone(), ..files.clone() };
    assert!(said(&keyless).contains("cert.pem: holds no private key in PEM"), "{}", said(&keyless));
    let missing = TlsFiles { chain: vec![directory.path().join("chain.pem")], ..files.clone() };
    assert!(said(&missing).contains("chain.pem: cannot be read: "), "{}", said(&missing));
    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n").expect("written");
    assert!(said(&files).contains("key.pem: is not well formed PEM"), "{}", said(&files));
    assert!(!said(&files).contains("c2Vj"));
}

#[test]
fn chains_follow_the_certificate() {
    let (_directory, mut files) = installed("first.pem", "first.key");
    files.chain = vec![testdata("second.pem")];
    let tls = Tls::new(files).expect("the files are right");
    assert!(greets(tls.config(), "first.pem"));
}
