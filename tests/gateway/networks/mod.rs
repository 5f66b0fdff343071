//! Two and three gateways of a cluster on networks of their own, over the real sshd and over HTTP, with lines that are cut in mid
//! transfer and mended: nothing is lost, and the logs agree after `git annex sync`.

mod lab;

use lab::{By, Networks};
use testbed::annex::content;
use testbed::gateway::eventually;
use testbed::p2p::Session;
use testbed::place::Whose;
use testbed::wire::key_of;

const MIB: usize = 1 << 20;

/// Much more than what sockets and pipes hold.
const LEN: usize = 48 * MIB + 123;

const OUR_SSH: By = By::Ssh(Whose::Ours);
const THEIR_SSH: By = By::Ssh(Whose::Theirs);
const OUR_HTTP: By = By::Http(Whose::Ours);
const THEIR_HTTP: By = By::Http(Whose::Theirs);

fn some(seed: u64, len: usize) -> (String, Vec<u8>) {
    let body = content(seed, len);
    (key_of(&body), body)
}

/// What is answered, without the uuid of the cluster that git-annex tells with those of nodes, and in our order.
fn told(all: &Networks, answer: &str) -> String {
    let mut words = answer.split(' ');
    let first = words.next().unwrap_or_default();
    let mut uuids: Vec<&str> = words.filter(|uuid| *uuid != all.uuid).collect();
    uuids.sort_unstable();
    uuids.reverse();
    format!("{first} {}", uuids.join(" ")).trim_end().to_string()
}

fn success(all: &Networks, names: &[&str]) -> String {
    format!("SUCCESS-PLUS {}", all.falling(names))
}

/// All gateways have recorded the same for the key, which is so.
#[track_caller]
fn agree(all: &Networks, key: &str, body: &[u8]) {
    all.sync();
    for at in 0..all.sites.len() {
        assert_eq!(all.recorded(at, key), all.places(key, body), "gateway {at} of {key}");
    }
}

/// Begins a PUT at the first gateway, and waits until much of it has come to `to`.
#[track_caller]
fn begin(all: &Networks, to: usize, key: &str, body: &[u8]) -> (Session, usize) {
    let before = all.came(0, to);
    let mut session = all.session(0, &[]);
    let offer = session.ask(&format!("PUT  {key}"));
    let from: usize = offer.strip_prefix("PUT-FROM ").expect("it may be sent").parse().expect("an offset");
    assert_eq!(from, 0);
    session.send(&[format!("DATA {}\n", body.len()).as_bytes(), &body[..body.len() / 2]].concat());
    eventually("much of it has come", || all.came(0, to) - before > 8 * MIB as u64);
    (session, body.len() / 2)
}

