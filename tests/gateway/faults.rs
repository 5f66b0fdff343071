//! Stores that fail in mid transfer: clients of the gateway get an error in time, and never a false answer.

use std::time::Instant;

use testbed::annex::content;
use testbed::faulty::{At, DENIED, How, NO_HTTP, SLOW_DOWN, What};
use testbed::lab::{Ask, Case, LIMIT, Lab, Told, faults_side_by_side};
use testbed::place::Place;
use testbed::way::Outcome;
use testbed::wire::key_of;

const MIB: usize = 1 << 20;

const NO_BUCKET: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code></Error>";
const INTERNAL: &str = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
/// How S3 tells of a failure after it has begun to answer.
const LATE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
const BARE_503: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BARE_403: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BARE_500: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const S3: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        Case(Check, 1000, What::Look, Sent, Stall, 9, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Reset, 1, Told::Right),
        Case(Check, 1000, What::Look, Sent, Reset, 99, Told::Failed),
        Case(Check, 1000, What::Look, Done, Close, 99, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Say(BARE_503), 2, Told::Right),
        Case(Check, 1000, What::Look, Sent, Say(BARE_503), 99, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Say(BARE_403), 99, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Say(BARE_500), 99, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Say(NO_HTTP), 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(0), Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(MIB), Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(MIB), Reset, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(3 * MIB - 1), Close, 9, Told::Failed),
        // Large enough to be read on by another connection where its only one breaks.
        Case(Get, 9 * MIB, What::Get, Answering(MIB), Reset, 2, Told::Right),
        Case(Get, 9 * MIB, What::Get, Answering(MIB), Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Reset, 1, Told::Right),
        Case(Get, 3 * MIB, What::Get, Sent, Close, 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Get, 3 * MIB, What::Get, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(DENIED), 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(NO_BUCKET), 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(INTERNAL), 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(NO_HTTP), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Stall, 9, Told::Failed),
        Case(Remove, 1000, What::Remove, Done, Stall, 9, Told::Failed),
        Case(Remove, 1000, What::Remove, Done, Reset, 1, Told::Right),
        Case(Remove, 1000, What::Remove, Sent, Reset, 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Remove, 1000, What::Remove, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Say(DENIED), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Say(NO_BUCKET), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Say(INTERNAL), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Say(NO_HTTP), 99, Told::Failed),
    ]
};

const S3_PUTS: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        // In memory until the end, one request.
        Case(Put, 1000, What::Put, Sent, Stall, 9, Told::Failed),
        Case(Put, 1000, What::Put, Done, Stall, 9, Told::Failed),
        Case(Put, 1000, What::Put, Done, Reset, 1, Told::Right),
        Case(Put, 1000, What::Put, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, 1000, What::Put, Sent, Say(DENIED), 99, Told::Failed),
        // One request that is sent as it comes.
        Case(Put, 3 * MIB, What::Put, Sending(MIB), Stall, 9, Told::Either),
        Case(Put, 3 * MIB, What::Put, Sending(MIB), Reset, 1, Told::Right),
        Case(Put, 3 * MIB, What::Put, Sending(MIB), Reset, 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Stall, 9, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Done, Stall, 9, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Done, Close, 1, Told::Right),
        Case(Put, 3 * MIB, What::Put, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, 3 * MIB, What::Put, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Say(DENIED), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Say(NO_BUCKET), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Say(INTERNAL), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Say(NO_HTTP), 99, Told::Failed),
        // Parts.
        Case(Put, 6 * MIB, What::Begin, Sent, Stall, 9, Told::Failed),
        Case(Put, 6 * MIB, What::Begin, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, 6 * MIB, What::Begin, Sent, Say(DENIED), 99, Told::Failed),
        Case(Put, 6 * MIB, What::Put, Sending(MIB), Stall, 9, Told::Either),
        Case(Put, 6 * MIB, What::Put, Sending(MIB), Reset, 1, Told::Right),
        Case(Put, 6 * MIB, What::Put, Sent, Stall, 9, Told::Failed),
        Case(Put, 6 * MIB, What::Put, Done, Reset, 1, Told::Right),
        Case(Put, 6 * MIB, What::Put, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, 6 * MIB, What::Put, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Put, 6 * MIB, What::Put, Sent, Say(NO_HTTP), 99, Told::Failed),
        Case(Put, 6 * MIB, What::Complete, Sent, Stall, 9, Told::Failed),
        Case(Put, 6 * MIB, What::Complete, Done, Stall, 9, Told::Either),
        Case(Put, 6 * MIB, What::Complete, Done, Reset, 1, Told::Right),
        Case(Put, 6 * MIB, What::Complete, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, 6 * MIB, What::Complete, Sent, Say(INTERNAL), 99, Told::Failed),
        Case(Put, 6 * MIB, What::Complete, Sent, Say(LATE), 99, Told::Failed),
        Case(Put, 6 * MIB, What::Complete, Sent, Say(DENIED), 99, Told::Failed),
    ]
};

