//! Requests from web pages of other origins, which a browser may be made to send.
//!
//! A browser sends the requests of any page to any server, with the passwords that it keeps for that server. It tells where
//! the page is from: `Origin` stands in every POST, and `Sec-Fetch-Site` in every request to HTTPS or to localhost. A page
//! whose own name was made to mean 127.0.0.1 (DNS rebinding) is of the same origin as what it asks, and its name stands in
//! `Host`. No client but a browser sends any of this, so none is refused for it. No answer has CORS headers: what a foreign
//! page may ask for, it cannot read.

// Of core, where they are names alone.
use core::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::head::{Head, Method};

/// What is known of the connection that a request comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    /// It came over TLS, so that a page of the same origin did, too.
    pub secure: bool,
    /// Only names of this computer are answered for: it came in the clear over loopback, where anyone may do everything.
    pub loopback_names: bool,
    /// Beside those, names of a web server or forge in front, which passes on what clients asked it as.
    pub names: &'static [String],
}

/// Why a request is refused that a web page may have made. Its body is not to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A page of another origin asks for something that may change something.
    Page,
    /// It is for a name that is not this computer's.
    Name,
}

impl Foreign {
    /// One line for whoever sees the answer.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Page => {
                "a web page of another origin may not ask for this (a web server in front has to pass Host on as it came)"
            }
            Self::Name => {
                "with --wideopen, requests over loopback are answered only for localhost, 127.0.0.1 and [::1]: another \
                 name may be a web page's (for that of a web server or forge in front: --host NAME, STREAM_HOST=NAME, or --socket)"
            }
        }
    }
}

impl Guard {
    /// Whether the request of `head` may be looked at any further.
    ///
    /// # Errors
    ///
    /// [`Foreign`], for 403.
    pub fn admit(&self, head: &Head<'_>) -> Result<(), Foreign> {
        let asked = &head.origins;
        // All that changes something, and much that does not, is asked by POST.
        let reads = matches!(head.method, Method::Get | Method::Head);
        // A browser tells the origin of every POST, and a page on the web has a name with a dot.
        let may_be_a_page = |host| reads || asked.origin.is_some() || asked.fetch_site.is_some() || !is_bare(host);
        let is_known = |host| is_loopback(host) || self.has(host);
        if self.loopback_names && asked.host.is_some_and(|host| !is_known(host) && may_be_a_page(host)) {
            return Err(Foreign::Name);
        }
        if reads {
            return Ok(());
        }
        // Another name or port of the same site is another program, or another person's page.
        if asked.fetch_site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
            return Err(Foreign::Page);
        }
        let Some(origin) = asked.origin else { return Ok(()) };
        let first = asked.forwarded_host.and_then(|hosts| hosts.split(|byte| *byte == b',').next());
        let hosts = [asked.host, first.map(<[u8]>::trim_ascii)];
        if hosts.into_iter().flatten().any(|host| self.is_own(origin, host)) { Ok(()) } else { Err(Foreign::Page) }
    }

    /// Whether a Host is one of the names that were given.
    fn has(&self, host: &[u8]) -> bool {
        Authority::parse(host).is_some_and(|host| self.names.iter().any(|name| name.eq_ignore_ascii_case(host.name)))
    }

    /// Whether a page of `origin` came from here, asked as `host`.
    fn is_own(&self, origin: &[u8], host: &[u8]) -> bool {
        // `null`, and what is no web server's, come from nobody who is known.
        let (authority, port) = match (origin.strip_prefix(b"https://"), origin.strip_prefix(b"http://")) {
            (Some(authority), _) => (authority, 443),
            (None, Some(authority)) if !self.secure => (authority, 80),
            _ => return false,
        };
        match (Authority::parse(authority), Authority::parse(host)) {
            (Some(page), Some(host)) => {
                page.name.eq_ignore_ascii_case(host.name) && page.port.unwrap_or(port) == host.port.unwrap_or(port)
            }
            _ => false,
        }
    }
}

/// `NAME`, `NAME:PORT`, `[IPV6]` or `[IPV6]:PORT`.
struct Authority<'a> {
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, rest) = text.split_at(end);
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            // As it is written in a url: nothing but digits.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(u16::from_str(port).ok()?),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { name, port })
    }
}

/// Whether a Host is a name of this computer that nobody else can give to theirs.
fn is_loopback(host: &[u8]) -> bool {
    let Some(Authority { name, .. }) = Authority::parse(host) else { return false };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match literal {
        Some(literal) => Ipv6Addr::from_str(literal).is_ok_and(|address| address.to_canonical().is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || IpAddr::from_str(name).is_ok_and(|address| address.is_ipv4() && address.is_loopback())
        }
    }
}

/// Whether a Host is one word, which nobody on the web can register. Scripts send such.
fn is_bare(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
