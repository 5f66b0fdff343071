//! The table, against OpenDAL and the documentation; the examination, on services that need no server.

use super::*;
use crate::conformance;

/// Values that make every service that is built open.
fn sample(service: &Service) -> Options {
    let mut options = Options::new();
    for name in service.required {
        let value = match (service.scheme, *name) {
            ("sftp", "endpoint") => "ssh://127.0.0.1:1".into(),
            ("ftp", "endpoint") => "ftp://127.0.0.1:1".into(),
            ("redis", "endpoint") => "redis://127.0.0.1:1".into(),
            ("mongodb" | "gridfs", "connection_string") => "mongodb://127.0.0.1:1".into(),
            ("hdfs-native", _) => "hdfs://127.0.0.1:1".into(),
            ("aliyun-drive", "drive_type") => "default".into(),
            ("ipfs", "root") => "/ipfs/Qm".into(),
            (_, "endpoint") => "http://127.0.0.1:1".into(),
            (_, other) => format!("some-{other}"),
        };
        options.set(*name, value);
    }
    for name in ["access_token", "token", "root"] {
        if service.options.iter().any(|o| o.name == name) && options.bytes(name).is_none() {
            options.set(name, "some");
        }
    }
    options
}

fn pairs(options: &Options) -> Vec<(String, String)> {
    options.iter().map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v).into_owned())).collect()
}

fn built() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|s| s.is_built())
}

fn opened(service: &'static Service) -> OpendalStore {
    open_service(service, &sample(service), &Context::default()).unwrap_or_else(|e| panic!("{}: {e}", service.scheme))
}

#[test]
fn every_option_is_one_that_opendal_knows() {
    assert!(built().any(|s| s.scheme == "webdav"), "the default set is built");
    for service in built() {
        let known = service.known.expect("known where it is built")(pairs(&sample(service)));
        for option in service.options {
            assert!(known.iter().any(|k| k == option.name), "{}: no {}= in {known:?}", service.scheme, option.name);
        }
        for name in service.required {
            assert!(service.options.iter().any(|o| o.name == *name), "{}: {name}=", service.scheme);
        }
    }
}

#[test]
fn an_option_means_the_same_wherever_it_occurs() {
    let secret_words = ["password", "token", "secret", "credential", "delegation", "connection_string"];
    let mut all: std::collections::BTreeMap<&str, bool> = Default::default();
    for option in SERVICES.iter().flat_map(|s| s.options) {
        let secret = *all.entry(option.name).or_insert(option.secret);
        assert_eq!(secret, option.secret, "{}= is a secret here and none there", option.name);
        let looks = secret_words.iter().any(|w| option.name.ends_with(w)) || option.name.ends_with("_key");
        assert!(!looks || secret || option.name == "key", "{}= looks like a secret", option.name);
    }
}

#[test]
fn a_missing_option_is_named() {
    for service in built() {
        for name in service.required {
            let mut options = sample(service);
            options.set(*name, "");
            let e = open_service(service, &options, &Context::default()).err().expect("refused");
            assert_eq!(e.kind(), Kind::Option, "{e}");
            assert!(e.to_string().contains(&format!("{name}= is missing")), "{}: {e}", service.scheme);
        }
    }
}

#[test]
fn a_value_that_makes_no_sense_is_named() {
    for (scheme, name, value) in [
        ("webdav", "memory-cap", "much"),
        ("azblob", "skip_signature", "perhaps"),
        ("sftp", "known_hosts_strategy", "hope"),
        ("nosuch", "scheme", ""),
    ] {
        let mut options = service(scheme).map(sample).unwrap_or_default();
        options.set(name, value);
        let e = open(scheme, &options, &Context::default()).err().expect("refused");
        assert_eq!(e.kind(), Kind::Option, "{e}");
        assert!(e.to_string().replace("known_hosts strategy", "known_hosts_strategy").contains(name), "{e}");
    }
}

