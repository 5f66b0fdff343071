//! The evaluator against the plain one, in situations by chance.

use super::reference;
use super::world::{World, uuid};
use crate::wanted::{Answer, Assumed, Part, Policy, Repository, Trust};

/// A row of numbers that a seed begins: the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn number(&mut self) -> &'static str {
        self.one(&["-1", "0", "1", "1", "2", "2", "3", "4"])
    }

    fn group(&mut self) -> &'static str {
        self.one(&["g", "g", "h", "client", "archive", "nosuch"])
    }

    fn limit(&mut self) -> String {
        let (a, b) = (self.group(), self.group());
        match self.below(6) {
            0 => a.to_string(),
            1 => format!("{a}+{b}"),
            2 => format!("-{a}"),
            3 => format!("+{a}-{b}"),
            4 => format!("-{a}-{b}"),
            _ => "+".to_string(),
        }
    }

    fn term(&mut self) -> String {
        let (group, number) = (self.group(), self.number());
        let balance = self.one(&["", "fully", "size", "fullysize"]);
        match self.below(20) {
            0 => self.one(&["include=*.mp3", "include=*/archive/*", "include=?/*", "exclude=a*"]).to_string(),
            1 => self.one(&["anything", "nothing"]).to_string(),
            2 | 3 => "present".to_string(),
            4 => format!("copies={number}"),
            5 => format!("copies={group}:{number}"),
            6 => format!("copies={}={number}", self.limit()),
            7 => {
                let (level, higher) =
                    (self.one(&["trusted", "semitrusted", "untrusted", "dead"]), self.one(&["", "+"]));
                format!("copies={level}{higher}:{number}")
            }
            8 => format!("{}lackingcopies={number}", self.one(&["", "approx"])),
            9 => format!("{}lackingcopies={}={number}", self.one(&["", "approx"]), self.limit()),
            10 => format!("{}lackingcopies={group}:{number}", self.one(&["", "approx"])),
            11 => format!("{}={group}", self.one(&["inallgroup", "onlyingroup"])),
            12 => format!("{}={}", self.one(&["smallerthan", "largerthan"]), self.one(&["99", "100", "101"])),
            13 => self.one(&["standard", "groupwanted", "inpreferreddir", "unused", "newterm=5"]).to_string(),
            14 => format!("inbackend={}", self.one(&["SHA256", "WORM"])),
            15 => format!("{balance}balanced={group}"),
            16 | 17 => format!("{balance}balanced={group}:{number}"),
            18 => format!("{balance}balanced={group}:lackingcopies"),
            _ => format!("{balance}balanced={group}:lackingcopies={}", self.limit()),
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        match self.below(if depth > 3 { 5 } else { 14 }) {
            0..5 => self.term(),
            5 | 6 => format!("not {}", self.expression(depth + 1)),
            7 | 8 => format!("({})", self.expression(depth + 1)),
            9 => format!("{} {}", self.expression(depth + 1), self.one(&["and", "or", "(", ")", "not", "and or"])),
            10 => format!("{} {}", self.expression(depth + 1), self.expression(depth + 1)),
            11 | 12 => format!("{} and {}", self.expression(depth + 1), self.expression(depth + 1)),
            _ => format!("{} or {}", self.expression(depth + 1), self.expression(depth + 1)),
        }
    }

    pub fn world(&mut self) -> World {
        let digits: String = (0..64).map(|_| self.one(&["0", "1", "7", "a", "f"])).collect();
        let mut world = World::new(&format!("SHA256{}--{digits}", self.one(&["-s100", "-s100", ""])));
        world.file = [None, Some("f.mp3"), Some("a/archive/f"), Some("x/public/f")][self.below(4)].map(Into::into);
        for at in 1..=1 + self.below(6) {
            let mut repository = Repository::new(uuid(&format!("d{at}")));
            let groups = ["g", "h", "client", "archive"]
                .into_iter()
                .filter(|group| self.below(4) < if *group == "g" { 3 } else { 1 });
            repository.groups = groups.map(|group| group.as_bytes().into()).collect();
            repository.trust =
                [Trust::Semitrusted, Trust::Semitrusted, Trust::Untrusted, Trust::Trusted, Trust::Dead][self.below(5)];
            repository.maxsize = [None, Some(0), Some(100), Some(1000), Some(1000), Some(2000)][self.below(6)];
            world.fill.insert(repository.uuid.clone(), [0, 0, 100, 850, 899, 900, 950][self.below(7)]);
            repository.wanted = (self.below(6) > 0).then(|| self.expression(0).into_bytes().into());
            repository.required = (self.below(5) == 0).then(|| self.expression(2).into_bytes().into());
            world.configuration.repositories.push(repository);
        }
        for group in ["g", "h"] {
            if self.below(3) == 0 {
                world.configuration.groupwanted.push((group.as_bytes().into(), self.expression(1).into_bytes().into()));
            }
        }
        let all = ["own", "d1", "d2", "d3", "d4", "d5", "d99"];
        world.holders = all.into_iter().filter(|_| self.below(3) == 0).map(uuid).collect();
        world.configuration.numcopies = [None, Some(0), Some(2), Some(3)][self.below(4)];
        world.numcopies = [None, None, Some(4)][self.below(3)];
        world.configuration.rebalance = self.below(4) == 0;
        world.configuration.threshold = [None, Some(85), Some(0)][self.below(3)];
        world
    }
}

