//! Passwords as htpasswd and crypt(3) keep them: bcrypt, argon2 and SHA-crypt.

use std::fmt;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use sha_crypt::ShaCrypt;

/// Highest cost of bcrypt that is taken: some four seconds.
const MOST_COST: u32 = 16;

/// Most memory of argon2 that is taken, in KiB.
const MOST_MEMORY: u32 = 256 << 10;

/// Most passes of argon2 over that memory.
const MOST_PASSES: u32 = 16;

/// Most rounds of SHA-crypt that are taken.
const MOST_ROUNDS: u32 = 2_000_000;

/// The cost that new passwords get: a quarter of a second.
pub const COST: u32 = 12;

/// Longest password that bcrypt looks at, in bytes.
const LONGEST: usize = 72;

/// A password that is known by its hash. No `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bcrypt,
    Argon2,
    ShaCrypt,
    /// No password is right.
    Nothing,
}

impl Hash {
    /// Reads a hash, or `!` where no password is right.
    ///
    /// # Errors
    ///
    /// It is of another kind, or takes too long: why, and the way out.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let kind = match text {
            "!" | "*" => Kind::Nothing,
            _ if ["$2a$", "$2b$", "$2y$", "$2x$"].iter().any(|start| text.starts_with(start)) => {
                bcrypt_cost(text).ok_or("malformed bcrypt hash, or one of a cost above 16")?;
                Kind::Bcrypt
            }
            _ if text.starts_with("$argon2") => {
                let hash = PasswordHash::new(text).map_err(|_| "malformed argon2 hash")?;
                let params = Params::try_from(&hash).map_err(|_| "malformed argon2 hash")?;
                if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
                    return Err("this argon2 hash takes more than 256 MiB or 16 passes");
                }
                Kind::Argon2
            }
            _ if text.starts_with("$5$") || text.starts_with("$6$") => {
                let rounds = text[3..].strip_prefix("rounds=").map(|rest| rest.split('$').next().unwrap_or_default());
                let rounds = rounds.map_or(Some(5000), |digits| digits.parse().ok());
                if !rounds.is_some_and(|rounds| (1000..=MOST_ROUNDS).contains(&rounds)) {
                    return Err("malformed SHA-crypt hash, or one of more than 2,000,000 rounds");
                }
                Kind::ShaCrypt
            }
            _ if text.starts_with("$apr1$") || text.starts_with("{SHA}") || text.starts_with("$1$") => {
                return Err("this kind of hash is guessed too fast; make a new one: htpasswd -B, or users add");
            }
            _ => return Err("not a hash of bcrypt, argon2 or SHA-crypt; make one: htpasswd -B, or users add"),
        };
        Ok(Self { kind, text: text.to_string() })
    }

    /// The hash of a new password, with 16 bytes by chance.
    ///
    /// # Errors
    ///
    /// The password is empty, or longer than bcrypt looks at.
    pub fn new(password: &[u8], salt: [u8; 16], cost: u32) -> Result<Self, &'static str> {
        if password.is_empty() || password.len() > LONGEST || password.contains(&0) {
            return Err("a password has 1 to 72 bytes");
        }
        let parts = bcrypt::hash_with_salt(password, cost, salt).map_err(|_| "bcrypt refuses it")?;
        Ok(Self { kind: Kind::Bcrypt, text: parts.format_for_version(bcrypt::Version::TwoY) })
    }

    /// Whether `password` is the right one. Takes long: a tenth of a second, or seconds.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self.kind {
            Kind::Nothing => false,
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            Kind::Argon2 => PasswordHash::new(&self.text)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Kind::ShaCrypt => ShaCrypt::default().verify_password(password, self.text.as_str()).is_ok(),
        }
    }

    /// Whether any password could be right.
    pub fn is_nothing(&self) -> bool {
        self.kind == Kind::Nothing
    }

    /// As it stands in a file. Not for any log.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// The cost of a bcrypt hash, where all of it is as it should be.
fn bcrypt_cost(text: &str) -> Option<u32> {
    let mut parts = text.split('$').skip(2);
    let (cost, rest) = (parts.next()?, parts.next()?);
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    let cost = cost.parse().ok().filter(|_| cost.len() == 2)?;
    ((4..=MOST_COST).contains(&cost) && rest.len() == 53 && plain && parts.next().is_none()).then_some(cost)
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by crypt(3) of libxcrypt, and one of the tests of argon2's own implementation.
    const KNOWN: &[(&str, &str)] = &[
        (
            "pw1",
            "$6$rounds=1000$saltsalt$svJq6DOioIzwq4OOj.63XaDXy2/gdWDHj1.fZfnjmZVbhqTma84GKeGg6wybk9PvNH1QyiCsHH0cPE93YTAJ41",
        ),
        ("pw1", "$6$saltsalt$ljByVydwvD9EjwLvyqK9RM8bE0u2IQMdX.zp3L4dkbV7Tca8SHcfyhzcf9E46xT/KzPSGv7ktVQAJGngygr0M1"),
        ("pw1", "$5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7"),
        ("pw1", "$2b$04$abcdefghijklmnopqrstuu8HU3pu3uDNsZeZ4Putj36gAGMqThibC"),
        ("pw1", "$2y$05$abcdefghijklmnopqrstuuUO0ia.DNRpY0c0bDasaKMC9101OqwdW"),
        ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ];

    #[test]
    fn each_kind_is_told_by_its_beginning() {
        for (text, says) in [
            ("!", ""),
            ("$2y$05$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""),
            ("$2y$17$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "cost"),
            ("$2y$05$short", "malformed bcrypt"),
            ("$2y$5$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "malformed bcrypt"),
            ("$argon2id$v=19$m=1048576,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", "256 MiB"),
            ("$argon2id$nonsense", "malformed argon2"),
            ("$6$rounds=99999999$salt$hash", "rounds"),
            ("$6$rounds=x$salt$hash", "rounds"),
            ("$apr1$salt$hash", "too fast"),
            ("{SHA}abc", "too fast"),
            ("$1$salt$hash", "too fast"),
            ("secret", "not a hash"),
            ("", "not a hash"),
        ] {
            let said = Hash::parse(text).err().unwrap_or_default();
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{text}: {said}");
        }
        assert!(!Hash::parse("!").expect("it is known").verify(b""));
    }

    #[test]
    fn passwords_of_other_programs_are_verified() {
        for (password, text) in KNOWN {
            let hash = Hash::parse(text).expect(text);
            assert!(hash.verify(password.as_bytes()), "{text}");
            assert!(!hash.verify(b"pw2") && !hash.verify(b""), "{text}");
            assert_eq!(format!("{hash:?}"), "REDACTED");
        }
    }

    #[test]
    fn a_new_hash_is_read_again() {
        let hash = Hash::new(b"correct horse", [7; 16], 4).expect("made");
        assert_eq!(Hash::parse(hash.reveal()), Ok(hash.clone()));
        assert!(hash.verify(b"correct horse") && !hash.verify(b"correct hors"));
        for wrong in [&b""[..], &[b'x'; 73], b"a\0b"] {
            assert!(Hash::new(wrong, [7; 16], 4).is_err());
        }
    }
}
