//! From a line to a command.

use annex_types::size;

use super::chain::Chain;
use super::command::{Action, Change, Command, Line, Random, What};
use super::name::Name;
use super::problem::Problem;
use super::stream::{MARK, Stream};
use crate::wanted::{Expression, Trust};

/// Reads a line of a sim file, without its newline.
///
/// # Errors
/// In git-annex's words, where it is none.
pub fn parse(line: &[u8]) -> Result<Line, Problem> {
    let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    if words.first() == Some(&MARK) && line.starts_with(MARK) {
        return Stream::parse(&words[1..]).map(Line::Stream);
    }
    if words.is_empty() || line.starts_with(b"#") || line.starts_with(b"--") {
        return Ok(Line::Comment(line.into()));
    }
    parse_words(&words).map(Line::Command)
}

/// Reads the words of a command, as they stand on a command line.
///
/// # Errors
/// In git-annex's words, where they are none.
pub fn parse_words(words: &[&[u8]]) -> Result<Command, Problem> {
    let joined = |words: &[&[u8]]| Name::from(words.join(&b' '));
    let unknown = || Problem::command(words);
    let name = |word: &&[u8]| Name::from(*word);
    let names = |words: &[&[u8]]| words.iter().map(name).collect::<Vec<_>>();
    let [verb, rest @ ..] = words else { return Err(unknown()) };
    Ok(match (*verb, rest) {
        (b"init", [one]) => Command::Init(name(one)),
        (b"initremote", [one]) => Command::InitRemote(name(one)),
        (b"use", [one, what @ ..]) if !what.is_empty() => Command::Use(name(one), joined(what)),
        (b"connect", chain) => Command::Connect(connections(chain)?),
        (b"disconnect", chain) => Command::Disconnect(connections(chain)?),
        (b"addtree", [repo, expression @ ..]) => Command::AddTree(name(repo), checked(joined(expression))?),
        (b"add", [file, size, repos @ ..]) => {
            Command::Add { file: name(file), size: bytes("file size", size)?, repos: names(repos) }
        }
        (b"addmulti", [count, suffix, least, most, repos @ ..]) => Command::AddMulti {
            count: number("number", count)?,
            suffix: name(suffix),
            least: bytes("file size", least)?,
            most: bytes("file size", most)?,
            repos: names(repos),
        },
        (b"step", [steps]) => Command::Step(number("step value", steps)?),
        (b"stepstable", [steps]) => Command::StepStable(number("step value", steps)?),
        (b"action", _) => Command::Action(actions(words)?),
        (b"seed", [seed]) => Command::Seed(number("seed value", seed)?),
        (b"present", [repo, file]) => Command::Present(name(repo), name(file)),
        (b"notpresent", [repo, file]) => Command::NotPresent(name(repo), name(file)),
        (b"numcopies", [copies]) => Command::NumCopies(number("numcopies value", copies)?),
        (b"mincopies", [copies]) => Command::MinCopies(number("mincopies value", copies)?),
        (b"trustlevel", [repo, level]) => Command::TrustLevel(name(repo), trust(level)?),
        (b"wanted", [of, expression @ ..]) => Command::Expression(What::Wanted, name(of), checked(joined(expression))?),
        (b"required", [of, expression @ ..]) => {
            Command::Expression(What::Required, name(of), checked(joined(expression))?)
        }
        (b"groupwanted", [of, expression @ ..]) => {
            Command::Expression(What::GroupWanted, name(of), checked(joined(expression))?)
        }
        (b"randomwanted", [of, terms @ ..]) => random(What::Wanted, of, terms)?,
        (b"randomrequired", [of, terms @ ..]) => random(What::Required, of, terms)?,
        (b"randomgroupwanted", [of, terms @ ..]) => random(What::GroupWanted, of, terms)?,
        (b"group", [repo, group]) => Command::Group(name(repo), name(group)),
        (b"ungroup", [repo, group]) => Command::Ungroup(name(repo), name(group)),
        (b"metadata", [file, change]) => Command::Metadata(name(file), Change { text: name(change) }),
        (b"maxsize", [repo, size]) => Command::MaxSize(name(repo), bytes("maxsize", size)?),
        (b"rebalance", [b"on"]) => Command::Rebalance(true),
        (b"rebalance", [b"off"]) => Command::Rebalance(false),
        (b"rebalance", [other]) => return Err(Problem::value("rebalance value", other)),
        (b"clusternode", [node, repo]) => Command::ClusterNode(name(node), name(repo)),
        (b"visit", [repo, command @ ..]) => Command::Visit(name(repo), joined(command)),
        _ => return Err(unknown()),
    })
}

