//! Stores that are far away and fail while several connections bring one content.

use testbed::annex::content;
use testbed::faulty::{At, DENIED, How, NO_HTTP, SLOW_DOWN, What};
use testbed::lab::{Ask, Case, Lab, Told, faults_side_by_side};
use testbed::place::Place;

const MIB: usize = 1 << 20;

/// Long enough for several connections, which each have [`RATE`].
const LEN: usize = 24 * MIB;

/// Bytes a second of a connection.
const RATE: u64 = 8 << 20;

const GETS: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        Case(Get, LEN, What::Get, Answering(MIB), Reset, 2, Told::Right),
        Case(Get, LEN, What::Get, Answering(MIB), Close, 2, Told::Right),
        // The first connection ends the download if it is silent; another one is replaced.
        Case(Get, LEN, What::Get, Answering(MIB), Stall, 1, Told::Either),
        Case(Get, LEN, What::Get, Answering(MIB), Stall, 99, Told::Failed),
        Case(Get, LEN, What::Get, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Get, LEN, What::Get, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Get, LEN, What::Get, Sent, Say(DENIED), 99, Told::Failed),
        Case(Get, LEN, What::Get, Sent, Say(NO_HTTP), 99, Told::Failed),
    ]
};

const PUTS: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        Case(Put, LEN, What::Put, Sending(MIB), Reset, 2, Told::Right),
        Case(Put, LEN, What::Put, Sending(MIB), Stall, 9, Told::Either),
        Case(Put, LEN, What::Put, Done, Reset, 2, Told::Right),
        Case(Put, LEN, What::Put, Sent, Say(SLOW_DOWN), 2, Told::Right),
        Case(Put, LEN, What::Put, Sent, Say(SLOW_DOWN), 99, Told::Failed),
        Case(Put, LEN, What::Put, Sent, Say(DENIED), 99, Told::Failed),
        Case(Put, LEN, What::Complete, Done, Stall, 9, Told::Either),
        Case(Put, LEN, What::Complete, Sent, Say(SLOW_DOWN), 2, Told::Right),
    ]
};

/// What fails is told of in time, nothing false is said, nothing stays behind; and what could be tried again was.
#[test]
fn a_far_s3_that_fails_is_told_of_in_time() {
    let lab = Lab::far(Place::weed(), &["partsize=5MiB"], RATE);
    let line = lab.line.as_ref().expect("it is far");
    let before = lab.warm_up();
    line.most();
    lab.all_is_well(lab.ways()[0], &content(1, LEN));
    let most = line.most();
    assert!(most > 1, "{most} connections at a time");
    // What is sent again is kept while half of the memory is free, which is more than four of them take.
    for cases in std::iter::once(GETS).chain(PUTS.chunks(4)) {
        faults_side_by_side(&lab, lab.ways()[0], cases);
    }
    lab.nothing_is_left(before);
    lab.server.stop();
}
