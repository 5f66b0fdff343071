//! Who is not meant to: web pages that use somebody's browser, and clients without a password that may do something.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use testbed::annex::{Repo, content};
use testbed::gateway::Gateway;
use testbed::http::{Answer, Client};
use testbed::product;
use testbed::run::run;
use testbed::wire::{CLIENT, Wire, key_of, length};

const ALICE: &str = "Authorization: Basic YWxpY2U6cHcx";

/// Every request that changes something or is asked by POST, at every version that has it.
fn posts(uuid: &str, key: &str) -> Vec<String> {
    let ops = [
        ("checkpresent", 0),
        ("lockcontent", 0),
        ("keeplocked", 0),
        ("remove", 0),
        ("put", 0),
        ("putoffset", 1),
        ("remove-before", 3),
        ("gettimestamp", 3),
    ];
    let path = |version: u32, op: &str| {
        format!("/git-annex/{uuid}/v{version}/{op}?clientuuid={CLIENT}&key={key}&lockid=x&timestamp=99999999999")
    };
    (0..=4)
        .flat_map(|version| ops.iter().filter(move |(_, since)| version >= *since).map(move |(op, _)| (version, op)))
        .map(|(version, op)| path(version, op))
        .collect()
}

/// Asks with a body of a GiB that never comes; the answer does.
fn post_without_body(mut client: Client, path: &str, headers: &[&str]) -> Answer {
    let headers = headers.join("\r\n");
    let data = length(1 << 30);
    client.send(format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n{data}\r\n{headers}\r\n\r\n", 1 << 30));
    client.answer(false)
}

#[test]
fn what_a_foreign_page_asks_is_refused_before_its_body_and_changes_nothing() {
    let mut repo = Repo::new();
    let key = repo.add("there", 1, 1000);
    repo.set("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "pw1");
    let server = Gateway::serve(&repo, &["--authenv-http", "--quiet"]);
    for path in posts(&repo.uuid(), &key) {
        for foreign in
            ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
        {
            // The browser sends the password that it keeps for this server.
            let answer = post_without_body(server.connect(), &path, &["Host: annex.example", ALICE, foreign]);
            assert_eq!(answer.status, 403, "{path} {foreign}: {}", answer.text());
            assert!(answer.text().contains("web page of another origin"), "{}", answer.text());
            assert_eq!(answer.header("connection"), Some("close"), "{path}");
            assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
        }
    }
    let wire = Wire::of(repo, server);
    let own = ["Origin: https://annex.example", "Sec-Fetch-Site: same-origin", ALICE];
    let asked = |op: &str, host: &str| {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{}\r\n\r\n",
            wire.path(op, &key),
            own.join("\r\n")
        );
        let mut client = wire.server.connect();
        client.send(head);
        client.answer(false).text()
    };
    assert_eq!(asked("checkpresent", "annex.example"), "{\"present\":true}", "nothing was removed");
    // A page of this server, behind a web server that speaks TLS.
    assert_eq!(asked("remove", "annex.example"), "{\"plusuuids\":[],\"removed\":true}");
}

#[test]
fn an_open_server_answers_no_rebound_name() {
    let repo = Repo::new();
    let key = repo.add("there", 1, 1000);
    let wire = Wire::open(repo, &["--quiet"]);
    let ask = |request: &str, host: &str| {
        let mut client = wire.server.connect();
        client.ask(&format!("{request} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n"))
    };
    let port = wire.server.port();
    let (get, remove) =
        (format!("GET {}", wire.path(&format!("key/{key}"), &key)), format!("POST {}", wire.path("remove", &key)));
    for host in ["evil.example", &format!("evil.example:{port}"), "localhost.evil.example", "192.168.1.1"] {
        for request in [&get, &remove] {
            let answer = ask(request, host);
            assert_eq!(answer.status, 403, "{request} {host}: {}", answer.text());
            assert!(answer.text().contains("--wideopen"), "{}", answer.text());
        }
    }
    for host in ["localhost", &format!("localhost:{port}"), &format!("127.0.0.1:{port}"), "[::1]"] {
        assert_eq!(ask(&get, host).body, content(1, 1000), "{host}");
    }
    assert_eq!(ask(&remove, "localhost").text(), "{\"plusuuids\":[],\"removed\":true}");
    // Nobody is sent to a socket file by a name.
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s").display().to_string();
    let behind = Gateway::start(Gateway::command(&wire.repo).args(["--wideopen", "--quiet", "--socket", &socket]));
    let path = wire.path("checkpresent", &key);
    let head = format!("POST {path} HTTP/1.1\r\nHost: annex.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(behind.connect().ask(&head).text(), "{\"present\":false}");
}

#[test]
fn who_may_do_nothing_learns_nothing() {
    let mut repo = Repo::new();
    repo.set("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "pw1");
    // A remote whose repository is gone, and a repository that cannot be opened.
    let gone = Repo::bare();
    let hidden = gone.uuid();
    repo.git(&["remote", "add", "hidden", &gone.dir().display().to_string()]).ok();
    repo.git(&["config", "remote.hidden.annex-uuid", &hidden]).ok();
    repo.git(&["config", "remote.hidden.annex-proxy", "true"]).ok();
    repo.annex(&["updateproxy"]).ok();
    std::fs::remove_file(gone.dir().join("HEAD")).expect("it is ours");
    let places = tempfile::tempdir().expect("a directory");
    let half = places.path().join("half.git").display().to_string();
    repo.git(&["init", "--quiet", "--bare", &half]).ok();
    let place = places.path().display().to_string();
    let single = Gateway::serve(&repo, &["--authenv-http"]);
    let many = Gateway::serve(&repo, &["--authenv-http", "--directory", &place]);
    let key = key_of(&content(1, 10));
    let answers = |headers: &[&str]| {
        let ask = |server: &Gateway, prefix: &str, uuid: &str| {
            let path = format!("{prefix}/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key={key}");
            let mut answer = server.connect().post(&path, headers, b"");
            answer.headers.retain(|(name, _)| name != "date");
            answer
        };
        let unknown = "00000000-0000-4000-8000-0000000fffff";
        [
            ask(&single, "", &repo.uuid()),
            ask(&single, "", &hidden),
            ask(&single, "", unknown),
            ask(&many, "/half", unknown),
            ask(&many, "/nothing", unknown),
            ask(&many, "", unknown),
        ]
    };
    let told = answers(&[]);
    assert!(told.iter().all(|answer| *answer == told[0] && answer.status == 401), "{told:?}");
    let told = answers(&[ALICE]);
    assert_eq!(told[..3].iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 500, 404], "{told:?}");
    for answer in &told {
        let said = format!("{:?} {}", answer.headers, answer.text());
        assert!(!said.contains(&place) && !said.contains("half") && !said.contains("/tmp"), "{said}");
    }
    assert!(told[1].text().contains("[path]"), "{told:?}");
    let log = single.log();
    assert!(log.contains(&gone.dir().display().to_string()) && !log.contains("[path]"), "{log}");
}

#[test]
fn a_setting_without_effect_ends_the_start() {
    let repo = Repo::new();
    let start = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = Gateway::command(&repo);
        let done =
            run(command.args(["--port", "0"]).args(flags).envs(variables.iter().copied()), testbed::gateway::SOON);
        done.failed().stderr
    };
    let users = [("GIT_ANNEX_P2PHTTP_PASSWORD_bob", "x"), ("GIT_ANNEX_P2PHTTP_PERMISSIONS_Bob", "readonly")];
    assert!(start(&["--authenv-http"], &users).contains("GIT_ANNEX_P2PHTTP_PERMISSIONS_Bob limits nobody"));
    assert!(start(&["--wideopen"], &users[..1]).contains("nobody can log in"));
    assert!(start(&["--wideopen", "--unauth-readonly"], &[]).contains("changes nothing beside --wideopen"));
    assert!(start(&["--wideopen", "--socket", "/nowhere/s"], &[]).contains("--port"));
    // Sockets of systemd are where it listens, and not what was said.
    let script = "exec 3<&0; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" p2phttp --wideopen \"$@\"";
    for flags in [["--bind", "127.0.0.1"], ["--port", "0"], ["--socket", "/nowhere/s"]] {
        let given = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut command = repo.command(Path::new("sh"));
        command.args(["-c", script]).arg(product()).args(flags);
        let mut child = command.stdin(OwnedFd::from(given)).stderr(Stdio::piped()).spawn().expect("started");
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("to its end");
        assert!(
            !child.wait().expect("ended").success() && said.contains("systemd gives the sockets"),
            "{flags:?}: {said}"
        );
    }
}
