//! What is told of a configuration, and configurations that are large.

use super::world::{World, uuid};
use crate::name::Uuid;
use crate::wanted::{Assumed, Fault, Matter, Oddity, Origin, Policy, Problem, Repository, Unstable};

#[test]
fn problems_are_told_with_their_places() {
    let mut world = World::read(
        "repo d1 groups=g\nrepo d2 groups=g\nrequired d2 newterm=5\ngroupwanted g present or )\nwanted d1 not groupwanted",
    );
    world.repository("own").required = Some(b"include=* or not balanced=g:2"[..].into());
    let policy = Policy::new(world.configuration.clone());
    let told: Vec<String> = policy.problems().iter().map(|problem| format!("{problem:?}")).collect();
    let find = |of: &Origin| -> Vec<&Matter> {
        policy.problems().iter().filter(|problem| problem.of == *of).map(|problem| &problem.what).collect()
    };
    let unstable = |term: &[u8], inside: Option<&[u8]>| {
        Matter::Unstable(Unstable { term: term.into(), inside: inside.map(Into::into) })
    };
    assert_eq!(find(&Origin::Wanted(uuid("d1"))), [&unstable(b"present", Some(b"groupwanted"))], "{told:#?}");
    assert_eq!(find(&Origin::Required(uuid("own"))), [&unstable(b"balanced=g:2", None)], "{told:#?}");
    let [Matter::Unparsed(error)] = find(&Origin::Required(uuid("d2")))[..] else { panic!("{told:#?}") };
    assert_eq!(error.fault, Fault::UnknownTerm(b"newterm=5"[..].into()));
    let oddities = policy.problems().iter().filter_map(|problem| match problem {
        Problem { of: Origin::GroupWanted(_), what: Matter::Odd(warning) } => Some(warning.what),
        _ => None,
    });
    assert_eq!(oddities.collect::<Vec<_>>(), [Oddity::MissingOperand, Oddity::SurplusClose]);
}

#[test]
fn hundreds_of_repositories_are_as_few() {
    let mut world = World::new("SHA256-s100--x");
    world.configuration.repositories.clear();
    for at in 0..300 {
        let mut repository = Repository::new(Uuid::parse(format!("u{at:03}").as_bytes()).expect("a uuid"));
        repository.groups = vec![if at % 3 == 0 { b"a"[..].into() } else { b"b"[..].into() }];
        repository.wanted = Some(b"fullybalanced=a:7 or copies=b:200 or inallgroup=a"[..].into());
        world.configuration.repositories.push(repository);
    }
    let chosen = |world: &World| {
        let policy = Policy::new(world.configuration.clone());
        let question = policy.about(world);
        policy.repos().filter(|repo| question.wants(*repo, Assumed::NOTHING) == Ok(true)).count()
    };
    assert_eq!(chosen(&world), 7);
    let all = |keep: fn(usize) -> bool| -> Vec<Uuid> {
        let all = world.configuration.repositories.iter().enumerate();
        all.filter(|(at, _)| keep(*at)).map(|(_, repository)| repository.uuid.clone()).collect()
    };
    let (all_of_a, all_of_b) = (all(|at| at % 3 == 0), all(|at| at % 3 != 0));
    world.holders = all_of_b[1..].to_vec();
    assert_eq!(chosen(&world), 7);
    world.holders = all_of_b;
    assert_eq!(chosen(&world), 300);
    world.holders = all_of_a;
    assert_eq!(chosen(&world), 300);
}

#[test]
fn clusters_are_nobody() {
    let cluster = Uuid::parse(b"ac7412cf-5f6b-8d89-beee-e97abd250740").expect("a uuid");
    let mut world = World::read("repo d1 groups=g\nkey SHA256-s5--x\nhas d1\nwanted d1 copies=2");
    world.configuration.repositories.push(Repository::new(cluster.clone()));
    world.holders.push(cluster.clone());
    let policy = Policy::new(world.configuration.clone());
    assert_eq!(policy.repo(&cluster), None);
    let d1 = policy.repo(&uuid("d1")).expect("it is known");
    assert_eq!(policy.about(&world).wants(d1, Assumed::NOTHING), Ok(false));
}
