//! `proxy.log`: which remotes are reached through which repository.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// A remote as its proxy knows it. Ordered by uuid, then by name, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxiedName {
    /// Who it is.
    pub uuid: Uuid,
    /// What the proxy calls it.
    pub name: Vec<u8>,
}

/// `proxy.log`, read. Lines are `TIME PROXYUUID UUID:name UUID:name`; the newest line of a proxy counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyLog {
    proxies: BTreeMap<Uuid, (Stamp, Vec<ProxiedName>)>,
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
    pub fn proxied(&self, proxy: &Uuid) -> &[ProxiedName] {
        self.proxies.get(proxy).map_or(&[], |(_, offers)| offers)
    }

    /// Who offers `remote`.
    pub fn proxies_of(&self, remote: &Uuid) -> impl Iterator<Item = &Uuid> {
        let offers = move |(_, offers): &(Stamp, Vec<ProxiedName>)| offers.iter().any(|offer| offer.uuid == *remote);
        self.proxies.iter().filter(move |(_, of_proxy)| offers(of_proxy)).map(|(proxy, _)| proxy)
    }

    /// Records that `proxy` offers `offers` from `now` on, in seconds since 1970.
    ///
    /// A name with white space in it would not be read back; whoever calls this leaves such out.
    pub fn offer(&mut self, proxy: &Uuid, mut offers: Vec<ProxiedName>, now: u64) {
        offers.sort_unstable();
        offers.dedup();
        let old = self.proxies.get(proxy).map_or(Stamp::UNKNOWN, |(stamp, _)| *stamp);
        self.proxies.insert(proxy.clone(), (old.after(now), offers));
    }

    /// The log as git-annex writes it: a line for each proxy, by uuid, and what it offers, by uuid and name. A proxy that
    /// offers nothing any more keeps its line, which ends in a space then.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (proxy, (stamp, offers)) in &self.proxies {
            let mut offers: Vec<&ProxiedName> = offers.iter().collect();
            offers.sort_unstable();
            out.extend_from_slice(stamp.to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(proxy.as_bytes());
            out.push(b' ');
            for (nth, ProxiedName { uuid, name }) in offers.into_iter().enumerate() {
                if nth > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(uuid.as_bytes());
                out.push(b':');
                out.extend_from_slice(name);
            }
            out.push(b'\n');
        }
        out
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Uuid, Vec<ProxiedName>)> {
    let (stamp, rest) = cut(line)?;
    let (proxy, offers) = cut(rest).unwrap_or((rest, b""));
    let offers = offers
        .split(|byte| *byte == b' ')
        .filter_map(|word| {
            let at = word.iter().position(|byte| *byte == b':')?;
            Some(ProxiedName { uuid: Uuid::parse(&word[..at]).ok()?, name: word[at + 1..].to_vec() })
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

    /// Recorded: git-annex 10.20261026 made this of such a log with `git annex updateproxy`, and of the last offer's end.
    #[test]
    fn a_changed_log_is_written_as_git_annex_writes_it() {
        let uuid = |bytes: &[u8]| Uuid::parse(bytes).expect("a uuid");
        let mut log = ProxyLog::parse(b"5s zzzz 1:a\n7s 0f2 2:b 1:a\n6s 0f2 junk\nrubbish line\n20s gw x:x\n");
        let offer = |of: &[u8], name: &[u8]| ProxiedName { uuid: uuid(of), name: name.to_vec() };
        log.offer(&uuid(b"gw"), vec![offer(b"d2", b"d2"), offer(b"d1", b"d1"), offer(b"d2", b"d2")], 10);
        assert_eq!(log.to_bytes().escape_ascii().to_string(), "7s 0f2 1:a 2:b\\n21s gw d1:d1 d2:d2\\n5s zzzz 1:a\\n");
        log.offer(&uuid(b"gw"), Vec::new(), 30);
        assert_eq!(log.to_bytes().escape_ascii().to_string(), "7s 0f2 1:a 2:b\\n30s gw \\n5s zzzz 1:a\\n");
        assert_eq!(ProxyLog::parse(&log.to_bytes()).to_bytes(), log.to_bytes());
    }
}
