//! Round trips to a store: what clients ask in a row costs as few requests as can be, and what a client is told of content is
//! asked of the store each time.

use testbed::annex::content;
use testbed::lab::Lab;
use testbed::place::Place;
use testbed::way::Outcome;
use testbed::wire::{CLIENT, key_of};

/// What the gateway says to putoffset.
fn offset(lab: &Lab, key: &str) -> String {
    let path = format!("/git-annex/{}/v4/putoffset?clientuuid={CLIENT}&key={key}", lab.uuid);
    let answer = lab.server.connect().post(&path, &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

const FROM_THE_START: &str = "{\"offset\":0}";
const ALREADY: &str = "{\"alreadyhave\":true,\"plusuuids\":[]}";

#[test]
fn each_request_is_one_round_trip_and_a_row_of_them_looks_once() {
    let lab = Lab::new(Place::weed(), &[]);
    let (http, stdio) = (lab.ways()[0], lab.ways()[1]);
    lab.all_is_well(http, &content(1, 100));
    lab.faulty.methods();
    let took = |what: &str, methods: &[&str]| assert_eq!(lab.faulty.methods(), methods, "{what}");
    let (body, other) = (content(2, 10 << 10), content(3, 10 << 10));
    let (key, uuid) = (&*key_of(&body), &*lab.uuid);

    // As git-annex does it: one look, and the content.
    assert_eq!(http.check(uuid, key), Outcome::No);
    took("checkpresent", &["HEAD"]);
    assert_eq!(offset(&lab, key), FROM_THE_START);
    took("putoffset after it", &[]);
    assert_eq!(http.put(uuid, key, &body), Outcome::Yes);
    took("put", &["PUT"]);
    assert_eq!(http.get(uuid, key), Outcome::Content(body.clone()));
    took("get", &["GET"]);

    // What was learned of content that is there is used for nothing.
    for _ in 0..2 {
        assert_eq!(http.check(uuid, key), Outcome::Yes);
        took("checkpresent of what is there", &["HEAD"]);
        assert_eq!(offset(&lab, key), ALREADY);
        took("putoffset of what is there", &["HEAD"]);
    }
    let objects = lab.objects();
    let [object] = &objects[..] else { panic!("{objects:?}") };
    lab.place.delete(object);
    assert_eq!(offset(&lab, key), FROM_THE_START);
    assert_eq!(http.check(uuid, key), Outcome::No);
    took("what a stranger removed", &["HEAD", "HEAD"]);
    // It comes back by a stranger's hand: an absence of a moment ago says nothing of presence.
    lab.place.write(object, &body);
    assert_eq!(http.check(uuid, key), Outcome::Yes);
    assert_eq!(offset(&lab, key), ALREADY, "the absence of before is forgotten");
    took("what a stranger put there", &["HEAD", "HEAD"]);

    // Whoever gets it has seen it, too.
    lab.place.delete(object);
    assert_eq!(http.check(uuid, key), Outcome::No);
    lab.place.write(object, &body);
    assert_eq!(http.get(uuid, key), Outcome::Content(body.clone()));
    assert_eq!(offset(&lab, key), ALREADY, "the absence of before is forgotten");
    took("what a stranger put there and a client got", &["HEAD", "GET", "HEAD"]);

    // An absence is good for one upload: after it, and when asked again, the store is.
    assert_eq!(http.check(uuid, &key_of(&other)), Outcome::No);
    assert_eq!(http.put(uuid, &key_of(&other), &other), Outcome::Yes);
    assert_eq!(offset(&lab, &key_of(&other)), ALREADY);
    took("putoffset after the upload", &["HEAD", "PUT", "HEAD"]);

    // Over the other wire.
    assert_eq!(stdio.remove(uuid, key), Outcome::Yes);
    lab.faulty.methods();
    assert_eq!(stdio.put(uuid, key, &body), Outcome::Yes);
    assert_eq!(stdio.get(uuid, key), Outcome::Content(body));
    took("a put and a get by p2pstdio", &["PUT", "GET"]);
}
