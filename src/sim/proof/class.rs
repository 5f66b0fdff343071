//! Classes of files: all files of a class are treated alike, wherever they are.
//!
//! A class is an answer for each term that does not depend on where content is, and for each balanced group the order in which
//! its members are chosen. Answers that exclude each other are not combined: two globs may be independent, two sizes are not.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{Key, is_secure};
use crate::wanted::{Balancing, Facts, Fixed, FixedKind, Policy, Repo, RepoSet, Unknown};
use crate::{name::Uuid, sim::script::Name};

/// How files of a class answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Class {
    /// Answers by term.
    pub answers: BTreeMap<Box<[u8]>, bool>,
    /// The order in which members of groups are chosen.
    pub rankings: BTreeMap<Balancing, Vec<Repo>>,
    /// A size that files of it have; `None` where sizes do not matter.
    pub size: Option<Size>,
}

/// What is known of the size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Its key says so many bytes.
    Bytes(u64),
    /// Its key does not say.
    Unknown,
}

impl Class {
    /// A size that files of it have.
    pub fn size(&self) -> Size {
        self.size.unwrap_or(Size::Bytes(1000))
    }

    /// Bytes of a file of it, as a sim file has them: 0 where they are not known.
    pub fn bytes(&self) -> u64 {
        match self.size() {
            Size::Bytes(bytes) => bytes,
            Size::Unknown => 0,
        }
    }
}

/// The most classes that are looked at.
const MOST: usize = 100_000;

/// The most members of a balanced group, of which one has a maximum size.
const MOST_MEMBERS: usize = 5;

/// All classes that files can be in.
///
/// # Errors
/// In a phrase: there are too many.
pub fn classes(policy: &Policy) -> Result<Vec<Class>, String> {
    let mut all = vec![Class::default()];
    let terms = policy.fixed_terms();
    let mut apply = |alternatives: Vec<Class>| {
        if alternatives.len().saturating_mul(all.len()) > MOST {
            return Err(format!("there are more than {MOST} classes of files"));
        }
        all = all.iter().flat_map(|class| alternatives.iter().map(|other| joined(class, other))).collect();
        Ok(())
    };
    let answer = |words: &[(&Fixed, bool)]| {
        let answers = words.iter().map(|(term, answer)| (term.word.clone(), *answer)).collect();
        Class { answers, ..Class::default() }
    };
    let mut globs: BTreeMap<&[u8], Vec<(&Fixed, bool)>> = BTreeMap::new();
    let (mut sizes, mut backends, mut secure) = (Vec::new(), Vec::new(), Vec::new());
    for term in &terms {
        let value = after(&term.word);
        match term.kind {
            FixedKind::Always(answered) => apply(vec![answer(&[(term, answered)])])?,
            FixedKind::Include => globs.entry(value).or_default().push((term, true)),
            FixedKind::Exclude => globs.entry(value).or_default().push((term, false)),
            FixedKind::Larger(_) | FixedKind::Smaller(_) => sizes.push(term),
            FixedKind::Backend => backends.push(term),
            FixedKind::SecureHash => secure.push(term),
            FixedKind::Metadata | FixedKind::PreferredDir | FixedKind::Other => {
                apply(vec![answer(&[(term, true)]), answer(&[(term, false)])])?;
            }
        }
    }
    for words in globs.values() {
        let flipped: Vec<(&Fixed, bool)> = words.iter().map(|(term, is)| (*term, !is)).collect();
        apply(vec![answer(words), answer(&flipped)])?;
    }
    if !sizes.is_empty() {
        apply(by_size(&sizes))?;
    }
    if !backends.is_empty() || !secure.is_empty() {
        apply(by_backend(&backends, &secure))?;
    }
    for balancing in policy.balancings() {
        let rankings = rankings(policy, balancing)?;
        let class = |ranking| Class { rankings: BTreeMap::from([(balancing, ranking)]), ..Class::default() };
        apply(rankings.into_iter().map(class).collect())?;
    }
    Ok(all)
}

fn joined(a: &Class, b: &Class) -> Class {
    let mut joined = a.clone();
    joined.answers.extend(b.answers.clone());
    joined.rankings.extend(b.rankings.clone());
    joined.size = b.size.or(a.size);
    joined
}

/// One class for each backend that is asked for and one for all others; where it is asked whether hashes are secure, of the others
/// one for those that are and one for those that are not.
fn by_backend(backends: &[&Fixed], secure: &[&Fixed]) -> Vec<Class> {
    let mut found = Vec::new();
    for one in (0..backends.len()).map(Some).chain([None]) {
        let of_name = one.and_then(|at| Key::parse(&[after(&backends[at].word), b"-s1--x"].concat()).ok());
        let of_name = of_name.map(|key| is_secure(&key));
        for is in [true, false] {
            if of_name.is_some_and(|of_name| of_name != is) || (secure.is_empty() && of_name.is_none() && !is) {
                continue;
            }
            let words = backends.iter().enumerate().map(|(at, term)| (term.word.clone(), Some(at) == one));
            let words = words.chain(secure.iter().map(|term| (term.word.clone(), is)));
            found.push(Class { answers: words.collect(), ..Class::default() });
        }
    }
    found
}

