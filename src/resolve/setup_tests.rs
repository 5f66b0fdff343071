//! Setups against a pretend git-annex, which keeps settings and credentials in maps.

use super::*;

const UUID: &str = "6d09a91e-1111-2222-3333-444455556666";

/// What git-annex has, and what it was told.
#[derive(Default)]
struct Annex {
    configs: BTreeMap<String, String>,
    creds: BTreeMap<String, (String, String)>,
    asked: Vec<String>,
    told: Vec<String>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("tests use text")
}

impl Annex {
    fn with(configs: &[(&str, &str)]) -> Self {
        let configs = configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self { configs, ..Self::default() }
    }

    fn answer(&mut self, query: Query) -> Answer {
        match query {
            Query::GetConfig(name) => {
                self.asked.push(text(&name));
                Answer::Value(self.configs.get(&text(&name)).cloned().unwrap_or_default().into_bytes())
            }
            Query::GetCreds(name) => {
                // As git-annex does with a value it has not made itself.
                assert_eq!(self.configs.get(&text(&name)), None, "bad creds");
                self.asked.push(format!("creds {}", text(&name)));
                let (user, password) = self.creds.get(&text(&name)).cloned().unwrap_or_default();
                Answer::Creds { user: user.into_bytes(), password: Secret::new(password) }
            }
            Query::GetUuid => Answer::Value(UUID.into()),
            other => panic!("not a question of a setup: {other:?}"),
        }
    }

    fn hear(&mut self, note: Note) {
        match note {
            Note::SetConfig { name, value } => {
                self.told.push(format!("{}={}", text(&name), text(&value)));
                self.configs.insert(text(&name), text(&value));
            }
            Note::SetCreds { name, user, password } => {
                let (name, user, password) = (text(&name), text(&user), text(password.reveal()));
                self.told.push(format!("creds {name} {user} {password}"));
                self.creds.insert(name, (user, password));
            }
            other => panic!("not a note of a setup: {other:?}"),
        }
    }

    /// A whole conversation. What was asked and told in earlier ones is forgotten.
    fn run(&mut self, purpose: Purpose, environment: Environment) -> Result<Ready> {
        self.asked.clear();
        self.told.clear();
        let mut setup = Setup::new(purpose, environment);
        let mut answer = None;
        loop {
            match setup.next(answer.take()) {
                Step::Ask(query) => answer = Some(self.answer(query)),
                Step::Tell(note) => self.hear(note),
                Step::Failed(error) => return Err(error),
                Step::Done(ready) => return Ok(ready),
            }
        }
    }

    fn init(&mut self, environment: Environment) -> Ready {
        self.run(Purpose::Init, environment).expect("can be set up")
    }

    fn prepare(&mut self, environment: Environment) -> Ready {
        self.run(Purpose::Prepare, environment).expect("can be prepared")
    }
}

fn option(ready: &Ready, name: &str) -> Option<String> {
    ready.options.bytes(name).map(text)
}

fn bare(_: &str) -> Option<Vec<u8>> {
    None
}

fn aws(name: &str) -> Option<Vec<u8>> {
    match name {
        "AWS_ACCESS_KEY_ID" => Some(b"AKIA".to_vec()),
        "AWS_SECRET_ACCESS_KEY" => Some(b"s3 cret".to_vec()),
        _ => None,
    }
}

fn aws_session(name: &str) -> Option<Vec<u8>> {
    match name {
        "AWS_ACCESS_KEY_ID" => Some(b"ASIA".to_vec()),
        "AWS_SECRET_ACCESS_KEY" => Some(b"passing".to_vec()),
        "AWS_SESSION_TOKEN" => Some(b"tok".to_vec()),
        _ => None,
    }
}

fn keys(ready: &Ready) -> [Option<String>; 3] {
    [s3::KEY_ID, s3::SECRET, s3::TOKEN].map(|name| option(ready, name))
}

fn some(values: [&str; 3]) -> [Option<String>; 3] {
    values.map(|value| (!value.is_empty()).then(|| value.to_string()))
}

