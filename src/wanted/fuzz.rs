//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that plain tests can run them too.
//!
//! They panic when a promise of the module is broken.

use super::{Assumed, Configuration, Expression, Fact, Facts, Glob, Policy, Repo, Repository, Trust, Unknown};
use crate::name::{Key, Uuid};

/// Any bytes are an expression or an error, each with places that lie in them; white space around it changes nothing.
pub fn expression(data: &[u8]) {
    let spaced = Expression::parse(&[b" ", data, b"\t"].concat());
    match Expression::parse(data) {
        Ok(expression) => {
            assert_eq!(expression.text(), data);
            let warnings = expression.warnings();
            assert!(warnings.iter().all(|warning| warning.at.start <= warning.at.end && warning.at.end <= data.len()));
            assert!(warnings.is_sorted_by_key(|warning| warning.at.start));
            // Two bytes more may be too long.
            let more = spaced.map_or(warnings.len(), |spaced| spaced.warnings().len());
            assert_eq!(more, warnings.len(), "white space is odd");
        }
        Err(error) => {
            assert!(error.at.start <= error.at.end && error.at.end <= data.len());
            assert!(spaced.is_err(), "white space mends it");
            assert!(!error.to_string().contains('\n'));
        }
    }
}

/// A glob up to the first newline, and a name. Both as they are and without regard to case, and against what must match.
pub fn glob(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (text, name) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let (glob, any_case) = (Glob::parse(text), Glob::parse_any_case(text));
    assert_eq!(glob.is_bad(), any_case.is_bad());
    assert_eq!(glob.is_bad(), glob.matches(name).is_err());
    let plain = !text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
    if plain {
        assert_eq!(glob.matches(name), Ok(text == name));
    }
    if glob.matches(name) == Ok(true) && !text.contains(&b'[') {
        assert_eq!(any_case.matches(name), Ok(true), "case makes it less");
        // Where a name ends in the middle of a character, one byte more makes another character of it.
        let (more, whole) = (Glob::parse(&[text, b"*"].concat()), std::str::from_utf8(name).is_ok());
        assert!(!whole || more.matches(&[name, b"more"].concat()) == Ok(true), "a star takes nothing");
    }
}

/// What is known, and what cannot be told, by the bits of a byte.
pub(crate) struct Situation {
    key: Key,
    holders: Vec<Uuid>,
    broken: u8,
}

impl Situation {
    /// The same, where these have the content.
    pub(crate) fn with_holders(self, holders: Vec<Uuid>) -> Self {
        Self { holders, ..self }
    }

    fn tell<T>(&self, bit: u8, fact: Fact, value: T) -> Result<T, Unknown> {
        if self.broken >> bit & 1 == 0 { Ok(value) } else { Err(Unknown::new(fact, "unreadable")) }
    }
}

impl Facts for Situation {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(&self.key)
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok((self.broken < 0x80).then_some(b"a/archive/f.mp3"))
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        self.holders.iter().for_each(holder);
        self.tell(0, Fact::Holders, ())
    }

    fn used(&self, repo: Repo, _: &Uuid) -> Result<u64, Unknown> {
        self.tell(1, Fact::Used, repo.index() as u64 * 300)
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        self.tell(2, Fact::NumCopies, None)
    }

    fn metadata(&self, _: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        value(b"5");
        value(b"Done");
        self.tell(3, Fact::Metadata, ())
    }

    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        url(b"http://x/y");
        self.tell(4, Fact::Urls, ())
    }

    fn unused(&self) -> Result<bool, Unknown> {
        self.tell(5, Fact::Unused, false)
    }
}

/// Two bytes say what is known; the rest is what four repositories want, what one of them requires, and what their group
/// wants, NULs between. Nothing where that is too short.
pub(crate) fn situation(data: &[u8]) -> Option<(Policy, Situation)> {
    let [holders, broken, rest @ ..] = data else { return None };
    let mut texts = rest.split(|byte| *byte == 0).map(Box::<[u8]>::from);
    let mut policy = Configuration::default();
    for at in 0..4u8 {
        let mut repository = Repository::new(Uuid::parse(&[b'd', b'0' + at]).ok()?);
        repository.groups = [&b"g"[..], b"archive"].map(Into::into)[..1 + usize::from(at % 2)].to_vec();
        repository.trust = [Trust::Semitrusted, Trust::Trusted, Trust::Untrusted, Trust::Dead][usize::from(at)];
        repository.wanted = texts.next();
        repository.maxsize = [None, Some(1000), Some(700), Some(0)][usize::from(at)];
        policy.repositories.push(repository);
    }
    policy.repositories[1].required = texts.next();
    policy.groupwanted.extend(texts.next().map(|text| (b"g"[..].into(), text)));
    policy.rebalance = holders & 0x80 != 0;
    let policy = Policy::new(policy);
    let key = Key::parse(b"SHA256-s100--x").ok()?;
    let holders = policy.repos().filter(|repo| holders >> repo.index() & 1 != 0);
    let holders: Vec<Uuid> = holders.map(|repo| policy.uuid(repo).clone()).collect();
    Some((policy, Situation { key, holders, broken: *broken }))
}

