//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that plain tests can run them too.
//!
//! They panic when a promise of the module is broken.

use super::log::log;
use super::outside::{Found, Outside, Used};
use super::run::{begin, run};
use super::script::{Command, Line, Problem, parse};
use super::state::{restore, restore_body, save};
use super::step::step;

/// Nobody listens.
struct Alone;

impl Outside for Alone {
    fn say(&mut self, sentence: &str) {
        assert!(!sentence.contains('\n'), "a sentence of two lines");
    }

    fn used(&mut self, _: &[u8], _: &[u8]) -> Result<Used, Problem> {
        Err(Problem("no".to_string()))
    }

    fn tree(&mut self, _: &[u8]) -> Result<Vec<Found>, Problem> {
        Ok(Vec::new())
    }
}

/// Any bytes are a sim file or are refused in one line; what is read is written so that it is read the same, and the log of what was
/// run is a sim file that gives the same log.
pub fn script(data: &[u8]) {
    let mut lines = Vec::new();
    for text in data.split(|byte| *byte == b'\n').take(60) {
        match parse(text) {
            Ok(line) => {
                let shown = line.to_bytes();
                let again = parse(&shown).expect("what was written is read");
                assert_eq!(again.to_bytes(), shown);
                lines.push(line);
            }
            Err(problem) => assert!(!problem.to_string().contains('\n')),
        }
    }
    lines.retain(|line| match line {
        Line::Command(Command::AddMulti { count, .. }) => *count <= 20,
        Line::Command(Command::Step(count) | Command::StepStable(count)) => *count <= 20,
        // A failed one is not logged, but what it drew or did stays.
        Line::Command(Command::Action(_)) => true,
        _ => true,
    });
    let mut world = begin(lines.first(), 5);
    let mut failed = false;
    for line in &lines {
        failed |= run(&mut world, line, &mut Alone).is_err_and(|problem| {
            assert!(!problem.to_string().contains('\n'));
            true
        });
    }
    let told = log(&world);
    assert_eq!(log(&restore(&save(&world)).expect("what was saved")), told);
    if failed {
        return;
    }
    let lines: Vec<Line> = told
        .split(|byte| *byte == b'\n')
        .take(told.iter().filter(|byte| **byte == b'\n').count())
        .map(|text| parse(text).expect("a log is read"))
        .collect();
    let mut again = begin(lines.first(), 5);
    lines.iter().for_each(|line| run(&mut again, line, &mut Alone).expect("a log runs"));
    assert_eq!(log(&again), told);
}

/// Any bytes are a state or are refused; one that is read can be resumed, and is written as it was.
pub fn state(data: &[u8]) {
    drop(restore(data));
    let Ok(mut world) = restore_body(data) else { return };
    let saved = save(&world);
    let again = restore(&saved).expect("what was saved");
    assert_eq!(save(&again), saved);
    drop(log(&world));
    if world.network.members.len() <= 16 && world.files.len() <= 64 {
        drop(step(&mut world, 10));
    }
}

/// The body of the state that a sim file comes to, for the first inputs of [`state`].
pub fn body_of(text: &[u8]) -> Vec<u8> {
    let lines: Vec<Line> = text.split(|byte| *byte == b'\n').filter_map(|text| parse(text).ok()).collect();
    let mut world = begin(lines.first(), 5);
    lines.iter().for_each(|line| drop(run(&mut world, line, &mut Alone)));
    super::state::body_bytes(&world)
}
