//! The smallest network that still shows a fault.

use super::graph::Fault;
use crate::sim::network::Network;
use crate::sim::script::{Name, What};
use crate::wanted::{Expression, Trust};

/// How often a smaller network may be tried.
const MOST: usize = 2000;

/// Takes away repositories, connections and parts of expressions as long as `still` finds the same fault.
pub fn shrink(network: &Network, still: &mut dyn FnMut(&Network) -> bool) -> Network {
    let mut smallest = network.clone();
    let mut tried = 0;
    loop {
        let smaller = candidates(&smallest).into_iter().find(|candidate| {
            tried += 1;
            tried <= MOST && still(candidate)
        });
        match smaller {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}

/// Whether two faults are the same, whichever repository they are about.
pub fn same(a: Fault, b: Fault) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// Networks with one thing less, those that take away the most first.
fn candidates(network: &Network) -> Vec<Network> {
    let mut all: Vec<Network> = (0..network.members.len()).rev().filter_map(|repo| network.without(repo)).collect();
    let mut add = |change: &dyn Fn(&mut Network)| {
        let mut one = network.clone();
        change(&mut one);
        one.relink();
        all.push(one);
    };
    for (repo, member) in network.members.iter().enumerate() {
        for remote in &member.remote_names {
            add(&|one| one.members[repo].remote_names.retain(|other| other != remote));
        }
        for group in &member.groups {
            add(&|one| one.members[repo].groups.retain(|other| other != group));
        }
        if member.trust != Trust::default() {
            add(&|one| one.members[repo].trust = Trust::default());
        }
        if member.maxsize.is_some() {
            add(&|one| one.members[repo].maxsize = None);
        }
    }
    for node in network.nodes.keys() {
        add(&|one| one.nodes.retain(|other, _| other != node));
    }
    for group in network.groupwanted.keys() {
        add(&|one| drop(one.groupwanted.remove(group)));
    }
    if network.numcopies.is_some() {
        add(&|one| one.numcopies = None);
    }
    if network.mincopies.is_some() {
        add(&|one| one.mincopies = None);
    }
    for (repo, member) in network.members.iter().enumerate() {
        for (what, set) in [(What::Wanted, &member.wanted), (What::Required, &member.required)] {
            for shorter in shorter(set, what == What::Required) {
                add(&|one| match what {
                    What::Required => one.members[repo].required = shorter.clone(),
                    _ => one.members[repo].wanted = shorter.clone(),
                });
            }
        }
    }
    for (group, set) in &network.groupwanted {
        for shorter in shorter(set, false) {
            add(&|one| drop(one.groupwanted.insert(group.clone(), shorter.clone())));
        }
    }
    all
}

/// An expression without some of its words: those that git-annex can still read.
fn shorter(text: &Name, may_be_empty: bool) -> Vec<Name> {
    let words: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let mut all: Vec<Name> = Vec::new();
    if may_be_empty && !words.is_empty() {
        all.push(Name::from(&b""[..]));
    }
    for length in (1..words.len()).rev() {
        for at in 0..=words.len() - length {
            let left: Vec<&[u8]> = words[..at].iter().chain(&words[at + length..]).copied().collect();
            let joined = left.join(&b' ');
            if is_tidy(&joined) && Expression::parse(&joined).is_ok_and(|found| found.warnings().is_empty()) {
                all.push(joined.into());
            }
        }
    }
    all
}

/// Whether a person would write it so: operators stand between terms, and parentheses are whole.
fn is_tidy(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_term) = (0i32, true);
    for word in text.split_whitespace() {
        match word {
            "and" | "or" if wants_term => return false,
            "and" | "or" => wants_term = true,
            "not" if !wants_term => return false,
            "not" => {}
            "(" if !wants_term => return false,
            "(" => depth += 1,
            ")" if wants_term || depth == 0 => return false,
            ")" => depth -= 1,
            _ if !wants_term => return false,
            _ => wants_term = false,
        }
    }
    depth == 0 && !wants_term
}
