//! A server between a store and its clients that passes on HTTP request by request, and fails on order.
//!
//! It fails at a stated place of stated requests, so that "in mid-transfer" is a state and not a guess.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::process::{Pid, Signal, kill_process};

/// Another answer than the store's: S3 wants to be asked less.
pub const SLOW_DOWN: &str = "HTTP/1.1 503 Slow Down\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>";

/// The same: S3 lets nobody in.
pub const DENIED: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";

/// The same: this is no S3.
pub const NO_HTTP: &str = "220 smtp.example.org ESMTP\r\n250 hello\r\n\r\n";

/// The requests that a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Looking at an object.
    Look,
    /// Reading one.
    Get,
    /// Writing one, or a part of it.
    Put,
    /// Beginning an upload in parts.
    Begin,
    /// Making an object of parts.
    Complete,
    /// Giving one its name.
    Rename,
    /// Removing one.
    Remove,
}

/// Where in a request it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// So many bytes of its body have come; the store hears nothing of it.
    Sending(usize),
    /// All of it has come; the store hears nothing of it.
    Sent,
    /// The store has done it, and nobody hears that.
    Done,
    /// The head of the answer and so many bytes of its body are through.
    Answering(usize),
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Silence.
    Stall,
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// Another answer than the store's, and FIN.
    Say(&'static str),
    /// All connections are reset, and new ones refused.
    Die,
    /// Whoever asks is killed, as by a power cut.
    Kill(u32),
    /// The same, and the store hears of the request when it is [delivered](Faulty::deliver).
    KillAndKeep(u32),
}

struct Rule {
    about: String,
    what: What,
    at: At,
    how: How,
    times: usize,
}

/// The server. It is gone when dropped.
pub struct Faulty {
    /// Where to connect instead of the store.
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    port: u16,
    target: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    /// What happens at which request from here on.
    strike: Option<(usize, At, How)>,
    /// Requests since that was said.
    requests: usize,
    /// Methods of the requests about an object that came since they were asked for.
    methods: Vec<String>,
    /// Connections that were accepted and are open still, by number: one that was reset has no address any more.
    open: HashMap<usize, TcpStream>,
    /// Connections that were accepted.
    accepted: usize,
    /// Requests that are under way.
    busy: usize,
    /// Faults that happened.
    met: Vec<String>,
    /// Requests that come late.
    kept: Vec<Vec<u8>>,
    /// How often all was healed: whoever stalls waits for the next.
    healed: usize,
    dead: bool,
    over: bool,
}

