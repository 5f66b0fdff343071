//! `matchexpression`: whether an expression matches a file or key, as `git annex matchexpression` does.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;

use annex_types::size;
use clap::Args;

use super::here;
use super::known::Known;
use crate::annex::repository::Repository;
use crate::gateway::wanted::{Counted, FactSource, KeyFacts, PolicyLogs};
use crate::name::{Key, Uuid};
use crate::wanted::{
    self, Answer, Assumed, Expression, Fact, Facts, Mime, Part, Policy, Repo, Trust, Unknown, Vocabulary,
};

pub(super) const EXAMPLES: &str = "\
Would this repository want a song, if that were what it prefers?

  git-annex-remote-stream matchexpression 'include=*.mp3 and not copies=2' --file=a/b.mp3 --key=SHA256E-s3--2cf2.mp3

Why, with what each term answered:

  git-annex-remote-stream matchexpression --explain 'include=*.mp3 or largerthan=1gb' --file=a.ogg --size=2gb

What is odd in the expression is said on stderr with the byte it stands at, and changes nothing.

The exit status is that of git annex matchexpression: 0 if it matches, 1 if not, 42 if it does not parse, or if it needs a
file, key or size that was not given. It is 1 too if a log or the repository cannot be read.";

#[derive(Args)]
pub(super) struct MatchExpression {
    /// The expression, in one argument.
    expr: OsString,
    /// Read it as one for annex.largefiles.
    #[arg(long)]
    largefiles: bool,
    /// The file it is asked about, from the top of the work tree. It need not exist.
    #[arg(long)]
    file: Option<OsString>,
    /// The key it is asked about.
    #[arg(long)]
    key: Option<OsString>,
    /// The size of the content, such as 10 or 1.5gb, where the key does not tell it.
    #[arg(long, allow_hyphen_values = true)]
    size: Option<OsString>,
    /// The MIME type of the content, for --largefiles.
    #[arg(long, value_name = "VALUE")]
    mimetype: Option<OsString>,
    /// The MIME encoding of the content, for --largefiles.
    #[arg(long, value_name = "VALUE")]
    mimeencoding: Option<OsString>,
    /// Print what each term answered.
    #[arg(long)]
    explain: bool,
    /// Answer as with git annex satisfy --rebalance.
    #[arg(long)]
    rebalance: bool,
    /// Take a repository for untrusted; may be repeated.
    #[arg(long, value_name = "REMOTE")]
    untrust: Vec<OsString>,
    /// Take a repository for semitrusted; may be repeated.
    #[arg(long, value_name = "REMOTE")]
    semitrust: Vec<OsString>,
    /// Ignored: taking a repository for trusted could lose data.
    #[arg(long, value_name = "REMOTE")]
    trust: Vec<OsString>,
    /// Accepted, and changes nothing, as in git-annex.
    #[arg(long, value_name = "NUMBER")]
    numcopies: Option<u64>,
    /// Accepted, and changes nothing, as in git-annex.
    #[arg(long, value_name = "NUMBER")]
    mincopies: Option<u64>,
    /// Accepted, and changes nothing, as in git-annex.
    #[arg(long)]
    force: bool,
    /// Accepted, and changes nothing, as in git-annex.
    #[arg(long, short = 'F')]
    fast: bool,
    /// Say nothing about what is odd in the expression.
    #[arg(long, short)]
    quiet: bool,
}

/// What git-annex ends with where the expression does not parse, or needs what was not given.
const CANNOT_MATCH: u8 = 42;

/// Why there is no answer.
enum Failed {
    /// Exit status 42.
    CannotMatch(String),
    /// Exit status 1.
    Other(String),
}

