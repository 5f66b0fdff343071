//! `users`: edits a file of users, tokens, rights and quotas.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::annex::fresh::{self, Durability};
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::log::Stamp;
use crate::proto::users::edit;
use crate::proto::users::file::{LONGEST, UsersFile, is_name};
use crate::proto::users::hash::{COST, Hash};
use crate::proto::users::quota::Allotment;
use crate::proto::users::rights::{self, ANONYMOUS, Pattern};
use crate::proto::users::token;

pub(super) const EXAMPLES: &str = "\
Two users, and everybody may read what is below public/:

  git-annex-remote-stream users add /etc/annex/users alice --rights full
  git-annex-remote-stream users add /etc/annex/users bob --rights readonly --repositories photos
  git-annex-remote-stream users add /etc/annex/users anonymous --rights readonly --repositories public/

The password is asked for, or is the first line of stdin. Each user may have several lines of rights: users add without a new
password adds one (--keep-password). The line with the longest pattern that fits a repository counts.

A token for a robot, which may store in one repository and do nothing else; it is shown once:

  git-annex-remote-stream users token /etc/annex/users robot --rights appendonly --repositories inbox --expires 2027-06-30

It logs in with the name robot, and the token as its password. With --user alice it logs in as alice and is a limit to what alice
may do.

All repositories below org/ may hold 500 GB together, and no content of more than 20 GB:

  git-annex-remote-stream users quota /etc/annex/users org/ --all 500GB --largest 20GB

  git-annex-remote-stream users list /etc/annex/users
  git-annex-remote-stream users remove /etc/annex/users bob

The server has to be able to read the file. One that is made here can be read by whoever ran this; a change keeps owner and mode:

  install -m 640 -g annex /dev/null /etc/annex/users

The server takes a change over within seconds: git-annex-remote-stream p2phttp --users /etc/annex/users";

