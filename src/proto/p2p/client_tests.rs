use super::super::{Access, Event, Reply, Server};
use super::*;
use crate::name::Key;

const CONTENT: &[u8] = b"some\ncontent\nVALID\n";

fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::parse(bytes).expect("a uuid")
}

fn key(bytes: &[u8]) -> Key {
    Key::parse(bytes).expect("a key")
}

fn file(name: &[u8]) -> AssociatedFile {
    AssociatedFile::new(name).expect("relative")
}

/// A client and a server that hear each other in pieces, in front of a repository that has one key.
struct Pair {
    client: Client,
    server: Server,
    version: u8,
    piece: usize,
    stored: Vec<u8>,
    /// What the server did, in words.
    done: Vec<String>,
}

impl Pair {
    fn new(version: u8, piece: usize) -> Self {
        let own = uuid(b"peer");
        let (client, server) = (Client::new(own.clone()), Server::new(&own, Access::Full));
        let mut pair = Self { client, server, version, piece, stored: Vec::new(), done: Vec::new() };
        assert_eq!(pair.until_answer(), Ok(Answer::Ready));
        assert_eq!(pair.client.version().number(), version);
        pair
    }

    fn ask(&mut self, request: Request) -> Answer {
        self.client.ask(&request).expect("it is idle");
        self.until_answer().expect("the server is right")
    }

    /// Lets both talk until the client has an answer.
    fn until_answer(&mut self) -> Result<Answer, Broken> {
        for _ in 0..100 {
            let said = self.server.take_output();
            let mut rest = said.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(self.piece));
                rest = later;
                self.client.push(now);
                if let Some(answer) = self.client.next_answer()? {
                    self.client.push(rest);
                    return Ok(answer);
                }
            }
            if let Some(answer) = self.client.next_answer()? {
                return Ok(answer);
            }
            self.serve();
        }
        panic!("they wait for each other: {:?} {:?}", self.client, self.server);
    }

    /// Gives the server what the client has said.
    fn serve(&mut self) {
        let said = self.client.take_output();
        // A server that knows fewer versions.
        let said = if said == b"VERSION 4\n" { format!("VERSION {}\n", self.version).into_bytes() } else { said };
        self.bytes(&said);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.server.push(piece);
            loop {
                let payload = self.server.take_payload(3);
                let event = self.server.next_event();
                if payload.is_empty() && event.is_none() {
                    break;
                }
                self.stored.extend(payload);
                event.into_iter().for_each(|event| self.act(event));
            }
        }
    }

    fn act(&mut self, event: Event) {
        self.done.push(format!("{event:?}"));
        let there = key(b"XYZ--there");
        let reply = match event {
            Event::Request(Request::CheckPresent(key) | Request::Lock(key)) if key == there => {
                Reply::Success(Vec::new())
            }
            Event::Request(Request::CheckPresent(_) | Request::Lock(_)) => Reply::Failure(Vec::new()),
            Event::Request(Request::Remove(_)) => Reply::Success(vec![uuid(b"other")]),
            Event::Request(Request::RemoveBefore { .. }) => Reply::Error(b"no clock".to_vec()),
            Event::Request(Request::Timestamp) => Reply::Timestamp(77),
            Event::Request(Request::Put { key, .. }) if key == there => Reply::AlreadyHave(vec![uuid(b"other")]),
            Event::Request(Request::Put { .. }) => Reply::PutFrom(5),
            Event::Request(Request::Get { offset, key, .. }) => {
                let from = usize::try_from(offset).expect("small");
                let bytes = if key == there { &CONTENT[from.min(CONTENT.len())..] } else { b"" };
                self.server.reply(Reply::Data(bytes.len() as u64)).expect("it was asked");
                let mut said = self.server.take_output();
                said.extend(bytes);
                self.server.sent(key == there).expect("it is sending");
                said.extend(self.server.take_output());
                self.relay(&said);
                return;
            }
            Event::Verdict { .. } | Event::DataPresent => Reply::Success(vec![uuid(b"other")]),
            Event::Bypass(_)
            | Event::Unlock
            | Event::Payload { .. }
            | Event::Abandoned
            | Event::Got(_)
            | Event::Close(_) => return,
        };
        self.server.reply(reply).expect("it was asked");
    }

    /// What the server wrote goes to the client as bytes, payload and all.
    fn relay(&mut self, bytes: &[u8]) {
        self.client.push(bytes);
    }

    /// Takes payload as a driver does.
    fn payload(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.payload_left() > 0 {
            let piece = self.client.take_payload(max);
            assert!(!piece.is_empty());
            bytes.extend(piece);
        }
        bytes
    }
}

#[test]
fn both_sides_understand_each_other_at_every_version_in_any_pieces() {
    for version in 0..=4 {
        for piece in [1, 3, usize::MAX] {
            talk(version, piece);
        }
    }
}

