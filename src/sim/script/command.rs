//! The commands of a sim, as data.

use super::chain::Chain;
use super::name::Name;
use super::stream::Stream;
use crate::wanted::Trust;

/// A line of a sim file.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A comment or an empty line, which the log keeps.
    Comment(Name),
    /// What is ours alone, in a line that git-annex takes for a comment.
    Stream(Stream),
    /// A command.
    Command(Command),
}

/// A command of a sim. Source: the manual of `git annex sim`.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A repository.
    Init(Name),
    /// A special remote.
    InitRemote(Name),
    /// A repository that there is, with its configuration: what it is called in the sim, and what it is called here.
    Use(Name, Name),
    /// Adds connections.
    Connect(Chain),
    /// Takes connections away.
    Disconnect(Chain),
    /// Adds annexed files of the work tree that match an expression to a repository.
    AddTree(Name, Name),
    /// Adds a file of so many bytes to repositories.
    Add {
        /// Its name.
        file: Name,
        /// In bytes.
        size: u64,
        /// Who has it.
        repos: Vec<Name>,
    },
    /// Adds files with sizes drawn from a range.
    AddMulti {
        /// How many.
        count: i64,
        /// What follows the number in the name of each.
        suffix: Name,
        /// The least size, in bytes.
        least: u64,
        /// The greatest.
        most: u64,
        /// Who has them.
        repos: Vec<Name>,
    },
    /// So many steps and one more.
    Step(i64),
    /// The same, after which the sim has to be at rest.
    StepStable(i64),
    /// Actions that take turns.
    Action(Vec<(Name, Action)>),
    /// Where random numbers begin.
    Seed(i64),
    /// The repository has to have the file now.
    Present(Name, Name),
    /// It must not have it.
    NotPresent(Name, Name),
    /// Copies that are wanted.
    NumCopies(i64),
    /// Copies below which nothing is dropped.
    MinCopies(i64),
    /// How far a repository is trusted.
    TrustLevel(Name, Trust),
    /// What a repository, or a group, wants or is required to have.
    Expression(What, Name, Name),
    /// The same, drawn at random from terms.
    RandomExpression(What, Random),
    /// Puts a repository into a group.
    Group(Name, Name),
    /// Takes it out.
    Ungroup(Name, Name),
    /// Changes the metadata of a file.
    Metadata(Name, Change),
    /// Bytes that a repository may hold.
    MaxSize(Name, u64),
    /// As with `--rebalance`, or without.
    Rebalance(bool),
    /// Another name of a repository: that of a node of a cluster.
    ClusterNode(Name, Name),
    /// Runs a command in a repository, or a shell where there is none.
    Visit(Name, Name),
}

/// Which expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Preferred content of a repository.
    Wanted,
    /// Required content of a repository.
    Required,
    /// What `groupwanted` stands for in a group.
    GroupWanted,
}

/// Of whom, and the terms that an expression is drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    /// A repository or group.
    pub of: Name,
    /// The terms.
    pub terms: Vec<Name>,
}

/// What a repository does, to or with a remote.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Gets what it wants from a remote.
    GetWanted(Name),
    /// Drops what it does not want.
    DropUnwanted,
    /// Drops from a remote what that does not want.
    DropUnwantedFrom(Name),
    /// Sends to a remote what that wants.
    SendWanted(Name),
    /// Tells a remote what it knows.
    GitPush(Name),
    /// Learns what a remote knows.
    GitPull(Name),
    /// Learns, gets and drops.
    Pull(Name),
    /// Sends, drops from the remote and tells.
    Push(Name),
    /// Learns, gets, sends, drops and tells.
    Sync(Name),
}

/// A change of metadata: `field=value`, `field+=value`, `field-=value` or `field?=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The word as it was written.
    pub text: Name,
}

impl Change {
    /// The field in lower case, `=` or the mark before it, and the value. Without a `=`, the field is set to nothing: recorded.
    pub fn parts(&self) -> (Vec<u8>, u8, &[u8]) {
        let end = self.text.iter().position(|byte| *byte == b'=');
        let (field, value) = end.map_or((&self.text[..], &b""[..]), |end| (&self.text[..end], &self.text[end + 1..]));
        let (field, mark) = match field {
            [rest @ .., mark @ (b'+' | b'-' | b'?')] => (rest, *mark),
            _ => (field, b'='),
        };
        (String::from_utf8_lossy(field).to_lowercase().into_bytes(), mark, value)
    }
}
