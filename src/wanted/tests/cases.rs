//! Situations that git-annex was asked about, one by one.

use super::reference;
use super::world::{World, uuid};
use crate::wanted::{Assumed, Policy};

const CASES: &str = include_str!("../../../testdata/wanted/cases.txt");

/// Every question of every situation: the block, the repository, the expression, wanted, and kept when it could go.
fn recorded() -> impl Iterator<Item = (&'static str, &'static str, &'static str, bool, bool)> {
    CASES.split("\n\n").flat_map(|block| {
        block.lines().filter_map(move |line| {
            let (question, answer) = line.strip_prefix("? ")?.split_once(" => ")?;
            let (name, expression) = question.split_once(' ')?;
            let words: Vec<&str> = answer.split(' ').collect();
            let ["get", get, "drop", drop] = words[..] else { panic!("{line}") };
            Some((block, name, expression, get == "yes", drop == "no"))
        })
    })
}

fn situation(block: &str, name: &str, expression: &str) -> World {
    let mut world = World::read(block);
    if expression != "-" {
        world.repository(name).wanted = Some(expression.as_bytes().into());
    }
    world
}

#[test]
fn git_annex_answers_the_same() {
    let (mut asked, mut differ) = (0, Vec::new());
    for (block, name, expression, wanted, kept) in recorded() {
        let world = situation(block, name, expression);
        let policy = Policy::new(world.configuration.clone());
        let repo = policy.repo(&uuid(name)).expect("a known repository");
        let question = policy.about(&world);
        // `--want-get-by` says no where nothing is configured, although everything is sent there.
        let wants = question.wants(repo, Assumed::NOTHING).map(|wants| wants && policy.is_configured(repo));
        let ours = (wants, question.keeps(repo, Assumed::NOTHING));
        if ours != (Ok(wanted), Ok(kept)) {
            differ.push(format!("{block}\n>>> {name} {expression}: {wanted} {kept}, not {ours:?}"));
        }
        asked += 1;
    }
    assert!(differ.is_empty(), "{} of {asked} differ:\n{}", differ.len(), differ.join("\n\n"));
    assert!(asked > 3000, "only {asked} were asked");
}

#[test]
fn git_annex_answers_as_the_plain_evaluator() {
    for (block, name, expression, wanted, kept) in recorded() {
        // It knows no metadata and no urls, and reads numbers in their plain form alone.
        if ["metadata", "url", "size", "0x", "0o", "3x", "4x", "3.", "than", "446744073", "3689"]
            .iter()
            .any(|odd| expression.contains(odd))
        {
            continue;
        }
        let world = situation(block, name, expression);
        let configured = Policy::new(world.configuration.clone());
        let configured = configured.repo(&uuid(name)).is_some_and(|repo| configured.is_configured(repo));
        let ours = (configured && reference::wants(&world, &uuid(name)), reference::keeps(&world, &uuid(name)));
        assert_eq!(ours, (wanted, kept), "{block}\n>>> {name} {expression}");
    }
}
