//! Keys git-annex 10.20261026 calculated (`git annex calckey --backend=X FILE`), and what it was seen to take for them.

use super::*;

const FOX: &[u8] = b"the quick brown fox\n";
const EMPTY: &[u8] = b"";

/// 10 KiB: every byte in turn, forty times.
fn long() -> Vec<u8> {
    (0..=255).collect::<Vec<u8>>().repeat(40)
}

fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).expect("a key")
}

/// `None` where the digest cannot be computed.
fn verify(text: &str, content: &[u8]) -> Option<bool> {
    let mut verifier = Verifier::for_key(&key(text))?;
    // In pieces that fit no block.
    content.chunks(37).for_each(|piece| verifier.update(piece));
    Some(verifier.finish())
}

fn check(table: &[&str], content: &[u8]) {
    for text in table {
        let unknown = UNKNOWN_HASHES.iter().any(|hash| text.starts_with(hash));
        assert_eq!(verify(text, content), (!unknown).then_some(true), "{text}");
        let proof = Verification::for_key(&key(text));
        assert_eq!(matches!(proof, Verification::Impossible), unknown, "{text}");
        for at in [0, content.len() / 2, content.len()] {
            let mut other = content.to_vec();
            match other.get_mut(at) {
                Some(byte) => *byte ^= 1,
                None => other.push(0),
            }
            assert_eq!(verify(text, &other), (!unknown).then_some(false), "{text}");
        }
    }
}

#[test]
fn every_backend_of_git_annex_verifies_a_file_with_an_extension() {
    check(FOX_KEYS, FOX);
}

#[test]
fn every_backend_of_git_annex_verifies_an_empty_file() {
    check(EMPTY_KEYS, EMPTY);
}

#[test]
fn every_backend_of_git_annex_verifies_a_file_of_many_blocks() {
    check(LONG_KEYS, &long());
}

#[test]
fn a_verifier_that_was_saved_goes_on_to_the_same_verdict() {
    let (content, mut kept) = (long(), 0);
    for text in LONG_KEYS {
        let key = key(text);
        let Some(fresh) = Verifier::for_key(&key) else { continue };
        if fresh.save().is_none() {
            assert!(text.starts_with("BLAKE") || text.starts_with("XXH3"), "{text}");
            continue;
        }
        kept += 1;
        // Around the blocks of all of them, which have 64, 72, 104, 128, 136 or 144 bytes.
        let around = [64, 72, 104, 128, 136, 144, 4096].map(|block| [block - 1, block, block + 1]);
        for at in [0, 1, 55, 56, content.len()].into_iter().chain(around.into_iter().flatten()) {
            let mut first = Verifier::for_key(&key).expect("it was there before");
            first.update(&content[..at]);
            let state = first.save().expect("it could be before");
            assert!(state.len() <= 512, "{text}: {}", state.len());
            for (rest, verdict) in [(&content[at..], true), (&content[at..content.len().max(at + 1) - 1], false)] {
                let Some(rest) = Some(rest).filter(|_| verdict || at < content.len()) else { continue };
                let mut second = Verifier::restore(&key, &state).expect("what was saved");
                second.update(rest);
                assert_eq!(second.finish(), verdict, "{text} at {at}");
            }
        }
    }
    assert!(kept >= 10, "{kept}");
}

#[test]
fn a_damaged_state_is_not_gone_on_with() {
    for text in LONG_KEYS {
        let key = key(text);
        let Some(mut verifier) = Verifier::for_key(&key) else { continue };
        verifier.update(&[7; 100]);
        let Some(state) = verifier.save() else { continue };
        for at in 0..state.len() {
            for byte in [0, 1, 0x80, 0xff] {
                let mut damaged = state.clone();
                damaged[at] = byte;
                assert_eq!(Verifier::restore(&key, &damaged).is_some(), damaged == state, "{text} at {at}");
            }
        }
    }
}

