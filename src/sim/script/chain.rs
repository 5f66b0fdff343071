//! Connections as they are written: `a -> b <-> c`.

use std::fmt;

use super::name::Name;

/// Which way a connection runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arrow {
    /// `->`: the right one is a remote of the left one.
    Right,
    /// `<-`: the left one is a remote of the right one.
    Left,
    /// `<->`: each is a remote of the other.
    Both,
}

impl Arrow {
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"->" => Some(Self::Right),
            b"<-" => Some(Self::Left),
            b"<->" => Some(Self::Both),
            _ => None,
        }
    }
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Right => "->",
            Self::Left => "<-",
            Self::Both => "<->",
        })
    }
}

/// Two names or more, with arrows between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The leftmost.
    pub first: Name,
    /// What follows, of which there is at least one.
    pub links: Vec<(Arrow, Name)>,
}

impl Chain {
    /// Reads the words. What is wrong is near the words that are returned, which git-annex names from the last one back.
    pub(super) fn parse<'a>(words: &[&'a [u8]]) -> Result<Self, Vec<&'a [u8]>> {
        let near = || words.iter().rev().copied().collect::<Vec<_>>();
        let [first, rest @ ..] = words else { return Err(near()) };
        if rest.is_empty() || rest.len() % 2 != 0 {
            return Err(near());
        }
        let links = rest.chunks(2).map(|pair| Some((Arrow::parse(pair[0])?, pair[1].into())));
        let links: Option<Vec<_>> = links.collect();
        Ok(Self { first: (*first).into(), links: links.ok_or_else(near)? })
    }

    /// Who gets whom as a remote, as it is written.
    pub fn meant(&self) -> Vec<(Name, Name)> {
        self.pairs().flat_map(|(left, arrow, right, _)| edges(left, arrow, right)).collect()
    }

    /// The same as `git annex sim connect` has it: `<->` is `->` but for the last one of a chain. Source: recorded.
    pub fn connected(&self) -> Vec<(Name, Name)> {
        let read = |(left, arrow, right, is_last): (_, Arrow, _, bool)| match (arrow, is_last) {
            (Arrow::Both, false) => edges(left, Arrow::Right, right),
            _ => edges(left, arrow, right),
        };
        self.pairs().flat_map(read).collect()
    }

    /// Whom `git annex sim disconnect` takes from whom: `<->` is `->`, and the last one of a chain is left alone, unless it is
    /// `<->`. Source: recorded.
    pub fn disconnected(&self) -> Vec<(Name, Name)> {
        let read = |(left, arrow, right, is_last): (_, Arrow, _, bool)| match (arrow, is_last) {
            (Arrow::Both, _) => edges(left, Arrow::Right, right),
            (_, true) => Vec::new(),
            _ => edges(left, arrow, right),
        };
        self.pairs().flat_map(read).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = (&Name, Arrow, &Name, bool)> {
        let lefts = std::iter::once(&self.first).chain(self.links.iter().map(|(_, name)| name));
        let count = self.links.len();
        lefts.zip(&self.links).zip(1..).map(move |((left, (arrow, right)), at)| (left, *arrow, right, at == count))
    }
}

fn edges(left: &Name, arrow: Arrow, right: &Name) -> Vec<(Name, Name)> {
    let (there, back) = ((left.clone(), right.clone()), (right.clone(), left.clone()));
    match arrow {
        Arrow::Right => vec![there],
        Arrow::Left => vec![back],
        Arrow::Both => vec![there, back],
    }
}
