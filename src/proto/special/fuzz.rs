//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that a plain test can run them over the seeds too.
//!
//! They panic when a promise of the module is broken. Both take bytes: what libFuzzer mutates best, and the seeds can be
//! read by people.

use super::incoming::{Incoming, Name, parse};
use super::name::FileName;
use super::{
    Answer, Availability, Event, Job, Key, Misuse, Note, Options, Query, Reach, Reply, Request, Secret, Session,
    UrlPart,
};
use crate::proto::line::{Lines, TooLong};

const LINE_LIMIT: usize = 64;
const HELD_LIMIT: usize = 4096;

/// The first byte says how the rest is cut into pieces; the rest is lines.
pub fn line(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let mut lines = Lines::new(LINE_LIMIT);
    let mut left = data;
    for piece in data.chunks(usize::from(*step).max(1)) {
        lines.push(piece);
        while let Some(result) = lines.next_line() {
            match result {
                Ok(line) => {
                    assert_eq!((&left[..line.len()], left[line.len()]), (line.as_slice(), b'\n'), "lines are lost");
                    left = &left[line.len() + 1..];
                    parse_line(&line);
                }
                Err(TooLong) => {
                    let length = left.iter().position(|byte| *byte == b'\n').unwrap_or(left.len());
                    assert!(length > LINE_LIMIT, "refused a line of {length} bytes");
                }
            }
        }
        assert!(lines.held() <= LINE_LIMIT);
    }
}

fn parse_line(line: &[u8]) {
    let named = |word: &[u8]| if word.starts_with(b"EXPORT ") { Name::Export } else { Name::Import };
    for mut name in [None, Some(Name::Export(file(b"a b"))), Some(Name::Import(file(b"\xff")))] {
        let given = name.clone();
        if let Ok(Incoming::Request(request)) = parse(line, &mut name) {
            let written = request.encode();
            if matches!(request, Request::ImportKey { .. }) {
                // A size may begin with zeros, which are not written again.
                let again = parse(&written, &mut given.clone());
                assert!(
                    matches!(&again, Ok(Incoming::Request(again)) if *again == request),
                    "{request:?}, then {again:?}"
                );
            } else {
                assert_eq!(written, line, "{request:?} is not what was said");
            }
            let said = request.named().map(|said| named(&said)(file(said.get(7..).unwrap_or_default())));
            assert!(if said.is_some() { said == given && name.is_none() } else { name == given }, "{request:?}");
        }
    }
    match parse(line, &mut None) {
        Ok(Incoming::Creds { user, password }) => {
            assert_eq!([b"CREDS", user.as_slice(), password.reveal()].join(&b' '), line);
        }
        Ok(Incoming::Name(name)) => assert!(line.ends_with(&[b" ", name.as_bytes()].concat())),
        Ok(Incoming::Value(value)) => assert_eq!([b"VALUE", value.as_slice()].join(&b' '), line),
        _ => {}
    }
}

/// Operations on a session, one per line. The first byte of a line says which:
///
/// - `<`: git-annex says the rest, and a newline
/// - `.`: git-annex says the rest as it is, `|` standing for a newline
/// - `r`, `a`, `t`: reply, ask, tell: a byte for the job, a byte for what, the rest as its text
/// - `f`: fail with the rest as message
///
/// Two sessions get the same, one of them its input byte by byte; they must do the same.
pub fn session(data: &[u8]) {
    let (offer, data) = data.split_first().unwrap_or((&b'A', data));
    let options = match offer {
        b'A' => Options::default(),
        b'N' => Options { offer: None, ..Options::default() },
        _ => Options::one_at_a_time(),
    };
    let options = Options { line_limit: LINE_LIMIT, held_limit: HELD_LIMIT, ..options };
    let mut whole = Checked::new(options.clone(), usize::MAX);
    let mut bytewise = Checked::new(options, 1);
    for operation in data.split(|byte| *byte == b'\n') {
        whole.apply(operation);
        bytewise.apply(operation);
        assert_eq!(whole.log, bytewise.log, "fragmentation matters");
    }
}

