//! The grammar and the globs, as git-annex has them.

use super::world::World;
use crate::wanted::{Assumed, Expression, Fault, Glob, Oddity, Policy};

const GRAMMAR: &str = include_str!("../../../testdata/wanted/grammar.txt");
const GLOBS: &str = include_str!("../../../testdata/wanted/globs.txt");
const REFUSED: &str = include_str!("../../../testdata/wanted/refused.txt");

#[test]
fn words_in_any_order_mean_what_they_mean_to_git_annex() {
    let world = World::new("X--");
    let policy = Policy::new(world.configuration.clone());
    let own = policy.repos().next().expect("one repository");
    for line in GRAMMAR.lines() {
        let (code, text) = line.split_once('\t').expect("two columns");
        let expression = Expression::parse(text.as_bytes()).expect(text);
        let plan = policy.compile(own, &expression).expect(text);
        let matches = policy.about(&world).matches(&plan, own, Assumed::NOTHING);
        assert_eq!(matches, Ok(code == "0"), "{text}");
    }
    assert!(GRAMMAR.lines().count() > 2000);
}

#[test]
fn globs_match_what_they_match_for_git_annex() {
    let (names, globs) = GLOBS.split_once('\n').expect("names first");
    for line in globs.lines() {
        let (glob, row) = line.split_once('\t').expect("two columns");
        let compiled = Glob::parse(glob.as_bytes());
        assert_eq!(compiled.is_bad(), row == "FAIL", "{glob}");
        if !compiled.is_bad() {
            for (name, code) in names.split(' ').zip(row.chars()) {
                assert_eq!(compiled.matches(name.as_bytes()), Ok(code == '0'), "{glob} {name}");
            }
        }
    }
}

#[test]
fn what_git_annex_refuses_is_refused_in_its_words() {
    for line in REFUSED.lines() {
        let (text, message) = line.split_once('\t').expect("two columns");
        let ours = Expression::parse(text.as_bytes());
        match message {
            "ok" => assert!(ours.is_ok(), "{text}: {ours:?}"),
            _ => assert_eq!(ours.expect_err(text).to_string(), message, "{text}"),
        }
    }
}

#[test]
fn limits_are_errors_and_no_more() {
    let parse = |text: String| Expression::parse(text.as_bytes()).map(|_| ()).map_err(|error| error.fault);
    for piece in ["not ", "(", "and "] {
        assert_eq!(parse(format!("a{}", piece.repeat(50)).replacen('a', "", 1)), Ok(()), "{piece}");
        assert_eq!(parse(piece.repeat(60_000 / piece.len())), if piece == "(" { Ok(()) } else { Err(Fault::TooDeep) });
        assert_eq!(parse(piece.repeat(70_000)), Err(Fault::TooLong));
    }
    assert_eq!(parse("and (".repeat(300)), Err(Fault::TooDeep));
    assert_eq!(parse("anything or ".repeat(5000)), Ok(()));
}

#[test]
fn what_is_odd_is_told_with_its_place() {
    use Oddity::*;
    for (text, expected) in [
        ("include=*.mp3 and (copies=1 or not present)", &[][..]),
        ("anything or nothing and nothing", &[(20, MixedOperators)]),
        ("anything or nothing nothing", &[(20, MixedOperators)]),
        ("and anything", &[(0, LeadingOperator)]),
        ("anything and", &[(9, MissingOperand)]),
        ("not", &[(0, MissingOperand)]),
        ("anything and or nothing", &[(13, DoubledOperator)]),
        ("(anything", &[(0, Unclosed)]),
        ("anything)", &[(8, SurplusClose)]),
        ("(nothing (anything or nothing))", &[(9, NotGrouped), (19, MixedOperators)]),
        ("((nothing) or anything)", &[]),
        ("include=[a", &[(0, BadGlob)]),
        ("copies=1x copies=0", &[(0, AfterNumber), (10, NoCopies)]),
        ("balanced= include=", &[(0, Empty), (10, Empty)]),
        ("copies=+=1", &[(0, NoLimit)]),
    ] {
        let expression = Expression::parse(text.as_bytes()).expect(text);
        let found: Vec<_> = expression.warnings().iter().map(|warning| (warning.at.start, warning.what)).collect();
        assert_eq!(found, expected, "{text}");
    }
    let error = Expression::parse(b"anything and  newterm=5").expect_err("no term");
    assert_eq!((error.at, error.fault), (14..23, Fault::UnknownTerm(b"newterm=5"[..].into())));
}
