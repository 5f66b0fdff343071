//! A plain evaluator: words of text, lists of names, no sets, nothing compiled, nothing remembered.

use super::world::World;
use crate::name::Uuid;
use crate::wanted::{Repository, STANDARD_GROUPS, Trust};
use sha2::{Digest, Sha256};

enum Tree {
    Yes,
    Term(String),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    /// What `standard` or `groupwanted` stands for.
    Other(Box<Tree>),
}

struct Asked<'a> {
    world: &'a World,
    who: &'a Repository,
    lost: bool,
}

pub fn wants(world: &World, who: &Uuid) -> bool {
    answer(world, who, false).unwrap_or(true)
}

pub fn keeps(world: &World, who: &Uuid) -> bool {
    answer(world, who, true).unwrap_or(false)
}

/// `None` where nothing is configured.
fn answer(world: &World, who: &Uuid, lost: bool) -> Option<bool> {
    let who = world.configuration.repositories.iter().find(|found| found.uuid == *who).expect("a known repository");
    let asked = Asked { world, who, lost };
    let set = |text: &Option<Box<[u8]>>| {
        let text = String::from_utf8(text.as_deref()?.to_vec()).expect("text");
        (!text.trim().is_empty()).then_some(text)
    };
    let texts: Vec<String> = [&who.wanted, &who.required].into_iter().filter_map(set).collect();
    let trees: Option<Vec<Tree>> = texts.iter().map(|text| asked.parse(text, false)).collect();
    let trees = trees.unwrap_or_else(|| vec![Tree::Term("present".into())]);
    (!texts.is_empty())
        .then(|| trees.iter().all(|tree| stable(tree, false)) && trees.iter().any(|tree| asked.tree(tree)))
}

/// Whether no term that must not be negated is.
fn stable(tree: &Tree, negated: bool) -> bool {
    match tree {
        Tree::Yes => true,
        Tree::Term(word) => !(negated && fragile(word)),
        Tree::Not(inner) => stable(inner, !negated),
        Tree::And(a, b) | Tree::Or(a, b) => stable(a, negated) && stable(b, negated),
        Tree::Other(inner) => !(negated && has_fragile(inner)),
    }
}

fn fragile(word: &str) -> bool {
    word == "present" || word.starts_with("balanced=") || word.starts_with("sizebalanced=")
}

fn has_fragile(tree: &Tree) -> bool {
    match tree {
        Tree::Yes => false,
        Tree::Term(word) => fragile(word),
        Tree::Not(inner) | Tree::Other(inner) => has_fragile(inner),
        Tree::And(a, b) | Tree::Or(a, b) => has_fragile(a) || has_fragile(b),
    }
}

