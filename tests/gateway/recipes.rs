//! The recipes of docs/proxy.md, done as it is written.
//!
//! A block of commands says whose it is. Directories, hosts and credentials become those of the test; what ends in `&` is
//! started as a server of the test, in the clear; users are given passwords; `NUMBER` is what the command before told to confirm with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use testbed::annex::{LIMIT, Repo};
use testbed::gateway::{Gateway, eventually};
use testbed::place::Place;
use testbed::product;
use testbed::run::run;
use testbed::web::Web;

const RECIPES: &str = include_str!("../../docs/proxy.md");

/// Whoever does something: with a home of their own.
struct Who {
    home: Repo,
    at: PathBuf,
    said: String,
}

/// One recipe, and where it is done.
struct Site {
    root: tempfile::TempDir,
    place: Place,
    names: Vec<(String, String)>,
    people: BTreeMap<&'static str, Who>,
    server: Option<Gateway>,
}

/// The blocks below a heading: whose each is, and its commands.
fn blocks(heading: &str) -> Vec<(&'static str, &'static str)> {
    let start = RECIPES.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("there is no recipe {heading}"));
    let rest = &RECIPES[start + 4..];
    let recipe = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
    let blocks = recipe.split("```sh ").skip(1);
    blocks.map(|block| block.split("```").next().and_then(|block| block.split_once('\n')).expect("a block")).collect()
}

