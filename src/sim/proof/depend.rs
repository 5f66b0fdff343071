//! Expressions that depend on each other.
//!
//! What one repository wants depends on what another has, and the other way round: `not inallgroup=N` against
//! `not inallgroup=M`. Where more copies let everybody want more, that comes to rest. Where they may let somebody want less, one can
//! run after another. Whether it does is for the proof to tell: this only names the terms that whoever reads it should know of.
//!
//! ```text
//! repository --a term whose answer changes by what the other gets or drops--> repository      circles in that graph,
//!                                                                             at least one arrow of which is against
//! ```

use std::collections::{BTreeMap, VecDeque};

use crate::sim::network::{Network, shown};
use crate::wanted::{Dependency, Policy, Repo};

/// The most repositories among which circles of more than two are looked for.
pub const MOST_CIRCLES: usize = 256;

/// Repositories whose expressions depend on each other, each on the next and the last on the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutual {
    /// Each of them.
    pub links: Vec<Dependent>,
    /// How many others depend on each other by the same terms.
    pub alike: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependent {
    /// The name of the repository.
    pub repository: String,
    /// Its terms that depend on the next one, with `not` where they are negated.
    pub terms: Vec<String>,
}

impl std::fmt::Display for Mutual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, link) in self.links.iter().enumerate() {
            let joint = match at {
                0 => "",
                _ if at + 1 == self.links.len() => " and ",
                _ => ", ",
            };
            let terms: Vec<String> = link.terms.iter().map(|term| format!("`{term}`")).collect();
            write!(f, "{joint}{} ({})", link.repository, terms.join(", "))?;
        }
        f.write_str(" depend on each other")?;
        if self.links.len() > 2 {
            f.write_str(" in a circle")?;
        }
        match self.alike {
            0 => Ok(()),
            more => write!(f, ", and {more} more by the same terms"),
        }
    }
}

/// Expressions of a network that depend on each other, where one of them may want less for what another gets: pairs, and the shortest
/// circles of more among those of which no two are such a pair. Those with the same terms are told once. Who is connected to whom is
/// not asked. All is in the order of names, so that uuids, which are drawn, have no part in it.
pub fn depend(network: &Network) -> Vec<Mutual> {
    let policy = Policy::new(network.configuration());
    let (graph, by_name) = Graph::by_name(network, &policy);
    let mut circles = graph.pairs();
    if graph.of.len() <= MOST_CIRCLES {
        circles.extend(graph.longer());
    }
    // By the terms of each, in the order in which they were found.
    let (mut index, mut found): (BTreeMap<Vec<Vec<String>>, usize>, Vec<Mutual>) = (BTreeMap::new(), Vec::new());
    for circle in circles {
        let next = circle.iter().cycle().skip(1);
        let links: Vec<Dependent> = circle
            .iter()
            .zip(next)
            .map(|(repo, next)| Dependent {
                repository: shown(&network.members[by_name[*repo]].name),
                terms: graph.terms(*repo, *next),
            })
            .collect();
        let terms = smallest(links.iter().map(|link| link.terms.clone()).collect());
        match index.get(&terms) {
            Some(known) => found[*known].alike += 1,
            None => {
                index.insert(terms, found.len());
                found.push(Mutual { links, alike: 0 });
            }
        }
    }
    found
}

/// The same circle, begun so that it is the same wherever it was begun.
fn smallest<T: Ord + Clone>(circle: Vec<T>) -> Vec<T> {
    let turned = |by: usize| {
        let mut turned = circle.clone();
        turned.rotate_left(by);
        turned
    };
    (0..circle.len()).map(turned).min().unwrap_or_default()
}

/// What each repository depends on.
struct Graph {
    of: Vec<Vec<Dependency>>,
}

impl Graph {
    /// With the repositories in the order of their names, and which one each is.
    fn by_name(network: &Network, policy: &Policy) -> (Self, Vec<usize>) {
        let mut by_name: Vec<usize> = (0..network.members.len()).collect();
        by_name.sort_by_key(|repo| &network.members[*repo].name);
        let mut place = vec![0; by_name.len()];
        by_name.iter().enumerate().for_each(|(at, repo)| place[*repo] = at);
        let moved = |mut one: Dependency| {
            one.on = one.on.iter().filter_map(|repo| policy.numbered(place[repo.index()])).collect();
            one
        };
        let of = |repo: &usize| {
            let all = policy.numbered(*repo).map_or_else(Vec::new, |repo| policy.dependencies(repo));
            all.into_iter().map(moved).collect()
        };
        (Self { of: by_name.iter().map(of).collect() }, by_name)
    }

