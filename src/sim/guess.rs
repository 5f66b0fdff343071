//! Networks by chance: repositories, connections, groups, and what is wanted, of terms that somebody names.

use super::random::Generator;
use super::run::drawn;
use super::script::{Arrow, Chain, Command, Line, Name, Placement, Stream, What};
use crate::wanted::Trust;

/// Groups for terms that name none, such as `standard`.
const STANDARD: [&[u8]; 6] = [b"client", b"transfer", b"archive", b"backup", b"source", b"manual"];

/// The lines of a network of two repositories and up to `most`. The first sets the seed.
pub fn network(random: &mut Generator, terms: &[Name], most: usize) -> Vec<Line> {
    let mut lines = vec![Line::Command(Command::Seed(random.bits().cast_signed() >> 16))];
    lines.push(Line::Stream(Stream::Placement(Placement::Stream)));
    let mut add = |command: Command| lines.push(Line::Command(command));
    let count = 2 + random.place(most.saturating_sub(1));
    let names: Vec<Name> = (0..count).map(|at| format!("r{at}").into_bytes().into()).collect();
    // The first one is none that does nothing.
    let special: Vec<bool> = (0..count).map(|at| at > 0 && random.below(4) == 0).collect();
    for (name, special) in names.iter().zip(&special) {
        add(if *special { Command::InitRemote(name.clone()) } else { Command::Init(name.clone()) });
    }
    for a in (0..count).filter(|a| !special[*a]) {
        for b in (0..count).filter(|b| *b != a) {
            if random.below(5) > 0 {
                add(Command::Connect(Chain { first: names[a].clone(), links: vec![(Arrow::Right, names[b].clone())] }));
            }
        }
    }
    add(Command::NumCopies(1 + random.below(2).cast_signed()));
    let groups = groups(terms);
    for name in &names {
        for group in &groups {
            if random.below(groups.len().max(2) as u64) == 0 {
                add(Command::Group(name.clone(), group.clone()));
            }
        }
        if random.below(8) == 0 {
            let level = [Trust::Untrusted, Trust::Trusted][random.place(2)];
            add(Command::TrustLevel(name.clone(), level));
        }
        if random.below(8) > 0 {
            add(Command::Expression(What::Wanted, name.clone(), drawn(random, terms)));
        }
    }
    lines
}

/// Two files that some of the repositories have, and steps until they rest.
pub fn files(random: &mut Generator, repositories: &[Name]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (file, size) in [(&b"one.x"[..], 2_000), (b"two.y", 2_000_000)] {
        let first = random.place(repositories.len());
        let holders = repositories.iter().enumerate().filter(|(at, _)| *at == first || random.below(2) == 0);
        let repos = holders.map(|(_, name)| name.clone()).collect();
        lines.push(Line::Command(Command::Add { file: file.into(), size, repos }));
    }
    lines.push(Line::Command(Command::Step(500)));
    lines
}

/// The groups that terms are about.
fn groups(terms: &[Name]) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    for term in terms {
        let mut parts = term.splitn(2, |byte| *byte == b'=');
        let (word, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let group = value.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_of_group = word.ends_with(b"copies") || word.ends_with(b"balanced") || word.ends_with(b"group");
        if is_of_group && !group.is_empty() && !group.iter().all(u8::is_ascii_digit) {
            found.push(group.into());
        }
        if **term == *b"standard" {
            found.extend(STANDARD.map(Name::from));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_terms() {
        let of = |terms: &[&[u8]]| groups(&terms.iter().map(|term| Name::from(*term)).collect::<Vec<_>>());
        assert_eq!(
            of(&[b"copies=g:2", b"copies=2", b"inallgroup=h", b"balanced=g", b"include=*.x"]),
            [Name::from(&b"g"[..]), Name::from(&b"h"[..])]
        );
        assert_eq!(of(&[b"standard"]).len(), STANDARD.len());
    }
}