impl Faulty {
    /// Passes on to `target` on loopback.
    pub fn start(target: u16) -> Faulty {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { port, target, state: Mutex::default(), changed: Condvar::new() });
        shared.accept(listener);
        Faulty { port, shared }
    }

    /// The next `times` requests of kind `what` whose head contains `about` fail.
    pub fn fail(&self, about: &str, what: What, at: At, how: How, times: usize) {
        self.shared.state().rules.push(Rule { about: about.to_string(), what, at, how, times });
    }

    /// The request that is the `nth` from here on, counted from 1, fails, whatever it is.
    pub fn strike(&self, nth: usize, at: At, how: How) {
        let mut state = self.shared.state();
        state.strike = Some((nth, at, how));
        state.requests = 0;
    }

    /// Requests since the last [`strike`](Self::strike) was ordered.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// The methods of all requests about an object that came since this was asked before, in order: each is a round trip to the
    /// store. Each thread of a gateway looks for the bucket now and then, too, where an object is not there; that is left out.
    pub fn methods(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().methods)
    }

    /// Waits until nothing is open any more of those who were connected and are dead: what they had sent and was not read
    /// yet has been dealt with too.
    pub fn deserted(&self) {
        let limit = Duration::from_secs(60);
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| !state.open.is_empty());
        assert!(!waited.expect("no holder panics").1.timed_out(), "somebody is connected still after {limit:?}");
    }

    /// Waits until all is dealt with that those had sent who are dead, while others stay connected.
    #[track_caller]
    pub fn settled(&self) {
        let begun = Instant::now();
        loop {
            let (living, dead) = self.shared.peers();
            let state = self.shared.state();
            if dead == 0 && state.busy == 0 && state.open.len() == living {
                return;
            }
            drop(state);
            assert!(begun.elapsed() < Duration::from_secs(120), "what the dead had sent is not dealt with");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How often a fault happened to requests whose head contains `about`.
    pub fn met(&self, about: &str) -> usize {
        self.shared.state().met.iter().filter(|head| head.contains(about)).count()
    }

    /// What was kept comes to the store at last, which does it. How many requests that were.
    pub fn deliver(&self) -> usize {
        let kept = std::mem::take(&mut self.shared.state().kept);
        for request in &kept {
            let mut server = TcpStream::connect(("127.0.0.1", self.shared.target)).expect("the store is there");
            server.write_all(request).expect("sent");
            let answer = read_head(&mut BufReader::new(server)).expect("answered");
            assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        }
        kept.len()
    }

    /// Nothing fails any more; what stalls is reset.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        state.strike = None;
        state.met.clear();
        state.healed += 1;
        let was_dead = std::mem::take(&mut state.dead);
        drop(state);
        self.shared.changed.notify_all();
        if was_dead {
            let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("the port is still free");
            self.shared.accept(listener);
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// How many are connected, and how many of those whose end was heard of are not let go of yet.
    fn peers(&self) -> (usize, usize) {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
        let ours = format!(":{:04X}", self.port);
        let states = table.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1).is_some_and(|local| local.ends_with(&ours)).then(|| words.get(3).copied().unwrap_or(""))
        });
        let states: Vec<&str> = states.collect();
        let count = |wanted: &str| states.iter().filter(|state| **state == wanted).count();
        // ESTABLISHED, CLOSE_WAIT.
        (count("01"), count("08"))
    }

    fn accept(self: &Arc<Self>, listener: TcpListener) {
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut state = shared.state();
                if state.over || state.dead {
                    return;
                }
                let Ok(client) = client else { continue };
                state.accepted += 1;
                let number = state.accepted;
                state.open.extend(client.try_clone().map(|client| (number, client)));
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // Whoever broke it off, it is over.
                    let _ = shared.serve(&client);
                    let _ = client.shutdown(Shutdown::Both);
                    shared.state().open.remove(&number);
                    shared.changed.notify_all();
                });
            }
        });
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.target))?;
        let (mut up, mut down) = (BufReader::new(client.try_clone()?), BufReader::new(server.try_clone()?));
        loop {
            let head = read_head(&mut up)?;
            if head.is_empty() {
                return Ok(());
            }
            let _busy = Busy::new(self);
            let fault = self.fault(&head);
            let length = length(&head);
            match fault {
                Some((At::Sending(n), how)) => {
                    // Nobody sends more than there is.
                    let n = match length {
                        Some(Length::Bytes(len)) => len.min(n as u64),
                        Some(Length::Chunks | Length::ToEnd) => n as u64,
                        None => 0,
                    };
                    io::copy(&mut up.by_ref().take(n), &mut io::sink())?;
                    return self.break_off(client, how);
                }
                Some((At::Sent, how)) => {
                    let mut request = head.clone().into_bytes();
                    pass_body(&mut up, &mut request, length.unwrap_or(Length::Bytes(0)))?;
                    if let How::KillAndKeep(_) = how {
                        self.state().kept.push(request);
                    }
                    return self.break_off(client, how);
                }
                _ => {}
            }
            (&server).write_all(head.as_bytes())?;
            pass_body(&mut up, &mut &server, length.unwrap_or(Length::Bytes(0)))?;
            let answer = loop {
                let answer = read_head(&mut down)?;
                if !answer.starts_with("HTTP/1.1 100") {
                    break answer;
                }
            };
            let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            let bare = head.starts_with("HEAD ") || matches!(status, 204 | 304);
            let length = if bare { Length::Bytes(0) } else { self::length(&answer).unwrap_or(Length::ToEnd) };
            match fault {
                Some((At::Done, how)) => {
                    pass_body(&mut down, &mut io::sink(), length)?;
                    return self.break_off(client, how);
                }
                Some((At::Answering(n), how)) => {
                    { client }.write_all(answer.as_bytes())?;
                    io::copy(&mut down.by_ref().take(n as u64), &mut { client })?;
                    return self.break_off(client, how);
                }
                _ => {
                    { client }.write_all(answer.as_bytes())?;
                    pass_body(&mut down, &mut { client }, length)?;
                }
            }
            if matches!(length, Length::ToEnd) {
                return Ok(());
            }
        }
    }

    /// The fault that is meant for the request with this head.
    fn fault(&self, head: &str) -> Option<(At, How)> {
        let mut state = self.state();
        state.requests += 1;
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if is_of_an_object(target) {
            state.methods.push(method.to_string());
        }
        if let Some((_, at, how)) = state.strike.filter(|(nth, ..)| *nth == state.requests) {
            state.met.push(head.to_string());
            return Some((at, how));
        }
        let fits = |rule: &Rule| rule.times > 0 && head.contains(&rule.about) && is(head, rule.what);
        let rule = state.rules.iter_mut().find(|rule| fits(rule))?;
        rule.times -= 1;
        let found = (rule.at, rule.how);
        state.met.push(head.to_string());
        Some(found)
    }

    /// Errors: the connection is over.
    fn break_off(&self, client: &TcpStream, how: How) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        match how {
            // Answers without a length, and what is no answer, end with the connection.
            How::Say(words) => { client }.write_all(words.as_bytes())?,
            How::Close => {}
            How::Stall => {
                let state = self.state();
                let healed = state.healed;
                let limit = Duration::from_secs(120);
                drop(self.changed.wait_timeout_while(state, limit, |state| state.healed == healed && !state.over));
                reset(client);
            }
            How::Reset => reset(client),
            How::Kill(pid) | How::KillAndKeep(pid) => {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the id of a process");
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
            How::Die => {
                let mut state = self.state();
                state.dead = true;
                for (_, open) in state.open.drain() {
                    reset(&open);
                }
                drop(state);
                // Whoever waits for a connection gets one, and leaves.
                let _ = TcpStream::connect(("127.0.0.1", self.port));
            }
        }
        Err(gone())
    }
}

