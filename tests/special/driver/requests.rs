//! Every DEBUG line about a request says which request it is about, also those of the data thread while a store is tried again.

use std::net::TcpListener;

use super::{Annex, Scratch};

/// The requests that lines are about; fails where a line is about none.
fn requests(lines: &[String]) -> Vec<u64> {
    let number = |line: &str| line.rsplit_once(" req=")?.1.parse::<u64>().ok();
    lines.iter().map(|line| number(line).unwrap_or_else(|| panic!("of no request: {line}"))).collect()
}

#[test]
fn the_lines_of_a_transfer_say_which_one_it_is() {
    let scratch = Scratch::new();
    scratch.write("f", b"content");
    let mut annex = scratch.annex();
    for key in ["A", "B"] {
        assert_eq!(annex.ask(&format!("TRANSFER STORE {key} f")), format!("TRANSFER-SUCCESS STORE {key}"));
        assert_eq!(annex.ask(&format!("TRANSFER RETRIEVE {key} g")), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
        let lines = std::mem::take(&mut annex.debug);
        let of = |verb: &str, key: &str| -> Vec<u64> {
            let about = |line: &&String| line.starts_with(&format!("{verb} {key}"));
            requests(&lines.iter().filter(about).cloned().collect::<Vec<_>>())
        };
        let (store, retrieve) = (of("store", key), of("retrieve", key));
        assert!(store.len() == 2 && store[0] == store[1], "begun and settled: {lines:?}");
        assert!(retrieve.len() == 2 && retrieve[0] == retrieve[1], "likewise: {lines:?}");
        assert!(store[0] < retrieve[0], "each has its own: {lines:?}");
    }
}

#[test]
fn the_lines_of_a_store_that_is_tried_again_say_for_which_request() {
    let scratch = Scratch::new();
    // Nobody listens there any more.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port().to_string();
    let configs =
        [("scheme", "s3"), ("bucket", "photos"), ("host", "127.0.0.1"), ("port", &*port), ("requeststyle", "path")];
    let mut annex = Annex::ready(scratch.path(), &configs, &[]);
    let mut all = Vec::new();
    for key in ["A", "B"] {
        assert!(annex.ask(&format!("CHECKPRESENT {key}")).starts_with(&format!("CHECKPRESENT-UNKNOWN {key} ")));
        let lines = std::mem::take(&mut annex.debug);
        let tries: Vec<String> = lines.into_iter().filter(|line| line.contains("failed, next in")).collect();
        let mut tries = requests(&tries);
        tries.dedup();
        all.extend(tries);
    }
    assert!(all.len() == 2 && all[0] < all[1], "{all:?}");
}