impl Site {
    fn new(place: Place, bucket: &str) -> Site {
        let root = tempfile::tempdir().expect("a directory");
        let below = |name: &str| root.path().join(name).display().to_string();
        let mut names: Vec<(String, String)> = vec![
            ("annex@annex.example.org:".into(), String::new()),
            ("/srv/annex".into(), below("annex")),
            ("/srv/forge/repositories".into(), below("repositories")),
            ("/srv/site".into(), below("site")),
            ("/etc/git-annex-p2phttp".into(), below("etc")),
            ("/run/forge".into(), below("run")),
            ("/usr/local/bin".into(), below("bin")),
        ];
        for dir in ["annex", "repositories", "site", "run", "bin", "etc"] {
            std::fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        if let Place::S3(server, real, port) = &place {
            names.extend([
                (format!("bucket={bucket}"), format!("bucket={real}")),
                ("host=s3.example.org".into(), format!("host=127.0.0.1 port={port} protocol=http requeststyle=path")),
                ("AWS_ACCESS_KEY_ID=...".into(), format!("AWS_ACCESS_KEY_ID={}", server.user)),
                ("AWS_SECRET_ACCESS_KEY=...".into(), format!("AWS_SECRET_ACCESS_KEY={}", server.secret)),
            ]);
        }
        Site { root, place, names, people: BTreeMap::new(), server: None }
    }

    /// `text`, with what the test has in place of what the recipe names.
    fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to))
    }

    fn who(&mut self, name: &'static str) -> &mut Who {
        let root = self.root.path().to_path_buf();
        self.people.entry(name).or_insert_with(|| {
            let (mut home, at) = (Repo::homeless(), root.join(format!("of-{name}")));
            std::fs::create_dir(&at).expect("a directory");
            let config = root.join(format!("{name}.gitconfig"));
            let credentials = root.join(format!("{name}.credentials"));
            let text = format!(
                "[init]\n\tdefaultBranch = main\n[annex \"security\"]\n\tallowed-ip-addresses = 127.0.0.1\n\
                 [credential]\n\thelper = store --file={}\n",
                credentials.display()
            );
            std::fs::write(&config, text).expect("written");
            home.set("GIT_CONFIG_GLOBAL", config.display().to_string());
            Who { home, at, said: String::new() }
        })
    }

    /// Does a block.
    fn does(&mut self, name: &'static str, commands: &str) {
        let (mut script, mut server) = (String::new(), None);
        for line in self.here(commands).replace("\\\n", "").lines() {
            match line.strip_suffix(" &") {
                Some(line) => server = Some(line.to_string()),
                None if line.contains(" users add ") => {
                    let user = line.split_whitespace().nth(4).expect("a name");
                    script = format!("{script}echo secret-{user} | {line}\n");
                }
                None => script = format!("{script}{line}\n"),
            }
        }
        // A command is confirmed with what another told right before it.
        let parts: Vec<&str> = match script.split_once("NUMBER") {
            Some((before, _)) => {
                let (front, _) = before.rsplit_once('\n').expect("something comes before");
                vec![&script[..front.len() + 1], &script[front.len() + 1..]]
            }
            None => vec![&script],
        };
        for part in parts {
            self.runs(name, part);
        }
        if let Some(command) = server {
            self.serves(name, &command);
        }
    }

    fn runs(&mut self, name: &'static str, script: &str) {
        let at_end = self.root.path().join("at");
        let who = self.who(name);
        let number =
            who.said.split("--safe ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        let script = format!("{}\npwd >'{}'\n", script.replace("NUMBER", number), at_end.display());
        let mut command = who.home.command(Path::new("sh"));
        let done = run(command.current_dir(&who.at).args(["-eu", "-c", &script]), LIMIT);
        let said = done.all();
        assert!(done.status.success(), "{name}: {script}\n--- {said}");
        who.said = said;
        who.at = PathBuf::from(std::fs::read_to_string(at_end).expect("where it ended").trim());
    }

    /// Starts what a recipe starts, in the clear and on a free port.
    fn serves(&mut self, name: &'static str, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[..2], ["git-annex-remote-stream", "p2phttp"], "{command}");
        let mut flags: Vec<&str> = words[1..].to_vec();
        if let Some(at) = flags.iter().position(|flag| *flag == "--certfile") {
            flags.splice(at..at + 4, ["--auth-http", "--bind", "127.0.0.1", "--port", "0"]);
        }
        let who = self.who(name);
        let at = who.at.clone();
        let mut program = who.home.command(product());
        let gateway = Gateway::start(program.current_dir(&at).args(flags).args(["--admin", "127.0.0.1:0"]));
        let address = gateway.address.clone();
        self.names.push(("annex+https://annex.example.org/".into(), format!("annex+http://{address}/")));
        for user in ["alice", "bob", "curator"] {
            let line = format!("annex+http://{user}:secret-{user}@{}/git-annex\n", address.replace(':', "%3a"));
            std::fs::write(self.root.path().join(format!("{user}.credentials")), line).expect("written");
        }
        self.server = Some(gateway);
    }

    fn read(&self, name: &str, path: &str) -> String {
        let at = self.people[name].at.join(path);
        std::fs::read_to_string(&at).unwrap_or_else(|e| panic!("{}: {e}", at.display()))
    }
}

#[test]
fn a_datalad_dataset_whose_content_is_in_a_bucket_behind_the_server() {
    let mut site = Site::new(Place::weed(), "study");
    // What alice has before it begins.
    site.does("alice", "datalad create study\necho raw >study/scan.dat\ndatalad save -d study -m first");
    for (who, commands) in blocks("DataLad") {
        site.does(who, commands);
    }
    assert_eq!(site.read("alice", "results.txt"), "results\n", "what bob stored");
    let there = site.place.names().into_iter().filter(|name| !name.starts_with("annex-uuid")).count();
    assert_eq!(there, 2, "the bucket has both: {:?}", site.place.names());
    // The server's disk has neither.
    site.runs("server", "test \"$(git annex find --in here --branch main | wc -l)\" = 0");
    let bob = &site.people["bob"];
    let pushed =
        run(bob.home.command(Path::new("datalad")).current_dir(&bob.at).args(["push", "--to", "origin-bucket"]), LIMIT);
    assert!(pushed.failed().all().contains("Unknown push target"), "so the recipe tells of another way");
}

