//! Users, tokens and rights in a file: every role against every request in two repositories, and changes while the server runs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use testbed::annex::{LIMIT, Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::product;
use testbed::run::{Done, run};
use testbed::wire::{CLIENT, key_of, length};

use crate::site::{Site, basic};

/// `pw1`, by crypt(3), at the lowest cost.
const PW1: &str = "$2b$04$abcdefghijklmnopqrstuu8HU3pu3uDNsZeZ4Putj36gAGMqThibC";

/// A password that is wrong.
const WRONG: &str = "wrong";

/// A site with two repositories, and users of a file.
struct Lab {
    site: Site,
    users: PathBuf,
}

impl Lab {
    fn new(users: &str, flags: &[&str]) -> Lab {
        let mut site = Site { home: Repo::homeless(), ..Site::new() };
        site.make("org/photos.git");
        site.make("public/papers.git");
        let users_file = site.home.dir().join("users");
        std::fs::write(&users_file, users).expect("a file");
        let path = users_file.display().to_string();
        site.start(&[&["--users", &path, "--auth-http"], flags].concat());
        Lab { site, users: users_file }
    }

    fn server(&self) -> &Gateway {
        self.site.server()
    }

    /// `users WORDS`, with this on stdin.
    #[track_caller]
    fn edit(&self, words: &[&str], stdin: &str) -> Done {
        let mut command = self.site.home.command(product());
        command.arg("users").args(words);
        let mut command = {
            // `run` gives nothing on stdin.
            let mut shell = self.site.home.command(std::path::Path::new("sh"));
            let path = self.site.home.dir().join("stdin");
            std::fs::write(&path, stdin).expect("a file");
            let line = format!("exec \"$@\" <'{}'", path.display());
            shell.arg("-c").arg(line).arg("sh").arg(command.get_program()).args(command.get_args());
            shell
        };
        run(command.stderr(Stdio::piped()), LIMIT)
    }
}

/// One request of each kind: its name, and what it is.
fn requests(prefix: &str, uuid: &str, key: &str) -> Vec<(&'static str, String)> {
    let annex = |op: &str, more: &str, headers: &str| {
        let query = format!("clientuuid={CLIENT}{more}");
        format!("POST {prefix}/git-annex/{uuid}/v4/{op}?{query} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: 0\r\n")
    };
    let with_key = format!("&key={key}");
    let pack = |service: &str| {
        format!(
            "POST {prefix}/{service} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-{service}-request\r\nContent-Length: 4\r\n"
        )
    };
    let none = length(0);
    let put = format!("{none}\r\n");
    let refs = |service: &str| format!("GET {prefix}/info/refs?service={service} HTTP/1.1\r\nHost: h\r\n");
    vec![
        ("config", format!("GET {prefix}/config HTTP/1.1\r\nHost: h\r\n")),
        ("fetch-refs", refs("git-upload-pack")),
        ("fetch", pack("git-upload-pack")),
        ("checkpresent", annex("checkpresent", &with_key, "")),
        ("get", format!("GET {prefix}/git-annex/{uuid}/key/{key} HTTP/1.1\r\nHost: h\r\n")),
        ("gettimestamp", annex("gettimestamp", "", "")),
        ("lockcontent", annex("lockcontent", &with_key, "")),
        ("keeplocked", annex("keeplocked", "&lockid=x", "")),
        ("push-refs", refs("git-receive-pack")),
        ("push", pack("git-receive-pack")),
        ("putoffset", annex("putoffset", &with_key, "")),
        ("put", annex("put", &with_key, &put)),
        ("remove", annex("remove", &with_key, "")),
        ("remove-before", annex("remove-before", &format!("{with_key}&timestamp=0"), "")),
    ]
}