fn talk(version: u8, piece: usize) {
    let mut pair = Pair::new(version, piece);
    let (there, absent) = (key(b"XYZ--there"), key(b"XYZ--a key"));
    let plus = |list: &[&[u8]]| if version >= 2 { list.iter().map(|id| uuid(id)).collect() } else { Vec::new() };

    assert_eq!(pair.ask(Request::CheckPresent(there.clone())), Answer::Success(Vec::new()));
    assert_eq!(pair.ask(Request::CheckPresent(absent.clone())), Answer::Failure(Vec::new()));
    assert_eq!(pair.ask(Request::Timestamp), Answer::Timestamp(77));
    assert_eq!(pair.ask(Request::Remove(absent.clone())), Answer::Success(plus(&[b"other"])));
    let late = Request::RemoveBefore { timestamp: -3, key: there.clone() };
    assert_eq!(pair.ask(late), Answer::Error(b"no clock".to_vec()));

    assert_eq!(pair.ask(Request::Lock(absent.clone())), Answer::Failure(Vec::new()));
    assert_eq!(pair.ask(Request::Lock(there.clone())), Answer::Success(Vec::new()));
    assert!(!pair.client.is_idle() && pair.client.ask(&Request::Timestamp).is_err());
    pair.client.unlock().expect("it is locked");
    pair.serve();
    assert_eq!(pair.done.last().map(String::as_str), Some("Unlock"));

    for (key, from, bytes, good) in [
        (&there, 0, CONTENT, true),
        (&there, 7, &CONTENT[7..], true),
        (&there, 99, b"", true),
        (&absent, 0, b"", false),
    ] {
        let len = bytes.len() as u64;
        let get = Request::Get { offset: from, file: file(b"a file"), key: key.clone() };
        assert_eq!(pair.ask(get), Answer::Data(len));
        assert_eq!(pair.payload(piece), bytes);
        assert_eq!(pair.until_answer(), Ok(Answer::Judged(good || version == 0)));
        assert!(pair.client.ask(&Request::Timestamp).is_err(), "the server waits for the outcome");
        pair.client.got(good).expect("it was judged");
        pair.serve();
        assert_eq!(pair.done.last(), Some(&format!("Got({good})")));
        assert!(pair.client.is_idle());
    }

    let put = |key: &Key| Request::Put { file: file(b""), key: key.clone() };
    assert_eq!(pair.ask(put(&there)), Answer::AlreadyHave(plus(&[b"other"])));
    for valid in [true, false] {
        if !valid && version == 0 {
            continue;
        }
        pair.stored.clear();
        assert_eq!(pair.ask(put(&absent)), Answer::PutFrom(5));
        pair.client.data(CONTENT.len() as u64).expect("it was offered");
        pair.serve();
        pair.bytes(CONTENT);
        pair.client.sent(valid).expect("it was sending");
        assert_eq!(pair.until_answer(), Ok(Answer::Success(plus(&[b"other"]))));
        assert_eq!(pair.stored, CONTENT);
        assert!(pair.done.contains(&format!("Verdict {{ valid: {valid} }}")));
    }
    assert_eq!(pair.ask(put(&absent)), Answer::PutFrom(5));
    assert_eq!(pair.client.data_present().is_ok(), version >= 4);
    if version >= 4 {
        assert_eq!(pair.until_answer(), Ok(Answer::Success(plus(&[b"other"]))));
        assert_eq!(pair.done.last().map(String::as_str), Some("DataPresent"));
    }
}

#[test]
fn in_version_0_an_upload_cannot_be_taken_back_by_a_word() {
    let mut pair = Pair::new(0, usize::MAX);
    let put = Request::Put { file: file(b""), key: key(b"XYZ--a") };
    assert_eq!(pair.ask(put), Answer::PutFrom(5));
    pair.client.data(1).expect("it was offered");
    assert_eq!(pair.client.sent(false), Err(Misuse));
}

/// A client that heard `greeting` and then asked, or what broke it.
fn heard(greeting: &[u8], request: Option<Request>, bytes: &[u8]) -> Result<Option<Answer>, Broken> {
    let mut client = Client::new(uuid(b"peer"));
    client.push(greeting);
    let ready = client.next_answer()?;
    let Some(request) = request else { return Ok(ready) };
    client.ask(&request).expect("it is idle");
    client.push(bytes);
    client.eof();
    client.next_answer()
}

#[test]
fn only_the_right_repository_is_talked_to() {
    for (greeting, broken) in [
        (&b"AUTH-SUCCESS other\n"[..], Broken::WrongPeer(Some(uuid(b"other")))),
        (b"AUTH-SUCCESS \n", Broken::WrongPeer(None)),
        (b"AUTH-FAILURE\n", Broken::Denied),
        (b"Welcome to this computer\n", Broken::Unexpected("Welcome".into())),
        (b"VERSION 4\n", Broken::Unexpected("VERSION".into())),
        (b"AUTH-SUCCESS peer\nVERSION 5\n", Broken::Unexpected("VERSION".into())),
        (b"AUTH-SUCCESS peer\nVERSION -1\n", Broken::Unexpected("VERSION".into())),
        (b"AUTH-SUCCESS peer\nSUCCESS\n", Broken::Unexpected("SUCCESS".into())),
        (&[b'x'; LINE_LIMIT + 1], Broken::LongLine),
    ] {
        assert_eq!(heard(greeting, None, b""), Err(broken), "{}", greeting.escape_ascii());
    }
    assert_eq!(heard(b"AUTH-SUCCESS peer\n", None, b""), Ok(None));
    assert_eq!(heard(b"AUTH-SUCCESS peer\r\nERROR unknown command\n", None, b""), Ok(Some(Answer::Ready)));
}

