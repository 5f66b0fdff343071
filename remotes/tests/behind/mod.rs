//! A pretend WebDAV server that does as it is told, and does not know yet that it has.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::Receiver;

/// How far it is behind.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// How often it tells of a new file what is not so, before it tells the truth.
    pub times: usize,
    /// The length it tells meanwhile, in bytes; `None`: no such file.
    pub stale: Option<usize>,
    /// How many requests to move a file it answers with 404 first.
    pub refused: usize,
}

impl Behind {
    /// Where it listens, and the method of each request it was sent.
    pub fn start(mut self) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (asked, requests) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut files = HashMap::<String, (usize, usize)>::new();
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                let lines: Vec<String> =
                    stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let header = |name: &str| {
                    let of = |line: &String| {
                        let (have, value) = line.split_once(':')?;
                        have.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
                    };
                    lines.iter().find_map(of)
                };
                let len = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                std::io::copy(&mut stream.by_ref().take(len), &mut std::io::sink()).expect("the body");
                let Some((method, path)) = lines.first().and_then(|line| line.split_once(' ')) else { continue };
                let path = path.split(' ').next().expect("a path").to_string();
                let place = |url: String| url.split("/annex").nth(1).map(|rest| format!("/annex{rest}"));
                let (status, told) = match method {
                    "PUT" => {
                        files.insert(path.clone(), (len as usize, self.times));
                        ("201 Created", None)
                    }
                    "MOVE" if self.refused > 0 => {
                        self.refused -= 1;
                        ("404 Not Found", None)
                    }
                    "MOVE" => {
                        let (len, _) = files.remove(&path).expect("what is moved is there");
                        let target = header("destination").and_then(place).expect("a destination");
                        files.insert(target, (len, self.times));
                        ("201 Created", None)
                    }
                    "PROPFIND" if path.ends_with('/') => {
                        ("207 Multi-Status", Some("<D:resourcetype><D:collection/></D:resourcetype>".into()))
                    }
                    "PROPFIND" => {
                        let told = files.get_mut(&path).and_then(|(len, left)| match *left {
                            0 => Some(*len),
                            _ => {
                                *left -= 1;
                                self.stale
                            }
                        });
                        let told =
                            told.map(|len| format!("<D:resourcetype/><D:getcontentlength>{len}</D:getcontentlength>"));
                        (if told.is_some() { "207 Multi-Status" } else { "404 Not Found" }, told)
                    }
                    "DELETE" => {
                        files.remove(&path);
                        ("204 No Content", None)
                    }
                    _ => ("201 Created", None),
                };
                let body = told.map(|told: String| {
                    format!(
                        "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>{path}</D:href><D:propstat><D:prop>{told}\
                         <D:getlastmodified>Tue, 01 Jan 2030 00:00:00 GMT</D:getlastmodified></D:prop>\
                         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
                    )
                });
                let body = body.unwrap_or_default();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = asked.send(method.to_string());
                let _ = stream.get_mut().write_all((head + &body).as_bytes());
            }
        });
        (format!("http://{address}"), requests)
    }
}
