//! `top`: what a server is moving now, from its `--admin` address.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use annex_types::size;
use clap::Args;
use serde_json::{Value, json};

use super::known::plain;

pub(super) const EXAMPLES: &str = "\
A live page of what the server on this computer moves, from p2phttp --admin 127.0.0.1:9418 (Ctrl-C ends it):

  git-annex-remote-stream top

Once, as text or for a script; it takes a second, in which rates are measured:

  git-annex-remote-stream top --once
  git-annex-remote-stream top --json --admin annex.example.org:9418";

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const MOST: u64 = 64 << 20;

/// Lines of transfers on a page.
const LINES: usize = 40;

#[derive(Args)]
pub(super) struct Top {
    /// The address that p2phttp --admin was given.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9418")]
    admin: String,
    /// Print one page as text, and end. So it is where the output is no terminal.
    #[arg(long)]
    once: bool,
    /// Print one page as JSON, and end.
    #[arg(long)]
    json: bool,
    /// Seconds between two pages.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

/// What the server said at one moment.
struct Sample {
    at: Instant,
    metrics: HashMap<String, f64>,
    state: Value,
}

/// Shows pages until it is ended.
pub(super) fn main(args: &Top) -> io::Result<()> {
    let once = args.once || args.json || !io::stdout().is_terminal();
    let mut before = Sample::take(&args.admin)?;
    let mut waits = HashMap::new();
    let pause = if once { 1 } else { args.interval };
    loop {
        std::thread::sleep(Duration::from_secs(pause));
        let now = Sample::take(&args.admin)?;
        let page = page(&before, &now, &mut waits);
        if args.json {
            return writeln!(io::stdout(), "{page:#}");
        }
        let text = text(&page);
        if once {
            return io::stdout().write_all(text.as_bytes());
        }
        // From the corner, over what was there; then nothing of the old page stays.
        let lines = text.replace('\n', "\x1b[K\n");
        io::stdout().write_all(format!("\x1b[H{lines}\x1b[J").as_bytes())?;
        io::stdout().flush()?;
        before = now;
    }
}

impl Sample {
    fn take(admin: &str) -> io::Result<Self> {
        let metrics = parse(&ask(admin, "/metrics")?);
        let state = serde_json::from_str(&ask(admin, "/transfers")?);
        let state = state.map_err(|e| io::Error::other(format!("{admin} is no server of this program: {e}")))?;
        Ok(Self { at: Instant::now(), metrics, state })
    }

    fn of(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or_default()
    }
}

/// The body of an answer.
fn ask(admin: &str, path: &str) -> io::Result<String> {
    let failed = |e: io::Error| {
        let words = match e.kind() {
            io::ErrorKind::InvalidInput => format!("{admin}: {e}; give HOST:PORT"),
            _ => format!("{admin}: {e}; is a server there that was started with --admin {admin}?"),
        };
        io::Error::new(e.kind(), words)
    };
    let exchange = || {
        let address = admin.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_string()),
            _ => Err(io::Error::other(format!("no answer to {path}"))),
        }
    };
    exchange().map_err(failed)
}