#[test]
fn what_does_not_answer_the_request_breaks_the_conversation() {
    let ready = b"AUTH-SUCCESS peer\nVERSION 4\n";
    let check = || Some(Request::CheckPresent(key(b"XYZ--a")));
    let get = || Some(Request::Get { offset: 0, file: file(b""), key: key(b"XYZ--a") });
    let put = || Some(Request::Put { file: file(b""), key: key(b"XYZ--a") });
    let unexpected = |word: &str| Err(Broken::Unexpected(word.into()));
    for (request, bytes, answer) in [
        (check(), &b"DATA 4\n"[..], unexpected("DATA")),
        (check(), b"success\n", unexpected("success")),
        (check(), b"", Err(Broken::Gone)),
        (check(), b"SUCC", Err(Broken::Gone)),
        (check(), b"ERROR out of order\n", Ok(Some(Answer::Error(b"out of order".to_vec())))),
        (get(), b"SUCCESS\n", unexpected("SUCCESS")),
        (get(), b"DATA -1\n", unexpected("DATA")),
        (put(), b"PUT-FROM -1\n", unexpected("PUT-FROM")),
        (put(), b"SUCCESS\n", unexpected("SUCCESS")),
        (Some(Request::Timestamp), b"TIMESTAMP -1\n", unexpected("TIMESTAMP")),
    ] {
        assert_eq!(heard(ready, request.clone(), bytes), answer, "{request:?} {}", bytes.escape_ascii());
    }
}

#[test]
fn content_cut_short_is_not_taken_for_all_of_it() {
    for bytes in [&b"DATA 4\nabc"[..], b"DATA 4\nabcd", b"DATA 4\nabcdVAL"] {
        let mut client = Client::new(uuid(b"peer"));
        client.push(b"AUTH-SUCCESS peer\nVERSION 4\n");
        assert_eq!(client.next_answer(), Ok(Some(Answer::Ready)));
        client.ask(&Request::Get { offset: 0, file: file(b""), key: key(b"XYZ--a") }).expect("it is idle");
        client.push(bytes);
        assert_eq!(client.next_answer(), Ok(Some(Answer::Data(4))));
        client.take_payload(9);
        client.eof();
        assert_eq!(client.next_answer(), Err(Broken::Gone));
        assert_eq!(client.next_answer(), Err(Broken::Gone), "and stays so");
    }
}

#[test]
fn a_name_that_is_too_long_for_a_line_is_left_out() {
    let mut client = Client::new(uuid(b"peer"));
    client.push(b"AUTH-SUCCESS peer\nVERSION 4\n");
    assert_eq!(client.next_answer(), Ok(Some(Answer::Ready)));
    client.take_output();
    client.ask(&Request::Put { file: file(&[b'x'; 20_000]), key: key(b"XYZ--a") }).expect("it is idle");
    assert_eq!(client.take_output(), b"PUT  XYZ--a\n");
}

proptest::proptest! {
    #[test]
    fn nothing_a_server_says_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let mut client = Client::new(uuid(b"peer"));
        client.push(b"AUTH-SUCCESS peer\nVERSION 4\n");
        let _ = client.next_answer();
        let _ = client.ask(&Request::Get { offset: 0, file: file(b""), key: key(b"XYZ--a") });
        for piece in bytes.chunks(7) {
            client.push(piece);
            let _ = client.next_answer();
            client.take_payload(5);
        }
    }
}

#[test]
fn gateways_that_are_not_to_be_asked_are_named_before_a_question() {
    for (version, said) in [(0, ""), (1, ""), (2, "BYPASS g1 g2\n"), (3, "BYPASS g1 g2\n"), (4, "BYPASS g1 g2\n")] {
        let mut client = Client::new(uuid(b"peer"));
        assert_eq!(client.bypass(&[]), Err(Misuse), "nothing is agreed on");
        client.push(format!("AUTH-SUCCESS peer\nVERSION {version}\n").as_bytes());
        assert_eq!(client.next_answer(), Ok(Some(Answer::Ready)));
        client.take_output();
        client.bypass(&[uuid(b"g1"), uuid(b"g2")]).expect("it is idle");
        client.ask(&Request::CheckPresent(key(b"XYZ--a"))).expect("it is idle");
        assert_eq!(client.take_output(), format!("{said}CHECKPRESENT XYZ--a\n").as_bytes());
        assert_eq!(client.bypass(&[]), Err(Misuse), "an answer is due");
    }
}