/// Two gateways: what holds whoever they are.
fn two(kinds: [By; 2]) {
    let Some(mut all) = Networks::new(&kinds, &[(0, 1)]) else { return };
    let is_ours = all.sites[0].whose() == Whose::Ours;
    let everywhere = ["a0", "a1", "b0", "b1"];

    // Put, get, drop; content crosses the line once.
    let (key, body) = some(1, 6 * MIB);
    let before = (all.came(0, 1), all.came(1, 0));
    assert_eq!(told(&all, &all.put(0, &[], &key, &body)), success(&all, &everywhere));
    let crossed = (all.came(0, 1) - before.0, all.came(1, 0) - before.1);
    assert!((6 * MIB as u64..9 * MIB as u64).contains(&crossed.0) && crossed.1 < MIB as u64, "{crossed:?}");
    assert_eq!(all.places(&key, &body), everywhere);
    agree(&all, &key, &body);
    assert_eq!(all.get(0, &key).as_ref(), Some(&body));
    assert_eq!(all.get(1, &key).as_ref(), Some(&body));
    assert_eq!(told(&all, &all.ask(1, &format!("REMOVE {key}"))), success(&all, &everywhere));
    assert_eq!(all.places(&key, &body), [""; 0]);
    agree(&all, &key, &body);

    // The line is cut in mid PUT.
    let (key, body) = some(2, LEN);
    let (mut session, sent) = begin(&all, 1, &key, &body);
    all.cut(0, 1, true);
    session.send(&[&body[sent..], b"VALID\n"].concat());
    let answer = session.line().unwrap_or_default();
    session.close();
    session.ended();
    if is_ours {
        assert_eq!(answer, success(&all, &["a0", "a1"]), "the nodes there are let go, and no more");
        assert_eq!(all.places(&key, &body), ["a0", "a1"]);
        assert_eq!(all.recorded(0, &key), ["a0", "a1"]);
        assert_eq!(all.get(0, &key).as_ref(), Some(&body));
    }
    let there = all.places(&key, &body);
    assert!(!there.contains(&"b0") && !there.contains(&"b1"), "{there:?}");
    all.mend(0, 1);
    eventually("the next PUT completes", || {
        let done = all.put(0, &[], &key, &body);
        done.starts_with("SUCCESS-PLUS ") || all.places(&key, &body) == everywhere
    });
    eventually("on all nodes", || {
        let at_all = all.places(&key, &body) == everywhere;
        if !at_all {
            all.put(0, &[], &key, &body);
        }
        at_all
    });
    agree(&all, &key, &body);

    // In mid GET of what only the other side has, and which only its log knows.
    let (far, third) = some(3, LEN);
    assert_eq!(told(&all, &all.put(1, &[0], &far, &third)), success(&all, &["b0", "b1"]));
    all.sync();
    let mut session = all.session(0, &[]);
    assert_eq!(session.ask(&format!("GET 0  {far}")), format!("DATA {LEN}"));
    let mut came = session.bytes(MIB);
    all.cut(0, 1, true);
    came.extend(session.bytes(LEN - MIB));
    let is_whole = came.len() == LEN && session.line().as_deref() == Some("VALID");
    assert!(!is_whole && third.starts_with(&came), "{} of {LEN} bytes came over a line that is cut", came.len());
    drop(session);
    // And while it is cut: nothing is said to be gone that could not be asked.
    if is_ours {
        let unknown = all.ask(0, &format!("CHECKPRESENT {far}"));
        assert!(unknown.starts_with("ERROR "), "{unknown}");
        assert_eq!(all.ask(0, &format!("REMOVE {key}")), format!("FAILURE-PLUS {}", all.falling(&["a0", "a1"])));
        assert_eq!((all.recorded(0, &key), all.places(&key, &body)), (vec!["b0", "b1"], vec!["b0", "b1"]));
    } else {
        let answer = all.ask(0, &format!("REMOVE {key}"));
        assert!(!answer.starts_with("SUCCESS"), "{answer}");
    }
    all.mend(0, 1);
    eventually("it is there again", || all.get(0, &far).as_ref() == Some(&third));
    eventually("it is removed", || told(&all, &all.ask(0, &format!("REMOVE {key}"))) == success(&all, &everywhere));
    assert_eq!((all.places(&key, &body), all.places(&far, &third)), (vec![], vec!["b0", "b1"]));
    agree(&all, &key, &body);
    agree(&all, &far, &third);
}

#[test]
fn two_of_ours_over_ssh() {
    two([OUR_SSH, OUR_SSH]);
}

#[test]
fn two_of_ours_over_http() {
    two([OUR_HTTP, OUR_HTTP]);
}

#[test]
fn git_annex_behind_ours_over_ssh() {
    two([OUR_SSH, THEIR_SSH]);
}

#[test]
fn git_annex_behind_ours_over_http() {
    two([OUR_HTTP, THEIR_HTTP]);
}

#[test]
fn git_annex_before_ours_over_ssh() {
    two([THEIR_SSH, OUR_SSH]);
}

#[test]
fn git_annex_before_ours_over_http() {
    two([THEIR_HTTP, OUR_HTTP]);
}