/// A session whose promises are checked after each operation.
struct Checked {
    session: Session,
    step: usize,
    log: Vec<String>,
    /// Jobs with a request, and whether they wait for an answer.
    jobs: Vec<(Job, bool)>,
}

impl Checked {
    fn new(options: Options, step: usize) -> Self {
        let mut checked = Self { session: Session::new(options), step, log: Vec::new(), jobs: Vec::new() };
        checked.check_output();
        assert_eq!(checked.log, ["VERSION 2\\n"]);
        checked
    }

    fn apply(&mut self, operation: &[u8]) {
        match operation {
            [b'<', line @ ..] => self.receive(&[line, b"\n"].concat()),
            [b'.', bytes @ ..] => self.receive(&text(bytes)),
            [b'f', message @ ..] => {
                self.session.fail(message);
                self.jobs.clear();
            }
            [b'r', job, what, text @ ..] => self.reply(*job, reply(*what, text)),
            [b'a', job, what, text @ ..] => self.ask(*job, query(*what, text)),
            [b't', job, what, text @ ..] => {
                let job = self.job(*job);
                let result = self.session.tell(job, note(*what, text));
                self.check_misuse(job, result);
            }
            _ => {}
        }
        self.check_output();
        assert!(self.session.held() <= HELD_LIMIT + LINE_LIMIT, "holds {} bytes", self.session.held());
        assert_eq!(self.session.running_jobs(), self.jobs.len());
    }

    fn receive(&mut self, bytes: &[u8]) {
        let over = self.session.is_ended();
        for piece in bytes.chunks(self.step) {
            self.session.receive(piece);
            while let Some(event) = self.session.next_event() {
                assert!(!over, "{event:?} after the end");
                self.log.push(format!("{event:?}"));
                self.take_event(event);
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Request { job, .. } => {
                assert!(self.jobs.iter().all(|(open, _)| *open != job), "two requests in {job:?}");
                self.jobs.push((job, false));
            }
            Event::Answer { job, answer } => {
                let open = self.jobs.iter_mut().find(|(open, _)| *open == job);
                let (_, waiting) = open.expect("an answer only where a request runs");
                assert!(std::mem::take(waiting), "{answer:?} was not asked for");
                if let Answer::Values(values) = answer {
                    assert!(values.iter().all(|value| !value.is_empty()));
                }
            }
            Event::PeerError { .. } | Event::Fatal(_) => {
                assert!(self.session.is_ended());
                self.jobs.clear();
            }
        }
    }

    fn reply(&mut self, job: u8, reply: Reply) {
        let job = self.job(job);
        let result = self.session.reply(job, reply);
        if result.is_ok() {
            self.jobs.retain(|(open, waiting)| {
                assert!(*open != job || !waiting, "replied while an answer is awaited");
                *open != job
            });
        }
        self.check_misuse(job, result);
    }

    fn ask(&mut self, job: u8, query: Query) {
        let job = self.job(job);
        let result = self.session.ask(job, query);
        if result.is_ok() {
            let open = self.jobs.iter_mut().find(|(open, _)| *open == job);
            open.expect("asked only where a request runs").1 = true;
        }
        self.check_misuse(job, result);
    }

    fn job(&self, byte: u8) -> Job {
        Job::new(self.session.negotiated().async_jobs.then(|| u64::from(byte.wrapping_sub(b'0'))))
    }

    fn check_misuse(&mut self, job: Job, result: Result<(), Misuse>) {
        let open = self.jobs.iter().any(|(open, _)| *open == job);
        match result {
            Ok(()) => assert!(!self.session.output().is_empty()),
            Err(misuse) => {
                assert!(self.session.output().is_empty(), "{misuse} and yet wrote");
                assert_eq!(misuse == Misuse::Ended, self.session.is_ended());
                assert_eq!(misuse == Misuse::NoRequest, !open && !self.session.is_ended());
            }
        }
        self.log.push(format!("{result:?}"));
    }

    fn check_output(&mut self) {
        let output = self.session.take_output();
        assert!(output.is_empty() || output.ends_with(b"\n"), "half a line");
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            let untagged = [&b"VERSION "[..], b"EXTENSIONS", b"ERROR "].iter().any(|word| line.starts_with(word));
            let tagged = line.starts_with(b"J ");
            assert!(untagged || tagged == self.session.negotiated().async_jobs, "{}", line.escape_ascii());
            self.log.push(line.escape_ascii().to_string());
        }
    }
}

