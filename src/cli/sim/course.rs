//! Copies of files over time, as `sim run` tells them: all of one run as JSON, and many runs as a table.

use serde::Serialize;

use crate::sim::{self, World};

/// How many copies files had in the course of a run.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct Over {
    /// Moments at equal distances, at most some 64, and the end.
    pub(super) copies_over_time: Vec<Moment>,
    /// The fewest copies that a file ever had.
    pub(super) fewest: Option<Fewest>,
}

/// A moment of a run.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct Moment {
    /// Transfers and drops before it.
    after: u64,
    /// Files by how many copies they have, from none on.
    copies: Vec<u64>,
}

/// The fewest copies that a file ever had.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(super) struct Fewest {
    pub(super) copies: usize,
    /// The file that was the first to have so few.
    file: String,
    /// Transfers and drops before it had.
    first: u64,
    /// Transfers and drops before the last moment at which any file had so few.
    pub(super) last: u64,
}

pub(super) fn over(world: &World) -> Over {
    let found = sim::course(world, sim::MOST_MOMENTS);
    let moments = found.moments.into_iter();
    Over {
        copies_over_time: moments.map(|moment| Moment { after: moment.after, copies: moment.copies }).collect(),
        fewest: found.fewest.map(|fewest| Fewest {
            copies: fewest.copies,
            file: String::from_utf8_lossy(world.files.name(fewest.file)).into_owned(),
            first: fewest.first,
            last: fewest.last,
        }),
    }
}

/// Rows beside the first and the last one.
const ROWS: u64 = 4;

/// The most columns; more copies are told in the last one.
const COLUMNS: usize = 6;

/// The least and the most files of any run that have so many copies, at some moments. A run that is over stays as it ended.
pub(super) fn table(runs: &[&Over]) -> String {
    let moments = || runs.iter().flat_map(|run| &run.copies_over_time);
    let most = moments().map(|moment| moment.copies.len()).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let columns = most.min(COLUMNS);
    let name = |copies: usize| match (copies, copies + 1 == columns && most > columns) {
        (1, false) => "1 copy".to_string(),
        (_, false) => format!("{copies} copies"),
        (_, true) => format!("{copies} or more"),
    };
    let mut text = format!("{:24}", "files that have");
    (0..columns).for_each(|copies| text += &format!(" {:>14}", name(copies)));
    text.push('\n');
    for after in rows(runs) {
        text += &format!("{:24}", format!("after {after}"));
        for copies in 0..columns {
            let files = |run: &&Over| at(run, after, copies, copies + 1 == columns);
            let (least, most) = (runs.iter().map(files).min(), runs.iter().map(files).max());
            let cell = match (least.unwrap_or(0), most.unwrap_or(0)) {
                (least, most) if least == most => least.to_string(),
                (least, most) => format!("{least}-{most}"),
            };
            text += &format!(" {cell:>14}");
        }
        text.push('\n');
    }
    text
}

/// The moments that are shown: those that every run that still goes on knows of, and the end of the longest.
fn rows(runs: &[&Over]) -> Vec<u64> {
    let end = |run: &&Over| run.copies_over_time.last().map_or(0, |moment| moment.after);
    let longest = runs.iter().map(end).max().unwrap_or(0);
    // Powers of two, so that the greatest is a multiple of each.
    let every = runs.iter().filter_map(|run| match &run.copies_over_time[..] {
        [first, second, _, ..] => Some(second.after - first.after),
        _ => None,
    });
    let every = every.max().unwrap_or(1).max(1);
    let distance = (longest / (ROWS + 1)).next_multiple_of(every).max(every);
    let mut rows: Vec<u64> = (0..=ROWS).map(|row| row * distance).filter(|after| *after < longest).collect();
    rows.push(longest);
    rows
}

/// Files of a run that have so many copies, or more, after so many transfers and drops.
fn at(run: &Over, after: u64, copies: usize, or_more: bool) -> u64 {
    let moments = &run.copies_over_time;
    let known = moments.partition_point(|moment| moment.after <= after);
    let Some(moment) = known.checked_sub(1).and_then(|at| moments.get(at)) else { return 0 };
    let counts = moment.copies.iter().skip(copies);
    if or_more { counts.fold(0, |sum, files| sum.saturating_add(*files)) } else { counts.copied().next().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(moments: &[(u64, &[u64])]) -> Over {
        let moments = moments.iter().map(|(after, copies)| Moment { after: *after, copies: copies.to_vec() });
        Over { copies_over_time: moments.collect(), fewest: None }
    }

    fn cells(runs: &[&Over]) -> Vec<String> {
        table(runs).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn runs_of_different_length_are_told_in_one_table() {
        let short = over(&[(0, &[0, 3]), (1, &[0, 2, 1]), (2, &[0, 1, 2])]);
        let long = over(&[(0, &[0, 3]), (2, &[0, 2, 1]), (4, &[0, 2, 0, 1]), (6, &[0, 2, 1]), (7, &[1, 2])]);
        assert_eq!(
            cells(&[&short, &long]),
            [
                "files that have 0 copies 1 copy 2 copies 3 copies",
                "after 0 0 3 0 0",
                "after 2 0 1-2 1-2 0",
                "after 4 0 1-2 0-2 0-1",
                "after 6 0 1-2 1-2 0",
                "after 7 0-1 1-2 0-2 0",
            ]
        );
        assert_eq!(cells(&[&over(&[(0, &[0, 1])])]), ["files that have 0 copies 1 copy", "after 0 0 1"]);
        assert!(table(&[&over(&[(0, &[])])]).is_empty());
    }

    #[test]
    fn a_table_is_short() {
        let moments: Vec<(u64, &[u64])> = (0..=64).map(|at| (at * 16, &[1u64; 9][..])).collect();
        let shown = cells(&[&over(&moments)]);
        assert_eq!(shown.len(), 7, "{shown:?}");
        assert!(shown[0].ends_with("4 copies 5 or more"), "{shown:?}");
        assert_eq!((&shown[2][..], &shown[6][..]), ("after 208 1 1 1 1 1 4", "after 1024 1 1 1 1 1 4"));
    }
}
