//! Real git-annex at sites: public data sets in fresh clones without credentials, behind gateways without keys, by proxies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testbed::annex::{Repo, content};
use testbed::gateway::Gateway;
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, Proxy, stream};
use testbed::run::Done;
use testbed::web::{Web, free};

/// A data set: a repository with a bucket of its own, what all may read of it, and the web server that shows that.
struct DataSet {
    repo: Repo,
    key: String,
    _public: tempfile::TempDir,
    _web: Web,
    url: String,
}

impl DataSet {
    fn new() -> DataSet {
        let (repo, place, public) = (Repo::new(), Place::weed(), tempfile::tempdir().expect("a directory"));
        let web = Web::of(public.path());
        let url = format!("http://127.0.0.1:{}/data", web.port);
        let key = repo.add("file", 1, 3_000_000);
        repo.git(&["commit", "--quiet", "--message", "a file"]).ok();
        repo.initremote("cloud", &place, Whose::Ours, &["autoenable=true", &format!("publicurl={url}")]).ok();
        repo.annex(&["copy", "--quiet", "--to", "cloud"]).ok();
        let data = public.path().join("data");
        std::fs::create_dir(&data).expect("a directory");
        std::fs::write(data.join(&key), content(1, 3_000_000)).expect("written");
        let uuid = repo.git(&["config", "remote.cloud.annex-uuid"]).ok().stdout;
        std::fs::write(data.join("annex-uuid"), uuid.trim()).expect("written");
        DataSet { repo, key, _public: public, _web: web, url }
    }
}

const NONE: &str = "no credentials: none are kept, and no other source is configured";

#[test]
fn a_fresh_clone_of_a_public_data_set_needs_no_credentials() {
    let set = DataSet::new();
    let clone = Repo::clone_of(&set.repo);
    assert!(clone.git(&["config", "remote.cloud.annex-uuid"]).all().contains('-'), "it is enabled by itself");
    let whereis = clone.annex(&["whereis", "file"]).ok().stdout;
    assert!(whereis.contains(&format!("cloud: {}/{}", set.url, set.key)), "{whereis}");
    // One that was cut goes on.
    let tmp = clone.dir().join(".git/annex/tmp");
    std::fs::create_dir_all(&tmp).expect("a directory");
    std::fs::write(tmp.join(&set.key), &content(1, 3_000_000)[..1_000_000]).expect("written");
    let got = clone.annex(&["get", "--debug", "--from", "cloud", "file"]).ok();
    assert!(got.all().contains("from byte 1000000"), "{}", got.all());
    assert_eq!(clone.read("file").expect("it is there"), content(1, 3_000_000));
    clone.annex(&["fsck", "--quiet", "--from", "cloud", "file"]).ok();
    if clone.git(&["config", "remote.cloud.annex-verified"]).all().contains("automatic") {
        // git-annex itself does not let anybody write to it before.
        clone.verify("cloud", &clone.annex(&["verifyremote", "cloud"]).all());
    }
    let new = clone.add("other", 2, 1000);
    let stored = clone.annex(&["copy", "--to", "cloud", "other"]).failed();
    assert!(stored.all().contains(NONE), "{new}: {}", stored.all());
}

#[test]
fn a_gateway_without_keys_serves_what_all_may_read() {
    let set = DataSet::new();
    let repo = Repo::clone_of(&set.repo);
    repo.git(&["config", "remote.cloud.annex-proxy", "true"]).ok();
    stream(&repo, &["updateproxy"]).ok();
    // In a new clone git-annex has enabled it by itself, and nobody has looked at it.
    let client = |server: &Gateway| {
        let settings = [("remote.origin.annexUrl", &*server.url()), ("remote.origin.annex-uuid", &repo.uuid())];
        Repo::clone_with(&repo, &settings, |_| {})
    };
    if repo.git(&["config", "remote.cloud.annex-verified"]).all().contains("automatic") {
        let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
        let refused = client(&server).annex(&["get", "--from", "origin-cloud", "file"]).failed();
        assert!(refused.all().contains("verif"), "{}", refused.all());
        server.stop();
        repo.verify("cloud", &repo.annex(&["verifyremote", "cloud"]).all());
    }
    let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
    let client = client(&server);
    client.annex(&["get", "--quiet", "--from", "origin-cloud", "file"]).ok();
    assert_eq!(client.read("file").expect("it is there"), content(1, 3_000_000));
    client.annex(&["fsck", "--quiet", "--from", "origin-cloud", "file"]).ok();
    client.add("other", 2, 1000);
    let stored = client.annex(&["copy", "--to", "origin-cloud", "other"]).failed();
    assert!(stored.all().contains(NONE), "{}", stored.all());
    server.stop();
}

