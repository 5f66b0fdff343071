//! Reading where anyone can, below `publicurl=`, for whoever has no credentials: any web server may be there.

use std::rc::Rc;

use annex_types::percent;

use crate::options::Options;
use crate::{Context, Error, Kind, ObjectName, Op, Result, Store, opendal};

/// The store below `url`. `None` where there cannot be one.
pub(super) fn open(url: &str, context: &Context) -> Option<Rc<dyn Store>> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    if rest.contains(['@', '?', '#']) {
        return None;
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut options = Options::new();
    options.set("endpoint", format!("{scheme}://{host}"));
    options.set("root", format!("/{}", std::str::from_utf8(&percent::decode_strictly(path.as_bytes())?).ok()?));
    // Names are keys of a bucket, whatever they are made of.
    let context = Context { tree: false, ..context.clone() };
    Some(Rc::new(opendal::open("http", &options, &context).ok()?))
}

/// The name of the object under this key of the bucket.
pub(super) fn name(key: &str) -> Result<ObjectName> {
    ObjectName::new(key).map_err(|e| Error::new(Op::Stat, Kind::Unsupported, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_where_the_url_says() {
        for (url, expected) in [
            ("https://pub.example/data", Some("https://pub.example/data/dir/a%20b")),
            ("https://pub.example", Some("https://pub.example/dir/a%20b")),
            ("http://h:81/with%20blank/", Some("http://h:81/with%20blank/dir/a%20b")),
            ("ftp://h/x", None),
            ("https://me@h/x", None),
            ("https://h/x?y", None),
            ("https://h/%zz", None),
        ] {
            let object = ObjectName::new("dir/a b").expect("a name");
            let found = open(url, &Context::default()).and_then(|store| store.locate(&object));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