    /// Terms of one that depend on another.
    fn asked(&self, repo: usize, on: usize) -> impl Iterator<Item = &Dependency> {
        self.of[repo].iter().filter(move |one| one.on.iter().any(|other| other.index() == on))
    }

    fn depends(&self, repo: usize, on: usize) -> bool {
        self.asked(repo, on).next().is_some()
    }

    fn is_against(&self, repo: usize, on: usize) -> bool {
        self.asked(repo, on).any(|one| one.is_against)
    }

    fn terms(&self, repo: usize, on: usize) -> Vec<String> {
        let show = |one: &Dependency| {
            let not = if one.is_negated { "not " } else { "" };
            format!("{not}{}", one.term.escape_ascii())
        };
        let mut terms: Vec<String> = self.asked(repo, on).map(show).collect();
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    fn on(&self, repo: usize) -> impl Iterator<Item = usize> {
        self.of[repo].iter().flat_map(|one| one.on.iter().map(Repo::index))
    }

    fn is_pair(&self, a: usize, b: usize) -> bool {
        self.depends(a, b) && self.depends(b, a) && (self.is_against(a, b) || self.is_against(b, a))
    }

    fn pairs(&self) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        for a in 0..self.of.len() {
            let mut others: Vec<usize> = self.on(a).filter(|b| *b > a && self.is_pair(a, *b)).collect();
            others.sort_unstable();
            others.dedup();
            found.extend(others.into_iter().map(|b| vec![a, b]));
        }
        found
    }

    /// The shortest way back from each that somebody depends on with a term that is against.
    fn longer(&self) -> Vec<Vec<usize>> {
        let mut found: Vec<Vec<usize>> = Vec::new();
        for first in 0..self.of.len() {
            let before = self.ways_to(first);
            let mut against: Vec<usize> = self.on(first).filter(|next| self.is_against(first, *next)).collect();
            against.sort_unstable();
            against.dedup();
            for next in against {
                let mut circle = vec![first];
                let mut at = next;
                while at != first {
                    circle.push(at);
                    match before[at] {
                        Some(onward) => at = onward,
                        None => break,
                    }
                }
                let has_pair = || circle.iter().any(|a| circle.iter().any(|b| a < b && self.is_pair(*a, *b)));
                if at == first && circle.len() > 2 && !has_pair() {
                    let circle = smallest(circle);
                    if !found.contains(&circle) {
                        found.push(circle);
                    }
                }
            }
        }
        found
    }