#[test]
fn initremote_without_credentials_says_what_is_missing() {
    let (repo, place) = (Repo::new(), Place::weed());
    let options = place.options(Whose::Ours);
    let words: Vec<&str> =
        ["initremote", "cloud", "encryption=none"].into_iter().chain(options.iter().map(String::as_str)).collect();
    let refused = repo.annex(&words).failed();
    assert!(refused.all().contains(NONE), "{}", refused.all());
}

/// A proxy that passes everything on to one port of this computer, and remembers what it was asked for.
struct Forward {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Forward {
    fn to(target: u16) -> Forward {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let hears = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&hears);
                std::thread::spawn(move || pass(stream, target, &asked));
            }
        });
        Forward { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Requests in absolute form are passed on one by one, as long as each body is as long as it says.
fn pass(mut stream: TcpStream, target: u16, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (line, rest) = head.split_once("\r\n").expect("a line");
    asked.lock().expect("no panic").push(line.to_string());
    let mut to = TcpStream::connect(("127.0.0.1", target))?;
    if line.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        let (method, url) = line.split_once(' ').expect("a method");
        let path = url.strip_prefix("http://").map_or(url, |url| &url[url.find('/').expect("a path")..]);
        let rest: Vec<&str> =
            rest.split("\r\n").filter(|l| !l.to_ascii_lowercase().starts_with("connection:")).collect();
        to.write_all(format!("{method} {path}\r\nConnection: close\r\n{}", rest.join("\r\n")).as_bytes())?;
    }
    let (mut out, mut up) = (to.try_clone()?, stream.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut up, &mut out));
    std::io::copy(&mut to, &mut stream)?;
    stream.shutdown(std::net::Shutdown::Both)
}

#[test]
fn peers_are_reached_by_the_proxy() {
    let far = Repo::new();
    let there = Gateway::serve(&far, &["--wideopen", "--quiet"]);
    let forward = Forward::to(there.port());
    let mut proxy = Proxy::new(Behind::Path(far));
    let place = format!("localhost:{}", there.port());
    let name = format!("remote.{}.annexUrl", testbed::proxy::NAME);
    proxy.repo.git(&["config", &name, &format!("annex+http://{place}/git-annex/")]).ok();
    proxy.repo.set("http_proxy", format!("http://127.0.0.1:{}", forward.port));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let client = proxy.client(&server);
    let seen = testbed::proxy::SEEN;
    let key = client.add("file", 4, 300_000);
    client.annex(&["copy", "--quiet", "--to", seen, "file"]).ok();
    client.annex(&["drop", "--quiet", "file"]).ok();
    client.annex(&["get", "--quiet", "--from", seen, "file"]).ok();
    assert_eq!(client.read("file").expect("it is there"), content(4, 300_000));
    let asked = forward.asked();
    for word in
        [format!("/checkpresent?key={key}"), format!("/key/{key}?"), format!("/put?key={key}"), "/keeplocked?".into()]
    {
        let is_asked = |line: &String| line.contains(&format!("http://{place}/")) && line.contains(&word);
        assert!(asked.iter().any(is_asked), "{word}: {asked:#?}");
    }
    server.stop();
    there.stop();
}

