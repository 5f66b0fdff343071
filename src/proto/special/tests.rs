//! The rules of the session one by one, as tables.

use super::violation::Violation;
use super::*;

/// A session that heard these lines, with its last event and what it said after VERSION.
fn after(options: Options, lines: &str) -> (Session, Option<Event>, String) {
    let mut session = Session::new(options);
    session.take_output();
    session.receive(lines.as_bytes());
    let last = std::iter::from_fn(|| session.next_event()).last();
    let said = String::from_utf8_lossy(&session.take_output()).into_owned();
    (session, last, said)
}

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

const ONLY: Job = Job(None);

#[test]
fn extensions_are_the_ones_of_both_sides() {
    let all = Options::default;
    let table = [
        (all(), "EXTENSIONS INFO FOO ASYNC\n", "EXTENSIONS INFO ASYNC\n"),
        (
            all(),
            "EXTENSIONS UNAVAILABLERESPONSE GETGITREMOTENAME\n",
            "EXTENSIONS GETGITREMOTENAME UNAVAILABLERESPONSE\n",
        ),
        (all(), "EXTENSIONS\n", "EXTENSIONS\n"),
        (all(), "EXTENSIONS INFOS ASYNCH\n", "EXTENSIONS\n"),
        (Options::one_at_a_time(), "EXTENSIONS INFO ASYNC\n", "EXTENSIONS INFO\n"),
        (Options { offer: None, ..all() }, "EXTENSIONS INFO ASYNC\n", "UNSUPPORTED-REQUEST\n"),
        (all(), "ELSEWHERE\nFUTURE x\n", "UNSUPPORTED-REQUEST\nUNSUPPORTED-REQUEST\n"),
        (all(), "EXPORT name\nFUTUREEXPORT STORE k f\n", "UNSUPPORTED-REQUEST\n"),
        (all(), "EXTENSIONS ASYNC\nJ 3 FUTURE\n", "EXTENSIONS ASYNC\nJ 3 UNSUPPORTED-REQUEST\n"),
    ];
    for (options, heard, expected) in table {
        let (session, event, said) = after(options, heard);
        assert_eq!((event, said.as_str(), session.is_ended()), (None, expected, false), "{heard}");
    }
}

#[test]
fn a_broken_protocol_gets_an_error_that_says_how() {
    let job = |number| Job(Some(number));
    let table = [
        ("PREPARE\nGETCOST\n", Violation::Busy(ONLY)),
        ("PREPARE\nFUTURE\n", Violation::Busy(ONLY)),
        ("PREPARE\nEXPORT name\n", Violation::Busy(ONLY)),
        ("TRANSFEREXPORT STORE k f\n", Violation::Malformed("TRANSFEREXPORT")),
        ("EXPORT a\nFUTURE\nCHECKPRESENTEXPORT k\n", Violation::Malformed("CHECKPRESENTEXPORT")),
        ("IMPORT a\nREMOVEEXPORT k\n", Violation::Malformed("REMOVEEXPORT")),
        ("EXTENSIONS ASYNC\nJ 1 EXPORT a\nJ 2 REMOVEEXPORT k\n", Violation::Malformed("REMOVEEXPORT")),
        ("EXTENSIONS ASYNC\nJ 1 PREPARE\nJ 1 GETCOST\n", Violation::Busy(job(1))),
        ("VALUE x\n", Violation::Unasked(ONLY)),
        ("PREPARE\nCREDS a b\n", Violation::Unasked(ONLY)),
        ("EXTENSIONS ASYNC\nJ 1 PREPARE\nJ 2 VALUE x\n", Violation::Unasked(job(2))),
        ("EXTENSIONS ASYNC\nPREPARE\n", Violation::Untagged),
        ("EXTENSIONS ASYNC\nJ 1\n", Violation::Untagged),
        ("EXTENSIONS ASYNC\nJ -1 PREPARE\n", Violation::Untagged),
        ("EXTENSIONS ASYNC\nJ 18446744073709551616 PREPARE\n", Violation::Untagged),
        ("EXTENSIONS\nEXTENSIONS\n", Violation::LateExtensions),
        ("EXPORTSUPPORTED\nEXTENSIONS\n", Violation::LateExtensions),
        ("TRANSFER STORE k\n", Violation::Malformed("TRANSFER")),
        ("\n", Violation::Malformed("an empty line")),
        ("CLAIMURL http://a.very.long.url/indeed/it/is\n", Violation::LineTooLong(40)),
        ("no end in sight and no newline either in this", Violation::LineTooLong(40)),
    ];
    for (heard, violation) in table {
        let (mut session, event, said) = after(Options { line_limit: 40, ..Options::default() }, heard);
        assert_eq!(event, Some(Event::Fatal(violation)), "{heard}");
        assert!(said.ends_with(&format!("ERROR {violation}\n")), "{heard}: {said}");
        session.receive(b"GETCOST\n");
        assert_eq!((session.next_event(), session.is_ended()), (None, true));
        assert_eq!(session.reply(ONLY, Reply::Success), Err(Misuse::Ended));
        session.fail(b"again");
        assert_eq!(session.output(), b"");
    }
}

