//! Every other service, through OpenDAL: `scheme=webdav endpoint=...`, with OpenDAL's own option names.
//!
//! The table [`SERVICES`] says how each is used. Where a service may show an unfinished object, objects are written under another
//! name (see `staging`) and renamed; where it takes an object only whole, they are collected in memory up to `memory-cap=`.

mod errors;
mod guard;
mod link;
mod put;
mod read;
#[cfg(test)]
mod replaced;
mod service;
mod staged;
mod staging;
mod tag;
#[cfg(test)]
mod tests;
mod transport;
mod tree;

use annex_types::size;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::budget::BLOCK;
use crate::fold::Folding;
use crate::options::{Options, Spec, bad};
use crate::pump::Source;
use crate::retrieve::read_small;
use crate::site::Whom;
use crate::store::folding;
use crate::{
    Capabilities, Context, Copies, Directories, Error, Get, Kind, Lists, ObjectName, Op, Put, Range, Renames, Result,
    Stat, Store, Until, Write, is_strong,
};
use link::Link;
use service::Intake;
pub use service::{Commit, Layout, SERVICES, Service};
use staging::unique;

/// Options of this program, for all services alike. Those of the services themselves are in [`SERVICES`].
pub const OPTIONS: &[Spec] =
    &[Spec::plain("memory-cap", "OpenDAL: largest object held in memory for services that take it only whole (64MiB)")];

/// Value of `memory-cap=` where it is not given, in bytes.
pub const MEMORY_CAP: u64 = 64 << 20;

/// The service that `scheme` names, in this build or not.
pub fn service(scheme: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|s| s.scheme == scheme)
}

/// Opens a service. No network.
///
/// # Errors
///
/// `Option` where the scheme is unknown or not in this build, or an option is missing or invalid.
pub fn open(scheme: &str, options: &Options, context: &Context) -> Result<OpendalStore> {
    let service = service(scheme).ok_or_else(|| bad("scheme", &format!("{scheme:?} is unknown")))?;
    open_service(service, options, context)
}

fn open_service(service: &'static Service, options: &Options, context: &Context) -> Result<OpendalStore> {
    let build = service.build.ok_or_else(|| {
        let what = format!("{} is not in this build (cargo feature remotes/{})", service.scheme, service.feature);
        bad("scheme", &what)
    })?;
    for name in service.required {
        options.required(name)?;
    }
    let mut given = Vec::new();
    let mut secrets = Vec::new();
    let mut info = Vec::new();
    for spec in service.options {
        let Some(value) = options.text(spec.name)? else { continue };
        given.push((spec.name.to_string(), value.to_string()));
        if spec.secret {
            secrets.push(value.to_string());
        } else {
            info.push((spec.name, errors::redact(value, &[])));
        }
    }
    let cap = options.size("memory-cap")?.unwrap_or(MEMORY_CAP).min(context.budget.total());
    let place = ["bucket", "container", "endpoint"].iter().find_map(|n| info.iter().find(|(name, _)| name == n));
    let label =
        [Some(service.scheme), place.map(|(_, v)| v.as_str())].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let operator = build(given).map_err(|e| {
        let error = errors::explain(Op::Open, service.scheme, &e, None, &secrets);
        // Whatever a service dislikes before there was any network is something it was told.
        Error::new(Op::Open, Kind::Option, error.detail()).on(&label)
    })?;
    let endpoint = options.text("endpoint")?;
    let link = Link::new(service, operator, label, secrets, endpoint, context);
    Ok(OpendalStore { link: Rc::new(link), cap, info })
}

