//! A signed request on its way out.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::presigning::PresignedRequest;
use bytes::Bytes;

use super::link::{Link, answered};
use super::refusal::{refusal, whole};
use super::{Pool, Response, Upload};
use crate::budget::BLOCK;
use crate::pump::lane::{FileBlocks, sendfile};
use crate::pump::{FileSource, Meter};
use crate::{Error, Kind, Op, Result};

/// A request without its payload.
pub(crate) struct Request {
    op: Op,
    method: String,
    /// As the URL names it, with its port unless that is HTTP's own.
    host: String,
    target: String,
    /// Whole lines.
    headers: String,
    /// The region that the request is signed for.
    signed: Rc<str>,
}

/// The payload.
pub(crate) enum Body<'a> {
    /// None, as in a GET.
    Empty,
    /// Part of a file.
    File(&'a FileSource, &'a Meter),
    /// Blocks in memory.
    Blocks(&'a [Bytes], &'a Meter),
}

impl Body<'_> {
    fn len(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::File(file, _) => file.len,
            Body::Blocks(blocks, _) => blocks.iter().map(|b| b.len() as u64).sum(),
        }
    }

    /// Sends it, but ends with `BrokenPipe` where the server answers before it has all.
    async fn send(&self, to: &mut Link, pool: &Pool) -> io::Result<()> {
        let idle = pool.idle_limit();
        match (self, to) {
            (Body::Empty, _) => Ok(()),
            (Body::File(file, meter), Link::Plain(to)) => {
                tokio::select! {
                    biased;
                    sent = sendfile(file, to, meter, idle) => sent,
                    () = answered(to) => Err(io::ErrorKind::BrokenPipe.into()),
                }
            }
            (Body::File(file, meter), to) => {
                let budget = pool.context().budget.clone();
                let lease = Arc::new(budget.lease(BLOCK as u64).await);
                let mut blocks = FileBlocks::new(file, budget, lease);
                while let Some(block) = blocks.next().await? {
                    let n = block.len() as u64;
                    to.send_unless_refused(block, idle).await?;
                    meter.add(n);
                }
                Ok(())
            }
            (Body::Blocks(blocks, meter), to) => {
                for block in *blocks {
                    to.send_unless_refused(block.clone(), idle).await?;
                    meter.add(block.len() as u64);
                }
                Ok(())
            }
        }
    }

    fn undo(&self) {
        match self {
            Body::Empty => {}
            Body::File(_, meter) | Body::Blocks(_, meter) => meter.undo(),
        }
    }
}

impl Request {
    /// The head for a presigned request, with headers that need no signature.
    pub(crate) fn new(op: Op, presigned: &PresignedRequest, unsigned: &[(&str, String)]) -> Result<Self> {
        let unsigned = unsigned.iter().map(|(name, value)| (*name, value.as_str()));
        Self::to(op, presigned.method(), presigned.uri(), presigned.headers().chain(unsigned))
    }

    /// The head for a request to a presigned URL. The region that it is signed for is in there.
    pub(crate) fn to<'h>(
        op: Op,
        method: &str,
        url: &str,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self> {
        Self::signed(op, method, url, headers, signed_for(url).unwrap_or_default())
    }

    /// The head for a request whose signature for this region is in its URL or its headers.
    pub(crate) fn signed<'h>(
        op: Op,
        method: &str,
        url: &str,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        region: &str,
    ) -> Result<Self> {
        let odd = || Error::new(op, Kind::Other, "a signed request is not a URL");
        let schemes = [("http://", ":80"), ("https://", ":443")];
        let known = schemes.iter().find_map(|(scheme, port)| Some((url.strip_prefix(scheme)?, port)));
        let (rest, port) = known.ok_or_else(odd)?;
        let slash = rest.find(['/', '?']).ok_or_else(odd)?;
        let (host, target) = rest.split_at(slash);
        // The scheme's own port is not part of what is signed as the host, and what is sent has to be what is signed.
        let host = host.strip_suffix(port).unwrap_or(host);
        let root = if target.starts_with('?') { "/" } else { "" };
        let mut lines = String::new();
        for (name, value) in headers {
            if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
                lines.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if lines.lines().count() != lines.matches("\r\n").count() || url.contains(['\r', '\n', ' ']) {
            return Err(Error::new(op, Kind::Option, "a header value holds a line break"));
        }
        Ok(Self {
            op,
            method: method.into(),
            host: host.into(),
            target: format!("{root}{target}"),
            headers: lines,
            signed: region.into(),
        })
    }

    /// Sends the request and reads the head of the answer. A kept connection that turns out to be dead is replaced once.
    pub(crate) async fn exchange(self, pool: &Pool, body: Body<'_>) -> Result<Response> {
        let op = self.op;
        let head = self.head((!matches!(body, Body::Empty)).then(|| body.len()), pool);
        if let Some(link) = pool.used() {
            match attempt(op, &head, link, pool, &body).await {
                Err(e) if matches!(e.kind(), Kind::Reset | Kind::Truncated) => body.undo(),
                answer => return answer.map(|response| response.signed_for(&self.signed)),
            }
        }
        let link = pool.fresh(op, &self.host).await?;
        let answer = attempt(op, &head, link, pool, &body).await.inspect_err(|_| body.undo());
        answer.map(|response| response.signed_for(&self.signed))
    }

    /// Sends a request that changes something and has no payload, and reads the head of the answer, which comes within `limit`.
    /// A kept connection that turns out to be dead is replaced where the server cannot have had the whole request. Where it may
    /// have, that is an error, [`Kind::Reset`]: the request may still be done, and whoever asks has to know.
    pub(crate) async fn exchange_once(self, pool: &Pool, limit: Duration) -> Result<Response> {
        let (op, idle) = (self.op, pool.idle_limit());
        // Some servers want a length of every PUT.
        let head = self.head((self.method == "PUT").then_some(0), pool);
        let kept = match pool.used() {
            Some(mut link) => match link.send(head.clone(), idle).await {
                Ok(()) => Some(link),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(Error::io(op, "sending", e)),
                Err(_) => None,
            },
            None => None,
        };
        let link = match kept {
            Some(link) => link,
            None => {
                let mut link = pool.fresh(op, &self.host).await?;
                link.send(head, idle).await.map_err(|e| Error::io(op, "sending", e))?;
                link
            }
        };
        Ok(Response::read(op, link, pool, limit).await?.signed_for(&self.signed))
    }

    /// Sends the head of a request whose payload of `len` bytes the caller has still to get. `used`: also on a kept
    /// connection, which may turn out to be dead with the first bytes; then [`Kind::Reset`].
    pub(crate) async fn start(self, pool: &Pool, len: u64, used: bool) -> Result<Upload> {
        let head = self.head(Some(len), pool);
        let kept = if used { pool.used() } else { None };
        let link = match kept {
            Some(link) => link,
            None => pool.fresh(self.op, &self.host).await?,
        };
        let mut upload = Upload::new(self.op, link, pool, len, self.signed);
        upload.send(head).await?;
        Ok(upload)
    }

    /// The head, with the length of the payload if there is one. A proxy is told all of the URL.
    fn head(&self, len: Option<u64>, pool: &Pool) -> Bytes {
        let Self { method, host, target, headers, .. } = self;
        let (scheme, login) = match pool.proxy() {
            Some(proxy) => (format!("http://{host}"), proxy.authorization()),
            None => Default::default(),
        };
        let login = login.map_or(String::new(), |login| format!("Proxy-Authorization: {login}\r\n"));
        let len = len.map_or(String::new(), |len| format!("Content-Length: {len}\r\n"));
        format!("{method} {scheme}{target} HTTP/1.1\r\nHost: {host}\r\n{headers}{login}{len}\r\n").into()
    }
}

