//! The names under which git-annex's own special remotes store a key.

use md5::{Digest, Md5};

use super::key::Fields;

/// The name `type=directory` and other remotes made of directories store a key under: `abc/def/KEYFILE/KEYFILE`.
pub fn tree(key: &[u8]) -> Vec<u8> {
    let file = key_file(key);
    let mut name = hash_dir_lower(key).into_bytes();
    for _ in 0..2 {
        name.push(b'/');
        name.extend_from_slice(&file);
    }
    name
}

/// The name `type=S3` and other remotes without directories store a key under: the key itself.
pub fn flat(key: &[u8]) -> Vec<u8> {
    key.to_vec()
}

/// The two directories `type=directory` spreads keys over, `abc/def`. All chunks of a key lie in those of the key.
///
/// Source: `internals/hashing`, the new hash format.
pub fn hash_dir_lower(key: &[u8]) -> String {
    let digest = Md5::digest(Fields::of(key).unchunked());
    let [a, b, c] = [digest[0], digest[1], digest[2]];
    format!("{a:02x}{:x}/{:x}{c:02x}", b >> 4, b & 15)
}

/// The name of the file a key's content lies in: the key, with what no file name may hold written otherwise.
pub fn key_file(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    for byte in key {
        match byte {
            b'&' => name.extend_from_slice(b"&a"),
            b'%' => name.extend_from_slice(b"&s"),
            b':' => name.extend_from_slice(b"&c"),
            b'/' => name.push(b'%'),
            other => name.push(*other),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: files a `type=directory` remote of git-annex 10.20261026 made for these keys, the last two in chunks.
    #[test]
    fn files_lie_where_git_annex_puts_them() {
        let table = [
            ("WORM-s4-m1795395117--a,32b", "396/906", "WORM-s4-m1795395117--a,32b"),
            ("WORM-s4-m1795395115--a%b", "725/ff3", "WORM-s4-m1795395115--a&sb"),
            ("WORM-s4-m1795395116--a:b", "b13/784", "WORM-s4-m1795395116--a&cb"),
            ("WORM-s4-m1795395118--sub/f%:,38.t", "7e4/ea3", "WORM-s4-m1795395118--sub%f&s&c,38.t"),
            ("WORM-s8-m1795395118--x,38a,38c%s", "cc5/339", "WORM-s8-m1795395118--x,38a,38c&ss"),
            ("WORM-s3-m1795395117--,252", "fc8/848", "WORM-s3-m1795395117--,252"),
            (
                "SHA256E-s6--dacf36547c7774a0a170806363b5d412991fbc0d6260b2c00b1d3a80a816c23f",
                "d29/a79",
                "SHA256E-s6--dacf36547c7774a0a170806363b5d412991fbc0d6260b2c00b1d3a80a816c23f",
            ),
            (
                "SHA256E-s6-S1024-C1--dacf36547c7774a0a170806363b5d412991fbc0d6260b2c00b1d3a80a816c23f",
                "d29/a79",
                "SHA256E-s6-S1024-C1--dacf36547c7774a0a170806363b5d412991fbc0d6260b2c00b1d3a80a816c23f",
            ),
            (
                "SHA256E-s3000-S1024-C3--cce91dc1ff9fd77421b93453a9c449c527f0fe80a2962362d62044fffb7d4e82",
                "da6/752",
                "SHA256E-s3000-S1024-C3--cce91dc1ff9fd77421b93453a9c449c527f0fe80a2962362d62044fffb7d4e82",
            ),
        ];
        for (key, dirs, file) in table {
            assert_eq!(tree(key.as_bytes()), format!("{dirs}/{file}/{file}").as_bytes(), "{key}");
        }
    }

    #[test]
    fn no_key_leaves_its_directory() {
        for key in ["../../x", "/etc/passwd", "..", "a/../b", "&", "%"] {
            let file = key_file(key.as_bytes());
            assert!(!file.contains(&b'/'), "{key}");
        }
    }
}