#[test]
fn the_table_agrees_with_what_opendal_can() {
    let mut wrong = Vec::new();
    for service in built() {
        let store = opened(service);
        let can = store.link.can();
        let writes = service.intake != Intake::Nothing;
        let write = match (service.intake, store.capabilities().write) {
            (Intake::Parts(_) | Intake::Stream, write) => write == Write::Stream,
            (Intake::Whole, write) => matches!(write, Write::Memory(_)),
            (Intake::Nothing, write) => write == Write::ReadOnly,
        };
        for (fine, what) in [
            (write, "write"),
            (can.read && can.stat, "read"),
            (!writes || can.write && can.delete, "delete"),
            (service.commit != Commit::Rename || can.rename, "rename"),
        ] {
            if !fine {
                wrong.push((service.scheme, what));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn names_that_would_not_come_back_are_refused() {
    let store = opened(service("webdav").expect("in the table"));
    let white = [b" a", &b"a "[..], b"a\t", "\u{3000}a".as_bytes()];
    let bad = [&b"a//b"[..], b"/a", b"a/", b"../a", b"a/./b", b"caf\xe9", b"a\rb", b"a\x1bb", "a\u{85}b".as_bytes()];
    for bad in bad.into_iter().chain(white) {
        let name = ObjectName::new(bad).expect("a name");
        assert_eq!(store.path(Op::Stat, &name).expect_err("refused").kind(), Kind::Unsupported, "{name:?}");
    }
    for good in ["a b", "a\tb", "a\\b", "a/ b/c", "100%", "..a", "a?b#c"] {
        let name = ObjectName::new(good).expect("a name");
        assert_eq!(store.path(Op::Stat, &name).expect("accepted"), good);
    }
}

#[test]
fn an_object_has_an_url_without_secrets() {
    let mut options = Options::new();
    options.set("endpoint", "https://me:hunter2@host/dav/");
    options.set("root", "/annex/");
    options.set("password", "hunter3");
    let store = open("webdav", &options, &Context::default()).expect("opens");
    let name = ObjectName::new("a b/x%y").expect("a name");
    assert_eq!(store.locate(&name).as_deref(), Some("https://host/dav/annex/a%20b/x%25y"));
    let all = format!("{} {:?}", store.label(), store.info());
    assert!(!all.contains("hunter"), "{all}");
}

#[test]
fn only_reading_is_done_where_only_reading_can_be() {
    let store = opened(service("http").expect("in the table"));
    let name = ObjectName::new("a").expect("a name");
    crate::sys::run(false, async {
        assert_eq!(store.put(&name, 1).await.err().expect("refused").kind(), Kind::ReadOnly);
        assert_eq!(store.remove(&name).await.expect_err("refused").kind(), Kind::ReadOnly);
    })
    .expect("a runtime");
}

const ROOT_ONLY: &[Spec] = &[Spec::plain("root", "")];

fn bare(scheme: &'static str, layout: Layout, intake: Intake, commit: Commit, build: service::Build) -> Service {
    Service {
        scheme,
        feature: "",
        layout,
        intake,
        commit,
        width: 2,
        required: &[],
        options: ROOT_ONLY,
        note: "",
        tried: None,
        build: Some(build),
        known: None,
    }
}

/// Runs the examination on a service of OpenDAL's that stands in for all that are used in the same way.
fn examined(service: Service, root: &str) {
    let service: &'static Service = Box::leak(Box::new(service));
    let mut options = Options::new();
    options.set("root", root);
    for uring in [false, true] {
        let context = Context::default();
        let store: Rc<dyn Store> = Rc::new(open_service(service, &options, &context).expect("opens"));
        crate::sys::run(uring, conformance::examine(&store, &context)).expect("a runtime");
        assert_eq!(context.budget.free(), context.budget.total(), "all memory was given back");
    }
}

#[test]
fn conformance_of_a_stream_that_is_renamed() {
    let dir = tempfile::tempdir().expect("a directory");
    let build: service::Build = opendal::Operator::from_iter::<opendal::services::Fs>;
    let root = dir.path().join("root");
    examined(bare("fs", Layout::Tree, Intake::Stream, Commit::Rename, build), root.to_str().expect("UTF-8"));
    let left = std::fs::read_dir(root.join("tmp")).expect("the stage").count();
    assert_eq!(left, 0, "nothing is left of all the aborted puts");
}

#[test]
fn conformance_of_parts_that_the_service_commits() {
    let build: service::Build = memory;
    examined(bare("memory", Layout::Flat, Intake::Parts(10_000), Commit::Service, build), "/");
}

#[test]
fn conformance_of_whole_objects() {
    let build: service::Build = memory;
    examined(bare("memory", Layout::Flat, Intake::Whole, Commit::Check, build), "/");
}

fn memory(_: Vec<(String, String)>) -> opendal::Result<opendal::Operator> {
    opendal::Operator::new(opendal::services::Memory::default())
}

#[test]
fn the_table_of_services_is_the_documented_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/stores.md");
    let (begin, end) = ("<!-- opendal: begin -->\n", "<!-- opendal: end -->");
    let text = std::fs::read_to_string(path).expect("docs/stores.md");
    let (head, rest) = text.split_once(begin).expect("the table's begin");
    let (old, tail) = rest.split_once(end).expect("the table's end");
    let new = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{begin}{new}{end}{tail}")).expect("written");
    } else {
        assert!(old == new, "docs/stores.md is not what the code says: run this test with UPDATE_DOCS=1");
    }
}

fn table() -> String {
    let mut out = String::from(
        "| scheme | write | unfinished objects | layout | options (required in bold, secrets in italics) | tried with, and when | notes |\n|---|---|---|---|---|---|---|\n",
    );
    for s in SERVICES {
        let write = match s.intake {
            Intake::Parts(_) => "stream, in parts",
            Intake::Stream => "stream",
            Intake::Whole => "memory",
            Intake::Nothing => "read-only",
        };
        let commit = match (s.intake, s.commit) {
            (Intake::Nothing, _) => "-",
            (_, Commit::Service) => "kept back by the service",
            (_, Commit::Rename) => "under another name, then renamed",
            (_, Commit::Check) => "may be seen; removed when wrong",
        };
        let layout = match s.layout {
            Layout::Tree => "tree",
            Layout::Flat => "flat",
        };
        let options: Vec<String> = s
            .options
            .iter()
            .map(|o| {
                let name = if o.secret { format!("*{}*", o.name) } else { o.name.to_string() };
                if s.required.contains(&o.name) { format!("**{name}**") } else { name }
            })
            .collect();
        let default = if DEFAULT.contains(&s.scheme) { "" } else { " †" };
        out.push_str(&format!(
            "| {}{default} | {write} | {commit} | {layout} | {} | {} | {} |\n",
            s.scheme,
            options.join(", "),
            s.tried.unwrap_or("never"),
            s.note
        ));
    }
    out
}

/// What the feature `default` builds, as Cargo.toml says.
const DEFAULT: &[&str] = &["webdav", "sftp", "azblob", "gcs", "b2", "swift", "http"];

#[test]
fn the_default_set_is_what_cargo_builds() {
    let manifest = include_str!("../../Cargo.toml");
    let list = |name: &str| {
        let (_, rest) = manifest.split_once(&format!("\n{name} = [\n")).expect("a list");
        let (list, _) = rest.split_once("]\n").expect("its end");
        list.lines().map(|l| l.trim().trim_matches([',', '"']).to_string()).collect::<Vec<_>>()
    };
    let features = |all: &[&str]| all.iter().map(|s| format!("service-{s}")).collect::<Vec<_>>();
    assert_eq!(list("default"), features(DEFAULT));
    assert_eq!(list("services-all"), SERVICES.iter().map(|s| s.feature.to_string()).collect::<Vec<_>>());
}
