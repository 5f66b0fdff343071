//! Amazon S3 and S3-compatible servers: `scheme=s3 bucket=photos host=... `.
//!
//! Objects lie where git-annex's `type=S3` puts them: `fileprefix` and the key, beside the marker `annex-uuid`. The SDK finds
//! credentials and the endpoint, and does what is rare. On plain HTTP there are connections of our own ([`wire`]): the bytes of a
//! GET, PUT or part travel on them, so that the kernel can move them, and what is asked of each file ([`small`]), which costs a
//! fraction there. Under TLS all goes through the SDK.

mod answers;
mod belief;
mod client;
mod conditions;
mod config;
mod copy;
mod credentials;
mod errors;
mod get;
mod head;
mod keys;
mod limit;
mod list;
mod multipart;
mod new_object;
mod part;
mod payload;
mod plan;
mod probe;
mod prove;
mod public;
mod put;
mod region;
mod remove;
mod sdk_body;
mod sign;
mod single;
mod small;
mod stream;
mod tree;
mod unnamed;
mod version;
mod wire;
mod xml;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
pub use config::{Config, OPTIONS};
pub use credentials::{KEY_ID, SECRET, TOKEN};

use crate::doctor::Finding;
use crate::options::Options;
use crate::retry::Backoff;
use crate::site::Whom;
use crate::{
    Capabilities, Context, Copies, Error, Get, Kind, Lists, ObjectName, Op, Put, Range, Renames, Result, Stat, Store,
    Until, Uploads, Versions, Write, late,
};
use belief::Belief;
use client::Client;
use version::Of;

/// Longest key, in bytes.
const KEY_MAX: usize = 1024;

/// What is said where no credentials are to be found.
const NOBODY: &str = "no credentials: none are kept, and no other source is configured";

/// Ranges of one object read side by side.
const WIDTH: usize = 4;

/// A bucket, or the part of one below a prefix.
pub struct S3 {
    inner: Rc<Inner>,
}

/// What the parts of an operation share.
struct Inner {
    config: Config,
    label: String,
    context: Context,
    client: Client,
    pool: Option<wire::Pool>,
    /// Where anyone can read, for whoever is nobody.
    public: Option<Rc<dyn Store>>,
    /// Whether the server sends all of an object where a part was asked for.
    ignores_ranges: Cell<bool>,
    bucket_seen: Cell<Option<Instant>>,
    /// Most bytes that one request copies on the server.
    copy_max: u64,
    belief: Belief,
}

impl S3 {
    /// Makes sense of the options. No network.
    pub fn open(options: &Options, context: &Context) -> Result<Self> {
        Self::with_pool(options, context, true, plan::PART_MAX)
    }

    /// The same, with server-side copies of more than `most` bytes in parts. For tests.
    pub fn open_with_copies(options: &Options, context: &Context, most: u64) -> Result<Self> {
        Self::with_pool(options, context, true, most)
    }

    /// The same, with all payloads through the SDK as by a proxy over TLS, also where the connection is plain. For tests.
    pub fn open_through_sdk(options: &Options, context: &Context) -> Result<Self> {
        Self::with_pool(options, context, false, plan::PART_MAX)
    }

    fn with_pool(options: &Options, context: &Context, pool: bool, copy_max: u64) -> Result<Self> {
        let config = Config::parse(options)?;
        let label = format!("s3 {}", config.bucket);
        let client = Client::new(&config, options, context)?;
        // By a proxy over TLS, to it or through it, everything goes through the SDK. What is malformed is told when something is
        // asked for.
        let connector = match client.proxy().unwrap_or_default() {
            None if config.tls => Some(wire::Connector::Tls),
            Some(proxy) if config.tls || proxy.tls => None,
            proxy => Some(wire::Connector::Plain(proxy)),
        };
        let pool = connector.filter(|_| pool).map(|connector| {
            let (host, port) = config.address(&config.region);
            wire::Pool::new(host, port, connector, Arc::clone(client.region()), context)
        });
        let public = config.publicurl.as_deref().and_then(|url| public::open(url, context));
        let (bucket_seen, ignores_ranges) = (Cell::new(None), Cell::new(false));
        let context = context.clone();
        let belief = Belief::default();
        let inner =
            Inner { config, label, context, client, pool, public, ignores_ranges, bucket_seen, copy_max, belief };
        Ok(Self { inner: Rc::new(inner) })
    }
}

impl Inner {
    /// The object's key in the bucket.
    fn key(&self, op: Op, object: &ObjectName) -> Result<String> {
        let Some(text) = object.as_str() else {
            let detail = "S3 keys are UTF-8, and this name is not";
            return Err(Error::new(op, Kind::Unsupported, detail).object(object).on(&self.label));
        };
        let key = format!("{}{text}", self.config.prefix);
        if key.len() > KEY_MAX {
            let detail = "fileprefix and key together are longer than S3's 1024 bytes";
            return Err(Error::new(op, Kind::Unsupported, detail).object(object).on(&self.label));
        }
        Ok(key)
    }

    /// The object's key, where somebody is logged in who may write it.
    async fn writable(&self, object: &ObjectName) -> Result<String> {
        self.somebody(Op::Put).await.map_err(self.name(object))?;
        self.key(Op::Put, object)
    }

    /// Errors: nobody is logged in.
    async fn somebody(&self, op: Op) -> Result<()> {
        if self.client.anonymous() {
            let detail = "nobody is logged in (signature=anonymous): this bucket can only be read";
            return Err(Error::new(op, Kind::ReadOnly, detail));
        }
        if self.client.is_nobody().await? {
            return Err(Error::new(op, Kind::NoCredentials, NOBODY));
        }
        Ok(())
    }

