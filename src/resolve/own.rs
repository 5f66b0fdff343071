//! git-annex's own types of special remote, as options of our stores.

use annex_types::percent;
use remotes::options::Options;
use remotes::registry::{self, Scheme};
use remotes::s3;

use super::setup::Environment;
use crate::annex::remote::{Creds, Login, SpecialConfig};

/// Type `directory`. Its place stands in git config alone.
pub(super) fn directory(special: &SpecialConfig, name: &str) -> Result<(Scheme, Options), String> {
    let directory = special.directory.clone().unwrap_or_default();
    if !directory.starts_with(b"/") {
        let found = directory.escape_ascii();
        return Err(format!("needs an absolute path in git config remote.{name}.annex-directory, not \"{found}\""));
    }
    let mut options = Options::new();
    options.set("directory", directory);
    Ok((scheme("fs")?, options))
}

/// Type `S3`.
pub(super) fn s3(
    special: &SpecialConfig,
    creds: &Creds,
    environment: Environment,
) -> Result<(Scheme, Options), String> {
    const SAME: &[&str] = &[
        "bucket",
        "host",
        "port",
        "region",
        "datacenter",
        "requeststyle",
        "fileprefix",
        "partsize",
        "storageclass",
        "publicurl",
        "versioning",
        "public",
        "x-amz-tagging",
    ];
    let mut options = Options::new();
    for name in SAME {
        options.set(*name, special.value(name).unwrap_or_default());
    }
    // Where ours takes https for Amazon, git-annex takes http; both are one where the configuration says it.
    let default: &[u8] = if special.value("port") == Some(b"443") { b"https" } else { b"http" };
    options.set("protocol", special.value("protocol").unwrap_or(default));
    let mut meta: Vec<String> = Vec::new();
    for (name, value) in &special.config {
        let name = String::from_utf8_lossy(name);
        if name.starts_with("x-archive-") || (name == "mungekeys" && value == b"ia") {
            return Err("is at the Internet Archive, which is not proxied".into());
        }
        if let Some(header) = name.strip_prefix("x-amz-meta-") {
            let value = std::str::from_utf8(value).ok().filter(|value| !value.contains('&'));
            let value =
                value.ok_or_else(|| format!("has {name}= with an & or invalid UTF-8 in it, which is not proxied"))?;
            meta.push(format!("{header}={value}"));
        }
    }
    options.set("x-amz-meta", meta.join("&"));
    if special.value("signature") == Some(b"anonymous") {
        options.set("signature", "anonymous");
        return Ok((scheme("s3")?, options));
    }
    // signature=v2, git-annex's default off Amazon, is answered with v4: whoever knows v2 knows it.
    let login = login(creds, "s3creds", environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")?;
    if let Some((Login { user, password }, fresh)) = login {
        options.set(s3::KEY_ID, user);
        options.set(s3::SECRET, password);
        // git-annex keeps no token, so one belongs to the keys of the same environment.
        options.set(s3::TOKEN, environment("AWS_SESSION_TOKEN").filter(|_| fresh).unwrap_or_default());
    }
    Ok((scheme("s3")?, options))
}

/// Type `webdav`.
pub(super) fn webdav(
    special: &SpecialConfig,
    creds: &Creds,
    environment: Environment,
) -> Result<(Scheme, Options), String> {
    let url = special.value("url").unwrap_or_default();
    let url = std::str::from_utf8(url).map_err(|_| "has a url= that is not UTF-8".to_string())?;
    let (protocol, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path =
        percent::decode_strictly(path.as_bytes()).filter(|_| matches!(protocol, "http" | "https") && !host.is_empty());
    let path = path.filter(|path| !path.contains(&0) && !rest.contains(['@', '?', '#']));
    let path = path.ok_or_else(|| "has a url= that is not a plain http:// or https:// address".to_string())?;
    let mut options = Options::new();
    options.set("endpoint", format!("{protocol}://{host}"));
    options.set("root", [b"/", &*path].concat());
    let login = login(creds, "davcreds", environment, "WEBDAV_USERNAME", "WEBDAV_PASSWORD")?;
    if let Some((Login { user, password }, _)) = login {
        options.set("username", user);
        options.set("password", password);
    }
    Ok((scheme("webdav")?, options))
}

/// From the environment (true), as git-annex has it, else from what is kept.
fn login(
    creds: &Creds,
    setting: &str,
    environment: Environment,
    user: &str,
    password: &str,
) -> Result<Option<(Login, bool)>, String> {
    if let (Some(user), Some(password)) = (environment(user), environment(password)) {
        return Ok(Some((Login { user, password }, true)));
    }
    let kept = creds.own(setting).map_err(|e| format!("its credentials in .git/annex/creds: {e}"))?;
    Ok(kept.map(|login| (login, false)))
}

fn scheme(name: &str) -> Result<Scheme, String> {
    registry::find(name).map_err(|e| e.to_string())
}
