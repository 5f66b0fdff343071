//! Every example of docs/preferred-content.md.

use super::world::{World, uuid};
use crate::wanted::{Assumed, Expression, Policy};

const PAGE: &str = include_str!("../../../docs/preferred-content.md");

/// The cells of the rows below a heading of a table, whitespace and backticks around them taken off; and what stands before it.
fn tables(heading: &'static str) -> impl Iterator<Item = (&'static str, Vec<Vec<String>>)> {
    PAGE.match_indices(heading).map(|(at, _)| {
        let rows = PAGE[at..].lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
        (&PAGE[..at], rows.map(cells).collect())
    })
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn an_expression_matches_where_the_page_says_so() {
    let mut seen = 0;
    for (_, rows) in tables("| expression | file | matches |") {
        for row in rows {
            let [expression, file, answer] = &row[..] else { panic!("{row:?}") };
            let mut world = World::read("repo d1 groups=archive\nkey SHA256-s100--x");
            world.file = Some(file.as_bytes().to_vec());
            let policy = Policy::new(world.configuration.clone());
            let d1 = policy.repo(&uuid("d1")).expect("it is known");
            let parsed = Expression::parse(code(expression).as_bytes()).expect(expression);
            let plan = policy.compile(d1, &parsed).expect(expression);
            let matches = policy.about(&world).matches(&plan, d1, Assumed::NOTHING);
            assert_eq!(matches, Ok(answer == "yes"), "{expression} {file}");
            seen += 1;
        }
    }
    assert!(seen > 35, "only {seen} examples were found");
}

#[test]
fn what_the_page_says_is_refused_is_refused() {
    let (_, rows) = tables("| refused | message |").next().expect("the table is there");
    assert!(rows.len() > 15, "only {} examples were found", rows.len());
    for row in rows {
        let [expression, message] = &row[..] else { panic!("{row:?}") };
        let error = Expression::parse(code(expression).as_bytes()).expect_err(expression);
        assert_eq!(error.to_string(), *message, "{expression}");
    }
}

#[test]
fn repositories_want_what_the_page_says() {
    let mut seen = 0;
    for heading in ["| `d1` prefers | get | drop |", "| prefers | get | drop |"] {
        for (before, rows) in tables(heading) {
            let situation = before.rsplit("```situation\n").next().and_then(|rest| rest.split("```").next());
            for row in rows {
                let [prefers, get, drop] = &row[..] else { panic!("{row:?}") };
                let (name, expression) = prefers.split_once(": ").unwrap_or(("d1", prefers));
                let mut world = World::read(situation.expect("a situation").trim_end());
                world.repository(code(name)).wanted = Some(code(expression).as_bytes().into());
                let policy = Policy::new(world.configuration.clone());
                let repo = policy.repo(&uuid(code(name))).expect("it is known");
                let question = policy.about(&world);
                let wants = question.wants(repo, Assumed::NOTHING).map(|wants| wants && policy.is_configured(repo));
                let ours = (wants, question.keeps(repo, Assumed::NOTHING).map(|keeps| !keeps));
                assert_eq!(ours, (Ok(get == "yes"), Ok(drop == "yes")), "{prefers}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "only {seen} examples were found");
}