#[test]
fn an_s3_that_fails_is_told_of_in_time_over_http() {
    let lab = Lab::new(Place::weed(), &["partsize=5MiB"]);
    let before = lab.warm_up();
    faults_side_by_side(&lab, lab.ways()[0], S3);
    lab.nothing_is_left(before);
    lab.server.stop();
}

#[test]
fn an_s3_that_fails_while_content_comes_is_told_of_in_time_over_http() {
    let lab = Lab::new(Place::weed(), &["partsize=5MiB"]);
    let before = lab.warm_up();
    // No more than the store takes in without being slow.
    for cases in S3_PUTS.chunks(8) {
        faults_side_by_side(&lab, lab.ways()[0], cases);
    }
    lab.nothing_is_left(before);
    lab.server.stop();
}

#[test]
fn an_s3_that_fails_is_told_of_in_time_over_stdio() {
    let lab = Lab::new(Place::weed(), &["partsize=5MiB"]);
    let before = lab.warm_up();
    // Each of them is a process, so it is every other case.
    let cases: Vec<Case> = S3.iter().chain(S3_PUTS).step_by(2).copied().collect();
    for cases in cases.chunks(8) {
        faults_side_by_side(&lab, lab.ways()[1], cases);
    }
    lab.nothing_is_left(before);
    lab.server.stop();
}

const WEBDAV: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        Case(Check, 1000, What::Look, Sent, Stall, 9, Told::Failed),
        Case(Check, 1000, What::Look, Sent, Say(BARE_503), 2, Told::Right),
        Case(Check, 1000, What::Look, Sent, Say(BARE_403), 99, Told::Failed),
        Case(Check, 1000, What::Look, Answering(20), Close, 99, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(MIB), Stall, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(MIB), Reset, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Answering(3 * MIB - 1), Close, 9, Told::Failed),
        Case(Get, 3 * MIB, What::Get, Sent, Say(BARE_503), 2, Told::Right),
        Case(Get, 3 * MIB, What::Get, Sent, Say(BARE_403), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sending(MIB), Stall, 9, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sending(MIB), Reset, 1, Told::Right),
        Case(Put, 3 * MIB, What::Put, Sent, Stall, 9, Told::Failed),
        Case(Put, 3 * MIB, What::Put, Sent, Say(BARE_503), 2, Told::Right),
        Case(Put, 3 * MIB, What::Put, Sent, Say(BARE_403), 99, Told::Failed),
        Case(Put, 3 * MIB, What::Rename, Sent, Stall, 9, Told::Failed),
        Case(Put, 3 * MIB, What::Rename, Done, Reset, 1, Told::Right),
        Case(Put, 3 * MIB, What::Rename, Sent, Say(BARE_500), 99, Told::Failed),
        Case(Remove, 1000, What::Remove, Sent, Stall, 9, Told::Failed),
        Case(Remove, 1000, What::Remove, Done, Reset, 1, Told::Right),
        Case(Remove, 1000, What::Remove, Sent, Say(BARE_403), 99, Told::Failed),
    ]
};

