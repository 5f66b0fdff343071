//! Every lane moves the same bytes, stops at the announced length, and gives a stalled or broken end up.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::budget::{BLOCK, Budget};
use crate::conformance::pattern;
use crate::pump::{FileSource, Meter};
use crate::sys::Pipe;

const PATIENCE: Duration = Duration::from_secs(20);
const HASTE: Duration = Duration::from_millis(50);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    (a.expect("connected"), b.expect("accepted").0)
}

fn file(content: &[u8]) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

fn on<T>(f: impl Future<Output = T>) -> T {
    crate::sys::run(true, f).expect("a runtime")
}

/// Reads until the end.
async fn all(mut from: TcpStream) -> Vec<u8> {
    let mut out = Vec::new();
    from.read_to_end(&mut out).await.expect("read");
    out
}

#[test]
fn sendfile_sends_its_part_of_the_file() {
    on(async {
        let content = pattern(1, 5 * BLOCK + 3);
        let (ours, theirs) = pair().await;
        let reader = tokio::task::spawn_local(all(theirs));
        let meter = Meter::new();
        sendfile(&file(&content).part(7, 4 * BLOCK as u64), &ours, &meter, PATIENCE).await.expect("sent");
        drop(ours);
        assert!(reader.await.expect("read") == content[7..4 * BLOCK + 7]);
        assert_eq!(meter.bytes(), 4 * BLOCK as u64);
    });
}

#[test]
fn sendfile_notices_a_file_that_ends_early_and_a_peer_that_takes_nothing() {
    on(async {
        let (ours, theirs) = pair().await;
        let short = FileSource { len: 100, ..file(b"short") };
        let e = sendfile(&short, &ours, &Meter::new(), PATIENCE).await.expect_err("95 bytes are missing");
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof);
        let e = sendfile(&file(&pattern(2, 32 * BLOCK)), &ours, &Meter::new(), HASTE).await.expect_err("nobody reads");
        assert_eq!(e.kind(), ErrorKind::TimedOut);
        drop(theirs);
    });
}

#[test]
fn a_relay_moves_exactly_what_was_announced() {
    on(async {
        let content = pattern(3, 9 * BLOCK + 11);
        let (mut source, from) = pair().await;
        let (to, sink) = pair().await;
        let sent = content.clone();
        let writer = tokio::task::spawn_local(async move {
            source.write_all(&sent).await.expect("written");
            source.write_all(b"the next answer").await.expect("written");
            source
        });
        let reader = tokio::task::spawn_local(all(sink));
        let meter = Meter::new();
        let mut pipe = Pipe::new().expect("a pipe");
        relay(&from, &to, content.len() as u64, &mut pipe, &meter, PATIENCE, PATIENCE).await.expect("moved");
        assert_eq!(pipe.held(), 0, "the pipe can be used again");
        drop(to);
        assert!(reader.await.expect("read") == content);
        assert_eq!(meter.bytes(), content.len() as u64);
        drop(writer.await.expect("written"));
        let mut next = vec![0; 15];
        let mut from = from;
        from.read_exact(&mut next).await.expect("read");
        assert_eq!(next, b"the next answer", "what follows stays in the socket");
    });
}

#[test]
fn a_relay_gives_broken_and_stalled_ends_up() {
    on(async {
        let (mut source, from) = pair().await;
        let (to, sink) = pair().await;
        source.write_all(b"half").await.expect("written");
        let mut pipe = Pipe::new().expect("a pipe");
        let e = relay(&from, &to, 8, &mut pipe, &Meter::new(), HASTE, PATIENCE).await.expect_err("the source stalls");
        assert!(matches!(&e, Broken::Source(e) if e.kind() == ErrorKind::TimedOut), "{e}");
        drop(source);
        let e = relay(&from, &to, 4, &mut pipe, &Meter::new(), PATIENCE, PATIENCE).await.expect_err("the source ends");
        assert!(matches!(&e, Broken::Source(e) if e.kind() == ErrorKind::UnexpectedEof), "{e}");
        drop(sink);
    });
}

#[test]
fn blocks_of_a_socket_are_full_and_end_where_announced() {
    on(async {
        let content = pattern(4, 2 * BLOCK + 5);
        let (mut source, from) = pair().await;
        let sent = content.clone();
        let writer = tokio::task::spawn_local(async move { source.write_all(&sent[10..]).await.map(|()| source) });
        let budget = Budget::new(16 << 20);
        let mut blocks = SocketBlocks::new(&from, content.slice(..10), content.len() as u64, PATIENCE);
        let mut got = Vec::new();
        let mut lengths = Vec::new();
        while blocks.left() > 0 {
            let mut block = budget.block();
            blocks.fill(&mut block).await.expect("filled");
            lengths.push(block.len());
            got.extend_from_slice(block.as_ref());
        }
        assert!(got == content);
        assert_eq!(lengths, [BLOCK, BLOCK, 5]);
        drop(writer.await);
        let mut blocks = SocketBlocks::new(&from, Bytes::new(), 1, PATIENCE);
        let e = blocks.fill(&mut budget.block()).await.expect_err("the peer is gone");
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn copy_range_copies_and_notices_an_early_end() {
    on(async {
        let content = pattern(5, 3 * BLOCK + 1);
        let target = file(b"").file;
        let meter = Meter::new();
        copy_range(&file(&content), &target, 0, &meter).await.expect("copied");
        let mut got = vec![0; content.len()];
        std::os::unix::fs::FileExt::read_exact_at(&*target, &mut got, 0).expect("read");
        assert!(got == content);
        assert_eq!(meter.bytes(), content.len() as u64);
        let short = FileSource { len: 10, ..file(b"short") };
        let e = copy_range(&short, &target, 0, &meter).await.expect_err("5 bytes are missing");
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof);
    });
}