/// The numbers of `/metrics`, without what all names begin with.
fn parse(text: &str) -> HashMap<String, f64> {
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("git_annex_stream_")?.rsplit_once(' ')?;
        Some((name.to_string(), value.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// What is shown: of `now`, with rates since `before`. `waits` is for how long nothing of a transfer has moved.
fn page(before: &Sample, now: &Sample, waits: &mut HashMap<u64, Duration>) -> Value {
    let span = now.at.saturating_duration_since(before.at);
    let per_second = |more: f64| if span.is_zero() { 0 } else { (more.max(0.0) / span.as_secs_f64()).round() as u64 };
    let count = |name: &str| now.of(name) as u64;
    let rate = |name: &str| per_second(now.of(name) - before.of(name));
    let requests = |sample: &Sample| {
        sample.metrics.iter().filter(|(name, _)| name.starts_with("requests_total")).map(|(_, n)| n).sum::<f64>()
    };
    let empty = Vec::new();
    let list = |sample: &Sample| sample.state["transfers"].as_array().unwrap_or(&empty).clone();
    let old: HashMap<u64, u64> =
        list(before).iter().filter_map(|one| Some((one["req"].as_u64()?, one["bytes"].as_u64()?))).collect();
    let mut seen = HashMap::new();
    let mut transfers = list(now);
    let mut moved = 0.0;
    for one in &mut transfers {
        let (Some(req), bytes) = (one["req"].as_u64(), one["bytes"].as_u64().unwrap_or_default()) else { continue };
        let more = bytes.saturating_sub(old.get(&req).copied().unwrap_or_default());
        let waited = match (more, old.contains_key(&req)) {
            (0, true) => waits.get(&req).copied().unwrap_or_default() + span,
            _ => Duration::ZERO,
        };
        seen.insert(req, waited);
        moved += more as f64;
        one["rate"] = json!(per_second(more as f64));
        one["waits"] = json!(waited.as_secs());
    }
    *waits = seen;
    // The fastest first, and of those that wait the one that waits longest.
    transfers.sort_by_key(|one| {
        std::cmp::Reverse((one["rate"].as_u64().unwrap_or_default(), one["waits"].as_u64().unwrap_or_default()))
    });
    json!({
        "transfers": transfers,
        "down": now.state["down"],
        "rate": per_second(moved),
        "requests": per_second(requests(now) - requests(before)),
        "failures": rate_of_kinds(before, now, per_second),
        "turned_away": rate("connections_turned_away_total"),
        "connections": count("connections"),
        "uploads": count("uploads"),
        "downloads": count("downloads"),
        "git": count("git_processes"),
        "locks": count("locks"),
        "repositories": count("repositories"),
        "memory": count("budget_bytes"),
        "memory_used": count("budget_bytes").saturating_sub(count("budget_free_bytes")),
    })
}

/// Failures a second, of the kinds that there were.
fn rate_of_kinds(before: &Sample, now: &Sample, per_second: impl Fn(f64) -> u64) -> Value {
    let kind = |name: &str| {
        let kind = name.strip_prefix("failures_total{kind=\"")?.strip_suffix("\"}")?;
        let rate = per_second(now.of(name) - before.of(name));
        (rate > 0).then(|| (kind.to_string(), json!(rate)))
    };
    now.metrics.keys().filter_map(|name| kind(name)).collect::<serde_json::Map<_, _>>().into()
}

/// A page for people. What clients name may hold anything, and nothing of it reaches the terminal as it is.
fn text(page: &Value) -> String {
    let number = |name: &str| page[name].as_u64().unwrap_or_default();
    let bytes = |name: &str| size::show(number(name));
    let mut out = format!(
        "{}/s, {} requests/s, {} connections, {} locks, {} repositories, memory {} of {}\n{} uploads, {} downloads, {} of git\n",
        bytes("rate"),
        number("requests"),
        number("connections"),
        number("locks"),
        number("repositories"),
        bytes("memory_used"),
        bytes("memory"),
        number("uploads"),
        number("downloads"),
        number("git"),
    );
    for (kind, rate) in page["failures"].as_object().into_iter().flatten() {
        out += &format!("failures: {} {kind} a second\n", rate.as_u64().unwrap_or_default());
    }
    if number("turned_away") > 0 {
        out += &format!("connections turned away: {} a second (--connections)\n", number("turned_away"));
    }
    let word = |value: &Value| plain(value.as_str().unwrap_or("-").as_bytes());
    for node in page["down"].as_array().into_iter().flatten() {
        out += &format!("down: {}: {}\n", word(&node["node"]), word(&node["why"]));
    }
    let transfers = page["transfers"].as_array().map_or(&[][..], Vec::as_slice);
    if !transfers.is_empty() {
        out += &format!(
            "\n{:>9} {:>11} {:>7} {:>7}  {:<5} {:<12} {:<20} {}\n",
            "done", "rate", "seconds", "waits", "what", "who", "repository", "key"
        );
    }
    for one in transfers.iter().take(LINES) {
        let count = |name: &str| one[name].as_u64();
        let moved = count("bytes").unwrap_or_default();
        let done = match count("total").filter(|total| *total > 0) {
            Some(total) => format!("{}%", u128::from(moved) * 100 / u128::from(total)),
            None => size::show(moved),
        };
        let waits =
            count("waits").filter(|seconds| *seconds > 0).map(|seconds| format!("{seconds} s")).unwrap_or_default();
        let who = if one["user"].is_string() { &one["user"] } else { &one["address"] };
        out += &format!(
            "{done:>9} {:>9}/s {:>7} {waits:>7}  {:<5} {:<12} {:<20} {}\n",
            size::show(count("rate").unwrap_or_default()),
            count("seconds").unwrap_or_default(),
            word(&one["op"]),
            word(who),
            word(&one["repository"]),
            word(&one["key"]),
        );
    }
    if transfers.len() > LINES {
        out += &format!("and {} more\n", transfers.len() - LINES);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, metrics: &str, state: Value) -> Sample {
        Sample { at, metrics: parse(metrics), state }
    }

    #[test]
    fn rates_and_waits_are_those_between_two_looks() {
        let begun = Instant::now();
        let metrics = |requests: u32| {
            format!(
                "# HELP x\ngit_annex_stream_requests_total{{op=\"put\"}} {requests}\ngit_annex_stream_requests_total{{op=\"get\"}} 5\n\
                 git_annex_stream_failures_total{{kind=\"full\"}} {requests}\ngit_annex_stream_budget_bytes 2048\ngit_annex_stream_budget_free_bytes 1024\n"
            )
        };
        let one = |req: u32, bytes: u32| {
            json!({"op": "get", "req": req, "bytes": bytes, "total": 1000, "seconds": 3, "user": "al\u{1b}[2Jice",
            "address": null, "repository": "photos.git", "key": "K"})
        };
        let before = sample(begun, &metrics(10), json!({"transfers": [one(1, 100), one(2, 50)], "down": []}));
        let down = json!([{"repository": "r", "node": "n-1", "why": "it is\ngone"}]);
        let state = json!({"transfers": [one(1, 100), one(2, 450), one(3, 10)], "down": down});
        let now = sample(begun + Duration::from_secs(2), &metrics(30), state);
        let mut waits = HashMap::from([(1, Duration::from_secs(4)), (9, Duration::from_secs(4))]);
        let shown = page(&before, &now, &mut waits);
        assert_eq!((shown["requests"].as_u64(), shown["rate"].as_u64()), (Some(10), Some(205)));
        assert_eq!(shown["failures"], json!({"full": 10}));
        let list = shown["transfers"].as_array().expect("a list");
        let seen: Vec<_> =
            list.iter().map(|one| (one["req"].as_u64(), one["rate"].as_u64(), one["waits"].as_u64())).collect();
        let expected = [(2, 200, 0), (3, 5, 0), (1, 0, 6)];
        assert_eq!(seen, expected.map(|(req, rate, waits)| (Some(req), Some(rate), Some(waits))));
        assert_eq!(waits.len(), 3, "who is gone is forgotten");
        let text = text(&shown);
        assert!(!text.contains('\u{1b}') && text.contains("memory 1 KiB of 2 KiB"), "{text}");
        assert!(
            text.contains("down: n-1: it is")
                && text.lines().any(|line| line.contains("45%") && line.contains("200 B/s")),
            "{text}"
        );
        assert!(text.contains("failures: 10 full a second") && text.contains("6 s"), "{text}");
        assert_eq!(super::text(&json!({})).lines().count(), 2);
    }
}
