//! Which proxy a connection goes by: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, as curl reads them.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use annex_types::percent;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The proxies of a site, as the environment names them.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    all: Option<Named>,
    /// `no_proxy`.
    exceptions: Vec<Exception>,
}

/// What a variable says.
#[derive(Clone)]
struct Named {
    variable: &'static str,
    /// Why it is invalid, where it is.
    proxy: Result<Proxy, &'static str>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that names it.
    pub variable: &'static str,
    /// Whether it is itself reached over TLS.
    pub tls: bool,
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and password, as the URL has them.
    login: Option<String>,
}

/// What goes by no proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everything,
    /// An address, or all that begin with so many of its bits.
    Network(IpAddr, u8),
    /// A name and all below it; one port of them, or all.
    Domain(String, Option<u16>),
    /// One port of an address.
    Address(IpAddr, u16),
}

impl Proxies {
    /// Reads the variables, in small letters or else in capital ones. Empty is not set.
    pub(super) fn read(environment: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| environment(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let named = |names: &[&'static str]| {
            let (variable, value) = names.iter().find_map(|name| Some((*name, text(name)?)))?;
            Some(Named { variable, proxy: Proxy::parse(variable, value.trim()) })
        };
        // A web server hands the header `Proxy:` of any request to the programs it starts as HTTP_PROXY (httpoxy).
        let is_cgi = environment("REQUEST_METHOD").is_some();
        let exceptions = text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default();
        Self {
            http: named(if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] }),
            https: named(&["https_proxy", "HTTPS_PROXY"]),
            all: named(&["all_proxy", "ALL_PROXY"]),
            exceptions: exceptions.split([',', ' ', '\t']).filter_map(Exception::parse).collect(),
        }
    }

    /// The proxy that a connection to `host` goes by, if any. `tls`: the connection is to speak TLS.
    ///
    /// # Errors
    ///
    /// The variable that names one is invalid.
    pub fn to(&self, tls: bool, host: &str, port: u16) -> Result<Option<Proxy>, String> {
        let own = if tls { &self.https } else { &self.http };
        let Some(named) = own.as_ref().or(self.all.as_ref()) else { return Ok(None) };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.');
        if self.exceptions.iter().any(|exception| exception.covers(host, port)) {
            return Ok(None);
        }
        match &named.proxy {
            Ok(proxy) => Ok(Some(proxy.clone())),
            Err(why) => Err(format!("{}= {why}", named.variable)),
        }
    }

    /// Whether `host` is that of one of them.
    pub fn has(&self, host: &str) -> bool {
        let proxies = [&self.http, &self.https, &self.all].into_iter().flatten();
        proxies.filter_map(|named| named.proxy.as_ref().ok()).any(|proxy| proxy.host.eq_ignore_ascii_case(host))
    }
}

impl Proxy {
    fn parse(variable: &'static str, value: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other if other.starts_with("socks") => {
                return Err("names a SOCKS proxy, which is not supported; name an HTTP proxy");
            }
            _ => return Err("does not name an HTTP proxy: it must be http://HOST:PORT"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login.to_string()).filter(|login| !login.is_empty()), place),
            None => (None, authority),
        };
        let odd = "is invalid: it must be http://HOST:PORT";
        let (host, port) = split_port(place).ok_or(odd)?;
        let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        if host.is_empty() || host.contains(is_odd) || login.as_deref().is_some_and(|l| l.contains(char::is_whitespace))
        {
            return Err(odd);
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { variable, tls, host: host.into(), port, login })
    }

    /// The value of `Proxy-Authorization`, where it has a name and a password.
    pub fn authorization(&self) -> Option<String> {
        let (name, password) = self.name_and_password()?;
        Some(format!("Basic {}", BASE64_STANDARD.encode([&name[..], b":", &password[..]].concat())))
    }

    fn name_and_password(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (name, password) = self.login.as_deref().map(|l| l.split_once(':').unwrap_or((l, "")))?;
        Some((percent::decode(name.as_bytes()).into_owned(), percent::decode(password.as_bytes()).into_owned()))
    }

    /// Its URL, with name and password: a secret.
    pub fn url(&self) -> String {
        let login = self.login.as_ref().map_or(String::new(), |login| format!("{login}@"));
        format!("{}://{login}{}", if self.tls { "https" } else { "http" }, self.place())
    }

    fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// For people: without name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{} ({})", if self.tls { "https" } else { "http" }, self.place(), self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxies = [&self.http, &self.https, &self.all].into_iter().flatten();
        f.debug_list().entries(proxies.filter_map(|named| named.proxy.as_ref().ok())).finish()
    }
}