#[test]
fn a_forge_with_one_server_for_all_repositories() {
    let mut site = Site::new(Place::fs(), "");
    let repository = site.root.path().join("repositories/alice/photos.git");
    // The forge has made a repository, and has hooks of its own.
    let made = format!("git init --quiet --bare '{0}'\ncd '{0}'\ngit annex init --quiet forge", repository.display());
    let first_hook = "mkdir -p hooks\nprintf '#!/bin/sh\\nfor hook in hooks/post-receive.d/*; do \"$hook\"; done\\n' >hooks/post-receive\nchmod +x hooks/post-receive";
    site.does("forge", &format!("{made}\n{first_hook}"));
    for (who, commands) in blocks("A forge") {
        site.does(who, commands);
    }
    // It passes on what it has looked at.
    let socket = site.server.as_ref().expect("it serves").address.clone();
    let key = format!("SHA256E-s6--{}.txt", "0".repeat(64));
    site.runs(
        "forge",
        &format!(
            "uuid=$(git config annex.uuid)\n\
             curl --silent --show-error --include --unix-socket '{socket}' --data '' \
             \"http://forge/alice/photos.git/git-annex/$uuid/v4/checkpresent?key={key}&clientuuid=$uuid\""
        ),
    );
    assert!(site.people["forge"].said.contains("\"present\":false"), "{}", site.people["forge"].said);
    let program = site.root.path().join("bin/git-annex-shell");
    assert_eq!(std::fs::canonicalize(program).expect("a link"), product());
    // A push fills the site.
    let clone = format!("git clone --quiet '{}' photos\ncd photos\ngit annex init --quiet alice", repository.display());
    site.does("alice", &format!("{clone}\necho hello >hello.txt\ngit add .\ngit commit --quiet -m first"));
    site.does("alice", "git push --quiet origin HEAD:main 2>&1");
    let file = site.root.path().join("site/hello.txt");
    assert_eq!(std::fs::read_to_string(file).expect("exported"), "hello\n", "{}", site.people["alice"].said);
}

#[test]
fn an_archive_with_a_public_bucket() {
    let mut site = Site::new(Place::weed(), "atlas");
    // What all may read of the bucket, shown by a web server.
    let public = site.root.path().join("public");
    std::fs::create_dir(&public).expect("a directory");
    let web = Web::of(&public);
    let url = format!("http://127.0.0.1:{}/atlas", web.port);
    site.names.push(("https://s3.example.org/atlas".into(), url.clone()));
    let served = site.root.path().join("annex/atlas.git").display().to_string();
    site.names.push(("https://annex.example.org/atlas.git".into(), served));
    for (who, commands) in blocks("An archive with a public bucket") {
        if who == "reader" {
            // The server has committed what the curator stored, seconds after that.
            let repository = site.root.path().join("annex/atlas.git");
            let uuid =
                site.read("archive", "config").split("annex-uuid = ").nth(1).expect("a remote")[..36].to_string();
            eventually("it is recorded", || {
                let mut git = std::process::Command::new("git");
                let grep = ["grep", "--quiet", "-e", &format!(" 1 {uuid}"), "git-annex", "--", "*.log"];
                git.arg("-C").arg(&repository).args(grep).status().is_ok_and(|status| status.success())
            });
            for (name, content) in site.place.files() {
                let file = public.join("atlas").join(String::from_utf8(name).expect("a name of this recipe"));
                std::fs::create_dir_all(file.parent().expect("below the bucket")).expect("a directory");
                std::fs::write(file, content).expect("written");
            }
        }
        site.does(who, commands);
    }
    let files = site.place.files();
    assert_eq!(files.get(&b"sub-01/brain.nii"[..]).map(Vec::as_slice), Some(&b"image\n"[..]), "{files:?}");
    assert_eq!(site.read("reader", "sub-01/brain.nii"), "image\n");
    let told = &site.people["reader"].said;
    assert!(told.contains(&format!("{url}/sub-01/brain.nii")), "{told}");
}