/// Names of what is on its way tell nothing of the key there, so each case is alone. Every other case is for either wire.
fn a_webdav_server_that_fails(wire: usize) {
    let lab = Lab::new(Place::webdav(), &[]);
    let before = lab.warm_up();
    let mut wrong = Vec::new();
    for (n, case) in WEBDAV.iter().enumerate().skip(wire).step_by(2) {
        let way = lab.ways()[wire];
        let body = content(n as u64, case.1);
        let key = key_of(&body);
        if case.0 != Ask::Put {
            assert_eq!(way.put(&lab.uuid, &key, &body), Outcome::Yes);
        }
        let (outcome, complaints) = lab.under(way, *case, "", &key, &body);
        lab.faulty.heal();
        wrong.extend(complaints);
        wrong.extend(lab.afterwards(way, *case, &outcome, &body));
        assert_eq!(way.remove(&lab.uuid, &key), Outcome::Yes);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    lab.all_is_well(lab.ways()[wire], &content(1, 3 * MIB));
    let staged = |name: &String| name.starts_with("tmp/");
    assert!(!lab.place.names().iter().any(staged), "{:?}", lab.place.names());
    lab.nothing_is_left(before);
    lab.server.stop();
}

#[test]
fn a_webdav_server_that_fails_is_told_of_in_time_over_http() {
    a_webdav_server_that_fails(0);
}

#[test]
fn a_webdav_server_that_fails_is_told_of_in_time_over_stdio() {
    a_webdav_server_that_fails(1);
}

/// The store is gone in the middle of a request, and for others after it; then it is back.
fn a_store_that_dies(place: Place, more: &[&str], what: &[What]) {
    let lab = Lab::new(place, more);
    let before = lab.warm_up();
    let body = content(5, 6 * MIB);
    let key = key_of(&body);
    for way in lab.ways() {
        for (n, what) in what.iter().enumerate() {
            let ask = match what {
                What::Look => Ask::Check,
                What::Get => Ask::Get,
                What::Remove => Ask::Remove,
                _ => Ask::Put,
            };
            if ask != Ask::Put {
                assert_eq!(way.put(&lab.uuid, &key, &body), Outcome::Yes);
            }
            let at = match what {
                What::Put => At::Sending(MIB),
                What::Get => At::Answering(MIB),
                _ => At::Sent,
            };
            let case = Case(ask, body.len(), *what, at, How::Die, 1, Told::Failed);
            let (outcome, mut wrong) = lab.under(way, case, "", &key, &body);
            let asks: &[Ask] = if n == 0 { &[Ask::Check, Ask::Get, Ask::Put, Ask::Remove] } else { &[] };
            for ask in asks {
                let begun = Instant::now();
                let told = lab.ask(way, *ask, &key, &body);
                if !matches!(told, Outcome::Failed(_)) || begun.elapsed() > LIMIT {
                    wrong.push(format!("{ask:?} of a store that is gone: {told:?} after {:?}", begun.elapsed()));
                }
            }
            lab.faulty.heal();
            wrong.extend(lab.afterwards(way, case, &outcome, &body));
            assert!(wrong.is_empty(), "{wrong:#?}");
            lab.all_is_well(way, &body);
        }
    }
    lab.nothing_is_left(before);
    lab.server.stop();
}

#[test]
fn an_s3_that_dies_is_an_error_and_no_absence() {
    let whats = [What::Get, What::Put, What::Complete];
    a_store_that_dies(Place::weed(), &["partsize=5MiB"], &whats);
}

#[test]
fn a_webdav_server_that_dies_is_an_error_and_no_absence() {
    a_store_that_dies(Place::webdav(), &[], &[What::Get, What::Rename]);
}
