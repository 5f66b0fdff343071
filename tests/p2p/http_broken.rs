//! Transfers of the real git-annex through p2phttp that break, and go on.

use rustix::process::{Pid, Signal, kill_process};
use testbed::annex::{Repo, content};
use testbed::clients::{annexurl, client_of, object, partial};
use testbed::gateway::{Gateway, eventually};
use testbed::relay::Relay;
use testbed::slow::Slow;

const MIB: usize = 1 << 20;

#[test]
fn a_get_that_was_killed_is_gone_on_with() {
    let served = Repo::new();
    served.add("big", 1, 24 * MIB);
    served.git(&["commit", "--quiet", "-m", "big"]).ok();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    let relay = Slow::start(server.port(), 16 * MIB);
    annexurl(&client, "origin", &format!("annex+http://127.0.0.1:{}/git-annex/", relay.port));
    let mut get = client.annex_command(&["get", "--quiet", "big"]).spawn().expect("git-annex starts");
    eventually("half of it is here", || partial(&client) >= 8 * MIB as u64);
    kill_process(Pid::from_child(&get), Signal::KILL).expect("it is running");
    get.wait().expect("it is ours");
    let held = partial(&client);
    drop(relay);
    annexurl(&client, "origin", &server.url());
    client.annex(&["get", "--quiet", "big"]).ok();
    assert_eq!(client.read("big"), Some(content(1, 24 * MIB)));
    let log = server.log();
    let from = |line: &str| line.split(" from=").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    let last = log.lines().filter(|line| line.starts_with("get ")).filter_map(from).next_back();
    assert!(last.is_some_and(|from| from > 0 && from >= held / 2), "{held} bytes were here:\n{log}");
    server.stop();
}

#[test]
fn a_get_whose_server_was_killed_is_gone_on_with() {
    let served = Repo::new();
    served.add("big", 1, 24 * MIB);
    served.git(&["commit", "--quiet", "-m", "big"]).ok();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    let relay = Slow::start(server.port(), 16 * MIB);
    annexurl(&client, "origin", &format!("annex+http://127.0.0.1:{}/git-annex/", relay.port));
    let mut get = client.annex_command(&["get", "--quiet", "big"]).spawn().expect("git-annex starts");
    eventually("half of it is here", || partial(&client) >= 8 * MIB as u64);
    server.kill();
    relay.open();
    assert!(!get.wait().expect("it is ours").success(), "the get fails, and ends");
    let server = Gateway::serve(&served, &["--wideopen"]);
    annexurl(&client, "origin", &server.url());
    client.annex(&["get", "--quiet", "big"]).ok();
    assert_eq!(client.read("big"), Some(content(1, 24 * MIB)));
    assert!(!server.log().contains(" from=0 "), "it went on:\n{}", server.log());
    server.stop();
}

#[test]
fn what_keeps_the_server_from_storing_reaches_the_person_who_copies() {
    let served = Repo::new();
    served.git(&["config", "annex.diskreserve", "1000000gb"]).ok();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    client.add("f", 1, MIB);
    let done = client.annex(&["copy", "--to", "origin", "f"]).failed();
    assert!(done.stderr.contains("not enough free space"), "{}", done.all());
    server.stop();
}

#[test]
fn a_put_whose_client_was_killed_is_gone_on_with() {
    let served = Repo::new();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    let key = client.add("big", 1, 24 * MIB);
    let relay = Relay::start(server.port(), 12 * MIB as u64);
    annexurl(&client, "origin", &format!("annex+http://127.0.0.1:{}/git-annex/", relay.port));
    let mut copy = client.annex_command(&["copy", "--quiet", "--to", "origin"]).spawn().expect("git-annex starts");
    relay.wait_stalled();
    kill_process(Pid::from_child(&copy), Signal::KILL).expect("it is running");
    copy.wait().expect("it is ours");
    drop(relay);
    eventually("the server has noticed", || server.metric("uploads") == 0 && server.metric("connections") == 0);
    let held = partial(&served);
    assert!(held >= 8 * MIB as u64, "{held}");
    annexurl(&client, "origin", &server.url());
    client.annex(&["copy", "--quiet", "--to", "origin"]).ok();
    assert!(server.log().contains(&format!(" from={held} key={key} ")), "{held}\n{}", server.log());
    assert!(std::fs::read(object(&served, &key)).expect("it is there") == content(1, 24 * MIB));
    server.stop();
}

#[test]
fn a_put_whose_server_was_killed_is_gone_on_with() {
    let served = Repo::new();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    let key = client.add("big", 1, 24 * MIB);
    let relay = Relay::start(server.port(), 12 * MIB as u64);
    annexurl(&client, "origin", &format!("annex+http://127.0.0.1:{}/git-annex/", relay.port));
    let mut copy = client.annex_command(&["copy", "--quiet", "--to", "origin"]).spawn().expect("git-annex starts");
    relay.wait_stalled();
    eventually("it has arrived", || partial(&served) >= 8 * MIB as u64);
    server.kill();
    drop(relay);
    assert!(!copy.wait().expect("it is ours").success(), "the copy fails, and ends");
    let held = partial(&served);
    let server = Gateway::serve(&served, &["--wideopen"]);
    annexurl(&client, "origin", &server.url());
    client.annex(&["copy", "--quiet", "--to", "origin"]).ok();
    assert!(server.log().contains(&format!(" from={held} key={key} ")), "{held}\n{}", server.log());
    assert!(std::fs::read(object(&served, &key)).expect("it is there") == content(1, 24 * MIB));
    server.stop();
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_not_taken_for_the_content() {
    let served = Repo::new();
    served.git(&["config", "annex.thin", "true"]).ok();
    let key = served.add("big", 1, 24 * MIB);
    served.git(&["commit", "--quiet", "-m", "big"]).ok();
    served.annex(&["unlock", "--quiet", "big"]).ok();
    let server = Gateway::serve(&served, &["--wideopen"]);
    let client = client_of(&served, &server);
    let relay = Slow::start(server.port(), 8 * MIB);
    annexurl(&client, "origin", &format!("annex+http://127.0.0.1:{}/git-annex/", relay.port));
    let mut get = client.annex_command(&["get", "--quiet", "big"]).spawn().expect("git-annex starts");
    eventually("some of it is sent", || server.metric("downloads") == 1 && partial(&client) >= 4 * MIB as u64);
    // In place, as a program that has it open does; with annex.thin the object is the same file.
    let mut other = content(1, 24 * MIB);
    other[20 * MIB] ^= 1;
    std::fs::write(served.dir().join("big"), other).expect("it is unlocked");
    relay.open();
    assert!(!get.wait().expect("it is ours").success(), "there is no other copy");
    assert!(client.read("big").is_none());
    let log = server.log();
    assert!(log.contains("the content changed while it was sent"), "{log}");
    annexurl(&client, "origin", &server.url());
    client.annex(&["get", "big"]).failed();
    let present = server.connect().post(
        &format!("/git-annex/{}/v4/checkpresent?clientuuid=x&key={key}", served.uuid()),
        &[],
        b"",
    );
    assert_eq!(present.text(), r#"{"present":false}"#);
    server.stop();
}
