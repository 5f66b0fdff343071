//! The session against a model of git-annex: many jobs in any order, any bytes at all, and the seeds of the fuzzer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use git_annex_remote_stream::proto::special::progress::Throttle;
use git_annex_remote_stream::proto::special::{
    Answer, Event, FileName, Job, Key, Note, Options, Query, Reply, Request, Session, fuzz,
};
use proptest::prelude::*;

/// What a job does with each request: the key names the job and its turn, so nothing can be mixed up unnoticed.
fn request(kind: u8, job: u64, turn: usize) -> (Request, Reply, String) {
    let name = format!("SHA256-s{turn}--job{job}");
    let key = Key::new(name.clone()).expect("no space");
    let file = FileName::new(format!("a file of {job}")).expect("no newline");
    match kind % 6 {
        0 => (Request::Store { key, file }, Reply::Success, format!("TRANSFER-SUCCESS STORE {name}")),
        1 => {
            let why = format!("job {job}\nfailed");
            let said = format!("TRANSFER-FAILURE RETRIEVE {name} job {job} failed");
            (Request::Retrieve { key, file }, Reply::Failure(why.into_bytes()), said)
        }
        2 => (Request::CheckPresent { key }, Reply::Absent, format!("CHECKPRESENT-FAILURE {name}")),
        3 => {
            let said = format!("CHECKPRESENT-UNKNOWN {name} {name}");
            (Request::CheckPresent { key }, Reply::Unknown(name.into_bytes()), said)
        }
        4 => (Request::Remove { key }, Reply::Success, format!("REMOVE-SUCCESS {name}")),
        _ => (
            Request::WhereIs { key },
            Reply::WhereIs(Some(name.clone().into_bytes())),
            format!("WHEREIS-SUCCESS {name}"),
        ),
    }
}

/// Where a job of the model stands.
enum Stage {
    Idle,
    Running { reply: Reply, said: String },
    Asked { reply: Reply, said: String, question: String },
}

/// Runs each `(job, kind)` step: an idle job gets a request, a running one asks, an asked one is answered, then replies.
fn dialog(jobs: Option<u64>, steps: &[(u64, u8)], piece: usize) {
    let options = if jobs.is_some() { Options::default() } else { Options::one_at_a_time() };
    let mut session = Session::new(options);
    session.receive(b"EXTENSIONS INFO ASYNC\n");
    assert_eq!(session.next_event(), None);
    session.take_output();
    let mut stages: BTreeMap<Job, Stage> = BTreeMap::new();
    for (turn, (number, kind)) in steps.iter().enumerate() {
        let number = jobs.map_or(0, |jobs| number % jobs);
        let job = Job::new(jobs.map(|_| number));
        let tag = if jobs.is_some() { format!("J {number} ") } else { String::new() };
        let stage = stages.remove(&job).unwrap_or(Stage::Idle);
        let (heard, next) = match stage {
            Stage::Idle => {
                let (request, reply, said) = request(*kind, number, turn);
                let line = [tag.as_bytes(), &request.encode()].concat();
                let event = Event::Request { job, request };
                assert_eq!(feed(&mut session, &line, piece), [event]);
                (String::new(), Stage::Running { reply, said })
            }
            Stage::Running { reply, said } if kind % 2 == 0 => {
                let question = format!("setting-{turn}");
                session.ask(job, Query::GetConfig(question.clone().into_bytes())).expect("the job runs");
                (format!("{tag}GETCONFIG {question}\n"), Stage::Asked { reply, said, question })
            }
            Stage::Running { reply, said } => {
                session.reply(job, reply).expect("the reply fits");
                (format!("{tag}{said}\n"), Stage::Idle)
            }
            Stage::Asked { reply, said, question } => {
                session.tell(job, Note::Info(question.clone().into_bytes())).expect("the job runs");
                let line = format!("{tag}VALUE {question} of {number}");
                let answer = Answer::Value(format!("{question} of {number}").into_bytes());
                assert_eq!(feed(&mut session, line.as_bytes(), piece), [Event::Answer { job, answer }]);
                (format!("{tag}INFO {question}\n"), Stage::Running { reply, said })
            }
        };
        assert_eq!(String::from_utf8_lossy(&session.take_output()), heard);
        stages.insert(job, next);
    }
    let running = stages.values().filter(|stage| !matches!(stage, Stage::Idle)).count();
    assert_eq!(session.running_jobs(), running);
}

fn feed(session: &mut Session, line: &[u8], piece: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in [line, b"\n"].concat().chunks(piece) {
        session.receive(piece);
        events.extend(std::iter::from_fn(|| session.next_event()));
    }
    events
}

fn bytes_without(forbidden: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>().prop_filter("forbidden", |byte| !forbidden.contains(byte)), 0..40)
}

