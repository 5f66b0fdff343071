//! The names under which git-annex stores a key: on its own special remotes, and in a repository.

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

/// The two directories a repository with a work tree spreads keys over, `pX/ZJ`. Chunks as for [`hash_dir_lower`].
///
/// Source: `internals/hashing`, the old hash format.
pub fn hash_dir_mixed(key: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789zqjxkmvwgpfZQJXKMVWGPF";
    let digest = Md5::digest(Fields::of(key).unchunked());
    let word = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    // Five bits a letter, and one skipped after each; the letters of a pair come in the other order.
    let letter = |at: u32| char::from(LETTERS[(word >> (6 * at) & 31) as usize]);
    [letter(1), letter(0), '/', letter(3), letter(2)].iter().collect()
}

/// Which hash directories a repository has been set up with. The default is that of all but tuned repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hashing {
    /// The repository has no work tree, so new content goes to the lower case directories.
    pub bare: bool,
    /// `annex.tune.objecthash1`: one directory, not two.
    pub one_level: bool,
    /// `annex.tune.objecthashlower`: lower case directories although there is a work tree.
    pub lower: bool,
}

/// Where the content of `key` may lie below `annex/`, in the order git-annex looks; new content goes to the first.
///
/// Such as `objects/pX/ZJ/KEYFILE/KEYFILE`.
pub fn objects_candidates(key: &[u8], hashing: Hashing) -> [Vec<u8>; 2] {
    let file = key_file(key);
    let place = |dirs: String| {
        let dirs = if hashing.one_level { dirs.split('/').next().unwrap_or_default() } else { &dirs };
        let mut path = Vec::with_capacity(16 + 2 * file.len());
        for part in [b"objects", dirs.as_bytes(), &file] {
            path.extend_from_slice(part);
            path.push(b'/');
        }
        path.extend_from_slice(&file);
        path
    };
    let (mixed, lower) = (place(hash_dir_mixed(key)), place(hash_dir_lower(key)));
    if hashing.bare || hashing.lower { [lower, mixed] } else { [mixed, lower] }
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

/// The key whose content lies in a file of this name: [`key_file`] the other way round. `None` where no key has it.
pub fn key_of_file(name: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        key.push(match byte {
            b'&' => match rest.next()? {
                b'a' => b'&',
                b's' => b'%',
                b'c' => b':',
                _ => return None,
            },
            b'%' => b'/',
            b'/' | b':' | 0 => return None,
            other => *other,
        });
    }
    Some(key)
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

    /// Recorded: `git annex examinekey --format='${hashdirmixed} ${hashdirlower} ${objectpath}'`.
    #[test]
    fn objects_lie_where_git_annex_puts_them() {
        for (key, mixed, lower, file) in [
            (&b"A--"[..], "67/F6", "a76/97c", &b"A--"[..]),
            (b"A---x", "G0/5p", "603/f17", b"A---x"),
            (b"A-s1--x", "vM/Zm", "3af/4d4", b"A-s1--x"),
            (b"A-s1-m1--x", "vx/1m", "2df/c84", b"A-s1-m1--x"),
            (b"A-S1-C1--x", "q9/Z2", "c92/ad6", b"A-S1-C1--x"),
            (b"A-C1--x", "q9/Z2", "c92/ad6", b"A-C1--x"),
            (b"A-s1-m1-S1-C1--x", "vx/1m", "2df/c84", b"A-s1-m1-S1-C1--x"),
            (b"A&B--x", "gJ/F4", "b74/4fc", b"A&aB--x"),
            (b"A:B--x", "k4/57", "847/b16", b"A&cB--x"),
            (b"A/B--x", "62/KJ", "827/9e5", b"A%B--x"),
            (b"A--\xff\xfe", "X2/mz", "02a/e3c", b"A--\xff\xfe"),
            (b"URL--http://x/", "Ww/01", "311/700", b"URL--http&c%%x%"),
            (b"VURL--http&c%%x", "7z/Qz", "eaa/95a", b"VURL--http&ac&s&sx"),
            (
                b"SHA256E-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "pX/ZJ",
                "f87/4d5",
                b"SHA256E-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
        ] {
            let shown = key.escape_ascii();
            assert_eq!((hash_dir_mixed(key).as_str(), hash_dir_lower(key).as_str()), (mixed, lower), "{shown}");
            assert_eq!((key_file(key).as_slice(), key_of_file(file).as_deref()), (file, Some(key)), "{shown}");
            let place = |dirs: &str| [b"objects/", dirs.as_bytes(), b"/", file, b"/", file].concat();
            let (mixed, lower) = (place(mixed), place(lower));
            assert_eq!(objects_candidates(key, Hashing::default()), [mixed.clone(), lower.clone()], "{shown}");
            let bare = Hashing { bare: true, ..Hashing::default() };
            assert_eq!(objects_candidates(key, bare), [lower, mixed], "{shown}");
        }
    }

    /// Recorded: where content went after `git annex init` with the settings.
    #[test]
    fn tuned_repositories_have_other_directories() {
        let key = b"SHA256-s8--2b8c8b1cdd8d5a1b";
        let dirs = (hash_dir_mixed(key), hash_dir_lower(key));
        for (bare, one_level, lower, dir) in [
            (false, true, false, &dirs.0[..2]),
            (true, true, false, &dirs.1[..3]),
            (false, false, true, &dirs.1[..]),
            (true, false, true, &dirs.1[..]),
            (false, true, true, &dirs.1[..3]),
            (true, true, true, &dirs.1[..3]),
        ] {
            let hashing = Hashing { bare, one_level, lower };
            let [first, _] = objects_candidates(key, hashing);
            assert!(first.starts_with(format!("objects/{dir}/SHA256").as_bytes()), "{hashing:?}");
        }
    }

    #[test]
    fn names_no_key_has_are_told() {
        for name in [&b"a/b"[..], b"a:b", b"a&x", b"a&", b"a\0b"] {
            assert_eq!(key_of_file(name), None, "{}", name.escape_ascii());
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
