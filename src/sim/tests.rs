//! Recorded sims of git-annex are run again.

use std::path::{Path, PathBuf};

use super::script::{Problem, parse};
use super::*;

/// Keeps what is said.
#[derive(Default)]
struct Alone {
    said: Vec<String>,
}

impl Outside for Alone {
    fn say(&mut self, sentence: &str) {
        self.said.push(sentence.to_string());
    }

    fn used(&mut self, name: &[u8], called: &[u8]) -> Result<Used, Problem> {
        let (name, called) = (name.escape_ascii(), called.escape_ascii());
        Err(Problem(format!(
            "Unable to use a repository \"{name}\" in the simulation because there is no available git remote named \"{called}\""
        )))
    }

    fn tree(&mut self, _: &[u8]) -> Result<Vec<Found>, Problem> {
        Ok(Vec::new())
    }
}

/// What a sim file comes to: the world, what was said, and the error that ended it.
fn play(text: &[u8]) -> (World, Vec<String>, Option<Problem>) {
    let mut outside = Alone::default();
    let lines: Result<Vec<_>, Problem> = lines(text).map(parse).collect();
    let lines = match lines {
        Ok(lines) => lines,
        Err(problem) => return (begin(None, 0), Vec::new(), Some(problem)),
    };
    let mut world = begin(lines.first(), 0);
    let problem = lines.iter().find_map(|line| run(&mut world, line, &mut outside).err());
    (world, outside.said, problem)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n')
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sim").join(name)
}

