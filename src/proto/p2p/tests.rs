//! The server against recorded conversations and against any bytes at all.

mod model;
mod play;
mod recorded;

use proptest::prelude::*;

use super::*;
use crate::name::{Key, Uuid};
use model::Repository;
use play::play;
use testbed::recorded::differences;
use testbed::recorded::transcript::{FILES, File, PROXIED};

#[test]
fn recorded_conversations_go_as_they_went() {
    let mut wrong = Vec::new();
    for (name, text) in FILES.into_iter().chain(PROXIED) {
        for step in [usize::MAX, 1, 7] {
            let file = File::parse(text);
            let mut repositories = vec![Repository::new(&file)];
            repositories.extend(Repository::behind(&file));
            for section in file.sections.iter().filter(|section| section.is_p2p()) {
                let expected = differences::expected(section);
                let heard = play(&mut repositories, section, &expected, step);
                if heard != expected {
                    let at = heard.iter().zip(&expected).take_while(|(heard, expected)| heard == expected).count();
                    let tail = |items: &[String]| items[at.min(items.len())..].join(" | ");
                    let (heard, expected, title) = (tail(&heard), tail(&expected), &section.title);
                    wrong.push(format!("{name}: {title} (in pieces of {step})\n  {heard}\n  not {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_named_difference_belongs_to_a_conversation() {
    let files: Vec<File> = FILES.iter().chain(&PROXIED).map(|(_, text)| File::parse(text)).collect();
    for title in differences::titles() {
        let count = files.iter().flat_map(|file| &file.sections).filter(|section| section.title == title).count();
        assert_eq!(count, 1, "{title}");
    }
}

fn own() -> Uuid {
    Uuid::parse(b"u").expect("a uuid")
}

/// A server that heard these bytes, its events, and what it said after AUTH-SUCCESS.
fn after(access: Access, bytes: &[u8]) -> (Server, Vec<Event>, String) {
    let mut server = Server::new(&own(), access);
    server.take_output();
    server.push(bytes);
    let events = std::iter::from_fn(|| server.next_event()).collect();
    let said = String::from_utf8_lossy(&server.take_output()).into_owned();
    (server, events, said)
}

fn said(server: &mut Server) -> String {
    String::from_utf8_lossy(&server.take_output()).into_owned()
}

#[test]
fn nothing_is_looked_at_while_a_reply_is_due() {
    let (mut server, events, text) = after(Access::Full, b"CHECKPRESENT A--a\nVERSION 4\nCHECKPRESENT A--b\n");
    assert_eq!((events.len(), text.as_str(), server.wants_input()), (1, "", false));
    server.reply(Reply::Success(Vec::new())).expect("due");
    assert_eq!(server.reply(Reply::Success(Vec::new())), Err(Misuse), "two replies to one request");
    let key = Key::parse(b"A--b").expect("a key");
    assert_eq!(server.next_event(), Some(Event::Request(Request::CheckPresent(key))));
    server.reply(Reply::Error(b"no\nidea".to_vec())).expect("due");
    assert_eq!(said(&mut server), "SUCCESS\nVERSION 4\nERROR no idea\n");
    assert!(server.wants_input());
}

#[test]
fn replies_fit_what_was_asked() {
    let none = Vec::new;
    let replies = [
        Reply::Success(none()),
        Reply::Failure(none()),
        Reply::PutFrom(0),
        Reply::AlreadyHave(none()),
        Reply::Data(0),
        Reply::Timestamp(0),
        Reply::Error(b"e".to_vec()),
    ];
    let table = [
        ("CHECKPRESENT A--a\n", [true, true, false, false, false, false, true]),
        ("LOCKCONTENT A--a\n", [true, true, false, false, false, false, true]),
        ("REMOVE A--a\n", [true, true, false, false, false, false, true]),
        ("REMOVE-BEFORE 1 A--a\n", [true, true, false, false, false, false, true]),
        ("GET 0  A--a\n", [false, false, false, false, true, false, true]),
        ("PUT  A--a\n", [false, false, true, true, false, false, true]),
        ("GETTIMESTAMP\n", [false, false, false, false, false, true, true]),
        ("VERSION 4\n", [false; 7]),
        ("BYPASS a\n", [false; 7]),
    ];
    for (line, fits) in table {
        for (reply, fits) in replies.iter().zip(fits) {
            let (mut server, ..) = after(Access::Full, line.as_bytes());
            assert_eq!(server.reply(reply.clone()).is_ok(), fits, "{line}{reply:?}");
            assert_eq!(server.take_output().is_empty(), !fits, "{line}{reply:?}");
            assert!(server.sent(true).is_ok() == matches!(reply, Reply::Data(_)) || !fits);
        }
    }
}

#[test]
fn other_repositories_are_named_from_version_2() {
    for (version, expected) in [(1, "SUCCESS\n"), (2, "SUCCESS-PLUS u u\n"), (4, "SUCCESS-PLUS u u\n")] {
        let (mut server, ..) = after(Access::Full, format!("VERSION {version}\nREMOVE A--a\n").as_bytes());
        server.reply(Reply::Success(vec![own(), own()])).expect("due");
        assert_eq!(said(&mut server), expected);
    }
}

#[test]
fn a_client_that_leaves_leaves_nothing_behind() {
    let leave = |bytes: &str, reply: Option<Reply>, more: &str| {
        let (mut server, ..) = after(Access::Full, format!("VERSION 4\n{bytes}").as_bytes());
        if let Some(reply) = reply {
            server.reply(reply).expect("due");
        }
        server.push(more.as_bytes());
        while server.next_event().is_some() {}
        while !server.take_payload(2).is_empty() {}
        assert_eq!(server.next_event(), None);
        server.take_output();
        server.eof();
        let events: Vec<Event> = std::iter::from_fn(|| server.next_event()).collect();
        (events, said(&mut server), server.held())
    };
    let close = Event::Close;
    let put = || Some(Reply::PutFrom(0));
    for (bytes, reply, more, events, text) in [
        ("CHECKPRESENT A--", None, "", vec![close(Close::Left)], ""),
        ("LOCKCONTENT A--a\n", Some(Reply::Success(Vec::new())), "UNL", vec![Event::Unlock, close(Close::Left)], ""),
        ("PUT  A--a\n", put(), "DAT", vec![Event::Abandoned, close(Close::Left)], ""),
        ("PUT  A--a\n", put(), "DATA 9\nabc", vec![Event::Abandoned, close(Close::CutShort)], "FAILURE\n"),
        ("PUT  A--a\n", put(), "DATA 3\nabc", vec![Event::Abandoned, close(Close::Left)], "FAILURE\n"),
    ] {
        assert_eq!(leave(bytes, reply, more), (events, text.to_string(), 0), "{bytes}{more}");
    }
    let (mut server, ..) = after(Access::Full, b"LOCKCONTENT A--a\n");
    server.eof();
    assert_eq!(server.next_event(), None, "the lock is still being taken");
    server.reply(Reply::Success(Vec::new())).expect("due");
    assert_eq!((server.next_event(), server.next_event()), (Some(Event::Unlock), Some(close(Close::Left))));
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_ends_it() {
    let (_, events, text) = after(Access::Full, &[b"FOO ".as_slice(), &vec![b'x'; LINE_LIMIT - 4], b"\n"].concat());
    assert_eq!((events, text.as_str()), (Vec::new(), "ERROR unknown command\n"));
    let (mut server, events, text) = after(Access::Full, &vec![b'x'; LINE_LIMIT + 1]);
    assert_eq!((events, text.as_str()), (vec![Event::Close(Close::LongLine)], ""));
    server.push(&[b'x'; 9]);
    assert_eq!((server.held(), server.next_event()), (0, None));
    let (mut server, ..) = after(Access::Full, b"LOCKCONTENT A--a\n");
    server.reply(Reply::Success(Vec::new())).expect("due");
    server.push(&vec![b'x'; LINE_LIMIT + 1]);
    let events = [server.next_event(), server.next_event()];
    assert_eq!(events, [Some(Event::Unlock), Some(Event::Close(Close::LongLine))]);
}

#[test]
fn the_seeds_of_the_fuzzer_pass() {
    for seed in [
        &include_bytes!("../../../testdata/fuzz/corpus/p2p_session/put")[..],
        include_bytes!("../../../testdata/fuzz/corpus/p2p_session/get_lock"),
        include_bytes!("../../../testdata/fuzz/corpus/p2p_session/refused"),
        include_bytes!("../../../testdata/fuzz/corpus/p2p_session/gone"),
    ] {
        fuzz::session(seed);
    }
    fuzz::message(include_bytes!("../../../testdata/fuzz/corpus/p2p_message/lines"));
    for (_, text) in FILES {
        let lines: Vec<&str> = text.lines().filter_map(|line| line.get(2..)).collect();
        fuzz::message(&[b"\x03", lines.join("\n").as_bytes()].concat());
    }
}

/// An operation of the fuzzer, more often one that leads somewhere than not.
fn operation() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "<VERSION 4",
        "<VERSION 0",
        "<PUT  A--a",
        "<GET 3 f A--a",
        "<LOCKCONTENT A--a",
        "<UNLOCKCONTENT",
        "<DATA 5",
        "<DATA 0",
        "<VALID",
        "<INVALID",
        "<SUCCESS",
        "<FAILURE",
        "<REMOVE A--a",
        "<GETTIMESTAMP",
        "<CHECKPRESENT A--a",
        "<DATA-PRESENT",
        "<ERROR x",
        "<nonsense",
        "<NOTIFYCHANGE",
        ".abc",
        ".|",
        "r+",
        "r-",
        "rp",
        "rh",
        "rd",
        "rt",
        "re",
        "s+",
        "s-",
        "t3",
        "t9",
        "p2",
        "e",
    ]);
    prop_oneof![9 => line.prop_map(|text| text.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn any_operations_in_any_order_keep_the_promises(
        access in prop::sample::select(b"FAR".to_vec()),
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        fuzz::session(&[vec![access], operations.join(&b'\n')].concat());
    }

    #[test]
    fn any_bytes_are_lines_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::message(&bytes);
    }
}