/// Decides, and ends with the answer.
pub(super) fn main(args: &MatchExpression) -> ExitCode {
    match matches(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failed::CannotMatch(why)) => {
            eprintln!("{why}");
            ExitCode::from(CANNOT_MATCH)
        }
        Err(Failed::Other(why)) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn matches(args: &MatchExpression) -> Result<bool, Failed> {
    // As in git-annex, where no term of an expression asks for them.
    let _ = (args.numcopies, args.mincopies, args.force, args.fast);
    if !args.trust.is_empty() && !args.quiet {
        eprintln!("--trust is ignored: content could be lost if a repository were trusted for one command");
    }
    let given = Given::read(args).map_err(Failed::Other)?;
    let vocabulary = if args.largefiles { Vocabulary::LargeFiles } else { Vocabulary::PreferredContent };
    let expression = Expression::parse_with(args.expr.as_bytes(), vocabulary)
        .map_err(|e| Failed::CannotMatch(format!("bad expression: Parse failure: {e}")))?;
    if !args.quiet {
        expression.warnings().iter().for_each(|warning| eprintln!("{warning}"));
    }
    let repository = Arc::new(here::repository().map_err(Failed::Other)?);
    let policy = policy(&repository, args).map_err(Failed::Other)?;
    let own = policy.repo(repository.uuid()).ok_or_else(|| Failed::Other("this is a cluster's uuid".into()))?;
    let plan = policy.compile_alone(own, &expression);
    if !args.quiet
        && let Some(unstable) = plan.unstable()
    {
        eprintln!("{}", super::told::unstable(unstable));
    }
    let sizes = Counted::new(&repository);
    let source = FactSource::new(&repository, &sizes);
    let facts = Asked { known: given.key.clone().map(|key| source.about(key, None)), given, source: &source };
    let explained = policy.about(&facts).explain(&plan, own, Assumed::NOTHING);
    // git-annex stops at the first term it cannot answer, even where the rest would decide.
    if let Some(unknown) = first_unknown(&explained.tree) {
        return Err(match missing(unknown.fact).filter(|_| *unknown.why == *NOT_GIVEN) {
            Some(what) => Failed::CannotMatch(format!("cannot match this expression without {what} data")),
            None => Failed::Other(unknown.to_string()),
        });
    }
    let answer = explained.answer.map_err(|unknown| Failed::Other(unknown.to_string()))?;
    if args.explain {
        let does = if explained.tree.answer() == Answer::Yes { "matches" } else { "does not match" };
        let unstable = explained.unstable.as_ref().map_or(String::new(), |unstable| {
            let term = unstable.term.escape_ascii();
            format!(", but that expression is not stable due to negated use of {term}, so will not be used")
        });
        let terms = explained.tree.to_string();
        if !terms.is_empty() {
            println!("[ {does} provided expression: {terms}{unstable} ]");
        }
    }
    Ok(answer)
}

/// What is configured here, with what the flags say of trust.
fn policy(repository: &Repository, args: &MatchExpression) -> Result<Policy, String> {
    let logs = PolicyLogs::read(repository).map_err(|e| e.to_string())?;
    let mut configuration = logs.configuration(args.rebalance);
    // As for `standard`, nothing that is configured for a repository counts: `inpreferreddir` is about `public`. Recorded.
    configuration.repositories.iter_mut().for_each(|repository| repository.preferreddir = None);
    let mut member = |uuid: &Uuid, trust: Option<Trust>| {
        let known = configuration.repositories.iter().position(|found| found.uuid == *uuid);
        let at = known.unwrap_or_else(|| {
            configuration.repositories.push(wanted::Repository::new(uuid.clone()));
            configuration.repositories.len() - 1
        });
        if let Some(trust) = trust {
            configuration.repositories[at].trust = trust;
        }
    };
    member(repository.uuid(), None);
    let known = Known::read(repository)?;
    for (names, trust) in [(&args.semitrust, Trust::Semitrusted), (&args.untrust, Trust::Untrusted)] {
        for name in names {
            member(&known.find(name.as_bytes())?, Some(trust));
        }
    }
    Ok(Policy::new(configuration))
}

/// What the flags tell.
struct Given {
    file: Option<Vec<u8>>,
    key: Option<Key>,
    size: Option<u64>,
    mimetype: Option<Vec<u8>>,
    mimeencoding: Option<Vec<u8>>,
}

impl Given {
    fn read(args: &MatchExpression) -> Result<Self, String> {
        let bytes = |given: &Option<OsString>| given.as_ref().map(|given| given.as_bytes().to_vec());
        let key = |text: &OsString| Key::parse(text.as_bytes()).map_err(|_| "--key: not a key".to_string());
        let size = |text: &OsString| {
            // Less than nothing is taken by git-annex too, and no term tells it from nothing but one with a size below 0.
            let negative = text.as_bytes().strip_prefix(b"-");
            let found = size::parse(negative.unwrap_or(text.as_bytes()));
            let size = found.ok_or("--size: not a size; one is like 10, 1.5gb or 20MiB")?;
            Ok::<_, String>(if negative.is_some() { 0 } else { size })
        };
        Ok(Self {
            file: bytes(&args.file),
            key: args.key.as_ref().map(key).transpose()?,
            size: args.size.as_ref().map(size).transpose()?,
            mimetype: bytes(&args.mimetype),
            mimeencoding: bytes(&args.mimeencoding),
        })
    }
}

/// What the flags and the repository tell.
struct Asked<'a> {
    given: Given,
    known: Option<KeyFacts<'a>>,
    source: &'a FactSource<'a>,
}