#[test]
fn too_much_at_once_is_an_error_and_not_memory() {
    let options = Options { held_limit: 1000, ..Options::default() };
    let many: String = (0..9).map(|job| format!("J {job} REMOVE k\n")).collect();
    let (_, event, _) = after(options.clone(), &format!("EXTENSIONS ASYNC\n{many}"));
    assert_eq!(event, Some(Event::Fatal(Violation::TooMuch(1000))));

    let (mut session, ..) = after(options, "PREPARE\n");
    session.ask(ONLY, Query::GetUrls { key: key("k"), prefix: Vec::new() }).expect("it runs");
    session.receive("VALUE http://x\n".repeat(9).as_bytes());
    assert_eq!(session.next_event(), Some(Event::Fatal(Violation::TooMuch(1000))));
}

#[test]
fn error_of_git_annex_ends_the_session_tagged_or_not() {
    for heard in
        ["ERROR it is over\n", "EXTENSIONS ASYNC\nERROR it is over\n", "EXTENSIONS ASYNC\nJ 1 ERROR it is over\n"]
    {
        let (session, event, _) = after(Options::default(), heard);
        assert_eq!(event, Some(Event::PeerError { message: b"it is over".to_vec() }), "{heard}");
        assert!(session.is_ended());
    }
}

#[test]
fn a_reply_must_belong_to_its_request() {
    let requests =
        ["INITREMOTE", "PREPARE", "TRANSFER STORE k f", "TRANSFER RETRIEVE k f", "CHECKPRESENT k", "REMOVE k"];
    let optional =
        ["LISTCONFIGS", "GETCOST", "GETORDERED", "GETAVAILABILITY", "GETINFO", "WHEREIS k", "CLAIMURL u", "CHECKURL u"];
    let here = Availability { reach: Reach::Local, now: true };
    let part = UrlPart { url: b"u".to_vec(), size: None, name: b"n".to_vec() };
    let replies: [(Reply, &[&str]); 16] = [
        (Reply::Success, &["INITREMOTE", "PREPARE", "TRANSFER STORE k f", "TRANSFER RETRIEVE k f", "REMOVE k"]),
        (
            Reply::Failure(Vec::new()),
            &["INITREMOTE", "PREPARE", "TRANSFER STORE k f", "TRANSFER RETRIEVE k f", "REMOVE k", "CHECKURL u"],
        ),
        (Reply::Present, &["CHECKPRESENT k"]),
        (Reply::Absent, &["CHECKPRESENT k"]),
        (Reply::Unknown(Vec::new()), &["CHECKPRESENT k"]),
        (Reply::Configs(Vec::new()), &["LISTCONFIGS"]),
        (Reply::Cost(1), &["GETCOST"]),
        (Reply::Ordered(true), &["GETORDERED"]),
        (Reply::Availability(here), &["GETAVAILABILITY"]),
        (Reply::Info(Vec::new()), &["GETINFO"]),
        (Reply::WhereIs(None), &["WHEREIS k"]),
        (Reply::Claim(false), &["CLAIMURL u"]),
        (Reply::UrlContents { size: None, name: Vec::new() }, &["CHECKURL u"]),
        (Reply::UrlMulti(vec![part]), &["CHECKURL u"]),
        (Reply::UrlMulti(Vec::new()), &[]),
        (Reply::Unsupported, &optional),
    ];
    for request in requests.iter().chain(&optional) {
        for (reply, legal) in &replies {
            let (mut session, ..) = after(Options::default(), &format!("{request}\n"));
            let result = session.reply(ONLY, reply.clone());
            let expected = if legal.contains(request) { Ok(()) } else { Err(Misuse::WrongReply) };
            assert_eq!(result, expected, "{reply:?} to {request}");
            assert_eq!((session.output().is_empty(), session.running_jobs() == 1), (result.is_err(), result.is_err()));
        }
    }
}