/// A service that OpenDAL speaks to.
pub struct OpendalStore {
    link: Rc<Link>,
    cap: u64,
    info: Vec<(&'static str, String)>,
}

impl OpendalStore {
    /// The object's path, one that OpenDAL passes on as it is.
    fn path<'a>(&self, op: Op, object: &'a ObjectName) -> Result<&'a str> {
        let no = |what: &str| self.link.error(op, Kind::Unsupported, what).object(object);
        object.components().map_err(|e| no(&e.to_string()))?;
        let path = object.as_str().ok_or_else(|| no("names must be UTF-8 on this service"))?;
        self.link.service.keeps(path).map_err(no)?;
        Ok(path)
    }

    fn writes(&self) -> Write {
        let can = self.link.can();
        match self.link.service.intake {
            Intake::Nothing => Write::ReadOnly,
            _ if !can.write => Write::ReadOnly,
            Intake::Parts(_) | Intake::Stream if can.write_can_multi => Write::Stream,
            _ => Write::Memory(can.write_total_max_size.map_or(self.cap, |most| self.cap.min(most as u64))),
        }
    }

    fn read_only(&self, op: Op) -> Result<()> {
        if self.capabilities().write == Write::ReadOnly {
            return Err(self.link.error(op, Kind::ReadOnly, "this service can only be read"));
        }
        Ok(())
    }

    fn prove_name(&self) -> Result<ObjectName> {
        let dir = if self.link.context.tree { ".git/annex/stream-tmp/" } else { "" };
        let name = format!("{dir}stream-proof-{}", unique());
        ObjectName::new(name).map_err(|e| self.link.error(Op::Prove, Kind::Other, e.to_string()))
    }

    async fn prove_writes(&self) -> Result<()> {
        if self.link.service.layout == Layout::Tree && self.link.can().create_dir {
            self.link.often(Op::Prove, |o| async move { o.create_dir("/").await }).await?;
        }
        let marker = self.prove_name()?;
        let content = Bytes::from(format!("{} wrote this to prove that it can\n", unique()));
        let mut put = self.put(&marker, content.len() as u64).await?;
        put.write(content.clone()).await?;
        put.commit().await?;
        let got = read_small(self, &marker, BLOCK as u64, &self.link.context).await;
        let removed = self.remove(&marker).await;
        if self.link.context.tree && removed.is_ok() {
            // Others may be using it; then they are done last.
            let _ = self.link.remove_empty(".git/annex/stream-tmp").await;
            self.link.tidy().await;
        }
        if got? != content {
            return Err(self.link.error(Op::Prove, Kind::Protocol, "what was written is not what is read"));
        }
        removed?;
        match self.stat(&marker).await? {
            None => Ok(()),
            Some(_) => Err(self.link.error(Op::Prove, Kind::Protocol, "what was removed is still there")),
        }
    }
}

#[async_trait(?Send)]
impl Store for OpendalStore {
    fn label(&self) -> &str {
        &self.link.label
    }

    fn capabilities(&self) -> Capabilities {
        let write = self.writes();
        Capabilities {
            write,
            ranges: true,
            local: false,
            // Side by side each of them would begin with all that is before it; and where no request can depend on a tag, they might be
            // of several objects.
            width: match self.link.client.ignores_ranges() || !self.link.can().read_with_if_match {
                true => 1,
                false => self.link.service.width,
            },
        }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        let mut info = self.info.clone();
        if let Write::Memory(cap) = self.capabilities().write {
            info.push(("memory-cap", size::show(cap)));
        }
        info
    }

    fn reached(&self) -> Option<(Whom, String)> {
        let (_, url) = self.info.iter().find(|(name, url)| *name == "endpoint" && url.starts_with("http"))?;
        Some((Whom::Others, url.clone()))
    }

