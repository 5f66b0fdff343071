//! The data plane's lanes against each other: which kernel call moves a byte cheapest between two kinds of end.
//!
//! Everything runs in this process. CPU is that of the thread that moves the bytes; the ends are fed and drained by
//! threads of their own (`sendfile` in, `MSG_TRUNC` out), which are the same for every lane of a table.

mod ends;
mod moves;

use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use ends::{drain, feed, pair};
use moves::Move;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// Rows of every pair of ends.
pub fn all(lab: &Lab) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for ends in [Ends::FileToFile, Ends::FileToSocket, Ends::SocketToFile, Ends::SocketToSocket] {
        let title = format!("{} of {} MiB", ends.words(), lab.size >> 20);
        let table = Table::new(format!("lanes/{}", ends.id()), title, lab.size, "buffered 256K");
        let lanes = ends.lanes().into_iter();
        let cases = lanes.map(|(name, how)| Case::new(name, move |_| once(lab, ends, how).map(|s| vec![s])));
        tables.extend(interleave(vec![table], cases.collect(), lab.args.runs()));
    }
    Ok(tables)
}

#[derive(Clone, Copy)]
enum Ends {
    FileToFile,
    FileToSocket,
    SocketToFile,
    SocketToSocket,
}

const BUFFERED: [(&str, Move); 3] = [
    ("buffered 64K", Move::Buffered(64 << 10)),
    ("buffered 256K", Move::Buffered(256 << 10)),
    ("buffered 1M", Move::Buffered(1 << 20)),
];
const SPLICED: [(&str, Move); 2] =
    [("splice, pipe of 256K", Move::Splice(256 << 10)), ("splice, pipe of 1M", Move::Splice(1 << 20))];

impl Ends {
    fn id(self) -> &'static str {
        match self {
            Self::FileToFile => "file-file",
            Self::FileToSocket => "file-socket",
            Self::SocketToFile => "socket-file",
            Self::SocketToSocket => "socket-socket",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::FileToFile => "Cached file to fresh file",
            Self::FileToSocket => "Cached file to TCP socket",
            Self::SocketToFile => "TCP socket to fresh file",
            Self::SocketToSocket => "TCP socket to TCP socket",
        }
    }

    fn lanes(self) -> Vec<(&'static str, Move)> {
        let own: &[(&str, Move)] = match self {
            Self::FileToFile => &[("copy_file_range", Move::CopyFileRange), ("sendfile", Move::Sendfile)],
            Self::FileToSocket => &[("sendfile", Move::Sendfile)],
            // A copy into full large buffers is what splice has to beat here.
            Self::SocketToFile => &[("buffered 1M, filled", Move::Filled(1 << 20))],
            Self::SocketToSocket => &[],
        };
        [own, &SPLICED, &BUFFERED].concat()
    }
}

/// One pass of one lane between fresh ends.
fn once(lab: &Lab, ends: Ends, how: Move) -> io::Result<Sample> {
    let source = File::open(lab.large()?)?;
    let path = lab.at("lane-out");
    let out = File::create(&path)?;
    lab.settle()?;
    let (near_in, far_in) = pair()?;
    let (near_out, far_out) = pair()?;
    let from_socket = matches!(ends, Ends::SocketToFile | Ends::SocketToSocket);
    let to_socket = matches!(ends, Ends::FileToSocket | Ends::SocketToSocket);
    let begin = Instant::now();
    let feeder = if from_socket { Some(feed(source.try_clone()?, far_in, lab.size)) } else { None };
    let drainer = to_socket.then(|| drain(far_out));
    let cpu = thread_cpu();
    {
        let from: BorrowedFd = if from_socket { near_in.as_fd() } else { source.as_fd() };
        let to: BorrowedFd = if to_socket { near_out.as_fd() } else { out.as_fd() };
        how.run(from, to, lab.size)?;
    }
    let cpu = thread_cpu() - cpu;
    drop(near_out);
    let arrived = match drainer {
        Some(drainer) => drainer.join().expect("the drainer returns its errors")?,
        None => out.metadata()?.len(),
    };
    let wall = begin.elapsed().as_secs_f64();
    if let Some(feeder) = feeder {
        feeder.join().expect("the feeder returns its errors")?;
    }
    if arrived != lab.size {
        return Err(io::Error::other(format!("{arrived} bytes arrived of {}", lab.size)));
    }
    fs::remove_file(path)?;
    Ok(Sample { wall, cpu, ..Sample::default() })
}

fn thread_cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
