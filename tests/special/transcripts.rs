//! Every recorded conversation of `testdata/external/`, replayed through the session.
//!
//! git-annex's lines are fed in, and the events they cause are compared with what this file reads out of the lines by
//! itself. What the recorded program said is said through `reply`, `ask` and `tell`, and the bytes must be the same.

use std::collections::HashMap;
use std::path::PathBuf;

use git_annex_remote_stream::proto::special::{
    Answer, Availability, Event, Extensions, FileName, Job, Key, Misuse, Note, Options, Query, Reach, Reply, Request,
    Secret, Session,
};

/// Lines the recorded program said and the session does not, and how often that may be: see the README there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deviations {
    /// `VERSION 1` and `VERSION 3`.
    version: usize,
    /// A line that is no message.
    garbage: usize,
    /// UNSUPPORTED-REQUEST to a TRANSFER.
    unsupported_transfer: usize,
}

struct Conversation {
    title: String,
    lines: Vec<Vec<u8>>,
}

fn conversations() -> Vec<Conversation> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/external");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("testdata/external is part of the source")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let mut all: Vec<Conversation> = Vec::new();
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        for line in std::fs::read(&file).expect("a readable transcript").split(|byte| *byte == b'\n') {
            if let Some(title) = line.strip_prefix(b"== ") {
                let title = format!("{name}, conversation {}: {}", all.len(), title.escape_ascii());
                all.push(Conversation { title, lines: Vec::new() });
            } else if !line.is_empty() {
                all.last_mut().expect("a title comes first").lines.push(line.to_vec());
            }
        }
    }
    all
}

#[test]
fn every_conversation_replays_to_the_same_bytes() {
    let all = conversations();
    assert!(all.len() > 223, "transcripts are missing, there are {}", all.len());
    for step in [usize::MAX, 1, 7] {
        let mut deviations = Deviations::default();
        for conversation in &all {
            Replay::new(conversation, step, &mut deviations).run();
        }
        let known = Deviations { version: 2, garbage: 1, unsupported_transfer: 1 };
        assert_eq!(deviations, known, "fed {step} bytes at a time");
    }
}

#[test]
fn a_conversation_that_goes_differently_is_noticed() {
    let replay = |last: &str| {
        let lines = ["> VERSION 2", "< GETCOST", "> COST 175", "< REMOVE K", last];
        let lines = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let conversation = Conversation { title: "made up".into(), lines };
        std::panic::catch_unwind(|| Replay::new(&conversation, usize::MAX, &mut Deviations::default()).run())
    };
    assert!(replay("> REMOVE-SUCCESS K").is_ok());
    assert!(replay("> REMOVE-SUCCESS L").is_err());
    assert!(replay("> CHECKPRESENT-SUCCESS K").is_err());
}

struct Replay<'a> {
    title: &'a str,
    lines: &'a [Vec<u8>],
    step: usize,
    deviations: &'a mut Deviations,
    session: Session,
    tagged: bool,
    /// Lines the session said and the transcript did not come to yet.
    said: Vec<Vec<u8>>,
    /// The request line git-annex sent last.
    asked: Vec<u8>,
    /// The beginning of a reply of several lines.
    block: Vec<Vec<u8>>,
    /// Urls of a GETURLS, until the empty one.
    urls: Option<Vec<Vec<u8>>>,
    /// What EXPORT or IMPORT said last in a job.
    names: HashMap<Job, Vec<u8>>,
}

impl<'a> Replay<'a> {
    fn new(conversation: &'a Conversation, step: usize, deviations: &'a mut Deviations) -> Self {
        let offered = conversation.lines.iter().find_map(|line| line.strip_prefix(b"> EXTENSIONS"));
        let declined = conversation.lines.get(2).is_some_and(|line| line == b"> UNSUPPORTED-REQUEST");
        let offer = (!declined).then(|| Extensions::parse(offered.unwrap_or_default()));
        Self {
            title: &conversation.title,
            lines: &conversation.lines,
            step,
            deviations,
            session: Session::new(Options { offer, ..Options::default() }),
            tagged: false,
            said: Vec::new(),
            asked: Vec::new(),
            block: Vec::new(),
            urls: None,
            names: HashMap::new(),
        }
    }

    fn run(mut self) {
        for line in self.lines {
            match line.split_at(2) {
                (b"< ", line) => self.theirs(line),
                (b"> ", line) => self.ours(line),
                _ => assert_eq!(line, b"# EOF", "{}", self.title),
            }
        }
        self.hear();
        assert!(self.said.is_empty(), "{}: said also {:?}", self.title, self.show());
        assert!(self.block.is_empty(), "{}: unfinished reply", self.title);
    }