/// Each has a line to each: circles of two and of three.
fn three(kinds: [By; 3]) {
    let Some(all) = Networks::new(&kinds, &[(0, 1), (0, 2), (1, 2)]) else { return };
    let everywhere = ["a0", "a1", "b0", "b1", "c0", "c1"];
    let (key, body) = some(11, 6 * MIB);
    let came = || [(0, 1), (0, 2), (1, 2), (2, 1), (1, 0), (2, 0)].map(|(from, to)| all.came(from, to) as usize / MIB);
    let before = came();
    assert_eq!(told(&all, &all.put(0, &[], &key, &body)), success(&all, &everywhere));
    let crossed: Vec<usize> = came().iter().zip(before).map(|(now, before)| (now - before) / 5).collect();
    assert_eq!(crossed, [1, 1, 0, 0, 0, 0], "over each line once");
    assert_eq!(all.places(&key, &body), everywhere);
    agree(&all, &key, &body);
    assert_eq!(told(&all, &all.ask(2, &format!("REMOVE {key}"))), success(&all, &everywhere));
    agree(&all, &key, &body);

    // In mid PUT one line is cut: the third gateway is left out, and gets it by the next.
    let (key, body) = some(12, LEN);
    let (mut session, sent) = begin(&all, 2, &key, &body);
    all.cut(0, 2, true);
    session.send(&[&body[sent..], b"VALID\n"].concat());
    assert_eq!(told(&all, &session.line().unwrap_or_default()), success(&all, &["a0", "a1", "b0", "b1"]));
    session.close();
    session.ended();
    assert_eq!(all.places(&key, &body), ["a0", "a1", "b0", "b1"]);
    // The line stays cut: what is to go there goes by way of the other.
    eventually("the next PUT takes the other way", || {
        all.put(0, &[], &key, &body);
        all.places(&key, &body) == everywhere
    });
    assert_eq!(all.recorded(0, &key), everywhere);

    // What only the third has comes by way of the second, too.
    let (far, third) = some(13, LEN);
    assert_eq!(told(&all, &all.put(2, &[0, 1], &far, &third)), success(&all, &["c0", "c1"]));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {far}")), "SUCCESS");
    assert_eq!(all.get(0, &far).as_ref(), Some(&third));
    all.cut(0, 2, false);
    agree(&all, &key, &body);

    // In mid GET of what both others have, the line that it comes over is cut: the rest comes from the other. Over ssh, where only
    // the end says whether it was the content, the client gets it by asking again.
    assert_eq!(told(&all, &all.put(1, &[0, 2], &far, &third)), success(&all, &["b0", "b1"]));
    all.sync();
    let before = [all.came(1, 0), all.came(2, 0)];
    let mut session = all.session(0, &[]);
    assert_eq!(session.ask(&format!("GET 0  {far}")), format!("DATA {LEN}"));
    let mut came = session.bytes(MIB);
    let from = if all.came(1, 0) - before[0] > MIB as u64 { 1 } else { 2 };
    all.cut(0, from, true);
    came.extend(session.bytes(LEN - MIB));
    if matches!(kinds[0], By::Ssh(_)) {
        assert!(came.len() < LEN && third.starts_with(&came), "{} of {LEN} bytes", came.len());
        session = all.session(0, &[]);
        assert_eq!(session.ask(&format!("GET {}  {far}", came.len())), format!("DATA {}", LEN - came.len()));
        came.extend(session.bytes(LEN - came.len()));
    }
    assert!(came == third, "{} of {LEN} bytes", came.len());
    assert_eq!(session.line().as_deref(), Some("VALID"));
    session.send(b"SUCCESS\n");
    session.close();
    session.ended();
    all.cut(0, from, false);
    eventually("it is removed", || told(&all, &all.ask(0, &format!("REMOVE {far}"))) == success(&all, &everywhere));
    agree(&all, &far, &third);
    agree(&all, &key, &body);
}

#[test]
fn three_of_ours_in_circles_over_ssh() {
    three([OUR_SSH; 3]);
}

#[test]
fn three_of_ours_in_circles_over_http() {
    three([OUR_HTTP; 3]);
}

/// The same with git-annex as one of them, whose answers name other repositories: content comes
/// everywhere and leaves everywhere, by way of each, and a line that is cut loses nothing.
fn three_with_git_annex(kinds: [By; 3]) {
    let Some(all) = Networks::new(&kinds, &[(0, 1), (0, 2), (1, 2)]) else { return };
    let everywhere = ["a0", "a1", "b0", "b1", "c0", "c1"];
    for at in 0..3 {
        let (key, body) = some(21 + at as u64, MIB);
        eventually("it is everywhere", || {
            all.put(at, &[], &key, &body);
            all.places(&key, &body) == everywhere
        });
        agree(&all, &key, &body);
        (0..3).for_each(|from| assert_eq!(all.get(from, &key).as_ref(), Some(&body), "at {from}, put at {at}"));
        eventually("it is gone", || {
            all.ask((at + 1) % 3, &format!("REMOVE {key}"));
            all.places(&key, &body).is_empty()
        });
        agree(&all, &key, &body);
    }
    let (key, body) = some(24, MIB);
    all.cut(0, 2, true);
    all.put(0, &[], &key, &body);
    let there = all.places(&key, &body);
    all.cut(0, 2, false);
    assert!(all.places(&key, &body).starts_with(&there), "what was stored stays");
    eventually("the next PUT brings it everywhere", || {
        all.put(0, &[], &key, &body);
        all.places(&key, &body) == everywhere
    });
    agree(&all, &key, &body);
}

#[test]
fn git_annex_first_of_three_over_http() {
    three_with_git_annex([THEIR_HTTP, OUR_HTTP, OUR_HTTP]);
}

#[test]
fn git_annex_second_of_three_over_ssh() {
    three_with_git_annex([OUR_SSH, THEIR_SSH, OUR_SSH]);
}

#[test]
fn git_annex_last_of_three_over_http() {
    three_with_git_annex([OUR_HTTP, OUR_HTTP, THEIR_HTTP]);
}
