//! Quotas that repositories share: what all below a prefix may hold together.

use std::path::PathBuf;

use testbed::annex::{LIMIT, Repo, content};
use testbed::gateway::eventually;
use testbed::http::{Answer, Client};
use testbed::p2p::Session;
use testbed::product;
use testbed::run::run;
use testbed::wire::{CLIENT, key_of, length};

use crate::site::Site;

/// Anyone may do everything, within these quotas.
fn file(quotas: &str) -> String {
    format!("[rights]\nanonymous full *\n\n[quotas]\n{quotas}\n")
}

/// Three repositories, two of which are below `org/`.
struct Lab {
    site: Site,
    users: PathBuf,
}

const A: &str = "org/a.git";
const B: &str = "org/b.git";
const OTHER: &str = "other.git";

impl Lab {
    fn new(quotas: &str) -> Lab {
        let mut site = Site { home: Repo::homeless(), ..Site::new() };
        [A, B, OTHER].iter().for_each(|name| site.make(name));
        let users = site.home.dir().join("users");
        std::fs::write(&users, file(quotas)).expect("a file");
        let path = users.display().to_string();
        site.start(&["--users", &path, "--auth-http"]);
        Lab { site, users }
    }

    fn path(&self, op: &str, name: &str, key: &str) -> String {
        let uuid = self.site.git(name, &["config", "annex.uuid"]);
        format!("/{name}/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={key}")
    }

    fn put(&self, name: &str, body: &[u8]) -> Answer {
        let path = self.path("put", name, &key_of(body));
        self.site.server().connect().post(&path, &[&length(body.len())], body)
    }

    fn ask(&self, op: &str, name: &str, body: &[u8]) -> String {
        let path = self.path(op, name, &key_of(body));
        self.site.server().connect().post(&path, &[], b"").text()
    }

    /// An upload of which some is sent.
    fn begun(&self, name: &str, body: &[u8], sent: usize) -> Client {
        let path = self.path("put", name, &key_of(body));
        let uploads = || self.site.server().metric("uploads");
        eventually("no other is under way", || uploads() == 0);
        let mut client = self.site.server().connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\n{}\r\nContent-Length: {}\r\n\r\n",
            length(body.len()),
            body.len()
        ));
        client.send(&body[..sent]);
        eventually("it is under way", || uploads() == 1);
        client
    }

    /// Has the server take over another file.
    fn change(&self, quotas: &str) {
        let before = self.reloads();
        std::fs::write(&self.users, file(quotas)).expect("a file");
        eventually("it is taken over", || self.reloads() > before);
    }

    fn reloads(&self) -> usize {
        self.site.server().log().matches("what=users").count()
    }
}

/// The real git-annex, in two repositories.
#[test]
fn repositories_below_a_prefix_share_a_quota() {
    let lab = Lab::new("org/ 100kB 70kB\nother - 200kB");
    let [first, second] = [A, B].map(|name| lab.site.clone("", name));
    let one = first.add("one", 1, 60_000);
    first.annex(&["copy", "--quiet", "--to", "origin", "one"]).ok();
    second.add("two", 2, 50_000);
    let refused = second.annex(&["copy", "--to", "origin", "two"]).failed();
    let words = "the quota of org/ is used up: 58.6 KiB of 97.7 KiB, and 48.8 KiB more do not fit";
    assert!(refused.all().contains(words) || refused.all().contains("507"), "{}", refused.all());
    assert_eq!(lab.put(B, &content(2, 50_000)).text(), words);
    assert_eq!(lab.put(B, &content(3, 40_000)).status, 200, "to the last byte");
    let large = lab.put(B, &content(4, 70_001));
    assert_eq!(large.text(), "68.4 KiB is more than the largest content that is stored here (68.4 KiB)");
    // What others hold is no concern of this one.
    assert_eq!(lab.put(OTHER, &content(5, 150_000)).status, 200);
    assert_eq!(lab.put(OTHER, &content(6, 200_001)).status, 507);
    // What is there costs nothing, and what is removed is given back.
    first.annex(&["copy", "--quiet", "--to", "origin", "one"]).ok();
    assert_eq!(lab.put(B, &content(3, 40_000)).status, 200);
    first.annex(&["drop", "--quiet", "--force", "--from", "origin", "--key", &one]).ok();
    second.annex(&["copy", "--quiet", "--to", "origin", "two"]).ok();
    assert_eq!(lab.put(A, &content(7, 10_001)).status, 507);
    assert_eq!(lab.put(A, &content(8, 10_000)).status, 200);
}

/// Into two repositories, of many at once as many are stored as fit.
#[test]
fn a_shared_quota_is_not_exceeded_by_many_at_once() {
    let lab = Lab::new("org/ 100kB -");
    let bodies: Vec<Vec<u8>> = (0..24).map(|seed| content(seed, 15_000)).collect();
    let name = |n: usize| if n.is_multiple_of(2) { A } else { B };
    let stored = std::thread::scope(|scope| {
        let put = |(n, body): (usize, &Vec<u8>)| {
            let (path, body) = (lab.path("put", name(n), &key_of(body)), body.clone());
            let mut client = lab.site.server().connect();
            scope.spawn(move || client.post(&path, &[&length(body.len())], &body).status)
        };
        let threads: Vec<_> = bodies.iter().enumerate().map(put).collect();
        let statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().expect("it ends")).collect();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 507)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 200).count()
    });
    let more = bodies.iter().enumerate().filter(|(n, body)| lab.put(name(*n), body).status == 200).count();
    let there = |(n, body): &(usize, &Vec<u8>)| lab.ask("checkpresent", name(*n), body).contains("true");
    assert_eq!(bodies.iter().enumerate().filter(there).count(), 6);
    assert!(stored <= 6 && more >= 6, "{stored} and {more}");
}