const NOT_GIVEN: &str = "it was not given";

impl<'a> Asked<'a> {
    fn known(&self) -> Result<&KeyFacts<'a>, Unknown> {
        self.known.as_ref().ok_or_else(|| Unknown::new(Fact::Key, NOT_GIVEN))
    }
}

impl Facts for Asked<'_> {
    fn key(&self) -> Result<&Key, Unknown> {
        self.known()?.key()
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        self.given.file.as_deref().map(Some).ok_or_else(|| Unknown::new(Fact::File, NOT_GIVEN))
    }

    fn size(&self) -> Result<Option<u64>, Unknown> {
        let of_key = self.given.key.as_ref().and_then(Key::size);
        of_key.or(self.given.size).map(Some).ok_or_else(|| Unknown::new(Fact::Size, NOT_GIVEN))
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        self.known()?.holders(holder)
    }

    fn present(&self, repo: Repo, uuid: &Uuid) -> Result<Option<bool>, Unknown> {
        self.known()?.present(repo, uuid)
    }

    fn used(&self, repo: Repo, uuid: &Uuid) -> Result<u64, Unknown> {
        self.known()?.used(repo, uuid)
    }

    /// git-annex does not look at .gitattributes here: the file need not exist.
    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        self.known().map(|_| None)
    }

    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.known()?.metadata(field, value)
    }

    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.known()?.urls(url)
    }

    fn mime(&self, what: Mime) -> Result<&[u8], Unknown> {
        let given = match what {
            Mime::Type => &self.given.mimetype,
            Mime::Encoding => &self.given.mimeencoding,
        };
        given.as_deref().ok_or_else(|| Unknown::new(what.fact(), NOT_GIVEN))
    }

    fn unused(&self) -> Result<bool, Unknown> {
        self.source.is_unused(self.known()?.key()?)
    }
}

/// What git-annex calls a fact that a flag tells.
fn missing(fact: Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::Key => "key",
        Fact::File => "file",
        Fact::Size => "size",
        Fact::MimeType => "mimetype",
        Fact::MimeEncoding => "mimeencoding",
        _ => return None,
    })
}

/// The first term that could not be answered.
fn first_unknown(part: &Part) -> Option<&Unknown> {
    match part {
        Part::Term { answer: Answer::Unknown(unknown), .. } => Some(unknown),
        Part::Term { .. } => None,
        Part::Not(inner) => first_unknown(inner),
        Part::Expanded { into, .. } => first_unknown(into),
        Part::Sequence(list) => list.iter().find_map(|(_, part)| first_unknown(part)),
    }
}
