//! Tables of forty keys: whom git-annex chose for each.

use super::reference;
use super::world::World;
use crate::name::Uuid;
use crate::wanted::{Assumed, Policy, Repository};

const TABLES: &str = include_str!("../../../testdata/wanted/balanced.txt");
const KEYS: &str = include_str!("../../../testdata/wanted/keys.txt");

const REPOS: [&str; 5] = [
    "a0e1f2c3-0001-4aaa-8aaa-00000000000a",
    "5b2c3d4e-0002-4bbb-9bbb-00000000000b",
    "c3d4e5f6-0003-4ccc-accc-00000000000c",
    "07f6e5d4-0004-4ddd-bddd-00000000000d",
    "f9a8b7c6-0005-4eee-8eee-00000000000e",
];

pub(crate) fn uuid(at: usize) -> Uuid {
    Uuid::parse(REPOS[at].as_bytes()).expect("a uuid")
}

/// `r2`.
fn number(name: &str) -> usize {
    name[1..].parse().expect("a number")
}

#[derive(Default)]
struct Fill {
    max: [Option<u64>; 5],
    used: [u64; 5],
    has: Vec<(String, Vec<usize>)>,
}

impl Fill {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "max" => self.max = std::array::from_fn(|at| words[at + 1].parse().ok()),
            "used" => self.used = std::array::from_fn(|at| words[at + 1].parse().expect("a number")),
            _ => self.has.push((words[1].to_string(), words[2..].iter().map(|name| number(name)).collect())),
        }
    }

    fn world(&self, name: &str, key: &str) -> World {
        let mut world = World::new(key);
        world.configuration.repositories = (0..5).map(|at| Repository::new(uuid(at))).collect();
        for (at, repository) in world.configuration.repositories.iter_mut().enumerate() {
            let groups = [("g2", 2), ("g3", 3), ("g5", 5)];
            let groups = groups.iter().filter(|(_, members)| at < *members);
            repository.groups = groups.map(|(group, _)| group.as_bytes().into()).collect();
            repository.maxsize = self.max[at];
        }
        let holders = self.has.iter().find(|(key, _)| key == name).map_or(&[][..], |(_, holders)| holders);
        world.holders = holders.iter().map(|at| uuid(*at)).collect();
        let own = |at: usize| if holders.contains(&at) { world.key.size().unwrap_or(0) } else { 0 };
        world.fill = (0..5).map(|at| (uuid(at), self.used[at] - own(at))).collect();
        world
    }
}

/// Calls `check` for each expression and key: the situation, those it is set on, and those that want it.
pub(crate) fn each(mut check: impl FnMut(World, &str, &[usize], &[usize])) {
    let mut fill = Fill::default();
    for line in TABLES.lines().filter(|line| !line.starts_with('#')) {
        let Some(line) = line.strip_prefix("= ") else {
            fill.line(line);
            continue;
        };
        let (question, answers) = line.split_once(" : ").expect("answers");
        let (expression, set_on) = question.split_once(" @ ").expect("those it is set on");
        let (expression, rebalance) =
            expression.split_once(' ').map_or((expression, false), |(found, _)| (found, true));
        let set_on: Vec<usize> = set_on.split(',').map(number).collect();
        for (line, answer) in KEYS.lines().zip(answers.split(' ')) {
            let (name, key) = line.split_once(' ').expect("a key");
            let mut world = fill.world(name, key);
            world.configuration.rebalance = rebalance;
            for at in &set_on {
                world.configuration.repositories[*at].wanted = Some(expression.as_bytes().into());
            }
            let chosen: Vec<usize> = answer.split(',').filter(|name| *name != "-").map(number).collect();
            check(world, &format!("{line} {question}"), &set_on, &chosen);
        }
    }
}

#[test]
fn those_are_chosen_that_git_annex_chooses() {
    let mut cells = 0;
    each(|world, what, set_on, chosen| {
        let policy = Policy::new(world.configuration.clone());
        let question = policy.about(&world);
        for at in set_on {
            let repo = policy.repo(&uuid(*at)).expect("a known repository");
            assert_eq!(question.wants(repo, Assumed::NOTHING), Ok(chosen.contains(at)), "{what} r{at}");
            cells += 1;
        }
    });
    assert!(cells > 6000, "only {cells} cells");
}

#[test]
fn the_plain_evaluator_chooses_them_too() {
    each(|world, what, set_on, chosen| {
        for at in set_on {
            assert_eq!(reference::wants(&world, &uuid(*at)), chosen.contains(at), "{what} r{at}");
        }
    });
}