fn read(name: &str) -> String {
    let path = recorded(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Each line, after the same first lines, says what git-annex said and is logged as it logged it.
#[test]
fn lines_are_read_and_refused_as_git_annex_does() {
    const FIRST: &str = "seed 1\ninit a\ninit b\ninit c\ninitremote s\nconnect a <-> b\nconnect a -> s\nadd f 1mb a\n";
    let table = read("lines.out");
    let mut seen = 0;
    for case in table.split("== ").skip(1) {
        let (line, rest) = case.split_once('\n').expect("a line");
        let expected: Vec<&str> = rest.lines().collect();
        let (world, said, problem) = play(format!("{FIRST}{line}\n").as_bytes());
        let mut found: Vec<String> = said.iter().map(|sentence| format!(">   {sentence}")).collect();
        match &problem {
            Some(problem) => found.push(format!("> git-annex: {problem}")),
            None if world.failed => found.push("> git-annex: Simulation had errors.".to_string()),
            None => {}
        }
        if problem.is_none() {
            let log = String::from_utf8(log(&world)).expect("text");
            let (_, logged) = log.split_once("add f 1.0MB a\n").expect("the first lines");
            found.extend(logged.lines().map(|line| format!("log {line}")));
        }
        found.push(format!("exit {}", u8::from(problem.is_some() || world.failed)));
        assert_eq!(found, expected, "{line}");
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

/// Who is whose remote after `connect` and `disconnect`.
#[test]
fn chains_are_read_as_git_annex_reads_them() {
    for case in read("connect.out").lines() {
        let (chain, expected) = case.split_once(" => ").expect("a case");
        let (world, _, problem) =
            play(format!("seed 1\ninit a\ninit b\ninit c\n{}\n", chain.replace(';', "\n")).as_bytes());
        assert_eq!(problem, None);
        let mut found = Vec::new();
        for (at, member) in world.network.members.iter().enumerate() {
            let name = |at: usize| world.network.members[at].name.escape_ascii().to_string();
            assert_eq!(world.network.links(at).len(), member.remote_names.len());
            found.extend(world.network.links(at).iter().map(|link| format!("{}>{}", name(at), name(link.to))));
        }
        assert_eq!(found.join(" "), expected, "{chain}");
    }
}

/// What depends on chance in git-annex: who gets what by uuids and keys that it draws, in which order, and, by two, after how
/// many steps it says that it has stabilized.
const BY_CHANCE: &[&str] =
    &["s2-balanced", "s3-sizebalanced", "s4-cluster", "s10-noseed", "s11-random", "s1-simple", "t10-node-copies"];

#[test]
fn recorded_sims_come_to_what_git_annex_came_to() {
    let mut seen = 0;
    for entry in std::fs::read_dir(recorded("")).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_string();
        if path.extension().is_none_or(|ext| ext != "show") || name == LOSES || name == LOSES_NOT {
            continue;
        }
        seen += 1;
        let (world, said, problem) = play(read(&format!("{name}.sim")).as_bytes());
        let mut found: Vec<String> = vec![String::new(), "  Sim started.".to_string()];
        said.iter().for_each(|sentence| found.extend([String::new(), format!("  {sentence}")]));
        match &problem {
            Some(problem) => found.push(format!("git-annex: {problem}")),
            None if world.failed => found.extend(["git-annex: Simulation had errors.".to_string(), String::new()]),
            None => {}
        }
        let log = String::from_utf8(log(&world)).expect("text");
        if problem.is_none() {
            found.extend(log.lines().map(str::to_string));
        }
        let is_by_chance = BY_CHANCE.contains(&name.as_str());
        // Sizes and turns are drawn: a file may find no room, or be looked at before it fits.
        let fits_by_chance = matches!(name.as_str(), "s3-sizebalanced" | "s4-cluster");
        let is_refused = world.network.members.is_empty();
        let normal = |lines: Vec<String>| normal(lines, is_by_chance, fits_by_chance, is_refused);
        let expected = read(&format!("{name}.show")).lines().map(str::to_string).collect();
        assert_eq!(normal(found), normal(expected), "{name}");
    }
    assert!(seen > 12, "{seen}");
}

/// A sim of which git-annex loses what steps of one command record, and the same by a command for each step.
const LOSES: &str = "t11-one-command";
const LOSES_NOT: &str = "t12-command-each";

/// git-annex sends a file again and again, because nobody knows for long that it got there: all steps of a command record at one
/// time. With a command for each step it does what is done here.
#[test]
fn what_steps_of_one_command_record_is_lost_by_git_annex_alone() {
    let done = |log: &str| -> Vec<String> {
        log.lines().filter(|line| line.contains("present ")).map(str::to_string).collect()
    };
    let sent = ["notpresent disk f", "present b f", "present disk f"];
    for name in [LOSES, LOSES_NOT] {
        let (world, said, problem) = play(read(&format!("{name}.sim")).as_bytes());
        assert_eq!(problem, None, "{name}");
        assert!(said.iter().any(|said| said.contains("stabilized")), "{name}: {said:?}");
        assert_eq!(done(&String::from_utf8(log(&world)).expect("text")), sent, "{name}");
    }
    assert_eq!(done(&read(&format!("{LOSES_NOT}.show"))), sent);
    let theirs = done(&read(&format!("{LOSES}.show")));
    assert_eq!(theirs[..3], sent);
    assert!(theirs.len() > 3 && theirs[3..].iter().all(|line| line == "present disk f"), "{theirs:?}");
}

/// Without what differs from run to run. Where the order is by chance, what was done stands in the order of the names; where
/// the repositories are, nothing of a place is left.
fn normal(lines: Vec<String>, is_by_chance: bool, fits_by_chance: bool, is_refused: bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut is_first = true;
    for line in lines {
        if line.contains("openFile") || is_refused && line.is_empty() {
            continue;
        }
        if line.starts_with("seed ") && std::mem::take(&mut is_first) {
            out.push("seed".to_string());
        } else if line.ends_with(" steps.") {
            let words: Vec<&str> = line.split(' ').filter(|word| word.parse::<u64>().is_err()).collect();
            out.push(words.join(" "));
        } else if fits_by_chance && (line.starts_with("present ") || line.starts_with("notpresent ")) {
            continue;
        } else if is_by_chance && (line.starts_with("present ") || line.starts_with("notpresent ")) {
            // Which of them got it, and when.
            out.push(format!("someone {}", line.split(' ').next_back().expect("a word")));
        } else if line.contains(" -- simulated repository ") || line.contains("%full") || line.starts_with('(') {
            continue;
        } else {
            out.push(line);
        }
    }
    let mut at = 0;
    while at < out.len() {
        let end = at + out[at..].iter().take_while(|line| line.starts_with("someone ")).count();
        out[at..end].sort();
        at = end.max(at + 1);
    }
    out
}

#[test]
fn the_fuzz_targets_survive_their_seeds_and_small_changes() {
    for (name, target) in [("sim_script", fuzz::script as fn(&[u8])), ("sim_state", fuzz::state)] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus").join(name);
        let seeds: Vec<_> = std::fs::read_dir(&directory).expect("the seeds are part of the source").collect();
        assert!(seeds.len() >= 3, "seeds are missing");
        for seed in seeds {
            let seed = std::fs::read(seed.expect("a readable directory").path()).expect("a readable seed");
            // A state is read from the body of what a sim file comes to.
            let seed = if name == "sim_state" { fuzz::body_of(&seed) } else { seed };
            target(&seed);
            for at in (0..seed.len()).step_by(3) {
                target(&seed[..at]);
                for byte in *b"\0\x01\x7f\xff \n9" {
                    let mut input = seed.clone();
                    input[at] = byte;
                    target(&input);
                }
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_for_ever() {
    let text = read("s2-balanced.sim").replace("addmulti 12", "addmulti 4");
    let log = |text: &str| String::from_utf8(log(&play(text.as_bytes()).0)).expect("text");
    let first = log(&text);
    assert_eq!(log(&text), first);
    let did: Vec<&str> = first.lines().filter(|line| line.starts_with("present ")).collect();
    assert_eq!(
        did,
        ["present r2 2file", "present r1 4file", "present r1 3file", "present r1 1file"],
        "the draws are pinned"
    );
    // The log is a script that gives itself.
    assert_eq!(log(&first), first);
}

#[test]
fn a_sim_that_was_saved_goes_on_as_if_it_had_not_been() {
    for name in
        ["s2-balanced.sim", "s4-cluster.sim", "s11-random.sim", "t1-drops.sim", "t5-metadata.sim", "t7-sizes.sim"]
    {
        let text = read(name);
        let lines: Vec<_> = lines(text.as_bytes()).map(|line| parse(line).expect("a line")).collect();
        let mut world = begin(lines.first(), 7);
        let (mut outside, mut at_once) = (Alone::default(), begin(lines.first(), 7));
        for line in &lines {
            run(&mut at_once, line, &mut outside).expect("it runs");
            world = state::restore(&state::save(&world)).expect("what was saved");
            run(&mut world, line, &mut outside).expect("it runs");
        }
        assert_eq!(log(&world), log(&at_once), "{name}");
        let saved = state::save(&world);
        assert_eq!(saved, state::save(&at_once));
        for cut in 0..saved.len() {
            assert!(state::restore(&saved[..cut]).is_err());
        }
    }
}

#[test]
fn what_nobody_has_is_planned() {
    let mut world = World::new(1);
    world.add_file(&b"f"[..].into(), None, 5, &[]).expect("added");
    let part = Part::all(&world);
    let planned = plan(&mut world, &part).expect("a plan");
    assert_eq!((planned.files, planned.lost, planned.repositories.len()), (1, 1, 0));
}

/// Metadata of any bytes, who knows what, and what no command of git-annex's sets.
#[test]
fn the_log_of_a_repository_as_it_is_gives_itself() {
    let (mut world, _, problem) =
        play(b"seed 1\ninit a\ninit b\n--stream threshold 80\n--stream preferreddir b !bXkgZGly\n");
    assert_eq!(problem, None);
    let values = |all: &[&[u8]]| all.iter().map(|value| value.to_vec()).collect();
    let fields: Fields =
        [(b"tag".to_vec(), values(&[b"x", b"a b", b"", b"!", b"\xff\n"])), (b"a=b+".to_vec(), values(&[b"y"]))].into();
    let key = crate::name::Key::parse(b"SHA256E-s7--x").expect("a key");
    world.add_known(&b"f"[..].into(), key, fields.clone(), &[0]).expect("added");
    let other = crate::name::Key::parse(b"SHA256E-s8--y").expect("a key");
    world.add_known(&b"g"[..].into(), other, Fields::new(), &[1, 0]).expect("added");
    let known = parse(b"--stream known").expect("a line");
    run(&mut world, &known, &mut Alone::default()).expect("it runs");
    let first = log(&world);
    let text = String::from_utf8_lossy(&first);
    assert!(text.contains("\n--stream key f SHA256E-s7--x\nadd f 7.0B a\n"), "{text}");
    assert!(text.contains("\n--stream key g SHA256E-s8--y\nadd g 8.0B b a\n--stream known\n"), "{text}");
    // Names and keys of such files stand in what is saved once.
    let saved = state::save(&world);
    assert_eq!(saved.windows(13).filter(|part| part == b"SHA256E-s7--x").count(), 1);
    assert_eq!(log(&state::restore(&saved).expect("what was saved")), first);
    // Of more repositories than there are events.
    let mut more = World::new(1);
    more.history.known(0, 0, 1);
    assert!(state::restore(&state::save(&more)).is_err());
    more.add_file(&b"f"[..].into(), None, 5, &[]).expect("added");
    assert!(state::restore(&state::save(&more)).is_err());
    let (again, _, problem) = play(&first);
    assert_eq!(problem, None, "{}", first.escape_ascii());
    assert_eq!(log(&again), first);
    assert_eq!(again.files.metadata(0), Some(&fields));
    assert!(again.knowledge.sees(1, 0, 0), "b does not know that a has it");
    assert_eq!(again.network.threshold, Some(80));
    assert_eq!(again.network.members[1].preferreddir.as_deref(), Some(&b"my dir"[..]));
}
