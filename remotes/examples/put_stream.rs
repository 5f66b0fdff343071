//! Measures how fast an S3 server takes what comes once: `put_stream PORT KEY SECRET HOW MIB PART_MIB ROUNDS`.
//!
//! HOW is `stream` (blocks from memory, as the gateway has them), `relaxed` (the same, nothing kept to be sent again) or
//! `file` (parts by sendfile, side by side). An object no longer than PART_MIB is one PUT. Prints the median.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use remotes::options::Options;
use remotes::pump::{BLOCK, FileSource, Meter};
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, ObjectName, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, key, secret, how, mib, part, rounds] = args.as_slice() else {
        return Err("put_stream PORT KEY SECRET stream|relaxed|file MIB PART_MIB ROUNDS".into());
    };
    let (mib, rounds): (u64, usize) = (mib.parse()?, rounds.parse()?);
    let mut options = Options::new();
    for (name, value) in [("bucket", "measured"), ("host", "127.0.0.1"), ("port", port), ("requeststyle", "path")] {
        options.set(name, value);
    }
    options.set("partsize", format!("{part}MiB"));
    options.set(KEY_ID, key.clone());
    options.set(SECRET, secret.clone());
    remotes::sys::run(true, async {
        let context = Context::default();
        let store = S3::open(&options, &context)?;
        store.prove("measured").await?;
        let object = ObjectName::new("measured")?;
        let mut seconds = Vec::new();
        let cpu = cpu()?;
        for round in 0..rounds {
            let started = Instant::now();
            match how.as_str() {
                "file" => from_file(&store, &object, mib).await?,
                _ => stream(&store, &object, mib, how == "relaxed", &context, round).await?,
            }
            seconds.push(started.elapsed().as_secs_f64());
            store.remove(&object).await?;
        }
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(rounds / 2).copied().unwrap_or(f64::NAN);
        let gib = mib as f64 * rounds as f64 / 1024.0;
        let mut out = std::io::stdout();
        writeln!(
            out,
            "{how} {mib} MiB by {part} MiB: {:.0} MB/s ({:.0} to {:.0}), {:.2} CPU s/GiB here",
            rate(mib, median),
            rate(mib, seconds.last().copied().unwrap_or(f64::NAN)),
            rate(mib, seconds.first().copied().unwrap_or(f64::NAN)),
            (self::cpu()? - cpu) / gib
        )?;
        Ok(())
    })?
}

fn rate(mib: u64, seconds: f64) -> f64 {
    mib as f64 * 1.048_576 / seconds
}

async fn stream(
    store: &S3,
    object: &ObjectName,
    mib: u64,
    relaxed: bool,
    context: &Context,
    round: usize,
) -> remotes::Result<()> {
    let mut content = vec![0u8; BLOCK];
    let mut put = store.put_stream(object, mib << 20).await?;
    for n in 0..mib {
        content
            .iter_mut()
            .step_by(512)
            .for_each(|b| *b = b.wrapping_add(n as u8 | 1).wrapping_mul(5 + round as u8 * 2));
        let lease = Arc::new(context.budget.lease(BLOCK as u64).await);
        let mut block = context.budget.block().under(&lease);
        drop(lease);
        block.push(&content);
        put.write(block.freeze()).await?;
        if relaxed {
            put.relax();
        }
    }
    put.commit().await.map(|_| ())
}

async fn from_file(store: &S3, object: &ObjectName, mib: u64) -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("put_stream-{mib}"));
    if !path.exists() {
        let mut file = std::fs::File::create(&path)?;
        for n in 0..mib {
            file.write_all(&vec![n as u8; BLOCK])?;
        }
    }
    let from = FileSource { file: Arc::new(std::fs::File::open(&path)?), at: 0, len: mib << 20 };
    let mut put = store.put(object, from.len).await?;
    put.fill(&from, &Meter::new()).await?;
    put.commit().await?;
    Ok(())
}

/// User and system seconds of this process.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
