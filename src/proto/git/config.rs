//! What git-annex is told when it asks a remote over HTTP for its configuration: made for the purpose, never the real file.
//!
//! git-annex takes `annex.uuid` from it, and from `annex.url` where the content is. Source: git-annex's `annex.url`, and what
//! 10.20261026 does when it is asked to `init` in a clone over HTTP.

use annex_types::percent;

use crate::name::Uuid;

/// Longest Host that is written into an answer, in bytes.
const LONGEST_HOST: usize = 300;

/// The port of a scheme where none is named. git-annex takes 9417 then, so it has to be.
fn port_of(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Where the content of the repository at `prefix` is, for one who asked `host`; `None` where that is nothing that could be told.
///
/// ```text
/// HOST, nothing           -->  annex+http://HOST:PORT/git-annex
/// HOST, PREFIX            -->  annex+http://HOST:PORT/PREFIX
/// ```
pub fn url_of(host: &[u8], secure: bool, prefix: &[u8]) -> Option<String> {
    let host = std::str::from_utf8(host).ok().filter(|host| is_authority(host))?;
    let scheme = if secure { "https" } else { "http" };
    let named = match host.rsplit_once(':') {
        Some((_, port)) => port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty(),
        None => false,
    };
    let port = if named { String::new() } else { format!(":{}", port_of(secure)) };
    Some(below(&format!("annex+{scheme}://{host}{port}"), prefix))
}

/// Where it is below a url that is known to all: `https://annex.example.org/some/where`.
pub fn url_below(public: &PublicUrl, prefix: &[u8]) -> String {
    below(&public.0, prefix)
}

/// Where git-annex looks for it below `base`.
fn below(base: &str, prefix: &[u8]) -> String {
    // It is encoded already, as the client sent it.
    let mut url = format!("{base}{}", percent::encode(prefix, b"/%+@"));
    // git-annex adds `/git-annex/` to a path, unless it ends so.
    let has_path = url.splitn(4, '/').nth(3).is_some_and(|path| !path.is_empty());
    if !has_path || url.ends_with("/git-annex") {
        url.push_str("/git-annex");
    }
    url
}

/// The url that clients have, as `--public-url` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads `http://HOST` or `https://HOST`, perhaps with a port and a path.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: give it as https://annex.example.org or http://host:port/path");
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong()),
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%+@".contains(&byte);
        if !is_authority(host) || !path.bytes().all(plain) {
            return Err(wrong());
        }
        let host = url_of(host.as_bytes(), secure, b"").ok_or_else(wrong)?;
        Ok(Self(host.strip_suffix("/git-annex").unwrap_or(&host).to_string() + path))
    }
}

/// `NAME`, `NAME:PORT`, `[IPV6]` or `[IPV6]:PORT`, and nothing that means something in a url or a configuration.
fn is_authority(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)) => {
                (address, port)
            }
            _ => return false,
        },
        None => {
            let at = host.find(':').unwrap_or(host.len());
            if !host[..at].bytes().all(plain) {
                return false;
            }
            host.split_at(at)
        }
    };
    let port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !name.is_empty() && host.len() <= LONGEST_HOST && port
}

/// The configuration: who the repository is, and where its content is.
pub fn write(uuid: &Uuid, url: &str) -> Vec<u8> {
    let mut out = b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n[annex]\n\tuuid = ".to_vec();
    quote(uuid.as_bytes(), &mut out);
    out.extend_from_slice(b"\n\turl = ");
    quote(url.as_bytes(), &mut out);
    out.push(b'\n');
    out
}

fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0 => {}
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_the_port_that_git_annex_would_not_guess() {
        for (host, secure, prefix, url) in [
            ("h:9417", false, "", Some("annex+http://h:9417/git-annex")),
            ("h", false, "/a/git-annex", Some("annex+http://h:80/a/git-annex/git-annex")),
            ("h", false, "/a", Some("annex+http://h:80/a")),
            ("h", true, "/a/b.git", Some("annex+https://h:443/a/b.git")),
            ("[::1]", true, "", Some("annex+https://[::1]:443/git-annex")),
            ("[::1]:8", true, "", Some("annex+https://[::1]:8/git-annex")),
            ("h", true, "/a%20b\"\\", Some("annex+https://h:443/a%20b%22%5C")),
            ("h:", true, "", None),
            ("h:99999", true, "", None),
            ("h/x", true, "", None),
            ("u@h", true, "", None),
            ("h\n[alias]", true, "", None),
            ("[::1", true, "", None),
            ("", true, "", None),
        ] {
            assert_eq!(url_of(host.as_bytes(), secure, prefix.as_bytes()).as_deref(), url, "{host}");
        }
    }

    #[test]
    fn a_public_url_may_have_a_path() {
        let below = |text| PublicUrl::parse(text).map(|public| url_below(&public, b"/a.git"));
        for (text, url) in [
            ("https://annex.example.org", "annex+https://annex.example.org:443/a.git"),
            ("https://annex.example.org/", "annex+https://annex.example.org:443/a.git"),
            ("http://h:8080/x/y/", "annex+http://h:8080/x/y/a.git"),
            ("http://h:8080/git-annex", "annex+http://h:8080/git-annex/a.git"),
        ] {
            assert_eq!(below(text).as_deref(), Ok(url));
        }
        for text in ["h", "ftp://h", "https://", "https://u@h", "https://h/ x", "https://h/?x", "annex+https://h"] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_in_it_can_begin_another_setting() {
        let uuid = Uuid::parse(b"a\"b\\c").expect("a uuid");
        let text = write(&uuid, "annex+http://h:1/git-annex/");
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.ends_with("[annex]\n\tuuid = \"a\\\"b\\\\c\"\n\turl = \"annex+http://h:1/git-annex/\"\n"),
            "{text}"
        );
    }
}
