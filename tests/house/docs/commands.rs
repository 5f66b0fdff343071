//! Every subcommand and flag that a page names is one, and every one is named on a page.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{Kind, Piece};

const NAME: &str = "git-annex-remote-stream";

/// Flags of other programs that pages name by themselves, without the program before them.
const OTHERS: &[(&str, &str)] = &[
    ("--debug", "git annex"),
    ("--no-content", "git annex import"),
    ("--private", "git annex initremote"),
    ("--sameas", "git annex initremote"),
    ("--uuid", "git-annex-shell"),
    ("--want-drop-by", "git annex find"),
    ("--want-get-by", "git annex find"),
    ("--work", "a path of a repository"),
    ("--vfs-case-insensitive", "rclone"),
    ("--features", "cargo"),
    ("--workspace", "cargo"),
    ("--quick", "bench"),
    ("--stream", "a line of a sim file"),
    ("--", "a comment of a sim file"),
];

/// The flags of the program by subcommand, those of the program itself under the empty name.
pub struct Program(BTreeMap<String, Flags>);

/// Of one subcommand.
struct Flags {
    names: BTreeSet<String>,
    /// Takes anything, as `shell` does.
    any: bool,
    hidden: bool,
}

impl Program {
    pub fn new(command: &clap::Command) -> Program {
        let mut command = command.clone();
        command.build();
        let mut all = BTreeMap::from([(String::new(), Flags::of(&command, false))]);
        all.extend(command.get_subcommands().map(|sub| (sub.get_name().to_string(), Flags::of(sub, true))));
        Program(all)
    }

    fn any_has(&self, flag: &str) -> bool {
        let beginning = flag.strip_suffix('-').filter(|flag| flag.len() > 2);
        let fits = |name: &String| name == flag || beginning.is_some_and(|beginning| name.starts_with(beginning));
        self.0.values().any(|flags| flags.names.iter().any(fits))
    }
}

impl Flags {
    fn of(command: &clap::Command, is_sub: bool) -> Flags {
        // Those of its own subcommands too: `sim prove --strict`.
        let subs = command.get_subcommands().filter(|_| is_sub).flat_map(clap::Command::get_arguments);
        let shown = command.get_arguments().chain(subs).filter(|argument| !argument.is_hide_set());
        let long = shown.filter_map(|argument| argument.get_long()).map(|long| format!("--{long}"));
        Flags {
            names: long.collect(),
            any: command.get_arguments().any(clap::Arg::is_trailing_var_arg_set),
            hidden: command.is_hide_set(),
        }
    }
}

/// What is wrong with the commands on the page `name`.
pub fn lies(program: &Program, name: &str, page: &[Piece]) -> Vec<String> {
    let mut lies = Vec::new();
    for piece in page.iter().filter(|piece| matches!(piece.kind, Kind::Span | Kind::Code)) {
        let words = words(&piece.text);
        let mut wrong: Vec<String> = Vec::new();
        for (at, _) in words.iter().enumerate().filter(|(at, _)| is_called(&words, *at)) {
            wrong.extend(program.misuse(&words[at + 1..]));
        }
        if piece.kind == Kind::Span {
            wrong.extend(program.misuse_of_span(&words));
        }
        lies.extend(wrong.into_iter().map(|wrong| format!("{name}:{}: {wrong}", piece.line)));
    }
    lies
}

impl Program {
    /// What is wrong with a span that begins with a flag, or with a subcommand and a flag.
    fn misuse_of_span(&self, words: &[String]) -> Vec<String> {
        let is_flag = |at: usize| words.get(at).is_some_and(|word| word.starts_with("--"));
        if is_flag(0) {
            let flags = words.iter().filter(|word| word.starts_with("--"));
            return flags.filter_map(|flag| self.stranger(flag)).collect();
        }
        let is_subcommand = words.first().is_some_and(|word| !word.is_empty() && self.0.contains_key(word));
        if is_subcommand && is_flag(1) { self.misuse(words) } else { Vec::new() }
    }

    /// What is wrong with `words` after the name of the program.
    fn misuse(&self, words: &[String]) -> Vec<String> {
        let first = words.first().map_or("", String::as_str);
        let is_name = first.starts_with(|c: char| c.is_ascii_lowercase())
            && first.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let sub = if is_name { first } else { "" };
        let Some(flags) = self.0.get(sub) else { return vec![format!("there is no subcommand {sub}")] };
        if flags.any {
            return Vec::new();
        }
        let used = words.iter().take_while(|word| !word.is_empty()).filter(|word| word.starts_with("--"));
        let unknown = used.map(|word| flag(word)).filter(|flag| !flags.names.contains(*flag));
        unknown.map(|flag| format!("{NAME} {sub} has no flag {flag}")).collect()
    }