    fn theirs(&mut self, line: &[u8]) {
        let mut events = Vec::new();
        for piece in [line, b"\n"].concat().chunks(self.step) {
            self.session.receive(piece);
            events.extend(std::iter::from_fn(|| self.session.next_event()));
        }
        let expected: Vec<_> = self.expect_of(line).into_iter().collect();
        assert_eq!(events, expected, "{}: {}", self.title, line.escape_ascii());
        self.asked = line.to_vec();
    }

    /// What the line of git-annex means, read in the plainest way.
    fn expect_of(&mut self, line: &[u8]) -> Option<Event> {
        let (job, line) = self.untag(line);
        let word = |at: usize, of: usize| word_at(line, at, of);
        let key = |at, of| Key::new(word(at, of)).expect("a key");
        let file = || FileName::new(word(3, 4)).expect("a file name");
        let request = match word(0, 2).as_slice() {
            b"INITREMOTE" => Request::InitRemote,
            b"PREPARE" => Request::Prepare,
            b"TRANSFER" if word(1, 4) == b"STORE" => Request::Store { key: key(2, 4), file: file() },
            b"TRANSFER" => Request::Retrieve { key: key(2, 4), file: file() },
            b"CHECKPRESENT" => Request::CheckPresent { key: key(1, 2) },
            b"REMOVE" => Request::Remove { key: key(1, 2) },
            b"LISTCONFIGS" => Request::ListConfigs,
            b"GETCOST" => Request::GetCost,
            b"GETORDERED" => Request::GetOrdered,
            b"GETAVAILABILITY" => Request::GetAvailability,
            b"GETINFO" => Request::GetInfo,
            b"WHEREIS" => Request::WhereIs { key: key(1, 2) },
            b"CLAIMURL" => Request::ClaimUrl { url: word(1, 2) },
            b"CHECKURL" => Request::CheckUrl { url: word(1, 2) },
            b"EXTENSIONS" => return None,
            b"EXPORT" | b"IMPORT" => {
                self.names.insert(job, word(1, 2));
                return None;
            }
            b"EXPORTSUPPORTED" => Request::ExportSupported,
            b"TRANSFEREXPORT" if word(1, 4) == b"STORE" => {
                Request::StoreExport { key: key(2, 4), name: self.named(job), file: file() }
            }
            b"TRANSFEREXPORT" => Request::RetrieveExport { key: key(2, 4), name: self.named(job), file: file() },
            b"CHECKPRESENTEXPORT" => Request::CheckPresentExport { key: key(1, 2), name: self.named(job) },
            b"REMOVEEXPORT" => Request::RemoveExport { key: key(1, 2), name: self.named(job) },
            b"REMOVEEXPORTDIRECTORY" => {
                Request::RemoveExportDirectory { directory: FileName::new(word(1, 2)).expect("a name") }
            }
            b"RENAMEEXPORT" => {
                let to = FileName::new(word(2, 3)).expect("a name");
                Request::RenameExport { key: key(1, 3), name: self.named(job), to }
            }
            b"IMPORTSUPPORTED" => Request::ImportSupported,
            b"LISTIMPORTABLECONTENTS" => Request::ListImportable,
            b"RETRIEVEIMPORT" => {
                Request::RetrieveImport { name: self.named(job), file: FileName::new(word(1, 2)).expect("a name") }
            }
            b"CHECKPRESENTIMPORT" => Request::CheckPresentImport { key: key(1, 2), name: self.named(job) },
            b"IMPORTKEY" => Request::ImportKey { name: self.named(job), size: number(&word(1, 3)), id: word(2, 3) },
            b"ERROR" => return Some(Event::PeerError { message: word(1, 2) }),
            b"CREDS" => {
                let answer = Answer::Creds { user: word(1, 3), password: Secret::new(word(2, 3)) };
                return Some(Event::Answer { job, answer });
            }
            b"VALUE" => {
                let answer = match (self.urls.take(), word(1, 2)) {
                    (None, value) => Answer::Value(value),
                    (Some(urls), value) if value.is_empty() => Answer::Values(urls),
                    (Some(mut urls), value) => {
                        urls.push(value);
                        self.urls = Some(urls);
                        return None;
                    }
                };
                return Some(Event::Answer { job, answer });
            }
            _ => panic!("{}: no such request: {}", self.title, line.escape_ascii()),
        };
        Some(Event::Request { job, request })
    }