#[test]
fn replies_read_as_the_protocol_has_them() {
    let text = |text: &str| text.as_bytes().to_vec();
    let away = Availability { reach: Reach::Local, now: false };
    let part = |url: &str, size| UrlPart { url: text(url), size, name: text("n") };
    let table = [
        ("EXPORTSUPPORTED", Reply::Supported(true), "EXPORTSUPPORTED-SUCCESS\n"),
        ("IMPORTSUPPORTED", Reply::Supported(false), "IMPORTSUPPORTED-FAILURE\n"),
        ("EXPORT a b\nTRANSFEREXPORT STORE k f", Reply::Success, "TRANSFER-SUCCESS STORE k\n"),
        ("EXPORT a\nREMOVEEXPORT k", Reply::Failure(text("no\nway")), "REMOVE-FAILURE k no way\n"),
        ("EXPORT a\nRENAMEEXPORT k b c", Reply::Failure(text("unsaid")), "RENAMEEXPORT-FAILURE k\n"),
        ("EXPORT a\nRENAMEEXPORT k b c", Reply::Unsupported, "UNSUPPORTED-REQUEST\n"),
        ("REMOVEEXPORTDIRECTORY a b", Reply::Failure(text("unsaid")), "REMOVEEXPORTDIRECTORY-FAILURE\n"),
        ("LISTIMPORTABLECONTENTS", Reply::Failure(text("why")), "LISTIMPORTABLECONTENTS-FAILURE why\n"),
        ("IMPORT a\nRETRIEVEIMPORT f", Reply::Failure(text("why")), "RETRIEVEIMPORT-FAILURE why\n"),
        ("IMPORT a\nIMPORTKEY 1 x", Reply::Skip, "IMPORTKEY-SKIP\n"),
        ("INITREMOTE", Reply::Failure(text("no\tsuch\r\nbucket")), "INITREMOTE-FAILURE no such  bucket\n"),
        ("TRANSFER RETRIEVE k f", Reply::Failure(text("")), "TRANSFER-FAILURE RETRIEVE k \n"),
        ("CHECKPRESENT k", Reply::Unknown(text("who knows")), "CHECKPRESENT-UNKNOWN k who knows\n"),
        ("GETAVAILABILITY", Reply::Availability(away), "AVAILABILITY LOCAL\n"),
        ("EXTENSIONS UNAVAILABLERESPONSE\nGETAVAILABILITY", Reply::Availability(away), "AVAILABILITY UNAVAILABLE\n"),
        ("GETINFO", Reply::Info(vec![(text("a b"), text("c\nd"))]), "INFOFIELD a b\nINFOVALUE c d\nINFOEND\n"),
        ("LISTCONFIGS", Reply::Configs(vec![(text("a"), text("b c"))]), "CONFIG a b c\nCONFIGEND\n"),
        ("WHEREIS k", Reply::WhereIs(None), "WHEREIS-FAILURE\n"),
        ("CHECKURL u", Reply::UrlContents { size: None, name: text("") }, "CHECKURL-CONTENTS UNKNOWN \n"),
        (
            "CHECKURL u",
            Reply::UrlMulti(vec![part("a", Some(5)), part("b", None)]),
            "CHECKURL-MULTI a 5 n b UNKNOWN n\n",
        ),
    ];
    for (request, reply, expected) in table {
        let (mut session, ..) = after(Options::default(), &format!("{request}\n"));
        session.reply(ONLY, reply).expect(request);
        assert_eq!(String::from_utf8_lossy(&session.take_output()), expected);
    }
}

#[test]
fn files_are_told_of_in_a_listing_alone() {
    let (mut session, ..) = after(Options::default(), "LISTIMPORTABLECONTENTS\n");
    let file = |name: &[u8]| Note::Importable { size: 7, name: name.to_vec(), id: b"a b".to_vec() };
    session.tell(ONLY, file(b"dir/\xff name")).expect("a listing");
    assert_eq!(session.take_output(), b"IMPORTABLECONTENT 7 dir/\xff name\nIMPORTABLECONTENTIDENTIFIER a b\n");
    assert_eq!(session.tell(ONLY, file(b"two\nlines")), Err(Misuse::Newline));
    assert_eq!(session.tell(ONLY, Note::Progress(1)), Err(Misuse::NotATransfer));
    session.reply(ONLY, Reply::Success).expect("its end");
    assert_eq!(session.take_output(), b"LISTIMPORTABLECONTENTS-SUCCESS\n");
    let (mut session, ..) = after(Options::default(), "GETCOST\n");
    assert_eq!(session.tell(ONLY, file(b"a")), Err(Misuse::NotAListing));
    assert_eq!(session.take_output(), b"");
}

