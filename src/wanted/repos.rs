//! Repositories of a policy by number, and sets of them.

/// A repository of a [`Policy`](super::Policy): a number to put what is known of it in a list by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repo(pub(in crate::wanted) usize);

impl Repo {
    /// Its place in the [`Configuration`](super::Configuration), from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A set of repositories. The first 64 need no memory of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoSet {
    first: u64,
    more: Vec<u64>,
}

impl RepoSet {
    /// The set of none.
    pub const fn new() -> Self {
        Self { first: 0, more: Vec::new() }
    }

    /// The set of those whose bits are set, from the first repository on.
    pub fn of_words(words: &[u64]) -> Self {
        match words {
            [] => Self::new(),
            [first] => Self { first: *first, more: Vec::new() },
            [first, more @ ..] => Self { first: *first, more: more.to_vec() },
        }
    }

    /// The same of bytes, each of eight repositories.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let word = |part: &[u8]| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let mut words = bytes.chunks(8).map(word);
        Self { first: words.next().unwrap_or(0), more: words.collect() }
    }

    /// Whether it is in the set.
    pub fn contains(&self, repo: Repo) -> bool {
        self.word(repo.0 / 64) & (1 << (repo.0 % 64)) != 0
    }

    /// Puts one in. Whether it was not there.
    pub fn insert(&mut self, repo: Repo) -> bool {
        let (word, bit) = (repo.0 / 64, 1 << (repo.0 % 64));
        if self.more.len() < word {
            self.more.resize(word, 0);
        }
        let word = if word == 0 { &mut self.first } else { &mut self.more[word - 1] };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes one out.
    pub fn remove(&mut self, repo: Repo) {
        let (word, bit) = (repo.0 / 64, !(1 << (repo.0 % 64)));
        match word {
            0 => self.first &= bit,
            _ => self.more.get_mut(word - 1).map_or((), |word| *word &= bit),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words().all(|word| word == 0)
    }

    /// Those of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = Repo> {
        let bits = |word: u64| (0..64).filter(move |bit| word & (1 << bit) != 0);
        self.words().enumerate().flat_map(move |(at, word)| bits(word).map(move |bit| Repo(at * 64 + bit)))
    }

    /// How many are in both.
    pub(in crate::wanted) fn common(&self, other: &Self) -> usize {
        let pairs = self.more.iter().zip(&other.more).map(|(a, b)| (a & b).count_ones() as usize);
        (self.first & other.first).count_ones() as usize + pairs.sum::<usize>()
    }

    /// Puts in all of the other.
    pub(in crate::wanted) fn add(&mut self, other: &Self) {
        self.first |= other.first;
        if self.more.len() < other.more.len() {
            self.more.resize(other.more.len(), 0);
        }
        self.more.iter_mut().zip(&other.more).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// Takes out all of the other.
    pub(in crate::wanted) fn subtract(&mut self, other: &Self) {
        self.first &= !other.first;
        self.more.iter_mut().zip(&other.more).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    fn word(&self, at: usize) -> u64 {
        if at == 0 { self.first } else { self.more.get(at - 1).copied().unwrap_or(0) }
    }
}

impl FromIterator<Repo> for RepoSet {
    fn from_iter<I: IntoIterator<Item = Repo>>(repos: I) -> Self {
        let mut set = Self::new();
        repos.into_iter().for_each(|repo| {
            set.insert(repo);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_many_is_as_a_set_of_few() {
        let numbers = [0, 1, 63, 64, 127, 128, 700];
        let mut set: RepoSet = numbers.iter().map(|number| Repo(*number)).collect();
        assert_eq!(set.iter().map(Repo::index).collect::<Vec<_>>(), numbers);
        assert_eq!((set.len(), set.contains(Repo(65)), set.contains(Repo(9999))), (7, false, false));
        let few: RepoSet = [Repo(1), Repo(128)].into_iter().collect();
        assert_eq!((set.common(&few), few.common(&set)), (2, 2));
        set.subtract(&few);
        assert_eq!((set.len(), set.insert(Repo(1)), set.insert(Repo(1))), (5, true, false));
        set.remove(Repo(700));
        set.remove(Repo(9999));
        set.add(&few);
        assert_eq!(set.iter().map(Repo::index).collect::<Vec<_>>(), [0, 1, 63, 64, 127, 128]);
        assert!(RepoSet::new().is_empty());
        assert_eq!(RepoSet::of_bytes(&[0x81]).iter().map(Repo::index).collect::<Vec<_>>(), [0, 7]);
        let words = [0x8000_0000_0000_0001, 0x0102];
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0x80, 2, 1];
        assert_eq!(RepoSet::of_bytes(&bytes), RepoSet::of_words(&words));
    }
}
