//! git-annex-remote-stream.
