//! Every kind of store by the name users give it: `scheme=`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::options::{Options, Spec, bad};
use crate::{Context, Result, Store, fs, opendal, s3};

pub use crate::opendal::Layout;

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// Value of `scheme=`.
    pub name: &'static str,
    /// The options it knows: its own, and those it shares.
    pub options: [&'static [Spec]; 2],
    /// How objects are named in it.
    pub layout: Layout,
    /// True where the place is on this computer.
    pub local: bool,
}

const FS: Scheme = Scheme { name: "fs", options: [fs::OPTIONS, &[]], layout: Layout::Tree, local: true };
const S3: Scheme = Scheme { name: "s3", options: [s3::OPTIONS, &[]], layout: Layout::Flat, local: false };

impl Scheme {
    /// The options it knows.
    pub fn options(&self) -> impl Iterator<Item = &'static Spec> + use<> {
        self.options.into_iter().flatten()
    }
}

/// Every kind of store in this build.
pub fn schemes() -> impl Iterator<Item = Scheme> {
    let services = opendal::SERVICES.iter().filter(|service| service.is_built());
    [FS, S3].into_iter().chain(services.map(|service| Scheme {
        name: service.scheme,
        options: [service.options, opendal::OPTIONS],
        layout: service.layout,
        local: false,
    }))
}

/// The kind of store of this name. Errors: there is none; the message lists those there are.
pub fn find(name: &str) -> Result<Scheme> {
    schemes().find(|scheme| scheme.name == name).ok_or_else(|| {
        let known: Vec<_> = schemes().map(|scheme| scheme.name).collect();
        bad("scheme", &format!("is one of {}, not {name:?}", known.join(", ")))
    })
}

/// The store that `options` describe. No network. Errors: an option is missing or makes no sense.
pub fn open(scheme: &str, options: &Options, context: &Context) -> Result<Rc<dyn Store>> {
    Ok(match find(scheme)?.name {
        "fs" => Rc::new(fs::Fs::open(options, context)?),
        "s3" => Rc::new(s3::S3::open(options, context)?),
        service => Rc::new(opendal::open(service, options, context)?),
    })
}

/// The options of all kinds of store, each once, with what it means to each.
pub fn all_options() -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<&'static str, String> = BTreeMap::new();
    for spec in schemes().flat_map(|scheme| scheme.options()) {
        let about = all.entry(spec.name).or_default();
        if about.is_empty() {
            about.push_str(spec.about);
        } else if !about.contains(spec.about) {
            about.push_str("; ");
            about.push_str(spec.about);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn an_unknown_scheme_is_told_the_known_ones() {
        let e = open("nfs", &Options::new(), &Context::default()).err().expect("unknown");
        assert_eq!(e.kind(), Kind::Option);
        assert!(e.to_string().contains("fs, s3"), "{e}");
    }

    #[test]
    fn every_scheme_opens_its_own_store() {
        let context = Context::default();
        let mut options = Options::new();
        options.set("directory", "/somewhere");
        options.set("bucket", "photos");
        for scheme in [FS, S3] {
            let store = open(scheme.name, &options, &context).expect("good options");
            assert!(store.label().starts_with(scheme.name), "{}", store.label());
            assert_eq!(store.capabilities().local, scheme.local);
        }
    }

    #[test]
    fn no_option_has_a_name_that_git_annex_uses_itself() {
        const TAKEN: &[&str] = &[
            "autoenable",
            "chunk",
            "chunksize",
            "config-uuid",
            "cost",
            "embedcreds",
            "encryption",
            "exporttree",
            "externaltype",
            "importtree",
            "keyid",
            "mac",
            "name",
            "onlyencryptcreds",
            "private",
            "readonly",
            "sameas",
            "sameas-uuid",
            "scheme",
            "type",
            "uuid",
        ];
        for name in all_options().keys() {
            assert!(!TAKEN.contains(name), "{name}");
            assert!(!name.is_empty() && !name.contains([' ', '=', '\n']), "{name:?}");
        }
    }
}