fn any_request() -> impl Strategy<Value = Request> {
    let key = || bytes_without(b" \n").prop_filter_map("empty", Key::new);
    let file = || bytes_without(b"\n").prop_filter_map("newline", FileName::new);
    prop_oneof![
        Just(Request::InitRemote),
        Just(Request::Prepare),
        (key(), file()).prop_map(|(key, file)| Request::Store { key, file }),
        (key(), file()).prop_map(|(key, file)| Request::Retrieve { key, file }),
        key().prop_map(|key| Request::CheckPresent { key }),
        key().prop_map(|key| Request::Remove { key }),
        Just(Request::ListConfigs),
        Just(Request::GetCost),
        Just(Request::GetOrdered),
        Just(Request::GetAvailability),
        Just(Request::GetInfo),
        key().prop_map(|key| Request::WhereIs { key }),
        bytes_without(b"\n").prop_map(|url| Request::ClaimUrl { url }),
        bytes_without(b"\n").prop_map(|url| Request::CheckUrl { url }),
    ]
}

proptest! {
    #[test]
    fn jobs_never_mix(
        jobs in prop::option::of(1u64..9),
        steps in prop::collection::vec((any::<u64>(), any::<u8>()), 0..200),
        piece in 1usize..64,
    ) {
        dialog(jobs, &steps, piece);
    }

    #[test]
    fn what_is_encoded_is_what_is_read(request in any_request(), number in prop::option::of(any::<u64>())) {
        let mut session = Session::new(Options::default());
        let tag = number.map(|number| format!("J {number} ")).unwrap_or_default();
        if number.is_some() {
            session.receive(b"EXTENSIONS ASYNC\n");
        }
        session.receive(&[tag.as_bytes(), &request.encode(), b"\n"].concat());
        let event = Event::Request { job: Job::new(number), request };
        prop_assert_eq!(session.next_event(), Some(event));
        prop_assert_eq!(session.next_event(), None);
    }

    #[test]
    fn any_bytes_are_survived_in_bounded_memory(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        asynchronous in any::<bool>(),
    ) {
        let mut session = Session::new(Options { line_limit: 100, held_limit: 1000, ..Options::default() });
        if asynchronous {
            session.receive(b"EXTENSIONS ASYNC\n");
        }
        for chunk in chunks {
            session.receive(&chunk);
            while session.next_event().is_some() {}
            prop_assert!(session.held() <= 1100);
        }
    }

    #[test]
    fn progress_is_neither_rare_nor_frequent(calls in prop::collection::vec((1u64..900, 1u64..1000), 1..300)) {
        let (mut throttle, mut now, mut bytes) = (Throttle::new(), Duration::ZERO, 0);
        let mut last: Option<Duration> = None;
        for (gap, moved) in calls {
            now += Duration::from_millis(gap);
            bytes += moved;
            if let Some(reported) = throttle.due(now, bytes) {
                prop_assert_eq!(reported, bytes);
                prop_assert!(last.is_none_or(|last| now - last >= Duration::from_millis(100)));
                last = Some(now);
            }
            let last = last.expect("the first bytes are reported at once");
            prop_assert!(now - last < Duration::from_secs(1));
        }
    }
}

#[test]
fn a_hundred_thousand_turns_leave_nothing_behind() {
    let mut session = Session::new(Options::default());
    session.receive(b"EXTENSIONS ASYNC\n");
    for turn in 0..100_000u64 {
        session.receive(format!("J {} CHECKPRESENT K{turn}\n", turn % 5).as_bytes());
        let Some(Event::Request { job, .. }) = session.next_event() else { panic!("turn {turn}") };
        session.reply(job, Reply::Present).expect("it runs");
        session.take_output();
        assert_eq!((session.held(), session.running_jobs()), (0, 0));
    }
}

/// One fuzz target over its seeds and mutations of them from a fixed seed.
fn run_seeds(target: &str, body: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus").join(target);
    // Files named by a hash are what a fuzzer left here; the seeds have names.
    let mut seeds: Vec<_> = std::fs::read_dir(&directory)
        .expect("the seeds are part of the source")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.file_name().is_some_and(|name| name.len() != 40))
        .map(|path| std::fs::read(path).expect("a readable seed"))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 7, "seeds of {target} are missing");
    seeds.iter().for_each(|seed| body(seed));
    let mut random = Random(0x5EED_0123_4567_89AB);
    println!("{target}: mutations from seed {:#x}", random.0);
    for round in 0..4000 {
        let mut input = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &seeds, &mut random);
        }
        if let Err(panic) = std::panic::catch_unwind(|| body(&input)) {
            println!("{target}: input {}", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(20)).min(input.len());
    match random.below(5) {
        0 => input.insert(at, (random.next() & 0xFF) as u8),
        1 => drop(input.drain(at..end)),
        2 => input.splice(at..at, input[at..end].to_vec()).for_each(drop),
        3 => input[at..end].iter_mut().for_each(|byte| *byte ^= 1 << (random.0 & 7)),
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let lines: Vec<_> = other.split_inclusive(|byte| *byte == b'\n').collect();
            let line = lines[random.below(lines.len())].to_vec();
            let start = input[..at].iter().rposition(|byte| *byte == b'\n').map_or(1, |newline| newline + 1);
            let start = start.min(input.len());
            input.splice(start..start, line).for_each(drop);
        }
    }
}

/// xorshift64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn the_line_target_survives_its_seeds_and_mutations() {
    run_seeds("special_line", fuzz::line);
}

#[test]
fn the_session_target_survives_its_seeds_and_mutations() {
    run_seeds("special_session", fuzz::session);
}