/// What stands behind the `=` of a term.
pub fn after(word: &[u8]) -> &[u8] {
    word.iter().position(|byte| *byte == b'=').map_or(&b""[..], |at| &word[at + 1..])
}

/// One class for each range between the sizes that are asked for, from empty files on, and one for files of unknown size.
fn by_size(terms: &[&Fixed]) -> Vec<Class> {
    let mut edges: BTreeSet<i128> = BTreeSet::from([0, 1]);
    for term in terms {
        if let FixedKind::Larger(bytes) | FixedKind::Smaller(bytes) = term.kind {
            edges.extend([bytes.saturating_sub(1), bytes, bytes.saturating_add(1)]);
        }
    }
    let mut found: Vec<Class> = Vec::new();
    let sizes = edges.into_iter().filter_map(|edge| u64::try_from(edge).ok()).map(Size::Bytes);
    for size in sizes.chain([Size::Unknown]) {
        let answers = terms.iter().map(|term| {
            let answer = match (term.kind, size) {
                (FixedKind::Larger(bytes), Size::Bytes(size)) => i128::from(size) > bytes,
                (FixedKind::Smaller(bytes), Size::Bytes(size)) => i128::from(size) < bytes,
                // What is not known is smaller than anything.
                (kind, _) => matches!(kind, FixedKind::Smaller(_)),
            };
            (term.word.clone(), answer)
        });
        let class = Class { answers: answers.collect(), size: Some(size), ..Class::default() };
        if !found.iter().any(|other| other.answers == class.answers) {
            found.push(class);
        }
    }
    found
}

/// Every order in which members may be chosen. Where none has a maximum size, one for each remainder; otherwise, one for each
/// remainder, or each order of free room, among each set of members that may have room.
fn rankings(policy: &Policy, balancing: Balancing) -> Result<Vec<Vec<Repo>>, String> {
    let (members, has_limits) = policy.members_of(balancing.group);
    if !has_limits {
        // Without a maximum nobody is chosen by size, and everybody has room.
        return Ok(if balancing.by_size { vec![Vec::new()] } else { rotations(members) });
    }
    if members.len() > MOST_MEMBERS {
        return Err(format!("a balanced group with sizes has more than {MOST_MEMBERS} members"));
    }
    let mut all: BTreeSet<Vec<Repo>> = BTreeSet::new();
    for set in 0..1usize << members.len() {
        let with_room: Vec<Repo> =
            members.iter().enumerate().filter(|(at, _)| set >> at & 1 != 0).map(|(_, member)| *member).collect();
        if balancing.by_size {
            let sized: Vec<Repo> =
                with_room.into_iter().filter(|repo| policy.settings(*repo).maxsize.is_some()).collect();
            all.extend(permutations(&sized));
        } else {
            all.extend(rotations(&with_room));
        }
    }
    all.insert(Vec::new());
    Ok(all.into_iter().collect())
}

fn rotations(members: &[Repo]) -> Vec<Vec<Repo>> {
    let rotated = |at: usize| members[at..].iter().chain(&members[..at]).copied().collect();
    (0..members.len()).map(rotated).collect()
}

fn permutations(members: &[Repo]) -> Vec<Vec<Repo>> {
    let [first, rest @ ..] = members else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for tail in permutations(rest) {
        for at in 0..=tail.len() {
            let mut one = tail.clone();
            one.insert(at, *first);
            all.push(one);
        }
    }
    all
}

/// A file of a class, and who has it.
pub struct OfClass<'a> {
    /// The class.
    pub class: &'a Class,
    /// A bit for each repository.
    pub holders: [u64; 1],
    /// Stands for the key of a file, which no answer depends on.
    pub key: &'a Key,
    /// The same for its name.
    pub name: &'a Name,
}

impl Facts for OfClass<'_> {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(self.key)
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok(Some(self.name))
    }

    fn holders(&self, _: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        Ok(())
    }

    fn numbered_holders(&self) -> Option<RepoSet> {
        Some(RepoSet::of_words(&self.holders))
    }

    fn used(&self, _: Repo, _: &Uuid) -> Result<u64, Unknown> {
        Ok(0)
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        Ok(None)
    }

    fn metadata(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }

    fn urls(&self, _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }

    fn assumed_answer(&self, term: &[u8]) -> Option<bool> {
        self.class.answers.get(term).copied()
    }

    fn ranking(&self, group: usize, by_size: bool) -> Option<Vec<Repo>> {
        self.class.rankings.get(&Balancing { group, by_size }).cloned()
    }

    fn unused(&self) -> Result<bool, Unknown> {
        Ok(false)
    }
}
