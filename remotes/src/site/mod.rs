//! A site's network settings: proxies, trusted certificates, and internal addresses.
//!
//! Whoever starts the program reads the environment and git's configuration, and hands both over in [`Site::new`].

mod inside;
mod proxy;
mod tls;

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use inside::Inside;
pub(crate) use proxy::split_port;
pub use proxy::{Proxies, Proxy};
pub use tls::client_config;

use inside::Allowed;

/// Values of a setting in git's configuration, for a URL where it may differ by URL. Blocks for as long as git takes.
pub type Settings = Arc<dyn Fn(&str, Option<&str>) -> Vec<OsString> + Send + Sync>;

/// What is known of the site. The default knows nothing: no proxy, the system's certificates, no address inside allowed.
#[derive(Clone, Default)]
pub struct Site {
    proxies: Proxies,
    /// `AWS_CA_BUNDLE`.
    aws: Option<PathBuf>,
    /// `GIT_SSL_CAINFO`, a file.
    file: Option<PathBuf>,
    /// `GIT_SSL_CAPATH`, a directory.
    directory: Option<PathBuf>,
    /// Whether `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, which the libraries for TLS heed by themselves.
    system: Option<&'static str>,
    settings: Option<Settings>,
    allowed: Arc<OnceLock<Allowed>>,
}

/// Who is connected to, as far as certificates differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Amazon, and what speaks like it.
    Aws,
    /// All others.
    Others,
}

/// Certificates in place of the system's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What names it: a variable, or a setting of git.
    pub named: &'static str,
    /// The file, or the directory of such.
    pub path: PathBuf,
}

impl Site {
    /// Reads the variables that concern it. `settings` is asked when something depends on it, and not before.
    pub fn new(environment: &dyn Fn(&str) -> Option<OsString>, settings: Option<Settings>) -> Self {
        let path = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            proxies: Proxies::read(environment),
            aws: path("AWS_CA_BUNDLE"),
            file: path("GIT_SSL_CAINFO"),
            directory: path("GIT_SSL_CAPATH"),
            system: ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| path(name).is_some()),
            settings,
            allowed: Arc::default(),
        }
    }

    /// Its proxies.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Which certificates are trusted at `url` in place of the system's, if any are named. May ask git, and blocks then.
    pub fn bundle(&self, whom: Whom, url: &str) -> Option<Bundle> {
        let named = |named, path: &Option<PathBuf>| path.clone().map(|path| Bundle { named, path });
        let setting = |named: &'static str| {
            let path = self.settings.as_ref()?(named, Some(url)).pop().filter(|path| !path.is_empty())?;
            Some(Bundle { named, path: path.into() })
        };
        let aws = if whom == Whom::Aws { named("AWS_CA_BUNDLE", &self.aws) } else { None };
        // Each in the order in which git looks at them; a variable of git goes before its settings.
        aws.or_else(|| named("GIT_SSL_CAINFO", &self.file))
            .or_else(|| named("GIT_SSL_CAPATH", &self.directory))
            .or_else(|| setting("http.sslCAInfo"))
            .or_else(|| setting("http.sslCAPath"))
    }

    /// What certificates come from, for people.
    pub fn trusts(&self, whom: Whom, url: &str) -> String {
        match (self.bundle(whom, url), self.system) {
            (Some(bundle), _) => format!("{} ({})", bundle.path.display(), bundle.named),
            (None, Some(name)) => format!("those of {name}"),
            (None, None) => "those of the system".into(),
        }
    }

    /// Whether whoever set up this repository lets git-annex connect to `address`, though it is inside
    /// (`annex.security.allowed-ip-addresses`). May ask git, and blocks then.
    pub fn allows(&self, address: IpAddr) -> bool {
        let ask = || {
            let Some(settings) = &self.settings else { return Allowed::default() };
            // The older name counts where the other is not set.
            let names = ["annex.security.allowed-ip-addresses", "annex.security.allowed-http-addresses"];
            let said = names.iter().filter_map(|name| settings(name, None).pop()).next().unwrap_or_default();
            Allowed::parse(&said.to_string_lossy())
        };
        self.allowed.get_or_init(ask).allows(address)
    }
}

