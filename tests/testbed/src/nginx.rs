//! A real nginx in front of a server of ours, with what stands in the pages in its `server` or `http` section.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::gateway::within;
use crate::servers::top;

/// Longest wait until it listens.
const READY: Duration = Duration::from_secs(30);

/// A running nginx; it is killed when this is dropped.
pub struct Nginx {
    /// Port on loopback, of its certificate for localhost.
    pub port: u16,
    child: Child,
    log: PathBuf,
}

/// The certificate that tests trust, and its key.
pub fn certificate() -> (String, String) {
    let file = |name: &str| top().join("testdata/tls").join(name).display().to_string();
    (file("first.pem"), file("first.key"))
}

impl Nginx {
    /// Starts one with `servers` in its `http` section, which listens on `PORT`; `dir` is its own. `None`, said loudly, where it is not
    /// installed.
    #[track_caller]
    pub fn start(dir: &Path, servers: &str) -> Option<Nginx> {
        let program =
            ["/usr/sbin/nginx", "/usr/bin/nginx", "/sbin/nginx"].into_iter().find(|path| Path::new(path).is_file());
        let Some(program) = program else {
            assert!(std::env::var_os("CI").is_none(), "CI is set, so everything has to be tested: nginx is missing");
            eprintln!("NOT TESTED: nginx is not installed (Debian: sudo apt install nginx-light)");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let at = dir.display();
        let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let servers = servers.replace("PORT", &format!("127.0.0.1:{port}"));
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 256; }}\nhttp {{ access_log off; {kept}\n{servers}\n}}\n"
        );
        std::fs::write(dir.join("nginx.conf"), config).expect("a file");
        let log = dir.join("error.log");
        let out = File::create(dir.join("out")).expect("a file");
        let mut command = Command::new(program);
        command.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir).arg("-e").arg(&log);
        let child = command.stdin(Stdio::null()).stdout(out.try_clone().expect("one")).stderr(out).spawn();
        let mut nginx = Nginx { port, child: child.expect("it starts"), log };
        let listens = within(READY, || {
            let ended = nginx.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "nginx: {}", nginx.said());
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(listens, "nginx: {}", nginx.said());
        Some(nginx)
    }

    /// What it has complained of.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it keeps on its disk: files in its directories for bodies.
    pub fn kept(&self) -> usize {
        let dir = self.log.parent().expect("a directory");
        let files = ["client_body", "proxy"].map(|name| std::fs::read_dir(dir.join(name)).map_or(0, Iterator::count));
        files.iter().sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