/// Longest wait for another who edits the file.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Users {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Adds a user, or gives one another password or more rights. The file is made where it is not there.
    Add {
        /// The file.
        file: PathBuf,
        /// The name; anonymous is everybody, who has no password.
        name: String,
        /// readonly, appendonly, full, or none.
        #[arg(long, value_name = "RIGHTS")]
        rights: Option<String>,
        /// Where: * for all, org/ for those below it, org/photos for one.
        #[arg(long, value_name = "PATTERN", default_value = "*", requires = "rights")]
        repositories: String,
        /// Leave the password as it is.
        #[arg(long)]
        keep_password: bool,
    },
    /// Removes a user, with tokens and rights.
    Remove {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Limits what repositories hold together, over HTTP. All quotas that fit a repository count.
    Quota {
        /// The file.
        file: PathBuf,
        /// Which: * for all, org/ for those below it, org/photos for one.
        repositories: String,
        /// Bytes of all content in all of them together, such as 500GB.
        #[arg(long, value_name = "SIZE", required_unless_present_any = ["largest", "remove"])]
        all: Option<String>,
        /// Bytes of the largest content that one of them takes.
        #[arg(long, value_name = "SIZE")]
        largest: Option<String>,
        /// Remove the quota of these repositories instead.
        #[arg(long, conflicts_with_all = ["all", "largest"])]
        remove: bool,
    },
    /// Shows users, tokens, rights and quotas; no password, and no token.
    List {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a token, and prints it; it is not shown again.
    Token {
        /// The file.
        file: PathBuf,
        /// What the token is called.
        name: String,
        /// Whom it logs in; by default it has rights of its own, and logs in by its own name.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// readonly, appendonly or full.
        #[arg(long, value_name = "RIGHTS", required_unless_present = "remove")]
        rights: Option<String>,
        /// Where: * for all, org/ for those below it, org/photos for one.
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        repositories: String,
        /// The last day on which it is of use, as YYYY-MM-DD in UTC; by default it has no end.
        #[arg(long, value_name = "DAY")]
        expires: Option<String>,
        /// Remove the token of this name instead.
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Serialize)]
struct Shown {
    users: Vec<ShownUser>,
    tokens: Vec<ShownToken>,
    rights: Vec<ShownRight>,
    quotas: Vec<ShownQuota>,
}

#[derive(Serialize)]
struct ShownUser {
    name: String,
    has_password: bool,
}

#[derive(Serialize)]
struct ShownToken {
    name: String,
    user: Option<String>,
    rights: &'static str,
    repositories: String,
    /// The first second in which it is of no use, since 1970; null where it has no end.
    expires: Option<u64>,
}

#[derive(Serialize)]
struct ShownRight {
    who: String,
    rights: &'static str,
    repositories: String,
}

#[derive(Serialize)]
struct ShownQuota {
    repositories: String,
    /// Bytes; null where it is not limited.
    all: Option<u64>,
    largest: Option<u64>,
}

/// Does what the arguments say.
pub(super) fn main(args: &Users) -> std::io::Result<()> {
    run(&args.verb).map_err(std::io::Error::other)
}

fn run(verb: &Verb) -> Result<(), String> {
    match verb {
        Verb::Add { file, name, rights, repositories, keep_password } => {
            add(file, name, rights.as_deref(), repositories, *keep_password)
        }
        Verb::Remove { file, name } => edit_file(file, false, |text, known| {
            let is_there =
                known.login_of(name.as_bytes()).is_some() || known.rights.0.of(name.as_bytes()).next().is_some();
            if is_there { Ok(edit::without(text, name)) } else { Err(format!("there is no user {name}")) }
        }),
        Verb::Quota { file, repositories, all, largest, remove } => {
            let word = |limit: &Option<String>| limit.as_deref().unwrap_or("-").replace(char::is_whitespace, "");
            let line = format!("{repositories} {} {}", word(all), word(largest));
            if *remove {
                return edit_file(file, false, |text, known| {
                    let pattern = Pattern::parse(repositories)?;
                    match known.quotas.iter().any(|quota| quota.repositories == pattern) {
                        true => Ok(edit::without_quota(text, &pattern)),
                        false => Err(format!("there is no quota of {repositories}")),
                    }
                });
            }
            Allotment::parse(&line)?;
            edit_file(file, true, |text, _| Ok(edit::with_quota(text, &line)))
        }
        Verb::List { file, json } => list(file, *json),
        Verb::Token { file, name, remove: true, .. } => {
            edit_file(file, false, |text, known| match known.tokens.iter().any(|token| token.name == *name) {
                true => Ok(edit::without_token(text, name)),
                false => Err(format!("there is no token {name}")),
            })
        }
        Verb::Token { file, name, user, rights, repositories, expires, .. } => {
            let rights = rights.as_deref().unwrap_or_default();
            let (user, expires) = (user.as_deref().unwrap_or("-"), expires.as_deref().unwrap_or("never"));
            is_name(name)?;
            rights::rights(rights)?;
            Pattern::parse(repositories)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            is_to_come(expires, now)?;
            let text = token::text(secret()?);
            let digest = annex_types::hex::show(&token::digest(text.as_bytes()));
            let line = format!("{name} {user} {rights} {repositories} {expires} sha256:{digest}");
            edit_file(file, true, |text, known| {
                if known.tokens.iter().any(|token| token.name == *name) {
                    return Err(format!("there is a token {name}: remove it first, with --remove"));
                }
                // Whoever reads a log has to be able to tell them apart.
                if user == "-" && known.login_of(name.as_bytes()).is_some() {
                    return Err(format!("{name} is a user: give the token another name, or --user {name}"));
                }
                Ok(edit::with_token(text, &line))
            })?;
            let shown = if user == "-" { name } else { user };
            eprintln!("log in as {shown} with this token as the password:");
            println!("{text}");
            Ok(())
        }
    }
}

fn add(file: &Path, name: &str, allowed: Option<&str>, repositories: &str, keep: bool) -> Result<(), String> {
    let is_anonymous = name == ANONYMOUS;
    if !is_anonymous {
        is_name(name)?;
    }
    if let Some(allowed) = allowed {
        rights::rights(allowed)?;
        Pattern::parse(repositories)?;
    } else if is_anonymous || keep {
        return Err("say what may be done: --rights".into());
    }
    let hash = if is_anonymous || keep { None } else { Some(Hash::new(&password()?, secret()?, COST)?) };
    let mut elsewhere = Vec::new();
    edit_file(file, true, |text, known| {
        if keep && known.login_of(name.as_bytes()).is_none() {
            return Err(format!("there is no user {name}"));
        }
        let has_rights = known.rights.0.of(name.as_bytes()).next().is_some();
        if allowed.is_none() && !has_rights {
            return Err(format!("{name} has no rights yet: give --rights readonly, appendonly or full"));
        }
        let mut text = match &hash {
            Some(hash) => edit::with_login(text, name, hash.reveal()),
            None => text.to_string(),
        };
        if let Some(allowed) = allowed {
            text = edit::with_right(&text, name, allowed, repositories);
            let here = Pattern::parse(repositories)?;
            elsewhere.extend(known.rights.0.of(name.as_bytes()).filter(|rule| rule.repositories != here).cloned());
        }
        Ok(text)
    })?;
    for rule in elsewhere.iter().filter(|rule| rule.rights.is_some()) {
        let (word, there) = (rights::word(rule.rights), &rule.repositories);
        eprintln!("{name} has {word} in {there}, as before; take it away with --rights none --repositories '{there}'");
    }
    Ok(())
}

/// Whether the day up to which a token is to be of use is one, and not over at `now`, in seconds since 1970.
fn is_to_come(day: &str, now: u64) -> Result<(), String> {
    match token::end_of(day) {
        _ if day == "never" => Ok(()),
        None => Err(format!("{day}: give the last day as YYYY-MM-DD, such as 2030-12-31")),
        Some(end) if end <= now => Err(format!("{day} is over")),
        Some(_) => Ok(()),
    }
}

fn list(file: &Path, json: bool) -> Result<(), String> {
    let known = parse(file, &text_of(file, false)?)?;
    let shown = Shown {
        users: known
            .logins
            .iter()
            .map(|login| ShownUser { name: login.name.clone(), has_password: !login.hash.is_nothing() })
            .collect(),
        tokens: known
            .tokens
            .iter()
            .map(|token| ShownToken {
                name: token.name.clone(),
                user: token.user.clone(),
                rights: rights::word(Some(token.rights)),
                repositories: token.repositories.to_string(),
                expires: token.expires,
            })
            .collect(),
        rights: known
            .rights
            .0
            .iter()
            .map(|rule| ShownRight {
                who: rule.who.clone(),
                rights: rights::word(rule.rights),
                repositories: rule.repositories.to_string(),
            })
            .collect(),
        quotas: known
            .quotas
            .iter()
            .map(|quota| ShownQuota {
                repositories: quota.repositories.to_string(),
                all: quota.all,
                largest: quota.largest,
            })
            .collect(),
    };
    let mut out = std::io::stdout().lock();
    let written = if json {
        let text = serde_json::to_string_pretty(&shown).expect("strings and numbers");
        writeln!(out, "{text}")
    } else {
        let mut text = String::new();
        for user in &shown.users {
            text += &format!("user {}{}\n", user.name, if user.has_password { "" } else { " (no password)" });
        }
        for token in &shown.tokens {
            let user = token.user.as_deref().map(|user| format!(" of {user}")).unwrap_or_default();
            let last = |end: u64| Stamp::of_seconds(end.saturating_sub(1)).date();
            let until = |end: u64| format!(", until {}", last(end).split('@').next().unwrap_or_default());
            let end = token.expires.map(until).unwrap_or_default();
            text += &format!("token {}{user}: {} {}{end}\n", token.name, token.rights, token.repositories);
        }
        for right in &shown.rights {
            text += &format!("{}: {} {}\n", right.who, right.rights, right.repositories);
        }
        for quota in &known.quotas {
            text += &format!("quota of {quota}\n");
        }
        out.write_all(text.as_bytes())
    };
    written.map_err(|e| e.to_string())
}

/// Replaces the file by what `change` makes of it, in one step, and only by one that is right.
fn edit_file(
    file: &Path,
    may_make: bool,
    change: impl FnOnce(&str, &UsersFile) -> Result<String, String>,
) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let beside = |ending: &str| {
        let mut name = file.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        file.with_file_name(name)
    };
    let _alone = LockFile::wait(&beside(".lck"), LockKind::Exclusive, 0o600, PATIENCE).map_err(failed)?;
    let text = text_of(file, may_make)?;
    let changed = change(&text, &parse(file, &text)?)?;
    parse(file, &changed)?;
    let before = file.metadata().ok();
    let mode = before.as_ref().map_or(0o600, |meta| meta.permissions().mode() & 0o777);
    let temporary = beside(&format!(".{}", fresh::name("new").map_err(failed)?));
    // Whoever could read it has to be able to read it on: the server may be another user.
    let give_back = |made: &std::fs::File| match &before {
        Some(before) if made.metadata().is_ok_and(|made| (made.uid(), made.gid()) != (before.uid(), before.gid())) => {
            std::os::unix::fs::fchown(made, Some(before.uid()), Some(before.gid()))
        }
        _ => Ok(()),
    };
    fresh::replace_prepared(file, changed.as_bytes(), &temporary, mode, Durability::Machine, give_back)
        .map_err(failed)?;
    Ok(())
}