impl Asked<'_> {
    fn parse(&self, text: &str, in_group: bool) -> Option<Tree> {
        let text = text.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let (mut at, mut tree) = (0, Tree::Yes);
        while at < words.len() {
            if words[at] == ")" {
                at += 1;
            } else {
                tree = self.next(&words, &mut at, tree, 0, in_group)?;
            }
        }
        Some(tree)
    }

    /// One operand, with its operator, joined to what is on its left.
    fn next(&self, words: &[&str], at: &mut usize, left: Tree, open: usize, in_group: bool) -> Option<Tree> {
        let word = words[*at];
        *at += usize::from(word == "and" || word == "or");
        let right = self.operand(words, at, open, in_group)?;
        Some(if word == "or" {
            Tree::Or(Box::new(left), Box::new(right))
        } else {
            Tree::And(Box::new(left), Box::new(right))
        })
    }

    fn operand(&self, words: &[&str], at: &mut usize, open: usize, in_group: bool) -> Option<Tree> {
        while open == 0 && words.get(*at) == Some(&")") {
            *at += 1;
        }
        let Some(word) = words.get(*at).filter(|word| **word != ")") else { return Some(Tree::Yes) };
        *at += 1;
        match *word {
            "not" => Some(Tree::Not(Box::new(self.operand(words, at, open, in_group)?))),
            "and" | "or" => {
                *at -= 1;
                self.next(words, at, Tree::Yes, open, in_group)
            }
            "(" => {
                let (mut tree, mut inside) = (Tree::Yes, 1);
                while inside > 0 && *at < words.len() {
                    match words[*at] {
                        "(" => inside += 1,
                        ")" => inside -= 1,
                        _ => {
                            tree = self.next(words, at, tree, open + 1, in_group)?;
                            continue;
                        }
                    }
                    *at += 1;
                }
                Some(tree)
            }
            "standard" => {
                let mut groups =
                    STANDARD_GROUPS.iter().filter(|(name, _)| self.who.groups.iter().any(|g| **g == *name.as_bytes()));
                let text = match (groups.next(), groups.next()) {
                    (Some((_, text)), None) => text,
                    _ => "present",
                };
                Some(Tree::Other(Box::new(self.parse(text, true)?)))
            }
            "groupwanted" => {
                let configured = self.world.configuration.groupwanted.iter();
                let mut texts = configured.filter(|(group, text)| !text.is_empty() && self.who.groups.contains(group));
                let text = match (texts.next(), texts.next()) {
                    (Some((_, text)), None) if !in_group => String::from_utf8(text.to_vec()).expect("text"),
                    _ => "present".to_string(),
                };
                Some(Tree::Other(Box::new(self.parse(&text, true)?)))
            }
            word if word.starts_with("newterm") => None,
            word => Some(Tree::Term(word.to_string())),
        }
    }

    fn tree(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Yes => true,
            Tree::Term(word) => self.term(word),
            Tree::Not(inner) => !self.tree(inner),
            Tree::And(a, b) => self.tree(a) && self.tree(b),
            Tree::Or(a, b) => self.tree(a) || self.tree(b),
            Tree::Other(inner) => self.tree(inner),
        }
    }

    fn term(&self, word: &str) -> bool {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let file = self.world.file.as_deref().map(|file| std::str::from_utf8(file).expect("text"));
        let size = self.world.key.size();
        let number = |text: &str| text.parse::<i128>().expect("a plain number");
        match name {
            "anything" => true,
            "include" => file.is_some_and(|file| glob(value, file)),
            "exclude" => !file.is_some_and(|file| glob(value, file)),
            "copies" => {
                let (of, least) = limited(value, true);
                self.copies(&|repository| of(repository)) >= least
            }
            "lackingcopies" | "approxlackingcopies" => {
                let (of, least) = limited(value, false);
                self.lacking(name == "approxlackingcopies", &|repository| of(repository)) >= least
            }
            "inbackend" => self.world.key.backend() == value.as_bytes(),
            "securehash" => self.world.key.backend().starts_with(b"SHA256"),
            "inallgroup" => {
                let counted = self.counted();
                self.members(value).iter().all(|member| counted.contains(&member.uuid))
            }
            "onlyingroup" => {
                let (counted, members) = (self.counted(), self.members(value));
                !counted.is_empty() && counted.iter().all(|uuid| members.iter().any(|member| member.uuid == *uuid))
            }
            "smallerthan" => size.is_none_or(|size| i128::from(size) < number(value)),
            "largerthan" => size.is_some_and(|size| i128::from(size) > number(value)),
            "present" => self.present(),
            "inpreferreddir" => {
                let dir = self.who.preferreddir.as_deref().unwrap_or(b"public");
                let dir = std::str::from_utf8(dir).expect("text");
                let above = file.and_then(|file| file.rsplit_once('/')).map(|(above, _)| above);
                above.is_some_and(|above| above.rsplit('/').next() == Some(dir))
            }
            "balanced" | "sizebalanced" | "fullybalanced" | "fullysizebalanced" => self.balanced(name, value),
            _ => false,
        }
    }

    fn repository(&self, uuid: &Uuid) -> Option<&Repository> {
        self.world.configuration.repositories.iter().find(|found| found.uuid == *uuid)
    }

    /// In the order of their uuids.
    fn members(&self, group: &str) -> Vec<&Repository> {
        let all = self.world.configuration.repositories.iter();
        let mut members: Vec<_> = all.filter(|found| is_in(found, group)).collect();
        members.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        members
    }

    fn present(&self) -> bool {
        self.who.trust != Trust::Dead && self.world.has(&self.who.uuid)
    }

    fn counted(&self) -> Vec<Uuid> {
        let dead = |uuid: &Uuid| self.repository(uuid).is_some_and(|found| found.trust == Trust::Dead);
        let holders = self.world.holders.iter().filter(|uuid| !dead(uuid) && (!self.lost || **uuid != self.who.uuid));
        holders.cloned().collect()
    }

    fn copies(&self, of: &dyn Fn(&Repository) -> bool) -> i128 {
        let counts = |uuid: &Uuid| self.repository(uuid).map_or_else(|| of(&Repository::new(uuid.clone())), of);
        self.counted().iter().filter(|uuid| counts(uuid)).count() as i128
    }

    fn lacking(&self, approximately: bool, of: &dyn Fn(&Repository) -> bool) -> i128 {
        let of_file = self.world.numcopies.filter(|_| !approximately);
        let demanded = of_file.or(self.world.configuration.numcopies).unwrap_or(1).max(1);
        i128::from(demanded) - self.copies(&|repository| repository.trust != Trust::Untrusted && of(repository))
    }

    fn balanced(&self, name: &str, value: &str) -> bool {
        let (group, picks) = value.split_once(':').unwrap_or((value, "1"));
        let count = match picks.strip_prefix("lackingcopies") {
            Some(limit) => {
                let limit = format!("{}=0", limit.strip_prefix('=').unwrap_or(""));
                let (of, _) = limited(&limit, false);
                self.lacking(false, &|repository| of(repository) && !is_in(repository, group))
            }
            None => picks.parse().expect("a plain number"),
        };
        let fully = self.picked(name.ends_with("sizebalanced"), group, count);
        if name.starts_with("fully") || self.world.configuration.rebalance {
            return fully;
        }
        (fully && self.copies(&|repository| is_in(repository, group)) < count) || self.present()
    }

    fn picked(&self, by_size: bool, group: &str, count: i128) -> bool {
        let members = self.members(group);
        let size = self.world.key.size().unwrap_or(0);
        let others = |member: &Repository| self.world.fill.get(&member.uuid).copied().unwrap_or(0);
        let mut fitting: Vec<_> = members.clone();
        fitting.retain(|member| member.maxsize.is_none_or(|max| others(member) + size <= max));
        let used = |member: &Repository| others(member) + if self.world.has(&member.uuid) { size } else { 0 };
        let threshold = self.world.configuration.threshold.unwrap_or(90);
        let full = |member: &Repository| {
            let percent = |max: u64| if max == 0 { 0.0 } else { used(member) as f64 * 100.0 / max as f64 };
            member.maxsize.is_some_and(|max| max > 0 && percent(max) >= threshold as f64)
        };
        let room = members.iter().filter(|member| !full(member)).count() as i128;
        if by_size || self.world.configuration.rebalance && count > 1 && room < count {
            fitting.retain(|member| member.maxsize.is_some_and(|max| max > 0));
            fitting.reverse();
            let free = |member: &Repository| {
                let max = member.maxsize.unwrap_or(1) as f64;
                (max - others(member) as f64) / max
            };
            fitting.sort_by(|a, b| free(b).total_cmp(&free(a)));
            return fitting.iter().take(count.max(0) as usize).any(|member| member.uuid == self.who.uuid);
        }
        let secret: Vec<u8> = members.iter().flat_map(|member| member.uuid.as_bytes().to_vec()).collect();
        let number = hmac(&secret, self.world.key.as_bytes());
        // Long division, a bit at a time.
        let mut rest = 0;
        for bit in (0..256).map(|bit| number[bit / 8] >> (7 - bit % 8) & 1) {
            rest = if fitting.is_empty() { 0 } else { (rest * 2 + usize::from(bit)) % fitting.len() };
        }
        (0..count.min(fitting.len() as i128).max(0) as usize)
            .any(|i| fitting[(rest + i) % fitting.len()].uuid == self.who.uuid)
    }
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if secret.len() > 64 { Sha256::digest(secret).to_vec() } else { secret.to_vec() };
    block.resize(64, 0);
    let masked = |mask: u8, rest: &[u8]| {
        let text: Vec<u8> = block.iter().map(|byte| byte ^ mask).chain(rest.iter().copied()).collect();
        Sha256::digest(text).to_vec()
    };
    masked(0x5c, &masked(0x36, message))
}

