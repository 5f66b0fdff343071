//! Messages by which several gateways to one store take turns in changing names there.
//!
//! Each has a word of its own on the store, which nobody else writes. Whoever wants to change names says that it asks, then
//! looks at the words of all others, and only where none of them asks or exports says that it does. Of two that ask at the same
//! time at least one sees the other, on every store from which can be read at once what was written. So no clock decides
//! who may; only a word of one that asked and was killed then has to be told from one of a slow one.

use std::time::Duration;

use super::names::file_name;
use crate::annex::branch::GitId;
use crate::name::Uuid;

/// How long the word of one that asks must have stayed as it is before it counts as that of a dead one. Whoever asks comes to
/// its end in half of that, or asks anew.
pub const DEAD: Duration = Duration::from_secs(30);

/// The word of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub says: Says,
    /// Another in each word that was ever said.
    pub nonce: String,
    /// Of one that asks: what it left before, if it ever had the turn. It may be killed while it asks, and nobody would know any
    /// more that it exported something.
    pub before: Option<Left>,
}

/// What a gateway exported last when it left the turn to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// The tree.
    pub tree: GitId,
    /// That of the word which said so first.
    pub nonce: String,
}

/// What a gateway says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It has nothing to do; it exported this tree last.
    Left(GitId),
    /// It wants to change names.
    Asks,
    /// It changes names, or was cut while it did.
    Changes,
}

impl Word {
    /// Reads a word. What is malformed may be said by a later version of this program, and is taken for [`Says::Changes`].
    pub fn parse(text: &[u8]) -> Self {
        let words: Vec<&str> = std::str::from_utf8(text).unwrap_or_default().split_ascii_whitespace().collect();
        let tree = |text: &str| GitId::parse(text.as_bytes());
        let mut before = None;
        let (says, nonce) = match words[..] {
            ["left", of, nonce] => (tree(of).map(Says::Left), nonce),
            ["asks", nonce] => (Some(Says::Asks), nonce),
            ["asks", nonce, "left", of, since] => {
                before = tree(of).map(|tree| Left { tree, nonce: since.to_string() });
                (before.is_some().then_some(Says::Asks), nonce)
            }
            ["changes", nonce] => (Some(Says::Changes), nonce),
            _ => (None, ""),
        };
        Self { says: says.unwrap_or(Says::Changes), nonce: nonce.to_string(), before }
    }

    /// What it exported last, as far as it tells.
    pub fn left(&self) -> Option<Left> {
        match self.says {
            Says::Left(tree) => Some(Left { tree, nonce: self.nonce.clone() }),
            Says::Asks => self.before.clone(),
            Says::Changes => None,
        }
    }

    /// The word as it is written: a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { says, nonce, before } = self;
        match (says, before) {
            (Says::Left(tree), _) => format!("left {tree} {nonce}\n"),
            (Says::Asks, None) => format!("asks {nonce}\n"),
            (Says::Asks, Some(before)) => format!("asks {nonce} left {} {}\n", before.tree, before.nonce),
            (Says::Changes, _) => format!("changes {nonce}\n"),
        }
        .into_bytes()
    }
}

/// Where the word of `gateway` is on the store. `None`: it can have none.
pub fn name(gateway: &Uuid) -> Option<Vec<u8>> {
    file_name(gateway).ok().map(|_| [b".git/annex/stream/", gateway.as_bytes()].concat())
}