/// What came of each request: `+` served (whatever became of it), `?` 401, `-` 403, `0` 404.
fn row(server: &Gateway, login: &str, requests: &[(&str, String)]) -> String {
    static GUESSES: AtomicUsize = AtomicUsize::new(0);
    let mut row = String::new();
    for (name, head) in requests {
        let mut client = server.connect();
        let login = match login {
            "" => String::new(),
            // Of one name only so many are looked at.
            WRONG => format!("{}\r\n", basic(&format!("eve{}", GUESSES.fetch_add(1, Ordering::Relaxed)), "x")),
            login => format!("{login}\r\n"),
        };
        client.send(format!("{head}{login}\r\n"));
        if matches!(*name, "fetch" | "push") {
            // Whoever is refused may have closed.
            let _ = client.try_send("0000");
        }
        let mark = match client.answer(false).status {
            401 => '?',
            403 => '-',
            404 if *name != "get" || head.contains("/org/none") => '0',
            200 | 404 | 500 => '+',
            other => panic!("{name}: {other}"),
        };
        row.push(mark);
    }
    row
}

const USERS: &str = "\
[rights]
alice full *
bob readonly org/photos
bob appendonly public/
carol full org/
carol none org/photos
robot appendonly org/
anonymous readonly public/
";

#[test]
fn each_role_may_do_in_each_repository_what_the_file_says() {
    let lines = ["alice", "bob", "carol", "dave"].map(|name| format!("{name}:{PW1}\n")).concat();
    let digest = |text: &str| {
        let done = run(
            Repo::homeless().command(std::path::Path::new("sh")).args(["-c", &format!("printf %s {text} | sha256sum")]),
            LIMIT,
        );
        done.ok().stdout.split_whitespace().next().expect("a digest").to_string()
    };
    let tokens = [
        ("laptop", "alice readonly *", "never"),
        ("robot", "- appendonly org/", "never"),
        ("old", "alice full *", "2020-01-01"),
        ("dave", "dave full *", "never"),
    ]
    .map(|(name, what, expires)| format!("{name} {what} {expires} sha256:{}\n", digest(&format!("gat_{name}"))));
    let lab = Lab::new(&format!("{lines}[tokens]\n{}{USERS}", tokens.concat()), &[]);
    let uuid = |name: &str| lab.site.git(name, &["config", "annex.uuid"]);
    let key = key_of(b"");
    let (photos, papers) = (uuid("org/photos.git"), uuid("public/papers.git"));
    let places = [
        ("/org/photos.git", &*photos),
        ("/org/photos", &*photos),
        ("/public/papers.git", &*papers),
        ("/org/none.git", &*photos),
    ];
    // Reading, locking, storing, removing.
    let marks = |marks: &str| {
        let marks: Vec<char> = marks.chars().collect();
        [(marks[0], 6), (marks[1], 2), (marks[2], 4), (marks[3], 2)]
            .iter()
            .map(|(mark, count)| mark.to_string().repeat(*count))
            .collect::<String>()
    };
    let table = [
        ("nobody", String::new(), ["????", "????", "++??", "????"]),
        ("a wrong password", WRONG.to_string(), ["????", "????", "++--", "????"]),
        ("alice", basic("alice", "pw1"), ["++++", "++++", "++++", "0000"]),
        ("bob", basic("bob", "pw1"), ["+---", "+---", "+++-", "----"]),
        ("carol", basic("carol", "pw1"), ["----", "----", "++--", "0000"]),
        ("dave", basic("dave", "pw1"), ["----", "----", "++--", "----"]),
        ("the token of alice", basic("alice", "gat_laptop"), ["+---", "+---", "+---", "0---"]),
        ("the token of the robot", basic("robot", "gat_robot"), ["+++-", "+++-", "++--", "000-"]),
        ("a token under another name", basic("bob", "gat_laptop"), ["????", "????", "++--", "????"]),
        ("a token that has ended", basic("alice", "gat_old"), ["????", "????", "++--", "????"]),
        ("a token of one without rights", basic("dave", "gat_dave"), ["----", "----", "++--", "----"]),
        ("a token that nobody has", basic("alice", "gat_none"), ["????", "????", "++--", "????"]),
    ];
    for (who, login, rows) in table {
        for ((prefix, uuid), expected) in places.iter().zip(rows) {
            let got = row(lab.server(), &login, &requests(prefix, uuid, &key));
            assert_eq!(got, marks(expected), "{who} at {prefix}");
        }
        // By its uuid alone a repository is what it is by its path.
        for (uuid, expected) in [(&photos, rows[0]), (&papers, rows[2])] {
            let all = requests("", uuid, &key);
            let annex: Vec<_> = all.into_iter().filter(|(_, head)| head.contains("/git-annex/")).collect();
            let kinds: String = marks(expected)
                .chars()
                .zip(requests("", uuid, &key))
                .filter(|(_, (_, head))| head.contains("/git-annex/"))
                .map(|(mark, _)| mark)
                .collect();
            assert_eq!(row(lab.server(), &login, &annex), kinds, "{who}, by uuid");
        }
    }
    let log = lab.server().log();
    assert!(!log.contains("gat_") && !log.contains("pw1") && !log.contains("$2b$"), "{log}");
}