fn connections(words: &[&[u8]]) -> Result<Chain, Problem> {
    let bad = |near: Vec<&[u8]>| Problem(format!("Bad connect syntax near \"{}\"", shown(&near.join(&b' '))));
    Chain::parse(words).map_err(bad)
}

/// An expression that git-annex can read.
fn checked(expression: Name) -> Result<Name, Problem> {
    let bad = |e| Problem(format!("Failed parsing \"{}\": Parse failure: {e}", shown(&expression)));
    Expression::parse(&expression).map_err(bad)?;
    Ok(expression)
}

fn random(what: What, of: &[u8], terms: &[&[u8]]) -> Result<Command, Problem> {
    let terms = terms.iter().map(|term| checked(Name::from(*term))).collect::<Result<_, _>>()?;
    Ok(Command::RandomExpression(what, Random { of: of.into(), terms }))
}

/// `action REPO ACTION [REMOTE] [while action ...]`.
fn actions(words: &[&[u8]]) -> Result<Vec<(Name, Action)>, Problem> {
    let mut all = Vec::new();
    let mut rest = words;
    loop {
        let (one, after) = one_action(rest).ok_or_else(|| Problem::command(rest))?;
        all.push(one);
        rest = match after {
            [] => return Ok(all),
            [b"while", more @ ..] => more,
            more => return Err(Problem::command(more)),
        };
    }
}

/// Who does what, and the words that are left.
type Acted<'a, 'b> = ((Name, Action), &'a [&'b [u8]]);

fn one_action<'a, 'b>(words: &'a [&'b [u8]]) -> Option<Acted<'a, 'b>> {
    let (repo, verb, rest) = match words {
        [b"action", repo, verb, rest @ ..] => (Name::from(*repo), *verb, rest),
        _ => return None,
    };
    if verb == b"dropunwanted" {
        return Some(((repo, Action::DropUnwanted), rest));
    }
    let [remote, rest @ ..] = rest else { return None };
    let remote = Name::from(*remote);
    let action = match verb {
        b"getwanted" => Action::GetWanted(remote),
        b"dropunwantedfrom" => Action::DropUnwantedFrom(remote),
        b"sendwanted" => Action::SendWanted(remote),
        b"gitpush" => Action::GitPush(remote),
        b"gitpull" => Action::GitPull(remote),
        b"pull" => Action::Pull(remote),
        b"push" => Action::Push(remote),
        b"sync" => Action::Sync(remote),
        _ => return None,
    };
    Some(((repo, action), rest))
}

fn trust(level: &[u8]) -> Result<Trust, Problem> {
    Trust::of_word(level).ok_or_else(|| Problem(format!("Unknown trust level \"{}\".", shown(level))))
}

fn bytes(what: &str, word: &[u8]) -> Result<u64, Problem> {
    size::parse(word).ok_or_else(|| Problem::value(what, word))
}

/// A whole number, of which the lowest 64 bits are taken, as Haskell does. Source: recorded.
fn number(what: &str, word: &[u8]) -> Result<i64, Problem> {
    let (negative, digits) = word.strip_prefix(b"-").map_or((false, word), |digits| (true, digits));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Problem::value(what, word));
    }
    let add = |sum: i64, digit: &u8| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
    let value = digits.iter().fold(0i64, add);
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Text for a terminal.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