/// A request is under way.
struct Busy<'a>(&'a Shared);

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared) -> Busy<'a> {
        shared.state().busy += 1;
        Busy(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).busy -= 1;
    }
}

/// The next close of the connection is an RST; everybody who waits for it wakes.
fn reset(stream: &TcpStream) {
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    // Dissolves the association, which is an RST, whoever holds a copy of the descriptor.
    let _ = rustix::net::connect_unspec(stream);
}

fn is(head: &str, what: What) -> bool {
    let line = head.lines().next().unwrap_or("");
    let verb = line.split(' ').next().unwrap_or("");
    let create = line.contains("?uploads") || line.contains("&uploads");
    match what {
        What::Look => matches!(verb, "HEAD" | "PROPFIND"),
        What::Get => verb == "GET",
        What::Put => verb == "PUT",
        What::Begin => verb == "POST" && create,
        What::Complete => verb == "POST" && !create,
        What::Rename => verb == "MOVE",
        What::Remove => verb == "DELETE" && !line.contains("uploadId="),
    }
}

#[derive(Clone, Copy)]
enum Length {
    Bytes(u64),
    Chunks,
    ToEnd,
}

fn length(head: &str) -> Option<Length> {
    let value = |name: &str| {
        let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_string())
    };
    if value("transfer-encoding").is_some() {
        return Some(Length::Chunks);
    }
    value("content-length").and_then(|value| value.parse().ok()).map(Length::Bytes)
}

fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while from.read_line(&mut head)? > 2 {}
    Ok(head)
}

fn pass_body(from: &mut impl BufRead, to: &mut impl Write, length: Length) -> io::Result<()> {
    match length {
        Length::Bytes(len) => {
            if io::copy(&mut from.by_ref().take(len), to)? < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Length::ToEnd => {
            io::copy(from, to)?;
        }
        Length::Chunks => loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let len = u64::from_str_radix(line.trim().split(';').next().unwrap_or(""), 16).map_err(io::Error::other)?;
            to.write_all(line.as_bytes())?;
            io::copy(&mut from.by_ref().take(len + 2), to)?;
            if len == 0 {
                break;
            }
        },
    }
    Ok(())
}

/// Whether a target of S3 has more than the name of a bucket.
fn is_of_an_object(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or("").trim_matches('/');
    path.contains('/')
}