    fn locate(&self, object: &ObjectName) -> Option<String> {
        if !matches!(self.link.service.scheme, "webdav" | "http") {
            return None;
        }
        let path = self.path(Op::Stat, object).ok()?;
        let given = |name| self.info.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v.trim_matches('/'));
        let root = match given("root") {
            "" => String::new(),
            root => format!("{root}/"),
        };
        Some(format!("{}/{}", given("endpoint"), encode(&format!("{root}{path}"))))
    }

    async fn prove(&self, _owner: &str) -> Result<()> {
        let proven = async {
            let nobody = self.prove_name()?;
            if self.link.look(Op::Prove, self.path(Op::Prove, &nobody)?).await?.is_some() {
                let what = "says that an object is there which cannot be: this is not the service it is meant to be";
                return Err(self.link.error(Op::Prove, Kind::Protocol, what));
            }
            match self.capabilities().write {
                Write::ReadOnly => Ok(()),
                _ => self.prove_writes().await,
            }
        };
        proven.await.map_err(|e| e.during(Op::Prove).on(&self.link.label))
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        let path = self.path(Op::Stat, object)?;
        let mut found = self.link.look(Op::Stat, path).await.map_err(|e| e.object(object))?;
        if found.is_some() && !self.link.is_exact(Op::Stat, path).await.map_err(|e| e.object(object))? {
            found = None;
        }
        if found.is_none() {
            self.link.place(Op::Stat).await.map_err(|e| e.object(object))?;
        }
        Ok(found)
    }

    // Not tried again here: whoever reads knows what already arrived, and asks for the rest.
    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let path = self.path(Op::Get, object)?;
        let about = |e: Error| e.during(Op::Get).object(object);
        let known = range.tag.as_deref().and_then(|tag| self.link.known(path, tag));
        let is_known = known.is_some();
        let stat = match known {
            Some(stat) => stat,
            None => match self.stat(object).await.map_err(about)? {
                Some(stat) => stat,
                None => return Err(self.link.error(Op::Get, Kind::NotFound, "is not there").object(object)),
            },
        };
        if range.tag.is_some() && stat.tag.is_some() && range.tag != stat.tag {
            return Err(self.link.error(Op::Get, Kind::Corrupt, "the object changed").object(object));
        }
        let from = range.from.min(stat.len);
        let len = (stat.len - from).min(range.len.unwrap_or(u64::MAX));
        if len == 0 {
            let source = Source::Stream(Box::new(read::Nothing));
            return Ok(Get { len, total: stat.len, tag: stat.tag, source });
        }
        let call = self.link.call_for(transport::Answers::Content);
        call.watch.expect(stat.len);
        let tag = stat.tag.clone().filter(|t| self.link.can().read_with_if_match && is_strong(t));
        match &tag {
            // Nobody looked at it now, so what comes has to say that it is the same.
            Some(tag) if is_known => call.watch.expect_tag(tag),
            Some(_) => self.link.remember(path, &stat),
            None => {}
        }
        let opened = async {
            let reader = call.operator.reader_with(path);
            let reader = match tag {
                Some(tag) => reader.if_match(&tag).await?,
                None => reader.await?,
            };
            let mut stream = reader.into_stream(from..from + len).await?;
            // Nothing is asked of the service before the first bytes are: a refusal is to come now, and not behind a promise.
            let first = stream.next().await.transpose()?.unwrap_or_default();
            Ok((stream, first))
        };
        let (stream, first) = self.link.watched(Op::Get, &call.watch, opened, |_| {}).await.map_err(about)?;
        let reading = read::Reading {
            link: Rc::clone(&self.link),
            watch: call.watch,
            stream,
            object: object.clone(),
            left: len,
            rest: first,
        };
        Ok(Get { len, total: stat.len, tag: stat.tag, source: Source::Stream(Box::new(reading)) })
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let path = self.path(Op::Put, object)?;
        self.read_only(Op::Put).map_err(|e| e.object(object))?;
        if let Write::Memory(cap) = self.capabilities().write
            && len > cap
        {
            let detail = format!(
                "{} is more than the {} that this service is given from memory; use chunk= (or raise memory-cap=)",
                size::show(len),
                size::show(cap)
            );
            return Err(self.link.error(Op::Put, Kind::TooLarge, detail).object(object));
        }
        Ok(Box::new(put::OpendalPut::open(Rc::clone(&self.link), object, path, len).await?))
    }

    async fn settled(&self, object: &ObjectName) {
        if let Ok(path) = self.path(Op::Stat, object) {
            self.link.over(path).await;
        }
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        let path = self.path(Op::Remove, object)?;
        self.read_only(Op::Remove).map_err(|e| e.object(object))?;
        self.link.delete_file(Op::Remove, path, until).await.map_err(|e| e.object(object))?;
        // The directory an object has for itself goes with it, as git-annex's webdav type removes it.
        if self.link.service.layout == Layout::Tree
            && !self.link.context.tree
            && let Some((dir, name)) = path.rsplit_once('/')
            && dir.rsplit('/').next() == Some(name)
        {
            let request = self.link.once(Op::Remove, |o| async move { o.delete(&format!("{dir}/")).await });
            // An empty directory that stays does no harm.
            let _ = until.within(Op::Remove, request).await;
        }
        Ok(())
    }

    async fn folding(&self) -> Result<Folding> {
        folding::probe(self, async |name| self.link.finds(Op::Stat, self.path(Op::Stat, name)?).await).await
    }

    /// The name too: many services make an ETag of length and time alone, which two files may share.
    fn identify(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        let name = crate::store::tree::fingerprint(object.as_bytes());
        // The length is there already.
        let tag = tag.map(|tag| tag.strip_prefix(tag::TIME).and_then(|_| tag.split(' ').next()).unwrap_or(tag));
        tag.map(|tag| format!("{len}-{name:016x}-{}", crate::store::tree::plain(tag)))
    }

    fn renames(&self) -> Option<&dyn Renames> {
        self.can_rename().then_some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        self.can_copy().then_some(self)
    }

    fn lists(&self) -> Option<&dyn Lists> {
        self.link.can().list.then_some(self)
    }

    fn directories(&self) -> Option<&dyn Directories> {
        self.link.can().create_dir.then_some(self)
    }
}

/// A path in an URL.
fn encode(path: &str) -> String {
    let mut out = String::new();
    for b in path.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(b.into()),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
