//! The commands of docs/preferred-content.md, and what they print.

use std::path::Path;

use testbed::annex::{LIMIT, Repo};
use testbed::run::run;

const PAGE: &str = include_str!("../../../docs/preferred-content.md");

/// Every command of the page, in order, and what it prints.
fn commands() -> Vec<(&'static str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for block in PAGE.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command, String::new())),
                (None, Some((_, printed))) => *printed += &format!("{line}\n"),
                (None, None) => panic!("{line} is printed by nobody"),
            }
        }
    }
    commands
}

#[test]
fn commands_print_what_the_page_shows() {
    let home = Repo::homeless();
    let media = tempfile::tempdir().expect("a directory");
    for name in ["usb", "cloud"] {
        std::fs::create_dir(media.path().join(name)).expect("a directory");
    }
    let commands = commands();
    assert!(commands.len() > 15, "only {} commands were found", commands.len());
    let mut below = home.dir();
    for (command, printed) in commands {
        let here = command.replace("/media", &media.path().display().to_string());
        let mut shell = home.command(Path::new("sh"));
        // What is said on stderr is shown in its place.
        let done = run(shell.current_dir(&below).args(["-c", &format!("exec 2>&1; {here}")]), LIMIT);
        let said: String = done.stdout.lines().filter(|line| !line.contains("recording state in git")).fold(
            String::new(),
            |said, line| {
                if printed.is_empty() && line.ends_with(" ok") { said } else { said + line + "\n" }
            },
        );
        assert_eq!(said, printed, "{command}");
        if here.contains("cd music") {
            below = below.join("music");
        }
    }
}
