//! Where the requests of a store may go: to the host it was set up for, and from there to no address inside that this host is
//! not at itself.
//!
//! A service leads its clients on: by redirects, by addresses in what it says, by what its name resolves to from now on. Whoever
//! set the store up has agreed to one host, and not to whatever this computer can reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opendal::{Error, ErrorKind, Result};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::site::{Inside, Site};

/// Hosts inside that the drivers of clouds ask for the keys of this computer.
const METADATA: &[&str] = &["metadata.google.internal", "169.254.169.254"];

/// Services whose drivers do, and take no address from what a server says.
const CLOUDS: &[&str] = &["azblob", "azdls", "azfile", "cos", "gcs", "obs", "oss", "tos"];

/// What one store may connect to.
pub(super) struct Guard {
    site: Arc<Site>,
    /// The host of the store's endpoint, where it has one.
    home: Option<String>,
    /// Whether its driver may ask for keys.
    cloud: bool,
    /// The insides that this host is at.
    inside: Mutex<Vec<Inside>>,
}

impl Guard {
    /// Of a store of the service `scheme` whose endpoint is this URL.
    pub(super) fn new(site: &Arc<Site>, scheme: &str, endpoint: Option<&str>) -> Self {
        let home = endpoint.and_then(|endpoint| {
            // OpenDAL takes one without a scheme, too.
            let url = Url::parse(endpoint).ok().filter(Url::has_host);
            let url = url.or_else(|| Url::parse(&format!("http://{endpoint}")).ok())?;
            Some(bare(url.host_str()?))
        });
        let inside = home.as_deref().and_then(|home| home.parse().ok()).and_then(Inside::of);
        Self {
            site: Arc::clone(site),
            home,
            cloud: CLOUDS.contains(&scheme),
            inside: Mutex::new(inside.into_iter().collect()),
        }
    }

    /// Looks at a URL before it is asked. `led`: somebody else than the driver of the service named it.
    ///
    /// Errors: it is inside.
    pub(super) async fn pass(&self, url: &Url, led: bool) -> Result<()> {
        let Some(host) = url.host_str().map(bare) else { return Ok(()) };
        if self.is_home(&host) || (!led && self.has_keys(&host)) {
            return Ok(());
        }
        let addresses: Vec<IpAddr> = match host.parse() {
            Ok(address) => vec![address],
            // A direct connection is looked at as it is made. A proxy resolves names by itself; what they mean here is the
            // best that can be known of them.
            Err(_) if self.goes_by_proxy(url, &host) => match tokio::net::lookup_host((host.as_str(), 0)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(_) => return Ok(()),
            },
            Err(_) => return Ok(()),
        };
        for address in addresses {
            if let Some(inside) = self.refuses(address).await {
                return Err(Error::new(ErrorKind::PermissionDenied, words(&host, address, inside)));
            }
        }
        Ok(())
    }

    fn is_home(&self, host: &str) -> bool {
        self.home.as_deref() == Some(host)
    }

    fn has_keys(&self, host: &str) -> bool {
        self.cloud && METADATA.contains(&host)
    }

    fn goes_by_proxy(&self, url: &Url, host: &str) -> bool {
        let port = url.port_or_known_default().unwrap_or(80);
        self.site.proxies().to(url.scheme() == "https", host, port).is_ok_and(|proxy| proxy.is_some())
    }

    /// The kind of inside that forbids an address.
    async fn refuses(&self, address: IpAddr) -> Option<Inside> {
        let inside = Inside::of(address)?;
        if self.inside.lock().unwrap_or_else(PoisonError::into_inner).contains(&inside) {
            return None;
        }
        let site = Arc::clone(&self.site);
        let allowed = tokio::task::spawn_blocking(move || site.allows(address)).await;
        (!allowed.unwrap_or(false)).then_some(inside)
    }

