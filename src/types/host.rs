//! Hosts and ports, as urls and settings have them.

/// The host of `place`, and what stands for its port: of `host`, `host:port`, `[::1]` and `[::1]:port`. `None` where a bracket is
/// not closed, or something else follows it. Whether the port is one is for others to judge; without brackets all that
/// follows the first colon stands for it.
pub fn split(place: &str) -> Option<(&str, Option<&str>)> {
    match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            Some((host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) }))
        }
        None => Some(place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)))),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn brackets_hold_addresses_and_colons_part_ports() {
        for (place, parts) in [
            ("h", Some(("h", None))),
            ("h:80", Some(("h", Some("80")))),
            ("h:", Some(("h", Some("")))),
            ("a:b:c", Some(("a", Some("b:c")))),
            ("[::1]", Some(("::1", None))),
            ("[::1]:80", Some(("::1", Some("80")))),
            ("[::1", None),
            ("[::1]80", None),
            ("", Some(("", None))),
        ] {
            assert_eq!(split(place), parts, "{place}");
        }
    }
}