#[test]
fn users_are_edited_and_the_server_follows() {
    let lab = Lab::new("[rights]\nanonymous readonly public/\n", &[]);
    let file = lab.users.display().to_string();
    let present = |login: &str| {
        let head = format!("GET /org/photos/config HTTP/1.1\r\nHost: h\r\n{login}\r\n\r\n");
        lab.server().connect().ask(&head).status
    };
    let (alice, wrong) = (basic("alice", "correct horse"), basic("alice", "horse"));
    assert_eq!(present(&alice), 401);
    assert!(lab.edit(&["add", &file, "alice"], "correct horse\n").failed().stderr.contains("--rights"));
    lab.edit(&["add", &file, "alice", "--rights", "full"], "correct horse\n").ok();
    eventually("alice is known", || present(&alice) == 200);
    assert_eq!(present(&wrong), 401);
    // A clone with the password that git keeps, and content, in one go.
    let mut clone = lab.site.clone_as("alice:correct%20horse", "org/photos.git");
    clone.set("GIT_TERMINAL_PROMPT", "0");
    clone.add("one", 1, 100_000);
    clone.git(&["commit", "--quiet", "-m", "one"]).ok();
    clone.annex(&["push"]).ok();
    // Rights are taken away, and what was there before is not.
    lab.edit(&["add", &file, "alice", "--rights", "readonly", "--keep-password"], "").ok();
    eventually("alice may only read", || {
        let head = format!("GET /org/photos/info/refs?service=git-receive-pack HTTP/1.1\r\nHost: h\r\n{alice}\r\n\r\n");
        lab.server().connect().ask(&head).status == 403
    });
    assert_eq!(present(&alice), 200);
    clone.add("two", 2, 1000);
    clone.git(&["commit", "--quiet", "-m", "two"]).ok();
    clone.git(&["push", "origin", "main"]).failed();
    // What was allowed elsewhere stays, which is told.
    let told = lab.edit(&["add", &file, "alice", "--rights", "full", "--repositories", "org/", "--keep-password"], "");
    let told = told.ok().stderr;
    assert!(told.contains("alice has readonly in *, as before") && told.contains("--repositories '*'"), "{told}");
    // A log tells who it was, user or token.
    let refused = lab.edit(&["token", &file, "alice", "--rights", "full"], "").failed();
    assert!(refused.stderr.contains("alice is a user"), "{}", refused.stderr);
    lab.edit(&["token", &file, "alice-laptop", "--user", "alice", "--rights", "full", "--expires", "2999-01-31"], "")
        .ok();
    let listed = lab.edit(&["list", &file], "").ok().stdout;
    assert!(listed.contains("token alice-laptop of alice: full *, until 2999-01-31"), "{listed}");
    // A token is shown once.
    let made = lab.edit(&["token", &file, "robot", "--rights", "appendonly", "--repositories", "org/"], "").ok();
    let token = made.stdout.trim().to_string();
    assert!(token.starts_with("gat_") && !std::fs::read_to_string(&lab.users).expect("it is there").contains(&token));
    eventually("the robot is known", || present(&basic("robot", &token)) == 200);
    let listed = lab.edit(&["list", &file, "--json"], "").ok().stdout;
    assert!(listed.contains("\"robot\"") && listed.contains("\"alice\"") && !listed.contains("$2"), "{listed}");
    lab.edit(&["token", &file, "robot", "--remove"], "").ok();
    eventually("the robot is unknown", || present(&basic("robot", &token)) == 401);
    // A file with a fault changes nothing, and says so.
    let right = std::fs::read_to_string(&lab.users).expect("it is there");
    std::fs::write(&lab.users, right.replace("readonly *", "everything *")).expect("written");
    lab.server()
        .wait_for(|line| (line.contains("rights are readonly") && line.contains("stay in force")).then_some(()));
    assert_eq!(present(&alice), 200);
    lab.edit(&["remove", &file, "alice"], "").failed();
    std::fs::write(&lab.users, right).expect("written");
    lab.server().signal(Signal::HUP);
    lab.edit(&["remove", &file, "alice"], "").ok();
    eventually("alice is unknown", || present(&alice) == 401);
}