#[test]
fn names_belong_to_the_next_request_of_their_job() {
    let mut session = Session::new(Options::default());
    session.receive(b"EXTENSIONS ASYNC\nJ 1 EXPORT one\nJ 2 IMPORT two\nJ 1 EXPORT uno\n");
    assert_eq!(session.next_event(), None);
    session.receive(b"J 2 CHECKPRESENTIMPORT k\nJ 1 CHECKPRESENTEXPORT k\n");
    let asked: Vec<_> = std::iter::from_fn(|| session.next_event()).collect();
    let name = |name: &str| FileName::new(name).expect("no newline");
    let key = Key::new("k").expect("a key");
    let expected = [
        (2, Request::CheckPresentImport { key: key.clone(), name: name("two") }),
        (1, Request::CheckPresentExport { key, name: name("uno") }),
    ];
    assert_eq!(asked, expected.map(|(n, request)| Event::Request { job: Job(Some(n)), request }));
    let busy = session.held();
    for n in 3..1000 {
        session.receive(format!("J {n} EXPORT {}\n", "x".repeat(8000)).as_bytes());
        assert_eq!(session.next_event(), None);
    }
    assert!(session.held() > busy + 997 * 8000, "names count");
    session.receive(format!("J 1000 EXPORT {0}\nJ 1001 EXPORT {0}\n", "x".repeat(600_000)).as_bytes());
    assert!(matches!(session.next_event(), Some(Event::Fatal(Violation::TooMuch(_)))), "and are bounded");
}

#[test]
fn keys_come_back_byte_for_byte() {
    let mut session = Session::new(Options::default());
    session.take_output();
    session.receive(b"REMOVE K\xff\xfe\x01\t\r\n");
    assert!(session.next_event().is_some());
    session.reply(ONLY, Reply::Failure(b"\xff\x01".to_vec())).expect("it runs");
    assert_eq!(session.take_output(), b"REMOVE-FAILURE K\xff\xfe\x01\t\r \xff \n");
}

#[test]
fn nothing_we_say_can_hold_a_newline() {
    let bad = || b"a\nb".to_vec();
    let set = |name: &[u8], value: &[u8]| Note::SetConfig { name: name.to_vec(), value: value.to_vec() };
    let creds = |user: &[u8], password: &[u8]| Note::SetCreds {
        name: b"n".to_vec(),
        user: user.to_vec(),
        password: Secret::new(password),
    };
    let table = [
        (set(b"a", &bad()), Misuse::Newline),
        (set(&bad(), b"v"), Misuse::Newline),
        (set(b"a b", b"v"), Misuse::Space),
        (set(b"", b"v"), Misuse::NoName),
        (creds(b"u", &bad()), Misuse::Newline),
        (creds(b"u v", b"p"), Misuse::Space),
        (Note::SetWanted(bad()), Misuse::Newline),
        (Note::SetState { key: key("k"), value: bad() }, Misuse::Newline),
        (Note::SetUrlPresent { key: key("k"), url: bad() }, Misuse::Newline),
        (Note::Progress(1), Misuse::NotATransfer),
    ];
    let (mut session, ..) = after(Options::default(), "INITREMOTE\n");
    for (note, misuse) in table {
        assert_eq!(session.tell(ONLY, note), Err(misuse));
    }
    assert_eq!(session.ask(ONLY, Query::GetConfig(bad())), Err(Misuse::Newline));
    assert_eq!(session.ask(ONLY, Query::GetGitRemoteName), Err(Misuse::NotNegotiated));
    assert_eq!(session.output(), b"");
    session.tell(ONLY, Note::Debug(bad())).expect("text is cleaned");
    assert_eq!(session.take_output(), b"DEBUG a b\n");
}

