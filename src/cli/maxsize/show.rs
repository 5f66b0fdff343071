//! Sizes, and how full repositories are, in the form of `git annex maxsize`.

use serde_json::{Number, Value, json};

use crate::name::Uuid;

/// A repository that is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) uuid: Uuid,
    pub(super) description: Vec<u8>,
    pub(super) is_here: bool,
    /// Bytes.
    pub(super) size: i128,
    /// Bytes; `None` where there is no limit.
    pub(super) max_size: Option<i128>,
}

/// Units, each a thousand times the one before.
const UNITS: [&str; 11] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB", "QB"];

impl Row {
    pub(super) fn json(&self) -> Value {
        json!({
            "description": String::from_utf8_lossy(&self.description),
            "here": self.is_here,
            "size": {"maxsize": number(self.max_size), "size": number(Some(self.size))},
            "uuid": String::from_utf8_lossy(self.uuid.as_bytes()),
        })
    }
}

/// A number of JSON: exact up to what a `u64` holds, which is more than any disk does.
pub(super) fn number(value: Option<i128>) -> Value {
    let number = value.and_then(|value| serde_json::from_str::<Number>(&value.to_string()).ok());
    number.map_or(Value::Null, Value::Number)
}

/// All of it, with its head.
pub(super) fn table(rows: &[Row], in_bytes: bool) -> String {
    let mut out = line("size", "maxsize", "%full", "repository");
    for row in rows {
        let show = |size: i128| if in_bytes { size.to_string() } else { rough(size) };
        let mut repository = String::from_utf8_lossy(row.uuid.as_bytes()).into_owned();
        let mut called = String::from_utf8_lossy(&row.description).into_owned();
        if row.is_here {
            called = if called.is_empty() { "[here]".to_string() } else { format!("{called} [here]") };
        }
        if !called.is_empty() {
            repository = format!("{repository} -- {called}");
        }
        let full = row.max_size.map(|max| percent(row.size, max)).unwrap_or_default();
        out += &line(&show(row.size), &row.max_size.map(show).unwrap_or_default(), &full, &repository);
    }
    out
}

fn line(size: &str, max_size: &str, full: &str, repository: &str) -> String {
    format!("{size:>7} {max_size:>7} {full:>6}  {repository}\n")
}

/// A size to the next whole unit: `2 kB`. Half a unit goes to the even neighbour.
fn rough(size: i128) -> String {
    let (value, unit) = in_units(size);
    format!("{:.0} {unit}", value.round_ties_even())
}

/// A size in full, in the largest unit that it has one of: `1.004 kB`.
pub(super) fn exact(size: i128) -> String {
    let (value, unit) = in_units(size);
    format!("{value:?} {unit}")
}

fn in_units(size: i128) -> (f64, &'static str) {
    let power = (1..UNITS.len()).take_while(|power| size.unsigned_abs() >= 1000u128.pow(*power as u32)).count();
    (size as f64 / 1000f64.powi(power as i32), UNITS[power])
}

/// How full that is, to the next whole percent. Half of one goes to the even neighbour.
fn percent(size: i128, max_size: i128) -> String {
    if size > max_size {
        return ">100%".to_string();
    }
    if max_size <= 0 {
        return "0%".to_string();
    }
    let Some(hundredfold) = size.checked_mul(100) else {
        return format!("{:.0}%", (size as f64 / max_size as f64 * 100.0).round_ties_even());
    };
    let (whole, rest) = (hundredfold / max_size, hundredfold % max_size);
    let up = match (rest.saturating_mul(2)).cmp(&max_size) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole % 2,
        std::cmp::Ordering::Greater => 1,
    };
    format!("{}%", whole + up)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What git-annex said, by the words after `git annex maxsize`.
    fn said() -> Vec<(String, String)> {
        let text = include_str!("../../../testdata/annex/maxsize.txt");
        let parts = text.split("$ git annex maxsize").skip(1);
        let part = |part: &str| part.split_once('\n').map(|(words, said)| (words.trim().to_string(), said.to_string()));
        parts.filter_map(part).collect()
    }

    /// A row of git-annex's table in bytes.
    fn row(line: &str) -> Row {
        let words: Vec<&str> = line.split_whitespace().collect();
        let uuid = words.iter().position(|word| word.len() == 36 && word.contains('-')).expect("a uuid");
        let is_here = line.ends_with(" [here]");
        let text = line.trim_end_matches(" [here]");
        let description = text.split_once(" -- ").map_or("", |(_, description)| description);
        let number = |at: usize| words[at].parse().expect("a number");
        Row {
            uuid: Uuid::parse(words[uuid].as_bytes()).expect("a uuid"),
            description: description.as_bytes().to_vec(),
            is_here,
            size: number(0),
            max_size: (uuid == 3).then(|| number(1)),
        }
    }

    #[test]
    fn tables_and_sizes_are_shown_as_git_annex_shows_them() {
        let said = said();
        let rows: Vec<Row> = said[0].1.lines().skip(1).map(row).collect();
        assert!(rows.len() > 60 && said.len() > 40, "{} rows, {} answers", rows.len(), said.len());
        assert_eq!(said[0].0, "--bytes");
        assert_eq!(table(&rows, true), said[0].1);
        assert_eq!(said[1].0, "");
        assert_eq!(table(&rows, false), said[1].1);
        for (uuid, shown) in &said[2..] {
            let row = rows.iter().find(|row| row.uuid.as_bytes() == uuid.as_bytes()).expect("a row");
            assert_eq!(format!("{}\n", exact(row.max_size.expect("a limit"))), *shown, "{uuid}");
        }
        let mut sorted = rows.clone();
        sorted.sort_by(super::super::by_room);
        assert_eq!(sorted, rows, "those that may hold most come first");
    }

    #[test]
    fn what_may_hold_less_than_nothing_is_more_than_full() {
        for (size, max, shown) in [(0, -5, ">100%"), (0, 0, "0%"), (1, 0, ">100%"), (i128::MAX, i128::MAX, "100%")] {
            assert_eq!(percent(size, max), shown, "{size} of {max}");
        }
        assert_eq!((rough(-5), exact(-16000)), ("-5 B".to_string(), "-16.0 kB".to_string()));
    }

    #[test]
    fn json_has_numbers_whole() {
        assert_eq!(number(Some(i128::from(u64::MAX))).to_string(), "18446744073709551615");
        assert_eq!((number(None).to_string(), number(Some(-5)).to_string()), ("null".into(), "-5".into()));
    }
}