fn text_of(file: &Path, may_make: bool) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    match std::fs::File::open(file) {
        Ok(open) => {
            let mut text = String::new();
            open.take(LONGEST as u64 + 1).read_to_string(&mut text).map_err(failed)?;
            Ok(text)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && may_make => Ok(String::new()),
        Err(e) => Err(failed(e)),
    }
}

fn parse(file: &Path, text: &str) -> Result<UsersFile, String> {
    UsersFile::parse(text.as_bytes()).map_err(|bad| format!("{}: {bad}", file.display()))
}

fn secret<const N: usize>() -> Result<[u8; N], String> {
    remotes::sys::secret().map_err(|e| e.to_string())
}

/// The first line of stdin; on a terminal it is asked for, and not shown.
fn password() -> Result<Vec<u8>, String> {
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    let echo = |word: &str| {
        // Where it cannot be turned off the password is shown, as with a pipe.
        let _ =
            Command::new("stty").arg(word).stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    };
    if is_terminal {
        eprint!("password: ");
        echo("-echo");
    }
    let mut line = Vec::new();
    let read = stdin.lock().take(4096).read_until(b'\n', &mut line);
    if is_terminal {
        echo("echo");
        eprintln!();
    }
    read.map_err(|e| format!("stdin: {e}"))?;
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    if line.is_empty() {
        return Err("no password was given: type one, or give it as the first line of stdin".into());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_use_for_some_time() {
        let noon = 86_400 * 365 + 43_200;
        for (day, expected) in [
            ("never", Ok(())),
            ("1971-01-01", Ok(())),
            ("1970-12-31", Err("1970-12-31 is over")),
            ("tomorrow", Err("tomorrow: give the last day as YYYY-MM-DD, such as 2030-12-31")),
            ("1971-02-29", Err("1971-02-29: give the last day as YYYY-MM-DD, such as 2030-12-31")),
        ] {
            assert_eq!(is_to_come(day, noon), expected.map_err(str::to_string), "{day}");
        }
    }
}