impl Exception {
    fn parse(word: &str) -> Option<Self> {
        let word = word.trim();
        if word == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = word.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.trim_matches(['[', ']']).parse(), bits.parse())
        {
            return Some(Self::Network(address, bits));
        }
        if let Ok(address) = word.trim_matches(['[', ']']).parse() {
            return Some(Self::Network(address, 128));
        }
        let (host, port) = split_port(word)?;
        if let (Ok(address), Some(port)) = (host.parse(), port) {
            return Some(Self::Address(address, port));
        }
        let name = host.strip_prefix("*").unwrap_or(host).trim_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(Self::Domain(name, port))
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>().ok();
        match self {
            Self::Everything => true,
            Self::Network(network, bits) => address.is_some_and(|address| is_within(address, *network, *bits)),
            Self::Address(wanted, at) => address == Some(*wanted) && port == *at,
            Self::Domain(_, Some(at)) if *at != port => false,
            Self::Domain(name, _) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(name.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32 - u32::from(bits.min(32));
            (u64::from(a.to_bits()) >> shift) == (u64::from(n.to_bits()) >> shift)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128 - u32::from(bits.min(128));
            let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
            cut(a.to_bits()) == cut(n.to_bits())
        }
        _ => false,
    }
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`. `None` where it is none of these.
pub(crate) fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place {
        // An address of its own has more colons.
        _ if !place.starts_with('[') && place.matches(':').count() > 1 => (place, None),
        _ => annex_types::host::split(place)?,
    };
    let digits = |port: &&str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(Some(port).filter(digits)?.parse().ok().filter(|port| *port > 0)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &'static [(&str, &str)]) -> Proxies {
        Proxies::read(&|name| set.iter().find(|(have, _)| *have == name).map(|(_, value)| value.into()))
    }

    fn url(set: &'static [(&str, &str)], tls: bool, host: &str) -> Option<String> {
        proxies(set).to(tls, host, if tls { 443 } else { 80 }).expect("makes sense").map(|proxy| proxy.url())
    }

    #[test]
    fn both_spellings_are_heeded_and_the_small_one_first() {
        let some = |text: &str| Some(text.to_string());
        assert_eq!(url(&[], false, "h"), None);
        assert_eq!(url(&[("http_proxy", "http://p:3128")], false, "h"), some("http://p:3128"));
        assert_eq!(url(&[("http_proxy", "http://p:3128")], true, "h"), None);
        assert_eq!(url(&[("HTTP_PROXY", "p:3128")], false, "h"), some("http://p:3128"));
        assert_eq!(url(&[("http_proxy", "a"), ("HTTP_PROXY", "b")], false, "h"), some("http://a:80"));
        assert_eq!(url(&[("http_proxy", ""), ("HTTP_PROXY", "b")], false, "h"), some("http://b:80"));
        assert_eq!(url(&[("HTTPS_PROXY", "https://p")], true, "h"), some("https://p:443"));
        assert_eq!(url(&[("all_proxy", "http://[::1]:1/x")], true, "h"), some("http://[::1]:1"));
        assert_eq!(url(&[("ALL_PROXY", "a"), ("https_proxy", "b")], true, "h"), some("http://b:80"));
        // A request of somebody else must not name the proxy.
        assert_eq!(url(&[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")], false, "h"), None);
        assert_eq!(url(&[("http_proxy", "p"), ("REQUEST_METHOD", "GET")], false, "h"), some("http://p:80"));
    }

    #[test]
    fn exceptions_are_names_addresses_and_networks() {
        for (no, host, port, direct) in [
            ("example.org", "example.org", 80, true),
            ("example.org", "s3.Example.ORG", 80, true),
            ("example.org", "s3.example.org.", 80, true),
            ("example.org", "notexample.org", 80, false),
            (".example.org", "a.example.org", 80, true),
            (".example.org", "example.org", 80, true),
            ("*.example.org", "a.example.org", 80, true),
            ("a, b c", "c", 80, true),
            ("a, b c", "d", 80, false),
            ("*", "anything", 80, true),
            ("h:8080", "h", 8080, true),
            ("h:8080", "h", 80, false),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/8", "name", 80, false),
            ("0.0.0.0/0", "1.2.3.4", 80, true),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1:81", "127.0.0.1", 80, false),
            ("::1", "[::1]", 80, true),
            ("[::1]:80", "::1", 80, true),
            ("fd00::/8", "fd12::1", 80, true),
            ("::/0", "::5", 80, true),
            ("", "h", 80, false),
            (",,", "h", 80, false),
        ] {
            let read = Proxies::read(&|name| match name {
                "all_proxy" => Some("p".into()),
                "NO_PROXY" => Some(no.into()),
                _ => None,
            });
            assert_eq!(
                read.to(false, host, port),
                if direct { Ok(None) } else { read.to(false, "x.y", 1) },
                "{no} {host}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_and_nothing_goes_around_it() {
        for value in
            ["socks5://p:1080", "ftp://p", "http://", "http://a b", "http://p:x", "http://p:0", "http://p:99999"]
        {
            let read = Proxies::read(&|name| (name == "https_proxy").then(|| value.into()));
            let why = read.to(true, "h", 443).expect_err(value);
            assert!(why.starts_with("https_proxy= "), "{why}");
            assert_eq!(read.to(false, "h", 80), Ok(None), "it concerns nobody else");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let proxy =
            proxies(&[("http_proxy", "http://me:s%3Acret@p:1")]).to(false, "h", 80).expect("sense").expect("one");
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p:1 (http_proxy) http://p:1 (http_proxy)");
        assert_eq!(proxy.authorization().as_deref(), Some("Basic bWU6czpjcmV0"));
        assert_eq!(proxy.url(), "http://me:s%3Acret@p:1");
    }

    #[test]
    fn ports_are_split_from_hosts() {
        for (place, expected) in [
            ("h", Some(("h", None))),
            ("h:1", Some(("h", Some(1)))),
            ("::1", Some(("::1", None))),
            ("[::1]", Some(("::1", None))),
            ("[::1]:9", Some(("::1", Some(9)))),
            ("h:", None),
            ("h:x", None),
            ("h:0", None),
            ("h:65536", None),
            ("[::1", None),
            ("[::1]9", None),
        ] {
            assert_eq!(split_port(place), expected, "{place}");
        }
    }
}