    /// For each repository the next one on the shortest way to `end`, where there is one.
    fn ways_to(&self, end: usize) -> Vec<Option<usize>> {
        let count = self.of.len();
        let mut dependents = vec![Vec::new(); count];
        for repo in 0..count {
            self.on(repo).for_each(|on| dependents[on].push(repo));
        }
        let (mut onward, mut queue) = (vec![None; count], VecDeque::from([end]));
        while let Some(at) = queue.pop_front() {
            for repo in &dependents[at] {
                if *repo != end && onward[*repo].is_none() {
                    onward[*repo] = Some(at);
                    queue.push_back(*repo);
                }
            }
        }
        onward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::script::parse;
    use crate::sim::{Nowhere, begin, run};

    fn told(text: &str) -> Vec<String> {
        let lines: Vec<_> = text.split("; ").map(|line| parse(line.as_bytes()).expect(text)).collect();
        let mut world = begin(lines.first(), 1);
        lines.iter().for_each(|line| run(&mut world, line, &mut Nowhere).expect(text));
        depend(&world.network).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn expressions_that_depend_on_each_other_are_named() {
        let two = "init a; init b; group a N; group b M";
        let three = "init a; init b; init c; group a A; group b B; group c C";
        for (text, expected) in [
            // That of the issue, and its kin.
            (
                format!("{two}; wanted a not inallgroup=M; wanted b not inallgroup=N"),
                vec!["a (`not inallgroup=M`) and b (`not inallgroup=N`) depend on each other"],
            ),
            (
                format!("{two}; wanted a not copies=M:1 or present; wanted b include=*.x and copies=N:1"),
                vec!["a (`not copies=M:1`) and b (`copies=N:1`) depend on each other"],
            ),
            (
                format!("{two}; required a lackingcopies=1; wanted b onlyingroup=N"),
                vec!["a (`lackingcopies=1`) and b (`onlyingroup=N`) depend on each other"],
            ),
            // Each wants more where the other has more: that grows, and rests.
            (format!("{two}; wanted a copies=M:1; wanted b copies=N:1"), vec![]),
            (format!("{two}; wanted a not (not copies=M:1); wanted b inallgroup=N"), vec![]),
            // One depends on the other, and not the other way round.
            (format!("{two}; wanted a not copies=M:1; wanted b not copies=M:1"), vec![]),
            (format!("{two}; wanted a not copies=M:1; wanted b include=*.x"), vec![]),
            (format!("{two}; wanted a not copies=M:1"), vec![]),
            // Never so, always so, or never used.
            (format!("{two}; wanted a not copies=M:2; wanted b copies=N:1"), vec![]),
            (format!("{two}; wanted a not copies=M:0; wanted b copies=N:1"), vec![]),
            (format!("{two}; wanted a not copies=M:1 or not present; wanted b copies=N:1"), vec![]),
            (format!("{two}; trustlevel b dead; wanted a not inallgroup=M; wanted b copies=N:1"), vec![]),
            (format!("{two}; trustlevel b dead; wanted a not copies=M:1; wanted b copies=N:1"), vec![]),
            // Balanced choices ask who has it, but the `fully` ones only whether there is room.
            (
                format!("{two}; group b N; wanted a balanced=N; wanted b balanced=N"),
                vec!["a (`balanced=N`) and b (`balanced=N`) depend on each other"],
            ),
            (format!("{two}; wanted a balanced=N; wanted b balanced=N"), vec![]),
            (format!("{two}; group b N; wanted a fullybalanced=N; wanted b fullybalanced=N"), vec![]),
            (
                format!(
                    "{two}; group b N; maxsize a 1gb; maxsize b 1gb; wanted a fullybalanced=N; wanted b fullybalanced=N"
                ),
                vec!["a (`fullybalanced=N`) and b (`fullybalanced=N`) depend on each other"],
            ),
            (
                format!("{two}; wanted a fullybalanced=N:lackingcopies; wanted b not copies=N:1"),
                vec!["a (`fullybalanced=N:lackingcopies`) and b (`not copies=N:1`) depend on each other"],
            ),
            // By what they stand for.
            (
                "init a; init b; group a archive; group b smallarchive; wanted a standard; wanted b standard"
                    .to_string(),
                vec![
                    "a (`approxlackingcopies=1`, `not copies=smallarchive:1`) and b (`approxlackingcopies=1`, \
                     `not copies=archive:1`) depend on each other",
                ],
            ),
            (
                format!("{two}; groupwanted N not copies=M:1; wanted a groupwanted; wanted b not copies=1"),
                vec!["a (`not copies=M:1`) and b (`not copies=1`) depend on each other"],
            ),
            // Those with the same terms once.
            (
                format!("{three}; wanted a not copies=2; wanted b not copies=2; wanted c not copies=2"),
                vec!["a (`not copies=2`) and b (`not copies=2`) depend on each other, and 2 more by the same terms"],
            ),
            // A circle of three, which no two are; and one that only grows.
            (
                format!("{three}; wanted a copies=B:1; wanted b not copies=C:1; wanted c copies=A:1"),
                vec!["a (`copies=B:1`), b (`not copies=C:1`) and c (`copies=A:1`) depend on each other in a circle"],
            ),
            (format!("{three}; wanted a copies=B:1; wanted b copies=C:1; wanted c copies=A:1"), vec![]),
            (format!("{three}; wanted a copies=B:1; wanted b not copies=C:1; wanted c anything"), vec![]),
            // In the order of names, wherever they stand.
            (
                "init d2; init d1; group d2 N; group d1 M; wanted d2 not inallgroup=M; wanted d1 not inallgroup=N".to_string(),
                vec!["d1 (`not inallgroup=N`) and d2 (`not inallgroup=M`) depend on each other"],
            ),
            (
                "init c; init a; init b; group a A; group b B; group c C; wanted a copies=B:1; wanted b not copies=C:1; \
                 wanted c copies=A:1"
                    .to_string(),
                vec!["a (`copies=B:1`), b (`not copies=C:1`) and c (`copies=A:1`) depend on each other in a circle"],
            ),
            // A shorter one within it is told in its place.
            (
                format!("{three}; wanted a copies=B:1; wanted b not copies=C:1; wanted c copies=A:1 or copies=B:1"),
                vec!["b (`not copies=C:1`) and c (`copies=B:1`) depend on each other"],
            ),
        ] {
            assert_eq!(told(&text), expected, "{text}");
        }
    }
}
