//! An upload in parts by curl, straight to a store: what the gateway's is held against.

use crate::curl;
use crate::lab::Lab;
use crate::servers::Server;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Uploads `parts` as the object `name`, `at_once` of them side by side; the seconds from first to last request.
///
/// Errors: any answer but success.
pub fn put(lab: &Lab, server: &Server, parts: &[PathBuf], name: &str, at_once: usize) -> io::Result<f64> {
    let answer = lab.at("multipart-answer");
    let begin = Instant::now();
    let url = server.url() + &server.presigned("POST", name, &[("uploads", "")])?;
    curl::timed(lab, &["-X", "POST", "-d", "", &url], &answer)?;
    let text = fs::read_to_string(&answer)?;
    let id = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next());
    let id = id.ok_or_else(|| io::Error::other(format!("no upload id in {text}")))?;
    let config = lab.at("multipart-curlrc");
    fs::write(&config, sections(server, parts, name, id)?)?;
    let at_once = at_once.to_string();
    let mut command = lab.command("curl");
    // Its meter would stand between the ETags.
    command
        .args(["-q", "--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", &at_once, "-K"])
        .arg(&config);
    lab.run(&mut command)?;
    let complete = lab.at("multipart-complete");
    fs::write(&complete, list(&fs::read_to_string(lab.at("command.log"))?, parts.len())?)?;
    let body = format!("@{}", complete.display());
    let url = server.url() + &server.presigned("POST", name, &[("uploadId", id)])?;
    curl::timed(lab, &["-X", "POST", "--data-binary", &body, &url], &answer)?;
    let text = fs::read_to_string(&answer)?;
    if !text.contains("<CompleteMultipartUploadResult") {
        return Err(io::Error::other(format!("the upload was not completed: {text}")));
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// One transfer for each part; what curl prints of it is its number and its ETag.
fn sections(server: &Server, parts: &[PathBuf], name: &str, id: &str) -> io::Result<String> {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let number = (index + 1).to_string();
        let target = server.presigned("PUT", name, &[("partNumber", &number), ("uploadId", id)])?;
        let _ = write!(
            text,
            "{}url = \"{}{target}\"\nupload-file = \"{}\"\nheader = \"Expect:\"\noutput = \"/dev/null\"\nsilent\nshow-error\nfail\nwrite-out = \"part {number} %header{{etag}}\\n\"\n",
            if index == 0 { "" } else { "next\n" },
            server.url(),
            part.display()
        );
    }
    Ok(text)
}

/// The body that completes the upload, from what curl printed.
fn list(printed: &str, count: usize) -> io::Result<String> {
    let mut tags = vec![None; count];
    for line in printed.lines() {
        let mut words = line.split(' ');
        if let (Some("part"), Some(number), Some(tag)) = (words.next(), words.next(), words.next()) {
            let index = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            if let Some(slot) = index.and_then(|i| tags.get_mut(i)) {
                *slot = Some(tag).filter(|t| !t.is_empty());
            }
        }
    }
    let mut text = String::from("<CompleteMultipartUpload>");
    for (index, tag) in tags.iter().enumerate() {
        let number = index + 1;
        let tag = tag.ok_or_else(|| io::Error::other(format!("no ETag of part {number}: {printed}")))?;
        let _ = write!(text, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    Ok(text + "</CompleteMultipartUpload>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_listed_in_order_and_none_may_be_missing() {
        let text = list("part 2 \"b\"\npart 1 \"a\"\n", 2).expect("both");
        assert!(text.find("\"a\"") < text.find("\"b\"") && text.contains("<PartNumber>2</PartNumber>"), "{text}");
        assert!(list("part 2 \"b\"\n", 2).is_err());
    }
}
