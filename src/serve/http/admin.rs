//! `/healthz`, `/metrics` and `/transfers`, on an address of their own that clients need not reach.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::listen::ListenError;
use super::shared::{Shared, date};
use crate::proto::http::head::{self, Method};
use crate::proto::http::response::{Connection, Media, Response};
use crate::serve::conn::link::{Link, within};

/// Longest time one question takes from its first byte to the last of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Questions at a time.
const AT_ONCE: usize = 32;

/// A socket, not yet on any thread.
pub(super) struct Admin(std::net::TcpListener);

/// Listens on `address`, such as `127.0.0.1:9418`.
pub(super) fn listen(address: &str) -> Result<Admin, ListenError> {
    let socket = std::net::TcpListener::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    socket
        .map(Admin)
        .map_err(|e| ListenError::new(format!("cannot listen on {address} (--admin): {e}; give HOST:PORT")))
}

impl Admin {
    /// Where it listens, for people.
    pub(super) fn name(&self) -> String {
        self.0.local_addr().map_or_else(|e| e.to_string(), |address| address.to_string())
    }

    pub(super) fn start(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.0)
    }
}

/// Answers until the server ends.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::task::spawn_local(async move {
                    // Whoever asks too slowly asks again.
                    let _ = within(PATIENCE, answer(Link::Tcp(stream), &shared)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut link: Link, shared: &Shared) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut buf = [0; 1024];
    let (status, body) = loop {
        match head::parse(&bytes) {
            Ok(Some((head, _))) => break page(head.method, head.path, shared),
            Err(refusal) => break (refusal.status(), refusal.detail().to_string()),
            Ok(None) => match link.read(&mut buf).await? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(&buf[..n]),
            },
        }
    };
    let response = Response {
        media: Some(Media::Text),
        length: body.len() as u64,
        connection: Connection::Close,
        ..Response::of(status)
    };
    let mut out = Vec::new();
    response.write(&date(), &mut out);
    out.extend_from_slice(body.as_bytes());
    link.write(&out, PATIENCE).await?;
    link.finish().await;
    Ok(())
}

fn page(method: Method, path: &[u8], shared: &Shared) -> (u16, String) {
    match (method, path) {
        (Method::Get, b"/healthz") => (200, "ok\n".to_string()),
        (Method::Get, b"/metrics") => {
            let budget = &shared.limits.budget;
            let opened = shared.repositories.opened();
            let down = opened.iter().map(|served| served.nodes_down() as u64).sum();
            let git = shared.git.as_ref().map_or(0, |git| git.slots.taken());
            let text = shared.metrics.render(&[
                ("locks", "Content locks held by clients.", shared.leases.len() as u64),
                ("repositories", "Repositories that are open.", opened.len() as u64),
                ("nodes_down", "Nodes of clusters that are down.", down),
                ("budget_bytes", "Bytes of content that may be in memory.", budget.total()),
                ("budget_free_bytes", "Bytes of it that are free.", budget.free()),
                ("git_processes", "Programs of git that fetch and push for clients.", git as u64),
            ]);
            (200, text)
        }
        (Method::Get, b"/transfers") => (200, shared.transfers.render(&shared.repositories.opened())),
        (Method::Get, _) => (404, "/healthz, /metrics and /transfers are here\n".to_string()),
        _ => (405, "only GET\n".to_string()),
    }
}
