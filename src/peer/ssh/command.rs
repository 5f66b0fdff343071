//! The command that reaches a peer over ssh.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use crate::name::Uuid;
use crate::peer::{SshProgram, SshRemote};

/// What runs here. `client` is who we are, `server` whom we want.
pub(super) fn here(remote: &SshRemote, server: &Uuid, client: &Uuid) -> Command {
    let mut command = match &remote.ways.program {
        SshProgram::Ssh => Command::new("ssh"),
        SshProgram::Program(program) => Command::new(program),
        SshProgram::Command(words) => {
            // As git runs it, so that it may be more than one word.
            let mut line = words.clone();
            line.push(" \"$@\"");
            let mut command = Command::new("sh");
            command.arg("-c").arg(line).arg(words);
            command
        }
    };
    command.args(&remote.ways.options);
    // Nobody is there who could answer a question. A program of the user's own may take no options but git's.
    command.env("SSH_ASKPASS_REQUIRE", "never");
    if remote.ways.program == SshProgram::Ssh {
        command.args(["-o", "BatchMode=yes", "-T"]);
        // A computer that vanished is noticed well before a lock that it kept for us lapses there.
        command.args(["-o", "ServerAliveInterval=60", "-o", "ServerAliveCountMax=3"]);
    }
    if let Some(port) = remote.port {
        command.arg("-p").arg(port.to_string());
    }
    command.arg(&remote.destination).arg(there(remote, server, client));
    command
}

/// What the shell on the other computer runs.
fn there(remote: &SshRemote, server: &Uuid, client: &Uuid) -> OsString {
    let shell = remote.ways.shell.as_deref().unwrap_or("git-annex-shell");
    let mut line = shell.as_bytes().to_vec();
    for word in [b"p2pstdio", remote.path.as_slice(), client.as_bytes()] {
        line.push(b' ');
        quote(word, &mut line);
    }
    line.extend_from_slice(b" --uuid ");
    // Bare as git-annex has it, where the shell cannot take it for anything else.
    if server.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        line.extend_from_slice(server.as_bytes());
    } else {
        quote(server.as_bytes(), &mut line);
    }
    OsString::from_vec(line)
}

fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => out.extend_from_slice(b"'\"'\"'"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Location, SshWays};

    fn words(url: &str, ways: SshWays) -> Vec<String> {
        let Some(Location::Ssh(remote)) = Location::parse(url.as_bytes(), ways) else { panic!("{url}") };
        let uuid = |bytes: &[u8]| Uuid::parse(bytes).expect("a uuid");
        let command = here(&remote, &uuid(b"00000000-a001"), &uuid(b"00000000-c002"));
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_str().expect("text").to_string()).collect()
    }

    #[test]
    fn the_command_there_is_the_one_git_annex_runs() {
        // Recorded, but for the uuids.
        for (url, path) in [("h:/abs/it's", r#"'/abs/it'"'"'s'"#), ("user@h:rel/a%20b", "'/~/rel/a b'")] {
            let expected = format!("git-annex-shell 'p2pstdio' {path} '00000000-c002' --uuid 00000000-a001");
            assert_eq!(words(url, SshWays::default()).last(), Some(&expected));
        }
        let ways = SshWays { shell: Some("/opt/my shell".into()), ..SshWays::default() };
        let expected = "/opt/my shell 'p2pstdio' '/x' '00000000-c002' --uuid 00000000-a001";
        assert_eq!(words("ssh://h/x", ways).last().map(String::as_str), Some(expected));
    }

    #[test]
    fn no_uuid_is_taken_for_a_command() {
        let Some(Location::Ssh(remote)) = Location::parse(b"h:/x", SshWays::default()) else { panic!() };
        let odd = Uuid::parse(b"a;$(rm)`'").expect("a uuid");
        let line = there(&remote, &odd, &odd).into_string().expect("text");
        assert_eq!(line, r#"git-annex-shell 'p2pstdio' '/x' 'a;$(rm)`'"'"'' --uuid 'a;$(rm)`'"'"''"#);
    }

    #[test]
    fn options_and_port_come_before_the_host() {
        let options = vec!["-i".to_string(), "key file".to_string()];
        let all = words("ssh://u@h:22/x", SshWays { options, ..SshWays::default() });
        assert_eq!(all[..6], ["ssh", "-i", "key file", "-o", "BatchMode=yes", "-T"]);
        assert_eq!(all[6..10], ["-o", "ServerAliveInterval=60", "-o", "ServerAliveCountMax=3"]);
        assert_eq!(all[10..13], ["-p", "22", "u@h"]);
        assert_eq!(all.len(), 14);
        let program = SshProgram::Command("my ssh".into());
        let all = words("ssh://h:7/x", SshWays { program, ..SshWays::default() });
        assert_eq!(all[..7], ["sh", "-c", "my ssh \"$@\"", "my ssh", "-p", "7", "h"]);
        let program = SshProgram::Program("my ssh".into());
        assert_eq!(words("h:x", SshWays { program, ..SshWays::default() })[..2], ["my ssh", "h"]);
    }
}
