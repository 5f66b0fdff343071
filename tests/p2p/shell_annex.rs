//! git-annex-shell, theirs and ours, side by side: exit status, stdout and stderr.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use testbed::annex::Repo;
use testbed::run::{Done, run};
use testbed::servers::peers;

const LIMIT: Duration = Duration::from_secs(60);
const OTHER: &str = "00000000-0000-4000-8000-00000000ffff";

/// How ours may differ from theirs.
enum Differs {
    No,
    /// The same status and stdout; ours says this on stderr.
    Says(&'static str),
    /// Theirs ends with status 1 and a crash report, ours with 0 and says nothing.
    Ends,
}

use Differs::{Ends, No, Says};
use testbed::product;

/// What is set beside the usual, what is asked, and how we differ. `$D` is the repository, `$U` its uuid, `$P` a
/// directory that is no repository.
const TABLE: &[(&str, &[&str], Differs)] = &[
    ("", &["configlist", "$D"], No),
    ("", &["configlist", "$D/"], No),
    ("", &["configlist", "$D/.git"], No),
    ("", &["configlist", "$D", "--uuid=$U"], No),
    ("", &["configlist", "$D", "--uuid", "$U"], No),
    ("", &["configlist", "$D", "--uuid=00000000-0000-4000-8000-00000000ffff"], No),
    ("", &["configlist", "$D", "--uuid="], No),
    ("", &["configlist", "$D", "--", "autoinit=1", "--"], No),
    ("", &["configlist", "$D", "extra"], No),
    ("", &["configlist", "$P"], Says("")),
    ("", &["configlist", "$D/nothing"], Says("there is no git repository in")),
    ("", &["configlist", "$D", "--bogus"], Says("unknown option --bogus")),
    ("", &["configlist"], Says("bad parameters")),
    ("", &[], Says("bad parameters")),
    ("", &["-c"], Says("bad parameters")),
    ("", &["-c", "git-annex-shell 'configlist' '$D' --uuid $U"], No),
    ("", &["-c", "git-annex-shell configlist \"$D\""], No),
    ("", &["-c", "git-annex-shell '-c' 'git-annex-shell configlist $D'"], No),
    ("", &["-c", "configlist $D"], No),
    ("", &["-c", "git-upload-pack $D"], No),
    ("", &["-c", "git-upload-pack '$D'"], No),
    ("", &["-c", "git-receive-pack '$D'"], No),
    ("GIT_PROTOCOL=version=2", &["-c", "git-upload-pack '$D'"], No),
    ("", &["-c", "true"], No),
    ("", &["-c", "foo"], No),
    ("", &["-c", ""], No),
    ("", &["help"], No),
    ("", &["commit", "$D"], No),
    ("GIT_ANNEX_SHELL_LIMITED=1", &["-c", "git-upload-pack '$D'"], No),
    ("GIT_ANNEX_SHELL_LIMITED=1", &["configlist", "$D"], No),
    ("GIT_ANNEX_SHELL_READONLY=1", &["configlist", "$D"], No),
    ("GIT_ANNEX_SHELL_READONLY=1", &["dropkey", "$D", "XYZ--a"], No),
    ("GIT_ANNEX_SHELL_APPENDONLY=1", &["dropkey", "$D", "XYZ--a"], No),
    ("GIT_ANNEX_SHELL_READONLY=1", &["recvkey", "$D", "XYZ--a"], No),
    ("GIT_ANNEX_SHELL_READONLY=1", &["gcryptsetup", "$D", "x"], No),
    ("GIT_ANNEX_SHELL_DIRECTORY=$D", &["configlist", "$D/"], No),
    ("GIT_ANNEX_SHELL_DIRECTORY=$D", &["configlist", "$P"], No),
    ("GIT_ANNEX_SHELL_DIRECTORY=$D", &["-c", "git-upload-pack '$D'"], No),
    ("GIT_ANNEX_SHELL_DIRECTORY=$D", &["-c", "git-upload-pack '$P'"], No),
    ("", &["p2pstdio", "$D"], No),
    ("", &["p2pstdio", "$D", "c", "d"], No),
    ("", &["p2pstdio", "$D", "c", "--uuid=00000000-0000-4000-8000-00000000ffff"], No),
    (
        "",
        &["p2pstdio", "$P", "c", "--uuid=00000000-0000-4000-8000-00000000ffff"],
        Says("found uninitialized repository"),
    ),
    ("", &["inannex", "$D"], No),
    ("", &["inannex", "$D", "notakey"], No),
    ("", &["dropkey", "$D", "XYZ--a"], Says("use --force")),
    ("", &["sendkey", "$D", "XYZ--a"], Says("only gcrypt remotes use it")),
    ("", &["notifychanges", "$D", "x"], No),
    ("", &["notifychanges", "$P"], Says("is not initialized for git-annex")),
    ("", &["notifychanges", "$D"], Ends),
];

#[test]
fn theirs_and_ours_do_the_same() {
    let repo = Repo::new();
    let plain = tempfile::tempdir().expect("a directory");
    let uuid = repo.git(&["config", "annex.uuid"]).ok().stdout.trim().to_string();
    let fill = |text: &str| {
        let directory = repo.dir().display().to_string();
        text.replace("$D", &directory).replace("$U", &uuid).replace("$P", &plain.path().display().to_string())
    };
    for (variable, words, differs) in TABLE {
        let ask = |program: &Path| {
            let mut command = repo.command(program);
            command.arg0("git-annex-shell").args(words.iter().map(|word| fill(word)));
            if let Some((name, value)) = variable.split_once('=') {
                command.env(name, fill(value));
            }
            run(&mut command, LIMIT)
        };
        let theirs = ask(&peers().join("git-annex-shell"));
        let ours = ask(product());
        compare(&format!("{variable} {words:?}"), &theirs, &ours, differs);
    }
}

/// Whoever may store something may make it a repository of git-annex's; who may only read may not, asked for or not.
#[test]
fn theirs_and_ours_initialise_the_same() {
    let origin = Repo::new();
    let places = tempfile::tempdir().expect("a directory");
    for (nth, (variable, pushed, autoinit)) in [
        ("", false, true),
        ("GIT_ANNEX_SHELL_READONLY=1", false, false),
        ("GIT_ANNEX_SHELL_READONLY=1", false, true),
        ("GIT_ANNEX_SHELL_READONLY=1", true, false),
        ("GIT_ANNEX_SHELL_READONLY=1", true, true),
        ("GIT_ANNEX_SHELL_APPENDONLY=1", false, true),
        ("GIT_ANNEX_SHELL_APPENDONLY=1", true, false),
        ("GIT_ANNEX_SHELL_LIMITED=1", false, true),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = |program: &Path, whose: &str| {
            let directory = places.path().join(format!("{whose}{nth}")).display().to_string();
            origin.git(&["init", "--quiet", "--bare", &directory]).ok();
            if pushed {
                origin.git(&["push", "--quiet", &directory, "git-annex"]).ok();
            }
            let mut command = origin.command(program);
            command.arg0("git-annex-shell").args(["configlist", &directory]);
            if autoinit {
                command.args(["--", "autoinit=1", "--"]);
            }
            if let Some((name, value)) = variable.split_once('=') {
                command.env(name, value);
            }
            let done = run(&mut command, LIMIT);
            let uuid =
                run(origin.command(Path::new("git")).args(["-C", &directory, "config", "annex.uuid"]), LIMIT).stdout;
            let stdout = if uuid.is_empty() { done.stdout } else { done.stdout.replace(uuid.trim(), "UUID") };
            (done.status.code(), stdout, done.stderr.trim_end().to_string(), uuid.is_empty())
        };
        let theirs = ask(&peers().join("git-annex-shell"), "theirs");
        let ours = ask(product(), "ours");
        assert_eq!(theirs, ours, "{variable} {pushed} {autoinit}");
        assert_eq!(ours.3, variable.contains("READONLY"), "{variable} {pushed} {autoinit}");
    }
}

fn compare(what: &str, theirs: &Done, ours: &Done, differs: &Differs) {
    assert_eq!(theirs.stdout, ours.stdout, "{what}\n{theirs:?}\n{ours:?}");
    match differs {
        Ends => assert_eq!((theirs.status.code(), ours.status.code()), (Some(1), Some(0)), "{what}\n{ours:?}"),
        _ => assert_eq!(theirs.status.code(), ours.status.code(), "{what}\n{theirs:?}\n{ours:?}"),
    }
    match differs {
        // git-annex adds an empty line to its own messages.
        No => assert_eq!(theirs.stderr.trim_end(), ours.stderr.trim_end(), "{what}"),
        Says(text) => {
            assert!(ours.stderr.contains(text) && ours.stderr.lines().count() <= 1, "{what}: {}", ours.stderr)
        }
        Ends => assert_eq!(ours.stderr, "", "{what}"),
    }
}

#[test]
fn changed_refs_are_told_with_their_new_value() {
    let repo = Repo::new();
    repo.git(&["commit", "--allow-empty", "--quiet", "-m", "one"]).ok();
    for program in [&peers().join("git-annex-shell"), product()] {
        let mut command: Command = repo.command(program);
        command.arg0("git-annex-shell").arg("notifychanges").arg(repo.dir());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        let mut lines = lines_of(child.stdout.take().expect("piped"));
        assert_eq!(lines(), "READY", "{}", program.display());
        repo.git(&["commit", "--allow-empty", "--quiet", "-m", "another"]).ok();
        let head = repo.git(&["rev-parse", "HEAD"]).ok().stdout.trim().to_string();
        // git-annex may have more to tell, such as of a ref that it made itself when it began.
        loop {
            let told = lines();
            let words: Vec<&str> = told.split(' ').collect();
            assert_eq!(words[0], "CHANGED", "{}", program.display());
            if words[1..].contains(&head.as_str()) {
                break;
            }
        }
        drop(child.stdin.take());
        child.wait().expect("it ends with its input");
    }
}

/// Lines as they come, each within the limit.
fn lines_of(from: impl Read + Send + 'static) -> impl FnMut() -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    move || receive.recv_timeout(LIMIT).expect("a line in time")
}

#[test]
fn the_subcommand_is_the_same_program() {
    let repo = Repo::new();
    let dir = repo.dir().display().to_string();
    let as_link = run(repo.command(product()).arg0("/usr/bin/git-annex-shell").args(["configlist", &dir]), LIMIT).ok();
    let words = ["shell", "configlist", &dir, "--", "autoinit=1", "--"];
    let as_word = run(repo.command(product()).args(words), LIMIT).ok();
    assert_eq!(as_link.stdout, as_word.stdout);
    run(repo.command(product()).args(["shell", "configlist", &dir, "--uuid", OTHER]), LIMIT).failed();
    // Only as a subcommand: under its own name it is what git-annex's is.
    let help = run(repo.command(product()).args(["shell", "--help"]), LIMIT).ok().stdout;
    assert!(help.contains("authorized_keys") && help.contains("GIT_ANNEX_SHELL_READONLY"), "{help}");
    run(repo.command(product()).arg0("git-annex-shell").arg("--help"), LIMIT).failed();
}
