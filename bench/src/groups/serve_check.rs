//! Is a content present: how often one core can say so, and what a git-annex branch of a million keys does to it.

use super::content::{Content, contents, put};
use crate::annex::Repo;
use crate::gateway::{CLIENT, Gateway, Kind};
use crate::http::Client;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use crate::wrk;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// Requests that a row's seconds are for.
const REQUESTS: u64 = 10_000;

/// Contents that are put in each run of the rows about the branch.
const PUTS: usize = 100;

/// Keys in the small branch.
const FEW: usize = 1_000;

// What testdata/gen-branch.py calls the repository.
const GENERATED: &str = "00000000-0000-4000-8000-0000000000aa";

/// Rows of ours on one core, and of git-annex on all of them.
pub fn one_core(lab: &Lab) -> io::Result<Vec<Table>> {
    let repo = Repo::plain(lab, "repo-check")?;
    let uuid = repo.uuid()?;
    fs::write(repo.dir().join("file"), b"here")?;
    repo.annex(&["add", "--quiet", "--backend=SHA256", "file"])?;
    let key = repo.ask("git-annex", &["lookupkey", "file"])?;
    let script = lab.at("check.lua");
    fs::write(&script, "wrk.method = 'POST'\n")?;
    let title = "CHECKPRESENT of one content, wrk -t1 -c64, seconds for 10,000; ours on one core; CPU is the server's";
    let table = Table::new("serve-check/one-core", title, 0, "git-annex p2phttp").counting(REQUESTS);
    let case = |kind: Kind| {
        let (repo, uuid, key, script) = (&repo, &uuid, &key, &script);
        let mut gateway = None;
        Case::new(kind.subject(), move |_| {
            if gateway.is_none() {
                gateway = Some(Gateway::start(lab, kind, repo.dir(), uuid)?);
            }
            let gateway = gateway.as_ref().expect("just started");
            load(lab, gateway, script, &gateway.url("checkpresent", key)).map(|sample| vec![sample])
        })
    };
    let cases = vec![case(Kind::OursOneCore), case(Kind::GitAnnex)];
    let tables = interleave(vec![table], cases, lab.args.runs());
    repo.delete()?;
    Ok(tables)
}

/// A user and the password `pw1`, by crypt(3); and what she sends.
const ALICE: (&str, &str) =
    ("alice:$2b$04$abcdefghijklmnopqrstuu8HU3pu3uDNsZeZ4Putj36gAGMqThibC\n", "Basic YWxpY2U6cHcx");

/// Users in the file beside her, each with rights of their own.
const USERS: usize = 1_000;

/// Rows of ours with a file of users and rights, and without.
pub fn users(lab: &Lab) -> io::Result<Vec<Table>> {
    let repo = Repo::plain(lab, "repo-users")?;
    let uuid = repo.uuid()?;
    fs::write(repo.dir().join("file"), b"here")?;
    repo.annex(&["add", "--quiet", "--backend=SHA256", "file"])?;
    let key = repo.ask("git-annex", &["lookupkey", "file"])?;
    let others = |line: &dyn Fn(usize) -> String| (0..USERS).map(line).collect::<String>();
    let logins = others(&|n| format!("user{n}:!\n"));
    let rights = others(&|n| format!("user{n} readonly org{n}/\n"));
    // Whoever waits until it is ready does not log in.
    let text = format!("{}{logins}[rights]\n{rights}alice full *\nanonymous readonly *\n", ALICE.0);
    fs::write(lab.at("users"), text)?;
    let script = |name: &str, more: &str| {
        let path = lab.at(name);
        fs::write(&path, format!("wrk.method = 'POST'\n{more}")).map(|()| path)
    };
    let logged_in = script("users.lua", &format!("wrk.headers['Authorization'] = '{}'\n", ALICE.1))?;
    let anyone = script("anyone.lua", "")?;
    let title = "CHECKPRESENT by a user of a file of 1,000, wrk -t1 -c64, seconds for 10,000; ours on one core";
    let table = Table::new("serve-check/users", title, 0, "without").counting(REQUESTS);
    let case = |subject: &str, kind: Kind, script: PathBuf| {
        let (repo, uuid, key) = (&repo, &uuid, &key);
        let mut gateway = None;
        Case::new(subject, move |_| {
            if gateway.is_none() {
                gateway = Some(Gateway::start(lab, kind, repo.dir(), uuid)?);
            }
            let gateway = gateway.as_ref().expect("just started");
            load(lab, gateway, &script, &gateway.url("checkpresent", key)).map(|sample| vec![sample])
        })
    };
    let cases = vec![case("with users", Kind::OursUsers, logged_in), case("without", Kind::OursOneCore, anyone)];
    let tables = interleave(vec![table], cases, lab.args.runs());
    repo.delete()?;
    Ok(tables)
}