impl Bundle {
    /// The certificates, in PEM.
    ///
    /// # Errors
    ///
    /// They cannot be read, or there are none.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        let about = |e: std::io::Error| {
            std::io::Error::new(e.kind(), format!("certificates of {} ({}): {e}", self.path.display(), self.named))
        };
        let pem = read(&self.path).map_err(about)?;
        if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
            return Err(about(std::io::Error::other("there are none, in PEM")));
        }
        Ok(pem)
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !path.is_dir() {
        return std::fs::read(path);
    }
    let mut all = Vec::new();
    for entry in path.read_dir()? {
        // Directories of certificates hold each twice, by name and by digest; and lists, and notes.
        let path = entry?.path();
        if path.is_file() {
            all.extend_from_slice(&std::fs::read(path)?);
            all.push(b'\n');
        }
    }
    Ok(all)
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(set: &'static [(&str, &str)], settings: &'static [(&str, &str)]) -> Site {
        let value = |of: &'static [(&str, &str)], name: &str| {
            of.iter().find(|(have, _)| *have == name).map(|(_, value)| OsString::from(value))
        };
        let asked: Settings = Arc::new(move |name, _| value(settings, name).into_iter().collect());
        Site::new(&|name| value(set, name), Some(asked))
    }

    #[test]
    fn each_variable_concerns_whom_it_is_for() {
        let all = &[("AWS_CA_BUNDLE", "/a"), ("GIT_SSL_CAINFO", "/g"), ("SSL_CERT_FILE", "/s")];
        let says = |site: &Site, whom| site.trusts(whom, "https://h/");
        assert_eq!(says(&site(all, &[]), Whom::Aws), "/a (AWS_CA_BUNDLE)");
        assert_eq!(says(&site(all, &[]), Whom::Others), "/g (GIT_SSL_CAINFO)");
        let git = &[("http.sslCAInfo", "/i"), ("http.sslCAPath", "/p")];
        assert_eq!(says(&site(&all[..1], git), Whom::Others), "/i (http.sslCAInfo)");
        assert_eq!(says(&site(&[("GIT_SSL_CAPATH", "/d")], git), Whom::Aws), "/d (GIT_SSL_CAPATH)");
        assert_eq!(says(&site(&all[2..], &[]), Whom::Aws), "those of SSL_CERT_FILE");
        assert_eq!(says(&site(&[("AWS_CA_BUNDLE", "")], &[]), Whom::Aws), "those of the system");
        assert_eq!(says(&Site::default(), Whom::Others), "those of the system");
    }

    #[test]
    fn addresses_inside_are_allowed_by_the_setting_of_git_annex() {
        let address: IpAddr = "10.1.2.3".parse().expect("an address");
        assert!(!site(&[], &[]).allows(address));
        assert!(site(&[], &[("annex.security.allowed-ip-addresses", "::1 10.1.2.3")]).allows(address));
        assert!(site(&[], &[("annex.security.allowed-http-addresses", "all")]).allows(address));
    }

    #[test]
    fn a_bundle_without_certificates_is_named() {
        let place = tempfile::tempdir().expect("a directory");
        let bundle = |path: &Path| Bundle { named: "AWS_CA_BUNDLE", path: path.to_path_buf() };
        for path in [place.path().to_path_buf(), place.path().join("absent")] {
            let e = bundle(&path).read().expect_err("nothing is there").to_string();
            assert!(e.contains("AWS_CA_BUNDLE") && e.contains(&path.display().to_string()), "{e}");
        }
        std::fs::write(place.path().join("a.pem"), BEGIN).expect("written");
        assert!(bundle(place.path()).read().expect("a directory will do").starts_with(BEGIN));
    }
}