/// What has begun ends as it began; what comes after it, on the same connection too, is judged by the rights of that moment.
#[test]
fn rights_that_change_while_transfers_run_count_for_what_begins_then() {
    let lab = Lab::new(&format!("alice:{PW1}\ncarol:{PW1}\n[rights]\nalice full *\ncarol full *\n"), &[]);
    let file = lab.users.display().to_string();
    let (alice, carol) = (basic("alice", "pw1"), basic("carol", "pw1"));
    let uuid = lab.site.git("org/photos.git", &["config", "annex.uuid"]);
    let body = content(1, 200_000);
    let head = |op: &str, login: &str, more: &str| {
        let path = format!("/org/photos/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={}", key_of(&body));
        format!("POST {path} HTTP/1.1\r\nHost: h\r\n{login}\r\n{more}\r\n")
    };
    let put = format!("{}\r\nContent-Length: {}\r\n", length(body.len()), body.len());
    // A download by one who will be nobody, of more than lies in buffers on the way.
    let large = content(2, 16_000_000);
    let get = format!("/org/photos/git-annex/{uuid}/key/{}", key_of(&large));
    let path = format!("/org/photos/git-annex/{uuid}/v4/put?clientuuid={CLIENT}&key={}", key_of(&large));
    let stored = lab.server().connect().post(&path, &[&carol, &length(large.len())], &large);
    assert_eq!(stored.status, 200, "{}", stored.text());
    let mut download = lab.server().connect();
    download.send(format!("GET {get} HTTP/1.1\r\nHost: h\r\n{carol}\r\n\r\n"));
    eventually("it is under way", || lab.server().metric("downloads") == 1);
    let mut upload = lab.server().connect();
    upload.send(head("put", &alice, &put));
    upload.send(&body[..100_000]);
    eventually("it is under way", || lab.server().metric("uploads") == 1);
    // A push of hers that is under way, too, and one of a token that is taken away.
    let pack = "POST /org/photos/git-receive-pack HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-git-receive-pack-request\r\n";
    let mut push = lab.server().connect();
    push.send(format!("{pack}{alice}\r\nContent-Length: 4\r\n\r\n00"));
    eventually("git is asked for", || lab.server().metric("git_processes") == 1);
    lab.edit(&["add", &file, "alice", "--rights", "readonly", "--keep-password"], "").ok();
    lab.edit(&["remove", &file, "carol"], "").ok();
    eventually("the server has seen it", || {
        lab.server().connect().ask(&head("checkpresent", &carol, "Content-Length: 0\r\n")).status == 401
    });
    upload.send(&body[100_000..]);
    assert!(upload.answer(false).text().contains("\"stored\":true"), "it had begun");
    push.send("00");
    assert_eq!(push.answer(false).status, 200);
    for (op, status) in [("checkpresent", 200), ("putoffset", 403), ("remove", 403)] {
        assert_eq!(
            upload.ask(&head(op, &alice, "Content-Length: 0\r\n")).status,
            status,
            "{op} on the same connection"
        );
    }
    assert_eq!(push.ask(&format!("{pack}{alice}\r\nContent-Length: 4\r\n\r\n0000")).status, 403);
    assert_eq!(lab.server().metric("downloads"), 1, "it waits for its client");
    assert!(download.answer(false).body == large, "it had begun");
    let again = format!("GET {get} HTTP/1.1\r\nHost: h\r\n{carol}\r\n\r\n");
    assert_eq!(download.ask(&again).status, 401, "on the same connection");
}