/// What is under way counts as a whole, what was broken off as much as lies there, and quotas may change meanwhile.
#[test]
fn what_is_under_way_counts_and_ends_as_it_began() {
    let lab = Lab::new("org/ 100kB -");
    let [body, small] = [content(1, 60_000), content(2, 40_001)];
    let client = lab.begun(A, &body, 20_000);
    assert_eq!(lab.put(B, &small).status, 507);
    client.vanish();
    // 20 000 at the most are left of it, for whoever resumes.
    eventually("its room is given back", || lab.put(B, &small).status == 200);
    assert_eq!(lab.put(A, &body).status, 507, "it is not resumed into what is taken");
    lab.ask("remove", B, &small);
    let mut client = lab.begun(A, &body, 10_000);
    assert_eq!(lab.put(B, &small).status, 507);
    // Smaller than what is under way. The one that began may end.
    lab.change("org/ 50kB -");
    client.send(&body[10_000..]);
    assert_eq!(client.answer(false).status, 200);
    assert!(lab.put(B, &content(3, 1)).text().contains("58.6 KiB of 48.8 KiB"));
    // A fault changes nothing, and the line is named.
    std::fs::write(&lab.users, file("org/ lots -")).expect("a file");
    lab.site.server().wait_for(|line| (line.contains("line 5") && line.contains("a size")).then_some(()));
    assert_eq!(lab.put(B, &content(3, 1)).status, 507);
    lab.change("org/ 200kB 10kB\n* 100kB -");
    assert_eq!(lab.put(B, &content(4, 10_000)).status, 200);
    assert_eq!(lab.put(B, &content(5, 10_001)).status, 507);
    let all = lab.put(OTHER, &content(6, 30_001));
    assert_eq!(all.text(), "the quota of * is used up: 68.4 KiB of 97.7 KiB, and 29.3 KiB more do not fit");
    lab.change("other 1GB -");
    assert_eq!(lab.put(B, &content(7, 300_000)).status, 200, "no quota is left of it");
}

/// Over stdio there is no file of users: what comes there counts, and is not refused.
#[test]
fn what_comes_over_stdio_counts() {
    let lab = Lab::new("org/ 100kB -");
    let at = lab.site.at(A);
    let uuid = lab.site.git(A, &["config", "annex.uuid"]);
    let mut session = Session::greeted(lab.site.home.command(product()), &at, &uuid);
    let body = content(1, 90_000);
    assert!(session.put(&key_of(&body), &body).starts_with("SUCCESS"));
    assert_eq!(lab.put(A, &content(2, 10_001)).status, 507);
    assert_eq!(lab.put(B, &content(2, 10_001)).status, 507);
    assert_eq!(lab.put(B, &content(3, 10_000)).status, 200);
}

/// One that is new counts from its first byte on, and one that cannot be told stops nobody else.
#[test]
fn repositories_come_and_break() {
    let lab = Lab::new("org/ 100kB -");
    assert_eq!(lab.put(A, &content(1, 50_000)).status, 200);
    lab.site.make("org/c.git");
    assert_eq!(lab.put("org/c.git", &content(2, 40_000)).status, 200);
    assert_eq!(lab.put("org/c.git", &content(3, 10_001)).status, 507);
    // A git-annex branch that leads nowhere.
    let packed = lab.site.at("org/c.git/refs/heads/git-annex");
    lab.site.git("org/c.git", &["pack-refs", "--all"]);
    std::fs::write(packed, "1111111111111111111111111111111111111111\n").expect("a file");
    assert_eq!(lab.put("org/c.git", &content(4, 1)).status, 500);
    assert_eq!(lab.put(A, &content(5, 10_001)).status, 507, "it counts as it was last seen");
    assert_eq!(lab.put(A, &content(6, 10_000)).status, 200);
}

#[test]
fn quotas_are_edited_and_the_server_follows() {
    let lab = Lab::new("* 1GB -");
    let file = lab.users.display().to_string();
    let users = |words: &[&str]| {
        let mut command = lab.site.home.command(product());
        run(command.arg("users").args(words), LIMIT)
    };
    let edit = |words: &[&str]| {
        let before = lab.reloads();
        users(&[&["quota", &*file], words].concat()).ok();
        eventually("it is taken over", || lab.reloads() > before);
    };
    edit(&["org/", "--all", "100 kB", "--largest", "70kB"]);
    assert_eq!(lab.put(B, &content(1, 70_001)).status, 507);
    edit(&["org/b.git", "--largest", "1kB"]);
    assert_eq!(lab.put(B, &content(2, 1001)).status, 507);
    let listed = users(&["list", &file]).ok().stdout;
    assert!(listed.contains("quota of org/: 97.7 KiB in all, 68.4 KiB the largest\n"), "{listed}");
    let listed = users(&["list", &file, "--json"]).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["quotas"][2]["repositories"], "org/b", "{listed}");
    assert_eq!((listed["quotas"][1]["all"].as_u64(), listed["quotas"][2]["all"].as_u64()), (Some(100_000), None));
    for (words, says) in [
        (&["org/", "--all", "much"][..], "a size"),
        (&["../x", "--all", "1GB"], "give repositories"),
        (&["org/"], "--all"),
        (&["x/", "--remove"], "no quota of x/"),
    ] {
        let said = users(&[&["quota", &*file], words].concat()).failed().stderr;
        assert!(said.contains(says), "{words:?}: {said}");
    }
    // By another spelling of its name.
    edit(&["org/b", "--remove"]);
    assert_eq!(lab.put(B, &content(3, 70_000)).status, 200);
    edit(&["org/", "--remove"]);
    assert_eq!(lab.put(B, &content(4, 170_000)).status, 200);
}