#[test]
fn prepare_asks_only_what_the_scheme_knows() {
    let mut annex = Annex::with(&[("scheme", "fs"), ("directory", "/mnt/d")]);
    let ready = annex.prepare(bare);
    assert_eq!(annex.asked, ["scheme", "directory"]);
    assert_eq!(option(&ready, "directory").as_deref(), Some("/mnt/d"));
    assert_eq!((ready.owner, ready.scheme.name), (None, "fs"));
    assert!(annex.told.is_empty());
}

#[test]
fn init_without_prepare_asks_for_the_uuid_too() {
    let mut annex = Annex::with(&[("scheme", "fs"), ("directory", "/mnt/d")]);
    assert_eq!(annex.init(bare).owner.as_deref(), Some(UUID));
}

#[test]
fn schemes_are_named_when_theirs_is_missing_or_misspelt() {
    for (scheme, says) in [("", "scheme= is missing; it is one of fs, s3"), ("S3", "not \"S3\"")] {
        let error = Annex::with(&[("scheme", scheme)]).run(Purpose::Init, bare).expect_err("refused");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn an_option_of_another_scheme_is_refused_at_init() {
    let mut annex = Annex::with(&[("scheme", "fs"), ("directory", "/mnt/d"), ("bucket", "photos")]);
    let error = annex.run(Purpose::Init, bare).expect_err("refused");
    assert!(error.to_string().contains("bucket= is not an option of scheme=fs"), "{error}");
    annex.prepare(bare);
}

#[test]
fn what_git_annex_makes_useless_in_a_tree_is_refused_at_init() {
    for (tree, versioning) in [("exporttree", "yes"), ("importtree", "yes"), ("exporttree", "no")] {
        let mut annex = Annex::with(&[("scheme", "s3"), ("bucket", "b"), (tree, "yes"), ("versioning", versioning)]);
        let refused = annex.run(Purpose::Init, bare).expect_err("refused").to_string();
        assert!(refused.contains("versions=yes"), "{refused}");
    }
    for more in [("exporttree", "no"), ("versions", "yes")] {
        Annex::with(&[("scheme", "s3"), ("bucket", "b"), ("versioning", "yes"), more]).init(bare);
    }
    let ready =
        Annex::with(&[("scheme", "s3"), ("bucket", "b"), ("exporttree", "yes"), ("versions", "yes")]).init(bare);
    assert_eq!(option(&ready, "versions").as_deref(), Some("yes"));
}

#[test]
fn a_bucket_is_named_after_the_remote_once() {
    let mut annex = Annex::with(&[("scheme", "s3"), ("name", "Photos")]);
    let bucket = format!("photos-{UUID}");
    assert_eq!(option(&annex.init(bare), "bucket"), Some(bucket.clone()));
    assert_eq!(annex.told, [format!("bucket={bucket}")]);
    annex.init(bare);
    assert!(annex.told.is_empty(), "{:?}", annex.told);
    assert_eq!(option(&annex.prepare(bare), "bucket"), Some(bucket));
}

#[test]
fn s3_keys_are_kept_at_init_and_found_at_prepare() {
    let mut annex = Annex::with(&[("scheme", "s3"), ("bucket", "photos")]);
    assert_eq!(keys(&annex.init(aws)), some(["AKIA", "s3 cret", ""]));
    assert_eq!(annex.told, ["creds s3creds AKIA s3 cret"]);
    assert_eq!(keys(&annex.prepare(bare)), some(["AKIA", "s3 cret", ""]));
    // Again with the same, and again with none: nothing changes.
    annex.init(aws);
    assert!(annex.told.is_empty(), "{:?}", annex.told);
    assert_eq!(keys(&annex.init(bare)), some(["AKIA", "s3 cret", ""]));
    assert!(annex.told.is_empty(), "{:?}", annex.told);
}

#[test]
fn the_environment_wins_over_what_is_kept_and_prepare_keeps_nothing() {
    let mut annex = Annex::with(&[("scheme", "s3"), ("bucket", "photos")]);
    annex.init(aws);
    assert_eq!(keys(&annex.prepare(aws_session)), some(["ASIA", "passing", "tok"]));
    assert!(annex.told.is_empty(), "{:?}", annex.told);
}

#[test]
fn a_token_goes_when_long_lived_keys_come() {
    let mut annex = Annex::with(&[("scheme", "s3"), ("bucket", "photos")]);
    annex.init(aws_session);
    assert_eq!(annex.told, ["creds s3creds ASIA passing", "creds s3session token tok"]);
    assert_eq!(keys(&annex.prepare(bare)), some(["ASIA", "passing", "tok"]));
    annex.init(aws);
    assert_eq!(annex.told, ["creds s3creds AKIA s3 cret", "creds s3session token "]);
    assert_eq!(keys(&annex.prepare(bare)), some(["AKIA", "s3 cret", ""]));
}

#[test]
fn no_keys_are_kept_where_others_are_used() {
    for (name, value) in [("profile", "work"), ("signature", "anonymous")] {
        let mut annex = Annex::with(&[("scheme", "s3"), ("bucket", "photos"), (name, value)]);
        assert_eq!(keys(&annex.init(aws)), some(["", "", ""]), "{name}");
        assert!(annex.told.is_empty(), "{:?}", annex.told);
    }
}

#[test]
fn a_secret_option_moves_to_the_credentials() {
    let mut annex = Annex::with(&[("scheme", "webdav"), ("endpoint", "https://h"), ("password", "hunter 2")]);
    let ready = annex.init(bare);
    assert_eq!(annex.told, ["password=", "creds password-creds password hunter 2"]);
    assert_eq!(option(&ready, "password").as_deref(), Some("hunter 2"));
    let ready = annex.prepare(bare);
    assert!(!annex.asked.contains(&"password".to_string()), "{:?}", annex.asked);
    assert_eq!(option(&ready, "password").as_deref(), Some("hunter 2"));
    assert_eq!(option(&ready, "username"), None);
    annex.init(bare);
    assert!(annex.told.is_empty(), "{:?}", annex.told);
}

#[test]
fn a_secret_may_come_from_the_environment() {
    let stream: Environment = |name| (name == "STREAM_PASSWORD").then(|| b"new".to_vec());
    let mut annex = Annex::with(&[("scheme", "webdav"), ("username", "joe")]);
    annex.creds.insert("password-creds".into(), ("password".into(), "old".into()));
    assert_eq!(option(&annex.prepare(bare), "password").as_deref(), Some("old"));
    assert_eq!(option(&annex.prepare(stream), "password").as_deref(), Some("new"));
    assert_eq!(option(&annex.init(stream), "username").as_deref(), Some("joe"));
    assert_eq!(annex.told, ["creds password-creds password new"]);
}

#[test]
fn webdav_takes_the_variables_of_git_annex_and_keeps_the_user_too() {
    let webdav: Environment = |name| match name {
        "WEBDAV_USERNAME" => Some(b"joe".to_vec()),
        "WEBDAV_PASSWORD" => Some(b"pw".to_vec()),
        _ => None,
    };
    let mut annex = Annex::with(&[("scheme", "webdav"), ("endpoint", "https://h")]);
    annex.init(webdav);
    assert_eq!(annex.told, ["creds password-creds joe pw"]);
    let ready = annex.prepare(bare);
    assert_eq!((option(&ready, "username"), option(&ready, "password")), (Some("joe".into()), Some("pw".into())));
}

#[test]
fn values_no_line_can_hold_are_refused_by_name() {
    let newline: Environment = |name| {
        aws(name).map(|mut value| {
            value.push(b'\n');
            value
        })
    };
    let error =
        Annex::with(&[("scheme", "s3"), ("bucket", "photos")]).run(Purpose::Init, newline).expect_err("refused");
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID= holds a newline"), "{error}");
    assert!(!error.to_string().contains("AKIA"), "{error}");
}