    async fn resolve(
        &self,
        name: &str,
    ) -> std::result::Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
        let name = bare(name);
        if self.is_home(&name) {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            *inside = found.iter().filter_map(|address| Inside::of(address.ip())).collect();
            return Ok(found);
        }
        if self.site.proxies().has(&name) || self.has_keys(&name) {
            return Ok(found);
        }
        let mut good = Vec::with_capacity(found.len());
        let mut why = None;
        for address in found {
            match self.refuses(address.ip()).await {
                None => good.push(address),
                Some(inside) => why = Some(words(&name, address.ip(), inside)),
            }
        }
        match why {
            Some(why) if good.is_empty() => Err(why.into()),
            _ => Ok(good),
        }
    }
}

fn words(host: &str, address: IpAddr, inside: Inside) -> String {
    let at = if host.parse::<IpAddr>().is_ok() { String::new() } else { format!(" ({host})") };
    format!(
        "the service leads to {address}{at}, a {} address, where it is not itself; annex.security.allowed-ip-addresses may allow it",
        inside.as_str()
    )
}

/// A host as it is compared: without brackets, in small letters.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

/// A [`Guard`] as reqwest asks it.
pub(super) struct Resolver(pub(super) Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = guard.resolve(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(guard: &Guard, url: &str, led: bool) -> bool {
        let url = Url::parse(url).expect("a url");
        crate::sys::run(false, guard.pass(&url, led)).expect("a runtime").is_ok()
    }

    fn of(endpoint: Option<&str>) -> Guard {
        Guard::new(&Arc::default(), "http", endpoint)
    }

    #[test]
    fn nobody_is_led_inside() {
        let far = of(Some("https://93.184.216.34/x"));
        for inside in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0/",
        ] {
            assert!(!passes(&far, inside, true), "{inside}");
        }
        assert!(passes(&far, "https://93.184.216.34:8443/y", true), "its own host");
        assert!(passes(&far, "http://8.8.8.8/", true), "another one outside");
        let cloud = Guard::new(&Arc::default(), "gcs", None);
        let keys = "http://169.254.169.254/computeMetadata/v1/";
        assert!(passes(&cloud, keys, false), "for the driver of a cloud");
        assert!(!passes(&cloud, keys, true) && !passes(&far, keys, false), "and for nobody else");
        assert!(!passes(&far, "http://10.0.0.1/", false), "an address that the service told its driver");
    }

    #[test]
    fn who_is_inside_leads_to_its_own_kind() {
        let private = of(Some("10.1.1.1:8080"));
        assert!(passes(&private, "http://10.1.1.1/", true) && passes(&private, "http://192.168.5.5/", true));
        assert!(!passes(&private, "http://127.0.0.1/", true) && !passes(&private, "http://169.254.169.254/", true));
        let here = of(Some("http://127.0.0.1:1234/"));
        assert!(passes(&here, "http://127.0.0.2/", true) && !passes(&here, "http://10.0.0.1/", true));
    }

    #[test]
    fn names_are_looked_at_as_they_resolve() {
        let resolved = |guard: &Guard, name: &str| crate::sys::run(false, guard.resolve(name)).expect("a runtime");
        let e = resolved(&of(Some("http://93.184.216.34")), "localhost").expect_err("led here").to_string();
        assert!(e.contains("loopback") && e.contains("localhost"), "{e}");
        let home = of(Some("http://localhost:80/"));
        assert!(resolved(&home, "localhost").is_ok());
        assert!(passes(&home, "http://127.0.0.1/", true), "where it is itself");
        assert!(!passes(&home, "http://10.0.0.1/", true));
    }

    #[test]
    fn what_the_setting_allows_is_allowed() {
        let settings: crate::site::Settings = Arc::new(|_, _| vec!["10.0.0.1".into()]);
        let site = Arc::new(Site::new(&|_| None, Some(settings)));
        let guard = Guard::new(&site, "http", Some("https://93.184.216.34/"));
        assert!(passes(&guard, "http://10.0.0.1/", true) && !passes(&guard, "http://10.0.0.2/", true));
    }
}
