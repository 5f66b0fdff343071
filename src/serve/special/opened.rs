//! An opened remote: the stores behind it, and the names of objects in them.

use annex_types::size;
use std::cell::OnceCell as Once;
use std::rc::Rc;
use std::sync::Arc;

use remotes::{Context, Error, Kind, Lists, ObjectName, Op, Renames, Result, Store, registry};
use tokio::sync::OnceCell;

use super::work::At;
use crate::proto::special::{FileName, Key};
use crate::resolve::setup::Ready;

/// A remote, opened.
pub(super) struct OpenedRemote {
    pub(super) ready: Arc<Ready>,
    pub(super) context: Context,
    /// Objects named as git-annex's own types name keys.
    keys: Once<Rc<Opened>>,
    /// Objects named as people named them.
    tree: Once<Rc<Opened>>,
}

/// A store, for one of the two ways to name what is in it.
pub(super) struct Opened {
    ready: Arc<Ready>,
    context: Context,
    pub(super) store: Rc<dyn Store>,
    /// The store that keeps space free; the same where that is no matter.
    writer: OnceCell<Rc<dyn Store>>,
}

impl OpenedRemote {
    pub(super) fn new(ready: &Arc<Ready>, context: &Context) -> Self {
        Self { ready: Arc::clone(ready), context: context.clone(), keys: Once::new(), tree: Once::new() }
    }

    /// The store with objects named after keys.
    pub(super) fn keys(&self) -> Result<Rc<Opened>> {
        self.opened(&self.keys, false)
    }

    /// The store with the objects of a tree.
    pub(super) fn tree(&self) -> Result<Rc<Opened>> {
        self.opened(&self.tree, true)
    }

    fn opened(&self, place: &Once<Rc<Opened>>, tree: bool) -> Result<Rc<Opened>> {
        if let Some(opened) = place.get() {
            return Ok(Rc::clone(opened));
        }
        let context = Context { tree, ..self.context.clone() };
        let store = registry::open(self.ready.scheme.name, &self.ready.options, &context)?;
        let opened = Opened { ready: Arc::clone(&self.ready), context, store, writer: OnceCell::new() };
        Ok(Rc::clone(place.get_or_init(|| Rc::new(opened))))
    }

    /// Removes directories of its own that are empty now.
    pub(super) async fn tidy(&self) {
        if let Some(directories) = self.tree.get().and_then(|tree| tree.store.directories()) {
            directories.tidy().await;
        }
    }

    /// The store that keeps `key`, and its name there.
    pub(super) fn find(&self, op: Op, key: &Key, at: &At) -> Result<(Rc<Opened>, ObjectName)> {
        match at {
            At::Own => Ok((self.keys()?, self.name(op, self.ready.name(key))?)),
            At::Exported(name) | At::Imported(name) => self.named(op, name),
        }
    }

    /// The store that keeps the tree, and the name of a file there. Errors: `Unsupported` for names that would leave it.
    pub(super) fn named(&self, op: Op, name: &FileName) -> Result<(Rc<Opened>, ObjectName)> {
        let name = self.name(op, name.as_bytes())?;
        name.components().map_err(|e| self.refuse(op, e).object(&name))?;
        Ok((self.tree()?, name))
    }

    fn name(&self, op: Op, bytes: impl AsRef<[u8]>) -> Result<ObjectName> {
        ObjectName::new(bytes).map_err(|e| self.refuse(op, e))
    }

    fn refuse(&self, op: Op, why: remotes::NameError) -> Error {
        Error::new(op, Kind::Unsupported, why.to_string()).on(self.ready.scheme.name)
    }
}

impl Opened {
    /// Errors: `Unsupported` where the store cannot give an object another name.
    pub(super) fn renames(&self) -> Result<&dyn Renames> {
        self.store.renames().ok_or_else(|| self.cannot(Op::Rename, "rename"))
    }

    /// Errors: `Unsupported` where the store cannot list what it keeps.
    pub(super) fn lists(&self) -> Result<&dyn Lists> {
        self.store.lists().ok_or_else(|| self.cannot(Op::List, "list what it keeps"))
    }

    fn cannot(&self, op: Op, what: &str) -> Error {
        Error::new(op, Kind::Unsupported, format!("this kind of store cannot {what}")).on(self.store.label())
    }

    /// The store to write to. Only a local one has to know how much space git-annex wants free.
    pub(super) async fn writer(&self) -> Result<Rc<dyn Store>> {
        let open = async || {
            if !self.ready.scheme.local {
                return Ok(Rc::clone(&self.store));
            }
            let context = Context { reserve: reserve(self.context.reserve).await?, ..self.context.clone() };
            registry::open(self.ready.scheme.name, &self.ready.options, &context)
        };
        self.writer.get_or_try_init(open).await.cloned()
    }
}

/// annex.diskreserve of the repository we run in, or `default`.
async fn reserve(default: u64) -> Result<u64> {
    let asked = tokio::task::spawn_blocking(|| {
        std::process::Command::new("git")
            .args(["config", "--get", "annex.diskreserve"])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .output()
    });
    match asked.await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            size::parse(text.trim()).ok_or_else(|| {
                let detail = format!("git config annex.diskreserve is a size like 1GB, not {:?}", text.trim());
                Error::new(Op::Put, Kind::Option, detail)
            })
        }
        // Not set, or not even a repository here.
        _ => Ok(default),
    }
}