#[test]
fn peers_over_tls_are_tunnelled_to_and_trusted_as_git_trusts_them() {
    let far = Repo::new();
    let key = far.add("file", 5, 200_000);
    let keys = tempfile::tempdir().expect("a directory");
    let at = |name: &str| keys.path().join(name).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=far.corp.test", "-addext", "subjectAltName=DNS:far.corp.test"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-keyout", &at("key.pem"), "-out", &at("cert.pem")]).stderr(Stdio::null());
    assert!(openssl.status().expect("openssl runs").success());
    let flags = ["--wideopen", "--quiet", "--certfile", &at("cert.pem"), "--privatekeyfile", &at("key.pem")];
    let there = Gateway::serve(&far, &flags);
    let forward = Forward::to(there.port());
    let mut proxy = Proxy::new(Behind::Path(far));
    let name = testbed::proxy::NAME;
    let url = format!("annex+https://far.corp.test:{}/git-annex/", there.port());
    proxy.repo.git(&["config", &format!("remote.{name}.annexUrl"), &url]).ok();
    proxy.repo.set("https_proxy", format!("http://127.0.0.1:{}", forward.port));
    let get = |proxy: &Proxy| -> Done {
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let client = proxy.client(&server);
        let done = client.annex(&["checkpresentkey", &key, testbed::proxy::SEEN]);
        server.stop();
        done
    };
    get(&proxy).failed();
    // By a setting for that host, and by the variable.
    let setting = format!("http.https://far.corp.test:{}/.sslCAInfo", there.port());
    proxy.repo.git(&["config", &setting, &at("cert.pem")]).ok();
    get(&proxy).ok();
    proxy.repo.git(&["config", "--unset", &setting]).ok();
    proxy.repo.set("GIT_SSL_CAINFO", at("cert.pem"));
    get(&proxy).ok();
    let connect = format!("CONNECT far.corp.test:{} HTTP/1.1", there.port());
    assert!(forward.asked().contains(&connect), "{:?}", forward.asked());
    there.stop();
}

#[test]
fn doctor_shows_the_way() {
    let mut repo = Repo::new();
    let closed = free();
    repo.set("https_proxy", format!("http://me:secret@127.0.0.1:{closed}"));
    repo.set("AWS_CA_BUNDLE", "/nowhere/ca.pem");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        repo.set(name, "x");
    }
    let options = ["doctor", "scheme=s3", "bucket=bucket", "host=s3.corp.test", "protocol=https"];
    let said = stream(&repo, &options).failed().all();
    assert!(said.contains(&format!("http://127.0.0.1:{closed} (https_proxy)")), "{said}");
    assert!(said.contains("/nowhere/ca.pem (AWS_CA_BUNDLE)"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(said.contains("certificates of /nowhere/ca.pem"), "and why it does not go on: {said}");
}

/// The region is kept where git-annex keeps it.
#[test]
fn initremote_keeps_the_region_that_it_found() {
    let mut repo = Repo::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || regional(stream));
        }
    });
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        repo.set(name, "x");
    }
    let host = format!("host=127.0.0.1:{port}");
    let words = [
        "initremote",
        "cloud",
        "type=external",
        "externaltype=stream",
        "encryption=none",
        "scheme=s3",
        "bucket=bucket",
    ];
    repo.annex(&[&words[..], &[&host]].concat()).ok();
    let log = repo.git(&["show", "git-annex:remote.log"]).ok().stdout;
    assert!(log.contains(" region=eu-central-1 "), "{log}");
}

/// An S3 in eu-central-1 that keeps its marker in the name of the repository alone: it has what was put last.
fn regional(mut stream: TcpStream) -> std::io::Result<()> {
    static KEPT: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).replace("%2F", "/");
    let value =
        |name: &str| head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
    let mut body = vec![0; value("content-length").map_or(0, |(_, len)| len.parse().expect("a length"))];
    stream.read_exact(&mut body)?;
    let marker = head.lines().next().is_some_and(|line| line.contains("annex-uuid"));
    let mut kept = KEPT.lock().expect("no panic");
    let (status, body) = if !head.contains("/eu-central-1/s3/aws4_request") {
        (400, Vec::new())
    } else if head.starts_with("PUT ") {
        *kept = Some(body);
        (200, Vec::new())
    } else {
        match kept.clone().filter(|_| marker) {
            Some(content) => (200, content),
            None if head.starts_with("HEAD /bucket HTTP") || head.starts_with("HEAD /bucket/ HTTP") => {
                (200, Vec::new())
            }
            None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        }
    };
    let headers = "x-amz-bucket-region: eu-central-1\r\nETag: \"x\"\r\nConnection: close";
    let len = body.len();
    let body = if head.starts_with("HEAD ") { Vec::new() } else { body };
    stream.write_all(format!("HTTP/1.1 {status} x\r\n{headers}\r\nContent-Length: {len}\r\n\r\n").as_bytes())?;
    stream.write_all(&body)
}