#[test]
fn notes_and_questions_read_as_the_protocol_has_them() {
    let text = |text: &str| text.as_bytes().to_vec();
    let k = || key("k");
    let notes = [
        (Note::Progress(u64::MAX), "PROGRESS 18446744073709551615"),
        (Note::SetConfig { name: text("n"), value: text("a  b") }, "SETCONFIG n a  b"),
        (Note::SetCreds { name: text("n"), user: text(""), password: Secret::new("p w") }, "SETCREDS n  p w"),
        (Note::SetWanted(text("include=*")), "SETWANTED include=*"),
        (Note::SetState { key: k(), value: text("s t") }, "SETSTATE k s t"),
        (Note::SetUrlPresent { key: k(), url: text("u") }, "SETURLPRESENT k u"),
        (Note::SetUrlMissing { key: k(), url: text("u") }, "SETURLMISSING k u"),
        (Note::SetUriPresent { key: k(), uri: text("u") }, "SETURIPRESENT k u"),
        (Note::SetUriMissing { key: k(), uri: text("u") }, "SETURIMISSING k u"),
    ];
    for (note, expected) in notes {
        let (mut session, ..) = after(Options::default(), "EXTENSIONS ASYNC\nJ 7 TRANSFER STORE k f\n");
        session.tell(Job(Some(7)), note).expect(expected);
        assert_eq!(String::from_utf8_lossy(&session.take_output()), format!("J 7 {expected}\n"));
    }
    let queries = [
        (Query::GetConfig(text("n")), "GETCONFIG n"),
        (Query::GetCreds(text("n")), "GETCREDS n"),
        (Query::GetUuid, "GETUUID"),
        (Query::GetGitDir, "GETGITDIR"),
        (Query::GetGitRemoteName, "GETGITREMOTENAME"),
        (Query::GetWanted, "GETWANTED"),
        (Query::GetState(k()), "GETSTATE k"),
        (Query::GetUrls { key: k(), prefix: text("") }, "GETURLS k "),
        (Query::DirHash(k()), "DIRHASH k"),
        (Query::DirHashLower(k()), "DIRHASH-LOWER k"),
    ];
    for (query, expected) in queries {
        let (mut session, ..) = after(Options::default(), "EXTENSIONS GETGITREMOTENAME\nPREPARE\n");
        session.ask(ONLY, query).expect(expected);
        assert_eq!(String::from_utf8_lossy(&session.take_output()), format!("{expected}\n"));
    }
}

#[test]
fn a_list_of_urls_is_one_answer() {
    let (mut session, ..) = after(Options::default(), "TRANSFER RETRIEVE k f\n");
    for expected in [vec![], vec![b"u".to_vec(), b"a b".to_vec()]] {
        session.ask(ONLY, Query::GetUrls { key: key("k"), prefix: Vec::new() }).expect("it runs");
        for url in &expected {
            session.receive(&[b"VALUE ", url.as_slice(), b"\n"].concat());
            assert_eq!(session.next_event(), None);
        }
        session.receive(b"VALUE \n");
        assert_eq!(session.next_event(), Some(Event::Answer { job: ONLY, answer: Answer::Values(expected) }));
    }
}

#[test]
fn info_becomes_debug_where_it_is_not_known() {
    for (heard, expected) in [("PREPARE\n", "DEBUG hello\n"), ("EXTENSIONS INFO\nPREPARE\n", "INFO hello\n")] {
        let (mut session, ..) = after(Options::default(), heard);
        session.tell(ONLY, Note::Info(b"hello".to_vec())).expect("it runs");
        assert_eq!(String::from_utf8_lossy(&session.take_output()), expected);
    }
}

#[test]
fn a_question_must_be_answered_before_the_reply_and_the_next_question() {
    let (mut session, ..) = after(Options::default(), "TRANSFER STORE k f\n");
    session.ask(ONLY, Query::GetUuid).expect("it runs");
    assert_eq!(session.ask(ONLY, Query::GetUuid), Err(Misuse::Unanswered));
    assert_eq!(session.reply(ONLY, Reply::Success), Err(Misuse::Unanswered));
    session.tell(ONLY, Note::Progress(7)).expect("allowed while an answer is awaited");
    session.receive(b"VALUE u\n");
    assert!(matches!(session.next_event(), Some(Event::Answer { .. })));
    session.reply(ONLY, Reply::Success).expect("answered");
    assert_eq!(session.reply(ONLY, Reply::Success), Err(Misuse::NoRequest));
    assert_eq!(session.tell(ONLY, Note::Debug(Vec::new())), Err(Misuse::NoRequest));
    assert_eq!(session.take_output(), b"GETUUID\nPROGRESS 7\nTRANSFER-SUCCESS STORE k\n");
}

#[test]
fn output_may_be_written_in_pieces() {
    let mut session = Session::new(Options::default());
    session.wrote(3);
    session.wrote(2);
    assert_eq!(session.output(), b"ON 2\n");
    session.fail(b"stop");
    assert_eq!(session.take_output(), b"ON 2\nERROR stop\n");
    session.wrote(5);
    assert_eq!(session.output(), b"");
}

#[test]
fn errors_never_quote_secrets() {
    let (_, event, said) = after(Options::default(), "PREPARE\nCREDS someone hunter2\n");
    assert!(!said.contains("hunter2") && !format!("{event:?}").contains("hunter2"), "{said}");
}