/// A lock that is kept is a request under way: it holds until its client ends it, whatever became of the client's rights.
#[test]
fn a_lock_is_kept_for_one_whose_rights_are_taken_away() {
    let lab = Lab::new(&format!("alice:{PW1}\ncarol:{PW1}\n[rights]\nalice full *\ncarol full *\n"), &[]);
    let file = lab.users.display().to_string();
    let (alice, carol) = (basic("alice", "pw1"), basic("carol", "pw1"));
    let uuid = lab.site.git("org/photos.git", &["config", "annex.uuid"]);
    let body = content(1, 1000);
    let path = |op: &str| format!("/org/photos/git-annex/{uuid}/v4/{op}clientuuid={CLIENT}&key={}", key_of(&body));
    let ask = |login: &str, op: &str| lab.server().connect().post(&path(op), &[login], b"");
    let put = lab.server().connect().post(&path("put?"), &[&alice, &length(body.len())], &body);
    assert_eq!(put.status, 200, "{}", put.text());
    let told = ask(&carol, "lockcontent?").text();
    let keep = format!("keeplocked?lockid={}&", told.split('"').nth(5).expect("a lock"));
    let mut kept = lab.server().connect();
    let headers = "Transfer-Encoding: chunked\r\nExpect: 100-continue";
    kept.send(format!("POST {} HTTP/1.1\r\nHost: h\r\n{carol}\r\n{headers}\r\n\r\n", path(&keep)));
    assert_eq!(kept.answer(true).status, 100);
    kept.send("10\r\n{\"unlock\":false}\r\n1\r\n\n\r\n");
    lab.edit(&["remove", &file, "carol"], "").ok();
    eventually("the server has seen it", || ask(&carol, "checkpresent?").status == 401);
    let removed = |done: bool| ask(&alice, "remove?").text().contains(&format!("\"removed\":{done}"));
    assert!(removed(false), "it is locked");
    assert_eq!(ask(&carol, &keep).status, 401, "what begins now");
    assert!(removed(false) && lab.server().metric("locks") == 1);
    kept.send("f\r\n{\"unlock\":true}\r\n1\r\n\n\r\n0\r\n\r\n");
    assert_eq!(kept.answer(false).text(), r#"{"locked":false}"#);
    assert!(removed(true), "it was let go");
}

/// Thousands of wrong passwords are answered, and cost others nothing.
#[test]
fn who_guesses_is_stopped_and_nobody_else_is() {
    let lab = Lab::new(&format!("alice:{PW1}\nbob:{PW1}\n[rights]\nalice full *\nbob full *\n"), &[]);
    let ask = |login: &str| {
        let head = format!("GET /org/photos/config HTTP/1.1\r\nHost: h\r\n{login}\r\n\r\n");
        lab.server().connect().ask(&head)
    };
    assert_eq!(ask(&basic("alice", "pw1")).status, 200);
    let statuses: Vec<u16> = (0..300).map(|n| ask(&basic("alice", &format!("wrong {n}"))).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 290, "{statuses:?}");
    let told = ask(&basic("alice", "wrong"));
    assert_eq!(told.header("retry-after"), Some("60"));
    assert!(told.text().contains("wait a minute"), "{}", told.text());
    assert_eq!(ask(&basic("alice", "pw1")).status, 200, "who is known already is let in");
    assert_eq!(ask(&basic("bob", "pw1")).status, 200, "and so is another");
}

#[test]
fn what_makes_no_sense_keeps_the_server_from_starting() {
    let home = Repo::new();
    let users = home.dir().join(".git/users");
    let start = |text: &str, flags: &[&str]| {
        std::fs::write(&users, text).expect("a file");
        let path = users.display().to_string();
        let mut command = Gateway::command(&home);
        command.args(["--bind", "127.0.0.1", "--port", "0", "--users", &path]).args(flags);
        run(&mut command, LIMIT).failed().stderr
    };
    let right = format!("alice:{PW1}\n[rights]\nalice full *\n");
    for (text, flags, says) in [
        (&*right, &[][..], "--auth-http"),
        (&*right, &["--auth-http", "--wideopen"], "--users changes nothing beside --wideopen"),
        ("alice:secret\n", &["--auth-http"], "line 1: not a hash"),
        ("", &["--auth-http"], "gives nobody any rights"),
        ("[rights]\nalice full *\n", &["--auth-http"], "gives nobody any rights"),
        (&*right, &["--auth-http", "--rights", "/nonexistent"], "/nonexistent"),
    ] {
        let said = start(text, flags);
        assert!(said.contains(says) && !said.contains("secret"), "{text} {flags:?}: {said}");
    }
}

/// A web server in front names the user; nobody else does.
#[test]
fn a_header_is_believed_from_named_addresses_only() {
    let users = "[rights]\nalice full *\nbob readonly *\nanonymous readonly public/\n";
    let ask = |server: &Gateway, path: &str, headers: &str| {
        server.connect().ask(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n")).status
    };
    let push = "/org/photos/info/refs?service=git-receive-pack";
    let lab = Lab::new(users, &["--auth-header", "X-Remote-User", "--auth-from", "127.0.0.1"]);
    for (headers, config, pushes) in [
        ("X-Remote-User: alice\r\n", 200, 200),
        ("x-remote-user:  bob \r\n", 200, 403),
        ("X-Remote-User: eve\r\n", 403, 403),
        ("X-Remote-User: \r\n", 401, 401),
        ("", 401, 401),
        ("X-Remote-User: bob\r\nX-Remote-User: alice\r\n", 400, 400),
    ] {
        let got = (ask(lab.server(), "/org/photos/config", headers), ask(lab.server(), push, headers));
        assert_eq!(got, (config, pushes), "{headers}");
    }
    let users = format!("alice:{PW1}\n{users}");
    let elsewhere = Lab::new(&users, &["--auth-header", "X-Remote-User", "--auth-from", "192.0.2.1"]);
    assert_eq!(ask(elsewhere.server(), "/org/photos/config", "X-Remote-User: alice\r\n"), 401);
    assert_eq!(ask(elsewhere.server(), "/public/papers/config", "X-Remote-User: alice\r\n"), 200);
}

/// A forge that decides: by what is asked for, where, and by whom. It may also stall, die and lie.
#[test]
fn another_server_may_decide() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/auth", listener.local_addr().expect("an address"));
    let mood = Arc::new(Mutex::new("honest"));
    let forge = Arc::clone(&mood);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut text = String::new();
            let mut buf = [0; 4096];
            while !text.ends_with("\r\n\r\n") {
                match stream.read(&mut buf) {
                    Ok(n) if n > 0 => text += &String::from_utf8_lossy(&buf[..n]),
                    _ => break,
                }
            }
            let has = |line: &str| text.contains(&format!("{line}\r\n"));
            let is_alice = has(&basic("alice", "forge"));
            let answer = match *forge.lock().expect("nobody panics") {
                // Until the directories were searched it is called as the client calls it.
                "honest" if is_alice && text.contains("X-Repository: org/photos") && !has("X-Action: remove") => {
                    "HTTP/1.1 200 OK\r\nX-Forwarded-User: Alice\r\nContent-Length: 0\r\n\r\n"
                }
                "honest" if is_alice => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
                "honest" => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
                "lies" => "HTTP/1.1 200 OK\r\nX-Forwarded-User: a\r\nX-Forwarded-User: b\r\nContent-Length: 0\r\n\r\n",
                "moved" => "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
                "floods" => {
                    // A head that does not end.
                    while stream.write_all(&[b'a'; 4096]).is_ok() {}
                    continue;
                }
                "stalls" => {
                    kept.push(stream);
                    continue;
                }
                _ => "",
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let lab = Lab::new(&format!("bob:{PW1}\n[rights]\nbob readonly *\n"), &["--auth-url", &url, "--auth-cache", "0"]);
    let config = |login: &str, name: &str| {
        let login = if login.is_empty() { String::new() } else { format!("{login}\r\n") };
        let head = format!("GET /{name}/config HTTP/1.1\r\nHost: h\r\n{login}\r\n");
        lab.server().connect().ask(&head)
    };
    let (alice, bob) = (basic("alice", "forge"), basic("bob", "pw1"));
    for (login, name, status) in [
        (&*alice, "org/photos", 200),
        (&alice, "public/papers", 403),
        (&basic("alice", "wrong"), "org/photos", 401),
        ("", "org/photos", 401),
        (&bob, "org/photos", 200),
    ] {
        assert_eq!(config(login, name).status, status, "{login} {name}");
    }
    // git and git-annex with it, by one password; and who may not remove rewrites nothing.
    let clone = lab.site.clone_as("alice:forge", "org/photos.git");
    clone.add("one", 1, 1000);
    clone.git(&["commit", "--quiet", "-m", "one"]).ok();
    clone.annex(&["push"]).ok();
    clone.git(&["commit", "--quiet", "--amend", "-m", "other"]).ok();
    clone.git(&["push", "--force", "origin", "main"]).failed();
    lab.server().wait_for(|line| (line.starts_with("git ") && line.contains("user=Alice")).then_some(()));
    // What has begun does not ask again: the forge may die meanwhile.
    let uuid = lab.site.git("org/photos.git", &["config", "annex.uuid"]);
    let body = content(7, 100_000);
    let path = format!("/org/photos/git-annex/{uuid}/v4/put?clientuuid={CLIENT}&key={}", key_of(&body));
    let put = format!("POST {path} HTTP/1.1\r\nHost: h\r\n{alice}\r\n{}\r\n", length(body.len()));
    let mut upload = lab.server().connect();
    upload.send(format!("{put}Content-Length: {}\r\n\r\n", body.len()));
    upload.send(&body[..50_000]);
    eventually("it is under way", || lab.server().metric("uploads") == 1);
    *mood.lock().expect("nobody panics") = "dies";
    upload.send(&body[50_000..]);
    assert!(upload.answer(false).text().contains("\"stored\":true"));
    assert_eq!(upload.ask(&format!("{put}Content-Length: 0\r\n\r\n")).status, 503, "on the same connection");
    // Who cannot be told is not let in, and those whom nobody has to ask about are.
    for now in ["lies", "moved", "dies", "floods"] {
        *mood.lock().expect("nobody panics") = now;
        let answer = config(&alice, "org/photos");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{now}");
        assert!(answer.text().contains("--auth-url"), "{now}: {}", answer.text());
        assert_eq!(config(&bob, "org/photos").status, 200, "{now}");
    }
    // While it stalls more are asked about than are asked at a time: each waits ten seconds at the most, and keeps nobody else.
    *mood.lock().expect("nobody panics") = "stalls";
    let mut waiting: Vec<_> = (0..80)
        .map(|n| {
            let mut client = lab.server().connect();
            client.send(format!(
                "GET /org/photos/config HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n",
                basic(&format!("u{n}"), "x")
            ));
            client
        })
        .collect();
    assert_eq!(config(&bob, "org/photos").status, 200);
    let statuses: Vec<u16> = waiting.iter_mut().map(|client| client.answer(false).status).collect();
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    drop(waiting);
    *mood.lock().expect("nobody panics") = "honest";
    assert_eq!(config(&alice, "org/photos").status, 200);
    let log = lab.server().log();
    assert!(!log.contains("forge\"") && !log.contains("YWxpY2U6"), "{log}");
}