fn file(text: &[u8]) -> FileName {
    FileName::new(text).expect("no newline")
}

fn key(text: &[u8]) -> Key {
    let word: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\n')).collect();
    Key::new([b"K", word.as_slice()].concat()).expect("not empty, no space, no newline")
}

/// Text in which `|` stands for a newline, which cannot be in an operation itself.
fn text(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if *byte == b'|' { b'\n' } else { *byte }).collect()
}

fn reply(what: u8, rest: &[u8]) -> Reply {
    let text = text(rest);
    match what {
        b'+' => Reply::Success,
        b'-' => Reply::Failure(text),
        b'p' => Reply::Present,
        b'a' => Reply::Absent,
        b'?' => Reply::Unknown(text),
        b'c' => Reply::Configs(vec![(rest.to_vec(), text.clone()), (text, Vec::new())]),
        b'$' => Reply::Cost(100),
        b'o' => Reply::Ordered(rest.is_empty()),
        b'v' => Reply::Availability(Availability { reach: Reach::Local, now: rest.is_empty() }),
        b'i' => Reply::Info(vec![(text.clone(), text)]),
        b'w' => Reply::WhereIs((!text.is_empty()).then_some(text)),
        b'u' => Reply::Claim(text.is_empty()),
        b'1' => Reply::UrlContents { size: None, name: text },
        b's' => Reply::Supported(text.is_empty()),
        b'k' => Reply::Key(key(rest)),
        b'0' => Reply::Skip,
        b'2' => Reply::UrlMulti(vec![UrlPart { url: text.clone(), size: Some(1), name: text }]),
        _ => Reply::Unsupported,
    }
}

fn query(what: u8, rest: &[u8]) -> Query {
    match what {
        b'c' => Query::GetConfig(text(rest)),
        b's' => Query::GetCreds(text(rest)),
        b'u' => Query::GetUuid,
        b'd' => Query::GetGitDir,
        b'n' => Query::GetGitRemoteName,
        b'w' => Query::GetWanted,
        b't' => Query::GetState(key(rest)),
        b'l' => Query::GetUrls { key: key(rest), prefix: text(rest) },
        b'h' => Query::DirHash(key(rest)),
        _ => Query::DirHashLower(key(rest)),
    }
}

fn note(what: u8, rest: &[u8]) -> Note {
    let text = text(rest);
    match what {
        b'p' => Note::Progress(u64::try_from(rest.len()).expect("a short text")),
        b'c' => Note::SetConfig { name: rest.to_vec(), value: text },
        b's' => Note::SetCreds { name: b"n".to_vec(), user: rest.to_vec(), password: Secret::new(text) },
        b'w' => Note::SetWanted(text),
        b't' => Note::SetState { key: key(rest), value: text },
        b'l' => Note::SetUrlPresent { key: key(rest), url: text },
        b'm' => Note::SetUrlMissing { key: key(rest), url: text },
        b'k' => Note::SetUriPresent { key: key(rest), uri: text },
        b'j' => Note::SetUriMissing { key: key(rest), uri: text },
        b'i' => Note::Info(text),
        b'f' => Note::Importable { size: 1, name: text.clone(), id: rest.to_vec() },
        _ => Note::Debug(text),
    }
}
