//! `updateproxy`: records what this repository proxies, as `git annex updateproxy` does.

use std::process::ExitCode;

use super::here;
use crate::annex::remote::{Offers, Refused, offers, record_offers};

pub(super) const EXAMPLES: &str = "\
Let clients of this repository reach its special remote \"usb\" through it:

  git config remote.usb.annex-proxy true
  git-annex-remote-stream updateproxy

After their next git pull, clients that reach this repository over ssh or annex+http know a remote named after both, such
as origin-usb, and git annex copy --to origin-usb stores through here. To end it:

  git config remote.usb.annex-proxy false
  git-annex-remote-stream updateproxy

The same is recorded as by git annex updateproxy: one commit to the git-annex branch, none if nothing changed. Clusters
of git config (annex.cluster.NAME) and their nodes are offered too. A remote that cannot be proxied is named on stderr.";

/// Records it, and says what changed. Fails where the repository cannot be read or written.
pub(super) fn main() -> ExitCode {
    match update() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn update() -> Result<(), String> {
    let repository = here::repository()?;
    let found = offers(&repository).map_err(|e| e.to_string())?;
    for refused in &found.refused {
        eprintln!("  {}", why(refused));
    }
    if !found.are_recorded() {
        record_offers(&repository, &found).map_err(|e| e.to_string())?;
    }
    print!("{}", told(&found));
    Ok(())
}

/// What git-annex says on stdout.
pub(super) fn told(found: &Offers) -> String {
    if found.are_recorded() {
        return "No proxy changes to record.\n".into();
    }
    let lines = found.changes().into_iter().map(|(begins, offer)| {
        let what = if begins { "Started" } else { "Stopped" };
        format!("{what} proxying for {}\n", String::from_utf8_lossy(&offer.name))
    });
    lines.collect()
}

/// Why a remote is not proxied, with the way out.
pub(super) fn why(refused: &Refused) -> String {
    match refused {
        Refused::Stranger(name) => {
            let name = String::from_utf8_lossy(name);
            format!("{name} is not proxied: its uuid is not known here; git annex info {name} asks it")
        }
        Refused::Export(name) => {
            let name = String::from_utf8_lossy(name);
            format!(
                "{name} is not proxied: it has exporttree=yes, and can take files of a tree alone; git annex enableremote {name} annexobjects=yes"
            )
        }
        Refused::Name(name) => {
            let name = String::from_utf8_lossy(name);
            format!(
                "{name:?} is not proxied: a name with a space or colon cannot be announced to clients; git remote rename it"
            )
        }
        Refused::Private(name) => {
            let name = String::from_utf8_lossy(name);
            format!(
                "{name} is not proxied: it is private, so it must not be announced; git config --unset remote.{name}.annex-private"
            )
        }
    }
}
