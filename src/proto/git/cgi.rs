//! What a CGI program says before its body: RFC 3875, section 6.

/// Longest head of a CGI program that is taken, in bytes.
pub const LONGEST: usize = 8 << 10;

/// What the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgiHead {
    /// The status; 200 where none is named.
    pub status: u16,
    /// Which of [`TYPES`] the body is; `None` for all others.
    pub media: Option<&'static str>,
}

/// The head is malformed, or longer than [`LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCgi;

/// The types that `git http-backend` answers with; of all others it is not told.
const TYPES: [&str; 4] = [
    "application/x-git-upload-pack-advertisement",
    "application/x-git-upload-pack-result",
    "application/x-git-receive-pack-advertisement",
    "application/x-git-receive-pack-result",
];

/// Reads a head from the front of `bytes`: the head and its length, or `None` where its end has not come.
///
/// # Errors
///
/// [`BadCgi`].
pub fn parse(bytes: &[u8]) -> Result<Option<(CgiHead, usize)>, BadCgi> {
    let (mut head, mut at) = (CgiHead { status: 200, media: None }, 0);
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if bytes.len() >= LONGEST { Err(BadCgi) } else { Ok(None) };
        };
        at += end + 1;
        if at > LONGEST {
            return Err(BadCgi);
        }
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        if line.is_empty() {
            return Ok(Some((head, at)));
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BadCgi)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            let digits = value.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(BadCgi)?;
            head.status = digits.parse().ok().filter(|status| (200..600).contains(status)).ok_or(BadCgi)?;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            head.media = TYPES.into_iter().find(|known| known.as_bytes() == value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_up_to_the_empty_line_and_no_further() {
        let upload = Some("application/x-git-upload-pack-result");
        for (bytes, expected) in [
            ("Content-Type: application/x-git-upload-pack-result\r\n\r\nPACK", Ok(Some((200, upload, 54)))),
            ("content-type: application/x-git-upload-pack-result\n\nPACK", Ok(Some((200, upload, 52)))),
            ("Status: 403 Forbidden\r\nExpires: x\r\n\r\n", Ok(Some((403, None, 37)))),
            ("Content-Type: text/html\r\n\r\n", Ok(Some((200, None, 27)))),
            ("\r\n", Ok(Some((200, None, 2)))),
            ("Status: 200 OK\r\n", Ok(None)),
            ("", Ok(None)),
            ("Status: 99\r\n\r\n", Err(BadCgi)),
            ("Status: 999 x\r\n\r\n", Err(BadCgi)),
            ("nonsense\r\n\r\n", Err(BadCgi)),
        ] {
            let got = parse(bytes.as_bytes()).map(|head| head.map(|(head, at)| (head.status, head.media, at)));
            assert_eq!(got, expected, "{bytes:?}");
        }
        assert_eq!(parse(&[b'x'; LONGEST]), Err(BadCgi));
        let long = format!("X: {}\r\n\r\n", "x".repeat(LONGEST));
        assert_eq!(parse(long.as_bytes()), Err(BadCgi));
    }
}
