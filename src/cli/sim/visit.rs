//! `visit`: a repository that git-annex commands can be run in, whose git-annex branch is what a simulated one knows.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::annex::layout::{Hashing, key_file, objects_candidates};
use crate::annex::log::{LogHashing, location_file, metadata_file};
use crate::sim::World;
use crate::wanted::Trust;

/// Makes the repository of the moment below `place`, and runs a command in it, or a shell where there is none.
pub(super) fn visit(world: &World, repo: &[u8], command: &[u8], place: &Path) -> Result<(), String> {
    let repo = world.network.find(repo).map_err(|e| e.to_string())?;
    let dir = make(world, repo, place)?;
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
    let status = child.current_dir(&dir).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").status();
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

/// The directory of the repository, made anew.
fn make(world: &World, repo: usize, place: &Path) -> Result<PathBuf, String> {
    let member = &world.network.members[repo];
    let dir = place.join("visited").join(member.uuid.to_string().replace('/', "_"));
    let told = |what: &str, e: io::Error| format!("{what} {}: {e}", dir.display());
    if dir.exists() {
        std::fs::remove_dir_all(&dir).map_err(|e| told("remove", e))?;
    }
    std::fs::create_dir_all(&dir).map_err(|e| told("make", e))?;
    git(&dir, &["init", "--quiet"])?;
    for (name, value) in [("annex.uuid", member.uuid.to_string().as_str()), ("annex.version", "10")] {
        git(&dir, &["config", name, value])?;
    }
    for name in ["user.name", "user.email"] {
        git(&dir, &["config", name, "sim@localhost"])?;
    }
    let mut import = command(&dir);
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
    git(&dir, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
    if !world.files.is_empty() {
        git(&dir, &["reset", "--quiet", "--hard"])?;
    }
    Ok(dir)
}

fn command(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(dir);
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"].iter().for_each(|name| {
        git.env_remove(name);
    });
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
    file(out, b"uuid.log", &each(&|at| Some([b"simulated repository ", &network.members[at].name[..]].concat())))?;
    file(out, b"trust.log", &each(&|at| trust(network.members[at].trust)))?;
    file(
        out,
        b"group.log",
        &each(&|at| {
            let groups: Vec<&[u8]> = network.members[at].groups.iter().map(|group| &group[..]).collect();
            set(&groups.join(&b' '))
        }),
    )?;
    file(out, b"preferred-content.log", &each(&|at| set(&network.members[at].wanted)))?;
    file(out, b"required-content.log", &each(&|at| set(&network.members[at].required)))?;
    let line = |parts: &[&[u8]]| [b"1s ", &parts.join(&b' ')[..], b"\n"].concat();
    let groups: Vec<_> = network.groupwanted.iter().map(|(group, text)| line(&[group, text])).collect();
    file(out, b"group-preferred-content.log", &groups.concat())?;
    let limits = network
        .members
        .iter()
        .filter_map(|member| Some(line(&[member.uuid.as_bytes(), member.maxsize?.to_string().as_bytes()])));
    file(out, b"maxsize.log", &limits.collect::<Vec<_>>().concat())?;
    for (name, set) in [("numcopies.log", network.numcopies), ("mincopies.log", network.mincopies)] {
        if let Some(copies) = set {
            file(out, name.as_bytes(), &line(&[copies.to_string().as_bytes()]))?;
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
                    log.extend_from_slice(&encoded(value));
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
    let _ = key_file;
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

/// A value of metadata: in base64 where it holds what would end it.
fn encoded(value: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let is_plain = !value.starts_with(b"!") && !value.iter().any(|byte| byte.is_ascii_whitespace());
    match is_plain {
        true => value.to_vec(),
        false => [b"!", base64::engine::general_purpose::STANDARD.encode(value).as_bytes()].concat(),
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