/// Answers that are compared where `STREAM_TEST_WANTED_CASES` says nothing else: `make wanted` compares a million.
const CASES: usize = 30_000;

#[test]
fn it_answers_as_the_plain_evaluator() {
    let set = std::env::var("STREAM_TEST_WANTED_CASES").ok().filter(|set| !set.is_empty());
    let cases = set.map_or(CASES, |set| set.parse().expect("STREAM_TEST_WANTED_CASES is a number"));
    let (mut chance, mut yes, mut asked) = (Chance(20_261_026), 0, 0);
    for round in 0.. {
        if 2 * asked >= cases {
            break;
        }
        let world = chance.world();
        let policy = Policy::new(world.configuration.clone());
        let question = policy.about(&world);
        for repo in policy.repos() {
            let uuid = policy.uuid(repo);
            let ours = (question.wants(repo, Assumed::NOTHING), question.keeps(repo, Assumed::NOTHING));
            let plain = (reference::wants(&world, uuid), reference::keeps(&world, uuid));
            assert_eq!(ours, (Ok(plain.0), Ok(plain.1)), "round {round}, {uuid}: {world:#?}");
            if let Some(explained) = question.explain_wants(repo, Assumed::NOTHING) {
                assert_eq!(explained.answer, ours.0, "round {round}, {uuid}: {}", explained.tree);
                assert!(explained.unstable.is_some() || adds_up(&explained.tree) == plain.0, "{}", explained.tree);
                assert_eq!(explained.tree.answer() == Answer::Yes, adds_up(&explained.tree), "{}", explained.tree);
            }
            yes += usize::from(plain.0);
            asked += 1;
        }
    }
    assert!(yes * 5 > asked && yes * 5 < asked * 4, "{yes} of {asked} want it: cases that prove little");
}

/// The answer, from the answers of the terms alone.
fn adds_up(part: &Part) -> bool {
    use crate::wanted::Joint;
    match part {
        Part::Term { answer, .. } => *answer == Answer::Yes,
        Part::Not(inner) => !adds_up(inner),
        Part::Expanded { into, .. } => adds_up(into),
        Part::Sequence(list) => list.iter().fold(true, |left, (joint, part)| match joint {
            Joint::And => left && adds_up(part),
            Joint::Or => left || adds_up(part),
        }),
    }
}

#[test]
fn what_is_assumed_is_as_if_it_were_recorded() {
    let mut chance = Chance(7);
    for round in 0..1000 {
        let world = chance.world();
        let policy = Policy::new(world.configuration.clone());
        let more: Vec<_> = policy.repos().filter(|_| chance.below(2) == 0).collect();
        let mut after = world.clone();
        // How full they are is recorded elsewhere, and is not what is assumed.
        after.configuration.repositories.iter_mut().for_each(|repository| repository.maxsize = None);
        let mut before = after.clone();
        before.holders.retain(|holder| !more.iter().any(|repo| policy.uuid(*repo) == holder));
        for repo in &more {
            if !after.has(policy.uuid(*repo)) && world.configuration.repositories[repo.index()].trust != Trust::Dead {
                after.holders.push(policy.uuid(*repo).clone());
            }
        }
        let assumed = Assumed {
            has: more.iter().copied().filter(|repo| after.has(policy.uuid(*repo))).collect(),
            ..Assumed::default()
        };
        let policy = Policy::new(after.configuration.clone());
        for repo in policy.repos() {
            if after.configuration.repositories[repo.index()].trust == Trust::Dead {
                continue;
            }
            let recorded = policy.about(&after).wants(repo, Assumed::NOTHING);
            assert_eq!(policy.about(&before).wants(repo, &assumed), recorded, "round {round}: {after:#?}");
        }
    }
}
