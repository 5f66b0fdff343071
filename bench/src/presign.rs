//! Presigned requests, Signature Version 4 in the query: for loads that cannot sign each request.

use crate::lab::{KEY, SECRET};
use sha2::{Digest, Sha256};
use std::io;
use std::process::Command;

const REGION: &str = "us-east-1";

/// The target of `method` on `path` at `host` ("name:port"), good for an hour. `path` needs no escapes, and neither do the
/// parameters in `further`, which are in order and begin in lower case.
///
/// Errors: `date` cannot be run.
pub fn target(method: &str, host: &str, path: &str, further: &[(&str, &str)]) -> io::Result<String> {
    let output = Command::new("date").args(["-u", "+%Y%m%dT%H%M%SZ"]).output()?;
    let time = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if time.len() != 16 {
        return Err(io::Error::other(format!("date says {time:?}")));
    }
    let when = When { time: &time, seconds: 3600 };
    Ok(sign(method, host, path, further, when, (KEY, SECRET)))
}

/// From when on and how long.
struct When<'a> {
    time: &'a str,
    seconds: u32,
}

fn sign(
    method: &str,
    host: &str,
    path: &str,
    further: &[(&str, &str)],
    When { time, seconds }: When<'_>,
    (key, secret): (&str, &str),
) -> String {
    let day = &time[..8];
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let mut query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={seconds}\
         &X-Amz-SignedHeaders=host",
        format!("{key}/{scope}").replace('/', "%2F")
    );
    for (name, value) in further {
        query.extend(["&", name, "=", value]);
    }
    let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut signature = format!("AWS4{secret}").into_bytes();
    for word in [day, REGION, "s3", "aws4_request", &text] {
        signature = hmac(&signature, word.as_bytes());
    }
    format!("{path}?{query}&X-Amz-Signature={}", hex(&signature))
}

/// HMAC-SHA-256; RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new_with_prefix(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha256::new_with_prefix(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_amazons_documentation_comes_out() {
        let credentials = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let host = "examplebucket.s3.amazonaws.com";
        let when = When { time: "20130524T000000Z", seconds: 86400 };
        let target = sign("GET", host, "/test.txt", &[], when, credentials);
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(target.ends_with(signature), "{target}");
    }
}
