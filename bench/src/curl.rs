//! `curl` with a signature: the do-nothing baseline, and the hand that prepares and tidies buckets.

use crate::lab::{KEY, Lab, SECRET};
use crate::usage::Usage;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

// Seconds; a server that hangs ends its row, not the bench.
const LONGEST: &str = "600";

/// PUTs `file` to `url` as one object. Errors: any answer but success.
pub fn put(lab: &Lab, file: &Path, url: &str) -> io::Result<Usage> {
    lab.run(signed(lab)?.arg("-T").arg(file).arg(url))
}

/// GETs `url` into `file`. Errors: any answer but success.
pub fn get(lab: &Lab, url: &str, file: &Path) -> io::Result<Usage> {
    lab.run(signed(lab)?.arg("-o").arg(file).arg(url))
}

/// DELETEs `url`. Errors: any answer but success.
pub fn delete(lab: &Lab, url: &str) -> io::Result<()> {
    lab.run(signed(lab)?.args(["-X", "DELETE"]).arg(url)).map(drop)
}

/// Makes a bucket. Errors: any answer but success, also when it exists.
pub fn make_bucket(lab: &Lab, base: &str, bucket: &str) -> io::Result<()> {
    lab.run(signed(lab)?.args(["-X", "PUT"]).arg(format!("{base}/{bucket}"))).map(drop)
}

/// One request without a signature, `args` saying which; its body. Errors: any answer but success.
pub fn ask(lab: &Lab, args: &[&str]) -> io::Result<Vec<u8>> {
    let output = plain(lab).args(args).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string()));
    }
    Ok(output.stdout)
}

/// What curl says of one transfer.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Seconds from the start to the first byte of the answer.
    pub first_byte: f64,
    /// Seconds from the start to its last byte.
    pub total: f64,
}

/// One transfer without a signature, `args` saying which, the body of the answer in `into`.
///
/// Errors: any answer but success.
pub fn timed(lab: &Lab, args: &[&str], into: &Path) -> io::Result<Timing> {
    let mut command = plain(lab);
    command.args(["-m", LONGEST]);
    command.args(["-w", "%{time_starttransfer} %{time_total}", "-o"]).arg(into).args(args);
    lab.run(&mut command)?;
    let text = fs::read_to_string(lab.at("command.log"))?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first_byte)), Some(Ok(total))) => Ok(Timing { first_byte, total }),
        _ => Err(io::Error::other(format!("curl says {text}"))),
    }
}

fn plain(lab: &Lab) -> Command {
    let mut command = lab.command("curl");
    command.args(["-q", "-sS", "--fail", "-k", "--http1.1"]);
    command
}

/// Whether a request without a signature is let in. Errors: no answer at all.
pub fn answers_anonymous(lab: &Lab, base: &str) -> io::Result<bool> {
    let mut command = lab.command("curl");
    command.args(["-q", "-s", "-o", "/dev/null", "-w", "%{http_code}", base]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("curl {base}: {}", output.status)));
    }
    Ok(output.stdout.starts_with(b"2"))
}

fn signed(lab: &Lab) -> io::Result<Command> {
    let rc = lab.at("curlrc");
    let unsigned_body = r#"header = "x-amz-content-sha256: UNSIGNED-PAYLOAD""#;
    let text = format!("user = \"{KEY}:{SECRET}\"\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n{unsigned_body}\n");
    fs::write(&rc, text)?;
    let mut command = lab.command("curl");
    command.args(["-q", "-sS", "--fail", "-k", "--http1.1", "-K"]).arg(rc);
    Ok(command)
}
