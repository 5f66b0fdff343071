//! Which keys are hashed securely.

use super::Key;

/// Backends of cryptographically secure hashes; each exists with `E` behind it too. Source: recorded.
const SECURE: [&str; 22] = [
    "SHA224",
    "SHA256",
    "SHA384",
    "SHA512",
    "SHA3_224",
    "SHA3_256",
    "SHA3_384",
    "SHA3_512",
    "SKEIN256",
    "SKEIN512",
    "BLAKE2B160",
    "BLAKE2B224",
    "BLAKE2B256",
    "BLAKE2B384",
    "BLAKE2B512",
    "BLAKE2BP512",
    "BLAKE2S160",
    "BLAKE2S224",
    "BLAKE2S256",
    "BLAKE2SP224",
    "BLAKE2SP256",
    "BLAKE3_256",
];

/// Secure without an `E` that exists: bundles are hashed, and for `VURL` git-annex records a secure hash elsewhere.
const SECURE_ALONE: [&str; 2] = ["GITBUNDLE", "VURL"];

/// Whether nobody can make other content for the key: whether `securehash` matches it, and whether git-annex, told
/// `annex.securehashesonly`, lets its content in. `VURL` counts because git-annex records a secure hash elsewhere.
pub fn is_secure(key: &Key) -> bool {
    let backend = key.backend();
    let among = |list: &[&str], name: &[u8]| list.iter().any(|secure| secure.as_bytes() == name);
    among(&SECURE_ALONE, backend)
        || among(&SECURE, backend)
        || backend.strip_suffix(b"E").is_some_and(|name| among(&SECURE, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: `git annex matchexpression securehash --key=KEY`.
    #[test]
    fn hashes_are_secure_as_git_annex_has_them() {
        for (backend, secure) in [
            ("SHA256", true),
            ("SHA1", false),
            ("MD5E", false),
            ("WORM", false),
            ("URL", false),
            ("VURL", true),
            ("SHA512E", true),
            ("BLAKE2B256E", true),
            ("SKEIN256", true),
            ("SHA3_256", true),
            ("GITBUNDLE", true),
            ("GITMANIFEST", false),
            ("XFOO", false),
            ("BLAKE3", false),
            ("BLAKE3_256", true),
            ("BLAKE3_256E", true),
            ("VURLE", false),
            ("GITBUNDLEE", false),
            ("SHA224", true),
            ("SHA384E", true),
            ("BLAKE2S160", true),
            ("BLAKE2BP512E", true),
            ("XXH3", false),
            ("SHA256EE", false),
        ] {
            let key = Key::parse(format!("{backend}-s1--x").as_bytes()).expect("a key");
            assert_eq!(is_secure(&key), secure, "{backend}");
        }
    }
}
