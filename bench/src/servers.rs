//! The S3 servers the rows run against, with authentication on, on loopback.

use crate::curl;
use crate::lab::{KEY, Lab, SECRET};
use crate::{presign, proc, usage};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bucket that every server has from the start.
pub const BUCKET: &str = "bench";

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Which S3 server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `weed server` with filer and S3 gateway in one process.
    SeaweedFs,
    /// `rclone serve s3` over a directory.
    RcloneServe,
}

impl Kind {
    /// Name used in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::SeaweedFs => "seaweedfs",
            Self::RcloneServe => "rclone-serve",
        }
    }
}

/// A running server; it is killed and its data wiped when this is dropped.
pub struct Server {
    /// Which program it is.
    pub kind: Kind,
    /// Port of the S3 endpoint on 127.0.0.1.
    pub port: u16,
    child: Child,
    data: PathBuf,
    ports: [u16; 4],
}

impl Server {
    /// Starts a server with empty storage and makes [`BUCKET`].
    ///
    /// Errors: it does not start, or does not answer within a minute.
    pub fn start(lab: &Lab, kind: Kind) -> io::Result<Self> {
        let data = lab.at(kind.name());
        fs::create_dir(&data)?;
        let log = lab.at(&format!("{}.log", kind.name()));
        let ports = free_ports()?;
        let (mut command, port) = match kind {
            Kind::SeaweedFs => (weed(lab, &data, &ports)?, ports[3]),
            Kind::RcloneServe => (rclone_serve(lab, &data, ports[0]), ports[0]),
        };
        let sink = fs::File::create(&log)?;
        let child = command.stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink).spawn()?;
        let mut server = Self { kind, port, child, data, ports };
        server.wait_until_ready(lab).map_err(|e| {
            io::Error::other(format!("{} is not ready: {e}; its log ends: {}", kind.name(), usage::tail(&log)))
        })?;
        Ok(server)
    }

    /// Where the object `name` is.
    pub fn object(&self, name: &str) -> String {
        format!("{}/{BUCKET}/{name}", self.url())
    }

    /// The presigned target of `method` on the object `name`, with `further` parameters, to follow the base address.
    pub fn presigned(&self, method: &str, name: &str, further: &[(&str, &str)]) -> io::Result<String> {
        presign::target(method, &format!("127.0.0.1:{}", self.port), &format!("/{BUCKET}/{name}"), further)
    }

    /// Base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// CPU seconds the server has used so far.
    pub fn cpu(&self) -> io::Result<f64> {
        proc::cpu(self.child.id())
    }

    /// Gives the space of deleted objects back; outside any measured time.
    pub fn vacuum(&self) -> io::Result<()> {
        if self.kind != Kind::SeaweedFs {
            return Ok(());
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[0]))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.write_all(b"GET /vol/vacuum?garbageThreshold=0.01 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(())
    }

    fn wait_until_ready(&mut self, lab: &Lab) -> io::Result<()> {
        let begin = Instant::now();
        while let Err(error) = curl::make_bucket(lab, &self.url(), BUCKET) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if begin.elapsed() > READY_WITHIN {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if curl::answers_anonymous(lab, &self.url())? {
            return Err(io::Error::other("it lets anyone in; authentication must be on"));
        }
        // The first write to a bucket makes volumes; no row should pay for that.
        let probe = lab.data("probe", 1 << 10)?;
        let object = format!("{}/{BUCKET}/probe", self.url());
        curl::put(lab, &probe, &object)?;
        curl::delete(lab, &object)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine, and there is nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
        for (name, port) in ["master", "volume", "filer", "s3"].iter().zip(self.ports) {
            // SeaweedFS leaves its local sockets behind, by fixed names.
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{name}-{port}.sock"));
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{name}-grpc-{}.sock", port + 10_000));
        }
    }
}

/// `program`, made to die with the bench even when that is killed.
pub fn mortal(lab: &Lab, program: &str) -> Command {
    let mut command = lab.command("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

fn weed(lab: &Lab, data: &std::path::Path, ports: &[u16; 4]) -> io::Result<Command> {
    let identities = lab.at("identities.json");
    let text = format!(
        r#"{{"identities":[{{"name":"bench","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
    );
    fs::write(&identities, text)?;
    let mut command = mortal(lab, "weed");
    command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer=true", "-s3=true"]);
    // Two more listeners of its have fixed ports, which another server on the machine may hold.
    command.args(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
    command.args(["-volume.max=200", "-master.volumeSizeLimitMB=4096"]);
    command.arg(format!("-dir={}", data.display())).arg(format!("-s3.config={}", identities.display()));
    let flags = ["-master.port", "-volume.port", "-filer.port", "-s3.port"];
    command.args(flags.iter().zip(ports).map(|(flag, port)| format!("{flag}={port}")));
    // It takes credentials for its own identity from these, which would turn the identities file off.
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    Ok(command)
}

fn rclone_serve(lab: &Lab, data: &std::path::Path, port: u16) -> Command {
    let mut command = mortal(lab, "rclone");
    command.env("RCLONE_CONFIG", "").args(["serve", "s3", "--addr"]).arg(format!("127.0.0.1:{port}"));
    command.arg("--auth-key").arg(format!("{KEY},{SECRET}")).arg(data);
    command
}

/// Four ports that are free now and whose gRPC twins, 10000 above, are free as well.
fn free_ports() -> io::Result<[u16; 4]> {
    let mut held = Vec::new();
    let mut ports = [0; 4];
    let mut found = 0;
    for candidate in (0..2000).map(|i| 20_000 + ((std::process::id() * 37 + i * 7) % 10_000) as u16) {
        let pair = (TcpListener::bind(("127.0.0.1", candidate)), TcpListener::bind(("127.0.0.1", candidate + 10_000)));
        if let (Ok(a), Ok(b)) = pair {
            held.push((a, b));
            ports[found] = candidate;
            found += 1;
            if found == ports.len() {
                return Ok(ports);
            }
        }
    }
    Err(io::Error::other("no free ports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_four_different_ones() {
        let ports = free_ports().expect("ports");
        let set: std::collections::HashSet<u16> = ports.into_iter().collect();
        assert_eq!(set.len(), 4);
    }
}
