//! `visit`: a repository that git-annex commands can be run in, whose git-annex branch is what a simulated one knows.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::store::VISITED;
use crate::annex::fresh;
use crate::annex::layout::{Hashing, objects_candidates};
use crate::annex::log::{
    GROUP_LOG, GROUP_PREFERRED_LOG, LogHashing, MAXSIZE_LOG, MINCOPIES_LOG, NUMCOPIES_LOG, PREFERRED_LOG, REQUIRED_LOG,
    TRUST_LOG, UUID_LOG, location_file, meta, metadata_file,
};
use crate::sim::World;
use crate::wanted::Trust;

/// What git takes for the repository that it works in, whatever the current directory is.
const OF_ANOTHER: [&str; 5] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"];

/// A directory that nobody else has, for one visit, gone at its end.
struct Place(PathBuf);

impl Place {
    fn below(sim: &Path) -> Result<Self, String> {
        let told = |e: io::Error| format!("make a directory below {}: {e}", sim.display());
        let dir = sim.join(VISITED).join(fresh::name("visit").map_err(told)?);
        std::fs::create_dir_all(&dir).map_err(told)?;
        Ok(Self(dir))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left does no harm, and the next `sim end` removes it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Makes the repository of the moment below the directory of the `sim`, and runs a command in it, or a shell where there is none.
pub(super) fn visit(world: &World, repo: &[u8], command: &[u8], sim: &Path) -> Result<(), String> {
    let repo = world.network.find(repo).map_err(|e| e.to_string())?;
    let place = Place::below(sim)?;
    let dir = &place.0;
    make(world, repo, dir)?;
    let text = String::from_utf8_lossy(command);
    if command.is_empty() {
        super::say("Starting a shell in the simulated repository.");
    }
    let mut child = match command.is_empty() {
        true => Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())),
        false => {
            use std::os::unix::ffi::OsStrExt;
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(std::ffi::OsStr::from_bytes(command));
            shell
        }
    };
    for name in OF_ANOTHER {
        child.env_remove(name);
    }
    let status = child.current_dir(dir).status();
    let status = status.map_err(|e| format!("run a command in {}: {e}", dir.display()))?;
    match (command.is_empty(), status.success()) {
        (true, _) => super::say("Finished visit to simulated repository."),
        (false, true) => {}
        (false, false) => {
            super::say(&format!("Command {text} exited nonzero."));
            return Err(String::new());
        }
    }
    Ok(())
}

/// Makes a repository of an empty directory.
fn make(world: &World, repo: usize, dir: &Path) -> Result<(), String> {
    let member = &world.network.members[repo];
    let told = |what: &str, e: io::Error| format!("{what} {}: {e}", dir.display());
    git(dir, &["init", "--quiet"])?;
    for (name, value) in [("annex.uuid", member.uuid.to_string().as_str()), ("annex.version", "10")] {
        git(dir, &["config", name, value])?;
    }
    for name in ["user.name", "user.email"] {
        git(dir, &["config", name, "sim@localhost"])?;
    }
    let mut import = command(dir);
    import.args(["fast-import", "--quiet", "--force"]).stdin(Stdio::piped());
    let mut import = import.spawn().map_err(|e| told("git fast-import in", e))?;
    let written = match import.stdin.take() {
        Some(stdin) => write(world, repo, &mut BufWriter::new(stdin)),
        None => Ok(()),
    };
    let status = import.wait().map_err(|e| told("git fast-import in", e))?;
    if !status.success() || written.is_err() {
        return Err(format!("git fast-import failed in {}", dir.display()));
    }
    git(dir, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
    if !world.files.is_empty() {
        git(dir, &["reset", "--quiet", "--hard"])?;
    }
    Ok(())
}

fn command(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir);
    for name in OF_ANOTHER {
        git.env_remove(name);
    }
    git
}

fn git(dir: &Path, words: &[&str]) -> Result<(), String> {
    let status = command(dir).args(words).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("git {} failed in {}", words.join(" "), dir.display())),
        Err(e) => Err(format!("git {}: {e}", words.join(" "))),
    }
}

