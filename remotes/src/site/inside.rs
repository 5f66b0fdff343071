//! Internal addresses: those that mean this computer or this network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of inside an address is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// This computer.
    Loopback,
    /// This network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// This cable; clouds keep the keys of a computer there.
    LinkLocal,
    /// No one computer's.
    Nobody,
}

impl Inside {
    /// `None` for an address that means the same everywhere.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(address) => Self::of_v4(address),
                None => Self::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = address.octets();
        Some(match (a, b) {
            (127, _) => Self::Loopback,
            // Where somebody listens on all addresses, this is one of them.
            (0, _) => Self::Loopback,
            (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Self::Private,
            (169, 254) => Self::LinkLocal,
            (224.., _) => Self::Nobody,
            _ => return None,
        })
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        Some(match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            [0xfc00..=0xfdff, ..] => Self::Private,
            // The second is what was private before 2004.
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfec0..=0xfeff, ..] => Self::Private,
            [0xff00..=0xffff, ..] => Self::Nobody,
            _ => return None,
        })
    }

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Nobody => "reserved",
        }
    }
}

/// The older address that another stands for: mapped, compatible, translated (RFC 6052), 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Addresses that may be connected to though they are inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    all: bool,
    addresses: Vec<IpAddr>,
}

impl Allowed {
    /// Addresses with blanks between them, or `all`. What is neither allows nothing.
    pub(super) fn parse(text: &str) -> Self {
        let addresses = text.split_whitespace().filter_map(|word| {
            word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word).parse().ok()
        });
        Self { all: text.trim() == "all", addresses: addresses.collect() }
    }

    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.all || self.addresses.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_inside_however_they_are_written() {
        for (address, expected) in [
            ("127.0.0.1", Some(Inside::Loopback)),
            ("127.255.0.9", Some(Inside::Loopback)),
            ("0.0.0.0", Some(Inside::Loopback)),
            ("10.0.0.1", Some(Inside::Private)),
            ("172.16.0.1", Some(Inside::Private)),
            ("172.31.255.255", Some(Inside::Private)),
            ("172.32.0.1", None),
            ("192.168.1.1", Some(Inside::Private)),
            ("192.169.1.1", None),
            ("100.64.0.1", Some(Inside::Private)),
            ("100.128.0.1", None),
            ("169.254.169.254", Some(Inside::LinkLocal)),
            ("224.0.0.1", Some(Inside::Nobody)),
            ("255.255.255.255", Some(Inside::Nobody)),
            ("93.184.216.34", None),
            ("::1", Some(Inside::Loopback)),
            ("::", Some(Inside::Loopback)),
            ("fe80::1", Some(Inside::LinkLocal)),
            ("fd00:ec2::254", Some(Inside::Private)),
            ("fec0::1", Some(Inside::Private)),
            ("ff02::1", Some(Inside::Nobody)),
            ("2606:4700::1111", None),
            ("::ffff:127.0.0.1", Some(Inside::Loopback)),
            ("::ffff:8.8.8.8", None),
            ("::10.0.0.1", Some(Inside::Private)),
            ("64:ff9b::a9fe:a9fe", Some(Inside::LinkLocal)),
            ("2002:7f00:1::", Some(Inside::Loopback)),
        ] {
            assert_eq!(Inside::of(address.parse().expect("an address")), expected, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_said_as_to_git_annex() {
        let allows = |text: &str, address: &str| Allowed::parse(text).allows(address.parse().expect("an address"));
        assert!(allows("127.0.0.1 ::1", "::1") && allows("[::1]", "::1") && allows(" all ", "10.0.0.1"));
        assert!(!allows("", "127.0.0.1") && !allows("127.0.0.2", "127.0.0.1") && !allows("all 1.2.3.4", "127.0.0.1"));
        assert!(!allows("nonsense 10.0.0.", "10.0.0.1"));
    }
}
