//! A file that is of a class: its name, key and metadata.

use annex_types::hex;
use sha2::{Digest, Sha256};

use super::class::{Class, Size, after};
use crate::name::{Key, is_secure};
use crate::sim::network::Network;
use crate::sim::script::{Change, Name};
use crate::wanted::{Balancing, Fixed, FixedKind, Glob, Policy, Repo};

/// A file that can be added to a sim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concrete {
    /// Its name.
    pub name: Name,
    /// Its key.
    pub key: Key,
    /// What its metadata are set to.
    pub changes: Vec<Change>,
}

/// A file of a class, where one is found that answers every term so.
///
/// # Errors
/// In a phrase: which answers no file was found for.
pub fn concrete(network: &Network, policy: &Policy, class: &Class) -> Result<Concrete, String> {
    let terms: Vec<(Fixed, bool)> = policy
        .fixed_terms()
        .into_iter()
        .filter_map(|term| class.answers.get(&term.word).map(|answer| (term, *answer)))
        .collect();
    let globs: Vec<(&[u8], bool)> = terms
        .iter()
        .filter_map(|(term, answer)| match term.kind {
            FixedKind::Include => Some((after(&term.word), *answer)),
            FixedKind::Exclude => Some((after(&term.word), !answer)),
            _ => None,
        })
        .collect();
    let dir = terms.iter().find(|(term, _)| term.kind == FixedKind::PreferredDir).map(|(_, answer)| *answer);
    let name =
        name(network, &globs, dir).ok_or("no file name was found that these globs match as they would have to")?;
    let mut changes = Vec::new();
    let backend = backend(&terms)?;
    for (term, answer) in &terms {
        match term.kind {
            FixedKind::Metadata if *answer => changes.push(change(&term.word)?),
            FixedKind::Other if *answer => {
                return Err(format!("no file is made up that {} matches", term.word.escape_ascii()));
            }
            _ => {}
        }
    }
    // Those among whom one is chosen while all have room; another order comes from sizes, which are not made up.
    let by_number: Vec<(&Balancing, &Vec<Repo>)> = class.rankings.iter().filter(|(of, _)| !of.by_size).collect();
    for (of, ranking) in &class.rankings {
        let (members, has_limits) = policy.members_of(of.group);
        if has_limits && (of.by_size || ranking.len() < members.len()) {
            return Err("it depends on how full repositories are".to_string());
        }
    }
    for attempt in 0..20_000u32 {
        let digest = Sha256::new().chain_update(b"sim proof").chain_update(attempt.to_le_bytes()).finalize();
        let hex = hex::show(&digest);
        let size = match class.size() {
            Size::Bytes(bytes) => format!("-s{bytes}"),
            Size::Unknown => String::new(),
        };
        let text = [backend, format!("{size}--{hex}").as_bytes()].concat();
        let key = Key::parse(&text).map_err(|_| "no key was made up for this backend".to_string())?;
        if by_number.iter().all(|(of, ranking)| policy.rotation(of.group, &key) == **ranking) {
            return Ok(Concrete { name, key, changes });
        }
    }
    Err("no key was found that is balanced so".to_string())
}

/// Those that are tried for a key that no term asks to be of a certain one.
const BACKENDS: [&[u8]; 8] = [b"SHA256E", b"SHA512E", b"SHA256", b"SHA512", b"MD5E", b"SHA1E", b"MD5", b"SHA1"];

/// A backend that answers the terms about backends and hashes so.
fn backend<'a>(terms: &'a [(Fixed, bool)]) -> Result<&'a [u8], String> {
    let asked = || terms.iter().filter(|(term, _)| term.kind == FixedKind::Backend);
    let named = asked().find(|(_, answer)| *answer).map(|(term, _)| after(&term.word));
    let candidates: Vec<&'a [u8]> = named.map_or(BACKENDS.to_vec(), |name| vec![name]);
    let secure = |name: &[u8]| Key::parse(&[name, b"-s1--x"].concat()).is_ok_and(|key| is_secure(&key));
    let fits = |name: &&[u8]| {
        asked().all(|(term, answer)| (after(&term.word) == *name) == *answer)
            && terms.iter().all(|(term, answer)| term.kind != FixedKind::SecureHash || secure(name) == *answer)
    };
    candidates.into_iter().find(fits).ok_or_else(|| "no backend was found that is none of those asked for".to_string())
}

/// Names that come of a glob: a star stands for nothing, a letter, or a directory.
fn instances(glob: &[u8]) -> Vec<Vec<u8>> {
    let fill = |star: &[u8]| {
        let mut name = Vec::new();
        let mut rest = glob;
        while let Some((byte, more)) = rest.split_first() {
            rest = more;
            match byte {
                b'*' => name.extend_from_slice(star),
                b'?' => name.push(b'x'),
                b'[' => {
                    let end = rest.iter().position(|byte| *byte == b']').unwrap_or(0);
                    name.push(*rest.first().unwrap_or(&b'x'));
                    rest = &rest[(end + 1).min(rest.len())..];
                }
                other => name.push(*other),
            }
        }
        name
    };
    [&b"x"[..], b"", b"d/x", b"x/"].into_iter().map(fill).collect()
}

fn name(network: &Network, globs: &[(&[u8], bool)], dir: Option<bool>) -> Option<Name> {
    let mut candidates: Vec<Vec<u8>> = [&b"f"[..], b"d/f", b"f.x", b"d/f.x"].into_iter().map(<[u8]>::to_vec).collect();
    let wanted: Vec<Vec<u8>> = globs.iter().filter(|(_, is)| *is).flat_map(|(glob, _)| instances(glob)).collect();
    for (glob, _) in globs.iter().filter(|(_, is)| *is) {
        for other in &wanted {
            // `music/*` and `*.mp3` give `music/x.mp3`.
            let parts: Vec<&[u8]> = glob.split(|byte| *byte == b'*').collect();
            candidates.push(parts.join(&other[..]));
        }
    }
    candidates.extend(wanted);
    let of_dir = network.members.first().and_then(|member| member.preferreddir.clone());
    let of_dir = of_dir.unwrap_or_else(|| Name::from(&b"public"[..]));
    let more: Vec<Vec<u8>> = candidates.iter().map(|name| [&of_dir[..], b"/", name].concat()).collect();
    candidates.extend(more);
    candidates.sort_by_key(Vec::len);
    let fits = |name: &Vec<u8>| {
        let is_plain = !name.iter().any(u8::is_ascii_whitespace)
            && !name.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b".." | b".git"));
        let in_dir = name.rsplit(|byte| *byte == b'/').nth(1) == Some(&of_dir);
        is_plain
            && dir.is_none_or(|dir| dir == in_dir)
            && globs.iter().all(|(glob, is)| Glob::parse(glob).matches(name) == Ok(*is))
    };
    candidates.into_iter().find(fits).map(Name::from)
}

/// What makes `metadata=FIELD=VALUE` match.
fn change(word: &[u8]) -> Result<Change, String> {
    let rest = after(word);
    let plain: Vec<u8> = rest.iter().map(|byte| if matches!(byte, b'*' | b'?') { b'x' } else { *byte }).collect();
    match plain.iter().any(|byte| matches!(byte, b'<' | b'>' | b'[')) {
        true => Err(format!("no metadata are made up for {}", word.escape_ascii())),
        false => Ok(Change { text: plain.into() }),
    }
}
