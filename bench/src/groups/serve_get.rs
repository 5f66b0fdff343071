//! One large content from the gateway to curl, which throws it away.

use crate::annex::Repo;
use crate::curl;
use crate::gateway::{Gateway, Kind};
use crate::lab::{Lab, same};
use crate::nginx::Nginx;
use crate::rows::{Case, Sample, Table, interleave};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A repository that holds the large file.
pub struct Held<'a> {
    /// The repository.
    pub repo: Repo<'a>,
    /// Who it is.
    pub uuid: String,
    /// Key of the large file, SHA-256.
    pub key: String,
    /// Where its content is.
    pub object: PathBuf,
}

impl<'a> Held<'a> {
    /// Makes it.
    pub fn create(lab: &'a Lab, name: &str) -> io::Result<Self> {
        let repo = Repo::plain(lab, name)?;
        fs::copy(lab.large()?, repo.dir().join("file"))?;
        repo.annex(&["add", "--quiet", "--backend=SHA256", "file"])?;
        repo.run("git", &["commit", "-q", "-m", "file"])?;
        let key = repo.ask("git-annex", &["lookupkey", "file"])?;
        let object = fs::canonicalize(repo.dir().join("file"))?;
        Ok(Self { uuid: repo.uuid()?, repo, key, object })
    }

    /// Reads the content into the page cache, lets the disk come to rest, and has memory at hand.
    pub fn ready(&self, lab: &Lab) -> io::Result<()> {
        io::copy(&mut File::open(&self.object)?, &mut io::sink())?;
        lab.settle()?;
        lab.touch_memory()
    }
}

/// Rows of ours, nginx and git-annex over HTTP, of ours and nginx over HTTPS.
pub fn http(lab: &Lab) -> io::Result<Vec<Table>> {
    let held = Held::create(lab, "repo-get")?;
    let mut tables = Vec::new();
    for (scheme, ours) in [("http", Kind::Ours), ("https", Kind::OursTls)] {
        let tls = ours == Kind::OursTls;
        let title =
            format!("GET of {} MiB over {} to curl; CPU is the server's", lab.size >> 20, scheme.to_uppercase());
        let table = Table::new(format!("serve-get/{scheme}"), title, lab.size, "nginx");
        let mut cases = vec![gateway(lab, &held, ours)];
        let mut nginx = None;
        let held = &held;
        cases.push(Case::new("nginx", move |round| {
            if nginx.is_none() {
                nginx = Some(Nginx::start(lab, &held.object, tls)?);
            }
            let nginx = nginx.as_ref().expect("just started");
            let sample = get(lab, held, round, nginx.url(), || nginx.cpu())?;
            Ok(vec![Sample { rss: nginx.rss(), ..sample }])
        }));
        if !tls {
            cases.push(gateway(lab, held, Kind::GitAnnex));
        }
        tables.extend(interleave(vec![table], cases, lab.args.runs()));
    }
    held.repo.delete()?;
    Ok(tables)
}

fn gateway<'a>(lab: &'a Lab, held: &'a Held<'_>, kind: Kind) -> Case<'a> {
    let mut gateway = None;
    Case::new(kind.subject(), move |round| {
        if gateway.is_none() {
            gateway = Some(Gateway::start(lab, kind, held.repo.dir(), &held.uuid)?);
        }
        let gateway = gateway.as_ref().expect("just started");
        let sample = get(lab, held, round, &gateway.content_url(&held.key), || gateway.cpu())?;
        Ok(vec![Sample { rss: gateway.rss(), ..sample }])
    })
}

/// One GET. In the warm-up what arrives is compared; later it is thrown away, and curl misses what is missing.
fn get(lab: &Lab, held: &Held, round: usize, url: &str, cpu: impl Fn() -> io::Result<f64>) -> io::Result<Sample> {
    if round == 0 {
        let target = lab.at("retrieved");
        curl::timed(lab, &[url], &target)?;
        same(&held.object, &target)?;
        fs::remove_file(target)?;
    }
    held.ready(lab)?;
    let before = cpu()?;
    let timing = curl::timed(lab, &[url], Path::new("/dev/null"))?;
    let cpu = cpu()? - before;
    Ok(Sample { wall: timing.total, cpu, first_byte: Some(timing.first_byte), ..Sample::default() })
}