/// Both branches, as `git fast-import` reads them.
fn write(world: &World, repo: usize, out: &mut dyn Write) -> io::Result<()> {
    const WHO: &str = "committer sim <sim@localhost> 1 +0000\ndata 3\nsim\n";
    write!(out, "commit refs/heads/git-annex\n{WHO}")?;
    let network = &world.network;
    let each = |value: &dyn Fn(usize) -> Option<Vec<u8>>| {
        let lines = (0..network.members.len()).filter_map(|at| {
            let uuid = network.members[at].uuid.as_bytes();
            Some([uuid, b" ", &value(at)?, b" timestamp=1s\n"].concat())
        });
        lines.collect::<Vec<_>>().concat()
    };
    let set = |text: &[u8]| (!text.is_empty()).then(|| text.to_vec());
    file(out, UUID_LOG, &each(&|at| Some([b"simulated repository ", &network.members[at].name[..]].concat())))?;
    file(out, TRUST_LOG, &each(&|at| trust(network.members[at].trust)))?;
    file(
        out,
        GROUP_LOG,
        &each(&|at| {
            let groups: Vec<&[u8]> = network.members[at].groups.iter().map(|group| &group[..]).collect();
            set(&groups.join(&b' '))
        }),
    )?;
    file(out, PREFERRED_LOG, &each(&|at| set(&network.members[at].wanted)))?;
    file(out, REQUIRED_LOG, &each(&|at| set(&network.members[at].required)))?;
    let line = |parts: &[&[u8]]| [b"1s ", &parts.join(&b' ')[..], b"\n"].concat();
    let groups: Vec<_> = network.groupwanted.iter().map(|(group, text)| line(&[group, text])).collect();
    file(out, GROUP_PREFERRED_LOG, &groups.concat())?;
    let limits = network
        .members
        .iter()
        .filter_map(|member| Some(line(&[member.uuid.as_bytes(), member.maxsize?.to_string().as_bytes()])));
    file(out, MAXSIZE_LOG, &limits.collect::<Vec<_>>().concat())?;
    for (name, set) in [(NUMCOPIES_LOG, network.numcopies), (MINCOPIES_LOG, network.mincopies)] {
        if let Some(copies) = set {
            file(out, name, &line(&[copies.to_string().as_bytes()]))?;
        }
    }
    for number in 0..world.files.len() as u32 {
        let key = world.files.key(number);
        let mut log = Vec::new();
        for holder in world.knowledge.holders(repo, number) {
            log.extend_from_slice(&line(&[b"1", network.members[holder].uuid.as_bytes()]));
        }
        file(out, &location_file(key, LogHashing::TwoLevels), &log)?;
        if let Some(fields) = world.files.metadata(number) {
            let mut log = b"1s".to_vec();
            for (field, values) in fields {
                log.extend_from_slice(&[b" ", &field[..]].concat());
                for value in values {
                    log.extend_from_slice(b" +");
                    log.extend_from_slice(&meta::word(value));
                }
            }
            log.push(b'\n');
            file(out, &metadata_file(key, LogHashing::TwoLevels), &log)?;
        }
    }
    write!(out, "commit refs/heads/main\n{WHO}")?;
    for number in world.files.current() {
        let name = world.files.name(number);
        // One that is absolute or leads out of the repository is none that git would take.
        if name.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b".." | b".git")) {
            continue;
        }
        let key = world.files.key(number);
        let [place, _] = objects_candidates(key.as_bytes(), Hashing::default());
        let depth = name.iter().filter(|byte| **byte == b'/').count();
        let target = [&b"../".repeat(depth)[..], b".git/annex/", &place].concat();
        link(out, name, &target)?;
    }
    writeln!(out, "done")?;
    out.flush()
}

fn trust(trust: Trust) -> Option<Vec<u8>> {
    match trust {
        Trust::Dead => Some(b"X".to_vec()),
        Trust::Untrusted => Some(b"0".to_vec()),
        Trust::Trusted => Some(b"1".to_vec()),
        Trust::Semitrusted => None,
    }
}

fn file(out: &mut dyn Write, name: &[u8], content: &[u8]) -> io::Result<()> {
    if content.is_empty() {
        return Ok(());
    }
    entry(out, "100644", name, content)
}

fn link(out: &mut dyn Write, name: &[u8], target: &[u8]) -> io::Result<()> {
    entry(out, "120000", name, target)
}

fn entry(out: &mut dyn Write, mode: &str, name: &[u8], content: &[u8]) -> io::Result<()> {
    write!(out, "M {mode} inline \"")?;
    for byte in name {
        match byte {
            b'"' | b'\\' => out.write_all(&[b'\\', *byte])?,
            0x20..=0x7e => out.write_all(&[*byte])?,
            other => write!(out, "\\{other:03o}")?,
        }
    }
    writeln!(out, "\"\ndata {}", content.len())?;
    out.write_all(content)?;
    out.write_all(b"\n")
}
