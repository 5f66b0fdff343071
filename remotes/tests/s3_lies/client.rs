//! A client of a liar: what it does, and how its requests travel.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remotes::conformance::pattern;
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Error, Kind, ObjectName, Range, Resumption, Store, put_stream};

use crate::liar::{Liar, Lie, Request};

/// Patience of a test whose server answers.
pub fn context() -> Context {
    let (idle, connect) = (Duration::from_secs(30), Duration::from_secs(30));
    Context { first_pause: Duration::from_millis(1), idle, connect, ..Context::default() }
}

/// How payloads travel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lane {
    Wire,
    Sdk,
}

pub const LANES: [Lane; 2] = [Lane::Wire, Lane::Sdk];

pub fn options(port: u16) -> Options {
    let mut o = Options::new();
    let port = port.to_string();
    for (name, value) in [("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &*port), ("requeststyle", "path")] {
        o.set(name, value);
    }
    o.set("partsize", "5MiB");
    o.set(KEY_ID, "k");
    o.set(SECRET, "s");
    o
}

pub fn open(port: u16, lane: Lane, context: &Context) -> Rc<dyn Store> {
    let store = match lane {
        Lane::Wire => S3::open(&options(port), context),
        Lane::Sdk => S3::open_through_sdk(&options(port), context),
    };
    Rc::new(store.expect("good options"))
}

pub fn on<T>(f: impl Future<Output = T>) -> T {
    remotes::sys::run(false, f).expect("a runtime")
}

pub fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

pub fn file(content: &[u8]) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

/// Everything a client does, in one word each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Do {
    Stat,
    Get,
    GetPart,
    Put,
    PutStream,
    PutParts,
    Rename,
    RenameInParts,
    Remove,
    List,
    Resume,
    Abandon,
}

pub const OLD: &[u8] = b"old content";
pub const BIG: usize = (5 << 20) + 11;

impl Do {
    pub async fn run(self, port: u16, lane: Lane, context: &Context) -> Result<(), Error> {
        let store = match self {
            Do::RenameInParts => {
                let store = S3::open_with_copies(&options(port), context, 5 << 20).expect("good options");
                Rc::new(store) as Rc<dyn Store>
            }
            _ => open(port, lane, context),
        };
        let upload = Resumption { token: b"u1".to_vec(), step: 5 << 20 };
        match self {
            Do::Stat => store.stat(&name("a")).await.map(drop),
            Do::Get | Do::GetPart => {
                let part = Range { from: 2, len: Some(3), tag: None };
                let range = if self == Do::Get { Range::default() } else { part };
                let get = store.get(&name("a"), range).await?;
                let got = remotes::retrieve::collect(get, 1 << 20, context).await?;
                assert_eq!(got, if self == Do::Get { OLD } else { &OLD[2..5] }, "other bytes were taken");
                Ok(())
            }
            Do::Put | Do::PutParts => {
                let from = if self == Do::Put { file(OLD) } else { file(&pattern(1, BIG)) };
                let mut put = store.put(&name("n"), from.len).await?;
                if let Err(e) = put.fill(&from, &Meter::new()).await {
                    let _ = put.abort().await;
                    return Err(e);
                }
                put.commit().await.map(drop)
            }
            Do::PutStream => {
                let content = pattern(1, 1 << 20);
                let mut put = put_stream(&*store, &name("n"), content.len() as u64).await?;
                put.write(content).await?;
                put.commit().await.map(drop)
            }
            Do::Rename => store.renames().expect("it can").rename(&name("a"), &name("n")).await,
            Do::RenameInParts => store.renames().expect("it can").rename(&name("big"), &name("n")).await,
            Do::Remove => store.remove(&name("a")).await,
            Do::List => {
                let mut list = store.lists().expect("it can").list(None).await?;
                while list.next().await?.is_some() {}
                Ok(())
            }
            Do::Resume => {
                let marks = [remotes::Mark { end: 5 << 20, tag: b"x".to_vec() }];
                match store.uploads().expect("it has some").resume(&name("n"), BIG as u64, &upload, &marks).await? {
                    Some(_) => Ok(()),
                    None => Err(Error::new(remotes::Op::Put, Kind::NotFound, "it is not gone on with")),
                }
            }
            Do::Abandon => store.uploads().expect("it has some").abandon(&name("n"), &upload).await,
        }
    }
}

pub fn liar(faults: impl Fn(&Request) -> Option<Lie> + Send + Sync + 'static) -> Liar {
    let liar = Liar::start(faults);
    liar.put("a", OLD);
    // What a copy must not be taken for.
    liar.put("n", b"OTHER WORDS");
    liar.put("big", &pattern(1, BIG));
    liar
}