    /// The connections of our own, where requests are signed and go where they went at first.
    async fn signing_pool(&self) -> Result<Option<&wire::Pool>> {
        match self.pool() {
            Some(pool) if !self.client.is_nobody().await? => Ok(Some(pool)),
            _ => Ok(None),
        }
    }

    /// The connections of our own. Amazon has other hosts for other regions; to those the SDK goes.
    fn pool(&self) -> Option<&wire::Pool> {
        let moved = || self.config.endpoint.is_none() && self.client.region().learnt().is_some();
        self.pool.as_ref().filter(|_| !moved())
    }

    /// The same for payloads that are stored: checksums beside them are for the SDK to make, which does so over TLS.
    fn storing_pool(&self) -> Option<&wire::Pool> {
        self.pool().filter(|pool| pool.is_plain() || !self.config.checksums)
    }

    /// The store to read from where nobody is logged in and there is a place where anyone can.
    async fn public(&self) -> Result<Option<&Rc<dyn Store>>> {
        match &self.public {
            Some(public) if self.client.is_nobody().await? => Ok(Some(public)),
            _ => Ok(None),
        }
    }

    /// A failure to read, in the words for whoever has no credentials where some are needed.
    async fn unknown(&self, error: Error) -> Error {
        let nobody = !self.client.anonymous() && self.client.is_nobody().await.unwrap_or(false);
        match error.kind() {
            Kind::Denied | Kind::WrongKeyId | Kind::NoCredentials if nobody => Error::new(
                error.op(),
                Kind::NoCredentials,
                format!("{NOBODY}, and it is not public: {}", error.detail()),
            ),
            _ => error,
        }
    }

    /// A request failed that was to fill `key`. Under the name of a key nothing else is ever stored, so there it does no harm
    /// when it is done later.
    fn may_come_late(&self, key: &str, error: &Error) {
        if self.context.tree {
            late::failed(&self.context, &self.label, key, error);
        }
    }

    /// Puts the object's and the store's name to an error.
    fn name(&self, object: &ObjectName) -> impl Fn(Error) -> Error + use<> {
        let (label, object) = (self.label.clone(), object.clone());
        move |e| e.object(&object).on(&label)
    }
}

#[async_trait(?Send)]
impl Store for S3 {
    fn label(&self) -> &str {
        &self.inner.label
    }

    fn capabilities(&self) -> Capabilities {
        let write = if self.inner.client.is_known_nobody() { Write::ReadOnly } else { Write::Stream };
        // Side by side each range would begin with all that is before it.
        let width = if self.inner.ignores_ranges.get() { 1 } else { WIDTH };
        Capabilities { write, ranges: true, local: false, width }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        self.inner.config.info()
    }

    fn locate(&self, object: &ObjectName) -> Option<String> {
        let key = self.inner.key(Op::Stat, object).ok()?;
        self.inner.config.public_url(&key)
    }

    fn reached(&self) -> Option<(Whom, String)> {
        Some((Whom::Aws, self.inner.config.bucket_url(&self.inner.client.region().name())))
    }

    fn learnt(&self) -> Vec<(&'static str, String)> {
        self.inner.client.region().learnt().map(|region| ("region", region)).into_iter().collect()
    }

    async fn prove(&self, owner: &str) -> Result<()> {
        prove::prove(&self.inner, owner).await.map_err(|e| e.during(Op::Prove).on(&self.inner.label))
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        let inner = &self.inner;
        let key = inner.key(Op::Stat, object)?;
        if let Some(public) = inner.public().await.map_err(inner.name(object))? {
            return public.stat(&public::name(&key)?).await;
        }
        let mut backoff = Backoff::new(&inner.context);
        loop {
            match inner.head(&key).await {
                Ok(stat) => return Ok(stat),
                Err(e) => match backoff.pause(e).await {
                    Ok(()) => {}
                    Err(e) => return Err(inner.name(object)(inner.unknown(e).await)),
                },
            }
        }
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let inner = &self.inner;
        let key = inner.key(Op::Get, object)?;
        if let Some(public) = inner.public().await.map_err(inner.name(object))? {
            return public.get(&public::name(&key)?, range).await;
        }
        match get::get(inner, Of::from(&*key), range).await {
            Ok(get) => Ok(get),
            Err(e) => Err(inner.name(object)(inner.unknown(e).await)),
        }
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let key = self.inner.writable(object).await?;
        put::S3Put::open(&self.inner, object, key, len).map(|p| Box::new(p) as Box<dyn Put>)
    }

    async fn probe(&self, object: &ObjectName) -> Vec<Finding> {
        match self.inner.key(Op::Stat, object) {
            Ok(key) => probe::probe(&self.inner, &key).await,
            Err(_) => Vec::new(),
        }
    }

    /// The ETag, which is made of the content or by chance, and the length beside it.
    fn identify(&self, _: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        tag.map(|tag| format!("{len}-{}", crate::store::tree::plain(tag)))
    }

    async fn settled(&self, object: &ObjectName) {
        if let Ok(key) = self.inner.key(Op::Stat, object) {
            late::over(&self.inner.label, &key).await;
        }
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        let inner = &self.inner;
        let key = inner.key(Op::Remove, object)?;
        inner.somebody(Op::Remove).await.map_err(inner.name(object))?;
        // In a tree a removed file is gone from view, and its versions stay.
        if inner.config.versioning && !inner.context.tree {
            let detail = "versioning=yes keeps every content, so nothing can be dropped from this bucket";
            return Err(Error::new(Op::Remove, Kind::Unsupported, detail).object(object).on(&inner.label));
        }
        remove::remove(inner, &key, until).await.map_err(inner.name(object))
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.config.versioning.then_some(self)
    }

    fn renames(&self) -> Option<&dyn Renames> {
        Some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }

    fn lists(&self) -> Option<&dyn Lists> {
        Some(self)
    }
}