#[test]
fn a_state_of_another_hash_or_version_is_not_gone_on_with() {
    let sha256 = key(&format!("SHA256--{}", "0".repeat(64)));
    let sha1 = key(&format!("SHA1--{}", "0".repeat(40)));
    let mut state = Verifier::for_key(&sha256).and_then(|verifier| verifier.save()).expect("saved");
    assert!(Verifier::restore(&sha256, &state).is_some());
    assert!(Verifier::restore(&sha1, &state).is_none());
    assert!(Verifier::restore(&key("WORM--x"), &state).is_none());
    assert!(Verifier::restore(&sha256, &state[1..]).is_none() && Verifier::restore(&sha256, &[]).is_none());
    state[0] += 1;
    assert!(Verifier::restore(&sha256, &state).is_none());
}

/// What git-annex answered to a PUT of `esc` for these: SUCCESS, or FAILURE.
#[test]
fn digests_are_found_where_git_annex_finds_them() {
    let digest = {
        use sha2::Digest;
        sha2::Sha256::digest(b"esc").iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for (text, answer) in [
        ("SHA256-s3--DIGEST", Some(true)),
        ("SHA256--DIGEST", Some(true)),
        ("SHA256-s3-m5--DIGEST", Some(true)),
        ("SHA256-s3--DIGEST.x", Some(true)),
        ("SHA256E-s3--DIGEST.tar.gz", Some(true)),
        ("SHA256-s3--\\DIGEST", Some(true)),
        ("SHA256E-s3--\\DIGEST", Some(true)),
        ("SHA256-s3--\\\\DIGEST", Some(false)),
        ("SHA256E-s3--DIGESTx", Some(false)),
        ("SHA256E-s3--DIGEST-x", Some(false)),
        ("SHA256E-s3--x", Some(false)),
        ("SHA256E-s3--", Some(false)),
        ("SHA256E-s9-S3-C1--DIGEST", Some(true)),
        ("GITBUNDLE-s3--u-DIGEST", Some(true)),
        ("GITBUNDLE-s3--DIGEST", Some(true)),
        ("GITBUNDLE-s3--a-b-c-DIGEST", Some(true)),
        ("GITBUNDLE-s3--a-DIGEST.x", Some(false)),
        ("GITBUNDLE-s3--u-\\DIGEST", Some(false)),
        ("XXH3E-s3--x", Some(false)),
        ("GITBUNDLEE-s3--a-DIGEST", None),
        ("GITMANIFEST-s3--u", None),
        ("VURL-s3--a", None),
        ("GIT-s3--a", None),
        ("WORM-s3--a", None),
        ("XYZ-s3--a", None),
        ("BLAKE3-s3--x", None),
        ("BLAKE2B128-s3--x", None),
        ("SHA3_128-s3--x", None),
        ("SHA2-s3--x", None),
        ("sha256-s3--x", None),
    ] {
        assert_eq!(verify(&text.replace("DIGEST", &digest), b"esc"), answer, "{text}");
    }
    let upper = format!("SHA256-s3--{}", digest.to_uppercase());
    assert_eq!(verify(&upper, b"esc"), Some(false));
}

/// Under `annex.securehashesonly`, a PUT of content that would verify.
#[test]
fn backends_are_secure_where_git_annex_says_so() {
    for (backend, secure) in [
        ("SHA256E", true),
        ("SHA512", true),
        ("SHA3_256", true),
        ("BLAKE2B256", true),
        ("BLAKE2S256", true),
        ("BLAKE2SP224E", true),
        ("BLAKE3_256", true),
        ("SKEIN256", true),
        ("VURL", true),
        ("GITBUNDLE", true),
        ("SHA1", false),
        ("SHA1E", false),
        ("MD5", false),
        ("XXH3", false),
        ("WORM", false),
        ("URL", false),
        ("XYZ", false),
        ("XFOOE", false),
        ("GIT", false),
        ("GITMANIFEST", false),
        ("GPGHMACSHA512", false),
        ("BLAKE2B128", false),
        ("BLAKE3", false),
        ("SHA2", false),
        ("sha256", false),
    ] {
        assert_eq!(crate::name::is_secure(&key(&format!("{backend}-s3--x"))), secure, "{backend}");
    }
}

const FOX_KEYS: &[&str] = &[
    "SHA256E-s20--6e459fed18ddb06d57c8e9f0d000c302c7e01389926db6e89884bfbe91a2a5df.tar.gz",
    "SHA256-s20--6e459fed18ddb06d57c8e9f0d000c302c7e01389926db6e89884bfbe91a2a5df",
    "SHA512E-s20--40706796b76bbc83da85c96851ec2ae2254185a1acabd3d15351bdc922437f47f9173fcb4d0f58d60f37852234b4ca726fdfa884d07e668ecb57d9d8e4f76451.tar.gz",
    "SHA512-s20--40706796b76bbc83da85c96851ec2ae2254185a1acabd3d15351bdc922437f47f9173fcb4d0f58d60f37852234b4ca726fdfa884d07e668ecb57d9d8e4f76451",
    "SHA224E-s20--1c389088d0956ea628fcacc733dc46929d8826b2c0c129de1742d846.tar.gz",
    "SHA224-s20--1c389088d0956ea628fcacc733dc46929d8826b2c0c129de1742d846",
    "SHA384E-s20--a0cfc03c70f79b21f174e524ea33c4471c86a9435ea3fb2e4986931cca844b27262e8e30b3d2b615865ad36311d9b0ca.tar.gz",
    "SHA384-s20--a0cfc03c70f79b21f174e524ea33c4471c86a9435ea3fb2e4986931cca844b27262e8e30b3d2b615865ad36311d9b0ca",
    "SHA3_256E-s20--fcc0b4139ef794550f79323c7b7451b66a6bac88da8548ba0047aae7dd879900.tar.gz",
    "SHA3_256-s20--fcc0b4139ef794550f79323c7b7451b66a6bac88da8548ba0047aae7dd879900",
    "SHA3_512E-s20--716ebf970471c451ef22d0f9844d17c629043dce4f18a38370663432efe2f0225e9612a70b7a880ee994209aa03188611b5ebd602586141ecb70089f49583e5f.tar.gz",
    "SHA3_512-s20--716ebf970471c451ef22d0f9844d17c629043dce4f18a38370663432efe2f0225e9612a70b7a880ee994209aa03188611b5ebd602586141ecb70089f49583e5f",
    "SHA3_224E-s20--bf654c7203ca37b2bd6b654e173d0af28d80aae6ee4eec75e30159b5.tar.gz",
    "SHA3_224-s20--bf654c7203ca37b2bd6b654e173d0af28d80aae6ee4eec75e30159b5",
    "SHA3_384E-s20--f960f71ea1490155da6c06f909b62c04839aae24d74023021e2045ebdd6b4a650278dec452d54cef0e15b31b31924b96.tar.gz",
    "SHA3_384-s20--f960f71ea1490155da6c06f909b62c04839aae24d74023021e2045ebdd6b4a650278dec452d54cef0e15b31b31924b96",
    "SKEIN256E-s20--9061e73138867e8fa4f0a64cb880d7bddf102bfb96900019852f6f6ee380cb0f.tar.gz",
    "SKEIN256-s20--9061e73138867e8fa4f0a64cb880d7bddf102bfb96900019852f6f6ee380cb0f",
    "SKEIN512E-s20--00e2b6fca4dda0cdf943d43d216f237fac9cdd374a1abe5d5e3ace9844f13fe7fd2583748700dbfc0370ffa6aa26be4e5a1190d4f3b19cb254ddf962d5bfb44c.tar.gz",
    "SKEIN512-s20--00e2b6fca4dda0cdf943d43d216f237fac9cdd374a1abe5d5e3ace9844f13fe7fd2583748700dbfc0370ffa6aa26be4e5a1190d4f3b19cb254ddf962d5bfb44c",
    "BLAKE2B256E-s20--017469a01dd4079474e2bd3aaad802d796670cc9b8d4a0ce726c4496cc0da012.tar.gz",
    "BLAKE2B256-s20--017469a01dd4079474e2bd3aaad802d796670cc9b8d4a0ce726c4496cc0da012",
    "BLAKE2B512E-s20--8fdc1a547ca1e943da3500dd6b67c4ba25fe610e196b0bc4e82dae6767df560664c87cf179e8677724dea16db9674e20c224edb3c4d50825c21458d1fd6498f5.tar.gz",
    "BLAKE2B512-s20--8fdc1a547ca1e943da3500dd6b67c4ba25fe610e196b0bc4e82dae6767df560664c87cf179e8677724dea16db9674e20c224edb3c4d50825c21458d1fd6498f5",
    "BLAKE2B160E-s20--4a0631a25e6b3a3e5251b85a443f7ee1741f395a.tar.gz",
    "BLAKE2B160-s20--4a0631a25e6b3a3e5251b85a443f7ee1741f395a",
    "BLAKE2B224E-s20--bb82ee8193778f6dc62e7b45afaa19bc88c18db090e22741b919dbbd.tar.gz",
    "BLAKE2B224-s20--bb82ee8193778f6dc62e7b45afaa19bc88c18db090e22741b919dbbd",
    "BLAKE2B384E-s20--fc8806c334865e4899d88242fdb4772d35282a07e7f56ad4c98aa8f93c1896e8bb4ed082fa1f2369ddc41d9d5fa70bbb.tar.gz",
    "BLAKE2B384-s20--fc8806c334865e4899d88242fdb4772d35282a07e7f56ad4c98aa8f93c1896e8bb4ed082fa1f2369ddc41d9d5fa70bbb",
    "BLAKE2BP512E-s20--e624c1abf507ad6c142e2846db2e0005974d24286241ae7b708496a0132cac32cdcccfa64b0dd0bcf9ba7b14c3abedf5386ba5be384b4c1ae64d05d5bcf08406.tar.gz",
    "BLAKE2BP512-s20--e624c1abf507ad6c142e2846db2e0005974d24286241ae7b708496a0132cac32cdcccfa64b0dd0bcf9ba7b14c3abedf5386ba5be384b4c1ae64d05d5bcf08406",
    "BLAKE2S256E-s20--9f0025ab3fcde483f5571d56957826d2719269f73d40bb9a8c91b4b293b1a701.tar.gz",
    "BLAKE2S256-s20--9f0025ab3fcde483f5571d56957826d2719269f73d40bb9a8c91b4b293b1a701",
    "BLAKE2S160E-s20--c5d9f2eaa75b3ddb1b8fa1500fd77cf496ac432b.tar.gz",
    "BLAKE2S160-s20--c5d9f2eaa75b3ddb1b8fa1500fd77cf496ac432b",
    "BLAKE2S224E-s20--2144a7594d5b2dc7a146147994ec0bc0ef9493d9be763f8ca744fa5a.tar.gz",
    "BLAKE2S224-s20--2144a7594d5b2dc7a146147994ec0bc0ef9493d9be763f8ca744fa5a",
    "BLAKE2SP256E-s20--1a358763895cfcd25196e1800f922c760ff3ddacf09b2f5421e59df521420bb4.tar.gz",
    "BLAKE2SP256-s20--1a358763895cfcd25196e1800f922c760ff3ddacf09b2f5421e59df521420bb4",
    "BLAKE2SP224E-s20--cef91719c655181fe4af9a4bea44b1eb614546f4e5fe0b432f3665c5.tar.gz",
    "BLAKE2SP224-s20--cef91719c655181fe4af9a4bea44b1eb614546f4e5fe0b432f3665c5",
    "BLAKE3_256E-s20--da44423a91334cb42bccbe480ea66d8dd1d90e571146496353cf0892ecc5cad5.tar.gz",
    "BLAKE3_256-s20--da44423a91334cb42bccbe480ea66d8dd1d90e571146496353cf0892ecc5cad5",
    "XXH3E-s20--4d26692506097558.tar.gz",
    "XXH3-s20--4d26692506097558",
    "SHA1E-s20--a5675307b61ec2517330622a6e649b4ca1ee5612.tar.gz",
    "SHA1-s20--a5675307b61ec2517330622a6e649b4ca1ee5612",
    "MD5E-s20--73ab1c2afe3a63b8ab4d7da2a4ddb351.tar.gz",
    "MD5-s20--73ab1c2afe3a63b8ab4d7da2a4ddb351",
];

const EMPTY_KEYS: &[&str] = &[
    "SHA256E-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "SHA512E-s0--cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    "SHA512-s0--cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    "SHA224E-s0--d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
    "SHA224-s0--d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
    "SHA384E-s0--38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "SHA384-s0--38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "SHA3_256E-s0--a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
    "SHA3_256-s0--a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
    "SHA3_512E-s0--a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26",
    "SHA3_512-s0--a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26",
    "SHA3_224E-s0--6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7",
    "SHA3_224-s0--6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7",
    "SHA3_384E-s0--0c63a75b845e4f7d01107d852e4c2485c51a50aaaa94fc61995e71bbee983a2ac3713831264adb47fb6bd1e058d5f004",
    "SHA3_384-s0--0c63a75b845e4f7d01107d852e4c2485c51a50aaaa94fc61995e71bbee983a2ac3713831264adb47fb6bd1e058d5f004",
    "SKEIN256E-s0--c8877087da56e072870daa843f176e9453115929094c3a40c463a196c29bf7ba",
    "SKEIN256-s0--c8877087da56e072870daa843f176e9453115929094c3a40c463a196c29bf7ba",
    "SKEIN512E-s0--bc5b4c50925519c290cc634277ae3d6257212395cba733bbad37a4af0fa06af41fca7903d06564fea7a2d3730dbdb80c1f85562dfcc070334ea4d1d9e72cba7a",
    "SKEIN512-s0--bc5b4c50925519c290cc634277ae3d6257212395cba733bbad37a4af0fa06af41fca7903d06564fea7a2d3730dbdb80c1f85562dfcc070334ea4d1d9e72cba7a",
    "BLAKE2B256E-s0--0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
    "BLAKE2B256-s0--0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
    "BLAKE2B512E-s0--786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
    "BLAKE2B512-s0--786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
    "BLAKE2B160E-s0--3345524abf6bbe1809449224b5972c41790b6cf2",
    "BLAKE2B160-s0--3345524abf6bbe1809449224b5972c41790b6cf2",
    "BLAKE2B224E-s0--836cc68931c2e4e3e838602eca1902591d216837bafddfe6f0c8cb07",
    "BLAKE2B224-s0--836cc68931c2e4e3e838602eca1902591d216837bafddfe6f0c8cb07",
    "BLAKE2B384E-s0--b32811423377f52d7862286ee1a72ee540524380fda1724a6f25d7978c6fd3244a6caf0498812673c5e05ef583825100",
    "BLAKE2B384-s0--b32811423377f52d7862286ee1a72ee540524380fda1724a6f25d7978c6fd3244a6caf0498812673c5e05ef583825100",
    "BLAKE2BP512E-s0--b5ef811a8038f70b628fa8b294daae7492b1ebe343a80eaabbf1f6ae664dd67b9d90b0120791eab81dc96985f28849f6a305186a85501b405114bfa678df9380",
    "BLAKE2BP512-s0--b5ef811a8038f70b628fa8b294daae7492b1ebe343a80eaabbf1f6ae664dd67b9d90b0120791eab81dc96985f28849f6a305186a85501b405114bfa678df9380",
    "BLAKE2S256E-s0--69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9",
    "BLAKE2S256-s0--69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9",
    "BLAKE2S160E-s0--354c9c33f735962418bdacb9479873429c34916f",
    "BLAKE2S160-s0--354c9c33f735962418bdacb9479873429c34916f",
    "BLAKE2S224E-s0--1fa1291e65248b37b3433475b2a0dd63d54a11ecc4e3e034e7bc1ef4",
    "BLAKE2S224-s0--1fa1291e65248b37b3433475b2a0dd63d54a11ecc4e3e034e7bc1ef4",
    "BLAKE2SP256E-s0--dd0e891776933f43c7d032b08a917e25741f8aa9a12c12e1cac8801500f2ca4f",
    "BLAKE2SP256-s0--dd0e891776933f43c7d032b08a917e25741f8aa9a12c12e1cac8801500f2ca4f",
    "BLAKE2SP224E-s0--c26167059e1d0f5c4d38e0baf1763410a974e427fe0dc3d61b7bdb71",
    "BLAKE2SP224-s0--c26167059e1d0f5c4d38e0baf1763410a974e427fe0dc3d61b7bdb71",
    "BLAKE3_256E-s0--af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "BLAKE3_256-s0--af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "XXH3E-s0--2d06800538d394c2",
    "XXH3-s0--2d06800538d394c2",
    "SHA1E-s0--da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "SHA1-s0--da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "MD5E-s0--d41d8cd98f00b204e9800998ecf8427e",
    "MD5-s0--d41d8cd98f00b204e9800998ecf8427e",
];

const LONG_KEYS: &[&str] = &[
    "SHA256E-s10240--e96760a87768717bcebcfd25ddc7d46b4dbc95a4b0014def080c08539f7d90d0",
    "SHA256-s10240--e96760a87768717bcebcfd25ddc7d46b4dbc95a4b0014def080c08539f7d90d0",
    "SHA512E-s10240--ad3a2775dab72f905f9ec1b53483b2df6c42abf50f776d732d309245149779ee011af252635b5259c99a1e7836488fe5b4c70a6a477e8ae7516139e6386364b6",
    "SHA512-s10240--ad3a2775dab72f905f9ec1b53483b2df6c42abf50f776d732d309245149779ee011af252635b5259c99a1e7836488fe5b4c70a6a477e8ae7516139e6386364b6",
    "SHA224E-s10240--652136ef42ac64009220eb9f5df8a5616e7b04784d6aaac00b6a2f19",
    "SHA224-s10240--652136ef42ac64009220eb9f5df8a5616e7b04784d6aaac00b6a2f19",
    "SHA384E-s10240--4ef24cf93ff930e285e3dc8cb285c86dcd1690b847c58180bbabae021717d183bfa7b99f4b2b1703e93f157a65de7aeb",
    "SHA384-s10240--4ef24cf93ff930e285e3dc8cb285c86dcd1690b847c58180bbabae021717d183bfa7b99f4b2b1703e93f157a65de7aeb",
    "SHA3_256E-s10240--9decd08dec8ee6a9b092f56fc86ef044836a8dd32fa80a3c80ac7a5b9dfeeed8",
    "SHA3_256-s10240--9decd08dec8ee6a9b092f56fc86ef044836a8dd32fa80a3c80ac7a5b9dfeeed8",
    "SHA3_512E-s10240--1568bcbb43d840b136a9862bdad42b3a7abc3277f65455f33aeb518477d3f62e5714eb6ac65a8ca970c83cefea505e155f1b713d048c72f5ea7acc8207adf9cc",
    "SHA3_512-s10240--1568bcbb43d840b136a9862bdad42b3a7abc3277f65455f33aeb518477d3f62e5714eb6ac65a8ca970c83cefea505e155f1b713d048c72f5ea7acc8207adf9cc",
    "SHA3_224E-s10240--6912d82b6a9357d07421333df141ac35ba4d1675cfcc5b12c739f7a0",
    "SHA3_224-s10240--6912d82b6a9357d07421333df141ac35ba4d1675cfcc5b12c739f7a0",
    "SHA3_384E-s10240--696c27a67945bf1eac92c08e3c73cb0dd3296f2bd2dbb6acb667335d7507b34130cfae2442ba6c730ba18a5b0426b5bb",
    "SHA3_384-s10240--696c27a67945bf1eac92c08e3c73cb0dd3296f2bd2dbb6acb667335d7507b34130cfae2442ba6c730ba18a5b0426b5bb",
    "SKEIN256E-s10240--a3ca1b5e97af2741c4072da9c982965346f66bd0a9edde3422a8ad2a5ac17745",
    "SKEIN256-s10240--a3ca1b5e97af2741c4072da9c982965346f66bd0a9edde3422a8ad2a5ac17745",
    "SKEIN512E-s10240--17f24df4fe3bb8166e2057cc86ec2ceb23c455c2ea3ec92b673278363e2cc3639d38eebd616e41605126e320e869502f7fb1836917a456cd891815ad632662c2",
    "SKEIN512-s10240--17f24df4fe3bb8166e2057cc86ec2ceb23c455c2ea3ec92b673278363e2cc3639d38eebd616e41605126e320e869502f7fb1836917a456cd891815ad632662c2",
    "BLAKE2B256E-s10240--1ed0d7616785400ccd2dc0ba224e13482b6120adff1b9cd7fb31be806b6892d1",
    "BLAKE2B256-s10240--1ed0d7616785400ccd2dc0ba224e13482b6120adff1b9cd7fb31be806b6892d1",
    "BLAKE2B512E-s10240--42ed88485085bf7bd02cb7316192a407cc555ef2b9647513f1f3272dea136599854c7f65edaf5bbe815369e80b3ad6bf6fcb8da79c789d03a9807eb2e844f443",
    "BLAKE2B512-s10240--42ed88485085bf7bd02cb7316192a407cc555ef2b9647513f1f3272dea136599854c7f65edaf5bbe815369e80b3ad6bf6fcb8da79c789d03a9807eb2e844f443",
    "BLAKE2B160E-s10240--a71c846d47dc5f5b1a4bf60f50af9bf012155bb6",
    "BLAKE2B160-s10240--a71c846d47dc5f5b1a4bf60f50af9bf012155bb6",
    "BLAKE2B224E-s10240--b2e4dc88002016438940f7dacb8ecd41994d22947377b3190c396871",
    "BLAKE2B224-s10240--b2e4dc88002016438940f7dacb8ecd41994d22947377b3190c396871",
    "BLAKE2B384E-s10240--dacd12f36308d8556a04eaf2a2ff5100c9f2c635f0a9dc0c018120930ea955de9f037b62d14787010b27a1609f5da613",
    "BLAKE2B384-s10240--dacd12f36308d8556a04eaf2a2ff5100c9f2c635f0a9dc0c018120930ea955de9f037b62d14787010b27a1609f5da613",
    "BLAKE2BP512E-s10240--e6234811b1fa8fd08212222a9859b099a3af8152ea1cc17b64c4b3134c671590f721021c453334a19059d73936e294216c836ebb7b3a49e216c6969df907bf02",
    "BLAKE2BP512-s10240--e6234811b1fa8fd08212222a9859b099a3af8152ea1cc17b64c4b3134c671590f721021c453334a19059d73936e294216c836ebb7b3a49e216c6969df907bf02",
    "BLAKE2S256E-s10240--415be11b5e9fd9082eff7e6032df6a7de16f23e1bfe507e7cb5c6f94cd8a62a1",
    "BLAKE2S256-s10240--415be11b5e9fd9082eff7e6032df6a7de16f23e1bfe507e7cb5c6f94cd8a62a1",
    "BLAKE2S160E-s10240--8473b116b65fdaffe33cb9e8163a3c99e187c99e",
    "BLAKE2S160-s10240--8473b116b65fdaffe33cb9e8163a3c99e187c99e",
    "BLAKE2S224E-s10240--54edcfc6ca0d35b7c47874572e9913ae8d4479eab234a9252a5b2784",
    "BLAKE2S224-s10240--54edcfc6ca0d35b7c47874572e9913ae8d4479eab234a9252a5b2784",
    "BLAKE2SP256E-s10240--aa51092712410773dc3996c7be3b2fb96c8c825543241480d3e93478b974ca69",
    "BLAKE2SP256-s10240--aa51092712410773dc3996c7be3b2fb96c8c825543241480d3e93478b974ca69",
    "BLAKE2SP224E-s10240--a60c2cf3ca996034668a0c05440d606684ba39ae780ad7d90e3ea8f1",
    "BLAKE2SP224-s10240--a60c2cf3ca996034668a0c05440d606684ba39ae780ad7d90e3ea8f1",
    "BLAKE3_256E-s10240--398d42d5677b8bc40eb177ea45565bea3fc2fec2927c80304424c244435f9a78",
    "BLAKE3_256-s10240--398d42d5677b8bc40eb177ea45565bea3fc2fec2927c80304424c244435f9a78",
    "XXH3E-s10240--c03d2231ab9348f3",
    "XXH3-s10240--c03d2231ab9348f3",
    "SHA1E-s10240--36812e99f2d591c5114a7b09519ea9d7daba2380",
    "SHA1-s10240--36812e99f2d591c5114a7b09519ea9d7daba2380",
    "MD5E-s10240--c3cd26e07e555c0116db237fbc06d99c",
    "MD5-s10240--c3cd26e07e555c0116db237fbc06d99c",
];
