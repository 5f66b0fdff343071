//! Names and passwords as HTTP's Basic scheme brings them. Source: RFC 7617.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A name and a password that were sent; nothing is known of them yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, without a colon.
    pub name: Vec<u8>,
    /// The password.
    pub password: Password,
}

/// A password, which no `Debug` shows and which is compared in the same time whether it is right or not.
#[derive(Clone)]
pub struct Password(Vec<u8>);

/// The header is not `Basic BASE64`, or holds no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCredentials;

impl Credentials {
    /// Reads the value of an Authorization header.
    ///
    /// Everything after the first colon is the password; without a colon it is empty, as git-annex reads it.
    ///
    /// # Errors
    ///
    /// [`BadCredentials`].
    pub fn parse(value: &[u8]) -> Result<Self, BadCredentials> {
        let (scheme, rest) = value.split_at_checked(5).ok_or(BadCredentials)?;
        let encoded = rest.strip_prefix(b" ").ok_or(BadCredentials)?.trim_ascii();
        if !scheme.eq_ignore_ascii_case(b"basic") || encoded.is_empty() {
            return Err(BadCredentials);
        }
        let both = STANDARD.decode(encoded).map_err(|_| BadCredentials)?;
        if std::str::from_utf8(&both).is_err() {
            return Err(BadCredentials);
        }
        let colon = both.iter().position(|byte| *byte == b':').unwrap_or(both.len());
        let password = both.get(colon + 1..).unwrap_or_default().to_vec();
        Ok(Self { name: both[..colon].to_vec(), password: Password(password) })
    }
}

impl Credentials {
    /// What follows `Basic ` in an Authorization header. Not for any log.
    pub(crate) fn encode(&self) -> String {
        STANDARD.encode([&self.name, &b":"[..], &self.password.0].concat())
    }
}

impl Password {
    /// Keeps `bytes` out of sight.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever has to give them on. Not for any log.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Password {
    /// Takes as long for a wrong password as for the right one of the same length.
    fn eq(&self, other: &Self) -> bool {
        let differ = self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
        self.0.len() == other.0.len() && differ == 0
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name too: people type passwords where names belong.
        f.write_str("Credentials(REDACTED)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_git_annex_reads_them() {
        type Parts<'a> = (&'a [u8], &'a [u8]);
        let table: [(&[u8], Option<Parts<'_>>); 14] = [
            (b"Basic YWxpY2U6cHcx", Some((b"alice", b"pw1"))),
            (b"basic YWxpY2U6cHcx", Some((b"alice", b"pw1"))),
            (b"BASIC  YWxpY2U6cHcx", Some((b"alice", b"pw1"))),
            (b"Basic YWw6aWNlOnB3", Some((b"al", b"ice:pw"))),
            (b"Basic YWxpY2U=", Some((b"alice", b""))),
            (b"Basic Og==", Some((b"", b""))),
            (b"Basic YWxpY2U6cHc", None),
            (b"Basic YTpw/w==", None),
            (b"Basic !!!", None),
            (b"Basic ", None),
            (b"Basic", None),
            (b"BasicYWxpY2U6cHcx", None),
            (b"Bearer abc", None),
            (b"", None),
        ];
        for (value, expected) in table {
            let expected = expected
                .map(|(name, password)| Credentials { name: name.to_vec(), password: Password::new(password.to_vec()) })
                .ok_or(BadCredentials);
            assert!(Credentials::parse(value) == expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn nothing_of_a_password_is_shown() {
        let credentials = Credentials::parse(b"Basic YWxpY2U6cHcx").expect("they are well formed");
        assert_eq!(format!("{credentials:?} {:?}", credentials.password), "Credentials(REDACTED) REDACTED");
    }

    #[test]
    fn passwords_are_equal_only_when_all_of_them_is() {
        let password = |text: &str| Password::new(text.into());
        assert_eq!(password("pw1"), password("pw1"));
        for other in ["", "pw", "pw12", "pw2", "Pw1"] {
            assert_ne!(password("pw1"), password(other));
        }
    }
}