    fn stranger(&self, word: &str) -> Option<String> {
        let flag = flag(word);
        let known = self.any_has(flag) || OTHERS.iter().any(|(other, _)| *other == flag);
        (!known).then(|| {
            format!("there is no flag {flag}: is it another program's? Then it belongs in tests/house/docs/commands.rs")
        })
    }
}

fn flag(word: &str) -> &str {
    word.split_once('=').map_or(word, |(flag, _)| flag)
}

/// Whether the word at `at` calls the program, and is not what a flag of another program names.
fn is_called(words: &[String], at: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |before| &words[before]);
    let named = before.starts_with('-') && before != "--";
    (words[at] == NAME || words[at].ends_with("/git-annex-remote-stream")) && !named
}

/// The words of a command line; an empty one where the command ends and another or a redirection begins.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let kept: String = word.chars().take_while(|c| !"|;&<>#\\'\"".contains(*c)).collect();
        let cut = kept.len() < word.len();
        if !kept.is_empty() || !cut {
            words.push(kept);
        }
        if cut {
            words.push(String::new());
        }
    }
    words
}

/// The subcommands and flags that no page names.
pub fn unnamed(program: &Program, pages: &[Vec<Piece>]) -> Vec<String> {
    let mut named = BTreeSet::new();
    for piece in pages.iter().flatten().filter(|piece| matches!(piece.kind, Kind::Span | Kind::Code)) {
        let words = words(&piece.text);
        named.extend(words.iter().filter(|word| word.starts_with("--")).map(|word| flag(word).to_string()));
        named.extend(words.first().cloned());
        named.extend((1..words.len()).filter(|at| is_called(&words, at - 1)).map(|at| words[at].clone()));
    }
    let shown = program.0.iter().filter(|(_, flags)| !flags.hidden);
    let all = shown.flat_map(|(name, flags)| flags.names.iter().chain(Some(name).filter(|name| !name.is_empty())));
    let clap_has = ["--help", "--version", "help"];
    let missing: BTreeSet<&String> =
        all.filter(|word| !named.contains(*word) && !clap_has.contains(&word.as_str())).collect();
    missing.into_iter().map(|word| format!("no page names {word}")).collect()
}

#[cfg(test)]
fn sample() -> Program {
    use clap::{Arg, Command};
    let serve = Command::new("serve").arg(Arg::new("a").long("all")).arg(Arg::new("h").long("hidden").hide(true));
    let shell = Command::new("shell").arg(Arg::new("rest").trailing_var_arg(true).num_args(0..));
    Program::new(&Command::new(NAME).version("1").subcommand(serve).subcommand(shell))
}

#[test]
fn a_command_that_lies_is_found() {
    let program = sample();
    for (kind, text, lies_there) in [
        (Kind::Span, "git-annex-remote-stream serve --all", 0),
        (Kind::Span, "git-annex-remote-stream --version", 0),
        (Kind::Span, "git-annex-remote-stream shell --anything", 0),
        (Kind::Span, "--all", 0),
        (Kind::Span, "--al-", 0),
        (Kind::Span, "git gc --nothing", 0),
        (Kind::Code, "X=1 git-annex-remote-stream serve --all=x | sort --nothing", 0),
        (Kind::Code, "install target/release/git-annex-remote-stream ~/bin/ # --nothing", 0),
        (Kind::Code, "cargo test -p git-annex-remote-stream --nothing", 0),
        (Kind::Code, "env -- git-annex-remote-stream nothing", 1),
        (Kind::Span, "git-annex-remote-stream nothing", 1),
        (Kind::Span, "git-annex-remote-stream serve --nothing", 1),
        (Kind::Span, "git-annex-remote-stream --all", 1),
        (Kind::Span, "serve --nothing", 1),
        (Kind::Span, "--nothing", 1),
        (Kind::Span, "--all --nothing=x", 1),
        (Kind::Code, "printf '#!/bin/sh\\nexec git-annex-remote-stream nothing\\n' >hook", 1),
        (Kind::Code, "/usr/bin/git-annex-remote-stream serve --hidden --nothing", 2),
    ] {
        let page = [Piece { kind, line: 1, text: text.to_string() }];
        let found = lies(&program, "a.md", &page);
        assert_eq!(found.len(), lies_there, "{text}: {found:?}");
    }
}

#[test]
fn what_no_page_names_is_found() {
    let span = |text: &str| Piece { kind: Kind::Span, line: 1, text: text.to_string() };
    assert_eq!(
        unnamed(&sample(), &[vec![span("git-annex-remote-stream serve"), span("--all"), span("shell -c")]]).len(),
        0
    );
    assert_eq!(
        unnamed(&sample(), &[vec![span("use --all shell, serve")]]),
        ["no page names serve", "no page names shell"]
    );
    assert_eq!(unnamed(&sample(), &[vec![span("serve"), span("shell")]]), ["no page names --all"]);
}
