//! Every kind of store by the name users give it: `scheme=`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::options::{Options, Spec, bad};
use crate::{Context, Result, Store, fs, opendal, s3};

/// How objects are named in a kind of store, for those who make names of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Directories, with few entries in each.
    Tree,
    /// A name space without levels.
    Flat,
}

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// Value of `scheme=`.
    pub name: &'static str,
    /// The options that are its own.
    pub own: &'static [Spec],
    /// Those it has in common with others.
    pub common: &'static [Spec],
    /// How objects are named in it.
    pub layout: Layout,
    /// True where the place is on this computer.
    pub local: bool,
    /// True where other programs are run for it, which end some time after the store was dropped.
    pub programs: bool,
    /// True where it was tried on a real server.
    pub tried: bool,
}

impl Scheme {
    /// All options it knows.
    pub fn options(&self) -> impl Iterator<Item = &'static Spec> + use<> {
        self.own.iter().chain(self.common)
    }
}

const FS: Scheme = Scheme {
    name: "fs",
    own: fs::OPTIONS,
    common: &[],
    layout: Layout::Tree,
    local: true,
    programs: false,
    tried: true,
};
const S3: Scheme = Scheme {
    name: "s3",
    own: s3::OPTIONS,
    common: &[],
    layout: Layout::Flat,
    local: false,
    programs: false,
    tried: true,
};

/// Every kind of store in this build.
pub fn schemes() -> impl Iterator<Item = Scheme> {
    let services = opendal::SERVICES.iter().filter(|service| service.is_built()).map(|service| Scheme {
        name: service.scheme,
        own: service.options,
        common: opendal::OPTIONS,
        layout: match service.layout {
            opendal::Layout::Tree => Layout::Tree,
            opendal::Layout::Flat => Layout::Flat,
        },
        local: false,
        programs: service.scheme == "sftp",
        tried: service.tried.is_some(),
    });
    [FS, S3].into_iter().chain(services)
}

/// The names of all of them, as messages list them.
pub fn names() -> String {
    schemes().map(|scheme| scheme.name).collect::<Vec<_>>().join(", ")
}

/// The kind of store of this name.
///
/// # Errors
///
/// There is none; the message lists those there are.
pub fn find(name: &str) -> Result<Scheme> {
    let scheme = schemes().find(|scheme| scheme.name == name);
    scheme.ok_or_else(|| match opendal::service(name) {
        Some(service) => {
            bad("scheme", &format!("{name} is not in this build (cargo feature remotes/{})", service.feature))
        }
        None => bad("scheme", &format!("is one of {}, not {name:?}", names())),
    })
}

/// The store that `options` describe. No network.
///
/// # Errors
///
/// An option is missing or invalid.
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
    fn every_service_of_this_build_is_found_and_no_name_is_taken_twice() {
        for service in opendal::SERVICES {
            assert_eq!(find(service.scheme).is_ok(), service.is_built(), "{}", service.scheme);
        }
        let names: Vec<_> = schemes().map(|scheme| scheme.name).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
        assert!(names.contains(&"webdav"), "{names:?}");
    }

    #[test]
    fn a_service_opens_with_its_options() {
        let mut options = Options::new();
        options.set("endpoint", "https://box.example.com/annex");
        options.set("memory-cap", "1MiB");
        let store = open("webdav", &options, &Context::default()).expect("good options");
        assert_eq!(store.capabilities().local, find("webdav").expect("built").local);
    }

    #[test]
    fn no_secret_is_looked_for_where_a_limit_of_the_process_is() {
        const TAKEN: &[&str] = &["async", "uring", "memory", "timeout"];
        for spec in schemes().flat_map(|scheme| scheme.options()).filter(|spec| spec.secret) {
            assert!(!TAKEN.contains(&spec.name), "{}", spec.name);
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