/// The region in a presigned URL.
fn signed_for(url: &str) -> Option<&str> {
    let (_, scope) = url.split_once("X-Amz-Credential=")?;
    let scope = scope.split('&').next()?;
    // Key id, day, region, service; a key id may hold anything.
    let mut parts = scope.rsplit("%2F");
    parts.nth(2)
}

async fn attempt(op: Op, head: &Bytes, mut link: Link, pool: &Pool, body: &Body<'_>) -> Result<Response> {
    let idle = pool.idle_limit();
    let sent = match link.send(head.clone(), idle).await {
        Ok(()) => body.send(&mut link, pool).await,
        Err(e) => Err(e),
    };
    match sent {
        Ok(()) => whole(op, Response::read(op, link, pool, idle).await?, !matches!(body, Body::Empty)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::new(op, Kind::Corrupt, "the file became shorter while it was sent"))
        }
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Error::io(op, "sending", e)),
        Err(e) => refusal(op, link, pool, e).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
    use crate::s3::region::Region;
    use crate::s3::wire::Connector;
    use crate::site::Proxies;

    fn pool(proxy: Option<&'static str>) -> Pool {
        let site = crate::site::Site::new(&|name| proxy.filter(|_| name == "http_proxy").map(Into::into), None);
        let proxies: &Proxies = site.proxies();
        let proxy = proxies.to(false, "h", 80).expect("makes sense");
        Pool::new("h".into(), 80, Connector::Plain(proxy), Arc::new(Region::new("r")), &Context::default())
    }

    #[test]
    fn a_proxy_is_told_all_of_the_url() {
        let url = "http://h:81?x=1&X-Amz-Credential=a%2Fb%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&y";
        let request =
            || Request::to(Op::Get, "GET", url, [("Range", "bytes=1-"), ("host", "x")].into_iter()).expect("one");
        let text = |proxy| String::from_utf8(request().head(Some(3), &pool(proxy)).to_vec()).expect("text");
        let target = url.strip_prefix("http://h:81").expect("its target");
        let lines = "Host: h:81\r\nRange: bytes=1-\r\n";
        assert_eq!(text(None), format!("GET /{target} HTTP/1.1\r\n{lines}Content-Length: 3\r\n\r\n"));
        let proxied = format!("GET http://h:81/{target} HTTP/1.1\r\n{lines}");
        assert_eq!(text(Some("p")), format!("{proxied}Content-Length: 3\r\n\r\n"));
        let login = "Proxy-Authorization: Basic YTpi\r\n";
        assert_eq!(text(Some("a:b@p")), format!("{proxied}{login}Content-Length: 3\r\n\r\n"));
        assert_eq!(&*request().signed, "eu-west-1");
    }

    /// The signature holds for the host without it, and servers look at the host that was sent.
    #[test]
    fn the_port_of_the_scheme_is_not_sent_with_the_host() {
        for (url, expected) in [
            ("http://h:80/k", "Host: h\r\n"),
            ("http://h/k", "Host: h\r\n"),
            ("http://h:8080/k", "Host: h:8080\r\n"),
            ("http://[::1]:80/k", "Host: [::1]\r\n"),
            ("https://h:443/k", "Host: h\r\n"),
            ("https://h:80/k", "Host: h:80\r\n"),
        ] {
            let request = Request::to(Op::Get, "GET", url, std::iter::empty()).expect("one");
            let head = String::from_utf8(request.head(None, &pool(None)).to_vec()).expect("text");
            assert!(head.contains(expected), "{url}: {head}");
        }
    }
}
