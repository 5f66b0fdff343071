//! nginx: as a rival for sending one file, and with a certificate in front of a store.

use crate::gateway::free_port;
use crate::lab::{Lab, certificate};
use crate::servers::mortal;
use crate::{curl, proc, usage};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running nginx; it is killed when this is dropped.
pub struct Nginx {
    /// Port on 127.0.0.1.
    pub port: u16,
    url: String,
    child: Child,
}

impl Nginx {
    /// Serves `file` with sendfile, `tls` with the certificate that ours has.
    ///
    /// One process, so that its CPU time is all of it. tcp_nopush is what distributions ship.
    /// Errors: it is not installed, or does not answer.
    pub fn start(lab: &Lab, file: &Path, tls: bool) -> io::Result<Self> {
        let place = format!("location = /content {{ alias {}; }}", file.display());
        Self::serve(lab, tls, &place, "/content")
    }

    /// Speaks TLS and hands everything on to the server at `port`, keeping nothing of it.
    ///
    /// Errors: as for [`start`](Self::start).
    pub fn before(lab: &Lab, port: u16) -> io::Result<Self> {
        let place = format!(
            "client_max_body_size 0; location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;
             proxy_set_header Host $http_host; proxy_set_header Connection ''; proxy_buffering off;
             proxy_request_buffering off; }} location = /ready {{ return 204; }}"
        );
        Self::serve(lab, true, &place, "/ready")
    }

    /// Serves the git repositories below `root` by `git http-backend`, as its manual has it for other servers: all may fetch and push.
    ///
    /// Errors: as for [`start`](Self::start).
    pub fn git(lab: &Lab, cgi: &Cgi, root: &Path) -> io::Result<Self> {
        let programs = lab.command("git").arg("--exec-path").output()?.stdout;
        let place = format!(
            "client_max_body_size 0; location = /ready {{ return 204; }} location / {{ fastcgi_pass unix:{};
             fastcgi_param SCRIPT_FILENAME {}/git-http-backend; fastcgi_param GIT_PROJECT_ROOT {};
             fastcgi_param GIT_HTTP_EXPORT_ALL ''; fastcgi_param PATH_INFO $uri; fastcgi_param QUERY_STRING $query_string;
             fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type;
             fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
             fastcgi_param GIT_PROTOCOL $http_git_protocol; fastcgi_param REMOTE_USER bench; }}",
            cgi.socket.display(),
            String::from_utf8_lossy(&programs).trim(),
            root.display()
        );
        Self::serve(lab, false, &place, "/ready")
    }

    fn serve(lab: &Lab, tls: bool, place: &str, path: &str) -> io::Result<Self> {
        lab.optional("nginx")?;
        let port = free_port()?;
        let dir = lab.at(&format!("nginx-{port}"));
        fs::create_dir(&dir)?;
        let (certificate, key) = certificate();
        let secure = format!("ssl_certificate {}; ssl_certificate_key {};", certificate.display(), key.display());
        let (word, secure) = if tls { (" ssl", secure) } else { ("", String::new()) };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            temporary.iter().map(|name| format!("{name}_temp_path {}/{name};\n", dir.display())).collect();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {0}/pid; error_log {0}/error.log;
             events {{ worker_connections 256; }}
             http {{ access_log off; sendfile on; tcp_nopush on; {temporary}
             server {{ listen 127.0.0.1:{port}{word}; {secure} {place} }} }}\n",
            dir.display(),
        );
        let config = dir.join("nginx.conf");
        fs::write(&config, text)?;
        let log = lab.at(&format!("nginx-{port}.log"));
        let sink = fs::File::create(&log)?;
        let mut command = mortal(lab, "nginx");
        command.arg("-c").arg(&config).arg("-p").arg(&dir);
        let child = command.stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink).spawn()?;
        let scheme = if tls { "https" } else { "http" };
        let mut nginx = Self { port, url: format!("{scheme}://127.0.0.1:{port}{path}"), child };
        let begin = Instant::now();
        while let Err(error) = curl::ask(lab, &["-I", &nginx.url]) {
            if nginx.child.try_wait()?.is_some() || begin.elapsed() > READY_WITHIN {
                let tail = usage::tail(&log);
                return Err(io::Error::other(format!("nginx is not ready: {error}; its log ends: {tail}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// Where the file is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// CPU seconds it has used so far.
    pub fn cpu(&self) -> io::Result<f64> {
        proc::cpu_exact(self.child.id())
    }

    /// The most memory it has used so far, bytes.
    pub fn rss(&self) -> u64 {
        proc::peek(self.child.id()).rss
    }
}

/// A running fcgiwrap, which starts programs for nginx; it is killed when this is dropped.
pub struct Cgi {
    socket: PathBuf,
    child: Child,
}

impl Cgi {
    /// Starts one that runs four programs at a time.
    ///
    /// Errors: it is not installed, or does not listen.
    pub fn start(lab: &Lab) -> io::Result<Self> {
        lab.optional("fcgiwrap")?;
        let socket = lab.at("fcgiwrap.sock");
        let mut command = mortal(lab, "fcgiwrap");
        command.args(["-c", "4", "-s"]).arg(format!("unix:{}", socket.display()));
        // It starts four of itself, which outlive it.
        command.process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut cgi = Self { socket, child };
        let begin = Instant::now();
        while !cgi.socket.exists() {
            if cgi.child.try_wait()?.is_some() || begin.elapsed() > READY_WITHIN {
                return Err(io::Error::other("fcgiwrap does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(cgi)
    }
}

impl Drop for Cgi {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Already gone is fine, and there is nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
