//! What cannot be told, and what need not be asked.

use std::cell::RefCell;

use super::world::{World, uuid};
use crate::name::{Key, Uuid};
use crate::wanted::{Answer, Assumed, Fact, Facts, Part, Policy, Repo, Unknown};

/// A world of which some facts cannot be told; it remembers what it was asked.
struct Broken {
    world: World,
    broken: Vec<Fact>,
    asked: RefCell<Vec<Fact>>,
}

impl Broken {
    fn ask(&self, fact: Fact) -> Result<(), Unknown> {
        self.asked.borrow_mut().push(fact);
        if self.broken.contains(&fact) { Err(Unknown::new(fact, "unreadable")) } else { Ok(()) }
    }
}

impl Facts for Broken {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(&self.world.key)
    }
    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        self.world.file()
    }
    fn size(&self) -> Result<Option<u64>, Unknown> {
        self.ask(Fact::Size).and_then(|()| self.world.size())
    }
    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        self.ask(Fact::Holders).and_then(|()| self.world.holders(holder))
    }
    fn used(&self, repo: Repo, uuid: &Uuid) -> Result<u64, Unknown> {
        self.ask(Fact::Used).and_then(|()| self.world.used(repo, uuid))
    }
    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        self.ask(Fact::NumCopies).map(|()| None)
    }
    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.ask(Fact::Metadata).and_then(|()| self.world.metadata(field, value))
    }
    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.ask(Fact::Urls).and_then(|()| self.world.urls(url))
    }
    fn unused(&self) -> Result<bool, Unknown> {
        self.ask(Fact::Unused).map(|()| false)
    }
}

const FACTS: &str =
    "repo d1 groups=g maxsize=1000\nrepo d2 groups=g maxsize=1000\nkey SHA256-s5--x\nfile f.mp3\nhas d2";

fn ask(expression: &str, broken: &[Fact]) -> (Result<bool, Fact>, Vec<Fact>) {
    let mut world = World::read(FACTS);
    world.repository("d1").wanted = Some(expression.as_bytes().into());
    let policy = Policy::new(world.configuration.clone());
    let facts = Broken { world, broken: broken.to_vec(), asked: RefCell::default() };
    let d1 = policy.repo(&uuid("d1")).expect("it is known");
    let answer = policy.about(&facts).wants(d1, Assumed::NOTHING);
    (answer.map_err(|unknown| unknown.fact), facts.asked.into_inner())
}

#[test]
fn what_cannot_be_told_is_an_error_where_the_answer_depends_on_it() {
    use Fact::*;
    for (expression, fact) in [
        ("present", Holders),
        ("copies=1", Holders),
        ("not copies=1", Holders),
        ("lackingcopies=1", NumCopies),
        ("inallgroup=g", Holders),
        ("onlyingroup=g", Holders),
        ("smallerthan=1kb", Size),
        ("metadata=a=b", Metadata),
        ("url=*", Urls),
        ("unused", Unused),
        ("fullybalanced=g", Used),
        ("balanced=g:lackingcopies", NumCopies),
        ("nothing or present", Holders),
        ("anything and present", Holders),
        ("present and not unused", Holders),
    ] {
        assert_eq!(ask(expression, &[fact]).0, Err(fact), "{expression}");
        assert!(ask(expression, &[]).0.is_ok(), "{expression}");
    }
    assert_eq!(ask("include=[a", &[]).0, Err(Glob));
}

#[test]
fn the_other_side_answers_where_it_decides() {
    let all = [Fact::Holders, Fact::Size, Fact::Metadata, Fact::Urls, Fact::Unused];
    for (expression, answer) in [
        ("copies=1 or anything", true),
        ("copies=1 and nothing", false),
        ("anything or copies=1", true),
        ("nothing and copies=1", false),
        ("not (url=* and nothing)", true),
        ("(metadata=a=b or unused) or include=*.mp3", true),
        ("metadata=a=b and nothing or include=*.mp3", true),
    ] {
        assert_eq!(ask(expression, &all).0, Ok(answer), "{expression}");
    }
}