fn is_in(repository: &Repository, group: &str) -> bool {
    repository.groups.iter().any(|found| **found == *group.as_bytes())
}

type Counts<'a> = Box<dyn Fn(&Repository) -> bool + 'a>;

/// Which repositories count, and the number.
fn limited(value: &str, levels: bool) -> (Counts<'_>, i128) {
    let number = |text: &str| text.parse::<i128>().expect("a plain number");
    if value.matches(':').count() == 1 {
        let (group, least) = value.split_once(':').expect("it has one");
        let (name, higher) = group.strip_suffix('+').map_or((group, false), |name| (name, true));
        let level = match name {
            "trusted" => Some(Trust::Trusted),
            "semitrusted" => Some(Trust::Semitrusted),
            "untrusted" => Some(Trust::Untrusted),
            "dead" => Some(Trust::Dead),
            _ => None,
        };
        return match level.filter(|_| levels) {
            Some(level) => (Box::new(move |repo| repo.trust == level || higher && repo.trust > level), number(least)),
            None => (Box::new(move |repo| is_in(repo, group)), number(least)),
        };
    }
    let Some((limit, least)) = value.split_once('=') else { return (Box::new(|_| true), number(value)) };
    let with = |sign: char| -> Vec<String> {
        let text = format!("+{limit}").replace('+', " +").replace('-', " -");
        let words = text.split(' ').filter_map(|word| word.strip_prefix(sign));
        words.filter(|word| !word.is_empty()).map(str::to_string).collect()
    };
    let (included, excluded) = (with('+'), with('-'));
    let allows = move |repo: &Repository| {
        (included.is_empty() || included.iter().any(|group| is_in(repo, group)))
            && !excluded.iter().any(|group| is_in(repo, group))
    };
    (Box::new(allows), number(least))
}

/// Stars and plain characters.
fn glob(glob: &str, text: &str) -> bool {
    match (glob.chars().next(), text.chars().next()) {
        (None, found) => found.is_none(),
        (Some('*'), found) => {
            self::glob(&glob[1..], text) || found.is_some_and(|found| self::glob(glob, &text[found.len_utf8()..]))
        }
        (Some('?'), Some(found)) => self::glob(&glob[1..], &text[found.len_utf8()..]),
        (Some(wanted), Some(found)) => {
            wanted == found && self::glob(&glob[wanted.len_utf8()..], &text[found.len_utf8()..])
        }
        (Some(_), None) => false,
    }
}
