//! The server as a forge starts it, under the name of git-annex.

use std::path::Path;

use testbed::annex::{Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::wire::CLIENT;

/// As a forge starts it: `git annex p2phttp` is ours, and `git annex version` is not.
#[test]
fn under_the_name_git_annex_all_but_the_server_is_handed_over() {
    let mut served = Repo::new();
    let bin = served.dir().join(".git/bin");
    std::fs::create_dir(&bin).expect("a directory");
    std::os::unix::fs::symlink(testbed::product(), bin.join("git-annex")).expect("a link");
    served.set("PATH", format!("{}:{}", bin.display(), served.get("PATH")));
    let version = served.git(&["annex", "version"]).ok();
    assert!(version.stdout.starts_with("git-annex version: "), "{}", version.all());
    let mut command = served.command(&bin.join("git-annex"));
    command.args(["p2phttp", "--admin", "127.0.0.1:0", "--bind", "127.0.0.1", "--port", "0"]);
    let flags = ["--unauth-readonly", "--authenv-http", "--realm", "Gitea"];
    command.args(flags).env("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "x");
    let server = Gateway::start(&mut command);
    let path = format!("/git-annex/{}/v4/remove?clientuuid={CLIENT}&key=SHA256-s1--x", served.uuid());
    let refused = server.connect().post(&path, &[], b"");
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"Gitea\", charset=\"UTF-8\""));
    server.kill();
}

/// One process for all repositories, under the name of git-annex, too.
#[test]
fn under_the_name_git_annex_one_process_serves_all() {
    let mut home = Repo::homeless();
    let (bin, root) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    std::os::unix::fs::symlink(testbed::product(), bin.path().join("git-annex")).expect("a link");
    let uuids = ["a.git", "org/b.git"].map(|name| {
        let at = root.path().join(name).display().to_string();
        home.git(&["init", "--quiet", "--bare", &at]).ok();
        home.git(&["-C", &at, "annex", "init", "--quiet", "the server"]).ok();
        home.git(&["-C", &at, "config", "annex.uuid"]).ok().stdout.trim().to_string()
    });
    home.set("PATH", format!("{}:{}", bin.path().display(), home.get("PATH")));
    let mut command = home.command(&bin.path().join("git-annex"));
    command.args(["p2phttp", "--admin", "127.0.0.1:0", "--bind", "127.0.0.1", "--port", "0", "--wideopen"]);
    let server = Gateway::start(command.arg("--directory").arg(root.path()));
    let body = content(1, 1000);
    let key = testbed::wire::key_of(&body);
    for uuid in uuids {
        let path = |op: &str| format!("/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={key}");
        assert_eq!(server.connect().post(&path("checkpresent"), &[], b"").text(), "{\"present\":false}");
        let put = server.connect().post(&path("put"), &[&testbed::wire::length(body.len())], &body);
        assert_eq!(put.status, 200, "{}", put.text());
    }
    server.kill();
}

/// What Forgejo-aneksajo does, by its source: it starts `git annex p2phttp` for one repository, connects until that
/// works, and passes on requests as they came, with the client's Host, password and cookies, and another path. It ends it with SIGINT.
#[test]
fn a_forge_starts_it_and_passes_requests_on() {
    let mut served = Repo::bare();
    let bin = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(testbed::product(), bin.path().join("git-annex")).expect("a link");
    served.set("PATH", format!("{}:{}", bin.path().display(), served.get("PATH")));
    served.set("STREAM_HOST", "forge.example.org");
    served.set("GIT_AUTHOR_NAME", "Forgejo");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let (at, port) = (served.dir().display().to_string(), port.to_string());
    let mut command = served.command(Path::new("git"));
    command.args(["-C", &at, "annex", "p2phttp", "-J2", "--bind", "127.0.0.1", "--wideopen", "--port", &port]);
    let mut forge = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let address = format!("127.0.0.1:{port}");
    eventually("it listens", || testbed::http::Client::try_connect(&address).is_ok());
    let (body, uuid) = (content(1, 100_000), served.uuid());
    let key = testbed::wire::key_of(&body);
    let ask = |request: &str, host: &str, more: &str, body: &[u8]| {
        let mut client = testbed::http::Client::connect(&address);
        let credentials =
            "Authorization: Basic YWxpY2U6cHcgb2YgYWxpY2U=\r\nCookie: i_like_gitea=1\r\nAccept-Encoding: gzip\r\n";
        client.send(format!("{request} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: git-annex\r\n{credentials}{more}\r\n"));
        client.send(body);
        client.answer(false)
    };
    let post = |op: &str, host: &str, more: &str, body: &[u8]| {
        let path = format!("/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={key}");
        ask(&format!("POST {path}"), host, &format!("{more}Content-Length: {}\r\n", body.len()), body)
    };
    let put = format!("{}\r\n", testbed::wire::length(body.len()));
    assert_eq!(post("put", "forge.example.org", &put, &body).text(), "{\"plusuuids\":[],\"stored\":true}");
    assert_eq!(post("checkpresent", "forge.example.org:443", "", b"").text(), "{\"present\":true}");
    assert_eq!(ask(&format!("GET /git-annex/{uuid}/key/{key}"), "forge.example.org", "", b"").body, body);
    assert_eq!(post("remove", "evil.example", "", b"").status, 403, "a page whose name was made to mean 127.0.0.1");
    let pid = rustix::process::Pid::from_child(&forge);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    forge.wait().expect("it ends");
    assert!(served.git(&["-C", &at, "show", "git-annex:uuid.log"]).ok().stdout.contains(&uuid));
    eventually("nobody listens", || testbed::http::Client::try_connect(&address).is_err());
}