/// Rows of ours on a small and on a large git-annex branch: puts, each recorded there, and then questions.
pub fn branch(lab: &Lab) -> io::Result<Vec<Table>> {
    let many = lab.args.keys();
    let branches = format!("large branch: {many} keys, small branch: {FEW}");
    let put_title = format!("{PUTS} PUTs of 1 KiB through one connection; {branches}");
    let check_title =
        format!("CHECKPRESENT of 2,000 keys, wrk -t1 -c64, seconds for 10,000, after the puts; {branches}");
    let tables = vec![
        Table::new("serve-check/branch-put", put_title, 0, "small branch").counting(PUTS as u64),
        Table::new("serve-check/branch", check_title, 0, "small branch").counting(REQUESTS),
    ];
    let case = |subject: &str, keys: usize| {
        let mut gateway = None;
        let name = format!("branch-{keys}");
        Case::new(subject, move |round| {
            if gateway.is_none() {
                let dir = generated(lab, keys)?;
                let copy = lab.at(&name);
                lab.run(lab.command("cp").arg("-a").arg(&dir).arg(&copy))?;
                gateway = Some(Gateway::start(lab, Kind::OursOneCore, &copy, GENERATED)?);
            }
            let gateway = gateway.as_ref().expect("just started");
            let fresh = contents(PUTS, &format!("{name} {round}"));
            lab.settle()?;
            let before = gateway.cpu()?;
            let begin = Instant::now();
            let mut client = Client::connect(gateway.port)?;
            for content in &fresh {
                put(&mut client, gateway, content)?;
            }
            let wall = begin.elapsed().as_secs_f64();
            let puts = Sample { wall, cpu: gateway.cpu()? - before, rss: gateway.rss(), ..Sample::default() };
            // The commit comes in its own time, and belongs to no row of questions.
            committed(&lab.at(&name).join("annex/journal"))?;
            let script = questions(lab, keys, &fresh)?;
            let checks = load(lab, gateway, &script, &gateway.base())?;
            Ok(vec![puts, checks])
        })
    };
    let cases = vec![case("small branch", FEW), case("large branch", many)];
    let tables = interleave(tables, cases, lab.args.runs());
    for keys in [FEW, many] {
        // A row that failed may have left none.
        let _ = fs::remove_dir_all(lab.at(&format!("branch-{keys}")));
    }
    Ok(tables)
}

/// Waits until a repository has nothing more to commit.
pub fn committed(journal: &Path) -> io::Result<()> {
    let begin = Instant::now();
    while fs::read_dir(journal).is_ok_and(|mut entries| entries.next().is_some()) {
        if begin.elapsed().as_secs() > 120 {
            return Err(io::Error::other("what was recorded is not committed after two minutes"));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}

fn load(lab: &Lab, gateway: &Gateway, script: &Path, url: &str) -> io::Result<Sample> {
    let before = gateway.cpu()?;
    let load = wrk::run(lab, script, url)?;
    let share = REQUESTS as f64 / load.requests as f64;
    let cpu = (gateway.cpu()? - before) * share;
    Ok(Sample { wall: load.seconds * share, cpu, rss: gateway.rss(), ..Sample::default() })
}

/// A script of wrk: half of the questions about `here`, which are present, half about keys of the branch, which are not.
fn questions(lab: &Lab, keys: usize, here: &[Content]) -> io::Result<PathBuf> {
    let script = lab.at("questions.lua");
    let present: Vec<String> = here.iter().map(|content| format!("'{}'", content.key)).collect();
    let text = format!(
        "local here = {{ {present} }}
local requests, next = {{}}, 0
function init()
  for i = 1, 1000 do
    local absent = string.format('SHA256E-s1024--%064x', math.floor((i - 1) * {keys} / 1000))
    for _, key in ipairs({{ absent, here[i % #here + 1] }}) do
      requests[#requests + 1] =
        wrk.format('POST', '/git-annex/{GENERATED}/v4/checkpresent?key=' .. key .. '&clientuuid={CLIENT}')
    end
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
",
        present = present.join(", ")
    );
    fs::write(&script, text)?;
    Ok(script)
}

/// A bare repository whose git-annex branch has `keys` keys; made once and kept.
pub fn generated(lab: &Lab, keys: usize) -> io::Result<PathBuf> {
    let dir = lab.kept()?.join(format!("branch-{keys}"));
    if dir.exists() {
        return Ok(dir);
    }
    let making = lab.at(&format!("making-{keys}"));
    lab.run(lab.command("git").args(["init", "-q", "--bare"]).arg(&making))?;
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/gen-branch.py");
    let mut stream = lab.command("python3");
    stream.arg(generator).arg("--keys").arg(keys.to_string()).args(["--uuid", GENERATED]);
    let mut stream = stream.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut import = lab.command("git");
    import.arg("-C").arg(&making).args(["fast-import", "--quiet"]);
    import.stdin(stream.stdout.take().expect("stdout piped"));
    let (imported, made) = (import.status()?, stream.wait()?);
    if !imported.success() || !made.success() {
        return Err(io::Error::other(format!(
            "a branch of {keys} keys: git ended with {imported}, python3 with {made}"
        )));
    }
    for (name, value) in [("annex.uuid", GENERATED), ("annex.version", "10")] {
        lab.run(lab.command("git").arg("-C").arg(&making).args(["config", name, value]))?;
    }
    fs::create_dir(making.join("annex"))?;
    fs::rename(making, &dir)?;
    Ok(dir)
}