#[test]
fn only_what_is_needed_is_asked_and_nothing_twice() {
    use Fact::*;
    for (expression, asked) in [
        ("include=*.mp3 or copies=1", &[][..]),
        ("not present", &[]),
        ("inbackend=SHA256 and (securehash or unused)", &[]),
        ("copies=4 or present or copies=g:3 or inallgroup=h", &[Holders]),
        ("approxlackingcopies=5", &[Holders]),
        ("smallerthan=1 or smallerthan=2 or largerthan=9", &[Size]),
        ("fullybalanced=nosuch", &[]),
        ("inallgroup=nosuch", &[]),
    ] {
        assert_eq!(ask(expression, &[]).1, asked, "{expression}");
    }
}

#[test]
fn an_explanation_tells_each_term() {
    let mut world = World::read(FACTS);
    world.configuration.groupwanted.push((b"g"[..].into(), b"present or include=*.mp3"[..].into()));
    let policy = Policy::new(world.configuration.clone());
    let d1 = policy.repo(&uuid("d1")).expect("it is known");
    let facts = Broken { world, broken: vec![Fact::Urls], asked: RefCell::default() };
    let question = policy.about(&facts);
    let explain = |text: &str| {
        let expression = crate::wanted::Expression::parse(text.as_bytes()).expect(text);
        question.explain(&policy.compile(d1, &expression).expect(text), d1, Assumed::NOTHING)
    };
    for (text, answer, told) in [
        ("anything or nothing", true, "anything[TRUE]"),
        ("metadata=a=b and largerthan=1", false, "metadata=a=b[FALSE]"),
        ("not (include=*.x and present) or standard", false, "( not ( include=*.x[FALSE] ) )"),
        ("groupwanted and copies=1", true, "( present[FALSE] or include=*.mp3[TRUE] ) and copies=1[TRUE]"),
        (
            "(include=*.x or (copies=1 and smallerthan=1kb)) and (not copies=g:2 or present)",
            true,
            "( include=*.x[FALSE] or ( copies=1[TRUE] and smallerthan=1kb[TRUE] ) ) and ( not copies=g:2[FALSE] )",
        ),
        ("url=* or anything", true, "url=*[UNKNOWN] or anything[TRUE]"),
    ] {
        let explanation = explain(text);
        assert_eq!((explanation.answer, explanation.tree.to_string()), (Ok(answer), told.to_string()), "{text}");
    }
    let unstable = explain("include=*.mp3 and not groupwanted");
    assert_eq!(unstable.answer, Ok(false));
    let named = unstable.unstable.expect("it is unstable");
    assert_eq!((&*named.term, named.inside.as_deref()), (&b"present"[..], Some(&b"groupwanted"[..])));
    let Part::Sequence(list) = explain("url=*").tree else { panic!("a sequence") };
    assert!(matches!(&list[0].1, Part::Term { answer: Answer::Unknown(unknown), .. } if unknown.fact == Fact::Urls));
}

/// Recorded: what `git annex sync --content --all` sent of a key that no file is of.
#[test]
fn without_a_file_what_is_excluded_matches_and_what_is_included_does_not() {
    for (expression, sent) in [
        ("anything", true),
        ("include=*", false),
        ("exclude=*", true),
        ("not include=*", true),
        ("not exclude=*", false),
        ("inpreferreddir", false),
        ("not inpreferreddir", true),
        ("nothing", false),
        ("unused", false),
        ("not unused", true),
    ] {
        let mut world = World::read(FACTS);
        world.file = None;
        world.repository("d1").wanted = Some(expression.as_bytes().into());
        let policy = Policy::new(world.configuration.clone());
        let d1 = policy.repo(&uuid("d1")).expect("it is known");
        assert_eq!(policy.about(&world).wants(d1, Assumed::NOTHING), Ok(sent), "{expression}");
    }
}
