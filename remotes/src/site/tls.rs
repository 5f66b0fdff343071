//! Trust for TLS: the certificates that the site names, or those this computer trusts.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::{Bundle, Site, Whom};

/// The configuration of connections to `url`. Whoever keeps it keeps the sessions of its connections too, and so they are resumed.
/// The system's certificates take milliseconds to read, so that is done once.
///
/// # Errors
///
/// No certificate can be read.
pub async fn client_config(site: &Arc<Site>, whom: Whom, url: String) -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let site = Arc::clone(site);
    let load = move || match site.bundle(whom, &url) {
        Some(bundle) => with(of(&bundle)?),
        None => match SYSTEM.get() {
            Some(config) => Ok(Arc::clone(config)),
            None => with(system()?).map(|config| Arc::clone(SYSTEM.get_or_init(|| config))),
        },
    };
    tokio::task::spawn_blocking(load).await.map_err(|e| e.to_string())?
}

fn of(bundle: &Bundle) -> Result<RootCertStore, String> {
    let pem = bundle.read().map_err(|e| e.to_string())?;
    let mut roots = RootCertStore::empty();
    // As with those of the system, what is no certificate is none.
    let (good, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    match good {
        0 => Err(format!("there are no certificates in {} ({})", bundle.path.display(), bundle.named)),
        _ => Ok(roots),
    }
}

fn system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        let why = found.errors.first().map_or_else(|| "there are none".to_string(), ToString::to_string);
        return Err(format!("cannot read the certificates that this computer trusts: {why}"));
    }
    Ok(roots)
}

fn with(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