    fn named(&mut self, job: Job) -> FileName {
        FileName::new(self.names.remove(&job).expect(self.title)).expect("a name")
    }

    fn ours(&mut self, line: &[u8]) {
        self.hear();
        // What the session says by itself is there already.
        if !self.heard(line) && !self.deviates(line) {
            let (job, text) = self.untag(line);
            if text.starts_with(b"CONFIG ") || text.starts_with(b"INFOFIELD ") || text.starts_with(b"INFOVALUE ") {
                return self.block.push(line.to_vec());
            }
            if text.starts_with(b"IMPORTABLECONTENT ") {
                // Told with the line that follows.
                return self.block.push(line.to_vec());
            }
            if let Some(id) = text.strip_prefix(b"IMPORTABLECONTENTIDENTIFIER ") {
                let (_, told) = self.untag(self.block.last().expect(self.title));
                let note =
                    Note::Importable { size: number(&word_at(told, 1, 3)), name: word_at(told, 2, 3), id: id.to_vec() };
                self.session.tell(job, note).expect(self.title);
            } else {
                self.say(job, text);
            }
            self.hear();
            for line in std::mem::take(&mut self.block).iter().map(Vec::as_slice).chain([line]) {
                assert!(self.heard(line), "{}: {:?} is not {}", self.title, self.show(), line.escape_ascii());
            }
        }
        self.tagged |= line.starts_with(b"EXTENSIONS") && Extensions::parse(line).async_jobs;
    }

    fn deviates(&mut self, line: &[u8]) -> bool {
        let instead: &[u8] = match line {
            b"VERSION 1" | b"VERSION 3" => {
                self.deviations.version += 1;
                b"VERSION 2"
            }
            b"HELLO WORLD" => {
                self.deviations.garbage += 1;
                return true;
            }
            b"UNSUPPORTED-REQUEST" if self.asked.starts_with(b"TRANSFER ") => {
                self.deviations.unsupported_transfer += 1;
                assert_eq!(self.session.reply(Job::new(None), Reply::Unsupported), Err(Misuse::WrongReply));
                return true;
            }
            _ => return false,
        };
        assert!(self.heard(instead), "{}", self.title);
        true
    }

    fn say(&mut self, job: Job, line: &[u8]) {
        let command = word_at(line, 0, 2);
        if command == b"ERROR" {
            self.session.fail(&word_at(line, 1, 2));
        } else if let Some(query) = query_of(line) {
            if matches!(query, Query::GetUrls { .. }) {
                self.urls = Some(Vec::new());
            }
            self.session.ask(job, query).expect(self.title);
        } else if let Some(note) = note_of(line) {
            self.session.tell(job, note).expect(self.title);
        } else {
            let block: Vec<_> = self.block.iter().map(|line| self.untag(line).1.to_vec()).collect();
            let reply = reply_of(line, &block);
            let reply = reply.unwrap_or_else(|| panic!("{}: cannot say {}", self.title, line.escape_ascii()));
            self.session.reply(job, reply).expect(self.title);
        }
    }

    fn hear(&mut self) {
        for line in self.session.take_output().split_inclusive(|byte| *byte == b'\n') {
            self.said.push(line.strip_suffix(b"\n").expect("whole lines").to_vec());
        }
    }

    fn heard(&mut self, line: &[u8]) -> bool {
        let at = self.said.iter().position(|said| said == line);
        at.map(|at| self.said.remove(at)).is_some()
    }

    fn untag<'l>(&self, line: &'l [u8]) -> (Job, &'l [u8]) {
        if !self.tagged || line.starts_with(b"ERROR ") {
            return (Job::new(None), line);
        }
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        assert_eq!(parts.next(), Some(&b"J"[..]), "{}", self.title);
        let number = number(parts.next().expect("a job number"));
        (Job::new(Some(number)), parts.next().expect("a message"))
    }

    fn show(&self) -> Vec<String> {
        self.said.iter().map(|line| line.escape_ascii().to_string()).collect()
    }
}

/// Parameter `at` of a line of `of` words, the last of which may hold spaces.
fn word_at(line: &[u8], at: usize, of: usize) -> Vec<u8> {
    line.splitn(of, |byte| *byte == b' ').nth(at).expect("so many parameters").to_vec()
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).expect("ascii").parse().expect("a number")
}

