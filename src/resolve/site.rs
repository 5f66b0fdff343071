//! Proxies and certificates of this site, from the environment and git config.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use remotes::site::Site;

/// The site, as whoever works in the repository in `directory` knows it.
pub fn of(directory: &Path) -> Arc<Site> {
    let directory = directory.to_path_buf();
    let settings = move |name: &str, url: Option<&str>| ask(&directory, name, url);
    Arc::new(Site::new(&|name| std::env::var_os(name), Some(Arc::new(settings))))
}

/// The values of a setting, as git has them. None where there is no git, or no repository and no configuration of the user.
fn ask(directory: &Path, name: &str, url: Option<&str>) -> Vec<OsString> {
    let mut command = Command::new("git");
    command.args(["config", "--null"]);
    if name.starts_with("http.") {
        // As git reads it: `~` is somebody's home.
        command.arg("--path");
    }
    match url {
        Some(url) => command.args(["--get-urlmatch", name, url]),
        None => command.args(["--get-all", name]),
    };
    command.current_dir(directory).stdin(Stdio::null()).stderr(Stdio::null());
    let said = command.output().map(|output| output.stdout).unwrap_or_default();
    let values = said.split(|byte| *byte == 0).filter(|value| !value.is_empty());
    values.map(|value| OsString::from_vec(value.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use remotes::site::Whom;

    use super::*;

    #[test]
    fn settings_are_asked_of_git_by_url() {
        let place = tempfile::tempdir().expect("a directory");
        let git = |args: &[&str]| {
            let done = Command::new("git").args(args).current_dir(place.path()).stdout(Stdio::null()).status();
            assert!(done.expect("git runs").success(), "{args:?}");
        };
        git(&["init", "-q"]);
        git(&["config", "http.https://one.example/.sslCAInfo", "/one.pem"]);
        git(&["config", "annex.security.allowed-ip-addresses", "10.0.0.1 10.0.0.2"]);
        let settings = |name: &str, url| ask(place.path(), name, url);
        assert_eq!(settings("http.sslCAInfo", Some("https://one.example/x")), ["/one.pem"]);
        assert_eq!(settings("http.sslCAInfo", Some("https://two.example/x")), [""; 0]);
        assert_eq!(settings("annex.security.allowed-ip-addresses", None), ["10.0.0.1 10.0.0.2"]);
        let site = Site::new(
            &|_| None,
            Some(Arc::new({
                let directory = place.path().to_path_buf();
                move |name: &str, url: Option<&str>| ask(&directory, name, url)
            })),
        );
        assert_eq!(site.trusts(Whom::Others, "https://one.example/"), "/one.pem (http.sslCAInfo)");
        assert!(site.allows("10.0.0.2".parse().expect("an address")));
    }
}
