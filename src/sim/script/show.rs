//! Lines as a log has them.

use std::fmt::{self, Write as _};

use super::amount::amount;
use super::chain::Chain;
use super::command::{Action, Command, Line, Random, What};
use super::name::Name;
use super::stream::{Stream, word};

impl Line {
    /// The line without its newline, in the form that git-annex gives it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        match self {
            Self::Comment(text) => return text.to_vec(),
            Self::Stream(stream) => self::stream(stream, &mut text),
            Self::Command(command) => self::command(command, &mut text),
        }
        text
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.to_bytes()).chars().try_for_each(|c| f.write_char(c))
    }
}

/// Words with a space between them.
fn words(into: &mut Vec<u8>, words: &[&[u8]]) {
    into.extend_from_slice(&words.join(&b' '));
}

fn stream(stream: &Stream, into: &mut Vec<u8>) {
    into.extend_from_slice(b"--stream ");
    match stream {
        Stream::Uuid(name, uuid) => words(into, &[b"uuid", name, uuid.as_bytes()]),
        Stream::Key(name, key) => words(into, &[b"key", name, key.as_bytes()]),
        Stream::Placement(placement) => words(into, &[b"placement", placement.to_string().as_bytes()]),
        Stream::Random(number) => words(into, &[b"random", number.to_string().as_bytes()]),
        Stream::Threshold(percent) => words(into, &[b"threshold", percent.to_string().as_bytes()]),
        Stream::PreferredDir(repo, dir) => words(into, &[b"preferreddir", repo, &word(dir)]),
        Stream::Metadata(file, field, value) => words(into, &[b"metadata", file, &word(field), &word(value)]),
        Stream::Known => words(into, &[b"known"]),
    }
}

fn command(command: &Command, into: &mut Vec<u8>) {
    match command {
        Command::Init(name) => words(into, &[b"init", name]),
        Command::InitRemote(name) => words(into, &[b"initremote", name]),
        Command::Use(name, what) => words(into, &[b"use", name, what]),
        Command::Connect(chain) => self::chain(b"connect", chain, into),
        Command::Disconnect(chain) => self::chain(b"disconnect", chain, into),
        Command::AddTree(repo, expression) => words(into, &[b"addtree", repo, expression]),
        Command::Add { file, size, repos } => {
            words(into, &[b"add", file, amount(*size).as_bytes()]);
            names(repos, into);
        }
        Command::AddMulti { count, suffix, least, most, repos } => {
            let (count, least, most) = (count.to_string(), amount(*least), amount(*most));
            words(into, &[b"addmulti", count.as_bytes(), suffix, least.as_bytes(), most.as_bytes()]);
            names(repos, into);
        }
        Command::Step(steps) => words(into, &[b"step", steps.to_string().as_bytes()]),
        Command::StepStable(steps) => words(into, &[b"stepstable", steps.to_string().as_bytes()]),
        Command::Action(actions) => {
            for (at, (repo, action)) in actions.iter().enumerate() {
                words(into, &[if at == 0 { b"action" } else { b" while action" }, repo, b""]);
                self::action(action, into);
            }
        }
        Command::Seed(seed) => words(into, &[b"seed", seed.to_string().as_bytes()]),
        Command::Present(repo, file) => words(into, &[b"present", repo, file]),
        Command::NotPresent(repo, file) => words(into, &[b"notpresent", repo, file]),
        Command::NumCopies(copies) => words(into, &[b"numcopies", copies.to_string().as_bytes()]),
        Command::MinCopies(copies) => words(into, &[b"mincopies", copies.to_string().as_bytes()]),
        Command::TrustLevel(repo, trust) => words(into, &[b"trustlevel", repo, trust.word().as_bytes()]),
        Command::Expression(what, of, expression) => words(into, &[of_what(*what), of, expression]),
        Command::RandomExpression(what, Random { of, terms }) => {
            words(into, &[b"random", &b""[..]]);
            into.pop();
            words(into, &[of_what(*what), of]);
            names(terms, into);
        }
        Command::Group(repo, group) => words(into, &[b"group", repo, group]),
        Command::Ungroup(repo, group) => words(into, &[b"ungroup", repo, group]),
        Command::Metadata(file, change) => words(into, &[b"metadata", file, &change.text]),
        Command::MaxSize(repo, size) => words(into, &[b"maxsize", repo, amount(*size).as_bytes()]),
        Command::Rebalance(on) => words(into, &[b"rebalance", if *on { b"on" } else { b"off" }]),
        Command::ClusterNode(name, repo) => words(into, &[b"clusternode", name, repo]),
        Command::Visit(repo, command) if command.is_empty() => words(into, &[b"visit", repo]),
        Command::Visit(repo, command) => words(into, &[b"visit", repo, command]),
    }
}

fn names(names: &[Name], into: &mut Vec<u8>) {
    for name in names {
        into.push(b' ');
        into.extend_from_slice(name);
    }
}

fn chain(word: &[u8], chain: &Chain, into: &mut Vec<u8>) {
    words(into, &[word, &chain.first]);
    for (arrow, name) in &chain.links {
        words(into, &[b"", arrow.to_string().as_bytes(), name]);
    }
}

fn action(action: &Action, into: &mut Vec<u8>) {
    match action {
        Action::GetWanted(remote) => words(into, &[b"getwanted", remote]),
        Action::DropUnwanted => words(into, &[b"dropunwanted"]),
        Action::DropUnwantedFrom(remote) => words(into, &[b"dropunwantedfrom", remote]),
        Action::SendWanted(remote) => words(into, &[b"sendwanted", remote]),
        Action::GitPush(remote) => words(into, &[b"gitpush", remote]),
        Action::GitPull(remote) => words(into, &[b"gitpull", remote]),
        Action::Pull(remote) => words(into, &[b"pull", remote]),
        Action::Push(remote) => words(into, &[b"push", remote]),
        Action::Sync(remote) => words(into, &[b"sync", remote]),
    }
}

fn of_what(what: What) -> &'static [u8] {
    match what {
        What::Wanted => b"wanted",
        What::Required => b"required",
        What::GroupWanted => b"groupwanted",
    }
}