/// What was heard of another gateway.
#[derive(Debug)]
pub struct Heard {
    /// Who it is.
    pub gateway: Uuid,
    /// Its word, if it ever said one.
    pub word: Option<Word>,
    /// For how long at least it has been the same.
    pub same: Duration,
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<'a> {
    /// Ours.
    Ours,
    /// This one's; it must not hear that we ask, since it waits for that, too.
    Theirs(&'a Uuid),
    /// Nobody's yet: this one hears us and will give way.
    Nobodys(&'a Uuid),
}

/// Whose turn it is, where `own` asks and has `heard` of all others after it said so. One that `was_cut` says that it changes
/// names and cannot take that back.
pub fn turn<'a>(own: &Uuid, was_cut: bool, heard: &'a [Heard]) -> Turn<'a> {
    let mut turn = Turn::Ours;
    for Heard { gateway, word, same } in heard {
        let theirs = match word.as_ref().map(|word| word.says) {
            None | Some(Says::Left(_)) => continue,
            Some(Says::Asks) if *same >= DEAD => continue,
            Some(Says::Asks) => gateway < own,
            Some(Says::Changes) => true,
        };
        if theirs && !was_cut {
            return Turn::Theirs(gateway);
        }
        turn = Turn::Nobodys(gateway);
    }
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    fn word(says: Says) -> Word {
        Word { says, nonce: "n1".into(), before: None }
    }

    #[test]
    fn words_come_back() {
        for says in [Says::Left(GitId::EMPTY_TREE), Says::Asks, Says::Changes] {
            assert_eq!(Word::parse(&word(says).to_bytes()), word(says));
        }
        let before = Some(Left { tree: GitId::EMPTY_TREE, nonce: "n0".into() });
        let asks = Word { before: before.clone(), ..word(Says::Asks) };
        assert_eq!(Word::parse(&asks.to_bytes()), asks);
        assert_eq!(asks.left(), before, "it had exported before it asked");
        assert_eq!(word(Says::Asks).left(), None);
        assert_eq!(word(Says::Left(GitId::EMPTY_TREE)).left().expect("it left").nonce, "n1");
        for odd in [&b""[..], b"left", b"asks n1 left x n0", b"left x y", b"asks", b"asks a b", b"\xff", b"rests n1\n"]
        {
            assert_eq!(Word::parse(odd).says, Says::Changes, "{}", odd.escape_ascii());
        }
    }

    #[test]
    fn a_word_lies_beside_the_tree() {
        assert_eq!(name(&uuid("b")), Some(b".git/annex/stream/b".to_vec()));
        assert_eq!(name(&uuid("../b")), None);
    }

    #[test]
    fn two_never_have_the_turn() {
        let all = [None, Some(Says::Left(GitId::EMPTY_TREE)), Some(Says::Asks), Some(Says::Changes)];
        let (a, b, c) = (uuid("a"), uuid("b"), uuid("c"));
        let heard =
            |gateway: &Uuid, says: Option<Says>, same| [Heard { gateway: gateway.clone(), word: says.map(word), same }];
        for (says, was_cut, from_a, from_c) in [
            (all[0], false, Turn::Ours, Turn::Ours),
            (all[1], false, Turn::Ours, Turn::Ours),
            (all[2], false, Turn::Theirs(&a), Turn::Nobodys(&c)),
            (all[3], false, Turn::Theirs(&a), Turn::Theirs(&c)),
            (all[1], true, Turn::Ours, Turn::Ours),
            (all[2], true, Turn::Nobodys(&a), Turn::Nobodys(&c)),
            (all[3], true, Turn::Nobodys(&a), Turn::Nobodys(&c)),
        ] {
            assert_eq!(turn(&b, was_cut, &heard(&a, says, DEAD / 2)), from_a, "{says:?} {was_cut}");
            assert_eq!(turn(&b, was_cut, &heard(&c, says, DEAD / 2)), from_c, "{says:?} {was_cut}");
        }
        for was_cut in [false, true] {
            assert_eq!(turn(&b, was_cut, &heard(&a, all[2], DEAD)), Turn::Ours, "it is dead, and had not begun");
            assert_ne!(turn(&b, was_cut, &heard(&a, all[3], DEAD * 1000)), Turn::Ours, "it had begun");
        }
        let [one, other] = [heard(&c, all[2], Duration::ZERO), heard(&a, all[3], Duration::ZERO)];
        let both: Vec<Heard> = one.into_iter().chain(other).collect();
        assert_eq!(turn(&b, false, &both), Turn::Theirs(&a));
    }
}