/// A [`situation`]. An answer does not depend on when it is asked for, nor on whether it is explained; what cannot be told
/// changes no answer that is given without it.
pub fn decide(data: &[u8]) {
    let Some((policy, facts)) = situation(data) else { return };
    // The file is known or not in both.
    let told = Situation { key: facts.key.clone(), holders: facts.holders.clone(), broken: facts.broken & 0x80 };
    let question = policy.about(&facts);
    for repo in policy.repos().chain(policy.repos()) {
        let wants = question.wants(repo, Assumed::NOTHING);
        assert_eq!(wants, policy.about(&facts).wants(repo, Assumed::NOTHING), "it depends on what was asked before");
        if let Some(explained) = question.explain_wants(repo, Assumed::NOTHING) {
            assert_eq!(explained.answer, wants, "explained it is another");
            let _ = explained.tree.to_string();
        }
        let whole = policy.about(&told).wants(repo, Assumed::NOTHING);
        let is_bad_glob = |answer: &Result<bool, Unknown>| answer.as_ref().is_err_and(|error| error.fact == Fact::Glob);
        assert!(whole.is_ok() || is_bad_glob(&whole), "all is told");
        assert!(wants.is_err() || wants == whole, "what could not be told changed the answer");
        let _ = (question.keeps(repo, Assumed::NOTHING), question.requires(repo, Assumed::NOTHING));
    }
}

#[cfg(test)]
mod tests {
    use crate::wanted::tests::Chance;

    /// Runs `body` over words put together by chance, and over changes of each.
    fn run(seed: u64, rounds: usize, words: &[&[u8]], body: fn(&[u8])) {
        let mut chance = Chance(seed);
        for _ in 0..rounds {
            let mut data: Vec<u8> =
                (0..chance.below(16)).flat_map(|_| words[chance.below(words.len())].to_vec()).collect();
            body(&data);
            if !data.is_empty() {
                let at = chance.below(data.len());
                data[at] = b"\0 ()[]*?:=+-\xff\xc3a0"[chance.below(16)];
                body(&data);
                body(&data[..at]);
            }
        }
    }

    const WORDS: &[&[u8]] = &[
        b"anything ",
        b"nothing ",
        b"and ",
        b"or ",
        b"not ",
        b"( ",
        b") ",
        b" ",
        b"present ",
        b"copies=",
        b"g:1 ",
        b"1 ",
        b"-g=2 ",
        b"lackingcopies=",
        b"metadata=a>3 ",
        b"metadata=tag=do* ",
        b"include=*.mp3 ",
        b"exclude=[a ",
        b"url=* ",
        b"balanced=g:2 ",
        b"fullysizebalanced=g:lackingcopies=",
        b"standard ",
        b"groupwanted ",
        b"unused ",
        b"\0",
        b"\0",
        b"smallerthan=1kb ",
        b"inallgroup=g ",
        b"onlyingroup=archive ",
        b"newterm ",
        b"sizebalanced=g ",
    ];

    #[test]
    fn anything_like_an_expression_is_survived() {
        run(1, 3000, WORDS, super::expression);
    }

    #[test]
    fn anything_like_a_situation_is_survived() {
        let starts: Vec<Vec<u8>> = (0..64u8)
            .map(|at| [&[at.wrapping_mul(37), at.wrapping_mul(101)], b"anything".as_slice()].concat())
            .collect();
        starts.iter().for_each(|start| super::decide(start));
        run(2, 500, WORDS, |data| {
            for start in [[0, 0], [5, 0], [0x82, 0x80], [3, 0x3f], [0x87, 2], [1, 1]] {
                super::decide(&[&start[..], data].concat());
            }
        });
    }

    #[test]
    fn anything_like_a_glob_is_survived() {
        let words: &[&[u8]] = &[
            b"*",
            b"?",
            b"[",
            b"]",
            b"!",
            b"^",
            b"a",
            b"b",
            b"-",
            b"[:alpha:]",
            b"\\",
            b"\n",
            b"\xc3\xa9",
            b"\xff",
            b"A",
            b"\xc3",
        ];
        run(3, 5000, words, super::glob);
    }
}
