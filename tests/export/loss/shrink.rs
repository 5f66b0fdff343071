//! Leaves out of a failing run what it fails without.

use super::model::{Class, Finding, Model};
use super::operations::Operation;
use super::world::{Kind, World, keys};
use super::{drive, say};

/// A run in a world of its own. With `every` it is looked at after so many operations, and as a whole after so many.
pub fn run_once(kind: Kind, operations: &[(usize, Operation)], every: [usize; 2]) -> Vec<Finding> {
    let (mut world, mut model) = (World::new(kind), Model::new(keys()));
    drive::run(&mut world, &mut model, operations, every);
    model.findings
}

/// The operations that are enough for a finding of this class, as far as `tries` runs tell.
pub fn shrink(
    kind: Kind,
    operations: &[(usize, Operation)],
    class: Class,
    every: [usize; 2],
    mut tries: usize,
) -> Vec<(usize, Operation)> {
    let mut left = operations.to_vec();
    let mut size = left.len().div_ceil(2);
    while size > 0 && tries > 0 {
        let mut at = 0;
        while at < left.len() && tries > 0 {
            let mut fewer = left.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            tries -= 1;
            let findings = run_once(kind, &fewer, every);
            let fails = findings.iter().any(|finding| finding.class == class);
            if fails {
                // What comes after the finding is of no use.
                let last = findings.iter().map(|finding| finding.after).max().unwrap_or(usize::MAX);
                fewer.retain(|(number, _)| *number <= last);
                left = fewer;
                let numbers: Vec<String> = left.iter().map(|(number, _)| number.to_string()).collect();
                say(&format!("fails with STREAM_TEST_ONLY={}", numbers.join(",")));
            } else {
                at += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    left
}