fn query_of(line: &[u8]) -> Option<Query> {
    let word = |at: usize, of: usize| word_at(line, at, of);
    let key = |at, of| Key::new(word(at, of)).expect("a key");
    Some(match word(0, 2).as_slice() {
        b"GETCONFIG" => Query::GetConfig(word(1, 2)),
        b"GETCREDS" => Query::GetCreds(word(1, 2)),
        b"GETUUID" => Query::GetUuid,
        b"GETGITDIR" => Query::GetGitDir,
        b"GETGITREMOTENAME" => Query::GetGitRemoteName,
        b"GETWANTED" => Query::GetWanted,
        b"GETSTATE" => Query::GetState(key(1, 2)),
        b"DIRHASH" => Query::DirHash(key(1, 2)),
        b"DIRHASH-LOWER" => Query::DirHashLower(key(1, 2)),
        b"GETURLS" => Query::GetUrls { key: key(1, 3), prefix: word(2, 3) },
        _ => return None,
    })
}

fn note_of(line: &[u8]) -> Option<Note> {
    let word = |at: usize, of: usize| word_at(line, at, of);
    let key = |at, of| Key::new(word(at, of)).expect("a key");
    Some(match word(0, 2).as_slice() {
        b"PROGRESS" => Note::Progress(number(&word(1, 2))),
        b"SETCONFIG" => Note::SetConfig { name: word(1, 3), value: word(2, 3) },
        b"SETCREDS" => Note::SetCreds { name: word(1, 4), user: word(2, 4), password: Secret::new(word(3, 4)) },
        b"SETWANTED" => Note::SetWanted(word(1, 2)),
        b"SETSTATE" => Note::SetState { key: key(1, 3), value: word(2, 3) },
        b"SETURLPRESENT" => Note::SetUrlPresent { key: key(1, 3), url: word(2, 3) },
        b"SETURIPRESENT" => Note::SetUriPresent { key: key(1, 3), uri: word(2, 3) },
        b"DEBUG" => Note::Debug(word(1, 2)),
        b"INFO" => Note::Info(word(1, 2)),
        _ => return None,
    })
}

fn reply_of(line: &[u8], block: &[Vec<u8>]) -> Option<Reply> {
    let word = |at: usize, of: usize| word_at(line, at, of);
    Some(match word(0, 2).as_slice() {
        b"CONFIGEND" => Reply::Configs(block.iter().map(|line| (word_at(line, 1, 3), word_at(line, 2, 3))).collect()),
        b"INFOEND" => {
            Reply::Info(block.chunks(2).map(|two| (word_at(&two[0], 1, 2), word_at(&two[1], 1, 2))).collect())
        }
        b"INITREMOTE-SUCCESS"
        | b"PREPARE-SUCCESS"
        | b"TRANSFER-SUCCESS"
        | b"REMOVE-SUCCESS"
        | b"REMOVEEXPORTDIRECTORY-SUCCESS"
        | b"RENAMEEXPORT-SUCCESS"
        | b"LISTIMPORTABLECONTENTS-SUCCESS"
        | b"RETRIEVEIMPORT-SUCCESS" => Reply::Success,
        b"EXPORTSUPPORTED-SUCCESS" | b"IMPORTSUPPORTED-SUCCESS" => Reply::Supported(true),
        b"IMPORTKEY-SUCCESS" => Reply::Key(Key::new(word(1, 2)).expect("a key")),
        b"INITREMOTE-FAILURE" | b"PREPARE-FAILURE" => Reply::Failure(word(1, 2)),
        b"REMOVE-FAILURE" => Reply::Failure(word(2, 3)),
        b"TRANSFER-FAILURE" => Reply::Failure(word(3, 4)),
        b"CHECKPRESENT-SUCCESS" => Reply::Present,
        b"CHECKPRESENT-FAILURE" => Reply::Absent,
        b"CHECKPRESENT-UNKNOWN" => Reply::Unknown(word(2, 3)),
        b"COST" => Reply::Cost(u32::try_from(number(&word(1, 2))).expect("a cost")),
        b"ORDERED" => Reply::Ordered(true),
        b"UNORDERED" => Reply::Ordered(false),
        b"AVAILABILITY" => {
            let reach = if word(1, 2) == b"LOCAL" { Reach::Local } else { Reach::Global };
            Reply::Availability(Availability { reach, now: true })
        }
        b"WHEREIS-SUCCESS" => Reply::WhereIs(Some(word(1, 2))),
        b"CLAIMURL-SUCCESS" => Reply::Claim(true),
        b"CHECKURL-CONTENTS" => Reply::UrlContents { size: Some(number(&word(1, 3))), name: word(2, 3) },
        b"UNSUPPORTED-REQUEST" => Reply::Unsupported,
        _ => return None,
    })
}
