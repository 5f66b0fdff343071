//! `proxy.log`: which remotes are reached through which repository.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// A remote as its proxy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// Who it is.
    pub uuid: Uuid,
    /// What the proxy calls it.
    pub name: Vec<u8>,
}

/// `proxy.log`, read. Lines are `TIME PROXYUUID UUID:name UUID:name`; the newest line of a proxy counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyLog {
    proxies: BTreeMap<Uuid, (Stamp, Vec<Proxied>)>,
}

impl ProxyLog {
    /// Reads a log. Lines and remotes that make no sense are left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut proxies = BTreeMap::new();
        for (stamp, proxy, offers) in lines(log).filter_map(parse_line) {
            let newer = proxies.get(&proxy).is_none_or(|(have, _)| stamp > *have);
            if newer {
                proxies.insert(proxy, (stamp, offers));
            }
        }
        Self { proxies }
    }

    /// What `proxy` offers; nothing where it is no proxy.
    pub fn proxied(&self, proxy: &Uuid) -> &[Proxied] {
        self.proxies.get(proxy).map_or(&[], |(_, offers)| offers)
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Uuid, Vec<Proxied>)> {
    let (stamp, rest) = cut(line)?;
    let (proxy, offers) = cut(rest).unwrap_or((rest, b""));
    let offers = offers
        .split(|byte| *byte == b' ')
        .filter_map(|word| {
            let at = word.iter().position(|byte| *byte == b':')?;
            Some(Proxied { uuid: Uuid::parse(&word[..at]).ok()?, name: word[at + 1..].to_vec() })
        })
        .collect();
    Some((Stamp::parse(stamp)?, Uuid::parse(proxy).ok()?, offers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_line_of_a_proxy_counts() {
        let log = ProxyLog::parse(b"5s gw d1:d1 d2:AMS-n:1 :x y\n9s gw d1:one\n7s gw\nbad\n3s other\n");
        let proxied = |uuid: &[u8]| -> Vec<String> {
            let of = log.proxied(&Uuid::parse(uuid).expect("a uuid"));
            of.iter().map(|remote| format!("{}={}", remote.uuid, remote.name.escape_ascii())).collect()
        };
        assert_eq!(proxied(b"gw"), ["d1=one"]);
        assert!(proxied(b"other").is_empty() && proxied(b"nobody").is_empty());
        let log = ProxyLog::parse(b"5s gw d1:d1 d2:AMS-n:1 :x y\n");
        let names: Vec<&[u8]> = log.proxied(&Uuid::parse(b"gw").expect("a uuid")).iter().map(|r| &r.name[..]).collect();
        assert_eq!(names, [&b"d1"[..], b"AMS-n:1"]);
    }
}
